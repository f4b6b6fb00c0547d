#!/usr/bin/env python3
"""Runs the services of deploy/docker/compose.yaml as processes of this machine, until a signed webhook is a row.

Usage: scripts/docker_journey.py COMPOSE-JSON SECRETS PROGRAM VENV PG_BIN

Commands, environment, order and health checks are those of the file, as `docker compose config --format json` prints it.
Only what a container would bring is replaced: names of services and ports by free ports of loopback, /run/secrets by
SECRETS, volumes by folders, programs by those of this machine. Prometheus is not run: its targets are asked instead.
"""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 90
# What a port of the file is for whom; the rest of a container's ports nobody asks for here.
PORTS = {"aws": (5000,), "postgres": (5432,), "receive": (8080, 8081), "batch": (8081,), "load": (8081,)}
# Never through a proxy: all of it is on this machine.
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Journey:
    def __init__(self, compose, secrets, program, venv, pg_bin, work):
        self.services = compose["services"]
        self.work, self.pg_bin, self.venv = work, pg_bin, venv
        wanted = [(service, port) for service, ports in PORTS.items() for port in ports]
        self.ports = dict(zip(wanted, free_ports(len(wanted))))
        self.programs = {
            "/opt/waybill/waybill": program,
            "moto_server": venv / "bin/moto_server",
            "python": venv / "bin/python",
            "pg_isready": pg_bin / "pg_isready",
        }
        self.secrets = work / "secrets"
        shutil.copytree(secrets, self.secrets)
        for file in self.secrets.iterdir():
            file.chmod(0o600)
            file.write_text(self.elsewhere("load", file.read_text()))
        self.running = {}
        # initdb refuses root, as the image's user is not root either.
        self.server_user = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"] if os.geteuid() == 0 else []

    def elsewhere(self, service, text):
        """A text of the file, as it must read on this machine."""
        for (name, port), free in self.ports.items():
            text = re.sub(rf"\b{name}:{port}\b", f"127.0.0.1:{free}", text)
            if name == service:
                text = re.sub(rf"(0\.0\.0\.0|127\.0\.0\.1):{port}\b", f"127.0.0.1:{free}", text)
                text = re.sub(rf"^{port}$", str(free), text)
        text = re.sub(r"^0\.0\.0\.0$", "127.0.0.1", text)
        text = text.replace("/run/secrets/", f"{self.secrets}/")
        for volume in self.services[service].get("volumes") or []:
            source = volume["source"] if volume["type"] == "bind" else str(self.folder(service))
            text = text.replace(volume["target"], source)
        return text

    def folder(self, service):
        folder = self.work / f"volume-{service}"
        folder.mkdir(exist_ok=True)
        return folder

    def environment(self, service):
        env = self.services[service].get("environment") or {}
        return {name: self.elsewhere(service, value) for name, value in env.items()}

    def command(self, service, words):
        program = self.programs.get(words[0])
        if program is None:
            sys.exit(f"docker_journey: {service} runs {words[0]}, which is not known here")
        return [str(program)] + [self.elsewhere(service, word) for word in words[1:]]

    def words(self, service):
        entry = self.services[service].get("entrypoint") or []
        if "build" in self.services[service]:
            entry = ["/opt/waybill/waybill"]
        return self.command(service, entry + (self.services[service].get("command") or []))

    def start(self, service, words=None):
        log = open(self.work / f"{service}.log", "wb")
        words = words or self.words(service)
        self.running[service] = subprocess.Popen(
            words, env=self.environment(service), cwd=self.work, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )

    def log(self, service):
        text = (self.work / f"{service}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-20:])

    def within(self, what, service, look):
        """Looks until there is something."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = look()
            if found:
                return found
            if self.running[service].poll() is not None:
                sys.exit(f"docker_journey: {service} ended before: {what}\n{self.log(service)}")
            if time.monotonic() > deadline:
                sys.exit(f"docker_journey: not within {PATIENCE_SECONDS} s: {what}\n{self.log(service)}")
            time.sleep(0.2)

    def healthy(self, service):
        """Its own health check says so."""
        test = self.services[service]["healthcheck"]["test"]
        if test[0] != "CMD":
            sys.exit(f"docker_journey: the health check of {service} needs a shell: {test}")
        words = self.command(service, test[1:])
        env = self.environment(service)
        began = time.monotonic()
        self.within(
            f"{service} is healthy",
            service,
            lambda: subprocess.run(words, env=env, cwd=self.work, capture_output=True, timeout=30).returncode == 0,
        )
        print(f"docker_journey: {service} is healthy after {time.monotonic() - began:.1f} s")

    def postgres(self):
        """What the image's entry point does: a cluster with that user, password and database."""
        env = self.environment("postgres")
        data = self.folder("postgres")
        password = self.work / "password"
        password.write_text(pathlib.Path(env["POSTGRES_PASSWORD_FILE"]).read_text())
        for path in (data, password):
            if self.server_user:
                shutil.chown(path, "nobody", "nogroup")
        pg = lambda program, *words: [*self.server_user, str(self.pg_bin / program), *map(str, words)]
        user, port = env["POSTGRES_USER"], self.ports["postgres", 5432]
        options = ("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C")
        made = subprocess.run(
            pg("initdb", "-D", data, "-U", user, "--pwfile", password, *options), cwd=self.work, capture_output=True, text=True
        )
        if made.returncode != 0:
            sys.exit(f"docker_journey: initdb: {made.stderr}")
        sockets = ("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
        single = subprocess.run(
            pg("postgres", "--single", "-D", data, "postgres"),
            input=f'create database "{env["POSTGRES_DB"]}"\n', cwd=self.work, capture_output=True, text=True,
        )
        if single.returncode != 0:
            sys.exit(f"docker_journey: cannot create the database: {single.stderr}")
        self.start("postgres", pg("postgres", "-D", data, "-p", port, *sockets))

    def conditions(self, service):
        for needed, how in (self.services[service].get("depends_on") or {}).items():
            if how["condition"] == "service_healthy":
                self.healthy(needed)
            elif self.running[needed].wait(PATIENCE_SECONDS) != 0:
                sys.exit(f"docker_journey: {needed} failed:\n{self.log(needed)}")

    def order(self):
        """Services such that each stands behind what it depends on."""
        ordered = []
        def visit(service):
            for needed in self.services[service].get("depends_on") or {}:
                visit(needed)
            if service not in ordered:
                ordered.append(service)
        for service in sorted(self.services):
            visit(service)
        return [service for service in ordered if service != "prometheus"]

    def post(self, body, signature):
        url = f"http://127.0.0.1:{self.ports['receive', 8080]}/webhooks/aftership"
        request = urllib.request.Request(url, data=body, headers={"aftership-hmac-sha256": signature})
        try:
            with HTTP.open(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def query(self, sql):
        words = self.command("load", ["/opt/waybill/waybill", "query", "--format", "json", sql])
        asked = subprocess.run(words, env=self.environment("load"), cwd=self.work, capture_output=True, text=True, timeout=90)
        return json.loads(asked.stdout) if asked.returncode == 0 else None

    def run(self):
        for service in self.order():
            self.conditions(service)
            if service == "postgres":
                self.postgres()
            else:
                self.start(service)
        for service in ("receive", "batch", "load"):
            self.healthy(service)

        secret = (self.secrets / "webhook_secrets").read_text().strip()
        body = (ROOT / "tests/fixtures/2026-07.json").read_bytes()
        sign = lambda key: base64.b64encode(hmac.new(key.encode(), body, hashlib.sha256).digest()).decode()
        for key, expected in ((secret[::-1], 401), (secret, 200)):
            status, text = self.post(body, sign(key))
            if status != expected:
                sys.exit(f"docker_journey: the webhook is answered {status}, not {expected}: {text}\n{self.log('receive')}")
        began = time.monotonic()
        msg = json.loads(body)["msg"]
        sql = "select tracking_number, source from base.fct_shipment_tracking t join raw.tracking_event e using (tracking_id)"
        rows = self.within("the webhook is a row in PostgreSQL", "load", lambda: self.query(sql))
        if rows != [{"tracking_number": msg["tracking_number"], "source": "webhook"}]:
            sys.exit(f"docker_journey: PostgreSQL has {rows}")
        print(f"docker_journey: a signed webhook is a row in PostgreSQL {time.monotonic() - began:.1f} s later")

        config = (ROOT / "deploy/docker/prometheus.yml").read_text()
        for service, port in re.findall(r'"(\w+):(\d+)"', config):
            with HTTP.open(f"http://127.0.0.1:{self.ports[service, int(port)]}/metrics", timeout=20) as answer:
                if b"waybill_build_info" not in answer.read():
                    sys.exit(f"docker_journey: {service}:{port} has no metrics of ours")

        for service in ("receive", "batch", "load"):
            self.running[service].send_signal(signal.SIGTERM)
        for service in ("receive", "batch", "load"):
            code = self.running[service].wait(30)
            if code != 0:
                sys.exit(f"docker_journey: {service} ended with {code}:\n{self.log(service)}")
        print("docker_journey: SIGTERM: all ended with 0")

    def stop(self):
        for service, process in reversed(self.running.items()):
            if process.poll() is None:
                # PostgreSQL throws its clients out on SIGINT; a killed one would leave its shared memory behind.
                process.send_signal(signal.SIGINT if service == "postgres" else signal.SIGKILL)
                process.wait()


def main(compose, secrets, program, venv, pg_bin):
    with tempfile.TemporaryDirectory() as work:
        os.chmod(work, 0o711)
        journey = Journey(json.loads(compose.read_text()), secrets, program, venv, pg_bin, pathlib.Path(work))
        try:
            journey.run()
        finally:
            journey.stop()


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    main(*(pathlib.Path(argument).absolute() for argument in sys.argv[1:]))
