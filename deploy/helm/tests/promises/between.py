"""Promises between objects: who finds whom, and who may reach whom."""

from promises import promise
from render import containers, environment, is_running, name, of_kind, selects, template


@promise
def selectors_meet_their_pods(objects, _facts):
    """Each set finds its own pods and nobody else's; services and budgets find some."""
    found = []
    sets = of_kind(objects, "Deployment", "StatefulSet")
    pods = [(workload, template(workload)) for workload in of_kind(objects, "Deployment", "StatefulSet", "CronJob", "Job", "Pod")]
    met = lambda selector: [(workload, pod) for workload, pod in pods if selects(selector, pod["metadata"]["labels"])]
    for workload in sets:
        others = [name(other) for other, _ in met(workload["spec"]["selector"])]
        if others != [name(workload)]:
            found.append(f"{name(workload)}: its selector finds {others}")
    for service in of_kind(objects, "Service"):
        meets = met({"matchLabels": service["spec"]["selector"]})
        if not meets:
            found.append(f"{name(service)}: finds no pod")
        for port in service["spec"]["ports"]:
            for workload, pod in meets:
                if port["targetPort"] not in [one["name"] for one in pod["spec"]["containers"][0].get("ports", [])]:
                    found.append(f"{name(service)}: {name(workload)} has no port {port['targetPort']}")
    running = {name(workload) for workload, pod in pods if is_running(pod)}
    ops = [service for service in of_kind(objects, "Service") if service["spec"]["ports"][0]["name"] == "ops"]
    for service in ops:
        if {name(workload) for workload, _ in met({"matchLabels": service["spec"]["selector"]})} != running:
            found.append(f"{name(service)}: does not find every mover, and movers alone")
    for workload in of_kind(objects, "StatefulSet"):
        if workload["spec"]["serviceName"] not in [service["metadata"]["name"] for service in ops]:
            found.append(f"{name(workload)}: its Service is not there")
    for policy in of_kind(objects, "NetworkPolicy"):
        if not met(policy["spec"]["podSelector"]):
            found.append(f"{name(policy)}: finds no pod")
    for spread in [one for _, pod in pods for one in pod["spec"].get("topologySpreadConstraints", [])]:
        if not met(spread["labelSelector"]):
            found.append("a spread constraint finds no pod")
    return found


