#!/usr/bin/env bash
# Writes waybill.cdx.json: what the program is built from, in CycloneDX, with versions, licences and checksums.
# Left out: what only tests and build scripts use. The prebuilt DuckDB library is added by hand: cargo does not see it.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.5.9
if [ "$(.venv/bin/cargo-cyclonedx cyclonedx --version 2>/dev/null)" != "cargo-cyclonedx-cyclonedx $version" ]; then
  echo "sbom: installing cargo-cyclonedx $version into .venv"
  cargo install --quiet --locked --force --root .venv "cargo-cyclonedx@$version"
fi
export PATH="$PWD/.venv/bin:$PATH"

cargo cyclonedx --quiet --format json --spec-version 1.5 --no-build-deps --override-filename waybill.cdx

python3 - <<'PY'
import hashlib, json, pathlib, re, subprocess, sys

path = pathlib.Path("waybill.cdx.json")
bom = json.loads(path.read_text())
# One machine's folders are nobody else's business.
text = json.dumps(bom)
here = re.escape(str(pathlib.Path.cwd()))
bom = json.loads(re.sub(rf"path\+file://{here}", "path+file://.", re.sub(rf"file://{here}", "file://.", text)))

library = next(iter(sorted(pathlib.Path(".duckdb").glob("libduckdb.*"))), None)
if library is None:
    sys.exit("sbom: no DuckDB library in .duckdb: run `make duckdb`")
# The package that this platform's library came from, by the checksum that stands behind it.
script = pathlib.Path("scripts/duckdb.sh").read_text()
stamp = pathlib.Path(".duckdb/stamp").read_text().strip()
package = re.search(rf"package=(\S+)@(\S+)\n\s*sha256={stamp}", script)
if package is None:
    sys.exit("sbom: the DuckDB library is not the one that scripts/duckdb.sh names: run `make duckdb`")
bom["components"].append({
    "type": "library",
    "bom-ref": "libduckdb",
    "name": "libduckdb",
    "version": package.group(2),
    "purl": f"pkg:npm/{package.group(1).replace('@', '%40', 1)}@{package.group(2)}",
    "scope": "required",
    "licenses": [{"license": {"id": "MIT"}}],
    "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(library.read_bytes()).hexdigest()}],
})
path.write_text(json.dumps(bom, indent=1) + "\n")

listed = {(part["name"], part["version"]) for part in bom["components"]}
tree = subprocess.run(
    ["cargo", "tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"],
    check=True, capture_output=True, text=True).stdout
built = {tuple(line.split()[:2]) for line in tree.splitlines() if line.strip()}
missing = {(name, number.removeprefix("v")) for name, number in built} - listed - {("waybill", bom["metadata"]["component"]["version"])}
unlicensed = sorted(part["name"] for part in bom["components"] if not part.get("licenses"))
print(f"sbom: {path}: {len(bom['components'])} components, {len(built) - 1} crates are built in, {len(missing)} missing, "
      f"{len(unlicensed)} without a licence")
if missing or unlicensed:
    sys.exit(f"sbom: incomplete: {sorted(missing)} {unlicensed}")
PY
