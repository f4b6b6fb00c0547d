"""What scripts/surface.sh adds to Schemathesis: signatures and tokens, bodies that mean something, one check that
knows the answer to each request, and a record of every answer.

It promises:
- The records hold the SHA-256 of every body that was answered, over the bytes that were sent.
- No order to replay or drop that is more than a dry run means any letter, so that every letter stays open.

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
import re
import time
import zlib
from urllib.parse import unquote, unquote_plus, urlsplit

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
ORDER_BYTES_MAX = 65_536
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
    schemathesis.auth.set_from_requests(Bearer()).apply_to(tag="admin")


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

# --- conditions and orders ---------------------------------------------------------------------------------------
# Well formed, and no letter's: ids are hashes.
NO_LETTER = "0" * 32
# Ids of letters that an answer has shown.
LETTERS = set()

REASONS = ["empty", "not_json", "too_deep", "not_an_object", "no_tracking", "bad_message", "redriven", "gave_up"]
DATASETS = ["tracking", "departments", "categories", "products", "customers", "orders", "order_items"]
STATUSES = ["loaded", "rejected", "duplicate", "superseded"]
CONDITIONS = ["id", "reason", "event", "since"]

# Instants and days, in seconds since 1970.
INSTANTS = {
    "2026-07-09": 1_783_555_200,
    "2026-07-09T12:00:00Z": 1_783_598_400,
    "1999-12-31T23:00:00-01:00": 946_684_800,
}
TIMES = [*INSTANTS, "60s", "5m", "6h", "7h", "3d", "0s", "-1h", "h", "1 h", "1w", "soon", "9999999999999999999d"]

QUERIES = {
    "deadLetters": [{}, {"all": "true"}, {"all": "yes"}, {"page": 1}, {"page": 10_000}, {"page": 10_001}, {"page": -1}]
    + [{"id": NO_LETTER}, {"event": "tracking_update"}, {"reason": "lost"}, {"colour": "red"}]
    + [{"reason": reason} for reason in REASONS]
    + [{"since": since} for since in TIMES],
    "trackings": [{}, {"find": " "}, {"find": "a\\b"}, {"find": "a\nb"}, {"find": "it's"}, {"find": "x" * 200}, {"find": "x" * 201}]
    # The parcel and the event that the file shows, and such as are made up.
    + [{"find": find} for find in ("4ktfzmhk12x0vmjyotlgv00a", "94DADD60-ed26-46d0-aa52-3ced925a50ff", "t1", "N1")],
    "loads": [{}, {"page": 1}, {"page": 10_001}, {"page": "x"}, {"colour": "red"}, {"dataset": "lost"}]
    + [{"dataset": dataset, "status": "loaded"} for dataset in DATASETS]
    + [{"status": status} for status in [*STATUSES, "lost"]]
    + [{"file": "events/none.jsonl.zst"}, {"file": "a\\b"}, {"file": "x" * 201}],
    "reconciliation": [{}] + [{"since": since} for since in TIMES],
    "cancelDeadLettersJob": [{}, {"reason": " "}, {"reason": "made up"}, {"reason": "x" * 501}],
}


@schemathesis.hook("flatmap_query").apply_to(operation_id=list(QUERIES))
def look_for_something(context, query):
    """Adds a condition that means something; what was made up wrong stays wrong."""
    query = query or {}
    added = st.sampled_from(QUERIES[operation_of(context)]).map(lambda known: known | query)
    if isinstance(query.get("find"), str):
        added = st.sampled_from(QUERIES["trackings"]).map(lambda known: query | known)
    return st.one_of(st.just(query), added)


@schemathesis.hook("flatmap_path_parameters").apply_to(operation_id="deadLetter")
def know_a_letter(context, path):
    """Hardly any made-up id is a letter's."""
    known = [{"id": letter} for letter in sorted(LETTERS)]
    return st.one_of(st.just(path), st.sampled_from(known)) if known else st.just(path)


WHERES = [None, {}, {"id": NO_LETTER}, {"event": "tracking_update"}, {"reason": "no_tracking", "since": "2h"}]
WHERES += [{"reason": reason} for reason in [*REASONS, "lost"]] + [{"since": since} for since in TIMES]
ORDERS = [{"where": where, "dry_run": True} for where in WHERES]
ORDERS += [{"dry_run": True, "limit": 5, "rate": 0.5}, {"dry_run": True, "reason": "made up"}]
ORDERS += [{"reason": "made up"}, {"where": {"reason": "not_json"}, "limit": 1, "rate": 50, "reason": " made up "}]

