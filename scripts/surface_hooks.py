"""What scripts/surface.sh adds to Schemathesis: signatures and tokens, bodies that mean something, one check that
knows the answer to each request, and a record of every answer.

It promises that the records hold the SHA-256 of every body that was answered, over the bytes that were sent.

Settings come from the environment:
- SURFACE_RUN: the run's name in the records.
- SURFACE_RECORDS: the file that records are appended to, one JSON object a line.
- SURFACE_SIGNATURE: how webhooks are signed: right, wrong, none, or odd (whatever Schemathesis makes up).
- SURFACE_SECRET: what is signed with.
- SURFACE_TOKEN: the operators' token; empty sends none.
"""

import base64
import hashlib
import hmac
import json
import os
import random
import zlib

import schemathesis
from hypothesis import strategies as st

RUN = os.environ["SURFACE_RUN"]
SIGNATURE = os.environ["SURFACE_SIGNATURE"]
SECRET = os.environ["SURFACE_SECRET"]
TOKEN = os.environ["SURFACE_TOKEN"]
RECORDS = open(os.environ["SURFACE_RECORDS"], "a", buffering=1, encoding="utf-8")

SIGNATURE_HEADER = "aftership-hmac-sha256"
BODY_BYTES_MAX = 1_048_576
URI_BYTES_MAX = 2_048
ODD_CODES = {"signature_missing", "signature_malformed", "signature_repeated", "signature_mismatch"}


# --- who we are --------------------------------------------------------------------------------------------------
class Signer:
    """Signs the bytes that go out, as AfterShip does."""

    def __call__(self, request):
        # What goes out as text would be encoded only later.
        request.body = bytes_of(request)
        secret = SECRET if SIGNATURE == "right" else SECRET[::-1]
        digest = hmac.new(secret.encode(), request.body, hashlib.sha256).digest()
        request.headers[SIGNATURE_HEADER] = base64.b64encode(digest).decode()
        return request


class Bearer:
    """Shows the operators' token."""

    def __call__(self, request):
        request.headers["Authorization"] = f"Bearer {TOKEN}"
        return request


if SIGNATURE in ("right", "wrong"):
    schemathesis.auth.set_from_requests(Signer()).apply_to(operation_id="receiveWebhook")
if TOKEN:
    schemathesis.auth.set_from_requests(Bearer()).apply_to(operation_id="query")


def bytes_of(request):
    body = request.body or b""
    return body.encode() if isinstance(body, str) else body


# --- bodies that mean something ----------------------------------------------------------------------------------
# A few events come again and again with other bodies, as no sender should do.
EVENT_IDS = [f"94dadd60-ed26-46d0-aa52-3ced925a5{n:03d}" for n in range(4)]

TRACKING = {"slug": "dhl", "tag": "InTransit", "updated_at": "2026-07-09T12:00:00+00:00"}
CHECKPOINT = {"slug": "dhl", "checkpoint_time": "2026-07-09T10:00:00+02:00", "tag": "InTransit"}
WEBHOOK = json.dumps(
    {"event": "tracking_update", "ts": 1783598400, "msg": TRACKING | {"id": "t", "checkpoints": [CHECKPOINT]}}
).encode()

# How a tracking is named: by its id, or by slug and number.
NAMES = st.one_of(
    st.integers(0, 50).map(lambda n: {"id": f"t{n}"}),
    st.integers(0, 50).map(lambda n: {"slug": "ups", "tracking_number": f"N{n}"}),
    st.text(min_size=1).map(lambda text: {"id": text}),
    st.integers().map(lambda n: {"id": n}),
    # AfterShip's sample.
    st.just({"id": "0" * 32}),
)

ODD_BYTES = [b"", b" \r\n", b"\xef\xbb\xbf{}", b"null", b"[]", b'"', b"\x00", WEBHOOK.decode().encode("utf-16")]

# Around the limits: hashed elsewhere over 64 KiB, refused over 1 MiB.
LARGE_BYTES = [WEBHOOK.ljust(size) for size in (65_536, 65_537, BODY_BYTES_MAX, BODY_BYTES_MAX + 1)]
# Nothing makes this one smaller.
LARGE_BYTES.append(random.Random(1).randbytes(BODY_BYTES_MAX))

