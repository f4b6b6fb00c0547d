#!/usr/bin/env bash
# Proves the release that scripts/dist.sh made: checks sums, unpacks it into an empty folder, and runs it there without
# any environment until a signed webhook is a row in the warehouse; again after the folder was moved, and as a user who
# may write nothing but its data. Reads the systemd unit, and holds what the program asks of the system against it.
# Usage: scripts/test-dist.sh
#   DIST          where the archives are (dist)
#   WAYBILL_BIN, WAYBILL_SBOM   what they were made from, as in scripts/dist.sh: packed again, the bytes must be the same
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
. scripts/need-package.sh
[ "$(uname -s)" = Linux ] || { echo "test-dist: releases are made on Linux" >&2; exit 1; }
for tool in curl openssl strace strings:binutils setpriv:util-linux systemd-analyze:systemd; do
  command -v "${tool%%:*}" >/dev/null || need_package "${tool##*:}" "${tool%%:*} is missing"
done

dist=$(realpath "${DIST:-dist}")
version=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
target=$(rustc -vV | sed -n 's/^host: //p')
name=waybill-$version-$target
secret="dist-test-secret-0123456789abcdef"

work=$(mktemp -d)
chmod 755 "$work"
server='' data=''
cleanup() {
  if [ -n "$server" ]; then
    # The program itself, too, where strace runs it. No id: nothing is left to kill.
    # shellcheck disable=SC2046
    kill -KILL "$server" $(sed -E 's/.*"pid":([0-9]+).*/\1/' "$data/ports" 2>/dev/null) 2>/dev/null || true
  fi
  chmod -R u+w "$work"
  rm -rf "$work"
}
trap cleanup EXIT
fail() {
  echo "test-dist: $*" >&2
  exit 1
}
say() {
  echo "test-dist: $*"
}

# --- the archives ------------------------------------------------------------------------------------------------
[ -f "$dist/$name.tar.gz" ] || fail "$dist/$name.tar.gz is missing: run \`make dist\`"
(cd "$dist" && sha256sum --check --quiet SHA256SUMS) || fail "checksums do not hold"
mkdir "$work/empty"
tar -xzf "$dist/$name.tar.gz" -C "$work/empty"
folder=$work/empty/$name
for file in waybill libduckdb.so LICENSE CHANGELOG.md THIRD-PARTY.txt THIRD-PARTY-rust.html waybill.cdx.json \
  waybill.service waybill.sysusers waybill.toml README-INSTALL.md; do
  [ -s "$folder/$file" ] || fail "the archive has no $file"
done
[ "$(tar -tvzf "$dist/$name.tar.gz" | awk '{print $2, $4, $5}' | sort -u | wc -l)" -eq 1 ] ||
  fail "files in the archive differ in owner or time"
say "unpacked: $(du -sh "$folder" | cut -f 1), the archive has $(stat -c %s "$dist/$name.tar.gz") bytes"

# Packed again, from the same program, commit and instant.
told=$(env -i "$folder/waybill" --version)
commit=$(sed -n 's/^commit  //p' <<<"$told")
built=$(sed -n 's/^built   //p' <<<"$told")
case $commit in
  not*) fail "the program does not know its commit; was it made by scripts/dist.sh?" ;;
esac
WAYBILL_COMMIT=$commit SOURCE_DATE_EPOCH=$(date -u -d "$built" +%s) DIST=$work/again \
  scripts/dist.sh --no-build >"$work/again.log" 2>&1 || { cat "$work/again.log" >&2; fail "packing again failed"; }
cmp "$work/again/SHA256SUMS" "$dist/SHA256SUMS" || fail "packing again gives other bytes"
rm -r "$work/again"
say "packed again: the same bytes"

# --- what is in the program --------------------------------------------------------------------------------------
[ "$(head -n 1 <<<"$told")" = "waybill $version" ] || fail "--version says $(head -n 1 <<<"$told"), Cargo.toml $version"
[ "$(env -i "$folder/waybill" -V)" = "waybill $version" ] || fail "-V is not one line"
grep -q '^DuckDB  v[0-9]' <<<"$told" || fail "--version does not name the DuckDB library"
say "$(paste -sd, - <<<"$told")"

tar -xzf "$dist/$name-debug.tar.gz" -C "$work"
debug=$work/$name/waybill.debug
for file in "$folder/waybill" "$debug"; do
  if strings -n 4 "$file" | grep -F -e "$root/" -e "$HOME/" -e "${CARGO_HOME:-$HOME/.cargo}" | head -n 3 >&2; then
    fail "$(basename "$file") holds paths of the machine that built it"
  fi
done
if readelf --sections --wide "$folder/waybill" | grep -q '\.debug_info'; then
  fail "the program still has its debug information"
fi
# A place in the program is found through the other archive.
mkdir "$work/both"
cp "$folder/waybill" "$debug" "$work/both/"
# To its end: nm that is cut off by a reader that has enough would fail the script.
address=$(nm "$debug" | awk '$3 ~ /waybill4main17h/ && !found {print $1; found = 1}')
[ -n "$address" ] || fail "waybill.debug does not know main"
place=$(cd "$work/both" && addr2line -e waybill "$address")
case $place in
  */src/main.rs:[0-9]*) say "debug information: main is at $place" ;;
  *) fail "addr2line says $place for main" ;;
