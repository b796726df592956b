#!/usr/bin/env bash
# The same job with this library and with others: from the start of a process to a guest's first
# credentials (GetId, GetCredentialsForIdentity) over TLS on loopback, and one more get while they
# are fresh. Builds the programs of `peers/`, runs them by turns against one fake service, sees that
# each got the keys that the service had just issued, and prints one table: medians, and in brackets
# ratios to ours of the same profile, as the median of the ratios within each round.
#
# RUNS=15         rounds, in each of which every program runs once, in a shuffled order (SEED=1);
#                 the compiled programs, which are quick, go on for ten times as many fetches
# SCRIPTS=0       leaves Node and Python out; they are left out too where they are not there
# PEERS="ours"    these Rust programs alone, of: ours device bare aws-ring aws-lc reqsign-ring
#                 reqsign-lc
# PROFILES=fast   builds for speed alone (fast) or for size alone (release); both by default
#
# The cached get is timed in the builds for speed. Scripts are compared with ours built for speed.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/cross-tools

runs=${RUNS:-15}
peers=${PEERS:-ours device bare aws-ring aws-lc reqsign-ring reqsign-lc}
profiles=${PROFILES:-release fast}
target=${CARGO_TARGET_DIR:-$PWD/target}
manifest=benches/peers/Cargo.toml

work=$(mktemp -d)
service=
finish() {
  [ -z "$service" ] || kill "$service" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

say() { echo "$*" >&2; }
CARGO_TARGET_DIR=$target/footprint cargo build --quiet --locked --release \
  --manifest-path benches/footprint/Cargo.toml --features rig --bin serve
# `build FEATURE BIN PROFILE`
build() {
  CARGO_TARGET_DIR=$target/peers cargo build --quiet --locked --manifest-path $manifest \
    --features "$1" --bin "$2" --profile "$3"
}
build rig race dev

# The crates of a program with one feature. This library's must hold none of the others'.
crates() {
  cargo tree --locked --manifest-path $manifest -e normal --prefix none --features "$1" |
    sed 's/ (.*//' | sort -u | grep -v '^peers '
}
# `entry NAME BASE SIZE CRATES ROUNDS THREADS COMMAND…` adds a line to the list of `race`.
entry() { (IFS=$'\t' && echo "$*" >>"$work/list"); }

for profile in $profiles; do
  for_what=${profile/release/size} for_what=${for_what/fast/speed}
  # Those for size hold the job alone.
  cached=,cached
  [ "$profile" = fast ] || cached=
  for peer in $peers; do
    case $peer in
      ours | device | bare) bin=${peer/device/ours} ;;
      *) bin=${peer%-*} ;;
    esac
    say "building $peer, profile $profile"
    build "$peer$cached" "$bin" "$profile"
    cp "$target/peers/$profile/$bin" "$work/$peer-$profile" # the next one may have the same name
    crates "$peer" >"$work/crates"
    case $peer in
      ours | device)
        if grep -E '^(aws-|reqsign|reqwest|tokio)' "$work/crates" >&2; then
          say "these are not crates of the library"
          exit 1
        fi
        ;;
    esac
    threads=1,2
    [ "$peer" != bare ] && [ "$profile" = fast ] || threads=-
    entry "$peer, $for_what" "ours, $for_what" "$(stat -c %s "$work/$peer-$profile")" \
      "$(wc -l <"$work/crates")" $((runs * 10)) $threads "$work/$peer-$profile"
  done
done

# `script PEER THREADS FOLDER PACKAGES COMMAND…`: the packages of a script are its size, without the
# language itself.
script() {
  local peer=$1 threads=$2 folder=$3 packages=$4
  shift 4
  entry "$peer" "ours, speed" $(($(du -sk "$folder" | cut -f1) * 1024)) "$packages" \
    "$runs" "$threads" "$@"
}

also=
start_service "$target/footprint/release/serve" "$work/ca.pem" "$work/ports" 30 127.0.0.1:443

if [ "${SCRIPTS:-1}" = 1 ]; then
  if command -v node >/dev/null && command -v npm >/dev/null; then
    for peer in js_v2 js_v3; do
      cp -r benches/peers/scripts/$peer benches/peers/scripts/report.js "$work/"
      mv "$work/report.js" "$work/$peer/"
      if (cd "$work/$peer" && npm ci --silent --no-audit --no-fund --ignore-scripts >&2); then
        script "$peer" 1 "$work/$peer/node_modules" \
          "$(grep -c '"node_modules/' "$work/$peer/package-lock.json")" \
          "$(command -v node)" "$work/$peer/peer.js"
      else
        say "$peer is left out: npm could not install it"
      fi
    done
  else
    say "the AWS SDKs for JavaScript are left out: there is no Node"
  fi
  # Through whatever wrapper to the interpreter itself.
  python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null) || python=
  for peer in boto3 awscrt; do
    if [ -z "$python" ]; then
      say "$peer is left out: there is no Python"
    elif [ $peer = awscrt ] && [ -z "$also" ]; then
      say "awscrt is left out: it takes no port, and 443 cannot be had"
    elif "$python" -m pip install --quiet --disable-pip-version-check --no-deps \
      --root-user-action ignore --target "$work/$peer" \
      --requirement benches/peers/scripts/$peer/requirements.txt >&2; then
      packages=$(find "$work/$peer" -maxdepth 1 -name '*.dist-info' | wc -l)
      cp benches/peers/scripts/report.py benches/peers/scripts/$peer/peer.py "$work/$peer/"
      threads=1,2
      [ $peer != awscrt ] || threads=- # what keeps credentials there is not offered to Python
      script "$peer" $threads "$work/$peer" "$packages" "$python" "$work/$peer/peer.py"
    else
      say "$peer is left out: pip could not install it"
    fi
  done
fi

say "running"
begun=$SECONDS
"$target/peers/debug/race" "$work/list" "https://localhost:$port" "$work/ca.pem" \
  "$told" "$runs" "${SEED:-1}"
versions=$(cargo tree --locked --manifest-path $manifest -e normal --prefix none --depth 1 \
  --features aws-lc,aws-ring,bare,ours,reqsign-lc,reqsign-ring |
  grep -E '^(aws-sdk-cognitoidentity|aws-smithy-runtime|reqsign-aws-core|reqwest|rustls|ureq) ' |
  sed 's/ (\*)//' | sort -u | paste -sd, | sed 's/,/, /g')
node=$(node --version 2>/dev/null) || node=none
printf '\n%s, %s; %s; node %s, %s; %s rounds, %s s\n' "$(uname -m)" "$(rustc --version)" \
  "$versions" "$node" "$(python3 --version 2>/dev/null || echo no Python)" "$runs" \
  $((SECONDS - begun))
