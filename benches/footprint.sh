#!/usr/bin/env bash
# Measures what the library costs a device: size, memory, threads, crates, instructions, heap,
# writes and connections. It builds the programs of `footprint/` and runs them against a fake
# service over TLS on loopback. It prints each figure with its budget, and fails if a budget is
# exceeded.
#
# It measures the armv7 binary if .ci/cross has installed its tools. It counts instructions, heap
# and system calls if valgrind and strace are installed. The profiles of callgrind stay in the
# target folder.
set -euo pipefail
. "$(dirname "$0")/../.ci/setup"
. .ci/cross-tools
. benches/footprint/service.sh

# `.ci/package` uses the same folder.
target=${CARGO_TARGET_DIR:-$PWD/target}
CARGO_TARGET_DIR=$target cargo build --quiet --locked --profile deb --features cli --bin cognito-credentials
command=$target/deb/cognito-credentials
export CARGO_TARGET_DIR="$target/footprint"
idle=2
runs=11

footprint=(--quiet --locked --manifest-path benches/footprint/Cargo.toml)
build() { cargo build "${footprint[@]}" "$@"; }
build --features rig --bin serve --bin counts
if type valgrind strace >/dev/null 2>&1; then
  for program in bare enhanced; do
    cargo rustc "${footprint[@]}" --release --features valgrind --bin $program -- -C strip=none
    cp "$CARGO_TARGET_DIR/release/$program" "$work/$program-with-symbols"
  done
fi
build --release --bin bare --bin enhanced --bin full
programs=$CARGO_TARGET_DIR/release

start_service "$CARGO_TARGET_DIR/debug/serve" "$work/ca.pem" "$work/ports" $idle
url=https://localhost:$port

