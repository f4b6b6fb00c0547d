#!/usr/bin/env python3
"""Reads every statement that Redshift is sent (tests/golden/redshift) with a parser of its dialect, and names what
Redshift does not have, or what we do not do there.

    make test-tools
    python3 scripts/redshift_sql.py [FILE ...]

A statement that parses may still be refused by Redshift: this knows its grammar and the rules below, not its planner.
Functions are held to a list of those it has, since what it lacks cannot be listed. Exits 1 when anything was found.
The rules are from the Amazon Redshift Developer Guide: "Unsupported PostgreSQL features", "Unsupported PostgreSQL
functions", "Leader node-only functions", "Reserved words", "Correlated subqueries", "MERGE", "DELETE", "UPDATE",
"Window function syntax summary", "EXTRACT", "AVG", "Character types", "COPY".
"""

import logging
import pathlib
import sys

import sqlglot
from sqlglot import exp
from sqlglot.tokens import TokenType

logging.getLogger("sqlglot").setLevel(logging.ERROR)

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "redshift"

RESERVED = set(
    """
    aes128 aes256 all allowoverwrite analyse analyze and any array as asc authorization az64 backup between binary
    blanksasnull both bytedict bzip2 case cast check collate column connect constraint create credentials cross
    current_date current_time current_timestamp current_user current_user_id default deferrable deflate defrag delta
    delta32k desc disable distinct do else emptyasnull enable encode encrypt encryption end except explicit false for
    foreign freeze from full globaldict256 globaldict64k grant group gzip having identity ignore ilike in initially
    inner intersect interval into is isnull join language leading left like limit localtime localtimestamp lun luns lzo
    lzop minus mostly16 mostly32 mostly8 natural new not notnull null nulls off offline offset oid old on only open or
    order outer overlaps parallel partition percent permissions pivot placing primary raw readratio recover references
    rejectlog resort respect restore right select session_user similar snapshot some start sysdate system table tag
    tdes text255 text32k then timestamp to top trailing true truncatecolumns union unique unnest unpivot user using
    verbose wallet when where with without
    """.split()
)

# What Redshift has on its compute nodes, of what we use, as the parser calls it.
FUNCTIONS = {
    "abs", "and", "avg", "case", "cast", "chr", "coalesce", "count", "current_timestamp", "exists", "extract", "floor",
    "greatest", "if", "lag", "lead", "least", "lower", "max", "md5", "min", "nullif", "or", "pad", "replace", "round",
    "row_number", "split_part", "str_position", "substring", "sum", "timestamp_trunc",
    "from_base",  # strtol
    "time_to_str",  # to_char
    "ts_or_ds_diff",  # datediff
}  # fmt: skip
PARTS = {"year", "quarter", "month", "day", "doy", "dow", "week", "hour", "minute", "second"}
TYPES = {"VARCHAR", "BIGINT", "INT", "DECIMAL", "BOOLEAN", "DATE", "TIMESTAMP", "TIMESTAMPTZ", "INTERVAL"}
AGGREGATES = (exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Count)
COPY_NEEDS = ("manifest", "gzip", "escape", "null as", "maxerror 0", "compupdate off", "iam_role")
COPY_NEVER = (
    "acceptinvchars", "acceptanydate", "truncatecolumns", "fillrecord", "ignoreblanklines", "emptyasnull",
    "blanksasnull", "ignoreallerrors", "access_key_id", "secret_access_key",
)  # fmt: skip
COMMANDS = {"LOCK", "VACUUM"}
STATEMENTS = (
    exp.Alter, exp.Comment, exp.Commit, exp.Create, exp.Delete, exp.Drop, exp.Insert, exp.Merge, exp.Query,
    exp.Transaction, exp.TruncateTable, exp.Update,
)  # fmt: skip
LONGEST = 16 * 1024 * 1024


def table_name(node):
    return node.alias_or_name if isinstance(node, (exp.Table, exp.Subquery)) else ""


def sources(select):
    """The names that a query's own FROM and JOIN give."""
    found = set()
    from_ = select.args.get("from_") or select.args.get("from")
    if from_:
        found.add(table_name(from_.this))
    for join in select.args.get("joins") or []:
        found.add(table_name(join.this))
    return found


