"""Rules that the plans and files have to keep. Each gives faults, as sentences; none is good."""

import json
import re

import plans
import source
import standin

LAKE = f"arn:aws:s3:::waybill-lake-{standin.ACCOUNT}-{standin.REGION}"
RETAIL = f"arn:aws:s3:::waybill-retail-{standin.ACCOUNT}-{standin.REGION}"
STAGING = f"arn:aws:s3:::waybill-staging-{standin.ACCOUNT}-{standin.REGION}"
QUEUE = f"arn:aws:sqs:{standin.REGION}:{standin.ACCOUNT}:waybill"


class World:
    """What is looked at: the project's folder, the plans of the examples, what was said to those without secrets, and the
    program's source."""

    def __init__(self, root, planned, operations, refused):
        self.root = root
        self.terraform = root / "deploy" / "terraform"
        self.plans = planned
        self.resources = {example: plans.resources(plan) for example, plan in planned.items()}
        self.code = source.Code(root)
        self.operations = operations
        self.refused = refused

    def each(self, kind):
        """Example, address and values of every resource of a kind."""
        for example, found in self.resources.items():
            for address, values in found.items():
                if re.search(rf"(^|\.){kind}\.", address):
                    yield example, address, values

    def containers(self):
        """Example, process and definition of each container."""
        for example, address, values in self.each("aws_ecs_task_definition"):
            for container in json.loads(values["container_definitions"]):
                yield example, re.search(r'\["(.+)"\]', address).group(1), container


def listed(value):
    return value if isinstance(value, list) else [value]


# --- files ------------------------------------------------------------------------------------------------------------


def files_are_whole(world):
    """Everything that is declared is described and used."""
    examples = "\n".join(path.read_text(encoding="utf-8") for path in (world.terraform / "examples").rglob("*.tf"))
    readme = (world.terraform / "README.md").read_text(encoding="utf-8")
    folders = {path.parent for path in world.terraform.rglob("*.tf") if ".terraform" not in path.parts}
    for folder in sorted(folders):
        where = folder.relative_to(world.terraform)
        text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.tf")))
        code = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
        for kind, name, body in re.findall(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL):
            description = re.search(r'^  description = "(.+)"$', body, re.MULTILINE)
            if not description or len(description.group(1)) < 10:
                yield f"{where}: {kind} {name} is not described"
            if kind == "variable" and not re.search(r"^  type ", body, re.MULTILINE):
                yield f"{where}: variable {name} has no type"
            if kind == "variable" and not re.search(
                rf"\bvar\.{name}\b", re.sub(r'variable "\w+" \{.*?^\}', "", code, flags=re.DOTALL | re.MULTILINE)
            ):
                yield f"{where}: variable {name} is not used"
            if (
                kind == "output"
                and where.parts[0] == "modules"
                and f".{name}" not in examples
                and f"`{name}`" not in readme
            ):
                yield f"{where}: output {name} is used by no example and named in no README"
        for block in re.findall(r"^locals \{\n(.*?)^\}", code, re.MULTILINE | re.DOTALL):
            for name in re.findall(r"^  (\w+) += ", block, re.MULTILINE):
                if not re.search(rf"\blocal\.{name}\b", code):
                    yield f"{where}: local {name} is not used"