failed=0
line() { printf '%-58s %12s %12s %7s\n' "$@"; }
# `row WHAT MEASURED BUDGET RATIO` fails if there is no figure: bash takes no number for 0.
row() {
  [[ $2 =~ ^[0-9]+$ ]] || fail "not measured: $1"
  line "$@"
}
# `check WHAT MEASURED NUMERATOR DENOMINATOR BASE`: the budget is BASE * NUMERATOR / DENOMINATOR.
check() {
  local budget=$((${5:-0} * $3 / $4)) verdict=
  if ((${2:-0} > budget)); then
    verdict=" over"
    failed=1
  fi
  row "$1" "$2" "$budget" "$(ratio "$2" "$5")$verdict"
}
# `at_most WHAT MEASURED BUDGET`
at_most() { check "$1" "$2" 1 1 "$3"; }
# `compare WHAT MEASURED BARE`
compare() { row "$1" "$2" - "$(ratio "$2" "$3")"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.3f", a / b; else print "-" }'; }

size() { stat -c %s "$programs/$1"; }
value() { awk -v name="$1" '$1 == name { $1 = ""; print substr($0, 2) }' "$2"; }
median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

# `run NAME ARGUMENT…` measures the peak memory and the threads of one program.
run() {
  local name=$1
  shift
  for _ in $(seq $runs); do
    env -i "$programs/$name" "$url" "$work/ca.pem" "$@" >"$work/output"
    value peak "$work/output" >>"$work/$name.peak"
    value threads "$work/output" >>"$work/$name.threads"
  done
}
run bare
run enhanced
mkdir -m 700 "$work/records"
run full "$work/records" arn:aws:iam::123456789012:role/device
peak() { median <"$work/$1.peak"; }
threads() { sort -n "$work/$1.threads" | tail -n1; }

"$CARGO_TARGET_DIR/debug/counts" "$url" "$work/ca.pem" "$counts_port" $idle >"$work/counts"
count() { value "$1" "$work/counts" | cut -d' ' -f"${2:-1}"; }

# The number of crates in a program that depends only on this library.
crates() {
  cargo tree --locked -e normal --prefix none "$@" | sed 's/ (\*)$//' | sort -u |
    grep -vc '^cognito-identity-credentials '
}
# Not in the table, because the script goes on if a command in the words of another one fails.
default_crates=$(crates)
fewest_crates=$(crates --no-default-features)

printf 'x86_64, %s; ratio: to bare where there is one, else to the budget\n\n' "$(rustc --version)"
line what measured budget ratio
row "binary, bare: ureq, rustls and serde_json (bytes)" "$(size bare)" - -
check "binary, enhanced flow: at most 1.095 of bare" "$(size enhanced)" 1095 1000 "$(size bare)"
check "binary, all of it: at most 1.25 of bare" "$(size full)" 125 100 "$(size bare)"
row "peak memory, bare (KiB, median of $runs)" "$(peak bare)" - -
check "peak memory, enhanced flow: at most 1.02 of bare" "$(peak enhanced)" 102 100 "$(peak bare)"
compare "peak memory, classic flow with FileStorage" "$(peak full)" "$(peak bare)"
at_most "threads left after a fetch, enhanced flow" "$(threads enhanced)" 0
at_most "threads left after a fetch, classic flow" "$(threads full)" 0
at_most "binary, the command cognito-credentials (bytes)" "$(stat -c %s "$command")" 2850000
at_most "crates, default features" "$default_crates" 41
at_most "crates, without ureq" "$fewest_crates" 20
at_most "heap of an idle provider besides its credentials (bytes)" "$(count heap)" 2048
row "the texts of its credentials (bytes)" "$(count texts)" - -
at_most "writes in 1,000 refreshes of one guest" "$(count writes_guest)" 1
at_most "writes in 1,000 refreshes with a login" "$(count writes_login)" 1
at_most "first fetch: connections" "$(count first 1)" 1
at_most "first fetch: full handshakes" "$(count first 2)" 1
at_most "refresh within the idle time: connections" "$(count soon 1)" 0
at_most "refresh within the idle time: full handshakes" "$(count soon 2)" 0
at_most "refresh later: connections" "$(count later 1)" 1
at_most "refresh later: full handshakes" "$(count later 2)" 0
row "refresh later: resumed handshakes" "$(count later 3)" - -

if [ -e "$work/enhanced-with-symbols" ]; then
  # `under PROGRAM TOOL…` runs a program under a tool.
  under() {
    local program=$1
    shift
    env -i PATH="$PATH" "$@" "$work/$program-with-symbols" "$url" "$work/ca.pem" \
      >"$work/output" 2>"$work/log" && grep -q '^key ' "$work/output" || { cat "$work/log" >&2; exit 1; }
  }
  for program in bare enhanced; do
    for _ in $(seq 5); do
      under $program valgrind --tool=callgrind --callgrind-out-file="$CARGO_TARGET_DIR/callgrind.$program"
      awk '/Collected/ { print $NF }' "$work/log" >>"$work/$program.instructions"
    done
    under $program valgrind
    tr -d , <"$work/log" | awk '/total heap usage/ { print "allocations " $5 "\nallocated " $9 }' \
      >"$work/$program.counts"
    under $program strace -f -c -o "$work/calls"
    awk '$NF == "total" { print "calls " $4 }' "$work/calls" >>"$work/$program.counts"
  done
  instructions() { median <"$work/$1.instructions"; }
  row "instructions, bare (median of 5)" "$(instructions bare)" - -
  check "instructions, enhanced flow: at most 1.015 of bare" "$(instructions enhanced)" 1015 1000 \
    "$(instructions bare)"
  counted() { compare "$1, enhanced flow" "$(value "$2" "$work/enhanced.counts")" "$(value "$2" "$work/bare.counts")"; }
  counted "heap allocations" allocations
  counted "heap allocations (bytes)" allocated
  counted "system calls" calls
else
  echo "instructions, heap and system calls are not counted: valgrind and strace are not installed"
fi

if [ -e "$tools/rust-1.85/done" ]; then
  (
    cross_environment "$tools/rust-1.85"
    CARGO_TARGET_DIR=$CARGO_TARGET_DIR/rust-1.85 \
      build --release --bin bare --bin enhanced --bin full --target armv7-unknown-linux-gnueabihf
  )
  programs=$CARGO_TARGET_DIR/rust-1.85/armv7-unknown-linux-gnueabihf/release
  row "armv7 binary, bare (bytes, Rust 1.85)" "$(size bare)" - -
  at_most "armv7 binary, enhanced flow" "$(size enhanced)" 1300224
  compare "armv7 binary, all of it" "$(size full)" "$(size bare)"
else
  echo "the armv7 binary is not measured: .ci/cross has not set up its tools"
fi

if ((failed)); then
  echo "a budget is not met" >&2
  exit 1
fi
