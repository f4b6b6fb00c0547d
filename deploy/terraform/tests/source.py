"""What the program does, read from its source: settings, calls of AWS, folders of the lake, times.

The calls are found by their names, and each has to be in one of the tables below with what it means. So a call that is
new, or gone, is a fault until somebody has looked at the roles.
"""

import functools
import re

# --- calls of the SDK -------------------------------------------------------------------------------------------------
# Where a call is, and which method of a place it is part of.
CALLS = {
    ("src/queue/sqs/send.rs", "send_message_batch"): "queue.send",
    ("src/queue/sqs.rs", "receive_message"): "queue.receive",
    ("src/queue/sqs.rs", "get_queue_url"): "queue.find",
    ("src/queue/sqs/leases.rs", "delete_message_batch"): "queue.delete",
    ("src/queue/sqs/leases.rs", "change_message_visibility_batch"): "queue.extend",
    ("src/queue/sqs/place.rs", "get_queue_attributes"): "queue.open",
    ("src/lake/s3.rs", "put_object"): "lake.put",
    ("src/lake/s3.rs", "get_object"): "lake.get",
    ("src/lake/s3.rs", "list_objects_v2"): "lake.list",
    ("src/warehouse/redshift/s3.rs", "put_object"): "staging.put",
    ("src/warehouse/redshift/s3.rs", "get_object"): "staging.get",
    ("src/warehouse/redshift/s3.rs", "delete_object"): "staging.remove",
    ("src/warehouse/redshift/s3.rs", "list_objects_v2"): "staging.list",
}

# What AWS asks a right for when an operation is called, where it is not its own name.
ACTIONS = {
    "SendMessageBatch": "SendMessage",
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
    "ListObjectsV2": "ListBucket",
    "ListObjects": "ListBucket",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "DeleteObjects": "DeleteObject",
}

# --- methods of the lake ----------------------------------------------------------------------------------------------
# Whose key a line does not tell: the folders it is about. `retail` is the shop's own bucket.
KEYS = {
    ("src/batch/flush.rs", "put_new"): ["events", "manifests"],
    ("src/load/carry.rs", "get"): ["events"],
    ("src/load/discover.rs", "get"): ["manifests"],
    ("src/load/shop.rs", "list"): ["retail"],
    ("src/load/shop.rs", "get"): ["retail"],
    ("src/reconcile/read.rs", "get"): ["events", "manifests", "dead-letters"],
    ("src/forget/scan.rs", "list"): ["events", "dead-letters"],
    ("src/forget/scan.rs", "get"): ["events", "dead-letters"],
    ("src/forget/scan.rs", "replace"): ["events"],
}

# Functions of src/lake/ that movers call, and what they do there.
HELPERS = {
    "dead_letter::put": [("put", "dead-letters")],
    "dead_letter::list": [("list", ""), ("get", "dead-letters"), ("get", "audit")],
    "dead_letter::close": [("put", "audit")],
    "dead_letter::erase": [("put", "audit"), ("put", "dead-letters")],
    "audit::record": [("put", "audit")],
    "audit::list": [("list", ""), ("get", "audit")],
    "suppressed::put": [("put", "suppressed")],
    "suppressed::close": [("put", "suppressed")],
    "refresh": [("list", ""), ("get", "suppressed")],
    "keep_fresh": [("list", ""), ("get", "suppressed")],
    "receipt::read_minute": [("list", ""), ("get", "receipts")],
    "receipt::read_minutes": [("list", ""), ("get", "receipts"), ("get", "receivers")],
    "receipt::read_counts": [("list", ""), ("get", "receipts"), ("get", "receivers")],
    "Receipts::begin": [("put", "receipts"), ("put", "receivers")],
    "places::suppressed": [("list", ""), ("get", "suppressed")],
}