def skips_have_reasons(world):
    for path in sorted(world.terraform.rglob("*.tf")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "checkov:skip" in line and not re.search(r"checkov:skip=CKV\w+:.{15,}", line):
                yield f"{path.name}: a check is left out without a reason: {line.strip()}"


def secrets_are_nowhere(world):
    for example, plan in world.plans.items():
        if plans.SECRET in json.dumps(plan):
            yield f"{example}: a secret is in the plan"


def no_plan_without_its_secrets(world):
    """The real provider refuses one, and a default would become a password that everybody knows."""
    for name, said in world.refused.items():
        if said is None:
            yield f"{name}: a plan is made, by a value that nobody set"
            continue
        for wanted in plans.REFUSED[name][3]:
            if wanted not in said:
                yield f"{name}: nothing says: {wanted}. Instead: {said}"


# --- the program's settings -------------------------------------------------------------------------------------------


def settings_are_real(world):
    known = world.code.settings
    for example, process, container in world.containers():
        where = f"{example}, {process}"
        given = {entry["name"]: entry["value"] for entry in container["environment"]}
        secrets = {entry["name"] for entry in container["secrets"]}
        for name in [*given, *secrets]:
            if name != "AWS_REGION" and name not in known:
                yield f"{where}: no setting is called {name}"
        for name in given:
            if known.get(name, (False,))[0] or name == "WAYBILL_WAREHOUSE":
                yield f"{where}: {name} is a secret, and stands in the task's definition"
        for name in sorted(world.code.needs[process] - set(given) - secrets):
            yield f"{where}: {name} is missing, and the process would not start"
        if set(given) & secrets:
            yield f"{where}: {set(given) & secrets} is given twice"
        listens = given.get("WAYBILL_OPS_LISTEN", known["WAYBILL_OPS_LISTEN"][1])
        if not listens.startswith("127.") and "WAYBILL_OPS_TOKEN" not in secrets:
            yield f"{where}: the operators' listener is open and has no token"
        if container["command"][0] not in set(world.code.needs):
            yield f"{where}: no command of the program is called {container['command'][0]}"
        # Who reads the list of the erased ends without the key, once somebody is on it.
        reads_list = ("get", "suppressed") in {
            right for role in parts_of(world, process) for right in world.code.part(role, [])[2]
        }
        if reads_list and "WAYBILL_PRIVACY_KEY" not in secrets:
            yield f"{where}: without WAYBILL_PRIVACY_KEY nobody can ever be erased"


def starts_read_their_own_secrets(world):
    for example, process, container in world.containers():
        policy = json.loads(world.resources[example][f'aws_iam_role_policy.start["{process}"]']["policy"])
        allowed = {
            arn
            for statement in policy["Statement"]
            if "secretsmanager:GetSecretValue" in statement["Action"]
            for arn in statement["Resource"]
        }
        needed = {entry["valueFrom"] for entry in container["secrets"]}
        if allowed != needed:
            yield f"{example}, {process}: its start may read {sorted(allowed)} and needs {sorted(needed)}"


# --- queue ------------------------------------------------------------------------------------------------------------


def queues_fit_the_program(world):
    code = world.code
    lease = int(re.fullmatch(r"(\d+)s", code.settings["WAYBILL_BATCH_LEASE"][1]).group(1))
    retention = code.seconds("src/queue/sqs.rs", "RETENTION_MAX")
    largest = code.number("src/queue/sqs.rs", "BATCH_BYTES_MAX")
    body = code.number("src/receive/mod.rs", "body_bytes_max")
    attempts = code.number("src/batch/settings.rs", "attempts_max")
    for example, address, queue in world.each("aws_sqs_queue"):
        where = f"{example}, {address}"
        if queue["message_retention_seconds"] != retention:
            yield f"{where}: keeps {queue['message_retention_seconds']} s; SQS's longest is {retention:.0f} s"
        if queue["max_message_size"] != largest or largest < body:
            yield f"{where}: takes {queue['max_message_size']} bytes, the program sends up to {largest}"
        if queue["visibility_timeout_seconds"] < lease:
            yield f"{where}: hides a message for less than the program's lease of {lease} s"
        if not queue["kms_master_key_id"] or queue["kms_data_key_reuse_period_seconds"] < 300:
            yield f"{where}: has no key, or asks for a data key too often"
        if address.endswith(".main"):
            redrive = json.loads(queue["redrive_policy"])
            if redrive["deadLetterTargetArn"] != f"{QUEUE}-dead-letters":
                yield f"{where}: its dead-letter queue is another"
            if redrive["maxReceiveCount"] <= attempts:
                yield f"{where}: SQS moves a message after {redrive['maxReceiveCount']} receives, before batch gives up after {attempts}"
    for example, address, values in world.each("aws_sqs_queue_policy"):
        policy = json.loads(values["policy"])
        if not any(refuses_without_tls(statement, "sqs:*") for statement in policy["Statement"]):
            yield f"{example}, {address}: takes requests without TLS"


def refuses_without_tls(statement, action):
    return (
        statement["Effect"] == "Deny"
        and statement["Principal"] == "*"
        and action in listed(statement["Action"])
        and statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport") == "false"
    )


# --- bucket -----------------------------------------------------------------------------------------------------------


def buckets_are_closed(world):
    for example, found in world.resources.items():
        for address in [address for address in found if address.startswith("aws_s3_bucket.")]:
            name = address.removeprefix("aws_s3_bucket.")
            for kind in ("public_access_block", "server_side_encryption_configuration", "policy"):
                if f"aws_s3_bucket_{kind}.{name}" not in found:
                    yield f"{example}: bucket {name} has no {kind}"
            statements = json.loads(found[f"aws_s3_bucket_policy.{name}"]["policy"])["Statement"]
            if not any(refuses_without_tls(statement, "s3:*") for statement in statements):
                yield f"{example}: bucket {name} takes requests without TLS"
            block = found[f"aws_s3_bucket_public_access_block.{name}"]
            if not all(
                block[key]
                for key in ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
            ):
                yield f"{example}: bucket {name} may be made public"
        versioning = found['aws_s3_bucket_versioning.this["lake"]']["versioning_configuration"][0]["status"]
        if versioning != "Enabled":
            yield f"{example}: the lake has no versions"


def the_lake_is_written_once(world):
    """Every folder that the program knows is protected as the program writes it."""
    poll_state = world.code.folders["POLL_STATE"]
    for example, found in world.resources.items():
        statements = json.loads(found['aws_s3_bucket_policy.this["lake"]']["policy"])["Statement"]
        protected, erasable = set(), set()
        for statement in statements:
            condition = statement.get("Condition") or {}
            if statement["Effect"] == "Deny" and condition.get("Null") == {"s3:if-none-match": "true"}:
                folders = {
                    arn.removeprefix(f"{LAKE}/waybill/").removesuffix("/*") for arn in listed(statement["Resource"])
                }
                protected |= folders
                if "ArnNotEquals" in condition:
                    erasable |= folders
                    if condition["ArnNotEquals"] != {
                        "aws:PrincipalArn": f"arn:aws:iam::{standin.ACCOUNT}:role/waybill-forget"
                    }:
                        yield f"{example}: another role than forget's may replace objects"
        wanted = set(world.code.folders.values()) - {poll_state}
        if protected != wanted:
            yield f"{example}: written once are {sorted(protected)}, the program has {sorted(wanted)}"
        replaced = {
            folder for folder in ("events", "dead-letters") if ("put", folder) in world.code.part("forget", [])[2]
        }
        if erasable != replaced:
            yield f"{example}: an erasure may rewrite {sorted(erasable)}, and does {sorted(replaced)}"
        if not any(statement.get("Sid") == "NobodyDeletes" for statement in statements):
            yield f"{example}: the lake's objects may be deleted"
        lifecycle = found["aws_s3_bucket_lifecycle_configuration.lake"]["rule"]
        for rule in lifecycle:
            if rule.get("expiration"):
                yield f"{example}: rule {rule['id']} lets go of objects by default"
            if any(step["storage_class"] in ("GLACIER", "DEEP_ARCHIVE") for step in rule.get("transition") or []):
                yield f"{example}: rule {rule['id']} moves objects where the program cannot read them"


# --- roles ------------------------------------------------------------------------------------------------------------


def parts_of(world, role):
    if role != "up":
        return [role]
    parts = world.code.parts_of_up()
    return sorted(parts)


def wanted_rights(world, example, role, faults):
    """(action, resource) pairs that the role's code needs."""
    is_redshift = any(
        "staging" in address for address in world.resources[example] if address.startswith("aws_s3_bucket.")
    )
    has_poll = any(
        entry["name"] == "WAYBILL_AFTERSHIP_API_KEY"
        for _, process, container in world.containers()
        if process in ("up", "poll") and _ == example
        for entry in container["secrets"]
    )
    wanted = set()
    for part in parts_of(world, role):
        if part == "poll" and role == "up" and not has_poll:
            continue
        queue, opens_dead_letters, lake = world.code.part(part, faults)
        for method in queue:
            wanted |= {(action, QUEUE) for action in world.code.rights(f"queue.{method}")}
        if opens_dead_letters:
            for method in (queue - {"send"}) | {"find"}:
                wanted |= {(action, f"{QUEUE}-dead-letters") for action in world.code.rights(f"queue.{method}")}
        for method, folder in lake:
            for action in world.code.rights(f"lake.{method}"):
                if folder == "retail":
                    wanted.add((action, RETAIL if method == "list" else f"{RETAIL}/retail/*"))
                elif method == "list":
                    wanted.add((action, LAKE))
                else:
                    wanted.add((action, f"{LAKE}/waybill/{folder}/*"))
        for method in source.STAGERS.get(part, []) if is_redshift else []:
            for action in world.code.rights(f"staging.{method}"):
                wanted.add((action, STAGING if method == "list" else f"{STAGING}/staging/*"))
    return wanted


def roles_do_what_the_code_does(world):
    """Not one action more than the code calls, and not one less."""
    yield from world.code.call_faults(world.operations)
    for example, address, values in world.each("aws_iam_role_policy"):
        match = re.fullmatch(r'aws_iam_role_policy\.(process|person)\["(.+)"\]', address)
        if not match:
            continue
        role, where = match.group(2), f"{example}, role {match.group(2)}"
        faults = []
        wanted = wanted_rights(world, example, role, faults)
        yield from faults
        given = set()
        for statement in json.loads(values["policy"])["Statement"]:
            if statement["Effect"] != "Allow" or "NotAction" in statement or "NotResource" in statement:
                yield f"{where}: a statement that this test cannot read: {statement}"
                continue
            pairs = {(action, arn) for action in listed(statement["Action"]) for arn in listed(statement["Resource"])}
            given |= {pair for pair in pairs if not pair[0].startswith("kms:")}
            for action, arn in sorted(pairs):
                prefix = {LAKE: "waybill/*", RETAIL: "retail/*", STAGING: "staging/*"}.get(arn)
                if action == "s3:ListBucket" and statement.get("Condition") != {"StringLike": {"s3:prefix": [prefix]}}:
                    yield f"{where}: may list all of {arn}"
        yield from (
            f"{where}: may {action} on {arn}, which its code does not" for action, arn in sorted(given - wanted)
        )
        yield from (
            f"{where}: may not {action} on {arn}, which its code does" for action, arn in sorted(wanted - given)
        )
        yield from (f"{where}: {fault}" for fault in key_faults(values, given))


def key_faults(values, given):
    """The key, for what the role does with it, and by way of that service alone."""
    uses = {"sqs": set(), "s3": set()}
    for statement in json.loads(values["policy"])["Statement"]:
        actions = {action for action in listed(statement["Action"]) if action.startswith("kms:")}
        if actions:
            service = statement["Condition"]["StringEquals"]["kms:ViaService"][0].split(".")[0]
            uses[service] |= actions
    both, decrypt = {"kms:Decrypt", "kms:GenerateDataKey"}, {"kms:Decrypt"}
    actions = {action for action, _ in given}
    wanted = {
        "sqs": both if "sqs:SendMessage" in actions else decrypt if "sqs:ReceiveMessage" in actions else set(),
        "s3": both if "s3:PutObject" in actions else decrypt if "s3:GetObject" in actions else set(),
    }
    for service, needed in wanted.items():
        if uses[service] != needed:
            yield f"by way of {service} it may {sorted(uses[service])} with the key, and needs {sorted(needed)}"


def no_role_may_everything(world):
    # Of these AWS knows no narrower resource; a key's policy is about that key.
    for example, address, values in world.each("aws_iam_role_policy"):
        for statement in json.loads(values["policy"])["Statement"]:
            actions = listed(statement["Action"])
            if any("*" in action for action in actions):
                yield f"{example}, {address}: an action with a star: {actions}"
            if "*" in listed(statement["Resource"]) and actions != ["ecr:GetAuthorizationToken"]:
                yield f"{example}, {address}: {actions} on everything"


def people_have_a_second_factor(world):
    for example, address, values in world.each("aws_iam_role"):
        if ".person[" not in f".{address}":
            continue
        for statement in json.loads(values["assume_role_policy"])["Statement"]:
            is_guarded = statement.get("Condition") == {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
            if statement["Effect"] == "Allow" and not is_guarded:
                yield f"{example}, {address}: can be taken on without a second factor"


RULES = [
    files_are_whole,
    skips_have_reasons,
    secrets_are_nowhere,
    no_plan_without_its_secrets,
    settings_are_real,
    starts_read_their_own_secrets,
    queues_fit_the_program,
    buckets_are_closed,
    the_lake_is_written_once,
    roles_do_what_the_code_does,
    no_role_may_everything,
    people_have_a_second_factor,
]