NO_ORDERS = [b"", b'{"dry_run":true', b'{"dry_run":true,"rate":NaN}', None, []]
NO_ORDERS += [{}, {"reason": " "}, {"reason": "x" * 501}]
NO_ORDERS += [
    {"dry_run": True} | wrong
    for wrong in (
        {"wher": {}},
        {"where": []},
        {"where": {"colour": "red"}},
        {"where": {"id=x": "y"}},
        {"reason": "x" * 501},
        {"where": {"id": 7}},
        {"limit": 0},
        {"limit": 1_000_001},
        {"limit": "5"},
        {"rate": 0},
        {"rate": 10_001},
        {"rate": "fast"},
        {"reason": ["x"]},
        {"dry_run": None},
        {"dry_run": "true"},
    )
]
LARGE_ORDERS = [b'{"dry_run":true}'.ljust(size) for size in (ORDER_BYTES_MAX, ORDER_BYTES_MAX + 1)]

DEEDS = ["replayDeadLetters", "dropDeadLetters"]


@schemathesis.hook("flatmap_body").apply_to(operation_id=DEEDS)
def order_something(context, body):
    """Half of what could be an order becomes one that means something; what was made up wrong stays wrong."""
    if not isinstance(body, dict) or not is_order({"reason": "made up"} | body):
        return st.just(body)
    return st.one_of(st.just(body), st.sampled_from(ORDERS))


@schemathesis.hook
def before_call(context, case, kwargs):
    """Whatever made an order up: one that would be carried out means no letter."""
    body = case.body
    if operation_of(context) not in DEEDS or not isinstance(body, dict) or body.get("dry_run") is True:
        return
    where = {} if body.get("where") is None else body["where"]
    if isinstance(where, dict) and isinstance(where.get("id", ""), str):
        case.body = body | {"where": where | {"id": NO_LETTER}}


def parts(name, values):
    return [{name: value} for value in values]


# Another site's page asks for it.
FOREIGN = [{"Origin": "https://other.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-origin"}]

# What is asked in every run, whatever is drawn later.
ALWAYS = {
    "receiveWebhook": parts("body", ODD_BYTES + LARGE_BYTES),
    "query": parts(
        "body", [{"sql": sql, "format": form} for sql in STATEMENTS for form in ("json", "csv", "table")] + NO_QUERIES
    ),
    **{name: parts("query", queries) for name, queries in QUERIES.items()},
    **{name: parts("body", ORDERS + NO_ORDERS + LARGE_ORDERS) + parts("headers", FOREIGN) for name in DEEDS},
}
ALWAYS["deadLetter"] = parts("path_parameters", [{"id": NO_LETTER}, {"id": "a%2Fb"}])
ALWAYS["cancelDeadLettersJob"] += [{"query": {"reason": "made up"}, "headers": headers} for headers in FOREIGN]


@schemathesis.hook
def before_add_examples(context, examples):
    """Adds to the examples that the file shows."""
    for known in ALWAYS.get(operation_of(context), []):
        example = examples[0].derive(keep_auth=True)
        for part, value in known.items():
            setattr(example, part, value)
        examples.append(example)


def operation_of(context):
    return context.operation.definition.raw["operationId"]


# --- the answer to each request ----------------------------------------------------------------------------------
@schemathesis.check
def answers_as_documented(context, response, case):
    """Status and code follow from the request alone, in the documented order of checks."""
    request = response.request
    expected = EXPECTED[case.operation.definition.raw["operationId"]](request)
    code = None
    is_json = "json" in response.headers.get("content-type", [""])[0]
    if response.status_code >= 400 and request.method != "HEAD" and is_json:
        code = response.json()["error"]["code"]
    if request.method == "HEAD":
        # There is no body to tell.
        expected = {(status, None) for status, _ in expected}
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
    asked = json_of(body)
    is_object = isinstance(asked, dict) and isinstance(asked.get("sql"), str)
    return is_object and asked.get("format", "json") in ("json", "csv", "table")


def json_of(body):
    """Read as strictly as the server does; None: it is no JSON."""

    def refuse(constant):
        raise ValueError(constant)

    try:
        return json.loads(body.decode(), parse_constant=refuse)
    except ValueError:
        return None


def expected_of_page(request):
    return {(200, None)} if request.method in ("GET", "HEAD") else {(405, None)}


BAD = {(400, "bad_request")}
GOOD = {(200, None)}


def reading(judge):
    """A path that is only read: the method first, then the token, then what `judge` says of the request."""

    def expected(request):
        if request.method not in ("GET", "HEAD"):
            return {(405, None)}
        return judge(request) if TOKEN else {(401, "unauthorized")}

    return expected


def acting(method, judge):
    """A path that changes something: the method first, then the token, then whose page asks for it."""

    def expected(request):
        if request.method != method:
            return {(405, None)}
        if not TOKEN:
            return {(401, "unauthorized")}
        return {(403, "forbidden")} if is_foreign(request) else judge(request)

    return expected


def is_foreign(request):
    site, origin = (as_text(request.headers.get(name)) for name in ("Sec-Fetch-Site", "Origin"))
    if site is not None:
        return site != "same-origin"
    return origin is not None and origin.partition("://")[2] != urlsplit(request.url).netloc


def of_letters(request):
    names, given = params_of(request)
    is_known = names <= {*CONDITIONS, "all", "page"} and given.get("all", "true") in ("true", "false")
    return GOOD if is_known and is_page(given) and are_conditions(given) else BAD


