"""A command as a process of the worker. What the real program does is in journey.py."""

import logging
import os
import threading
import time
from pathlib import Path

import pytest

from waybill_airflow.commands import RequestError
from waybill_airflow.names import AirflowException, AirflowFailException, AirflowSkipException
from waybill_airflow.operators import DeadEnd, LocalOperator, environment, level_of, tell_dead_end
from waybill_airflow.outcome import LOADED


@pytest.fixture
def program(tmp_path):
    def make(script: str) -> str:
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return make


def operator(program: str, arguments: list[str] | None = None, **kwargs) -> LocalOperator:
    return LocalOperator(
        task_id="one", program=program, command=lambda _context: arguments or [], expected=LOADED, **kwargs
    )


def test_arguments_arrive_as_they_are(program):
    odd = ["$(id)", "; exit 9", "a b", "'", "--x=*"]

    result = operator(program("printf '{\"files\":%s}' $#\n[ \"$2\" = '; exit 9' ]"), odd).execute({})

    assert result == {"files": 5}


def test_its_log_becomes_the_tasks_log(program, caplog, monkeypatch):
    monkeypatch.setattr(LocalOperator, "log", logging.getLogger("one"))
    script = """echo '{"level":"WARN","message":"odd"}' >&2; echo plain >&2; echo '{"files":1}'"""

    with caplog.at_level(logging.INFO, "one"):
        operator(program(script)).execute({})

    levels = {record.getMessage(): record.levelno for record in caplog.records}
    assert levels['{"level":"WARN","message":"odd"}'] == logging.WARNING
    assert levels["plain"] == levels['result: {"files":1}'] == logging.INFO


@pytest.mark.parametrize(
    ("code", "is_dead_end"), [(1, False), (75, False), (2, True), (3, True), (65, True), (78, True)]
)
def test_only_what_may_heal_is_tried_again(program, code, is_dead_end):
    with pytest.raises(AirflowException) as told:
        operator(program(f"""echo '{{"files":1}}'; exit {code}""")).execute({})

    assert isinstance(told.value, AirflowFailException) == is_dead_end


def test_a_killed_program_is_tried_again(program):
    with pytest.raises(AirflowException) as told:
        operator(program("kill -9 $$")).execute({})

    assert not isinstance(told.value, AirflowFailException)


@pytest.mark.parametrize(
    ("script", "name"),
    [("exit 3", "rejected"), ("exit 78", "settings"), ("echo nothing", "program"), ("exec /dev/null/x", "program")],
)
def test_a_dead_end_has_a_name(program, script, name):
    with pytest.raises(DeadEnd) as told:
        operator(program(script)).execute({})

    assert told.value.name == name


def test_a_missing_program_is_a_dead_end(tmp_path):
    with pytest.raises(DeadEnd) as told:
        operator(str(tmp_path / "nowhere")).execute({})

    assert told.value.name == "program"


def test_nothing_to_do_is_skipped_and_starts_nothing(program, tmp_path):
    one = operator(program(f"touch {tmp_path}/ran"), skip=lambda _context: "no new files")

    with pytest.raises(AirflowSkipException, match="no new files"):
        one.execute({})
    assert not (tmp_path / "ran").exists()


def test_a_request_that_cannot_be_done_is_a_dead_end(program):
    def refuse(_context):
        raise RequestError("from is after to")

    with pytest.raises(DeadEnd) as told:
        LocalOperator(task_id="one", program=program("true"), command=refuse).execute({})

    assert told.value.name == "request"


def test_a_task_that_is_ended_ends_its_process(program, tmp_path):
    # What it starts must not keep the pipe open: the program starts nothing.
    waits = "sleep 60 >/dev/null 2>&1 & wait"
    drains = f"trap 'kill $!; touch {tmp_path}/drained; exit 0' TERM"
    one = operator(program(f"{drains}; touch {tmp_path}/ready; {waits}"))

    def kill():
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        one.on_kill()

    threading.Thread(target=kill).start()
    with pytest.raises(AirflowException):
        one.execute({})

    assert (tmp_path / "drained").exists()
    assert one.process.poll() is not None


def test_the_program_sees_its_settings_and_none_of_airflows(program, monkeypatch):
    ours = {"WAYBILL_LOG": "info", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "x", "_AIRFLOW_WWW": "x", "HOME": "h"}

    assert environment(ours) == {"WAYBILL_LOG": "info", "HOME": "h"}

    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    result = operator(program("env | grep -c FERNET >&2; printf '{\"files\":%s}' $(env | grep -c FERNET)")).execute({})
    assert result == {"files": 0}


@pytest.mark.parametrize("line", ["", "plain", "[]", "{}", "1", '{"level":[]}', '{"level":"INFO"}'])
def test_any_line_has_a_level(line):
    assert level_of(line) == logging.INFO


def test_a_failure_is_told_by_names_alone(caplog):
    class Ti:
        dag_id, run_id, task_id, try_number = "waybill_load", "r", "load_orders", 1

    with caplog.at_level(logging.ERROR, "airflow.task"):
        logging.getLogger("airflow.task").propagate = True
        tell_dead_end({"ti": Ti, "exception": DeadEnd("rejected", "a body")})
        tell_dead_end({"ti": Ti, "exception": ValueError("a body")})

    assert "dead_end=rejected" in caplog.text and "dead_end=retries_used_up" in caplog.text
    assert "a body" not in caplog.text


def test_nothing_of_this_is_left_running():
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    if children.exists():
        assert children.read_text().split() == []
