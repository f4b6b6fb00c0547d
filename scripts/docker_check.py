#!/usr/bin/env python3
"""Holds deploy/docker against the rest of the repository: settings, files, ports, secrets, and what a container may do.

Usage: scripts/docker_check.py COMPOSE-JSON CONTEXT SECRETS PROGRAM

COMPOSE-JSON is what `docker compose config --format json` prints, CONTEXT a folder to make the build context in, SECRETS
one that deploy/docker/secrets.sh has filled, PROGRAM the built one, its library beside it. Prints every fault, and
fails if there is one.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCKERFILE = (ROOT / "deploy/docker/Dockerfile").read_text(encoding="utf-8")
# Not settings, but ours: src/settings/table.rs, OTHERS.
OTHERS = {"WAYBILL_LOG", "WAYBILL_CONFIG"}
# Shared libraries in gcr.io/distroless/cc-debian12: libc6, libgcc-s1, libstdc++6.
IN_BASE = re.compile(r"^(ld-linux-.*\.so\.\d|lib(c|m|dl|rt|pthread|resolv)\.so\.\d|libgcc_s\.so\.1|libstdc\+\+\.so\.6)$")

faults = []


def fault(text):
    faults.append(text)


def settings():
    """Names in the one table of settings: {environment name: default or None}."""
    table = (ROOT / "src/settings/table.rs").read_text(encoding="utf-8")
    table = table[table.index("pub const TABLE") : table.index("\n];")]
    names = {}
    for kind, name, rest in re.findall(r'\b(plain|secret)\(\s*"(\w+)",\s*([^"]*"[^"]*")', table):
        env = f"WAYBILL_{name.upper()}"
        value = re.match(r'Default::Value\(\s*"([^"]*)"', rest)
        names[env] = value and value.group(1)
        if kind == "secret":
            names[f"{env}_FILE"] = None
    # What is no secret by itself, and may hold one.
    for name in re.findall(r'may_be_in_file: true,\s*\.\.plain\(\s*"(\w+)"', table):
        names[f"WAYBILL_{name.upper()}_FILE"] = None
    return names


def check_settings(compose, known):
    for name, service in compose["services"].items():
        for variable in service.get("environment") or {}:
            if variable.startswith("WAYBILL_") and variable not in known and variable not in OTHERS:
                fault(f"{name}: {variable} is no setting")


def instructions():
    """[(word, rest)] of the Dockerfile, continued lines joined."""
    text = re.sub(r"(?m)^#.*\n", "", DOCKERFILE).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def check_image(compose, known):
    lines = instructions()
    last = max(index for index, (word, _) in enumerate(lines) if word == "FROM")
    final = lines[last:]
    of = lambda word: [rest for one, rest in final if one == word]
    if "distroless" not in of("FROM")[0]:
        fault("Dockerfile: the last stage's base has a shell")
    if of("RUN"):
        fault("Dockerfile: the last stage runs something, and has no shell to do it")
    if not re.match(r"[1-9]\d*:[1-9]\d*$", of("USER")[-1] if of("USER") else ""):
        fault("Dockerfile: USER must be a number that is not 0, so that an orchestrator can tell")
    ports = {one.rsplit(":", 1)[-1] for one in (known["WAYBILL_LISTEN"], known["WAYBILL_OPS_LISTEN"])}
    if set(of("EXPOSE")[0].split()) != ports:
        fault(f"Dockerfile: EXPOSE {of('EXPOSE')[0]}, and the settings' defaults are {sorted(ports)}")
    if of("STOPSIGNAL") != ["SIGTERM"]:
        fault("Dockerfile: STOPSIGNAL must be SIGTERM: it drains")
    program = json.loads(of("ENTRYPOINT")[0])[0]
    probe = re.search(r"CMD\s+(\[.*\])", of("HEALTHCHECK")[0])
    if probe is None or json.loads(probe.group(1)) != [program, "health"]:
        fault(f"Dockerfile: HEALTHCHECK must be [{program}, health], without a shell")
    copied = {}
    for rest in of("COPY"):
        source, target = [word for word in rest.split() if not word.startswith("--")]
        copied[target] = source
    made = " ".join(rest for word, rest in lines[:last] if word == "RUN")
    for target, source in copied.items():
        if not re.search(rf"{re.escape(source)}([/ ]|$)", made):
            fault(f"Dockerfile: COPY {source}: the build stage does not make it")
    folder = program.rsplit("/", 1)[0]
    if f"dist.sh --folder {copied.get(folder)} " not in made + " ":
        fault(f"Dockerfile: {program} does not come from scripts/dist.sh")
    for name, service in compose["services"].items():
        for volume in service.get("volumes") or []:
            owned = volume["type"] == "volume" and service["image"].startswith("waybill:")
            if owned and not any(volume["target"].startswith(target + "/") for target in copied):
                fault(f"{name}: the volume {volume['target']} would belong to root: the image has no such folder")
    for probe in (service["healthcheck"]["test"] for service in compose["services"].values() if "build" in service):
        if probe != ["CMD", program, "health"]:
            fault(f"compose.yaml: the health check {probe} is not the image's")
    return program


def make_context(context):
    """The build context that .dockerignore leaves: a list of what is let in, behind a `*`."""
    lines = [line.strip() for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if lines[0] != "*" or not all(re.fullmatch(r"![\w./-]+", line) for line in lines[1:]):
        sys.exit("docker_check: .dockerignore is no list of what is let in, as this check reads it")
    for name in (line[1:] for line in lines[1:]):
        source, target = ROOT / name, context / name
        if not source.exists():
            fault(f".dockerignore: {name} is not there")
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)


def check_context(context):
    """What the build stage needs is in the context: cargo's files, texts that are compiled in, files that are packed."""
    try:
        command = ["cargo", "metadata", "--offline", "--locked", "--no-deps", "--format-version", "1"]
        answer = json.loads(subprocess.run(command, cwd=context, check=True, capture_output=True, text=True).stdout)
    except subprocess.CalledProcessError as error:
        fault(f"context: cargo cannot read it: {error.stderr.strip()}")
        return
    for target in answer["packages"][0]["targets"]:
        if not pathlib.Path(target["src_path"]).exists():
            fault(f"context: {target['src_path']} is missing, which Cargo.toml names")
    for file in (context / "src").rglob("*.rs"):
        for text in re.findall(r'include_(?:str|bytes)!\(\s*"([^"]+)"\s*\)', file.read_text(encoding="utf-8")):
            if not (file.parent / text).exists():
                fault(f"context: {file.relative_to(context)} includes {text}, which is not let in")
    script = (context / "scripts/dist.sh").read_text(encoding="utf-8")
    for line in re.findall(r"(?m)^install -m \d+ (.*) \"\$files/", script):
        for name in line.split():
            if "$" not in name and not (context / name).exists():
                fault(f"context: scripts/dist.sh packs {name}, which is not let in")
    for name in re.findall(r"(?:python3 )?(scripts/[\w.]+)", script):
        if not (context / name).exists():
            fault(f"context: scripts/dist.sh runs {name}, which is not let in")


