# Sourced by the scripts that measure: `work`, a folder that goes with the script, and the fake
# service of this folder, which ends with it.

work=$(mktemp -d)
service=
finish() {
  [ -z "$service" ] || kill "$service" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

# `start_service PROGRAM CA_FILE PORTS_FILE IDLE_SECONDS [ADDRESS]` starts it and sets `service` (its
# process), `port` and `told` (where it tells its counts), and `also` to the port of ADDRESS if it is
# there too.
start_service() {
  "$1" "$2" "$4" ${5:+"$5"} >"$3" &
  service=$!
  for _ in $(seq 100); do
    [ ! -s "$3" ] || break
    sleep 0.1
  done
  read -r port told also <"$3" || { echo "the fake service did not start within 10 s" >&2; return 1; }
}
