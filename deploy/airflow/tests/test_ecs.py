"""A command as a task of ECS, with stand-ins for ECS and CloudWatch: what is asked for, and what its end means."""

import pytest

pytest.importorskip("airflow.providers.amazon")

from waybill_airflow import ecs
from waybill_airflow.names import AirflowException, AirflowFailException, AirflowSkipException
from waybill_airflow.operators import DeadEnd
from waybill_airflow.outcome import LOADED
from waybill_airflow.settings import Ecs

SETTINGS = Ecs(
    cluster="shop",
    task_definition="waybill:7",
    container="waybill",
    subnets=["subnet-1"],
    security_groups=["sg-1"],
    log_group="waybill",
    log_stream_prefix="load",
    region="eu-central-1",
)
ARN = "arn:aws:ecs:eu-central-1:123456789012:task/shop/0123abcd"


class Container:
    """ECS: one task that has ended with `code`, or never started when that is None."""

    def __init__(self, code: int | None) -> None:
        self.code = code
        self.stop_code = "EssentialContainerExited"
        self.asked: dict = {}

    def list_tasks(self, **_kwargs):
        return {"taskArns": []}

    def run_task(self, **kwargs):
        self.asked = kwargs
        return {"failures": [], "tasks": [{"taskArn": ARN, "containers": [{"name": "waybill"}]}]}

    def get_waiter(self, _name):
        return self

    def wait(self, **_kwargs):
        pass

    def describe_tasks(self, **_kwargs):
        ended = {"name": "waybill", "lastStatus": "STOPPED"}
        if self.code is not None:
            ended["exitCode"] = self.code
        stopped = "Essential container in task exited" if self.code is not None else "CannotPullContainerError"
        return {
            "failures": [],
            "tasks": [
                {
                    "taskArn": ARN,
                    "lastStatus": "STOPPED",
                    "stoppedReason": stopped,
                    "stopCode": self.stop_code,
                    "containers": [{"name": "sidecar", "exitCode": 0}, ended],
                }
            ],
        }


class Ti:
    dag_id, task_id, run_id, map_index = "waybill_load", "load_orders", "r", -1

    def xcom_push(self, **_kwargs):
        pass


@pytest.fixture
def run(monkeypatch):
    def start(code: int | None, logs: list[list[str]], **kwargs):
        """`logs`: what CloudWatch shows, one list for each time it is asked."""
        container = Container(code)
        operator = ecs.EcsOperator(
            task_id="load_orders",
            ecs=SETTINGS,
            command=lambda _context: ["load", "--once", "--dataset", "orders", "--no-marts"],
            expected=LOADED,
            **kwargs,
        )
        asked: list[str] = []

        def lines(_self, stream):
            asked.append(stream)
            return logs[min(len(asked), len(logs)) - 1]

        monkeypatch.setattr(ecs.EcsOperator, "client", container, raising=False)
        monkeypatch.setattr(ecs.EcsOperator, "log_lines", lines)
        # Its thread would ask CloudWatch.
        monkeypatch.setattr(ecs.EcsOperator, "_aws_logs_enabled", lambda _self: False)
        monkeypatch.setattr(ecs.time, "sleep", lambda _seconds: None)
        return operator, container, asked

    return start


def test_the_container_gets_the_arguments_and_nothing_else(run):
    operator, container, asked = run(0, [['{"files":1,"lines":2}']])

    assert operator.execute({"ti": Ti()}) == {"files": 1, "lines": 2}

    assert container.asked["overrides"] == {
        "containerOverrides": [{"name": "waybill", "command": ["load", "--once", "--dataset", "orders", "--no-marts"]}]
    }
    assert container.asked["taskDefinition"] == "waybill:7"
    assert container.asked["launchType"] == "FARGATE"
    assert container.asked["networkConfiguration"] == {
        "awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED"}
    }
    # The same for each try, so that a worker that was replaced finds its task.
    assert container.asked["startedBy"]
    assert asked == ["load/waybill/0123abcd"]


@pytest.mark.parametrize("code", [2, 3, 65, 78])
def test_a_container_at_a_dead_end_is_not_tried_again(run, code):
    operator, _, asked = run(code, [[]])

    with pytest.raises(DeadEnd):
        operator.execute({"ti": Ti()})
    assert asked == []


@pytest.mark.parametrize("code", [1, 75, 137, 143, None])
def test_a_container_that_was_ended_or_never_started_is_tried_again(run, code):
    operator, _, _ = run(code, [[]])

    with pytest.raises(AirflowException) as told:
        operator.execute({"ti": Ti()})
    assert not isinstance(told.value, AirflowFailException)


@pytest.mark.parametrize("stop_code", ["SpotInterruption", "UserInitiated", "ServiceSchedulerInitiated"])
def test_a_container_that_was_told_to_stop_has_not_done_all_though_it_ends_with_0(run, stop_code):
    operator, container, _ = run(0, [['{"files":1}']])
    container.stop_code = stop_code

    with pytest.raises(AirflowException, match=stop_code) as told:
        operator.execute({"ti": Ti()})
    assert not isinstance(told.value, AirflowFailException)


def test_a_log_that_comes_late_is_waited_for(run):
    operator, _, asked = run(0, [[], ["starting"], ['{"files":1}', "late line of another"]])

    assert operator.execute({"ti": Ti()}) == {"files": 1}
    assert len(asked) == 3


def test_a_log_that_never_comes_is_a_failure_and_tried_again(run):
    operator, _, asked = run(0, [[]])

    with pytest.raises(AirflowException, match="no result") as told:
        operator.execute({"ti": Ti()})
    assert not isinstance(told.value, AirflowFailException)
    assert len(asked) == ecs.LOG_READS_MAX


def test_nothing_to_do_starts_no_container(run):
    operator, container, _ = run(0, [[]], skip=lambda _context: "no new files")

    with pytest.raises(AirflowSkipException):
        operator.execute({"ti": Ti()})
    assert container.asked == {}
