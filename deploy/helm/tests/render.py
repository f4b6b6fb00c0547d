"""Renders the chart with helm, and what is asked of the objects again and again."""

import os
import subprocess
from pathlib import Path

import yaml

Object = dict

WORKLOADS = ("Deployment", "StatefulSet", "Job", "CronJob", "Pod")
# Commands that go on until they are told to end.
MOVERS = ("receive", "batch", "load", "poll", "up")


class Refused(Exception):
    """Helm would not render it; the text is what a person sees."""


class NoDuplicates(yaml.CSafeLoader):
    """A key that is written twice hides its first value: an error here."""


def mapping(loader, node):
    keys = [key.value for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise yaml.YAMLError(f"twice in one map, line {node.start_mark.line + 1}: {', '.join(sorted(twice))}")
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


NoDuplicates.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def helm(*words: str) -> str:
    done = subprocess.run([os.environ["HELM"], *words], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise Refused("\n".join(line for line in done.stderr.splitlines() if "symbolic link" not in line))
    return done.stdout


def render(chart: Path, values: list[str], release: str = "waybill", extra: tuple[str, ...] = ()) -> list[Object]:
    """`values`: files. Objects in helm's order; what is empty between two separators is none."""
    files = [word for file in values for word in ("--values", file)]
    text = helm("template", release, str(chart), "--namespace", "shop", "--kube-version", "1.30.0", *files, *extra)
    return [found for found in yaml.load_all(text, Loader=NoDuplicates) if found]


def name(thing: Object) -> str:
    return f"{thing['kind']} {thing['metadata']['name']}"


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [thing for thing in objects if thing["kind"] in kinds]


def template(workload: Object) -> Object | None:
    """The pod that a workload makes; `None` for other objects."""
    match workload["kind"]:
        case "Deployment" | "StatefulSet" | "Job":
            return workload["spec"]["template"]
        case "CronJob":
            return workload["spec"]["jobTemplate"]["spec"]["template"]
        case "Pod":
            return workload
    return None


def containers(objects: list[Object]):
    """Each workload with its pod and each container, those that initialise included."""
    for workload in of_kind(objects, *WORKLOADS):
        pod = template(workload)
        for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
            yield workload, pod, container


def environment(container: Object) -> dict[str, Object]:
    return {variable["name"]: variable for variable in container.get("env", [])}


def is_running(pod: Object) -> bool:
    """It goes on: a mover, not a job. Told by its command, so that no label can hide it."""
    args = pod["spec"]["containers"][0].get("args", [""])
    return args[0] in MOVERS and "--once" not in args


def selects(selector: dict, labels: dict) -> bool:
    """`matchLabels` and `matchExpressions` with In, which are all that the chart uses; an empty selector means all."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions", []):
        if expression["operator"] != "In":
            raise ValueError(f"not understood: {expression}")
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return True
