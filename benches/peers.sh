#!/usr/bin/env bash
# Compares this library with others at the same job: from the start of a process to the first
# credentials of a guest (GetId, GetCredentialsForIdentity) over TLS on loopback, and one more get
# while they are fresh.
#
# It builds the programs of `peers/` and runs them in turn against one fake service. It checks that
# each program gets the keys that the service has just issued. The first table has medians, and in
# brackets the ratio to this library with the same profile: the median of the ratios within each
# round.
#
# The second table has round trips, which a relay counts: of a first fetch, of a fetch with a stored
# identity, of a refresh, and of a refresh after the service has closed the connection. It also has
# the bytes of the last one.
#
# RUNS=15         rounds; in each, every program runs once, in a random order (SEED=1). The compiled
#                 programs are quick, so they run for ten times as many fetches
# SCRIPTS=0       omits Node and Python; they are also omitted if they are not installed
# PEERS="ours"    only these Rust programs, of: ours bare aws-ring aws-lc reqsign-ring reqsign-lc
# PROFILES=fast   only builds for speed (fast) or for size (release); default: both. `dev` builds
#                 quickly, to count round trips
#
# The builds for size contain only the job. The others also time the cached get (not with `dev`) and
# count round trips. Scripts are compared with this library built for speed. A script that cannot be
# installed, or that fails when it is tried before the race, is omitted. If possible, the service
# also listens at 127.0.0.1:443 for awscrt, which cannot set a port.
#
# The status is 1 if a program fails or takes too long. It is also 1 if a target is missed that does
# not depend on time: peak memory, round trips, and the size (if it can be reached).
set -euo pipefail
. "$(dirname "$0")/../.ci/setup"
. benches/footprint/service.sh

runs=${RUNS:-15}
peers=${PEERS:-ours bare aws-ring aws-lc reqsign-ring reqsign-lc}
profiles=${PROFILES:-release fast}
target=${CARGO_TARGET_DIR:-$PWD/target}
manifest=benches/peers/Cargo.toml

say() { echo "$*" >&2; }
service_profile=release
[ "$profiles" != dev ] || service_profile=dev
CARGO_TARGET_DIR=$target/footprint cargo build --quiet --locked --profile $service_profile \
  --manifest-path benches/footprint/Cargo.toml --features rig --bin serve
serve=$target/footprint/${service_profile/dev/debug}/serve
# `build FEATURE BIN PROFILE`
build() {
  CARGO_TARGET_DIR=$target/peers cargo build --quiet --locked --manifest-path $manifest \
    --features "$1" --bin "$2" --profile "$3"
}
build rig race dev

# The crates of a program with one feature. The program with this library must not contain the
# crates of the others.
crates() {
  cargo tree --locked --manifest-path $manifest -e normal --prefix none --features "$1" |
    sed 's/ (.*//' | sort -u | grep -v '^peers '
}
# `entry NAME BASE SIZE CRATES ROUNDS THREADS STEPS COMMAND…` adds a line to the list of `race`.
entry() { (IFS=$'\t' && echo "$*" >>"$work/list"); }

for profile in $profiles; do
  for_what=${profile/release/size} for_what=${for_what/fast/speed}
  extra=,extra steps=steps
  [ "$profile" != release ] || extra= steps=-
  for peer in $peers; do
    case $peer in
      ours | bare) bin=$peer ;;
      *) bin=${peer%-*} ;;
    esac
    say "building $peer, profile $profile"
    build "$peer$extra" "$bin" "$profile"
    # A later build may have the same name.
    cp "$target/peers/${profile/dev/debug}/$bin" "$work/$peer-$profile"
    crates "$peer" >"$work/crates"
    if [ "$peer" = ours ] && grep -E '^(aws-|reqsign|reqwest|tokio)' "$work/crates" >&2; then
      say "these are not crates of the library"
      exit 1
    fi
    threads=1,2
    [ "$peer" != bare ] && [ "$profile" = fast ] || threads=-
    entry "$peer, $for_what" "ours, $for_what" "$(stat -c %s "$work/$peer-$profile")" \
      "$(wc -l <"$work/crates")" $((runs * 10)) $threads $steps "$work/$peer-$profile"
  done
done

# `try PEER THREADS COMMAND…` runs a script once as `race` does. If it fails, prints the reason.
try() {
  local peer=$1 threads=$2 status=0 why
  shift 2
  [ "$threads" = - ] && threads=
  timeout -k 5 30 env -i NODE_EXTRA_CA_CERTS="$work/ca.pem" NODE_NO_WARNINGS=1 \
    AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE=1 "$@" "https://localhost:$port" \
    "$work/ca.pem" ${threads:+"${threads%%,*}"} \
    >"$work/output" 2>"$work/stderr" </dev/null || status=$?
  if [ $status = 0 ] && grep -q '^key ASIA' "$work/output"; then
    return
  fi
  # The name of the error. Node prints the stack and its version after it.
  why=$(grep -E '^[A-Za-z_.]*(Error|Exception)' "$work/stderr" | tail -n 1)
  [ -n "$why" ] || why=$(grep . "$work/stderr" | tail -n 1)
  case $status in
    0) why="it printed no key" ;;
    124 | 137) why="it took longer than 30 s${why:+: $why}" ;;
  esac
  say "$peer is left out: ${why:-status $status}"
  return 1
}

