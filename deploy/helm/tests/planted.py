"""Mistakes that are put into rendered objects and into copies of the chart: each must be found by the promise that is for
it. So no promise passes by looking at nothing."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path

import chart as chart_checks
import promises
import schemas
from facts import Facts
from render import Object, of_kind, template


def first(objects: list[Object], kind: str, suffix: str = "") -> Object:
    return next(thing for thing in of_kind(objects, kind) if thing["metadata"]["name"].endswith(suffix))


def container(objects: list[Object], suffix: str, kind: str = "Deployment") -> Object:
    return template(first(objects, kind, suffix))["spec"]["containers"][0]


def spec(objects: list[Object], suffix: str, kind: str = "Deployment") -> Object:
    return template(first(objects, kind, suffix))["spec"]


def rename(objects: list[Object], suffix: str, old: str, new: str):
    for variable in container(objects, suffix)["env"]:
        if variable["name"] == old:
            variable["name"] = new
            return
    raise KeyError(old)


def drop(objects: list[Object], suffix: str, variable: str, kind: str = "Deployment"):
    env = container(objects, suffix, kind)["env"]
    env.remove(next(one for one in env if one["name"] == variable))


def plain(objects: list[Object], suffix: str, variable: str, value: str):
    drop(objects, suffix, variable)
    container(objects, suffix)["env"].append({"name": variable.removesuffix("_FILE"), "value": value})


def behind_alb(objects: list[Object], port: str):
    """As examples/eks-alb.yaml has it, but for the port that is asked and who may ask."""
    ingress = first(objects, "Ingress")
    ingress["spec"]["ingressClassName"] = "alb"
    asks = {"target-type": "ip", "healthcheck-port": port, "healthcheck-path": "/readyz"}
    ingress["metadata"]["annotations"] = {f"alb.ingress.kubernetes.io/{key}": value for key, value in asks.items()}


# The mistake, what it does to objects of examples/split.yaml, and the promise (or `schema`) that must find it.
Mistake = tuple[str, Callable[[list[Object]], object], str]
MISTAKES: list[Mistake] = [
    ("a setting misspelt", lambda o: rename(o, "-batch", "WAYBILL_QUEUE", "WAYBILL_QUEU"), "settings_are_known"),
    ("a plain setting as a file", lambda o: rename(o, "-batch", "WAYBILL_QUEUE", "WAYBILL_QUEUE_FILE"), "settings_are_known"),
    ("a setting twice", lambda o: container(o, "-batch")["env"].append({"name": "WAYBILL_QUEUE", "value": "x"}), "settings_are_known"),
    ("a command that is none", lambda o: container(o, "-batch").update(args=["batches"]), "commands_are_known"),
    ("a flag that is none", lambda o: container(o, "-batch").update(args=["batch", "--twice"]), "commands_are_known"),
    ("a role that is none", lambda o: container(o, "-check-load", "Pod").update(args=["check", "audit"]), "commands_are_known"),
    ("a shell around it", lambda o: container(o, "-load").update(command=["sh", "-c"]), "commands_are_known"),
    ("a loader without its lake", lambda o: drop(o, "-load", "WAYBILL_LAKE"), "movers_have_what_they_need"),
    ("an audit without a warehouse", lambda o: drop(o, "-audit", "WAYBILL_WAREHOUSE_FILE", "CronJob"), "movers_have_what_they_need"),
    ("a webhook secret in plain", lambda o: plain(o, "-receive", "WAYBILL_WEBHOOK_SECRETS_FILE", "0123456789abcdef"), "secrets_come_from_secrets"),
    ("an address in plain", lambda o: plain(o, "-load", "WAYBILL_WAREHOUSE_FILE", "postgres://h/d"), "secrets_come_from_secrets"),
    ("an address in the environment", lambda o: (drop(o, "-load", "WAYBILL_WAREHOUSE_FILE"), container(o, "-load")["env"].append({"name": "WAYBILL_WAREHOUSE", "valueFrom": {"secretKeyRef": {"name": "waybill-warehouse", "key": "address"}}})), "secrets_come_from_secrets"),
    ("an address that is not mounted", lambda o: container(o, "-load").update(volumeMounts=[mount for mount in container(o, "-load")["volumeMounts"] if mount["name"] != "warehouse"]), "secrets_come_from_secrets"),
    ("a secret that never changes", lambda o: container(o, "-receive")["volumeMounts"][0].update(subPath="secrets"), "secrets_come_from_secrets"),
    ("another key", lambda o: spec(o, "-receive")["volumes"][0]["secret"]["items"][0].update(path="other"), "secrets_come_from_secrets"),
    ("a secret for everybody", lambda o: spec(o, "-receive")["volumes"][0]["secret"].update(defaultMode=0o644), "secrets_come_from_secrets"),
    ("a Secret in the chart", lambda o: o.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "namespace": "shop"}, "stringData": {"a": "b"}}), "secrets_come_from_secrets"),
    ("a password shown", lambda o: first(o, "Service")["metadata"].setdefault("annotations", {}).update(note="postgres://u:hunter2@h/d"), "nothing_shows_a_secret"),
    ("another port", lambda o: container(o, "-receive")["ports"][0].update(containerPort=8443), "ports_agree"),
    ("the operators' port without a token", lambda o: drop(o, "-batch", "WAYBILL_OPS_TOKEN_FILE"), "ports_agree"),
    ("restarts when the queue is away", lambda o: container(o, "-receive")["livenessProbe"]["httpGet"].update(path="/readyz"), "probes_ask_the_right_thing"),
    ("no readiness", lambda o: container(o, "-receive").pop("readinessProbe"), "probes_ask_the_right_thing"),
    ("probes on the public port", lambda o: container(o, "-receive")["readinessProbe"]["httpGet"].update(port="http"), "probes_ask_the_right_thing"),
    ("killed during an upgrade", lambda o: container(o, "-load")["startupProbe"].update(failureThreshold=6), "probes_ask_the_right_thing"),
    ("killed during a drain", lambda o: spec(o, "-receive").update(terminationGracePeriodSeconds=30), "pods_end_in_time"),
    ("Kubernetes' own grace", lambda o: spec(o, "-receive").pop("terminationGracePeriodSeconds"), "pods_end_in_time"),
    ("closed before proxies know", lambda o: container(o, "-receive").pop("lifecycle"), "pods_end_in_time"),
    ("root", lambda o: spec(o, "-load")["securityContext"].update(runAsUser=0), "pods_are_confined"),
    ("root by the container", lambda o: container(o, "-load")["securityContext"].update(runAsUser=0), "pods_are_confined"),
    ("a writable root", lambda o: container(o, "-audit", "CronJob")["securityContext"].update(readOnlyRootFilesystem=False), "pods_are_confined"),
    ("a capability", lambda o: container(o, "-load")["securityContext"]["capabilities"].update(add=["NET_ADMIN"]), "pods_are_confined"),
    ("no seccomp", lambda o: spec(o, "-batch")["securityContext"].pop("seccompProfile"), "pods_are_confined"),
    ("names of Services", lambda o: spec(o, "-batch").pop("enableServiceLinks"), "pods_are_confined"),
    ("a token of the cluster", lambda o: spec(o, "-batch").update(automountServiceAccountToken=True), "pods_are_confined"),
    ("no bound of memory", lambda o: container(o, "-batch")["resources"].pop("limits"), "pods_are_confined"),
    ("a spool that dies with the pod", lambda o: container(o, "-receive")["env"].append({"name": "WAYBILL_SPOOL", "value": "file:/tmp/spool"}), "only_data_is_writable"),
    ("an emptyDir", lambda o: (spec(o, "-batch")["volumes"].append({"name": "tmp", "emptyDir": {}}), container(o, "-batch")["volumeMounts"].append({"name": "tmp", "mountPath": "/tmp"})), "only_data_is_writable"),
    ("a secret that is writable", lambda o: container(o, "-batch")["volumeMounts"][0].pop("readOnly"), "only_data_is_writable"),
    ("a selector of others", lambda o: first(o, "Deployment", "-batch")["spec"]["selector"]["matchLabels"].pop("app.kubernetes.io/component"), "selectors_meet_their_pods"),
    ("labels that do not match", lambda o: template(first(o, "Deployment", "-load"))["metadata"]["labels"].update({"app.kubernetes.io/component": "loader"}), "selectors_meet_their_pods"),
    ("webhooks to the batcher", lambda o: first(o, "Service")["spec"]["selector"].update({"app.kubernetes.io/component": "batch"}), "selectors_meet_their_pods"),
    ("a mover that nobody scrapes", lambda o: template(first(o, "Deployment", "-batch"))["metadata"]["labels"].pop("waybill/ops"), "selectors_meet_their_pods"),
    ("a scaler of nothing", lambda o: first(o, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"].update(name="waybill-receiver"), "budgets_and_scalers_meet_a_set"),
    ("a scaler and a number", lambda o: first(o, "Deployment", "-receive")["spec"].update(replicas=2), "budgets_and_scalers_meet_a_set"),
    ("a budget of nothing", lambda o: first(o, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].update({"app.kubernetes.io/component": "x"}), "budgets_and_scalers_meet_a_set"),
    ("a budget that holds drains up", lambda o: first(o, "PodDisruptionBudget")["spec"].update(maxUnavailable=0), "budgets_and_scalers_meet_a_set"),
    ("two loaders", lambda o: first(o, "Deployment", "-load")["spec"].update(replicas=2), "one_of_what_must_be_one"),
    ("a loader beside its successor", lambda o: first(o, "Deployment", "-load")["spec"].update(strategy={"type": "RollingUpdate"}), "one_of_what_must_be_one"),
    ("an account for all", lambda o: [spec(o, suffix).update(serviceAccountName="waybill-load") for suffix in ("-load", "-batch")], "accounts_are_one_for_each"),
    ("the default account", lambda o: spec(o, "-load").update(serviceAccountName="default"), "accounts_are_one_for_each"),
    ("the console is public", lambda o: first(o, "Ingress")["spec"]["rules"][0]["http"]["paths"].append({"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "waybill-ops", "port": {"name": "ops"}}}}), "only_the_webhook_is_public"),
    ("every path is public", lambda o: first(o, "Ingress")["spec"]["rules"][0]["http"]["paths"][0].update(pathType="Prefix", path="/"), "only_the_webhook_is_public"),
    ("an Ingress to nothing", lambda o: first(o, "Ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"].update(name="hooks"), "only_the_webhook_is_public"),
    ("the operators' port with an address", lambda o: first(o, "Service", "-ops")["spec"].update(clusterIP="10.0.0.7"), "only_the_webhook_is_public"),
    ("everybody may come in", lambda o: first(o, "NetworkPolicy", "-public")["spec"]["ingress"][0].pop("from"), "traffic_is_named"),
    ("out to everywhere", lambda o: first(o, "NetworkPolicy", "waybill")["spec"]["egress"].append({}), "traffic_is_named"),
    ("receivers reach the warehouse", lambda o: first(o, "NetworkPolicy", "-warehouse")["spec"]["podSelector"]["matchExpressions"][0]["values"].append("receive"), "traffic_is_named"),
    ("no policy for the batcher", lambda o: first(o, "NetworkPolicy", "waybill")["spec"]["podSelector"]["matchLabels"].update({"app.kubernetes.io/component": "load"}), "traffic_is_named"),
    ("a balancer that asks the webhook's port", lambda o: behind_alb(o, "8080"), "balancers_ask_the_operators_port"),
    ("a balancer that may not ask", lambda o: behind_alb(o, "8081"), "balancers_ask_the_operators_port"),
    ("another job", lambda o: first(o, "ServiceMonitor")["spec"]["endpoints"][0]["relabelings"][0].update(replacement="parcels"), "everything_is_scraped_as_one_job"),
    ("nothing is scraped", lambda o: first(o, "ServiceMonitor")["spec"]["selector"]["matchLabels"].update(a="b"), "everything_is_scraped_as_one_job"),
    ("a name that is too long", lambda o: first(o, "CronJob")["metadata"].update(name="a" * 53), "names_fit"),
    ("two of one name", lambda o: o.append(copy.deepcopy(first(o, "Service"))), "names_fit"),
    ("another version", lambda o: container(o, "-load").update(image="waybill:latest"), "image_is_of_this_version"),
    ("a field that is none", lambda o: spec(o, "-load").update(terminationGracePeriod=45), "schema"),
    ("a number as a text", lambda o: first(o, "Service")["spec"]["ports"][0].update(port="80"), "schema"),
    ("an interval misspelt", lambda o: first(o, "ServiceMonitor")["spec"]["endpoints"][0].update(intervall="15s"), "schema"),
    ("an alert without a query", lambda o: first(o, "PrometheusRule")["spec"]["groups"][0]["rules"][2].pop("expr"), "schema"),
    ("an alert changed", lambda o: first(o, "PrometheusRule")["spec"]["groups"][0]["rules"][2].update(expr="vector(1)"), "rules"),
]  # fmt: skip


def finds(finder: str, sound: list[Object], broken: list[Object], facts: Facts) -> bool:
    if finder == "schema":
        # What was not touched was valid before.
        return bool(schemas.faults([thing for thing in broken if thing not in sound]))
    if finder == "rules":
        return bool(chart_checks.rules_are_the_rules(broken, ""))
    (check,) = [check for check in promises.PROMISES if check.__name__ == finder]
    return bool(check(broken, facts))


def in_objects(objects: list[Object], facts: Facts) -> tuple[int, list[str]]:
    """How many mistakes were found, and which were not. `objects`: sound ones."""
    missed = []
    for what, plant, finder in MISTAKES:
        broken = copy.deepcopy(objects)
        plant(broken)
        if broken == objects:
            missed.append(f"{what}: changes nothing")
        elif not finds(finder, objects, broken, facts):
            missed.append(f"{what}: {finder} did not find it")
    uncovered = {check.__name__ for check in promises.PROMISES} - {finder for _, _, finder in MISTAKES}
    return len(MISTAKES) - len(missed), missed + [f"{name}: no mistake is planted for it" for name in sorted(uncovered)]


def replace(path: str, old: str, new: str) -> Callable[[Path], None]:
    def plant(chart: Path):
        text = (chart / path).read_text(encoding="utf-8")
        if text.count(old) < 1:
            raise SystemExit(f"planted.py: {path} has no {old!r}")
        # A link must not lead the mistake into the file that it points to.
        (chart / path).unlink()
        (chart / path).write_text(text.replace(old, new, 1), encoding="utf-8")

    return plant


IN_CHART = [
    ("an appVersion of its own", replace("Chart.yaml", 'appVersion: "', 'appVersion: "9'), "versions_agree"),
    ("another user", replace("values.yaml", "runAsUser: 65532", "runAsUser: 1000"), "user_is_the_images"),
    ("a setting left out", replace("values.schema.json", '"freshness"', '"freshnes"'), "settings_are_complete"),
    ("a value that the schema lacks", replace("values.yaml", "mode: split", "mode: split\n# More.\nmore: 1"), "schema_is_strict"),
    ("a default of the wrong type", replace("values.yaml", "replicas: 2", 'replicas: "2"'), "schema_is_strict"),
    ("a schema that takes anything", replace("values.schema.json", '"additionalProperties": false', '"additionalProperties": true'), "schema_is_strict"),
    ("a table of old values", replace("values.yaml", "preStopSeconds: 10", "preStopSeconds: 15"), "readme_is_of_these_values"),
    ("a value without a word", replace("values.yaml", "  # Its class.\n", ""), "readme_is_of_these_values"),
    ("rules of its own", replace("files/waybill.rules.yml", "> 600", "> 60000"), "files_are_those_of_prometheus_and_grafana"),
]  # fmt: skip


def in_chart(chart: Path, facts: Facts, work: Path) -> tuple[int, list[str]]:
    missed = []
    for number, (what, plant, finder) in enumerate(IN_CHART):
        copied = work / f"chart-{number}"
        shutil.copytree(chart, copied)
        plant(copied)
        (check,) = [check for check in chart_checks.CHECKS if check.__name__ == finder]
        if not check(copied, facts):
            missed.append(f"{what}: {finder} did not find it")
    uncovered = {check.__name__ for check in chart_checks.CHECKS} - {finder for _, _, finder in IN_CHART}
    return len(IN_CHART) - len(missed), missed + [f"{name}: no mistake is planted for it" for name in sorted(uncovered)]
