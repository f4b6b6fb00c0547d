"""More rules, for rules.py: what runs, who reaches it, how it ends, and who hears of it."""

import json
import re

import standin

DRAINED = 25
# What AWS lets a container's check be, in seconds and times: more is refused.
CHECK_MAX = {"interval": 300, "timeout": 60, "retries": 10, "startPeriod": 300}
# Least time for an upgrade of the schema, and most for noticing that a process hangs which has none to wait for.
UPGRADE_SECONDS_MIN = 900
HANGING_SECONDS_MAX = 120
# Who may write into the topics of alarms; checkov cannot read their policies.
PUBLISHERS = [{"Service": f"{service}.amazonaws.com"} for service in ("cloudwatch", "events")]


def tasks_are_confined(world):
    dockerfile = world.root / "deploy" / "docker" / "Dockerfile"
    image = dockerfile.read_text(encoding="utf-8") if dockerfile.exists() else None
    for example, process, container in world.containers():
        where = f"{example}, {process}"
        if not container["readonlyRootFilesystem"] or container["privileged"]:
            yield f"{where}: may write into its own image, or everything"
        if container["linuxParameters"]["capabilities"] != {"drop": ["ALL"]}:
            yield f"{where}: keeps capabilities"
        if container["user"].split(":")[0] in ("", "0", "root"):
            yield f"{where}: runs as root"
        if container["stopTimeout"] <= DRAINED:
            yield f"{where}: is killed after {container['stopTimeout']} s, and drains for {DRAINED} s"
        for mount in container.get("mountPoints") or []:
            if image is not None and f'VOLUME ["{mount["containerPath"]}"]' not in image:
                yield f"{where}: {mount['containerPath']} is no volume of the image, and would belong to root"
        if "@sha256:" not in container["image"]:
            yield f"{where}: its image is not named by its digest"
        check = container["healthCheck"]
        if image is not None:
            user = re.search(r"^USER (\S+)", image, re.MULTILINE).group(1)
            if container["user"] != user:
                yield f"{where}: runs as {container['user']}, the image's files belong to {user}"
            command = json.loads(re.search(r"^HEALTHCHECK .*?CMD (\[.*\])$", image, re.MULTILINE).group(1))
            if check and check["command"] != ["CMD", *command]:
                yield f"{where}: asks for its health by {check['command']}, the image by {command}"
        if process != "reconcile" and (not check or "--ready" in check["command"]):
            yield f"{where}: is restarted by readiness, or by nothing"


def an_upgrade_of_the_schema_has_time(world):
    """Who upgrades it answers at /livez only then, and whoever is killed before begins anew."""
    waits = {}
    for example, process, container in world.containers():
        check, where = container["healthCheck"], f"{example}, {process}"
        if not check:
            continue
        for key, most in CHECK_MAX.items():
            if check[key] > most:
                yield f"{where}: its check has {key} {check[key]}, AWS takes {most} at most"
        wait = check["startPeriod"] + check["interval"] * check["retries"]
        waits[example, process] = wait
        if world.code.upgrades(process) and wait < UPGRADE_SECONDS_MIN:
            yield f"{where}: is killed {wait} s into an upgrade of the schema"
        if not world.code.upgrades(process) and wait > HANGING_SECONDS_MAX:
            yield f"{where}: hangs for {wait} s before it is replaced, and has no schema to upgrade"
    for example, mover, values in services(world):
        grace = values["health_check_grace_period_seconds"]
        if values["load_balancer"] and world.code.upgrades(mover) and grace < waits[example, mover]:
            yield f"{example}, {mover}: the load balancer ends it {grace} s into an upgrade of the schema"
        if values["load_balancer"] and not world.code.upgrades(mover) and grace > HANGING_SECONDS_MAX:
            yield f"{example}, {mover}: hangs for {grace} s behind the load balancer, and has no schema to upgrade"