# `script PEER THREADS SIZE PACKAGES VERSION COMMAND…` tries a script in both ways and adds it to
# the list. SIZE is the size of its packages in KiB, without the language itself.
script() {
  local peer=$1 threads=$2 size=$3 packages=$4 version=$5
  shift 5
  try "$peer" - "$@" || return 0
  [ "$threads" = - ] || try "$peer" "$threads" "$@" || return 0
  local steps=steps
  [ "$peer" != awscrt ] || steps=- # it cannot set a port, so not a relay either
  entry "$peer" "ours, speed" $((size * 1024)) "$packages" "$runs" "$threads" $steps "$@"
  ran+=("$version")
  case $peer in
    js_*) node=$node_version ;;
    *) python=$python_version ;;
  esac
}

other_port=
start_service "$serve" "$work/ca.pem" "$work/ports" 30 127.0.0.1:443

# The versions of the scripts that run, and of their languages.
ran=() node= python=

if [ "${SCRIPTS:-1}" = 1 ]; then
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    say "the AWS SDKs for JavaScript are left out: there is no Node"
  elif ! read -r node_version node_program < \
    <(timeout -k 5 30 node -p "process.version + ' ' + process.execPath"); then # behind a shim
    say "the AWS SDKs for JavaScript are left out: Node does not run"
  else
    for peer in js_v2 js_v3; do
      cp -r benches/peers/scripts/$peer benches/peers/scripts/report.js "$work/"
      mv "$work/report.js" "$work/$peer/"
      if (cd "$work/$peer" && timeout -k 5 300 npm ci --no-audit --no-fund --ignore-scripts) \
        >"$work/npm" 2>&1; then
        package=@aws-sdk/credential-providers
        [ $peer = js_v3 ] || package=aws-sdk
        modules=$work/$peer/node_modules
        version=$(grep -m1 '"version":' "$modules/$package/package.json" | cut -d'"' -f4)
        script "$peer" 1 "$(du -sk "$modules" | cut -f1)" \
          "$(grep -c '"node_modules/' "$work/$peer/package-lock.json")" "$package v$version" \
          "$node_program" "$work/$peer/peer.js"
      else
        tail -n 20 "$work/npm" >&2
        say "$peer is left out: npm could not install it"
      fi
    done
  fi
  # The interpreter behind a wrapper.
  interpreter=$(timeout -k 5 30 python3 -c 'import sys; print(sys.executable)' 2>/dev/null) ||
    interpreter=
  for peer in boto3 awscrt; do
    if [ -z "$interpreter" ]; then
      say "$peer is left out: there is no Python that runs"
    elif [ $peer = awscrt ] && [ -z "$other_port" ]; then
      say "awscrt is left out: it cannot set a port, and port 443 is not free"
    elif timeout -k 5 300 "$interpreter" -m pip install --quiet --disable-pip-version-check \
      --no-deps --root-user-action ignore --target "$work/$peer" \
      --requirement benches/peers/scripts/$peer/requirements.txt >&2; then
      python_version=$("$interpreter" --version)
      packages=$(find "$work/$peer" -maxdepth 1 -name '*.dist-info' | wc -l)
      version=$(basename "$work/$peer/$peer"-*.dist-info .dist-info)
      size=$(du -sk "$work/$peer" | cut -f1) # without our own files
      cp benches/peers/scripts/report.py benches/peers/scripts/$peer/peer.py "$work/$peer/"
      threads=1,2
      [ $peer != awscrt ] || threads=- # its cache has no Python API
      script "$peer" $threads "$size" "$packages" "$peer v${version#*-}" \
        "$interpreter" "$work/$peer/peer.py"
    else
      say "$peer is left out: pip could not install it"
    fi
  done
fi

say "running"
begun=$SECONDS status=0
"$target/peers/debug/race" "$work/list" "https://localhost:$port" "$work/ca.pem" \
  "$counts_port" "$runs" "${SEED:-1}" || status=$?
[ $status = 0 ] || [ $status = 2 ] || exit 1
versions=$(cargo tree --locked --manifest-path $manifest -e normal --prefix none --depth 2 \
  --features "$peers" |
  grep -E '^(aws-sdk-cognitoidentity|aws-smithy-runtime|reqsign-aws-core|reqwest|rustls|ureq) ' |
  sed 's/ (\*)//' | sort -u)
[ ${#ran[@]} = 0 ] || versions+=$'\n'$(printf '%s\n' "${ran[@]}")
versions=$(paste -sd, <<<"$versions" | sed 's/,/, /g')
printf '\n%s, %s; %s%s%s; %s rounds, %s s\n' "$(uname -m)" "$(rustc --version)" "$versions" \
  "${node:+; node $node}" "${python:+; $python}" "$runs" $((SECONDS - begun))
if [ $status = 2 ]; then
  say "a target is missed that does not depend on time"
  exit 1
fi