def check_cage(compose):
    for name, service in compose["services"].items():
        cage = {
            "read_only": service.get("read_only") is True,
            "cap_drop ALL": service.get("cap_drop") == ["ALL"] and not service.get("cap_add"),
            "no-new-privileges": "no-new-privileges:true" in service.get("security_opt", []),
            "a user that is not root": re.match(r"[1-9]\d*:[1-9]\d*$", service.get("user", "")),
            "not privileged": not service.get("privileged"),
            "its own namespaces": not {"network_mode", "pid", "ipc", "devices"} & set(service),
            "a tag that is a version": re.search(r":(v?\d|dev$)", service["image"]),
            "a health check, or an end": "healthcheck" in service or service.get("restart") == "no",
            "a grace period": "build" not in service or service.get("stop_grace_period") == "30s",
        }
        for rule, holds in cage.items():
            if not holds:
                fault(f"{name}: lacks {rule}")
        for port in service.get("ports") or []:
            if port.get("host_ip") != "127.0.0.1":
                fault(f"{name}: port {port['target']} is open to others than this machine")
        for volume in service.get("volumes") or []:
            if volume["type"] == "bind" and not volume.get("read_only"):
                fault(f"{name}: {volume['source']} can be written")
            if volume["type"] == "bind" and not pathlib.Path(volume["source"]).exists():
                fault(f"{name}: {volume['source']} is not there")


