"""Promises of each pod by itself."""

import re
from pathlib import PurePosixPath

from facts import Facts
from promises import promise
from render import containers, environment, is_running, name, of_kind

# Ours, and no setting: settings/table.rs, `unknown_names`.
NO_SETTINGS = {"WAYBILL_LOG", "WAYBILL_CONFIG"}
# Where the program may write; everything else is read-only.
WRITABLE = "/var/lib/waybill"
# A URL with a password in it, or what keys of AWS and private keys look like.
SECRET_TEXT = re.compile(r"://[^/\s:@]+:[^@/\s]+@|\bAKIA[0-9A-Z]{16}\b|-----BEGIN|\bhmac:")


def setting_of(variable: str, facts: Facts) -> str | None:
    """The setting that a variable sets, `…_FILE` included where there is one."""
    key = variable.removeprefix("WAYBILL_").lower()
    if key in facts.settings:
        return key
    if key.endswith("_file") and key[:-5] in facts.files:
        return key[:-5]
    return None


@promise
def settings_are_known(objects, facts):
    found = []
    for workload, _, container in containers(objects):
        names = [variable["name"] for variable in container.get("env", [])]
        found += [f"{name(workload)}: {one} is set twice" for one in set(names) if names.count(one) > 1]
        for variable in names:
            if variable.startswith("WAYBILL_") and variable not in NO_SETTINGS and not setting_of(variable, facts):
                found.append(f"{name(workload)}: {variable} is no setting")
    return found


@promise
def commands_are_known(objects, facts):
    found = []
    for workload, _, container in containers(objects):
        if "command" in container:
            found.append(f"{name(workload)}: overrides the image's entry point")
        command, *rest = container.get("args") or [""]
        if command not in facts.commands:
            found.append(f"{name(workload)}: `waybill {command}` is no command")
            continue
        if command == "check" and (not rest or rest[0] not in facts.roles):
            found.append(f"{name(workload)}: `waybill check {' '.join(rest)}` is no role")
        for word in rest:
            if word.startswith("--") and word.removeprefix("--") not in facts.commands[command]:
                found.append(f"{name(workload)}: `waybill {command}` has no {word}")
    return found


@promise
def movers_have_what_they_need(objects, facts):
    found = []
    for workload, _, container in containers(objects):
        given = {setting_of(variable, facts) for variable in environment(container)}
        args = container.get("args") or [""]
        role = args[1] if args[0] == "check" and len(args) > 1 else args[0]
        for setting in sorted(facts.needs.get(role, set()) - given):
            found.append(f"{name(workload)}: `waybill {' '.join(args)}` lacks {setting}")
    return found


@promise
def secrets_come_from_secrets(objects, facts):
    """As files that follow a change of the Secret; so does the warehouse's address, which has a password in it."""
    found = [f"{name(thing)}: holds a secret itself" for thing in of_kind(objects, "Secret")]
    for workload, pod, container in containers(objects):
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        for variable, given in environment(container).items():
            if setting_of(variable, facts) not in facts.files:
                continue
            if not variable.endswith("_FILE"):
                found.append(f"{name(workload)}: {variable} is no file: it shows in the environment, and cannot change while it runs")
                continue
            path = PurePosixPath(given.get("value", ""))
            mounts = [mount for mount in container.get("volumeMounts", []) if mount["mountPath"] == str(path.parent)]
            if not mounts or "subPath" in mounts[0]:
                found.append(f"{name(workload)}: {variable} names {path}, which is not in a folder of its own that is mounted")
                continue
            source = volumes[mounts[0]["name"]].get("secret")
            if not source or path.name not in [item["path"] for item in source["items"]]:
                found.append(f"{name(workload)}: {variable} names {path}, which its Secret does not hold")
            elif source.get("defaultMode") != 0o440:
                found.append(f"{name(workload)}: {variable}: its mode is not 0440")
    return found


@promise
def nothing_shows_a_secret(objects, _facts):
    def texts(value):
        if isinstance(value, dict):
            return [text for item in value.items() for part in item for text in texts(part)]
        if isinstance(value, list):
            return [text for item in value for text in texts(item)]
        return [value] if isinstance(value, str) else []

    return [
        f"{name(thing)}: shows something like a secret"
        for thing in objects
        for text in texts(thing)
        if SECRET_TEXT.search(text)
    ]


