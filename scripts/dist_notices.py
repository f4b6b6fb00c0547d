#!/usr/bin/env python3
"""Writes the licences of everything that is linked into the program, to stdout. Needs no network.

Usage: scripts/dist_notices.py TARGET

They are the files that the packages themselves carry, as cargo unpacked them; equal texts are printed once. A package
without such a file is named with its authors, and must be under a licence whose words another package has.
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAMES = re.compile(r"^(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)
# Not linked: samples and tests of the packages.
ASIDE = {"tests", "test", "benches", "examples", "fuzz"}
RULE = "-" * 100


def linked(target):
    """Packages whose code is in the program for that target: no build scripts, no tests."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    answer = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    nodes = {node["id"]: node for node in answer["resolve"]["nodes"]}
    root = answer["resolve"]["root"]
    found, open_ = set(), [root]
    while open_:
        package = open_.pop()
        if package in found:
            continue
        found.add(package)
        open_ += [
            dependency["pkg"]
            for dependency in nodes[package]["deps"]
            if any(kind["kind"] is None for kind in dependency["dep_kinds"])
        ]
    packages = [package for package in answer["packages"] if package["id"] in found - {root}]
    return sorted(packages, key=lambda package: (package["name"], package["version"]))


def texts(package):
    """The package's licence files, those of C sources it brings included: {path in it: text}."""
    folder = pathlib.Path(package["manifest_path"]).parent
    files = [
        file
        for file in sorted(folder.rglob("*"))
        if file.is_file()
        and (NAMES.match(file.name) or file.parent.name.lower() in ("license", "licenses"))
        and file.suffix not in (".rs", ".c", ".h", ".py")
        and not ASIDE & set(file.relative_to(folder).parts)
    ]
    read = {str(file.relative_to(folder)): file.read_text(encoding="utf-8", errors="replace") for file in files}
    return {path: "\n".join(line.rstrip() for line in text.strip().splitlines()) for path, text in read.items()}


def main(target):
    packages = linked(target)
    users = {}  # text: packages that carry it
    bare = []
    for package in packages:
        label = f"{package['name']} {package['version']}"
        carried = texts(package)
        if not carried:
            bare.append((package, label))
        for path, text in carried.items():
            users.setdefault(text, []).append(f"{label} ({path})")

    library = (ROOT / ".duckdb/LICENSE").read_text(encoding="utf-8").strip()
    users.setdefault("\n".join(line.rstrip() for line in library.splitlines()), []).append("libduckdb (prebuilt)")

    print("Waybill is licensed as LICENSE says. It contains the work of others, under these licences.")
    print("Rust's standard library: THIRD-PARTY-rust.html. The prebuilt libduckdb has parts of others in it, which")
    print("DuckDB's own package does not list: see the folder third_party of DuckDB's sources.\n")
    for package in packages:
        print(f"{package['name']} {package['version']}: {package['license'] or 'see its file'}")
    for package, label in bare:
        # Its own words are known then: MIT has one wording, and names nobody but the authors.
        if package["license"] != "MIT":
            sys.exit(f"dist_notices: {label} has no licence file and is under {package['license']}: add its text")
        authors = ", ".join(package["authors"]) or package["repository"] or "its authors"
        print(f"\n{label} carries no licence file. MIT, by {authors}. The words of that licence are below.")
    for text, names in sorted(users.items(), key=lambda item: item[1][0].lower()):
        print(f"\n{RULE}\n{chr(10).join(names)}\n{RULE}\n{text}")
    print(
        f"dist_notices: {len(packages)} packages, {len(users)} texts, {len(bare)} without a file of their own",
        file=sys.stderr,
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