def of_letter(request):
    name = unquote(urlsplit(request.url).path.rpartition("/")[2])
    if not name:
        return {(404, None)}
    return GOOD if name in LETTERS else {(404, "not_found")}


def of_order(request):
    body = bytes_of(request)
    if len(body) > ORDER_BYTES_MAX:
        return {(413, "too_large")}
    order = json_of(body)
    if not is_order(order):
        return BAD
    return GOOD if order.get("dry_run") else {(202, None), (409, "already_running")}


def is_order(order):
    """The schema `LettersOrder`, with conditions that can be read, and a reason where one is needed."""
    if not isinstance(order, dict) or not order.keys() <= {"where", "limit", "rate", "dry_run", "reason"}:
        return False
    where, limit, rate, reason = (order.get(name) for name in ("where", "limit", "rate", "reason"))
    is_dry = order.get("dry_run", False)
    if not isinstance(is_dry, bool) or not isinstance(reason, str | None):
        return False
    if not is_reason(reason or "") and not (is_dry and not (reason or "").strip(WHITE)):
        return False
    if limit is not None and not (type(limit) is int and 1 <= limit <= 1_000_000):
        return False
    if rate is not None and not (type(rate) in (int, float) and 0 < rate <= 10_000):
        return False
    if where is None:
        return True
    is_object = isinstance(where, dict) and where.keys() <= set(CONDITIONS)
    return is_object and all(isinstance(value, str) for value in where.values()) and are_conditions(where)


def of_cancel(request):
    _, given = params_of(request)
    # What runs means no letter, and is over at once.
    return {(200, None), (404, "not_found")} if is_reason(given.get("reason", "")) else BAD


def of_job(request):
    return {(200, None), (404, "not_found")}


def of_trackings(request):
    _, given = params_of(request)
    return GOOD if "find" in given and is_askable(given["find"]) else BAD


def of_loads(request):
    names, given = params_of(request)
    is_known = names <= {"dataset", "status", "file", "page"} and is_page(given) and is_askable(given.get("file", ""))
    is_listed = given.get("dataset", DATASETS[0]) in DATASETS and given.get("status", STATUSES[0]) in STATUSES
    return GOOD if is_known and is_listed else BAD


def of_reconciliation(request):
    _, given = params_of(request)
    now = int(time.time())
    since = instant_of(given.get("since", "60m"), now)
    return GOOD if since is not None and 0 < now - since <= 6 * 3_600 else BAD


# What the server takes for white space, which is less than Python does.
WHITE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
WHITE += "".join(map(chr, range(0x2000, 0x200B)))


def params_of(request):
    """All names, and the last value of each without the space around it where one is left."""
    pairs = [pair.partition("=") for pair in urlsplit(request.url).query.split("&") if pair]
    last = {unquote_plus(name): unquote_plus(value).strip(WHITE) for name, _, value in pairs}
    return last.keys(), {name: value for name, value in last.items() if value}


def is_page(given):
    page = given.get("page", "0")
    return re.fullmatch(r"\+?[0-9]{1,1000}", page) is not None and int(page) <= 10_000


def is_reason(text):
    return 1 <= len(text.strip(WHITE)) <= 500


def is_askable(text):
    return len(text) <= 200 and "\0" not in text


def are_conditions(given):
    is_time = "since" not in given or instant_of(given["since"], int(time.time())) is not None
    return is_time and given.get("reason", REASONS[0]) in REASONS


def instant_of(text, now):
    """Seconds since 1970; None: it is no time."""
    if text in INSTANTS:
        return INSTANTS[text]
    back = re.fullmatch(r"([+-]?[0-9]{1,1000})([smhd])", text)
    if back is None:
        return None
    instant = now - int(back[1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[back[2]]
    # From the year -9999 to the year 9999.
    return instant if -377_705_023_201 <= instant <= 253_402_207_200 else None


EXPECTED = {
    "receiveWebhook": expected_of_webhook,
    "query": expected_of_query,
    "live": expected_of_page,
    "ready": expected_of_page,
    "metrics": expected_of_page,
    "pipeline": reading(lambda request: GOOD),
    "deadLetters": reading(of_letters),
    "deadLetter": reading(of_letter),
    "replayDeadLetters": acting("POST", of_order),
    "dropDeadLetters": acting("POST", of_order),
    "deadLettersJob": reading(of_job),
    "cancelDeadLettersJob": acting("DELETE", of_cancel),
    "auditTrail": reading(lambda request: GOOD),
    "trackings": reading(of_trackings),
    "loads": reading(of_loads),
    "reconciliation": reading(of_reconciliation),
}


def as_text(value):
    return value.decode("latin-1") if isinstance(value, bytes) else value


# --- records -----------------------------------------------------------------------------------------------------
@schemathesis.hook
def after_call(context, case, response):
    if operation_of(case) == "deadLetters" and response.status_code == 200 and response.request.method == "GET":
        LETTERS.update(letter["id"] for letter in response.json()["letters"])
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