@promise
def budgets_and_scalers_meet_a_set(objects, _facts):
    found = []
    sets = {(workload["kind"], workload["metadata"]["name"]): workload for workload in of_kind(objects, "Deployment", "StatefulSet")}
    least = {key: workload["spec"].get("replicas") for key, workload in sets.items()}
    for scaler in of_kind(objects, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        key = (target["kind"], target["name"])
        if key not in sets:
            found.append(f"{name(scaler)}: there is no {' '.join(key)}")
            continue
        if least[key] is not None:
            found.append(f"{name(scaler)}: each upgrade would set the number of {' '.join(key)} back to {least[key]}")
        least[key] = scaler["spec"]["minReplicas"]
    found += [f"{' '.join(key)}: nobody says how many" for key, count in least.items() if count is None]
    for budget in of_kind(objects, "PodDisruptionBudget"):
        meets = [key for key, workload in sets.items() if selects(budget["spec"]["selector"], template(workload)["metadata"]["labels"])]
        if len(meets) != 1:
            found.append(f"{name(budget)}: finds {meets}")
        elif not (budget["spec"].get("maxUnavailable") or 0) >= 1:
            found.append(f"{name(budget)}: would hold up every drain of a node")
    return found


@promise
def one_of_what_must_be_one(objects, _facts):
    """Loads, polls and `up` are single; none begins before the old one has ended."""
    found = []
    for workload, _, container in containers(of_kind(objects, "Deployment", "StatefulSet")):
        if container["args"][0] not in ("load", "poll", "up"):
            continue
        is_after = workload["kind"] == "StatefulSet" or workload["spec"].get("strategy") == {"type": "Recreate"}
        if workload["spec"].get("replicas") not in (0, 1) or not is_after:
            found.append(f"{name(workload)}: two may run at once")
    return found


@promise
def accounts_are_one_for_each(objects, _facts):
    found, owners = [], {}
    made = {account["metadata"]["name"] for account in of_kind(objects, "ServiceAccount")}
    for workload in of_kind(objects, "Deployment", "StatefulSet", "CronJob", "Job"):
        account = template(workload)["spec"].get("serviceAccountName")
        if not account or account == "default":
            found.append(f"{name(workload)}: has no account of its own")
        elif account in owners:
            found.append(f"{name(workload)}: shares its account, and so its rights, with {owners[account]}")
        owners[account] = name(workload)
    for test in of_kind(objects, "Pod"):
        if test["spec"].get("serviceAccountName") not in owners:
            found.append(f"{name(test)}: tries the rights of nobody")
    return found + [f"ServiceAccount {account}: nobody's" for account in made - owners.keys()]


@promise
def only_the_webhook_is_public(objects, facts):
    found = []
    for ingress in of_kind(objects, "Ingress"):
        paths = [(path["path"], path["pathType"], path["backend"]["service"]) for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
        if [path[:2] for path in paths] != [(facts.webhook_path, "Exact")] or "defaultBackend" in ingress["spec"]:
            found.append(f"{name(ingress)}: opens {paths}")
        services = {service["metadata"]["name"]: [port["name"] for port in service["spec"]["ports"]] for service in of_kind(objects, "Service")}
        for _, _, backend in paths:
            if backend["port"]["name"] not in services.get(backend["name"], []):
                found.append(f"{name(ingress)}: there is no Service {backend}")
    for service in of_kind(objects, "Service"):
        ports = {port["name"] for port in service["spec"]["ports"]}
        if "ops" in ports and service["spec"].get("clusterIP") != "None" or len(ports) != 1:
            found.append(f"{name(service)}: shows the operators' port")
    return found


@promise
def traffic_is_named(objects, facts):
    """With policies at all: each pod has one for both ways, ports are the program's, and each way in says from whom."""
    found = []
    policies = of_kind(objects, "NetworkPolicy")
    for policy in policies:
        for rule in policy["spec"].get("ingress", []):
            if not rule.get("from"):
                found.append(f"{name(policy)}: lets everybody in")
            if not {port["port"] for port in rule.get("ports", [])} <= set(facts.ports.values()) or not rule.get("ports"):
                found.append(f"{name(policy)}: opens {rule.get('ports')}")
        for rule in policy["spec"].get("egress", []):
            if not rule.get("to"):
                found.append(f"{name(policy)}: lets out to everywhere")
    for workload, pod, container in containers(objects) if policies else []:
        labels = pod["metadata"]["labels"]
        on_it = [policy for policy in policies if selects(policy["spec"]["podSelector"], labels)]
        if {kind for policy in on_it for kind in policy["spec"]["policyTypes"]} != {"Ingress", "Egress"}:
            found.append(f"{name(workload)}: no policy holds for it")
        ports = {port["containerPort"] for port in container.get("ports", []) if port["name"] == "http"}
        opened = {port["port"] for policy in on_it for rule in policy["spec"].get("ingress", []) for port in rule["ports"]}
        if not ports <= opened or (facts.ports["http"] in opened and not ports):
            found.append(f"{name(workload)}: listens on {ports}, and {opened} are open")
        is_told = bool(environment(container).keys() & {"WAYBILL_WAREHOUSE", "WAYBILL_WAREHOUSE_FILE"})
        if is_told != any(policy["metadata"]["name"].endswith("-warehouse") for policy in on_it):
            found.append(f"{name(workload)}: who has the warehouse's address, and nobody else, may reach it")
    return found


@promise
def balancers_ask_the_operators_port(objects, facts):
    """An ALB sends to pods itself, and asks `/` of the webhook's port unless told otherwise, which is 404: no target is well."""
    found = []
    prefix = "alb.ingress.kubernetes.io/"
    peers = {
        policy["metadata"]["name"].rpartition("-")[2]: rule["from"]
        for policy in of_kind(objects, "NetworkPolicy")
        for rule in policy["spec"].get("ingress", [])
        if rule.get("from")
    }
    for ingress in of_kind(objects, "Ingress"):
        if ingress["spec"].get("ingressClassName") != "alb":
            continue
        asks = ingress["metadata"].get("annotations", {})
        port, path = asks.get(f"{prefix}healthcheck-port"), asks.get(f"{prefix}healthcheck-path")
        if port != str(facts.ports["ops"]) or path not in facts.ops_paths:
            found.append(f"{name(ingress)}: its health check asks {path} of port {port}")
        if asks.get(f"{prefix}target-type") != "ip":
            found.append(f"{name(ingress)}: a Service that is no NodePort wants target-type ip")
        if peers and any(peer not in peers.get("ops", []) for peer in peers.get("public", [])):
            found.append(f"{name(ingress)}: who sends webhooks may not ask how the pods are")
    return found


@promise
def everything_is_scraped_as_one_job(objects, facts):
    found = []
    for monitor in of_kind(objects, "ServiceMonitor"):
        meets = [service for service in of_kind(objects, "Service") if selects(monitor["spec"]["selector"], service["metadata"]["labels"])]
        for endpoint in monitor["spec"]["endpoints"]:
            if [[port["name"] for port in service["spec"]["ports"]] for service in meets] != [[endpoint["port"]]]:
                found.append(f"{name(monitor)}: finds {[name(service) for service in meets]}")
            jobs = [rule["replacement"] for rule in endpoint.get("relabelings", []) if rule.get("targetLabel") == "job"]
            if len(jobs) != 1 or not jobs[0].startswith("waybill"):
                found.append(f"{name(monitor)}: the job is {jobs}, and the alerts look for waybill.*")
            if endpoint.get("path") not in facts.ops_paths or int(endpoint["interval"].removesuffix("s")) > 30:
                found.append(f"{name(monitor)}: {endpoint}")
    return found


@promise
def names_fit(objects, _facts):
    """A CronJob appends 11 characters to its name, and a label holds 63; all lie in the release's namespace."""
    found = []
    for thing in objects:
        longest = 52 if thing["kind"] in ("CronJob", "StatefulSet") else 63
        if len(thing["metadata"]["name"]) > longest:
            found.append(f"{name(thing)}: is longer than {longest}")
        if thing["metadata"].get("namespace") != "shop":
            found.append(f"{name(thing)}: lies in {thing['metadata'].get('namespace')}")
    keys = [(thing["apiVersion"], thing["kind"], thing["metadata"]["name"]) for thing in objects]
    return found + [f"{' '.join(key)}: is there twice" for key in set(keys) if keys.count(key) > 1]


@promise
def image_is_of_this_version(objects, facts):
    return [
        f"{name(workload)}: runs {container['image']}"
        for workload, _, container in containers(objects)
        if "@sha256:" not in container["image"] and container["image"].rpartition(":")[2] != facts.version
    ]
