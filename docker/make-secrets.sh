#!/usr/bin/env bash
# Makes what docker/compose.secure.yaml mounts, for trying it out: a CA, a certificate of it for the server, and a first token.
# In earnest the certificate is of your own CA, and its key never lies beside this one's.
#   docker/make-secrets.sh [-d DIRECTORY] [HOST...]
# DIRECTORY is docker/secrets, and must not be there yet. HOST is a name or an address of this machine's that clients will
# write, beside corod, localhost, 127.0.0.1 and ::1.
#   ca/ca.crt, ca/ca.key                               the CA; nothing mounts its key
#   server/server.crt, server/server.key               mounted into the server, with
#   server/ca.crt, server/identities                   what its health check trusts, and who may call
#   client/ca.crt, client/token                        what a client needs
set -euo pipefail
umask 077

say() { echo "make-secrets: $*" >&2; }
fail() { say "$*"; exit 1; }

directory=$(dirname "${BASH_SOURCE[0]}")/secrets
while getopts d: option; do
  case $option in
    d) directory=$OPTARG ;;
    *) fail "usage: docker/make-secrets.sh [-d DIRECTORY] [HOST...]" ;;
  esac
done
shift $((OPTIND - 1))
command -v openssl >/dev/null || fail "openssl is not installed"
[ ! -e "$directory" ] || fail "$directory is there already; remove it, or name another directory with -d"

names=DNS:corod,DNS:localhost,IP:127.0.0.1,IP:::1
for host in "$@"; do
  if [[ $host =~ ^[0-9.]+$ || $host =~ ^[0-9A-Fa-f:]*:[0-9A-Fa-f:]*$ ]]; then
    names+=,IP:$host
  elif [[ $host =~ ^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$ ]]; then
    names+=,DNS:$host
  else
    fail "'$host' is neither a host's name nor an address"
  fi
done

# All is made here, and stands there at once or not at all.
made=$(mktemp -d "$directory.XXXXXX") || fail "cannot write beside $directory"
trap 'rm -rf "$made"' EXIT
mkdir "$made/ca" "$made/server" "$made/client"

# Runs openssl; prints what it said only if it fails.
ssl() { local said; said=$(openssl "$@" 2>&1) || fail "openssl $1: $said"; }
ssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days 3650 -subj "/CN=corod CA for trying out" \
  -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign \
  -keyout "$made/ca/ca.key" -out "$made/ca/ca.crt"
ssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -subj "/CN=corod" \
  -keyout "$made/server/server.key" -out "$made/request"
printf '%s\n' basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature extendedKeyUsage=serverAuth \
  "subjectAltName=$names" >"$made/extensions"
ssl x509 -req -in "$made/request" -CA "$made/ca/ca.crt" -CAkey "$made/ca/ca.key" -CAcreateserial -sha256 -days 398 \
  -extfile "$made/extensions" -out "$made/server/server.crt"
rm "$made/request" "$made/extensions" "$made"/ca/*.srl
cp "$made/ca/ca.crt" "$made/server/"
cp "$made/ca/ca.crt" "$made/client/"

# NAME NAMESPACE ROLE sha256:SALT:HASH; the token is NAME.SECRET, HASH the SHA-256 of SALT's bytes and SECRET.
secret=$(openssl rand -hex 32)
salt=$(openssl rand -hex 16)
hash=$({ printf '%b' "$(sed 's/../\\x&/g' <<<"$salt")"; printf '%s' "$secret"; } | openssl dgst -sha256 -r)
printf 'admin default admin sha256:%s:%s\n' "$salt" "${hash%% *}" >"$made/server/identities"
printf 'admin.%s\n' "$secret" >"$made/client/token"

# The containers' users are others than ours. They reach what is mounted alone; whoever else is on this machine stops at the
# directory, which is only its owner's.
chmod 755 "$made/server" "$made/client"
chmod 644 "$made"/server/* "$made"/client/*
mv -T "$made" "$directory"
trap - EXIT
say "made $directory: its token (client/token) is that of an admin of the namespace default"
