"""A task that runs one command of the program as a task of ECS: the way for MWAA, whose workers do not carry it.

Imported only with `"runner": "ecs"`, since it needs the amazon provider. An image with the program as its entry point
gets the arguments; addresses and secrets come from the task definition, never from here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow.providers.amazon.aws.hooks.logs import AwsLogsHook
from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator

from waybill_airflow.names import AirflowException
from waybill_airflow.operators import Command
from waybill_airflow.outcome import NOTHING, result_among
from waybill_airflow.settings import Ecs

# CloudWatch shows a line some seconds after it was written, and the container may have ended by then.
LOG_READS_MAX = 12
LOG_READ_PAUSE_SECONDS = 5
LOG_LINES_MAX = 10_000


class EcsOperator(Command, EcsRunTaskOperator):
    """Runs the program on ECS, waits for its end, and reads the result from its log."""

    def __init__(
        self,
        *,
        ecs: Ecs,
        command: Callable[[Mapping[str, Any]], list[str]],
        skip: Callable[[Mapping[str, Any]], str | None] | None = None,
        expected: tuple[str, ...] = NOTHING,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            cluster=ecs.cluster,
            task_definition=ecs.task_definition,
            overrides={},
            launch_type=ecs.launch_type,
            network_configuration=network(ecs),
            awslogs_group=ecs.log_group,
            awslogs_stream_prefix=ecs.log_stream_prefix,
            awslogs_region=ecs.region,
            container_name=ecs.container,
            region_name=ecs.region,
            aws_conn_id=ecs.aws_conn_id,
            # A worker that was replaced finds its task again, instead of starting a second one.
            reattach=True,
            # The exit code is asked for after the end; another process would have to wait for the end.
            deferrable=False,
            **kwargs,
        )
        self.ecs = ecs
        self.command = command
        self.skip = skip
        self.expected = expected

    def execute(self, context: Mapping[str, Any]) -> Any:
        self.overrides = overrides(self.ecs, self.arguments(context))
        try:
            super().execute(context)
        except AirflowException:
            # The provider says "failed" whatever the exit code was, also when the task never started.
            if self.arn is None:
                raise
            self.judge(exit_code(self.ended(), self.ecs.container))
            raise
        if stopped := stopped_by(self.ended()):
            raise AirflowException(f"the task was stopped before its end: {stopped}")
        return self.result()

    def ended(self) -> list[Mapping[str, Any]]:
        return self.client.describe_tasks(cluster=self.cluster, tasks=[self.arn])["tasks"]

    def result(self) -> Any:
        if self.expected == NOTHING:
            return None
        stream = log_stream(self.ecs, self.arn)
        for attempt in range(LOG_READS_MAX):
            if attempt:
                time.sleep(LOG_READ_PAUSE_SECONDS)
            value = result_among(self.log_lines(stream), self.expected)
            if value is not None:
                return value
        # Not a dead end: the command can be repeated, and the log may come by then.
        raise AirflowException(f"no result in the log stream {stream}")

    def log_lines(self, stream: str) -> Iterable[str]:
        logs = AwsLogsHook(aws_conn_id=self.ecs.aws_conn_id, region_name=self.ecs.region).conn
        try:
            answer = logs.get_log_events(
                logGroupName=self.ecs.log_group,
                logStreamName=stream,
                startFromHead=False,
                limit=LOG_LINES_MAX,
            )
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in answer["events"]]


def overrides(ecs: Ecs, arguments: list[str]) -> dict[str, Any]:
    return {"containerOverrides": [{"name": ecs.container, "command": arguments}]}


def network(ecs: Ecs) -> dict[str, Any]:
    return {
        "awsvpcConfiguration": {
            "subnets": ecs.subnets,
            "securityGroups": ecs.security_groups,
            "assignPublicIp": "ENABLED" if ecs.assign_public_ip else "DISABLED",
        }
    }


def log_stream(ecs: Ecs, arn: str) -> str:
    """As the `awslogs` driver names it: prefix, container, id of the task."""
    return f"{ecs.log_stream_prefix}/{ecs.container}/{arn.rsplit('/', 1)[-1]}"


def exit_code(tasks: list[Mapping[str, Any]], container: str) -> int | None:
    """None when the container has none: it never started, or was taken away."""
    for task in tasks:
        for one in task.get("containers", []):
            if one.get("name") == container:
                return one.get("exitCode")
    return None


def stopped_by(tasks: list[Mapping[str, Any]]) -> str | None:
    """Who stopped the task, if it did not end by itself: told to stop, the program drains and ends half-way, with 75."""
    codes = [task.get("stopCode") for task in tasks]
    return next((code for code in codes if code not in (None, "EssentialContainerExited")), None)
