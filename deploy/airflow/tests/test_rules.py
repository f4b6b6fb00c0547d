"""The pure rules: settings, commands, what there is to do, what an exit code means."""

import json
from datetime import date

import pytest

from waybill_airflow import commands, outcome, settings
from waybill_airflow.commands import ALL, Request, RequestError

FOUND = {
    "datasets": {name: {"files": 0, "bytes": 0} for name in commands.DATASETS},
    "trackings": {"files": 0},
}
ECS = {
    "cluster": "shop",
    "task_definition": "waybill",
    "subnets": ["subnet-1"],
    "log_group": "waybill",
    "log_stream_prefix": "load",
}


def found(**files: int) -> dict:
    new = json.loads(json.dumps(FOUND))
    for name, count in files.items():
        (new["trackings"] if name == "trackings" else new["datasets"][name])["files"] = count
    return new


# --- commands --------------------------------------------------------------------------------------------------------


def test_a_backfill_asks_for_its_range_everywhere():
    request = Request.read({"from": "2026-07-01", "to": "2026-07-31", "strict": True})

    assert commands.discover(request) == ["load", "--list", "--from", "2026-07-01", "--to", "2026-07-31"]
    assert commands.load("orders", request) == [
        *["load", "--once", "--dataset", "orders"],
        *["--from", "2026-07-01", "--to", "2026-07-31"],
        *["--strict", "--no-marts"],
    ]


def test_without_parameters_everything_new_is_loaded():
    request = Request.read({"from": None, "to": None, "datasets": [], "strict": False, "day": None})

    assert request == Request()
    assert commands.load("trackings", request) == ["load", "--once", "--dataset", "trackings", "--no-marts"]
    assert commands.audit(request) == ["audit", "--format", "json"]


def test_the_day_is_for_the_audit_alone():
    request = Request.read({"day": "2026-07-01"})

    assert commands.audit(request) == ["audit", "--format", "json", "--day", "2026-07-01"]
    assert "2026-07-01" not in commands.discover(request) + commands.load("orders", request)


@pytest.mark.parametrize(
    "params",
    [
        {"from": "2026-07-01; rm -rf /"},
        {"to": "--strict"},
        {"day": "$(id)"},
        {"from": 7},
        {"from": "2026-02-30"},
        {"from": "2026-07-02", "to": "2026-07-01"},
        {"datasets": ["orders", "orders --config x"]},
    ],
)
def test_what_is_no_day_and_no_dataset_reaches_no_command(params):
    with pytest.raises(RequestError):
        Request.read(params)


# --- what there is to do ---------------------------------------------------------------------------------------------


def test_only_what_is_new_and_asked_for_is_loaded():
    new = found(orders=2, products=1, trackings=3)

    assert commands.why_not_load("orders", Request(), new) is None
    assert commands.why_not_load("customers", Request(), new) == "no new files of customers"
    assert commands.why_not_load("products", Request(datasets=("orders",)), new) == "products was not asked for"
    assert commands.why_not_load("trackings", Request(), new) is None
    assert "trackings" in commands.why_not_load("trackings", Request(from_day=date(2026, 7, 1)), new)


def test_a_place_without_an_address_is_skipped_with_its_name():
    assert commands.why_not_load("trackings", Request(), {"datasets": {}}) == "the program has no WAYBILL_LAKE"
    assert commands.why_not_load("orders", Request(), {"trackings": {}}) == "the program has no WAYBILL_RETAIL"


@pytest.mark.parametrize("answer", [{}, {"datasets": {}}, {"datasets": {"orders": {}}}, {"datasets": None}])
def test_an_answer_without_a_dataset_is_no_reason_to_skip_it(answer):
    with pytest.raises(RequestError):
        commands.why_not_load("orders", Request(), answer)


