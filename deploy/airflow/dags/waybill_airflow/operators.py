"""A task that runs one command of the program: what both ways of running share, and the way that starts a process."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from typing import Any

from waybill_airflow.commands import RequestError
from waybill_airflow.names import AirflowException, AirflowFailException, AirflowSkipException, BaseOperator
from waybill_airflow.outcome import ARRAY, NOTHING, dead_end, result_of

# Of what a command prints. A report has a row for each product that ceased to sell.
RESULT_CHARS_MAX = 4_000_000
# The program drains 25 s at most after SIGTERM.
DRAIN_SECONDS = 30
LEVELS = {"ERROR": logging.ERROR, "WARN": logging.WARNING, "DEBUG": logging.DEBUG, "TRACE": logging.DEBUG}


class DeadEnd(AirflowFailException):
    """No retry would help. `name` is from a short list, so that an alert can be made of it."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"dead end: {name}: {text}")
        self.name = name


class Command:
    """What a task of the program does before and after it runs, wherever it runs.

    `command`: arguments for a task's context. `skip`: why there is nothing to do, or None. `expected`: what the
    program prints, see `outcome`.
    """

    command: Callable[[Mapping[str, Any]], list[str]]
    skip: Callable[[Mapping[str, Any]], str | None] | None
    expected: tuple[str, ...]

    def arguments(self, context: Mapping[str, Any]) -> list[str]:
        try:
            reason = self.skip(context) if self.skip else None
            if reason is None:
                return self.command(context)
        except RequestError as error:
            raise DeadEnd("request", str(error)) from error
        raise AirflowSkipException(reason)

    def judge(self, code: int | None) -> None:
        """Returns after 0; else raises what makes Airflow try again, or not."""
        if code == 0:
            return
        end = dead_end(code)
        if end is None:
            raise AirflowException(f"the program ended with {'no exit code' if code is None else code}")
        raise DeadEnd(end[0], f"exit code {code}: {end[1]}")


class LocalOperator(Command, BaseOperator):
    """Runs the program as a process of the worker, without a shell. Its log becomes the task's log."""

    ui_color = "#e8f0e4"

    def __init__(
        self,
        *,
        program: str,
        command: Callable[[Mapping[str, Any]], list[str]],
        skip: Callable[[Mapping[str, Any]], str | None] | None = None,
        expected: tuple[str, ...] = NOTHING,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.program = program
        self.command = command
        self.skip = skip
        self.expected = expected
        self.process: subprocess.Popen[str] | None = None

    def execute(self, context: Mapping[str, Any]) -> Any:
        arguments = self.arguments(context)
        path = shutil.which(self.program)
        if path is None:
            raise DeadEnd("program", f"{self.program} was not found, or may not be executed")
        self.log.info("running %s", [self.program, *arguments])
        code, text = self.run([path, *arguments])
        # What was loaded, and each audit, is worth reading when it failed, too; both are counts and names.
        if self.expected != ARRAY:
            for line in text.splitlines():
                self.log.info("result: %s", line)
        self.judge(code)
        try:
            return result_of(text, self.expected)
        except ValueError as error:
            raise DeadEnd("program", f"{error}: are program and DAG of the same release?") from error

    def run(self, argv: list[str]) -> tuple[int, str]:
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=environment(os.environ),
            # Out of reach of a signal to the worker's whole group: the program would drain, and end half-way.
            start_new_session=True,
        )
        relay = threading.Thread(target=self.relay, args=(self.process.stderr,), daemon=True)
        relay.start()
        try:
            text = self.process.stdout.read(RESULT_CHARS_MAX + 1)
            if len(text) > RESULT_CHARS_MAX:
                raise DeadEnd("result", f"the program printed more than {RESULT_CHARS_MAX} characters")
            code = self.process.wait()
            relay.join()
            return code, text
        finally:
            # Also after a timeout, which comes as an exception from anywhere.
            self.stop()

    def relay(self, stream: Any) -> None:
        for line in stream:
            line = line.rstrip("\n")
            self.log.log(level_of(line), "%s", line)

    def on_kill(self) -> None:
        self.stop()

    def stop(self) -> None:
        process = self.process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            # Safe: what is not committed is loaded by the next run.
            process.kill()
            process.wait()


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """The worker's environment without Airflow's own part, which may hold its database's password."""
    return {name: value for name, value in ours.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW_"))}


def level_of(line: str) -> int:
    try:
        return LEVELS.get(json.loads(line)["level"], logging.INFO)
    except (ValueError, KeyError, TypeError):
        return logging.INFO


def tell_dead_end(context: Mapping[str, Any]) -> None:
    """Logs one line when a task has failed for good. The place to call a pager from: it has names, no data."""
    task_instance = context["ti"]
    logging.getLogger("airflow.task").error(
        "waybill: dag=%s run=%s task=%s try=%s dead_end=%s",
        task_instance.dag_id,
        task_instance.run_id,
        task_instance.task_id,
        task_instance.try_number,
        getattr(context.get("exception"), "name", None) or "retries_used_up",
    )