def times_fit_each_other(world):
    code = world.code
    receive = "src/receive/mod.rs"
    silence = code.seconds(receive, "idle_timeout")
    longest = sum(code.seconds(receive, name) for name in ("header_deadline", "body_deadline", "enqueue_deadline"))
    finish = code.seconds("src/app/movers.rs", "FINISH_ALONE")
    drain_max = code.seconds("src/ops/shutdown.rs", "DRAIN_MAX")
    for example, address, values in world.each("aws_lb"):
        if values["idle_timeout"] >= silence:
            yield f"{example}: the load balancer keeps a connection for {values['idle_timeout']} s, a receiver for {silence:.0f} s: it must be the first to close"
        if values["idle_timeout"] <= longest:
            yield f"{example}: the load balancer gives up on a request before a receiver does"
        if values["internal"]:
            yield f"{example}, {address}: AfterShip cannot reach it"
    for example, _, values in world.each("aws_lb_target_group"):
        if int(values["deregistration_delay"]) < longest:
            yield f"{example}: a receiver is taken away after {values['deregistration_delay']} s, and a request may take {longest:.0f} s"
        check = values["health_check"][0]
        if check["path"] != "/livez":
            yield f"{example}: ECS replaces receivers by {check['path']}: with the queue away it would replace them all"
        if check["port"] != "8081":
            yield f"{example}: health is asked on {check['port']}, the operators' listener is 8081"
    for example, process, container in world.containers():
        given = {entry["name"]: entry["value"] for entry in container["environment"]}
        if "WAYBILL_DRAIN_DELAY" in given and process == "receive":
            delay = int(given["WAYBILL_DRAIN_DELAY"].removesuffix("s"))
            if delay + finish > drain_max:
                yield f"{example}: {delay} s of receiving on and {finish:.0f} s for requests under way are more than the drain's {drain_max:.0f} s"


def only_the_webhook_is_public(world):
    path = world.code.text("src/receive/mod.rs", "PATH")
    for example, address, values in world.each("aws_lb_listener"):
        if values["port"] != 443 or values["protocol"] != "HTTPS" or "TLS13" not in values["ssl_policy"]:
            yield f"{example}, {address}: a listener that is not TLS on 443"
        if values["default_action"][0]["type"] != "fixed-response":
            yield f"{example}, {address}: lets strangers through"
    for example, address, values in world.each("aws_lb_listener_rule"):
        paths = [part["values"] for condition in values["condition"] for part in condition["path_pattern"]]
        if paths != [[path]]:
            yield f"{example}, {address}: forwards {paths}, the program's path is {path}"
    for example, address, values in world.each("aws_vpc_security_group_ingress_rule"):
        is_endpoint = "endpoints" in address
        if values["cidr_ipv4"] and not is_endpoint and (values["from_port"], values["to_port"]) != (443, 443):
            yield f"{example}, {address}: lets addresses in on {values['from_port']}"
        if values["cidr_ipv6"]:
            yield f"{example}, {address}: lets IPv6 in, which nothing here serves"
    for example, mover, values in services(world):
        if values["network_configuration"][0]["assign_public_ip"]:
            yield f"{example}, {mover}: has a public address"
    for kind in ("aws_db_instance", "aws_redshift_cluster"):
        for example, address, values in world.each(kind):
            if values["publicly_accessible"]:
                yield f"{example}, {address}: can be reached from outside"


def services(world):
    for example, found in world.resources.items():
        for address, values in found.items():
            if address.startswith("aws_ecs_service."):
                yield example, values["name"], values


def services_are_as_many_as_they_may(world):
    scaled = {
        (example, values["resource_id"].rsplit("/", 1)[1])
        for example, _, values in world.each("aws_appautoscaling_target")
    }
    for example, mover, values in services(world):
        where = f"{example}, {mover}"
        percents = (values["deployment_minimum_healthy_percent"], values["deployment_maximum_percent"])
        if mover in ("load", "poll", "up") and (values["desired_count"] != 1 or (example, mover) in scaled):
            yield f"{where}: must be one"
        if mover in ("load", "poll") and percents != (0, 100):
            yield f"{where}: a deployment runs two of it at once"
        if mover in ("receive", "up", "batch") and percents != (100, 200):
            yield f"{where}: a deployment takes one away before another is there"
        if mover in ("receive", "up") and len(values["load_balancer"]) != 1:
            yield f"{where}: stands behind no load balancer"
        if mover in ("batch", "load", "poll") and values["load_balancer"]:
            yield f"{where}: stands behind the load balancer"
        if mover == "receive" and values["desired_count"] < 2:
            yield f"{where}: is one, and a zone may fail"
        if not values["deployment_circuit_breaker"][0]["rollback"]:
            yield f"{where}: a deployment that fails stays"
    held = world.code.number("src/batch/settings.rs", "held_max")
    for example, address, values in world.each("aws_appautoscaling_target"):
        if "batch" in address and values["max_capacity"] * held > 120_000:
            yield f"{example}: {values['max_capacity']} batchers hold more than the 120,000 messages that SQS hands out"


