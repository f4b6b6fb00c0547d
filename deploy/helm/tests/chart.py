"""What is checked of the chart's files, and of objects beside the files that they are made from."""

import io
import json
import tarfile
from pathlib import Path

import jsonschema
import yaml

import values_table
from facts import DASHBOARD, RULES, Facts
from render import Object, helm, of_kind

# Settings that the chart sets by itself, from values of their own.
OF_THE_CHART = {
    "listen", "ops_listen", "queue", "dead_letters", "lake", "warehouse", "retail", "spool", "spool_bytes", "canary", "migrate",
}  # fmt: skip


def versions_agree(chart: Path, facts: Facts) -> list[str]:
    described = yaml.safe_load((chart / "Chart.yaml").read_text())
    if described["appVersion"] == facts.version:
        return []
    return [f"Chart.yaml: appVersion is {described['appVersion']}, and Cargo.toml has {facts.version}"]


def user_is_the_images(chart: Path, facts: Facts) -> list[str]:
    pod = yaml.safe_load((chart / "values.yaml").read_text())["pod"]
    user = f"{pod['runAsUser']}:{pod['runAsGroup']}"
    return [] if user == facts.image_user else [f"values.yaml: runs as {user}, and the image as {facts.image_user}"]


def settings_are_complete(chart: Path, facts: Facts) -> list[str]:
    """Each setting is a value, the chart's own affair, or a secret; none is two of these, and none is made up."""
    schema = json.loads((chart / "values.schema.json").read_text())
    offered = set(schema["properties"]["settings"]["properties"])
    secrets = {name for name, is_secret in facts.settings.items() if is_secret}
    known = set(facts.settings)
    return (
        [f"values.schema.json: settings.{name} is no setting" for name in sorted(offered - known)]
        + [f"values.schema.json: settings.{name} is missing" for name in sorted(known - offered - secrets - OF_THE_CHART)]
        + [f"values.schema.json: settings.{name} must not be a value" for name in sorted(offered & (secrets | OF_THE_CHART))]
    )


# Maps that a value may leave keys of: those of the program have its own defaults, and `global` is helm's.
LEFT_OUT = ("settings", "global", "requests", "limits")


def schema_is_strict(chart: Path, _facts: Facts) -> list[str]:
    """It holds of the defaults, knows every value that there is, has a default for every one it knows, and takes no other."""
    schema = json.loads((chart / "values.schema.json").read_text())
    values = yaml.safe_load((chart / "values.yaml").read_text())
    found = [f"values.yaml: {error.json_path}: {error.message}" for error in jsonschema.Draft7Validator(schema).iter_errors(values)]

    def walk(rule: dict, value: dict, path: str):
        if "$ref" in rule:
            rule = schema["definitions"][rule["$ref"].rpartition("/")[2]]
        if "properties" not in rule:
            return
        if rule.get("additionalProperties") is not False:
            found.append(f"values.schema.json: {path or 'the root'} takes anything")
        if path.rpartition(".")[2] in LEFT_OUT:
            return
        for key, inner in rule["properties"].items():
            if key in value:
                walk(inner, value[key], f"{path}.{key}".lstrip("."))
            elif key not in LEFT_OUT:
                found.append(f"values.yaml: {path}.{key} has no default, and no description")

    walk(schema, values, "")
    return found


def readme_is_of_these_values(chart: Path, _facts: Facts) -> list[str]:
    return values_table.faults(chart)


def files_are_those_of_prometheus_and_grafana(chart: Path, _facts: Facts) -> list[str]:
    """In the folder, and in the package that helm makes of it."""
    originals = {"files/waybill.rules.yml": RULES.read_bytes(), "files/dashboard.json": DASHBOARD.read_bytes()}
    found = [f"{name}: is not what it is made of" for name, bytes_ in originals.items() if (chart / name).read_bytes() != bytes_]
    return found


def package_is_whole(chart: Path, facts: Facts, work: Path) -> list[str]:
    helm("package", str(chart), "--destination", str(work))
    (archive,) = work.glob("waybill-*.tgz")
    with tarfile.open(archive) as package:
        inside = {member.name: package.extractfile(member).read() for member in package.getmembers() if member.isfile()}
    archive.unlink()
    wanted = {f"waybill/{name}": text for name, text in (("files/waybill.rules.yml", RULES), ("files/dashboard.json", DASHBOARD))}
    return [f"{archive.name}: {name} is not {path.name}" for name, path in wanted.items() if inside.get(name) != path.read_bytes()]


def rules_are_the_rules(objects: list[Object], prefix: str) -> list[str]:
    """Loaded as Prometheus would: the same groups, but for the address in front of each runbook."""
    wanted = yaml.safe_load(RULES.read_text())
    for group in wanted["groups"]:
        for rule in group["rules"]:
            if "annotations" in rule:
                rule["annotations"]["runbook_url"] = prefix + rule["annotations"]["runbook_url"]
    found = [f"PrometheusRule: is not {RULES.name}" for thing in of_kind(objects, "PrometheusRule") if thing["spec"] != wanted]
    for thing in of_kind(objects, "ConfigMap"):
        if json.load(io.StringIO(thing["data"]["waybill.json"])) != json.loads(DASHBOARD.read_text()):
            found.append(f"ConfigMap: is not {DASHBOARD.name}")
    return found


CHECKS = [versions_agree, user_is_the_images, settings_are_complete, schema_is_strict, readme_is_of_these_values, files_are_those_of_prometheus_and_grafana]