# Any bytes at all, and such as are nearly a webhook.
BYTES = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(str.encode),
    st.integers(0, len(WEBHOOK)).map(lambda at: WEBHOOK[:at]),
    st.tuples(st.integers(0, len(WEBHOOK)), st.binary(min_size=1, max_size=3)).map(
        lambda put: WEBHOOK[: put[0]] + put[1] + WEBHOOK[put[0] :]
    ),
    st.integers(1, 200).map(lambda depth: b'{"msg":{"id":"t","x":' + b"[" * depth + b"]" * depth + b"}}"),
    st.sampled_from(ODD_BYTES),
)


@schemathesis.hook("flatmap_body").apply_to(operation_id="receiveWebhook")
def mean_something(context, body):
    """Most objects become webhooks that name a tracking; what is no object becomes any bytes."""
    if not isinstance(body, dict):
        return st.one_of(st.just(body), BYTES)
    msg = body.get("msg")
    msg = TRACKING | (msg if isinstance(msg, dict) else {})
    named = NAMES.map(lambda name: body | {"msg": msg | name})
    scanned = NAMES.map(lambda name: body | {"msg": msg | {"checkpoints": [CHECKPOINT | name]} | name})
    known = st.tuples(named, st.sampled_from(EVENT_IDS)).map(lambda both: both[0] | {"event_id": both[1]})
    return st.one_of(st.just(body), named, scanned, known)


STATEMENTS = [
    "select count(*) as trackings from base.fct_shipment_tracking",
    "select * from raw.tracking_event order by received_at limit 20",
    "select * from raw.loaded_file limit 20;",
    "select * from base.fct_tracking_checkpoint limit 20",
    "from raw.rejected_row",
    "with t as (select 1 as a) select a, a from t",
    "describe raw.tracking_event",
    "show tables",
    "select 1 as a, null as b, true as c, 'x' as d, 1.50 as e, 9007199254740993 as f, 0.1::double as g",
    "select 170141183460469231731687303715884105727::hugeint as h, 18446744073709551615::ubigint as u",
    "select cast('-9223372036854775808' as bigint) as least, cast('9223372036854775807' as bigint) as greatest",
    "select 'nan'::double as a, '-infinity'::double as b, 'inf'::float as c",
    "select timestamptz '2026-07-09 12:00:00+02' as a, timestamp '2026-07-09 12:00:00' as b, date '2026-07-09' as c",
    "select 'infinity'::timestamptz as a, '-infinity'::timestamp as b",
    "select 'infinity'::date as a",
    "select '-infinity'::date as a",
    "select date '9999-12-31' as a, date '0001-01-01' as b, date '290000-01-01' as c",
    "select [1, 2] as l, {'a': 1} as s, map {'k': 'v'} as m, interval 1 day as i, time '12:00' as t, uuid() as u",
    "select '\\x00\\xFF'::blob as b, 'a' || chr(0) || 'b' as z, bitstring '0101' as s",
    "select * from range(3000)",
    "select 1; select 2",
    "delete from raw.tracking_event",
    "create table t as select 1",
    "attach ':memory:' as other",
    "copy (select 1) to '/dev/null'",
    "set threads = 1",
    "select * from no_such_table",
    "select 1 / 0 as a, error('x')",
    "",
    ";",
    "-- nothing",
]


@schemathesis.hook("flatmap_body").apply_to(operation_id="query")
def ask_something(context, body):
    """Most texts become a statement; the others stay as they were made up."""
    if not isinstance(body, dict) or not isinstance(body.get("sql"), str):
        return st.just(body)
    return st.one_of(st.just(body), st.sampled_from(STATEMENTS).map(lambda sql: body | {"sql": sql}))


NO_QUERIES = [
    b"",
    b'{"sql":"select 1"',
    b'{"sql":"select 1","format":NaN}',
    None,
    "select 1",
    [],
    ["select 1"],
    ["select 1", "csv"],
    {},
    {"sql": None},
    {"sql": ["select 1"]},
    {"sql": "select 1", "format": "xml"},
    {"sql": "select 1", "format": "JSON"},
    {"sql": "select 1", "format": None},
    {"sql": "select 1", "format": {"json": None}},
]