def alarms_lead_somewhere(world):
    operations = (world.root / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")
    sections = {slug(heading) for heading in re.findall(r"^#+ (.+)$", operations, re.MULTILINE)}
    for example, found in world.resources.items():
        seen = set()
        for address, values in found.items():
            if address.startswith("aws_cloudwatch_metric_alarm.this"):
                seen.add(values["metric_name"])
                section = values["alarm_description"].rsplit("#", 1)[-1]
                if section not in sections:
                    yield f"{example}, {values['alarm_name']}: docs/OPERATIONS.md has no section {section}"
                if not re.match(r"(page|ticket): ", values["alarm_description"]) or not values["alarm_actions"]:
                    yield f"{example}, {values['alarm_name']}: nobody hears of it"
        for metric in (
            "ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible",
            "HTTPCode_ELB_5XX_Count", "HTTPCode_Target_5XX_Count", "RunningTaskCount",
        ):  # fmt: skip
            if metric not in seen:
                yield f"{example}: no alarm on {metric}"
        watched = {values["dimensions"]["ServiceName"] for address, values in found.items() if "-gone" in address}
        for mover in sorted(
            {values["name"] for address, values in found.items() if address.startswith("aws_ecs_service.")} - watched
        ):
            yield f"{example}: nobody hears when {mover} is gone"


def events_reach_their_topic(world):
    """EventBridge knows no conditions in a topic's policy; CloudWatch does, and has them."""
    account = {"StringEquals": {"aws:SourceAccount": standin.ACCOUNT}}
    for example, found in world.resources.items():
        policies = {
            values["arn"]: json.loads(values["policy"])["Statement"]
            for address, values in found.items()
            if address.startswith("aws_sns_topic_policy.")
        }
        targets = {
            values["arn"] for address, values in found.items() if address.startswith("aws_cloudwatch_event_target.")
        }
        for arn, statements in policies.items():
            for statement in statements:
                if statement["Action"] != "sns:Publish" or statement["Principal"] not in PUBLISHERS:
                    yield f"{example}, {arn.rsplit(':', 1)[-1]}: lets {statement['Principal']} do {statement['Action']}"
        policies["key"] = json.loads(found["aws_kms_key.this"]["policy"])["Statement"]
        for name, statements in policies.items():
            where = f"{example}, {name.rsplit(':', 1)[-1]}"
            if of_service(statements, "cloudwatch") != [account]:
                yield f"{where}: alarms of this account, and of no other, have to get in"
            wanted = [None] if name in targets | {"key"} else []
            if of_service(statements, "events") != wanted:
                yield f"{where}: EventBridge gets in by {of_service(statements, 'events')}, and should by {wanted}"


def of_service(statements, service):
    """Conditions of the statements that let a service of AWS in."""
    return [
        statement.get("Condition")
        for statement in statements
        if f"{service}.amazonaws.com" in json.dumps(statement["Principal"])
    ]


def slug(heading):
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def freshness_and_alarms_agree(world):
    for example, process, container in world.containers():
        given = {entry["name"]: entry["value"] for entry in container["environment"]}
        freshness = int(given["WAYBILL_FRESHNESS"].removesuffix("s"))
        alarm = world.resources[example]['aws_cloudwatch_metric_alarm.this["queue-late"]']
        if alarm["threshold"] < 2 * freshness:
            yield f"{example}, {process}: a queue that is emptied in bursts would be called late"


RULES = [
    tasks_are_confined,
    an_upgrade_of_the_schema_has_time,
    times_fit_each_other,
    only_the_webhook_is_public,
    services_are_as_many_as_they_may,
    alarms_lead_somewhere,
    events_reach_their_topic,
    freshness_and_alarms_agree,
]
