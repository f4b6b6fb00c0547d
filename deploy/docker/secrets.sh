#!/usr/bin/env bash
# Makes the secrets of compose.yaml, once. What is there stays: put AfterShip's own webhook secret into
# secrets/webhook_secrets. Usage: deploy/docker/secrets.sh [DIR]
set -euo pipefail
dir=${1:-$(dirname "$0")/secrets}
umask 077
mkdir -p "$dir"
# Only you can enter the folder. The files themselves are mounted into containers, whose users are others.
chmod 700 "$dir"
random() {
  od -An -N 24 -tx1 /dev/urandom | tr -d ' \n'
}
# Usage: keep NAME TEXT
keep() {
  if [ ! -e "$dir/$1" ]; then
    printf '%s\n' "$2" >"$dir/$1.fresh"
    chmod 444 "$dir/$1.fresh"
    mv "$dir/$1.fresh" "$dir/$1"
    echo "secrets: made $dir/$1"
  fi
}
keep webhook_secrets "$(random)"
keep ops_token "$(random)"
keep postgres_password "$(random)"
# A settings file of Waybill. Inside this network PostgreSQL offers no TLS; elsewhere: sslmode=verify-full.
keep warehouse "postgres://waybill:$(cat "$dir/postgres_password")@postgres:5432/shop?sslmode=disable"