@promise
def ports_agree(objects, facts):
    found = []
    listeners = {"http": "WAYBILL_LISTEN", "ops": "WAYBILL_OPS_LISTEN"}
    for workload, pod, container in containers(objects):
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        if is_running(pod) != ("ops" in ports):
            found.append(f"{name(workload)}: a mover and the operators' port belong together")
        for port, number in ports.items():
            listen = environment(container).get(listeners.get(port, ""), {}).get("value", "")
            if number != facts.ports.get(port) or listen.rpartition(":")[2] != str(number):
                found.append(f"{name(workload)}: port {port} is {number}, the program's {facts.ports.get(port)}, and it listens on `{listen}`")
        if "ops" in ports and "WAYBILL_OPS_TOKEN_FILE" not in environment(container):
            found.append(f"{name(workload)}: a listener that is not loopback wants a token")
    return found


@promise
def probes_ask_the_right_thing(objects, facts):
    found = []
    wanted = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    for workload, pod, container in containers(objects):
        for probe, path in wanted.items():
            given = container.get(probe)
            if not is_running(pod):
                if given:
                    found.append(f"{name(workload)}: a job has a {probe}")
                continue
            get = (given or {}).get("httpGet", {})
            # Restarting for what is outside would restart everything when the queue is away, which mends nothing.
            if get.get("path") != path or path not in facts.ops_paths or get.get("port") != "ops":
                found.append(f"{name(workload)}: {probe} must get {path} of port ops, and gets {get}")
        if is_running(pod) and container.get("startupProbe"):
            start = container["startupProbe"]
            # An upgrade's longest statement is 10 minutes: docs/OPERATIONS.md.
            least = 900 if environment(container).keys() & {"WAYBILL_MIGRATE"} or "up" in container["args"] else 60
            if start["periodSeconds"] * start["failureThreshold"] < least:
                found.append(f"{name(workload)}: is killed within {least} s of its start")
    return found


@promise
def pods_end_in_time(objects, facts):
    found = []
    for workload, pod, container in containers(objects):
        if not is_running(pod):
            continue
        sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        grace = pod["spec"].get("terminationGracePeriodSeconds", 30)
        if grace < sleep + facts.drain + 5:
            found.append(f"{name(workload)}: is killed after {grace} s, and may need {sleep} + {facts.drain} + 5")
        takes_webhooks = any(port["name"] == "http" for port in container.get("ports", []))
        if takes_webhooks != (sleep > 0):
            found.append(f"{name(workload)}: who takes webhooks, and nobody else, waits before it ends: {sleep} s")
    return found


@promise
def pods_are_confined(objects, _facts):
    found = []
    for workload, pod, container in containers(objects):
        spec = pod["spec"]
        of_pod, of_container = spec.get("securityContext", {}), container.get("securityContext", {})
        rules = {
            "may be root": of_pod.get("runAsNonRoot") is True and of_pod.get("runAsUser", 0) > 0 and not {"runAsUser", "runAsNonRoot"} & of_container.keys(),
            "has no seccomp profile": of_pod.get("seccompProfile") == {"type": "RuntimeDefault"},
            "has a writable root": of_container.get("readOnlyRootFilesystem") is True,
            "may gain privileges": of_container.get("allowPrivilegeEscalation") is False,
            "has capabilities": of_container.get("capabilities") == {"drop": ["ALL"]},
            "is privileged": not of_container.get("privileged"),
            "shares the node": not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(),
            "has a token of the cluster": spec.get("automountServiceAccountToken") is False,
            "gets names of Services": spec.get("enableServiceLinks") is False,
            "has no bound of memory": "memory" in container.get("resources", {}).get("limits", {}),
            "asks for nothing": {"cpu", "memory"} <= container.get("resources", {}).get("requests", {}).keys(),
        }
        found += [f"{name(workload)}: {fault}" for fault, holds in rules.items() if not holds]
    return found


@promise
def only_data_is_writable(objects, _facts):
    found = []
    for workload, pod, container in containers(objects):
        claims = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
        kinds = {volume["name"]: (volume.keys() - {"name"}).pop() for volume in pod["spec"].get("volumes", [])}
        for mount in container.get("volumeMounts", []):
            kind = "claim" if mount["name"] in claims else kinds.get(mount["name"])
            if kind is None:
                found.append(f"{name(workload)}: mounts {mount['name']}, which is no volume")
            elif kind in ("secret", "configMap"):
                if not mount.get("readOnly"):
                    found.append(f"{name(workload)}: {mount['mountPath']} is writable")
            elif kind != "claim" or mount["mountPath"] != WRITABLE:
                found.append(f"{name(workload)}: writes to {mount['mountPath']}, a volume of kind {kind}")
        # What rests on a disk must rest on one that outlives the pod.
        for text in [given.get("value", "") for given in environment(container).values()] + container["args"]:
            path = text.removeprefix("file:")
            if (path != text or path.startswith(WRITABLE)) and not (claims and path.startswith(WRITABLE)):
                found.append(f"{name(workload)}: {text} is on no volume that lasts")
    return found
