"""Renders, validates, and holds the chart to its promises; then plants mistakes. One line a step; ends with 1 on a fault.

Needs HELM, the program. Everything happens in memory and a temporary folder: no cluster, no network.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

import cases
import chart
import facts as program
import planted
import promises
import schemas
from facts import CHART
from render import Object, Refused, helm, name, render

DEPLOY = CHART.parent

# What checkov asks for and does not get, with the reason.
NOT_WANTED = {
    "CKV_K8S_11": "no limit of processor: throttling would turn bursts into late answers; requests and HPA share it out",
    "CKV_K8S_43": "a digest where the registry is known: image.digest",
    "CKV_K8S_14": "the same",
    "CKV_K8S_15": "a tag is a version, and a version does not change: nodes need not ask the registry at each start",
}
# Probes: of what ends by itself there are none.
NOT_OF_TESTS = {"CKV_K8S_8", "CKV_K8S_9"}


def rendered(case: cases.Good) -> list[Object]:
    values = [str(DEPLOY / file) for file in case.values]
    return render(CHART, values, case.release, tuple(word for given in case.sets for word in ("--set", given)))


def good(case: cases.Good, facts: program.Facts) -> tuple[str, list[str]]:
    objects = rendered(case)
    found = schemas.faults(objects) + [f"{promise}: {fault}" for promise, fault in promises.faults(objects, facts)]
    found += chart.rules_are_the_rules(objects, case.runbooks)
    there = [name(thing) for thing in objects]
    for wanted in case.has:
        kind, _, suffix = wanted.partition(" ")
        if not any(one.startswith(f"{kind} ") and one.endswith(suffix) for one in there):
            found.append(f"{wanted} is not there")
    for unwanted in case.lacks:
        kind, _, suffix = unwanted.partition(" ")
        found += [f"{one} should not be there" for one in there if one.startswith(f"{kind} ") and one.endswith(suffix)]
    return f"{len(objects)} objects", found


def bad(case: cases.Bad) -> list[str]:
    values = [str(DEPLOY / file) for file in case.values]
    try:
        render(CHART, values, "waybill", tuple(word for given in case.sets for word in ("--set", given)))
    except Refused as refusal:
        # Helm 4 writes '/queue/url', helm 3 queue.url.
        text = re.sub(r"'/([\w/]+)'", lambda place: place[1].replace("/", "."), str(refusal))
        return [f"{case.name}: the refusal does not say {word!r}: {text}" for word in case.says if word not in text]
    return [f"{case.name}: was not refused"]


def apart(facts: program.Facts) -> list[str]:
    """Two releases in one namespace: no object of one has a name, or is found by a selector, of the other."""
    both = [rendered(case) for case in cases.GOOD if case.name in ("split", "two releases")]
    names = [{name(thing) for thing in objects} for objects in both]
    return [f"{one}: is of two releases" for one in names[0] & names[1]] + [
        f"{promise}: {fault}" for promise, fault in promises.faults(both[0] + both[1], facts) if promise == "selectors_meet_their_pods" and "Deployment" in fault
    ]


# That it finds anything at all.
UNSAFE = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "planted", "namespace": "shop"},
    "spec": {"containers": [{"name": "x", "image": "x", "securityContext": {"privileged": True}}]},
}


def scanned(work: Path) -> tuple[str, list[str]]:
    """checkov's opinion of all that was rendered, but for what is not wanted."""
    for case in cases.GOOD:
        (work / f"{case.name.replace(' ', '-').replace(',', '')}.yaml").write_text(yaml.safe_dump_all(rendered(case)))
    (work / "planted.yaml").write_text(yaml.safe_dump(UNSAFE))
    words = ["--directory", str(work), "--framework", "kubernetes", "--compact", "--quiet", "--skip-download", "--output", "json"]
    program = [str(Path(sys.executable).with_name("checkov")), *words, "--skip-check", ",".join(NOT_WANTED)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300)
    try:
        report = json.loads(done.stdout)
        summary, failed = report["summary"], report["results"]["failed_checks"]
    except (KeyError, TypeError, ValueError):
        return "", [f"checkov gave no report: {done.stdout[-2000:]}{done.stderr[-2000:]}"]
    planted_id, found, has_found = "Pod.shop.planted", [], False
    for one in failed:
        if one["resource"] == planted_id:
            has_found |= one["check_id"] == "CKV_K8S_16"
        elif not (one["check_id"] in NOT_OF_TESTS and one["resource"].startswith("Pod.")):
            found.append(f"{one['check_id']} {one['check_name']}: {one['resource']}")
    if not has_found:
        found.append("checkov did not find the privileged container that was planted")
    if summary["parsing_errors"]:
        found.append(f"checkov could not read everything: {summary}")
    return f"{summary['passed']} checks of {summary['resource_count']} objects passed", found


def main() -> int:
    facts = program.gather()
    failed: list[str] = []

    def tell(what: str, result: str, found: list[str], began: float):
        failed.extend(f"{what}: {fault}" for fault in found)
        print(f"{what:<42} {'FAILED' if found else result:<40} {time.monotonic() - began:5.1f} s", flush=True)

    for check in chart.CHECKS:
        began = time.monotonic()
        tell(check.__name__.replace("_", " "), "ok", check(CHART, facts), began)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        began = time.monotonic()
        tell("helm package", "same rules and dashboard inside", chart.package_is_whole(CHART, facts, work), began)
        for case in cases.GOOD:
            began = time.monotonic()
            try:
                result, found = good(case, facts)
            except Refused as refusal:
                result, found = "", [str(refusal)]
            tell(f"values: {case.name}", result, found, began)
        began = time.monotonic()
        tell("two releases side by side", "apart", apart(facts), began)
        for case in cases.GOOD[:2]:
            began = time.monotonic()
            lint = lambda case=case: helm("lint", "--strict", str(CHART), "--values", str(DEPLOY / case.values[0]))
            try:
                lint()
                tell(f"helm lint: {case.name}", "ok", [], began)
            except Refused as refusal:
                tell(f"helm lint: {case.name}", "", [str(refusal)], began)
        began = time.monotonic()
        found = [fault for case in cases.BAD for fault in bad(case)]
        tell("bad values", f"{len(cases.BAD)} refused, each with its reason", found, began)
        began = time.monotonic()
        sound = rendered(cases.GOOD[0])
        count, missed = planted.in_objects(sound, facts)
        tell("mistakes in objects", f"{count} of {len(planted.MISTAKES)} found", missed, began)
        began = time.monotonic()
        count, missed = planted.in_chart(CHART, facts, work)
        tell("mistakes in the chart", f"{count} of {len(planted.IN_CHART)} found", missed, began)
        began = time.monotonic()
        (work / "scan").mkdir()
        tell("checkov", *scanned(work / "scan"), began)
    for fault in failed:
        print(f"- {fault}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
