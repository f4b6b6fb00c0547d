#!/usr/bin/env bash
# Builds the release: dist/waybill-<version>-<target>.tar.gz with everything to run it, its debug information in a
# second archive, and SHA256SUMS. The same commit on the same toolchain gives the same bytes. Linux only.
# Usage: scripts/dist.sh [--no-build] [--folder DIR]
#   --no-build   pack a program that is there already
#   --folder DIR leave the files themselves in DIR, and make no archive: for the container image
#   WAYBILL_BIN  with --no-build: the program, its library beside it (target/dist/waybill)
#   WAYBILL_SBOM with --no-build: its list of components (waybill.cdx.json)
#   WAYBILL_COMMIT, SOURCE_DATE_EPOCH   commit, and its instant in seconds since 1970; git's own where there is a checkout
#   DIST         where the archives go (dist)
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

build=1 folder=''
while [ $# -gt 0 ]; do
  case $1 in
    --no-build) build='' ;;
    --folder) folder=${2:?--folder needs a folder}; shift ;;
    *) echo "dist: unknown argument $1; see the head of scripts/dist.sh" >&2; exit 2 ;;
  esac
  shift
done
fail() {
  echo "dist: $*" >&2
  exit 1
}
[ "$(uname -s)" = Linux ] || fail "releases are made on Linux; elsewhere use \`make build\`"
for tool in cargo rustc python3 objcopy tar gzip sha256sum; do
  command -v "$tool" >/dev/null || fail "$tool is missing (Debian: binutils for objcopy, coreutils, tar, gzip, python3)"
done

# --- which build this is -----------------------------------------------------------------------------------------
# Git is asked for what was not given. A checkout that differs from its commit says so, and goes on: it is for trying.
if [ -z "${WAYBILL_COMMIT:-}" ]; then
  git rev-parse --is-inside-work-tree >/dev/null 2>&1 || fail "no git checkout: set WAYBILL_COMMIT and SOURCE_DATE_EPOCH"
  WAYBILL_COMMIT=$(git rev-parse HEAD)
  if [ -n "$(git status --porcelain --untracked-files=no)" ]; then
    WAYBILL_COMMIT=$WAYBILL_COMMIT-dirty
    echo "dist: files differ from the commit: this is no release, its commit is $WAYBILL_COMMIT" >&2
  fi
fi
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
  SOURCE_DATE_EPOCH=$(git show --no-patch --format=%ct "${WAYBILL_COMMIT%-dirty}" 2>/dev/null) ||
    fail "set SOURCE_DATE_EPOCH to the instant of the commit, in seconds since 1970"
fi
export WAYBILL_COMMIT SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
# The one place of the version is Cargo.toml.
version=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
target=$(rustc -vV | sed -n 's/^host: //p')
[ -n "$version" ] && [ -n "$target" ] || fail "cannot read the version in Cargo.toml, or rustc's target"
name=waybill-$version-$target

# --- build -------------------------------------------------------------------------------------------------------
program=${WAYBILL_BIN:-target/dist/waybill}
sbom=${WAYBILL_SBOM:-waybill.cdx.json}
if [ -n "$build" ]; then
  program=target/dist/waybill sbom=waybill.cdx.json
  scripts/duckdb.sh
  cargo_home=${CARGO_HOME:-$HOME/.cargo}
  # No path of this machine in the program: it would tell who built it, and differ from machine to machine.
  flags=(
    "--remap-path-prefix=$cargo_home=/cargo"
    "--remap-path-prefix=$(rustc --print sysroot)=/rust"
    "--remap-path-prefix=$root=/waybill"
    # Names the debug file that belongs to a program.
    "-Clink-arg=-Wl,--build-id=sha1"
  )
  (
    IFS=$'\x1f'
    # The C sources that crates bring name their paths, too.
    CARGO_ENCODED_RUSTFLAGS="${flags[*]}" \
      CFLAGS="${CFLAGS:-} -ffile-prefix-map=$cargo_home=/cargo -ffile-prefix-map=$root=/waybill" \
      cargo build --profile dist --locked --bin waybill
  )
  scripts/sbom.sh
fi
[ -x "$program" ] || fail "$program is missing: leave --no-build away, or set WAYBILL_BIN"
program=$(realpath "$program")
library=$(dirname "$program")/libduckdb.so
[ -f "$library" ] || fail "$library is missing"
[ -f "$sbom" ] || fail "$sbom is missing: leave --no-build away, or set WAYBILL_SBOM"

# --- the files ---------------------------------------------------------------------------------------------------
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
files=$work/$name
mkdir "$files"
objcopy --only-keep-debug "$program" "$work/waybill.debug"
chmod 644 "$work/waybill.debug"
(cd "$work" && objcopy --strip-all --add-gnu-debuglink=waybill.debug "$program" "$files/waybill")
chmod 755 "$files/waybill"
install -m 644 "$library" "$files/libduckdb.so"
install -m 644 LICENSE CHANGELOG.md "$files/"
install -m 644 deploy/systemd/waybill.service deploy/systemd/waybill.toml "$files/"
install -m 644 deploy/systemd/waybill.sysusers "$files/waybill.sysusers"
install -m 644 deploy/systemd/README.md "$files/README-INSTALL.md"
python3 scripts/dist_notices.py "$target" >"$files/THIRD-PARTY.txt"
cp "$(rustc --print sysroot)/share/doc/rust/COPYRIGHT-library.html" "$files/THIRD-PARTY-rust.html" ||
  fail "the toolchain has no share/doc/rust/COPYRIGHT-library.html, the notices of Rust's standard library"
python3 scripts/dist_sbom.py "$sbom" >"$files/waybill.cdx.json"
chmod 644 "$files"/*.txt "$files"/*.html "$files"/*.json

if [ -n "$folder" ]; then
  mkdir -p "$folder"
  cp -a "$files/." "$folder/"
  echo "dist: $folder has $name"
  exit 0
fi

# --- the archives ------------------------------------------------------------------------------------------------
dist=${DIST:-dist}
mkdir -p "$dist"
# Sorted names, one owner, one time, one mode: nothing of this machine and this minute.
pack() {
  local archive=$1
  shift
  tar --format=gnu --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    --mode=u=rwX,go=rX -C "$work" -cf - "$@" | gzip -9 --no-name >"$dist/$archive.fresh"
  mv -f "$dist/$archive.fresh" "$dist/$archive"
}
pack "$name.tar.gz" "$name"
# Unpacks beside the program, where debuggers look for it.
rm -rf "$files"
mkdir "$files"
mv "$work/waybill.debug" "$files/"
pack "$name-debug.tar.gz" "$name"
(cd "$dist" && sha256sum "$name.tar.gz" "$name-debug.tar.gz" >SHA256SUMS)
echo "dist: $WAYBILL_COMMIT"
for archive in "$name.tar.gz" "$name-debug.tar.gz"; do
  echo "dist: $dist/$archive, $(stat -c %s "$dist/$archive") bytes"
done
