"""What the program says of itself, read from its sources, for the chart to be held against."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "deploy/helm/waybill"
RULES = ROOT / "deploy/prometheus/waybill.rules.yml"
DASHBOARD = ROOT / "deploy/grafana/waybill.json"


@dataclass(frozen=True)
class Facts:
    """`settings`: by name, whether it is a secret. `files`: those that `…_FILE` may name a file of: secrets, and what may
    hold one. `commands`: by word, its flags. `needs`: by command, the settings without which it does not start. Times are
    seconds."""

    version: str
    settings: dict[str, bool]
    files: set[str]
    commands: dict[str, set[str]]
    roles: set[str]
    needs: dict[str, set[str]]
    ports: dict[str, int]
    webhook_path: str
    ops_paths: set[str]
    drain: int
    image_user: str


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def one(pattern: str, text: str, where: str) -> str:
    """The only match's group. Sources that were rewritten must not pass as sources that agree."""
    found = re.findall(pattern, text, re.DOTALL)
    if len(found) != 1:
        raise SystemExit(f"{where}: {pattern} is there {len(found)} times, expected once: adapt deploy/helm/tests/facts.py")
    return found[0]


def kebab(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"-\1", name).lower()


def settings() -> tuple[dict[str, bool], set[str]]:
    table = one(r"pub const TABLE: &\[Setting\] = &\[(.*?)\n\];", read("src/settings/table.rs"), "table.rs")
    found = re.findall(r"\n    (?:Setting \{\s*(may_be_in_file): true,\s*\.\.)?(plain|secret)\(\s*\"(\w+)\"", table)
    if len(found) != len(re.findall(r"Default::(?:Value|UpOnly|None)\(", table)):
        raise SystemExit("table.rs: some settings were not understood: adapt deploy/helm/tests/facts.py")
    secrets = {name: kind == "secret" for _, kind, name in found}
    return secrets, {name for mark, _, name in found if mark or secrets[name]}


def variants(enum: str, text: str) -> dict[str, str]:
    """Variants of an enum, each with the type it holds, or an empty text."""
    body = one(rf"pub enum {enum} \{{(.*?)\n\}}", text, f"enum {enum}")
    return dict(re.findall(r"\n    ([A-Z]\w*)(?:\((\w+)\))?[ ,{]", body))


def flags(struct: str, text: str) -> set[str]:
    """Long flags of a clap struct, those of structs that are flattened into it included."""
    body = one(rf"pub struct {struct} \{{(.*?)\n\}}", text, f"struct {struct}")
    found = set()
    for arguments, name, kind in re.findall(r"#\[arg\((.*?)\)\]\n    pub (\w+): ([\w:<>]+)", body, re.DOTALL):
        named = re.search(r"long = \"([\w-]+)\"", arguments)
        if named:
            found.add(named[1])
        elif re.search(r"\blong\b", arguments):
            found.add(name.replace("_", "-"))
    for kind in re.findall(r"#\[command\(flatten\)\]\n    pub \w+: (\w+)", body):
        found |= flags(kind, text)
    return found


def needs(known: dict[str, bool]) -> dict[str, set[str]]:
    """By role, from what `waybill check` wants; jobs are added by hand, beside where they say so."""
    text = read("src/app/check.rs")
    of = {"Receiving": "webhook_secrets", "Queue": "queue", "Lake": "lake", "Warehouse": "warehouse", "Api": "aftership_api_key"}
    found = {
        kebab(role): {of[need] for need in re.findall(r"Need::(\w+)", listed)}
        for role, listed in re.findall(r"Role::(\w+) => \(vec!\[(.*?)\]", text)
    }
    if not {"receive", "batch", "load", "poll"} <= set(found):
        raise SystemExit("check.rs: needs were not understood: adapt deploy/helm/tests/facts.py")
    # `up` has defaults for the places; src/app/reconcile.rs, marts.rs, mod.rs.
    found |= {"up": {"webhook_secrets"}, "reconcile": {"lake", "warehouse"}, "audit": {"warehouse"}, "migrate": {"warehouse"}}
    for name in set().union(*found.values()):
        assert name in known, name
    return found


def gather() -> Facts:
    cli, table, shutdown = read("src/cli.rs"), read("src/settings/table.rs"), read("src/ops/shutdown.rs")
    known, files = settings()
    commands = {kebab(name): flags(kind, cli) if kind else set() for name, kind in variants("Command", cli).items()}
    millis = one(r"const EXIT_AFTER: Duration = Duration::from_millis\(([\d_]+)\)", shutdown, "shutdown.rs")
    port = lambda name: int(one(rf"\"{name}\",\s*Default::Value\(\"[\d.]+:(\d+)\"\)", table, "table.rs"))
    health = read("src/ops/health/page.rs")
    return Facts(
        version=one(r"\A\[package\]\nname = \"waybill\"\nversion = \"([^\"]+)\"", read("Cargo.toml"), "Cargo.toml"),
        settings=known,
        files=files,
        commands=commands,
        roles={kebab(name) for name in variants("Role", cli)},
        needs=needs(known),
        ports={"http": port("listen"), "ops": port("ops_listen")},
        webhook_path=one(r"pub const PATH: &str = \"([^\"]+)\"", read("src/receive/mod.rs"), "receive/mod.rs"),
        ops_paths=set(re.findall(r"\.route\(\"([^\"]+)\"", health)),
        drain=-(-int(millis.replace("_", "")) // 1000),
        image_user=one(r"\nUSER (\d+:\d+)\n", read("deploy/docker/Dockerfile"), "Dockerfile"),
    )


if __name__ == "__main__":
    print(gather())