def outer_columns(select):
    """Columns in a query that belong to a query around it: those whose table it does not have."""
    inner = set()
    for node in select.find_all(exp.Select):
        inner |= sources(node)
    return [column for column in select.find_all(exp.Column) if column.table and column.table not in inner]


def conjuncts(node):
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.And):
        return conjuncts(node.left) + conjuncts(node.right)
    return [node] if node is not None else []


def correlations(tree):
    """A query within another may refer to that only as `inner = outer`, and only in its own WHERE."""
    for node in tree.find_all(exp.Exists, exp.Subquery, exp.In):
        query = node.args.get("query") if isinstance(node, exp.In) else node.this
        if isinstance(query, exp.Subquery):
            query = query.this
        if not isinstance(query, exp.Select):
            continue
        if isinstance(node, exp.Subquery) and isinstance(node.parent, (exp.From, exp.Join)):
            if outer_columns(query) and not node.find_ancestor(exp.Exists, exp.In):
                yield "a table subquery refers to its neighbours (lateral)"
            continue
        outer = outer_columns(query)
        if not outer:
            continue
        where = query.args.get("where")
        allowed = set()
        for part in conjuncts(where.this) if where else []:
            if isinstance(part, exp.EQ):
                sides = [side for side in (part.left, part.right) if isinstance(side, exp.Column)]
                theirs = [side for side in sides if any(side is column for column in outer)]
                if len(sides) == 2 and len(theirs) == 1:
                    allowed.add(id(theirs[0]))
        if any(id(column) not in allowed for column in outer):
            yield "a correlated subquery that compares by anything but ="
        elif not isinstance(node, exp.Exists) or query.find(exp.Window, exp.Group, exp.AggFunc):
            yield "a correlated subquery outside of EXISTS, or with a window or group of its own"
        elif node.find_ancestor(exp.Join):
            yield "a correlated subquery in the condition of a join"


def tree_faults(tree):
    for node in tree.walk():
        if isinstance(node, exp.Tuple) and not isinstance(node.parent, (exp.Values, exp.Insert)):
            yield "a row of values, compared or asked for"
        elif isinstance(node, (exp.NullSafeEQ, exp.NullSafeNEQ)):
            yield "IS [NOT] DISTINCT FROM"
        elif isinstance(node, exp.Values) and not isinstance(node.parent, exp.Insert):
            yield "VALUES as a table"
        elif isinstance(node, exp.Filter):
            yield "FILTER (WHERE …)"
        elif isinstance(node, exp.Collate):
            yield "COLLATE"
        elif isinstance(node, exp.OnConflict):
            yield "ON CONFLICT"
        elif isinstance(node, exp.Returning):
            yield "RETURNING"
        elif isinstance(node, exp.TruncateTable):
            yield "TRUNCATE, which commits"
        elif isinstance(node, (exp.Lateral, exp.Unnest, exp.Explode)):
            yield "LATERAL or UNNEST"
        elif isinstance(node, (exp.Bracket, exp.Array)):
            yield "an array"
        elif isinstance(node, exp.With) and node.args.get("recursive"):
            yield "WITH RECURSIVE, which has limits"
        elif isinstance(node, exp.Distinct) and node.args.get("on"):
            yield "DISTINCT ON"
        elif isinstance(node, exp.Select) and node.args.get("windows"):
            yield "a WINDOW clause"
        elif isinstance(node, exp.Window):
            if node.args.get("alias") and not node.args.get("partition_by"):
                yield "a window by name"
            elif isinstance(node.this, AGGREGATES) and node.args.get("order") and not node.args.get("spec"):
                yield "an aggregate over an ordered window without a frame"
        elif isinstance(node, exp.In):
            query = node.args.get("query")
            query = query.this if isinstance(query, exp.Subquery) else query
            if isinstance(query, exp.Select) and len(query.expressions) != 1:
                yield "IN of more than one column"
        elif isinstance(node, exp.Any):
            yield "ANY of an array"
        elif isinstance(node, exp.CurrentTimestamp):
            if not node.args.get("sysdate"):
                yield "now() or current_timestamp, which only the leader node has: sysdate"
        elif isinstance(node, exp.Concat):
            yield "concat(): say ||, which also takes more than two"
        elif isinstance(node, exp.Extract):
            if node.this.name.lower() not in PARTS:
                yield f"extract({node.this.name.lower()} …): not a part that Redshift has, or gives exactly"
        elif isinstance(node, exp.DataType):
            kind = node.this.name if hasattr(node.this, "name") else str(node.this)
            if kind == "VARCHAR" and not node.expressions or kind == "TEXT":
                yield "a text type without a length, which is 256 bytes"
            elif kind not in TYPES and kind != "TEXT":
                yield f"the type {kind.lower()}"
        elif isinstance(node, exp.Identifier):
            if not node.args.get("quoted") and node.name.lower() in RESERVED:
                yield f"the reserved word {node.name} without quotes"
            elif len(node.name.encode()) > 127:
                yield "a name of more than 127 bytes"
        elif isinstance(node, (exp.Anonymous, exp.Func)):
            name = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
            if name.lower() not in FUNCTIONS:
                yield f"the function {name.lower()}, which is not on our list of those that Redshift has"
            elif isinstance(node, exp.Avg) and isinstance(node.this, exp.Column):
                yield "the mean of a column: of whole numbers it is a whole number"