# The calls that those functions are made of: file, function, method. HELPERS is right as long as this is.
LAKE_TOUCHES = {
    ("src/lake/audit.rs", "list", "get"),
    ("src/lake/audit.rs", "list", "list"),
    ("src/lake/audit.rs", "record", "put_new"),
    ("src/lake/between.rs", "list_between", "list"),
    ("src/lake/dead_letter.rs", "close", "put_new"),
    ("src/lake/dead_letter.rs", "erase", "replace"),
    ("src/lake/dead_letter.rs", "list", "list"),
    ("src/lake/dead_letter.rs", "put", "put_new"),
    ("src/lake/dead_letter.rs", "read", "get"),
    ("src/lake/mod.rs", "list_all", "list"),
    ("src/lake/receipt.rs", "read", "get"),
    ("src/lake/receipt.rs", "read", "list"),
    ("src/lake/receipt/keep.rs", "write", "put_new"),
    ("src/lake/receipt/writers.rs", "later", "get"),
    ("src/lake/receipt/writers.rs", "later", "list"),
    ("src/lake/receipt/writers.rs", "read_mark", "get"),
    ("src/lake/receipt/writers.rs", "writers", "list"),
    ("src/lake/suppressed.rs", "close", "put_new"),
    ("src/lake/suppressed.rs", "put", "put_new"),
    ("src/lake/suppressed.rs", "refreshed", "get"),
    ("src/lake/suppressed.rs", "refreshed", "list"),
}

# Code of each role: folders or files, and in src/app the function that wires it.
CODE = {
    "receive": ["src/receive/", "src/app/movers.rs::receive"],
    "batch": ["src/batch/", "src/app/movers.rs::batch"],
    "load": ["src/load/", "src/app/movers.rs::load", "src/app/movers.rs::load_shop"],
    "poll": ["src/poll/", "src/app/poll.rs"],
    "reconcile": ["src/reconcile/", "src/app/reconcile.rs", "src/app/reconcile/"],
    "dead-letters": ["src/replay/", "src/app/dead_letters.rs"],
    "forget": ["src/forget/", "src/app/forget.rs"],
}
# Where each process begins: gathers its settings, opens its places.
BEGINNINGS = {
    "receive": ("src/app/movers.rs", "receive"),
    "batch": ("src/app/movers.rs", "batch"),
    "load": ("src/app/movers.rs", "load"),
    "poll": ("src/app/poll.rs", "run"),
    "up": ("src/app/up.rs", "up"),
    "reconcile": ("src/app/reconcile.rs", "run"),
}
# What only `reconcile --heal` does, which a person asks for.
HEALING = "src/reconcile/sweep/heal.rs"
# Who writes into Redshift, and so stages; only `check load` lists the bucket.
STAGERS = {"load": ["put", "get", "remove", "list"], "forget": ["put", "get", "remove"]}

# Without the right to list, S3 says "forbidden" of an object that is not there, and not "not found". A first poll has no
# state yet.
ASKS_FOR_WHAT_IS_NOT_THERE = {"poll"}

LAKE_METHOD = {"put_new": "put", "replace": "put", "get": "get", "list": "list", "probe": "list"}
LAKE_TOUCH = re.compile(
    r"\b(?:lake|files)(?:\(\)\?)?(?:\.as_ref\(\))?\s*\.(put_new|replace|get|list|probe)\(|\b(list_all|list_between)\("
)
QUEUE_TOUCH = re.compile(r"\bqueue(?:\.as_ref\(\))?\s*\.(send|receive|extend|delete|depth|probe)\(")
HELPER = re.compile(
    r"\b((?:dead_letter|audit|suppressed|receipt)::[a-z_]+|places::suppressed|Receipts::begin)\w*\(|\.(refresh|keep_fresh)\("
)
QUEUE_METHOD = {"depth": "open", "probe": "open"}


def camel(snake):
    return "".join(part.capitalize() for part in snake.split("_"))


