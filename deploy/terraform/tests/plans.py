"""Plans of the examples, made by Terraform itself with the stand-in for the provider."""

import json
import os
import re
import shutil
import subprocess

import standin

EXAMPLES = ("small", "large")

# Name of a plan: the example, and what is set beside VARIABLES.
PLANS = {
    "small": ("small", {}),
    "small, polling": (
        "small",
        {
            "poll_enabled": "true",
            "operator_arns": f'["arn:aws:iam::{standin.ACCOUNT}:user/ada"]',
            "ops_security_group_ids": '["sg-0bastion"]',
            "allowed_source_cidrs": '["192.0.2.0/24"]',
        },
    ),
    "large": ("large", {"operator_arns": f'["arn:aws:iam::{standin.ACCOUNT}:user/ada"]'}),
    "large, in bursts": ("large", {"freshness_seconds": "3600"}),
}

# What a person would set. The secrets are made up, and have to be in no plan.
SECRET = "0made0up0secret0that0nothing0shows0A"
VARIABLES = {
    "region": standin.REGION,
    "image": f"{standin.ACCOUNT}.dkr.ecr.{standin.REGION}.amazonaws.com/waybill@sha256:{'0' * 64}",
    "image_repository_arn": f"arn:aws:ecr:{standin.REGION}:{standin.ACCOUNT}:repository/waybill",
    "domain_name": "hooks.example.com",
    "certificate_arn": f"arn:aws:acm:{standin.REGION}:{standin.ACCOUNT}:certificate/made-up",
    "alarm_emails": '["operations@example.com"]',
}
SECRETS = ("webhook_secrets", "ops_token", "privacy_key", "aftership_api_key", "database_password")

# Plans in a shell where secrets are not set, which nothing may take: the example, what is set beside VARIABLES, the
# secrets that are not, and what has to be said.
NOT_SET = 'variable "{}" is not set'
REFUSED = {
    "small, without secrets": (
        "small",
        {},
        SECRETS,
        [NOT_SET.format(name) for name in SECRETS if name != "aftership_api_key"],
    ),
    "large, without secrets": ("large", {}, SECRETS, [NOT_SET.format(name) for name in SECRETS]),
    "small, polling without its key": (
        "small",
        {"poll_enabled": "true"},
        ["aftership_api_key"],
        ["secret_values must hold aftership-api-key, ", "TF_VAR_aftership_api_key"],
    ),
}


class Fault(Exception):
    """Terraform refuses our files."""


def program():
    found = shutil.which(os.environ.get("TERRAFORM", "terraform"))
    if not found:
        raise SystemExit("terraform is missing: install Terraform 1.11 or later and put it into PATH, or set TERRAFORM")
    return found


def run(arguments, folder, environment):
    done = subprocess.run(
        [program(), *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Fault(f"terraform {arguments[0]} in {folder.name}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def formatting(folder, environment):
    """Files that `terraform fmt` would write otherwise."""
    arguments = [program(), "fmt", "-check", "-recursive", "-list=true"]
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.split() if done.returncode else []


def prepare(folder, environment):
    for example in EXAMPLES:
        run(["init", "-backend=false", "-input=false", "-no-color"], folder / "examples" / example, environment)


def make(folder, name, environment):
    """The plan of that name as `terraform show -json` tells it."""
    example, more = PLANS[name]
    where = folder / "examples" / example
    given = VARIABLES | more | dict.fromkeys(SECRETS, SECRET)
    environment = environment | {f"TF_VAR_{name}": value for name, value in given.items()}
    run(["validate", "-no-color"], where, environment)
    run(["plan", "-input=false", "-no-color", "-lock=false", "-out=plan"], where, environment)
    return json.loads(run(["show", "-json", "plan"], where, environment))


def refusal(folder, name, environment):
    """What Terraform says to a plan of REFUSED, in one line; None when it makes one."""
    example, more, unset, _ = REFUSED[name]
    where = folder / "examples" / example
    given = VARIABLES | more | {name: SECRET for name in SECRETS if name not in unset}
    environment = environment | {f"TF_VAR_{name}": value for name, value in given.items()}
    try:
        run(["plan", "-input=false", "-no-color", "-lock=false"], where, environment)
    except Fault as fault:
        # Terraform breaks lines, and draws a frame.
        return " ".join(re.sub(r"[│╷╵]", " ", str(fault)).split())
    return None


def resources(plan):
    """Address and values of everything in a plan, modules included."""
    found = {}

    def walk(module):
        for resource in module.get("resources", []):
            found[resource["address"].removeprefix("module.waybill.")] = resource["values"]
        for child in module.get("child_modules", []):
            walk(child)

    walk(plan["planned_values"]["root_module"])
    return found