def create_faults(tree):
    if tree.args.get("kind") == "INDEX":
        yield "an index"
    for node in tree.find_all(exp.PartitionedByProperty, exp.InheritsProperty):
        yield f"partitions ({node.key})"
    for node in tree.find_all(
        exp.PrimaryKey, exp.PrimaryKeyColumnConstraint, exp.UniqueColumnConstraint, exp.ForeignKey, exp.Reference,
        exp.CheckColumnConstraint,
    ):  # fmt: skip
        yield f"a key or check ({node.key}): it is not held, and plans rely on it"
    is_table = tree.args.get("kind") == "TABLE" and isinstance(tree.this, exp.Schema)
    is_temporary = tree.find(exp.TemporaryProperty) is not None
    spread = list(tree.find_all(exp.DistKeyProperty, exp.DistStyleProperty))
    if is_table and not is_temporary and len(spread) != 1:
        yield "a table that does not say how it is spread"
    for node in tree.find_all(exp.DistKeyProperty):
        if "product" in node.this.name.lower() and node.this.name.lower() != "order_item_product_key":
            yield "a table spread by product"


def change_faults(tree):
    target = tree.this
    if isinstance(target, exp.Table) and target.alias:
        yield "an alias on what is changed"
    from_ = tree.args.get("from_") or tree.args.get("from")
    if isinstance(tree, exp.Update) and from_ is not None:
        if tree.args.get("joins") or from_.this.args.get("joins"):
            yield "a join beside the target of UPDATE: put it into a subquery"
        where = tree.args.get("where")
        names = {target.name}
        is_joined = any(
            isinstance(part, exp.EQ)
            and isinstance(part.left, exp.Column)
            and isinstance(part.right, exp.Column)
            and len({part.left.table in names, part.right.table in names}) == 2
            for part in (conjuncts(where.this) if where else [])
        )
        if not is_joined:
            yield "UPDATE … FROM without an equality with the target"


def merge_faults(tree):
    whens = tree.args["whens"].expressions
    matched = [bool(when.args.get("matched")) for when in whens]
    if sorted(matched) != [False, True]:
        yield "MERGE needs one WHEN MATCHED and one WHEN NOT MATCHED"
    if any(when.args.get("condition") for when in whens):
        yield "MERGE with a condition beside MATCHED"
    if tree.this.alias:
        yield "an alias on the target of MERGE"
    if not isinstance(tree.args["using"], exp.Table):
        yield "MERGE from anything but a table"
    if tree.args.get("with_") or tree.args.get("with"):
        yield "WITH in MERGE"
    if not all(isinstance(part, exp.EQ) for part in conjuncts(tree.args["on"])):
        yield "MERGE on anything but equalities"


def token_faults(sql):
    tokens = sqlglot.tokenize(sql, read="redshift")
    for token, following in zip(tokens, tokens[1:]):
        if token.token_type == TokenType.TIMESTAMPTZ and following.token_type == TokenType.STRING:
            yield "timestamptz '…': say cast('…' as timestamptz)"
        if token.token_type == TokenType.DCOLON:
            yield "::, which is PostgreSQL's cast: say cast(… as …)"


