#!/usr/bin/env bash
# Builds the image and uses it and docker/compose.yaml as a user would (docker_test.py), with the container engine that is
# running. ENGINE=own brings one up for it (docker/engine.sh); CI=true does where none is running. IMAGE=NAME:TAG tests an image
# that is there and builds none.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
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

cleanup() {
  local status=$?
  trap - EXIT INT TERM
  if [ -n "$own" ]; then engine_down || { say "could not end the engine"; status=1; }; fi
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

started=$SECONDS
if [ -n "$own" ]; then engine_up || fail "no engine could be brought up (above)"; fi
say "engine: $engine ($((SECONDS - started)) s)"

image=${IMAGE:-corod:test}
if [ -z "${IMAGE:-}" ]; then
  started=$SECONDS
  timeout 1500 "$engine" build -q -t "$image" --build-arg JOBS="${JOBS:-2}" -f docker/Dockerfile . >/dev/null || fail "the image does not build (above)"
  say "ok: image built ($((SECONDS - started)) s)"
fi
"$engine" image inspect "$engine_base" >/dev/null 2>&1 || "$engine" pull -q "$engine_base" >/dev/null || fail "there is no $engine_base to measure the image against"

started=$SECONDS
ENGINE_COMMAND=$engine COMPOSE_COMMAND=${compose[*]} IMAGE=$image BASE_IMAGE=$engine_base \
  timeout 900 /usr/bin/python3 -B -W error tests/docker/docker_test.py || fail "docker_test.py (above)"
say "ok ($((SECONDS - started)) s)"
