"""Every object against the schema of its kind: Kubernetes' own, and the Prometheus operator's."""

import kubernetes_validate
from cloudcoil.models.prometheus_operator import v1 as prometheus

from render import Object, name

# The oldest that Chart.yaml allows, and the newest that the package has.
VERSIONS = ("1.30", "1.37")


def lost(given, understood, place: str) -> list[str]:
    """What was given and the model did not take: it ignores fields that it does not know."""
    if isinstance(given, dict) and isinstance(understood, dict):
        return [
            fault
            for key, value in given.items()
            for fault in (lost(value, understood[key], f"{place}.{key}") if key in understood else [f"{place}.{key}: no such field"])
        ]
    if isinstance(given, list) and isinstance(understood, list) and len(given) == len(understood):
        return [fault for index, pair in enumerate(zip(given, understood)) for fault in lost(*pair, f"{place}[{index}]")]
    return [] if given == understood else [f"{place}: {given!r} was taken for {understood!r}"]


def of_the_operator(thing: Object) -> list[str]:
    try:
        model = getattr(prometheus, thing["kind"]).model_validate(thing)
    except (ValueError, AttributeError) as error:
        return [f"{name(thing)}: {error}"]
    understood = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return [f"{name(thing)}: {fault}" for fault in lost(thing["spec"], understood["spec"], "spec")]


def of_kubernetes(thing: Object, version: str) -> list[str]:
    try:
        kubernetes_validate.validate(thing, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{name(thing)}: Kubernetes {version}: {error.message} at {'.'.join(map(str, error.path))}"]
    except (kubernetes_validate.SchemaNotFoundError, kubernetes_validate.InvalidSchemaError) as error:
        return [f"{name(thing)}: Kubernetes {version}: {error}"]
    return []


def faults(objects: list[Object]) -> list[str]:
    found = []
    for thing in objects:
        if thing["apiVersion"] == "monitoring.coreos.com/v1":
            found += of_the_operator(thing)
        else:
            found += [fault for version in VERSIONS for fault in of_kubernetes(thing, version)]
    return found