def faults(sql):
    """What is wrong with one statement."""
    if "\\" in sql.replace("delimiter '\\t'", ""):
        yield "a backslash: whether it means itself in a text is a setting"
    if len(sql.encode()) > LONGEST:
        yield "a statement of more than 16 MB"
    try:
        trees = [tree for tree in sqlglot.parse(sql, read="redshift") if tree is not None]
    except sqlglot.errors.SqlglotError as error:
        yield f"cannot be parsed: {str(error).splitlines()[0]}"
        return
    yield from token_faults(sql)
    for tree in trees:
        if isinstance(tree, exp.Command):
            if tree.name.upper() not in COMMANDS:
                yield f"{tree.name.upper()}: the parser does not understand it"
            continue
        if isinstance(tree, exp.Copy):
            lower = " ".join(sql.lower().split())
            yield from (f"COPY without {needed}" for needed in COPY_NEEDS if needed not in lower)
            yield from (f"COPY with {never}" for never in COPY_NEVER if never in lower)
            continue
        if isinstance(tree, exp.Set):
            continue
        if not isinstance(tree, STATEMENTS):
            yield f"{tree.key}: the parser does not understand it as a statement"
            continue
        yield from tree_faults(tree)
        yield from correlations(tree)
        if isinstance(tree, exp.Create):
            yield from create_faults(tree)
        if isinstance(tree, (exp.Delete, exp.Update)):
            yield from change_faults(tree)
        if isinstance(tree, exp.Merge):
            yield from merge_faults(tree)


def statements(text):
    """Golden files end each statement in a semicolon at the end of a line, with an empty line behind."""
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return [part.strip() for part in "\n".join([*lines, ""]).split(";\n") if part.strip()]


def order_faults(parts):
    """What is wrong with the order of the statements of one file."""
    if "begin" not in parts:
        return
    inside = parts[parts.index("begin") + 1 : parts.index("commit")]
    if not inside or not inside[0].startswith("lock "):
        yield "the first statement behind BEGIN is not LOCK"
    if any(part.startswith(("vacuum", "truncate")) for part in inside):
        yield "VACUUM or TRUNCATE in a transaction"
    made = [part.split()[3] for part in inside if part.startswith("create temp table ")]
    dropped = [
        name.strip()
        for part in inside
        if part.startswith("drop table ")
        for name in part.removeprefix("drop table ").split(",")
    ]
    if sorted(made) != sorted(dropped):
        yield f"temporary tables made and not dropped, or the reverse: {sorted(set(made) ^ set(dropped))}"


