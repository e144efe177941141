#!/usr/bin/env bash
# Finds a container engine and docker compose for tests/docker/test.sh, or brings up one of its own: podman from Debian's
# packages (group docker), for machines that have neither Docker nor systemd nor a registry of images. Needs root there.
#
#   . docker/engine.sh
#   engine_find || ...           what is there already
#   engine_up; trap engine_down EXIT
# Either sets engine (docker or podman) and compose (an array, the command). docker/engine.sh clean, as a command, drops
# what the own engine keeps between runs: its images, which make the next run quick.

engine_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
engine_state=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/corod/engine
engine_base=docker.io/library/debian:bookworm-slim
engine=
compose=()

engine_say() { echo "engine: $*" >&2; }

# Sets engine and compose to a pair that answers. Fails if there is none.
engine_find() {
  if docker info >/dev/null 2>&1; then
    engine=docker
  elif [ -S "${DOCKER_HOST:+${DOCKER_HOST#unix://}}" ] && podman info >/dev/null 2>&1; then
    engine=podman   # with its Docker socket, through which compose speaks to it
  else
    return 1
  fi
  if docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
  elif docker-compose version >/dev/null 2>&1; then
    compose=(docker-compose)
  else
    engine_say "$engine works, but neither 'docker compose' nor 'docker-compose' does; install one"
    return 1
  fi
}

# Tells podman to keep everything in engine_state and to ask no registry, and its clients where its socket is.
engine_configure() {
  local files processes
  files=$(ulimit -Hn)
  processes=$(ulimit -Hu)
  [ "$files" != unlimited ] || files=1048576
  local most; most=$(cat /proc/sys/kernel/pid_max)
  if [ "$processes" = unlimited ] || [ "$processes" -gt "$most" ]; then processes=$most; fi

  cat >"$engine_state/storage.conf" <<CONF
[storage]
driver = "overlay"
graphroot = "$engine_state/storage"
runroot = "$engine_state/run"
CONF
  cat >"$engine_state/containers.conf" <<CONF
[containers]
# No more than this machine lets root have.
default_ulimits = ["nofile=$files:$files", "nproc=$processes:$processes"]
log_driver = "k8s-file"
[network]
network_backend = "netavark"
network_config_dir = "$engine_state/networks"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
CONF
  cat >"$engine_state/registries.conf" <<CONF
unqualified-search-registries = ["docker.io"]
[[registry]]
prefix = "docker.io"
location = "docker.io"
blocked = true
CONF
  export CONTAINERS_STORAGE_CONF=$engine_state/storage.conf
  export CONTAINERS_CONF=$engine_state/containers.conf
  export CONTAINERS_REGISTRIES_CONF=$engine_state/registries.conf
  export DOCKER_HOST=unix://$engine_state/podman.sock
  export BUILDAH_FORMAT=docker            # OCI images have no HEALTHCHECK
  export COMPOSE_DOCKER_CLI_BUILD=0 DISABLE_HC_SYSTEMD=true
}

# The image that docker/Dockerfile starts from, made of the packages that this machine's own apt sources give.
engine_make_base() {
  podman image exists "$engine_base" && return 0
  local sources=/etc/apt/sources.list.d/debian.sources
  [ -s "$sources" ] || sources=/etc/apt/sources.list
  [ -s "$sources" ] || { engine_say "found no apt sources to make the base image from"; return 1; }
  engine_say "making $engine_base"
  mmdebstrap --mode=root --variant=minbase --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --customize-hook='rm -f "$1/etc/resolv.conf" "$1/etc/hostname"' \
    bookworm "$engine_state/base.tar" "$sources" >"$engine_state/base.log" 2>&1 ||
    { tail -n 20 "$engine_state/base.log" >&2; engine_say "could not make $engine_base (above)"; return 1; }
  podman import -q -c 'CMD ["bash"]' "$engine_state/base.tar" "$engine_base" >/dev/null || return 1
  rm -f "$engine_state/base.tar"
}

# In place of systemd's timers: every second, whatever the interval says, the health check of every container that has one.
engine_check_health() {
  while true; do
    podman ps --filter status=running --format '{{.ID}} {{.Status}}' |
      awk '/\((starting|healthy|unhealthy)\)/ { print $1 }' | xargs -r -P 4 -n 1 timeout 5 podman healthcheck run
    sleep 1
  done
}

# Starts a process of the engine's in a group of its own: NAME COMMAND...
engine_start() {
  local name=$1
  shift
  setsid "$@" >"$engine_state/$name.log" 2>&1 </dev/null 9>&- &
  echo $! >"$engine_state/$name.pid"
}

# Ends what engine_start started, here or in a run that was killed.
engine_stop() {
  local file=$engine_state/$1.pid
  [ -f "$file" ] || return 0
  local group; group=$(cat "$file")
  # A number that the system has given away since belongs to someone else.
  if grep -qs "$engine_state" "/proc/$group/environ"; then kill -- "-$group"; fi
  rm -f "$file"
}

# Brings the engine up; one run at a time uses it. About a minute the first time, seconds later.
engine_up() {
  [ "$(id -u)" -eq 0 ] || { engine_say "an engine of its own needs root; or start Docker"; return 1; }
  "$engine_top/.ci/setup" docker || return 1
  mkdir -p "$engine_state"
  exec 9>"$engine_state/lock"
  flock -w 600 9 || { engine_say "another run has held $engine_state/lock for ten minutes"; return 1; }
  engine_configure || return 1
  engine_sweep || return 1
  podman image prune -f --filter until=72h >/dev/null || return 1   # what earlier builds left
  engine_make_base || return 1
  engine_start service podman system service -t 0 "$DOCKER_HOST"
  engine_start health bash -c '. "$1"; engine_check_health' health "$engine_top/docker/engine.sh"
  local deadline=$((SECONDS + 30))
  until podman --remote --url "$DOCKER_HOST" version >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || { cat "$engine_state/service.log" >&2; engine_say "podman's service does not answer (above)"; return 1; }
  done
  engine=podman
  compose=(docker-compose)
}

# Removes containers, networks and volumes, also those that a killed run left. Images stay.
engine_sweep() {
  engine_stop health
  podman rm -fa -t 2 >/dev/null && podman network prune -f >/dev/null && podman volume prune -f >/dev/null
  local status=$?
  engine_stop service
  # An exec through the socket leaves its monitor for five minutes.
  local monitor
  for monitor in $(ps -C conmon -o pid=,args= | awk -v folder="$engine_state/storage/" 'index($0, folder) { print $1 }'); do kill "$monitor"; done
  rm -f "$engine_state/podman.sock"
  return "$status"
}

engine_down() {
  engine_sweep
  local status=$?
  flock -u 9
  return "$status"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  set -euo pipefail
  [ "${1:-}" = clean ] || { echo "usage: docker/engine.sh clean" >&2; exit 2; }
  [ -d "$engine_state" ] || exit 0
  engine_configure
  engine_sweep
  podman system reset -f
  if mountpoint -q "$engine_state/storage/overlay"; then umount "$engine_state/storage/overlay"; fi
  rm -rf "$engine_state"
fi
