#!/usr/bin/env bash
# Where a cold fetch goes: the instructions, system calls and heap of the programs of `footprint/`
# from their start to the first credentials, and the share of this library in the program's code.
# Prints one table, and leaves callgrind's profiles in the target folder, for `callgrind_annotate`.
# Needs valgrind and strace.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/footprint/service.sh
for tool in valgrind strace nm; do
  type $tool >/dev/null 2>&1 || { echo "there is no $tool" >&2; exit 1; }
done

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/profile"

build() { cargo build --quiet --manifest-path benches/footprint/Cargo.toml --locked "$@"; }
build --features rig --bin serve
# With symbols. Valgrind hides what rustix reads the clock by (rustix issue 1559).
export RUSTFLAGS="--cfg rustix_use_libc" CARGO_PROFILE_RELEASE_STRIP=false CARGO_PROFILE_RELEASE_DEBUG=1
build --release --bin bare --bin enhanced
cp "$CARGO_TARGET_DIR"/release/{bare,enhanced} "$work"
build --release --bin enhanced --features cognito-identity-credentials/device
cp "$CARGO_TARGET_DIR/release/enhanced" "$work/device"

start_service "$CARGO_TARGET_DIR/debug/serve" "$work/ca.pem" "$work/ports" 30
# `fetch PROGRAM COMMAND…` runs a program under a command, which must get its key.
fetch() {
  local program=$1
  shift
  "$@" "$work/$program" "https://localhost:$port" "$work/ca.pem" >"$work/out" 2>"$work/log" &&
    grep -q '^key ' "$work/out" || { cat "$work/log" >&2; exit 1; }
}

echo "| program | instructions | system calls | heap allocations | bytes allocated | of the code, this library's |"
echo "|---|---|---|---|---|---|"
for program in bare enhanced device; do
  fetch $program valgrind --tool=callgrind --callgrind-out-file="$CARGO_TARGET_DIR/callgrind.$program"
  instructions=$(awk '/Collected/ { print $NF }' "$work/log")
  fetch $program strace -f -c -o "$work/calls"
  calls=$(awk '$1 ~ /^[0-9.]+$/ && $NF != "total" { calls += $4 } END { print calls }' "$work/calls")
  fetch $program valgrind
  heap=$(awk '/total heap usage/ { print $5 " | " $9 }' "$work/log")
  ours=$(nm -S -C "$work/$program" | awk 'NF > 3 && $3 ~ /[tTrRdD]/ {
    size = 0
    for (at = 1; at <= length($2); at++) size = size * 16 + index("0123456789abcdef", substr($2, at, 1)) - 1
    all += size
    if ($0 ~ /cognito_identity_credentials/) ours += size
  } END { printf "%d of %d KB", ours / 1000, all / 1000 }')
  echo "| $program | $instructions | $calls | $heap | $ours |"
done