# One of each that has to be found: (what the finding says, a statement).
WRONG = [
    ("row of values", "select 1 from t where (a, b) > (1, 2)"),
    ("row of values", "select 1 from t where (a, b) in (select a, b from u)"),
    ("IN of more than one column", "select 1 from t where (a, b) in (select a, b from u)"),
    ("IS [NOT] DISTINCT FROM", "select 1 from t where a is distinct from b"),
    ("IS [NOT] DISTINCT FROM", "select 1 from t where a is not distinct from b"),
    ("VALUES as a table", "select a from (values (1), (2)) as v (a)"),
    ("FILTER", "select count(*) filter (where a = 1) from t"),
    ("COLLATE", "select a collate \"C\" from t"),
    ("ON CONFLICT", "insert into t (a) values (1) on conflict do nothing"),
    ("RETURNING", "delete from t where a = 1 returning a"),
    ("TRUNCATE", "truncate t"),
    ("LATERAL or UNNEST", "select unnest(a) from t"),
    ("an array", "select a[1] from t"),
    ("ANY of an array", "select 1 from t where a = any (b)"),
    ("RECURSIVE", "with recursive r as (select 1 as n union all select n + 1 from r) select n from r"),
    ("DISTINCT ON", "select distinct on (a) a from t"),
    ("WINDOW clause", "select sum(a) over w from t window w as (partition by b)"),
    ("window by name", "select sum(a) over w from t window w as (partition by b)"),
    ("without a frame", "select sum(a) over (partition by b order by c) from t"),
    ("now()", "select now() from t"),
    ("now()", "select current_timestamp from t"),
    ("concat()", "select concat(a, b, c) from t"),
    ("extract(isoyear", "select extract(isoyear from a) from t"),
    ("extract(epoch", "select extract(epoch from a) from t"),
    ("without a length", "select cast(a as text) from t"),
    ("without a length", "create table t (a varchar) diststyle all"),
    ("the type bit", "select cast(a as bit(64)) from t"),
    ("::", "select a::bigint from t"),
    ("timestamptz '…'", "select timestamptz '2026-01-01 00:00:00+00'"),
    ("backslash", "select 'a\\b' from t"),
    ("reserved word raw", "select a from raw.t"),
    ("reserved word tag", "select tag from t"),
    ("generate_series", "select a from generate_series(1, 2) as t (a)"),
    ("function group_concat", "select string_agg(a, ',') from t"),
    ("function epoch_us", "select epoch_us(a) from t"),
    ("function pg_advisory_xact_lock", "select pg_advisory_xact_lock(1)"),
    ("mean of a column", "select avg(a) from t"),
    ("an index", "create index i on t (a)"),
    ("a key or check", "create table t (a bigint primary key) diststyle all"),
    ("a key or check", "create table t (a bigint, check (a > 1)) diststyle all"),
    ("a key or check", "create table t (a bigint, primary key (a)) diststyle all"),
    ("partitions", "create table t (a date) partition by range (a)"),
    ("does not understand", "create temp table t (a bigint) on commit drop"),
    ("how it is spread", "create table t (a bigint)"),
    ("spread by product", "create table t (product_id bigint) distkey (product_id)"),
    ("an alias", "delete from t as x where x.a = 1"),
    ("an alias", "update t as x set a = 1 where x.b = 1"),
    ("a join beside", "update t set a = u.a from u left join v on v.a = u.a where t.a = u.a"),
    ("without an equality", "update t set a = u.a from u where t.a > u.a"),
    ("compares by anything but =", "delete from t where exists (select 1 from u where u.a > t.a)"),
    ("outside of EXISTS", "select a from t where a = (select max(u.a) from u where u.b = t.b)"),
    ("one WHEN MATCHED", "merge into t using u on t.a = u.a when matched then delete"),
    (
        "a condition beside",
        "merge into t using u on t.a = u.a when matched and u.b = 1 then delete when not matched then insert (a) "
        "values (u.a)",
    ),
    (
        "anything but a table",
        "merge into t using (select a from u) as u on t.a = u.a when matched then delete when not matched then insert "
        "(a) values (u.a)",
    ),
    (
        "anything but equalities",
        "merge into t using u on t.a > u.a when matched then delete when not matched then insert (a) values (u.a)",
    ),
    ("COPY without manifest", "copy t from 's3://b/x' iam_role 'r' gzip escape null as 'x' maxerror 0 compupdate off"),
    (
        "COPY with acceptinvchars",
        "copy t from 's3://b/x' iam_role 'r' manifest gzip escape null as 'x' maxerror 0 compupdate off acceptinvchars",
    ),
    ("does not understand", "cluster t"),
    ("cannot be parsed", "select from where"),
]
WRONG_ORDERS = [
    ("is not LOCK", ["begin", "select 1", "commit"]),
    ("VACUUM", ["begin", "lock x", "vacuum t", "commit"]),
    ("not dropped", ["begin", "lock x", "create temp table t as select 1", "commit"]),
]


def self_test():
    """Statements whose fault is not found."""
    for expected, sql in WRONG:
        found = list(faults(sql))
        if not any(expected in fault for fault in found):
            yield f"the rule {expected!r} does not see: {sql} (found: {found})"
    for expected, parts in WRONG_ORDERS:
        found = list(order_faults(parts))
        if not any(expected in fault for fault in found):
            yield f"the rule {expected!r} does not see: {parts} (found: {found})"


def main(arguments):
    failures = list(self_test())
    files = [pathlib.Path(argument) for argument in arguments] or sorted(GOLDEN.glob("*.sql"))
    if not files:
        failures.append("there are no golden files")
    count = 0
    for file in files:
        parts = statements(file.read_text(encoding="utf-8"))
        count += len(parts)
        for number, sql in enumerate(parts, start=1):
            for fault in dict.fromkeys(faults(sql)):
                failures.append(f"{file.name}, statement {number} ({sql.splitlines()[0][:60]}): {fault}")
        failures.extend(f"{file.name}: {fault}" for fault in order_faults(parts))
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"{count} statements in {len(files)} files, {len(WRONG) + len(WRONG_ORDERS)} rules tried: {len(failures)} faults")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
