"""The table of values in the chart's README, from values.yaml and the comments in it.

A comment right above a key describes that key, with all that is below it. Comments with an empty line behind them are
headings. A value without a description is a fault.

Usage: values_table.py [--write]; without it, fails when the README is not of these values.
"""

import json
import re
import sys
from pathlib import Path

import yaml

CHART = Path(__file__).resolve().parents[1] / "waybill"
BEGIN, END = "<!-- values:start -->\n", "<!-- values:end -->\n"


def descriptions(text: str) -> dict[str, str]:
    """By path, such as `image.tag`. Keys are found by their indentation; values.yaml is written so."""
    found, path, comment = {}, [], []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.lstrip("# "))
            continue
        key = re.match(r"( *)([A-Za-z]\w*):", line)
        if key:
            path = path[: len(key[1]) // 2] + [key[2]]
            if comment:
                found[".".join(path)] = " ".join(comment)
        comment = []
    return found


def leaves(value, path: str, described: dict[str, str]):
    """Each described path with its default, and each value that nobody describes with `None`."""
    if path in described or not isinstance(value, dict) or not value:
        yield path, value, described.get(path)
        return
    for key, item in value.items():
        yield from leaves(item, f"{path}.{key}" if path else key, described)


def table(text: str) -> str:
    described = descriptions(text)
    rows, missing = ["| value | default | meaning |\n", "|---|---|---|\n"], []
    for path, value, meaning in leaves(yaml.safe_load(text), "", described):
        if meaning is None:
            missing.append(path)
            continue
        default = "empty" if value == "" else f"`{json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value}`"
        rows.append(f"| `{path}` | {default} | {meaning.replace('|', chr(92) + '|')} |\n")
    if missing:
        raise SystemExit("values.yaml: nothing is said of " + ", ".join(missing))
    return "".join(rows)


def faults(chart: Path) -> list[str]:
    text = (chart / "README.md").read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        return ["README.md: the marks of the table of values are not there"]
    shown = text.split(BEGIN)[1].split(END)[0]
    try:
        wanted = table((chart / "values.yaml").read_text(encoding="utf-8"))
    except SystemExit as fault:
        return [str(fault)]
    if shown == wanted:
        return []
    return ["README.md: the table is not of these values: run deploy/helm/tests/values_table.py --write"]


if __name__ == "__main__":
    readme = CHART / "README.md"
    if sys.argv[1:] == ["--write"]:
        text = readme.read_text(encoding="utf-8")
        new = table((CHART / "values.yaml").read_text(encoding="utf-8"))
        readme.write_text(text.split(BEGIN)[0] + BEGIN + new + END + text.split(END)[1], encoding="utf-8")
    elif found := faults(CHART):
        raise SystemExit("\n".join(found))
