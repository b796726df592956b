#!/usr/bin/env bash
# What the library costs a device: size, memory, threads, crates, heap, writes, connections. Builds
# the programs of `footprint/`, runs them against a fake service over TLS on loopback, prints what
# was measured beside its budget, and fails if a budget is not met.
#
# FEATURES=device builds them with these features of the library besides the default ones.
# Where .ci/cross has set up its tools, the armv7 binary is measured too.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/cross-tools
. benches/footprint/service.sh

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/footprint"
features=()
[ -z "${FEATURES:-}" ] || features=(--features "cognito-identity-credentials/${FEATURES//,/,cognito-identity-credentials/}")
idle=2
runs=11

build() { cargo build --quiet --manifest-path benches/footprint/Cargo.toml --locked "${features[@]}" "$@"; }
build --features rig --bin serve --bin counts
build --release --bin bare --bin enhanced --bin full
programs=$CARGO_TARGET_DIR/release

start_service "$CARGO_TARGET_DIR/debug/serve" "$work/ca.pem" "$work/ports" $idle
url=https://localhost:$port

failed=0
row() { printf '%-58s %12s %12s %7s\n' "$@"; }
# `check WHAT MEASURED NUMERATOR DENOMINATOR BASE`: the budget is BASE * NUMERATOR / DENOMINATOR.
check() {
  local budget=$(($5 * $3 / $4)) verdict=
  if (($2 > budget)); then
    verdict=" over"
    failed=1
  fi
  row "$1" "$2" "$budget" "$(awk -v a="$2" -v b="$5" 'BEGIN { if (b > 0) printf "%.3f", a / b; else print "-" }')$verdict"
}
# `at_most WHAT MEASURED BUDGET`
at_most() { check "$1" "$2" 1 1 "$3"; }

size() { stat -c %s "$programs/$1"; }
value() { awk -v name="$1" '$1 == name { $1 = ""; print substr($0, 2) }' "$2"; }
median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

# The peak and the threads of one program: `run NAME ARGUMENT…`.
run() {
  local name=$1
  shift
  for _ in $(seq $runs); do
    env -i "$programs/$name" "$url" "$work/ca.pem" "$@" >"$work/said"
    value peak "$work/said" >>"$work/$name.peak"
    value threads "$work/said" >>"$work/$name.threads"
  done
}
run bare
run enhanced
mkdir -m 700 "$work/records"
run full "$work/records" arn:aws:iam::123456789012:role/device
peak() { median <"$work/$1.peak"; }
threads() { sort -n "$work/$1.threads" | tail -n1; }

"$CARGO_TARGET_DIR/debug/counts" "$url" "$work/ca.pem" "$told" $idle >"$work/counts"
count() { value "$1" "$work/counts" | cut -d' ' -f"${2:-1}"; }

# The crates of a program that names this one alone.
crates() {
  cargo tree --locked -e normal --prefix none "$@" | sed 's/ (\*)$//' | sort -u |
    grep -vc '^cognito-identity-credentials '
}

printf 'x86_64, %s; ratio: to bare where there is one, else to the budget\n\n' "$(rustc --version)"
row what measured budget ratio
row "binary, bare: ureq, rustls and serde_json (bytes)" "$(size bare)" - -
check "binary, enhanced flow: at most 1.10 of bare" "$(size enhanced)" 110 100 "$(size bare)"
check "binary, all of it: at most 1.25 of bare" "$(size full)" 125 100 "$(size bare)"
row "peak memory, bare (KiB, median of $runs)" "$(peak bare)" - -
check "peak memory, enhanced flow: at most 1.10 of bare" "$(peak enhanced)" 110 100 "$(peak bare)"
row "peak memory, classic flow with FileStorage" "$(peak full)" - \
  "$(awk -v a="$(peak full)" -v b="$(peak bare)" 'BEGIN { printf "%.3f", a / b }')"
at_most "threads left after a fetch, enhanced flow" "$(threads enhanced)" 0
at_most "threads left after a fetch, classic flow" "$(threads full)" 0
at_most "crates, default features" "$(crates ${FEATURES:+--features "$FEATURES"})" 45
at_most "crates, without ureq" "$(crates --no-default-features)" 20
at_most "heap of an idle provider besides its credentials (bytes)" "$(count heap)" 2048
row "the texts of its credentials (bytes)" "$(count texts)" - -
at_most "writes in 1,000 refreshes of one guest" "$(count writes_guest)" 1
at_most "writes in 1,000 refreshes with a login" "$(count writes_login)" 1
at_most "first fetch: connections" "$(count first 1)" 1
at_most "first fetch: full handshakes" "$(count first 2)" 1
at_most "refresh within the idle time: connections" "$(count soon 1)" 0
at_most "refresh within the idle time: full handshakes" "$(count soon 2)" 0
at_most "refresh later: connections" "$(count later 1)" 1
# Only the connector of this feature keeps sessions to resume.
if [[ ,${FEATURES:-}, == *,device,* ]]; then
  at_most "refresh later: full handshakes" "$(count later 2)" 0
else
  row "refresh later: full handshakes" "$(count later 2)" - -
fi
row "refresh later: resumed handshakes" "$(count later 3)" - -

if [ -e "$tools/rust-1.85/done" ]; then
  (
    cross_environment "$tools/rust-1.85"
    CARGO_TARGET_DIR=$CARGO_TARGET_DIR/rust-1.85 \
      build --release --bin bare --bin enhanced --bin full --target armv7-unknown-linux-gnueabihf
  )
  programs=$CARGO_TARGET_DIR/rust-1.85/armv7-unknown-linux-gnueabihf/release
  row "armv7 binary, bare (bytes, Rust 1.85)" "$(size bare)" - -
  at_most "armv7 binary, enhanced flow" "$(size enhanced)" 1300000
  row "armv7 binary, all of it" "$(size full)" - \
    "$(awk -v a="$(size full)" -v b="$(size bare)" 'BEGIN { printf "%.3f", a / b }')"
else
  echo "the armv7 binary is not measured: .ci/cross has not set up its tools"
fi

if ((failed)); then
  echo "a budget is not met" >&2
  exit 1
fi