esac
needs=$(for file in waybill libduckdb.so; do objdump -T "$folder/$file"; done | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
say "needs $needs"
grep -q "glibc ${needs#GLIBC_}" "$folder/README-INSTALL.md" || fail "README-INSTALL.md names another glibc than $needs"

# --- a run -------------------------------------------------------------------------------------------------------
body=$root/tests/fixtures/2026-07.json
signature=$(openssl dgst -sha256 -hmac "$secret" -binary "$body" | base64)
port_of() {
  sed -E "s/.*\"$2\":\"([^\"]+)\".*/\1/" "$1"
}
# Waits until a command succeeds.
within() {
  local seconds=$1 what=$2 deadline
  shift 2
  deadline=$((SECONDS + seconds))
  until "$@"; do
    [ $SECONDS -lt $deadline ] || fail "not within $seconds s: $what; its log: $(cat "$data/log")"
    kill -0 "$server" 2>/dev/null || fail "it ended before: $what; its log: $(cat "$data/log")"
    sleep 0.2
  done
}
has_row() {
  local rows
  rows=$("${as[@]}" env -i WAYBILL_WAREHOUSE="duckdb:$data/store/warehouse.duckdb" "$program" query --format csv \
    "select count(*) from raw.tracking_event" 2>"$data/query.log") && [ "$(tail -n 1 <<<"$rows")" = 1 ]
}
# Usage: journey NAME PROGRAM [ARGUMENT...]; runs it by `as` and `by`, which may be empty.
journey() {
  local listen ops answer started
  data=$work/data-$1 program=$2
  shift 2
  mkdir "$data"
  [ ${#as[@]} -eq 0 ] || chown nobody "$data"
  cd "$data"
  "${as[@]}" "${by[@]}" env -i WAYBILL_WEBHOOK_SECRETS="$secret" "$program" up --data "$data/store" \
    --listen 127.0.0.1:0 --ops-listen 127.0.0.1:0 --ports-file "$data/ports" "$@" >"$data/out" 2>"$data/log" &
  server=$!
  within 60 "it listens" test -s "$data/ports"
  listen=$(port_of "$data/ports" listen) ops=$(port_of "$data/ports" ops)
  "${as[@]}" env -i "$program" health --url "http://$ops" >/dev/null || fail "health says no while it runs"
  "${as[@]}" env -i WAYBILL_OPS_LISTEN="$ops" "$program" health --ready >/dev/null || fail "it is not ready"
  answer=$(curl --silent --show-error --noproxy '*' --max-time 10 --header "aftership-hmac-sha256: $signature" \
    --data-binary "@$body" "http://$listen/webhooks/aftership")
  [ "$answer" = '{"status":"accepted"}' ] || fail "the webhook is answered $answer"
  answer=$(curl --silent --noproxy '*' --max-time 10 --output /dev/null --write-out '%{http_code}' \
    --header "aftership-hmac-sha256: ${signature/?/A}" --data-binary "@$body" "http://$listen/webhooks/aftership")
  [ "$answer" = 401 ] || fail "a forged webhook is answered $answer"
  within 60 "the webhook is a row" has_row
  started=$(date +%s%N)
  kill -TERM "$(sed -E 's/.*"pid":([0-9]+).*/\1/' "$data/ports")"
  local code=0
  wait "$server" || code=$?
  server=
  [ "$code" -eq 0 ] || fail "it ended with $code: $(cat "$data/log")"
  local took=$((($(date +%s%N) - started) / 1000000))
  [ "$took" -le 25000 ] || fail "it took $took ms to end"
  code=0
  "${as[@]}" env -i "$program" health --url "http://$ops" 2>"$data/health.log" || code=$?
  [ "$code" -eq 1 ] || fail "health says $code of a process that has ended"
  cd "$root"
  took_ms=$took
}

as=() by=()
journey plain "$folder/waybill"
say "empty folder, no environment: a signed webhook is a row, ended with 0 after $took_ms ms"

mkdir "$work/elsewhere"
mv "$folder" "$work/elsewhere/waybill moved"
folder="$work/elsewhere/waybill moved"
ln -s "$folder/waybill" "$work/link"
journey moved "$work/link"
say "moved, and called by a link: the same, $took_ms ms"

chmod -R a-w,a+rX "$work/elsewhere"
if [ "$(id -u)" -eq 0 ]; then
  as=(setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all)
else
  as=()
fi
journey nobody "$folder/waybill"
say "as ${as[*]:+nobody, }a user who cannot write its folder: the same, $took_ms ms"

# --- the unit ----------------------------------------------------------------------------------------------------
unit=$work/waybill.service
sed "s|/opt/waybill/|$work/opt/|g" "$folder/waybill.service" >"$unit"
mkdir "$work/opt"
ln -s "$folder/waybill" "$work/opt/waybill"
said=$(systemd-analyze verify "$unit" 2>&1) || fail "systemd-analyze verify: $said"
# It knows this machine's users, and the service's is not there yet.
[ -z "$said" ] || fail "systemd-analyze verify says: $said"
exposure=$(systemd-analyze security --no-pager --offline=yes --threshold=20 "$unit" | tail -n 1) ||
  fail "systemd-analyze security: $exposure, 2.0 at most"
say "unit: ${exposure#→ }"
stop=$(sed -n 's/^TimeoutStopSec=//p' "$unit")
[ "$stop" -gt 25 ] || fail "the unit kills after $stop s, and draining takes 25 s"

# As the service's user would: root is asked for things that others are not.
install -m 666 /dev/null "$work/calls"
by=(strace --follow-forks --quiet=all --output "$work/calls")
journey unit "$folder/waybill" --config "$folder/waybill.toml"
python3 scripts/dist_calls.py "$unit" "$work/calls"
say "passed"