class Code:
    """The source below `root`, without its tests."""

    def __init__(self, root):
        self.root = root
        self.files = {}
        for path in sorted((root / "src").rglob("*.rs")):
            name = str(path.relative_to(root))
            # seeded.rs: mistakes on purpose, in builds for tests alone.
            if "/tests" in name or name.endswith(("seeded.rs", "properties.rs", "lab.rs")):
                continue
            text = path.read_text(encoding="utf-8")
            text = re.sub(r"\n#\[cfg\(test\)\]\nmod \w+ \{.*\Z", "\n", text, flags=re.DOTALL)
            self.files[name] = re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)

    def functions(self, name):
        """Name and body of each function of a file, nested ones within theirs."""
        text = self.files[name]
        starts = [(match.start(), match.group(1)) for match in re.finditer(r"\bfn (\w+)\s*[(<]", text)]
        for (start, function), following in zip(starts, [*starts[1:], (len(text), "")]):
            yield function, text[start : following[0]]

    # --- settings and times -------------------------------------------------------------------------------------------

    @functools.cached_property
    def settings(self):
        """By environment name: whether secret, and the default's text, if there is one."""
        table = self.files["src/settings/table.rs"]
        pattern = r"\b(plain|secret)\(\s*\"(\w+)\",\s*Default::(\w+)\(\s*\"([^\"]*)\""
        return {
            f"WAYBILL_{name.upper()}": (kind == "secret", default if form == "Value" else None)
            for kind, name, form, default in re.findall(pattern, table)
        }

    @functools.cached_property
    def needs(self):
        """By process: what its settings must have, by the code that gathers them."""
        names = {
            "Receiving": "WAYBILL_WEBHOOK_SECRETS",
            "Queue": "WAYBILL_QUEUE",
            "Lake": "WAYBILL_LAKE",
            "Warehouse": "WAYBILL_WAREHOUSE",
            "Api": "WAYBILL_AFTERSHIP_API_KEY",
        }
        found = {}
        for process in BEGINNINGS:
            first = re.search(
                r"(?:gather\(&|needs: |needs = )(?:vec!)?\[(.*?)\]", self.beginning(process), re.DOTALL
            ).group(1)
            found[process] = {names[need] for need in re.findall(r"Need::(\w+)", first)}
        return found

    def beginning(self, process):
        """Body of the function that a process begins with."""
        file, function = BEGINNINGS[process]
        return dict(self.functions(file))[function]

    def upgrades(self, process):
        """Whether it brings the warehouse's schema up to date before it answers."""
        return "places::prepare(" in self.beginning(process)

    def seconds(self, file, name):
        """A constant or a field that is a duration."""
        match = re.search(
            rf"\b{name}\b[^=\n]*?(?:: |= )(?:Duration = )?Duration::from_(secs|millis)\(([\d_* ]+)\)", self.files[file]
        )
        if not match:
            raise LookupError(f"{file} has no time called {name}")
        value = eval(match.group(2).replace("_", ""), {"__builtins__": {}})
        return value / (1000 if match.group(1) == "millis" else 1)

    def number(self, file, name):
        match = re.search(rf"\b{name}\b(?:: \w+)? ?[=:] ([\d_* ]+)[;,]", self.files[file])
        if not match:
            raise LookupError(f"{file} has no number called {name}")
        return eval(match.group(1).replace("_", ""), {"__builtins__": {}})

    def text(self, file, name):
        return re.search(rf"const {name}: &str = \"([^\"]+)\"", self.files[file]).group(1)

    @functools.cached_property
    def folders(self):
        """Folders of the lake, by the names that the code has for them."""
        layout = self.files["src/lake/layout.rs"]
        return {name: key.split("/")[0] for name, key in re.findall(r'const (\w+): &str = "([\w-]+/[^"]*)"', layout)}

    # --- calls --------------------------------------------------------------------------------------------------------

    def sdk_calls(self, operations):
        """Calls of the SDK that the source has: file, and the operation's method."""
        methods = {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): name for name in operations}
        found = set()
        for file, text in self.files.items():
            for method in re.findall(r"\.([a-z][a-z0-9_]+)\(\)", text):
                if method in methods:
                    found.add((file, method))
        return found

    def crates(self):
        """Services of AWS that the source speaks to."""
        return {name for text in self.files.values() for name in re.findall(r"\baws_sdk_(\w+)", text)}

    def call_faults(self, operations):
        """Calls that the tables here do not know, and the other way round."""
        for service in sorted(self.crates() - {"sqs", "s3"}):
            yield f"the source speaks to AWS's {service}: no role has a right for it, and tests/source.py does not know it"
        found = self.sdk_calls(operations)
        for file, method in sorted(found - set(CALLS)):
            yield f"{file} calls {method}, which tests/source.py does not know: say in CALLS what it is part of, and look at roles.tf"
        for file, method in sorted(set(CALLS) - found):
            yield f"{file} does not call {method} any more: take it out of CALLS, and the right out of roles.tf"
        touches = set()
        for file in self.files:
            if file.startswith("src/lake/") and file not in ("src/lake/s3.rs", "src/lake/disk.rs"):
                for function, body in self.functions(file):
                    signature_ends = body.index("{") if "{" in body else len(body)
                    for match in LAKE_TOUCH.finditer(body, signature_ends):
                        touches.add((file, function, match.group(1) or "list"))
        for touch in sorted(touches ^ LAKE_TOUCHES):
            yield f"{touch} is new or gone: look at HELPERS and LAKE_TOUCHES in tests/source.py, and at roles.tf"

    def rights(self, method):
        """Actions that a method of a place needs, such as `lake.put`."""
        for (_, call), part in CALLS.items():
            if part == method:
                operation = camel(call)
                service = "sqs" if method.startswith("queue") else "s3"
                yield f"{service}:{ACTIONS.get(operation, operation)}"

    def part(self, role, faults):
        """What a role's code does: queue methods, whether it opens the dead-letter queue, and (method, folder) of the
        lake."""
        queue, lake, opens_dead_letters = set(), set(), False
        for place in CODE[role.replace("heal", "reconcile")]:
            file, _, function = place.partition("::")
            names = [name for name in self.files if name == file or (file.endswith("/") and name.startswith(file))]
            for name in names:
                if name == HEALING and role != "heal":
                    continue
                text = dict(self.functions(name))[function] if function else self.files[name]
                queue |= {QUEUE_METHOD.get(call, call) for call in QUEUE_TOUCH.findall(text)}
                if re.search(r"places::queues?\(", text):
                    queue.add("open")
                if "places::queues(" in text:
                    opens_dead_letters = True
                for match in LAKE_TOUCH.finditer(text):
                    method = match.group(1) or "list"
                    line = text[match.start() : match.start() + 160]
                    named = re.search(r"\A[^;]*?layout::([A-Z_]+)", line)
                    if named and named.group(1) in self.folders:
                        folders = [self.folders[named.group(1)]]
                    elif (name, method) in KEYS:
                        folders = KEYS[name, method]
                    else:
                        faults.append(
                            f"{name} calls {method} of the lake: say in KEYS of tests/source.py in which folder"
                        )
                        continue
                    lake |= {(LAKE_METHOD[method], folder) for folder in folders}
                for match in HELPER.finditer(text):
                    helper = match.group(1) or match.group(2)
                    if helper in HELPERS:
                        lake |= set(HELPERS[helper])
                    elif not re.match(
                        r"(audit|dead_letter|suppressed|receipt)::(?!put|list|close|erase|record|read)", helper
                    ):
                        faults.append(f"{name} calls {helper}, which HELPERS of tests/source.py does not know")
        if role in ASKS_FOR_WHAT_IS_NOT_THERE:
            lake.add(("list", ""))
        return queue, opens_dead_letters, lake

    def parts_of_up(self):
        """Roles whose work `up` does: its movers, and what its console asks of others."""
        text = self.files["src/app/up.rs"]
        signs = {"receive": "start_receive(", "batch": "batch_mover(", "load": "load_mover(", "poll": "poll_mover("}
        found = {role for role, sign in signs.items() if sign in text}
        console = "\n".join(text for name, text in self.files.items() if name.startswith("src/console/"))
        signs = {"dead-letters": "replay::", "reconcile": "Reconcile {"}
        return found | {role for role, sign in signs.items() if sign in console}
