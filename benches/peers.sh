#!/usr/bin/env bash
# The same job with this library and with others: from the start of a process to a guest's first
# credentials (GetId, GetCredentialsForIdentity) over TLS on loopback, and one more get while they
# are fresh. Builds the programs of `peers/`, runs them by turns against one fake service, checks that
# each got the keys that the service had just issued, and prints a table: medians, and in brackets
# ratios to ours of the same profile, as the median of the ratios within each round.
#
# A second table shows round trips, which a relay counts: of a first fetch, of a fetch with a stored
# identity, of a refresh, and of a refresh after the service has closed the connection, with its bytes.
#
# RUNS=15         rounds, in each of which every program runs once, in a shuffled order (SEED=1);
#                 the compiled programs, which are quick, go on for ten times as many fetches
# SCRIPTS=0       leaves Node and Python out; they are left out too if they are not installed
# PEERS="ours"    only these Rust programs, of: ours bare aws-ring aws-lc reqsign-ring reqsign-lc
# PROFILES=fast   builds only for speed (fast) or only for size (release); both by default; or builds
#                 quickly (dev), to count round trips
#
# The builds for size do only the job. In the others the cached get is timed (not in dev) and round
# trips are counted. Scripts are compared with ours built for speed; one that cannot be installed, or
# fails when it is tried before the race, is left out. The service also listens at 127.0.0.1:443 if
# it can, for awscrt, which takes no port.
#
# Ends with status 1 if a program fails or takes too long, or if a target is missed that does not
# depend on time: peak memory, round trips, and a size that can be reached.
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

# The crates of a program with one feature. This library's must hold none of the others'.
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
    cp "$target/peers/${profile/dev/debug}/$bin" "$work/$peer-$profile" # the next one may have the same name
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

# `try PEER THREADS COMMAND…` runs a script once as `race` will, and says why it is left out.
try() {
  local peer=$1 threads=$2 status=0 why
  shift 2
  [ "$threads" = - ] && threads=
  timeout -k 5 30 env -i NODE_EXTRA_CA_CERTS="$work/ca.pem" NODE_NO_WARNINGS=1 \
    AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE=1 "$@" "https://localhost:$port" \
    "$work/ca.pem" ${threads:+"${threads%%,*}"} \
    >"$work/said" 2>"$work/complaints" </dev/null || status=$?
  if [ $status = 0 ] && grep -q '^key ASIA' "$work/said"; then
    return
  fi
  # The name of the error; after it Node tells the stack and its own version.
  why=$(grep -E '^[A-Za-z_.]*(Error|Exception)' "$work/complaints" | tail -n 1)
  [ -n "$why" ] || why=$(grep . "$work/complaints" | tail -n 1)
  case $status in
    0) why="it told no key" ;;
    124 | 137) why="it took longer than 30 s${why:+: $why}" ;;
  esac
  say "$peer is left out: ${why:-status $status}"
  return 1
}

# `script PEER THREADS SIZE PACKAGES VERSION COMMAND…`: SIZE, in KiB, is that of its packages,
# without the language itself. Both ways to run it are tried.
script() {
  local peer=$1 threads=$2 size=$3 packages=$4 version=$5
  shift 5
  try "$peer" - "$@" || return 0
  [ "$threads" = - ] || try "$peer" "$threads" "$@" || return 0
  local steps=steps
  [ "$peer" != awscrt ] || steps=- # it takes no port, so no relay
  entry "$peer" "ours, speed" $((size * 1024)) "$packages" "$runs" "$threads" $steps "$@"
  ran+=("$version")
  case $peer in
    js_*) node=$node_version ;;
    *) python=$python_version ;;
  esac
}

also=
start_service "$serve" "$work/ca.pem" "$work/ports" 30 127.0.0.1:443

# The versions of the scripts that run, and of their languages.
ran=() node= python=

if [ "${SCRIPTS:-1}" = 1 ]; then
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    say "the AWS SDKs for JavaScript are left out: there is no Node"
  elif ! read -r node_version node_program < \
    <(timeout -k 5 30 node -p "process.version + ' ' + process.execPath"); then # itself, behind a shim
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
  # Through whatever wrapper to the interpreter itself.
  interpreter=$(timeout -k 5 30 python3 -c 'import sys; print(sys.executable)' 2>/dev/null) ||
    interpreter=
  for peer in boto3 awscrt; do
    if [ -z "$interpreter" ]; then
      say "$peer is left out: there is no Python that runs"
    elif [ $peer = awscrt ] && [ -z "$also" ]; then
      say "awscrt is left out: it takes no port, and 443 cannot be had"
    elif timeout -k 5 300 "$interpreter" -m pip install --quiet --disable-pip-version-check \
      --no-deps --root-user-action ignore --target "$work/$peer" \
      --requirement benches/peers/scripts/$peer/requirements.txt >&2; then
      python_version=$("$interpreter" --version)
      packages=$(find "$work/$peer" -maxdepth 1 -name '*.dist-info' | wc -l)
      version=$(basename "$work/$peer/$peer"-*.dist-info .dist-info)
      size=$(du -sk "$work/$peer" | cut -f1) # before our own files are there
      cp benches/peers/scripts/report.py benches/peers/scripts/$peer/peer.py "$work/$peer/"
      threads=1,2
      [ $peer != awscrt ] || threads=- # what keeps credentials there is not offered to Python
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
  "$told" "$runs" "${SEED:-1}" || status=$?
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
