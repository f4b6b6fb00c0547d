"""What is rendered: value sets that must work, and those that must be refused with words that help."""

from dataclasses import dataclass, field

SPLIT, SINGLE, ALB = "examples/split.yaml", "examples/single.yaml", "examples/eks-alb.yaml"


@dataclass(frozen=True)
class Good:
    """`values`: files below deploy/helm. `has`: kinds and names, without the release's, that must be there."""

    name: str
    values: list[str]
    has: set[str]
    lacks: set[str] = field(default_factory=set)
    release: str = "waybill"
    sets: tuple[str, ...] = ()
    runbooks: str = ""


GOOD = [
    Good(
        "split",
        [SPLIT],
        {
            "Deployment -receive", "Deployment -batch", "Deployment -load", "CronJob -audit", "HorizontalPodAutoscaler -receive",
            "PodDisruptionBudget -receive", "Ingress ", "NetworkPolicy ", "NetworkPolicy -warehouse", "ServiceMonitor ",
            "PrometheusRule ", "Pod -check-load",
        },
        {"StatefulSet", "Deployment -poll", "CronJob -reconcile", "Job -migrate", "ConfigMap"},
    ),
    Good("single", [SINGLE], {"StatefulSet -up", "Service ", "Ingress "}, {"Deployment", "CronJob", "Job", "HorizontalPodAutoscaler", "Pod"}),
    Good("EKS behind an ALB", [SPLIT, ALB], {"Ingress ", "NetworkPolicy -public", "NetworkPolicy -ops", "HorizontalPodAutoscaler -receive"}),
    Good(
        "everything on",
        ["tests/values/on.yaml"],
        {"Deployment -poll", "CronJob -reconcile", "CronJob -audit", "Job -migrate", "ConfigMap -dashboard", "Pod -check-poll"},
        runbooks="https://git.example.com/waybill/blob/main/",
    ),
    Good(
        "everything off",
        ["tests/values/off.yaml"],
        {"Deployment -receive"},
        {"HorizontalPodAutoscaler", "CronJob", "NetworkPolicy", "Ingress", "ServiceMonitor", "PrometheusRule"},
    ),
    Good("spool", [SPLIT, "tests/values/spool.yaml"], {"StatefulSet -receive", "PodDisruptionBudget -receive"}, {"Deployment -receive", "HorizontalPodAutoscaler"}),
    Good("single, everything on", [SINGLE, "tests/values/single_on.yaml"], {"StatefulSet -up", "ServiceMonitor ", "PrometheusRule ", "ConfigMap -dashboard"}),
    Good("two releases", [SPLIT], {"Deployment -receive"}, release="shop-two"),
    Good("long names", ["tests/values/on.yaml"], {"CronJob -reconcile"}, release="a-release-with-a-name-as-long-as-helm-allows-it-to-b", sets=("fullnameOverride=", "image.digest="), runbooks="https://git.example.com/waybill/blob/main/"),
]  # fmt: skip


@dataclass(frozen=True)
class Bad:
    """`says`: what the refusal must name, so that a person knows what to mend."""

    name: str
    values: list[str]
    sets: tuple[str, ...]
    says: list[str]


BAD = [
    Bad("no values", [], (), ["queue.url: give", "lake.address: give", "warehouse.secretName: name", "secrets.webhook.name: name", "secrets.opsToken.name", "networkPolicy.publicFrom", "networkPolicy.warehouseTo"]),
    Bad("a misspelt value", [SPLIT], ("recieve.replicas=3",), ["recieve", "not allowed"]),
    Bad("a misspelt setting", [SPLIT], ("settings.batch_aeg=5s",), ["settings", "batch_aeg", "not allowed"]),
    Bad("a setting of the chart's", [SPLIT], ("settings.listen=0.0.0.0:9",), ["settings", "listen", "not allowed"]),
    Bad("a secret as a setting", [SPLIT], ("settings.webhook_secrets=0123456789abcdef",), ["settings", "webhook_secrets", "not allowed"]),
    Bad("a secret as a value", [SPLIT], ("secrets.webhook.value=0123456789abcdef",), ["secrets.webhook", "value", "not allowed"]),
    Bad("an address with a password", [SPLIT], ("warehouse.secretName=postgres://u:p@h/d",), ["warehouse.secretName"]),
    Bad("a secret in the environment", [SPLIT], ("extraEnv[0].name=AWS_SECRET_ACCESS_KEY", "extraEnv[0].value=x"), ["extraEnv: AWS_SECRET_ACCESS_KEY", "secretKeyRef"]),
    Bad("our names in the environment", [SPLIT], ("extraEnv[0].name=WAYBILL_LISTEN", "extraEnv[0].value=x"), ["extraEnv: WAYBILL_LISTEN", "settings"]),
    Bad("a mode that is none", [SPLIT], ("mode=both",), ["mode"]),
    Bad("a queue on disk", [SPLIT], ("queue.url=file:/data",), ["queue.url"]),
    Bad("no receiver", [SPLIT], ("receive.replicas=0",), ["receive.replicas"]),
    Bad("drains that wait for ever", [SPLIT], ("receive.disruption.maxUnavailable=0",), ["receive.disruption.maxUnavailable"]),
    Bad("root", [SPLIT], ("pod.runAsUser=0",), ["pod.runAsUser"]),
    Bad("killed while it drains", [SPLIT], ("shutdown.graceSeconds=30",), ["shutdown.graceSeconds: at least 40"]),
    Bad("a spool that is scaled away", [SPLIT], ("receive.spool.enabled=true",), ["receive.autoscaling.enabled"]),
    Bad("one volume for many", [SINGLE], ("single.persistence.accessMode=ReadWriteMany",), ["single.persistence.accessMode"]),
    Bad("two shapes at once", [SINGLE], ("queue.url=https://sqs.example.com/1/q", "poll.enabled=true", "migrate.job=true"), ["queue.url: in mode single", "poll.enabled: is for mode split", "migrate.job: is for"]),
    Bad("polling without a key", [SPLIT], ("poll.enabled=true",), ["secrets.aftershipApiKey.name"]),
    Bad("pseudonyms without a key", [SPLIT], ("settings.privacy=hash",), ["secrets.privacyKey.name"]),
    Bad("Redshift without staging", [SPLIT], ("warehouse.kind=redshift",), ["settings.redshift_staging"]),
    Bad("TLS nowhere", [SPLIT], ("ingress.tlsSecretName=",), ["ingress.tlsSecretName", "tlsElsewhere"]),
    Bad("nobody may scrape", [SPLIT], ("networkPolicy.prometheusFrom=null",), ["networkPolicy.prometheusFrom"]),
    Bad("alerts that see nothing", [SPLIT], ("monitoring.serviceMonitor.job=parcels",), ["monitoring.serviceMonitor.job"]),
    Bad("scraped too seldom", [SPLIT], ("monitoring.serviceMonitor.interval=60s",), ["monitoring.serviceMonitor.interval"]),
    Bad("an account of nobody", [SPLIT], ("batch.serviceAccount.create=false",), ["batch.serviceAccount.name"]),
    Bad("a canary at no door", [SPLIT], ("canary=on",), ["canary: in mode split"]),
    Bad("a schedule that is none", [SPLIT], ("audit.schedule=nightly",), ["audit.schedule"]),
]  # fmt: skip