# What is asked in every run, whatever is drawn later.
ALWAYS = {
    "receiveWebhook": ODD_BYTES + LARGE_BYTES,
    "query": [{"sql": sql, "format": form} for sql in STATEMENTS for form in ("json", "csv", "table")] + NO_QUERIES,
}


@schemathesis.hook
def before_add_examples(context, examples):
    """Adds to the examples that the file shows."""
    bodies = ALWAYS.get(context.operation.definition.raw["operationId"], [])
    for body in bodies:
        example = examples[0].derive(keep_auth=True)
        example.body = body
        examples.append(example)


# --- the answer to each request ----------------------------------------------------------------------------------
@schemathesis.check
def answers_as_documented(context, response, case):
    """Status and code follow from the request alone, in the documented order of checks."""
    request = response.request
    expected = EXPECTED[case.operation.definition.raw["operationId"]](request)
    code = None
    if response.status_code != 200 and "json" in response.headers.get("content-type", [""])[0]:
        code = response.json()["error"]["code"]
    if (response.status_code, code) not in expected:
        raise AssertionError(f"expected {sorted(expected, key=str)}, got {(response.status_code, code)}")


def expected_of_webhook(request):
    if request.method != "POST":
        return {(405, "method_not_allowed")}
    if len(request.path_url) > URI_BYTES_MAX:
        return {(414, "uri_too_long")}
    encodings = as_text(request.headers.get("Content-Encoding", "")).split(",")
    if any(coding.strip().lower() not in ("", "identity") for coding in encodings):
        return {(415, "unsupported_content_encoding")}
    if SIGNATURE == "odd":
        return {(401, code) for code in ODD_CODES}
    if SIGNATURE == "none":
        return {(401, "signature_missing")}
    if len(bytes_of(request)) > BODY_BYTES_MAX:
        return {(413, "body_too_large")}
    if SIGNATURE == "wrong":
        return {(401, "signature_mismatch")}
    # The queue's limit is the same, and its messages are text: a third longer than what they hold.
    is_dense = len(zlib.compress(bytes_of(request), 1)) > BODY_BYTES_MAX * 2 // 3
    return {(413, "message_too_large")} if is_dense else {(200, None)}


def expected_of_query(request):
    if request.method != "POST":
        return {(405, None)}
    if not TOKEN:
        return {(401, "unauthorized")}
    return {(200, None), (400, "query_failed")} if is_query(bytes_of(request)) else {(400, "bad_request")}


def is_query(body):
    """The schema `Query`."""
    try:
        asked = json.loads(body)
    except ValueError:
        return False
    is_object = isinstance(asked, dict) and isinstance(asked.get("sql"), str)
    return is_object and asked.get("format", "json") in ("json", "csv", "table")


def expected_of_page(request):
    return {(200, None)} if request.method in ("GET", "HEAD") else {(405, None)}


EXPECTED = {
    "receiveWebhook": expected_of_webhook,
    "query": expected_of_query,
    "live": expected_of_page,
    "ready": expected_of_page,
    "metrics": expected_of_page,
}


def as_text(value):
    return value.decode("latin-1") if isinstance(value, bytes) else value


# --- records -----------------------------------------------------------------------------------------------------
@schemathesis.hook
def after_call(context, case, response):
    body = bytes_of(response.request)
    record(
        case,
        status=response.status_code,
        is_signed=SIGNATURE == "right" and SIGNATURE_HEADER in response.request.headers,
        sha256=hashlib.sha256(body).hexdigest(),
    )


@schemathesis.hook
def after_network_error(context, case, request):
    record(case, failure="no answer", body=excerpt(request))


@schemathesis.hook
def filter_failure(context, failure, case, response):
    reason = failure.message.split("\n")[0]
    record(case, failure=f"{failure.title}: {reason}", body=excerpt(response.request))
    return True


def excerpt(request):
    return repr(bytes_of(request)[:200])


def record(case, **what):
    RECORDS.write(json.dumps({"run": RUN, "operation": case.operation.label} | what) + "\n")
