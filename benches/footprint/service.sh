# Source this file after `.ci/setup`. The fake service ends with the script.

# `start_service PROGRAM CA_FILE PORTS_FILE IDLE_SECONDS [ADDRESS]` starts the service. It sets
# `port`, `counts_port`, and `other_port` (the port at ADDRESS, if the service could listen there).
start_service() {
  "$1" "$2" "$4" ${5:+"$5"} >"$3" &
  processes+=($!)
  for _ in $(seq 100); do
    [ ! -s "$3" ] || break
    sleep 0.1
  done
  read -r port counts_port other_port <"$3" || fail "the fake service did not start within 10 s"
}
