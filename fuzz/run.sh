#!/usr/bin/env bash
# Builds all fuzz targets and runs each for SECONDS. Default: ten minutes or five million runs,
# whichever comes first. As many targets run at a time as there are cores. Prints one line for each
# target, and fails at the end if there is a finding.
#
#   fuzz/run.sh [SECONDS]
#
# It needs cargo-fuzz, a C++ compiler and nightly Rust. Without nightly, it sets RUSTC_BOOTSTRAP=1
# for the installed Rust. Corpora and findings are in $FUZZ_WORK. Default: a temporary folder, which
# is only kept if there is a finding. The library has no unsafe code, so no sanitizer runs;
# FUZZ_SANITIZER=address runs one. FUZZ_TARGETS selects targets.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-600}
limit=(-max_total_time="$seconds")
[ $# -gt 0 ] || limit+=(-runs=5000000)
sanitizer=${FUZZ_SANITIZER:-none}
export CARGO_TERM_COLOR=never

work=${FUZZ_WORK:-$(mktemp -d)}
mkdir -p "$work"
finish() { [ -n "${FUZZ_WORK:-}" ] || [ -n "$(find "$work/artifacts" -type f 2>/dev/null)" ] || rm -rf "$work"; }
trap finish EXIT
target=${CARGO_TARGET_DIR:-$work/target}/fuzz

if cargo +nightly --version >/dev/null 2>&1; then
  export RUSTUP_TOOLCHAIN=nightly
else
  export RUSTC_BOOTSTRAP=1
fi
cargo fuzz build --fuzz-dir . --target-dir "$target" --sanitizer "$sanitizer"
host=$(rustc -vV | sed -n 's/^host: //p')
targets=${FUZZ_TARGETS:-$(cargo fuzz list --fuzz-dir . | tr '\n' ' ')}
read -ra names <<<"$targets"
((${#names[@]} > 0)) || { echo "there are no fuzz targets" >&2; exit 1; }
# `fuzz NAME`
fuzz() {
  local name=$1 log=$work/$1.log dictionary=dictionaries/$1.dict status=0 runs took
  mkdir -p "$work/corpus/$name" "$work/artifacts/$name"
  "$target/$host/release/$name" "${limit[@]}" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -print_final_stats=1 \
    $([ ! -f "$dictionary" ] || echo "-dict=$dictionary") -artifact_prefix="$work/artifacts/$name/" \
    "$work/corpus/$name" "seeds/$name" >"$log" 2>&1 || status=$?
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  took=$(sed -n 's/^Done [0-9]* runs in \([0-9]*\) second.*/\1/p' "$log")
  if [ "$status" = 0 ]; then
    echo "$name: $runs runs in ${took:-?} s, no finding"
  else
    echo "$name: a finding after ${runs:-?} runs, see $work/artifacts/$name"
    tail -n 40 "$log" >&2
    return 1
  fi
}
failed= running=0
for name in "${names[@]}"; do
  if ((running == $(nproc))); then
    wait -n || failed=1
    running=$((running - 1))
  fi
  fuzz "$name" &
  running=$((running + 1))
done
for ((; running > 0; running--)); do wait -n || failed=1; done
[ -z "$failed" ]
