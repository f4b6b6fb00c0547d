#!/usr/bin/env python3
"""Holds deploy/terraform to the program: Terraform's own checks with the provider's schema, plans of both examples, and
rules about what is in them. With --self-test it then plants mistakes, one by one, and each has to be found.

    scripts/test-terraform.sh       makes the environment, runs this, then checkov

Nothing is asked of AWS. What that leaves open is in README.md, "What has not been applied".
"""

import argparse
import concurrent.futures
import pathlib
import shutil
import sys
import tempfile
import time

import botocore.session

sys.dont_write_bytecode = True

import mistakes  # noqa: E402
import plans  # noqa: E402
import rules  # noqa: E402
import running  # noqa: E402
import standin  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[3]
# What the rules look at. A copy of it is worked on, so that nothing is left in the tree.
PARTS = ("src", "docs/OPERATIONS.md", "deploy/terraform", "deploy/docker/Dockerfile")
RULES = rules.RULES + running.RULES


def copy_of_project(into):
    for part in PARTS:
        source, target = ROOT / part, into / part
        if source.is_dir():
            shutil.copytree(
                source, target, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", "__pycache__", "plan")
            )
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def operations():
    """Every operation that SQS and S3 have, as the SDKs are made of them."""
    session = botocore.session.get_session()
    return {name for service in ("sqs", "s3") for name in session.get_service_model(service).operation_names}


def faults_of(root, environment, known, names=(*plans.PLANS, *plans.REFUSED)):
    """All that is wrong, as sentences."""
    terraform = root / "deploy" / "terraform"
    found = [f"{file}: not as `terraform fmt` writes it" for file in plans.formatting(terraform, environment)]
    try:
        planned = {name: plans.make(terraform, name, environment) for name in names if name in plans.PLANS}
    except plans.Fault as fault:
        return [*found, str(fault)]
    refused = {name: plans.refusal(terraform, name, environment) for name in names if name in plans.REFUSED}
    world = rules.World(root, planned, known, refused)
    for rule in RULES:
        try:
            found += rule(world)
        except (LookupError, AttributeError, ValueError, StopIteration) as error:
            # A form that the rule does not know is a fault, never a pass.
            found.append(f"{rule.__name__} cannot be judged: {error!r}")
    return found


def self_test(environment, known, work):
    """Each mistake is found, by a fault that names it; prints a line for each, and gives how many were not."""

    def look(number, mistake):
        root = work / f"mistake-{number}"
        shutil.copytree(work / "project", root, symlinks=True)
        file = root / mistake.file
        text = file.read_text(encoding="utf-8")
        if mistake.old not in text:
            return "STALE", f": {mistake.file} has no such text any more"
        file.write_text(text.replace(mistake.old, mistake.new, 1), encoding="utf-8")
        found = faults_of(root, environment, known, mistake.plans)
        shutil.rmtree(root)
        if any(mistake.named in fault for fault in found):
            return "found", ""
        return "MISSED", f": {found}"

    missed = 0
    # Mostly they wait for Terraform.
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        outcomes = pool.map(look, range(len(mistakes.MISTAKES)), mistakes.MISTAKES)
        for mistake, (outcome, more) in zip(mistakes.MISTAKES, outcomes):
            print(f"  {outcome:<7} {mistake.what}{more}", flush=True)
            missed += outcome != "found"
    return missed


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--self-test", action="store_true", help="plant mistakes too, and find them")
    chosen = arguments.parse_args()
    began = time.monotonic()
    known = operations()
    with tempfile.TemporaryDirectory(prefix="waybill-terraform-") as folder, standin.running() as environment:
        work = pathlib.Path(folder)
        project = work / "project"
        copy_of_project(project)
        try:
            plans.prepare(project / "deploy" / "terraform", environment)
        except plans.Fault as fault:
            sys.exit(str(fault))
        found = faults_of(project, environment, known)
        for fault in found:
            print(f"  {fault}")
        if found:
            sys.exit(f"{len(found)} faults")
        print(
            f"  {len(RULES)} rules hold for {len(plans.PLANS)} plans of {len(plans.EXAMPLES)} examples, {time.monotonic() - began:.0f} s"
        )
        if chosen.self_test:
            missed = self_test(environment, known, work)
            planted = len(mistakes.MISTAKES)
            print(f"  {planted - missed} of {planted} planted mistakes found, {time.monotonic() - began:.0f} s in all")
            if missed:
                sys.exit(f"{missed} mistakes were not found")


if __name__ == "__main__":
    main()
