#!/usr/bin/env bash
# Builds the image and uses docker/compose.yaml as a user would: start, wait until healthy, drive a session from a second
# container, stop. ENGINE=own brings an engine up for it (docker/engine.sh); CI=true does where none is running.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. docker/engine.sh

say() { echo "test-docker: $*"; }
fail() { say "FAILED: $*"; exit 1; }

own=
case ${ENGINE:-} in
  own) own=yes ;;
  "") engine_find || own=${CI:+yes} ;;
  *) fail "ENGINE=$ENGINE; it may be 'own', or empty for the engine that is running" ;;
esac
if [ -z "$own" ] && [ -z "$engine" ]; then
  say "no container engine: test-docker not run (start Docker, or as root: make test-docker ENGINE=own)"
  exit 0
fi

project=corod-test-$$
export COROD_PORT

cleanup() {
  local status=$?
  trap - EXIT INT TERM
  if [ -n "$engine" ]; then
    [ "$status" -eq 0 ] || in_project logs --tail 50 corod || say "there are no logs to show"
    in_project down -v -t 5 || { say "could not take $project down"; status=1; }
  fi
  if [ -n "$own" ]; then engine_down || { say "could not end the engine"; status=1; }; fi
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

in_project() { "${compose[@]}" -p "$project" -f docker/compose.yaml "$@"; }
# The command line in a container of its own, which starts once the server is healthy.
coroctl() { timeout 120 "${compose[@]}" -p "$project" -f docker/compose.yaml run --rm -T coroctl "$@" </dev/null; }
# A command in the server's container.
inside() { "$engine" exec "$container" "$@"; }
# A fact about the server's container.
fact() { "$engine" inspect -f "$1" "$container"; }

expect() {
  local what=$1 want=$2 got=$3
  [[ $got == $want ]] || fail "$what: expected '$want', got '$got'"
  say "ok: $what"
}

started=$SECONDS
if [ -n "$own" ]; then engine_up || fail "no engine could be brought up (above)"; fi
say "engine: $engine ($((SECONDS - started)) s)"

COROD_PORT=0
for port in {17117..17217}; do
  if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then COROD_PORT=$port; break; fi
done
[ "$COROD_PORT" -ne 0 ] || fail "no port from 17117 to 17217 is free"

started=$SECONDS
timeout 1500 "$engine" build -q -t corod --build-arg JOBS="${JOBS:-2}" -f docker/Dockerfile . >/dev/null || fail "the image does not build (above)"
say "ok: image built ($((SECONDS - started)) s)"

timeout 120 "${compose[@]}" -p "$project" -f docker/compose.yaml up -d --no-build corod || fail "compose could not start the server (above)"
container=$(in_project ps -q corod)

listed=$(coroctl catalog) || fail "coroctl catalog from a second container: $listed"
expect "the client waited for a healthy server" healthy "$(fact '{{.State.Health.Status}}')"
expect "a second container reads the catalog" '*averager*' "$listed"

created=$(coroctl create averager --prime) || fail "coroctl create: $created"
session=${created%%[[:space:]]*}
sent=$(coroctl send "$session" 10) || fail "coroctl send: $sent"
expect "the average of 10 is 10" '10.0' "$sent"
sent=$(coroctl send "$session" 20) || fail "coroctl send: $sent"
expect "of 10 and 20, from another container, 15" '15.0' "$sent"
closed=$(coroctl close "$session") || fail "coroctl close: $closed"
say "ok: the session is closed"

(exec 3<>"/dev/tcp/127.0.0.1/$COROD_PORT") || fail "127.0.0.1:$COROD_PORT is published but refuses connections"
say "ok: published on 127.0.0.1:$COROD_PORT"

expect "the server is not root" 10001 "$(inside id -u)"
expect "the data folder is the server's" corod "$(inside stat -c %U /var/lib/corod)"
if inside touch /usr/local/written 2>/dev/null; then fail "the root file system can be written to"; fi
say "ok: the root file system is read-only"

"$engine" stop -t 20 "$container" >/dev/null
expect "SIGTERM ends the server with 0" 0 "$(fact '{{.State.ExitCode}}')"
say "ok"