@pytest.mark.parametrize(
    ("request_", "files", "is_previous_done", "is_skipped"),
    [
        (Request(), {}, True, True),
        (Request(), {"orders": 1}, True, False),
        (Request(), {"trackings": 1}, True, False),
        (Request(), {}, False, False),
        (Request(day=date(2026, 7, 1)), {}, True, False),
        # What is new but not asked for is not loaded.
        (Request(datasets=("orders",)), {"products": 1}, True, True),
        (Request(to_day=date(2026, 7, 1)), {"trackings": 1}, True, True),
    ],
)
def test_marts_are_skipped_only_when_nothing_can_have_changed(request_, files, is_previous_done, is_skipped):
    reason = commands.why_no_marts(request_, found(**files), is_previous_done=is_previous_done)

    assert (reason is not None) == is_skipped


# --- exit codes and results ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [2, 3, 64, 65, 78, 126, 127])
def test_what_would_end_in_the_same_way_is_a_dead_end(code):
    assert outcome.dead_end(code) is not None


@pytest.mark.parametrize("code", [0, 1, 75, 101, 134, 137, 143, -9, -15, None])
def test_all_other_ends_may_heal(code):
    assert outcome.dead_end(code) is None


def test_a_result_is_found_among_lines_of_the_log():
    lines = [
        '{"timestamp":"2026-07-01T00:00:00Z","level":"INFO","message":"loaded","files":9}',
        "not JSON",
        '{"files":2,"lines":7}',
        '{"timestamp":"2026-07-01T00:00:01Z","level":"INFO","message":"done"}',
    ]

    assert outcome.result_among(lines, outcome.LOADED) == {"files": 2, "lines": 7}
    assert outcome.result_among(lines, outcome.REFRESHED) is None
    assert outcome.result_among([], outcome.LOADED) is None


def test_an_array_is_found_over_several_lines():
    assert outcome.result_among(["x", "[", '{"a":1},', '{"a":2}', "]", "y"], outcome.ARRAY) == [{"a": 1}, {"a": 2}]
    assert outcome.result_among(["[]"], outcome.ARRAY) == []
    assert outcome.result_among(["[", '{"a":1},'], outcome.ARRAY) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"other":1}', "secret"])
def test_a_result_that_is_not_one_is_a_fault_that_does_not_repeat_it(text):
    with pytest.raises(ValueError) as told:
        outcome.result_of(text, outcome.LOADED)
    assert "secret" not in str(told.value)


# --- settings --------------------------------------------------------------------------------------------------------


def test_without_a_variable_all_is_default_and_safe_for_duckdb():
    given = settings.parse("")

    assert (given.runner, given.schedule, given.parallel, given.ecs) == ("local", "@hourly", 1, None)


def test_settings_are_taken():
    given = settings.parse(json.dumps({"runner": "ecs", "schedule": None, "parallel": 4, "ecs": ECS}))

    assert given.schedule is None
    assert given.ecs.subnets == ["subnet-1"]
    assert given.ecs.container == "waybill"


def test_all_faults_are_named_at_once():
    with pytest.raises(settings.SettingsError) as told:
        settings.parse(json.dumps({"runer": "x", "parallel": 0, "retries": True, "ecs": {"subnets": "subnet-1"}}))

    for expected in ("did you mean runner?", "parallel", "retries", "ecs.subnets"):
        assert expected in str(told.value)


def test_ecs_needs_its_addresses():
    with pytest.raises(settings.SettingsError, match="ecs.cluster.*ecs.subnets.*ecs.log_group"):
        settings.parse('{"runner": "ecs"}')


@pytest.mark.parametrize("text", ["[]", "{", '"x"', '{"ecs": 1}', '{"runner": "ssh"}'])
def test_what_are_no_settings_is_told(text):
    with pytest.raises(settings.SettingsError):
        settings.parse(text)


def test_all_is_every_dataset_and_the_trackings():
    assert ALL == ("departments", "categories", "products", "customers", "orders", "order_items", "trackings")
