# The scripts that measure source this file. It creates the folder `work` and starts the fake
# service. Both end with the script.

work=$(mktemp -d)
service=
finish() {
  [ -z "$service" ] || kill "$service" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

# `start_service PROGRAM CA_FILE PORTS_FILE IDLE_SECONDS [ADDRESS]` starts the service. It sets
# `service` (the process), `port`, `counts_port`, and `other_port` (the port at ADDRESS,
# if the service could listen there).
start_service() {
  "$1" "$2" "$4" ${5:+"$5"} >"$3" &
  service=$!
  for _ in $(seq 100); do
    [ ! -s "$3" ] || break
    sleep 0.1
  done
  read -r port counts_port other_port <"$3" || { echo "the fake service did not start within 10 s" >&2; return 1; }
}
