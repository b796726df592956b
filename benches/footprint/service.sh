# Sourced after `.ci/setup`: starts the fake service of this folder, which ends with the script.

# `start_service PROGRAM CA_FILE PORTS_FILE IDLE_SECONDS [ADDRESS]` starts it. Sets `port`, `told`
# (the port that reports its counts), and `also` to the port of ADDRESS, if it could listen there.
start_service() {
  "$1" "$2" "$4" ${5:+"$5"} >"$3" &
  processes+=($!)
  for _ in $(seq 100); do
    [ ! -s "$3" ] || break
    sleep 0.1
  done
  read -r port told also <"$3" || fail "the fake service did not start within 10 s"
}