def check_ports(compose, known):
    """Everybody who names a port of a service names one that it listens on."""
    listens = {"aws": {"5000"}, "postgres": {"5432"}, "prometheus": {"9090"}, "setup": set()}
    for name, service in compose["services"].items():
        if "build" in service:
            env = service["environment"]
            listens[name] = {env["WAYBILL_OPS_LISTEN"].rsplit(":", 1)[1]}
            if service["command"] == ["receive"]:
                listens[name].add(env.get("WAYBILL_LISTEN", known["WAYBILL_LISTEN"]).rsplit(":", 1)[1])
    if "5000" not in compose["services"]["aws"]["entrypoint"]:
        fault("aws: does not listen on 5000")
    texts = {
        "compose.yaml": json.dumps(compose["services"]),
        "prometheus.yml": (ROOT / "deploy/docker/prometheus.yml").read_text(encoding="utf-8"),
        "secrets.sh": (ROOT / "deploy/docker/secrets.sh").read_text(encoding="utf-8"),
    }
    for file, text in texts.items():
        for service, port in re.findall(rf"\b({'|'.join(listens)}):(\d{{4,5}})\b", text):
            if port not in listens[service]:
                fault(f"{file}: {service}:{port}, and it listens on {sorted(listens[service])}")
    scraped = set(re.findall(r'"(\w+):\d+"', texts["prometheus.yml"]))
    movers = {name for name, service in compose["services"].items() if "build" in service}
    if scraped != movers:
        fault(f"prometheus.yml scrapes {sorted(scraped)}, and compose.yaml runs {sorted(movers)}")
    for name, service in compose["services"].items():
        for port in service.get("ports") or []:
            if str(port["target"]) not in listens[name]:
                fault(f"{name}: publishes {port['target']}, and listens on {sorted(listens[name])}")


def check_secrets(compose, secrets):
    made = {file.name for file in secrets.iterdir()}
    declared = {pathlib.Path(one["file"]).name for one in compose["secrets"].values()}
    if made != declared:
        fault(f"secrets.sh makes {sorted(made)}, compose.yaml names {sorted(declared)}")
    for name, service in compose["services"].items():
        mounted = {one["target"] for one in service.get("secrets") or []}
        used = set(re.findall(r"/run/secrets/\w+", json.dumps(service.get("environment") or {})))
        if mounted != used:
            fault(f"{name}: is given {sorted(mounted)}, and uses {sorted(used)}")
        for variable in service.get("environment") or {}:
            if re.search(r"(PASSWORD|TOKEN|SECRETS|PRIVACY_KEY|API_KEY)$", variable):
                fault(f"{name}: {variable} is a secret in the environment: give it as a file")


def check_libraries(program):
    """The base image has every shared library that the two files ask for."""
    for file in (program, program.parent / "libduckdb.so"):
        shown = subprocess.run(["readelf", "--dynamic", "--wide", file], check=True, capture_output=True, text=True).stdout
        for name in re.findall(r"\(NEEDED\).*\[(.*)\]", shown):
            if not IN_BASE.match(name) and name != "libduckdb.so":
                fault(f"{file.name} needs {name}, which the base image does not have")


def main(compose, context, secrets, program):
    compose = json.loads(compose.read_text(encoding="utf-8"))
    known = settings()
    if len(known) < 30 or known.get("WAYBILL_LISTEN") is None:
        sys.exit(f"docker_check: cannot read src/settings/table.rs: {len(known)} names")
    check_settings(compose, known)
    check_image(compose, known)
    make_context(context)
    check_context(context)
    check_cage(compose)
    check_ports(compose, known)
    check_secrets(compose, secrets)
    check_libraries(program)
    for text in faults:
        print(f"docker_check: {text}", file=sys.stderr)
    if faults:
        sys.exit(1)
    print(f"docker_check: {len(compose['services'])} services, {len(known)} names of settings: they agree")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*(pathlib.Path(argument) for argument in sys.argv[1:]))
