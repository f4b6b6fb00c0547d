#!/usr/bin/env bash
# Fetches the prebuilt DuckDB library into .duckdb/, once. Usage: scripts/duckdb.sh
#
# The library is the one inside the official Node packages of DuckDB, pinned here by version and SHA-256. Node
# itself is not used. The crate in Cargo.toml (duckdb =1.10506.1) has the bindings of DuckDB 1.5.6; where a
# platform's package of that version is not published, the newest 1.5.x is pinned; that pairing has not been tried.
set -euo pipefail
cd "$(dirname "$0")/.."

library=libduckdb.so
case "$(uname -s)-$(uname -m)" in
  Linux-x86_64)
    package=@duckdb/node-bindings-linux-x64@1.5.6-r.1
    sha256=1b9f82478539bb9a1d1df44bd103121a12ae52142c07158dc52b97d2ec1d69ff ;;
  Linux-aarch64 | Linux-arm64)
    package=@duckdb/node-bindings-linux-arm64@1.5.5-r.5
    sha256=3b85f3ea438f7dc3691d7b5e6e4222ffe9127fd17885f96ca72e0c99925c348e ;;
  Darwin-arm64)
    package=@duckdb/node-bindings-darwin-arm64@1.5.5-r.5
    sha256=08b3cfd7d4d620a5fb67ef49db28551b767107266af3a8e2600e49d99ee59456
    library=libduckdb.dylib ;;
  Darwin-x86_64)
    package=@duckdb/node-bindings-darwin-x64@1.5.5-r.5
    sha256=1266f62ac7c02f7971554a2b0b2c4c19923a97258bfdf1b203873e174e7a28c4
    library=libduckdb.dylib ;;
  *)
    echo "duckdb: no prebuilt library for $(uname -s) on $(uname -m)." >&2
    echo "Build it from source instead: cargo build --release --locked --features duckdb-from-source" >&2
    exit 1 ;;
esac

dir=.duckdb
stamp=$dir/stamp
if [ -f "$dir/$library" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sha256" ]; then
  exit 0
fi

if ! command -v npm >/dev/null; then
  echo "duckdb: npm is needed to fetch the prebuilt library, and is not installed." >&2
  echo "Install it (Debian: apt-get install npm; macOS: brew install node), or build DuckDB from source, which" >&2
  echo "takes about an hour on two cores: cargo build --release --locked --features duckdb-from-source" >&2
  exit 1
fi

mkdir -p "$dir"
fresh=$(mktemp -d "$dir/fresh.XXXXXX")
trap 'rm -rf "$fresh"' EXIT

echo "duckdb: fetching $package"
if ! (cd "$fresh" && npm pack --silent "$package" >npm.out 2>npm.err); then
  cat "$fresh/npm.err" >&2
  echo "duckdb: npm could not fetch $package" >&2
  exit 1
fi
archives=("$fresh"/*.tgz)
archive=${archives[0]}

if command -v sha256sum >/dev/null; then
  found=$(sha256sum "$archive" | cut -d ' ' -f 1)
else
  found=$(shasum -a 256 "$archive" | cut -d ' ' -f 1)
fi
if [ "$found" != "$sha256" ]; then
  echo "duckdb: $package has SHA-256 $found, expected $sha256; nothing was installed" >&2
  exit 1
fi

tar -xzf "$archive" -C "$fresh" "package/$library" package/LICENSE
# The archive's times are all the same; cargo decides by time whether the library changed.
touch "$fresh/package/$library"
rm -f "$stamp"
mv -f "$fresh/package/LICENSE" "$dir/LICENSE"
mv -f "$fresh/package/$library" "$dir/$library"
printf '%s\n' "$sha256" >"$fresh/stamp"
mv -f "$fresh/stamp" "$stamp"
echo "duckdb: $dir/$library is ready"
