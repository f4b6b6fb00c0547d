//! What both engines do with a file of the shop, said once: stage tables, statements, and how the two dialects differ.
//! Pure.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::WarehouseError;
use super::plan::{Cell, Kind, Stage, split};
use super::rows::{FileOutcome, clean};
use crate::retail::Dataset;
use crate::retail::read::{Reject, ShopFile, Value};

use Kind::{Bigint, Day, Instant, Integer, Text};

/// Characters of a rejected line, and of what is said about it, that are kept as text beside its bytes.
const TEXT_MAX: usize = 1_000;
/// Bytes of a rejected line that are kept: all of any line that is not absurd.
const RAW_MAX: usize = 64 * 1024;

/// Where the engines' languages differ.
pub(super) struct Dialect {
    /// Type of text that compares by bytes.
    pub(super) text: &'static str,
    /// A surrogate key: 60 bits of a hash of a text.
    pub(super) key: fn(&str) -> String,
    /// Microseconds since 1970 of an instant.
    pub(super) micros: fn(&str) -> String,
    /// Every day that the marts know.
    pub(super) series: &'static str,
    /// Whether lines that begin with `--pg` are meant.
    pub(super) is_postgres: bool,
}

/// DuckDB's.
pub(super) const DUCKDB: Dialect = Dialect {
    text: "text",
    key: |text| format!("cast('0x' || substr(md5({text}), 1, 15) as bigint)"),
    micros: |instant| format!("epoch_us({instant})"),
    series: "unnest(generate_series(timestamp '2009-01-01', timestamp '2040-12-31', interval 1 day))",
    is_postgres: false,
};

/// PostgreSQL's.
pub(super) const POSTGRES: Dialect = Dialect {
    text: "text collate \"C\"",
    key: |text| format!("('x0' || substr(md5({text}), 1, 15))::bit(64)::bigint"),
    micros: |instant| format!("(extract(epoch from {instant}) * 1000000)"),
    series: "generate_series(timestamp '2009-01-01', timestamp '2040-12-31', interval '1 day')",
    is_postgres: true,
};

impl Dialect {
    /// The statements of a script in this dialect.
    pub(super) fn statements(&self, script: &str) -> Vec<String> {
        let lines: Vec<String> = script
            .lines()
            .map(|line| match line.trim_start().strip_prefix("--pg ") {
                Some(meant) if self.is_postgres => meant.to_owned(),
                _ => line.to_owned(),
            })
            .collect();
        let without_comments: Vec<&str> =
            lines.iter().map(String::as_str).filter(|line| !line.trim_start().starts_with("--")).collect();
        split(&self.expand(&without_comments.join("\n")))
    }

    /// Fills `{text}`, `{series}`, and `{key(…)}` and `{micros(…)}`, which may stand in each other.
    fn expand(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            out.push_str(&rest[..start]);
            let inside = &rest[start + 1..];
            let end = closing(inside);
            let word = &inside[..end];
            let argument = |name: &str| {
                let argument = word.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')?;
                Some(self.expand(argument))
            };
            if word == "text" {
                out.push_str(self.text);
            } else if word == "series" {
                out.push_str(self.series);
            } else if let Some(argument) = argument("key") {
                out.push_str(&(self.key)(&argument));
            } else if let Some(argument) = argument("micros") {
                out.push_str(&(self.micros)(&argument));
            } else {
                // Filled by the caller.
                out.push('{');
                out.push_str(word);
                out.push('}');
            }
            rest = inside.get(end + 1..).unwrap_or("");
        }
        out.push_str(rest);
        out
    }
}

/// Where the brace is that closes what is open at the beginning.
fn closing(text: &str) -> usize {
    let mut depth = 1;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// Version 2 of the schema.
pub(super) const SCHEMA: [&str; 2] =
    [include_str!("sql/schema/shop.sql"), include_str!("sql/schema/shop_mart.sql")];

/// The one row about the file.
pub(super) const FILE: Stage = Stage {
    table: "stage_shop_file",
    columns: &[
        ("file", Text),
        ("source_file", Text),
        ("generation", Integer),
        ("source_generation", Integer),
        ("dataset", Text),
        ("status", Text),
        ("lines", Bigint),
        ("rejected", Bigint),
        ("sha256", Text),
        ("bytes", Bigint),
        ("modified_at", Instant),
        ("version_at", Instant),
        ("closes_on", Day),
        ("money_cents", Bigint),
    ],
};

/// Lines kept out.
pub(super) const REJECT: Stage = Stage {
    table: "stage_shop_reject",
    columns: &[
        ("line", Bigint),
        ("reason", Text),
        ("text", Text),
        ("byte_offset", Bigint),
        ("column_name", Text),
        ("detail", Text),
        ("raw_base64", Text),
    ],
};

/// What is odd.
pub(super) const FINDING: Stage = Stage {
    table: "stage_finding",
    columns: &[
        ("rule", Text),
        ("severity", Text),
        ("column_name", Text),
        ("occurrences", Bigint),
        ("first_line", Bigint),
        ("examples", Text),
    ],
};

/// Where a dataset's rows are staged: the kept columns of its contract, in their order, behind the line.
pub(super) fn rows_stage(dataset: Dataset) -> &'static Stage {
    match dataset {
        Dataset::Departments => &Stage {
            table: "stage_departments",
            columns: &[("line", Bigint), ("department_id", Integer), ("department_name", Text)],
        },
        Dataset::Categories => &Stage {
            table: "stage_categories",
            columns: &[
                ("line", Bigint),
                ("category_id", Integer),
                ("category_department_id", Integer),
                ("category_name", Text),
            ],
        },
        Dataset::Products => &Stage {
            table: "stage_products",
            columns: &[
                ("line", Bigint),
                ("product_id", Integer),
                ("product_category_id", Integer),
                ("product_name", Text),
                ("product_description", Text),
                ("price_cents", Bigint),
                ("product_image", Text),
            ],
        },
        Dataset::Customers => &Stage {
            table: "stage_customers",
            columns: &[
                ("line", Bigint),
                ("customer_id", Integer),
                ("customer_fname", Text),
                ("customer_lname", Text),
                ("customer_street", Text),
                ("customer_city", Text),
                ("customer_state", Text),
                ("customer_zipcode", Text),
            ],
        },
        Dataset::Orders => &Stage {
            table: "stage_orders",
            columns: &[
                ("line", Bigint),
                ("order_id", Bigint),
                ("order_date", Instant),
                ("order_customer_id", Integer),
                ("order_status", Text),
            ],
        },
        Dataset::OrderItems => &Stage {
            table: "stage_order_items",
            columns: &[
                ("line", Bigint),
                ("order_item_id", Bigint),
                ("order_item_order_id", Bigint),
                ("order_item_product_id", Integer),
                ("order_item_quantity", Integer),
                ("subtotal_cents", Bigint),
                ("price_cents", Bigint),
            ],
        },
    }
}

/// What merges the staged rows; leaves one outcome a line in `shop_outcome`.
pub(super) fn merge(dataset: Dataset, dialect: &Dialect) -> Vec<String> {
    let scripts: &[&str] = match dataset {
        Dataset::Departments => &[include_str!("sql/shop/departments.sql")],
        Dataset::Categories => &[include_str!("sql/shop/categories.sql")],
        Dataset::Products => &[include_str!("sql/shop/products.sql")],
        Dataset::Customers => &[include_str!("sql/shop/customers.sql")],
        Dataset::Orders => &[include_str!("sql/shop/orders.sql"), include_str!("sql/shop/lines.sql")],
        Dataset::OrderItems => {
            &[include_str!("sql/shop/order_items.sql"), include_str!("sql/shop/lines.sql")]
        }
    };
    scripts.iter().flat_map(|script| dialect.statements(script)).collect()
}

/// In the place of [`merge`] when no line of the file is merged.
pub(super) fn no_merge(file: &ShopFile, status: Status) -> String {
    let lines = if status == Status::Duplicate { file.report.lines } else { 0 };
    format!(
        "create temp table shop_outcome as\nselect nth as line, 'duplicate' as outcome \
         from generate_series(1, {lines}) as counted (nth)"
    )
}

/// What closes a load: rejects, findings and the ledger.
pub(super) fn closing_statements(dialect: &Dialect) -> Vec<String> {
    [include_str!("sql/shop/reject.sql"), include_str!("sql/shop/ledger.sql")]
        .iter()
        .flat_map(|script| dialect.statements(script))
        .collect()
}

/// Lines that were rejected and have now been loaded are open no longer.
pub(super) fn resolve(dataset: Dataset) -> String {
    format!(
        "update raw.rejected_row set status = 'replayed', resolved_at = now() \
         where status = 'open' and file in (select source_file from stage_shop_file) \
         and generation in (select source_generation from stage_shop_file) \
         and line in (select line from {})",
        rows_stage(dataset).table
    )
}

/// What the ledger has under the file's name or of its bytes.
/// `is_same_version`: nothing was loaded whose version is between that of the row and that of the file.
pub(super) fn known(file: &ShopFile) -> String {
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let (name, sha256) = (literal(&file.ledger_name), literal(&file.sha256));
    let version = format!("timestamptz '{}'", crate::event::format_instant(file.version.at));
    let dataset = file.dataset.as_str();
    // The same bytes once more say that things are again as they were, if something else came in between.
    let (this, other) = (format!("({version}, {name})"), "(k.version_at, k.file)");
    let between = "(b.version_at, b.file)";
    let is_same = format!(
        "not exists (select 1 from raw.loaded_file as b where b.dataset = '{dataset}' \
         and b.status in ('loaded', 'superseded') and (({other} < {between} and {between} < {this}) \
         or ({this} < {between} and {between} < {other})))"
    );
    format!(
        "select k.generation, coalesce(k.sha256, ''), {is_same}, k.file, k.status, k.lines, k.inserted, k.updated, \
         k.unchanged, k.duplicate, k.conflict, k.waiting, k.rejected from raw.loaded_file as k \
         where k.dataset = '{dataset}' and (k.file = {name} or k.sha256 = {sha256})"
    )
}

/// The ledger's row of the file that is being loaded.
pub(super) const OUTCOME: &str = "select l.file, l.status, l.lines, l.inserted, l.updated, l.unchanged, l.duplicate, \
     l.conflict, l.waiting, l.rejected from raw.loaded_file l \
     join stage_shop_file s on s.file = l.file and s.generation = l.generation";

/// What is known of every shop file: its last generation.
pub(super) const LEDGER: &str = "select file, dataset, sha256, bytes, modified_at, status from (
  select *, row_number() over (partition by file order by generation desc) as nth
  from raw.loaded_file where sha256 is not null
) as numbered where nth = 1";

/// A row of the ledger that has to do with a file: its name, or its bytes.
pub(super) struct Known {
    pub(super) generation: i32,
    pub(super) sha256: String,
    pub(super) is_same_version: bool,
    pub(super) outcome: FileOutcome,
}

/// What is to be done with a file.
pub(super) enum Decision {
    /// Nothing: these bytes are known under this name.
    Nothing(FileOutcome),
    /// It gets a row in the ledger.
    Enter(Status, i32),
}

/// By what the ledger knows of its name and its bytes.
pub(super) fn decide(file: &ShopFile, known: Vec<Known>) -> Decision {
    // Under another name, and in effect.
    let is_twin = |known: &Known| {
        known.sha256 == file.sha256
            && known.is_same_version
            && known.outcome.status == "loaded"
            && known.outcome.file != file.ledger_name
    };
    let has_bytes = known.iter().any(is_twin);
    let newest = known
        .into_iter()
        .filter(|known| known.outcome.file == file.ledger_name)
        .max_by_key(|known| known.generation);
    let generation = newest.as_ref().map_or(0, |known| known.generation + 1);
    match newest {
        Some(known) if known.sha256 == file.sha256 => Decision::Nothing(known.outcome),
        _ if has_bytes => Decision::Enter(Status::Duplicate, generation),
        _ if file.report.verdict.is_some() => Decision::Enter(Status::Rejected, generation),
        _ => Decision::Enter(Status::Loaded, generation),
    }
}

/// What was staged is what reading counted, or nothing is loaded.
pub(super) fn check_staged(file: &ShopFile, staged: u64) -> Result<(), WarehouseError> {
    let good = file.report.lines - file.report.rejects.len() as u64;
    if staged == good {
        return Ok(());
    }
    let name = &file.ledger_name;
    Err(WarehouseError::Refused(format!(
        "{name} has {good} good lines, and {staged} were staged: nothing is loaded"
    )))
}

/// How the file enters the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Loaded,
    Rejected,
    Duplicate,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Status::Loaded => "loaded",
            Status::Rejected => "rejected",
            Status::Duplicate => "duplicate",
        }
    }
}

pub(super) fn file_row(file: &ShopFile, status: Status, generation: i32) -> Vec<Cell<'_>> {
    let report = &file.report;
    let count = |number: u64| Cell::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let rejected = match status {
        Status::Loaded => report.rejects.len() as u64,
        // As a whole: no line of it is loaded.
        Status::Rejected => report.lines,
        Status::Duplicate => 0,
    };
    vec![
        Cell::Text(&file.ledger_name),
        Cell::Text(&file.source.key),
        Cell::Int(i64::from(generation)),
        Cell::Int(i64::from(file.source_generation().unwrap_or(generation))),
        Cell::Text(file.dataset.as_str()),
        Cell::Text(status.as_str()),
        count(report.lines),
        count(rejected),
        Cell::Text(&file.sha256),
        count(file.source.bytes),
        Cell::Instant(file.source.modified_at),
        Cell::Instant(file.version.at),
        Cell::Day(file.version.closes_on),
        Cell::Int(if status == Status::Loaded { report.money_cents } else { 0 }),
    ]
}

/// A rejected line, its texts made ready for a table.
pub(super) struct RejectRow {
    line: i64,
    reason: &'static str,
    text: String,
    byte_offset: Option<i64>,
    column: Option<&'static str>,
    detail: String,
    raw: String,
}

impl RejectRow {
    pub(super) fn cells(&self) -> Vec<Cell<'_>> {
        vec![
            Cell::Int(self.line),
            Cell::Text(self.reason),
            Cell::Text(&self.text),
            self.byte_offset.map_or(Cell::Null, Cell::Int),
            self.column.map_or(Cell::Null, Cell::Text),
            Cell::Text(&self.detail),
            Cell::Text(&self.raw),
        ]
    }
}

/// The file's rejects; when it is rejected as a whole, that first.
pub(super) fn reject_rows(file: &ShopFile) -> Vec<RejectRow> {
    let of_file = file.report.verdict.iter().map(|(reason, detail)| RejectRow {
        line: 0,
        reason: reason.as_str(),
        text: String::new(),
        byte_offset: None,
        column: None,
        detail: short(detail),
        raw: String::new(),
    });
    of_file.chain(file.report.rejects.iter().map(reject_row)).collect()
}

fn reject_row(reject: &Reject) -> RejectRow {
    let raw = &reject.raw[..reject.raw.len().min(RAW_MAX)];
    RejectRow {
        line: i64::try_from(reject.line).unwrap_or(i64::MAX),
        reason: reject.reason,
        text: short(&String::from_utf8_lossy(raw)),
        byte_offset: reject.byte_offset.and_then(|offset| i64::try_from(offset).ok()),
        column: reject.column,
        detail: short(&reject.detail),
        raw: BASE64_STANDARD.encode(raw),
    }
}

fn short(text: &str) -> String {
    clean(&text.chars().take(TEXT_MAX).collect::<String>())
}

/// A finding, its examples as one text.
pub(super) struct FindingRow {
    cells: (&'static str, &'static str, Option<&'static str>, i64, i64),
    examples: String,
}

impl FindingRow {
    pub(super) fn cells(&self) -> Vec<Cell<'_>> {
        let (rule, severity, column, occurrences, first_line) = self.cells;
        vec![
            Cell::Text(rule),
            Cell::Text(severity),
            column.map_or(Cell::Null, Cell::Text),
            Cell::Int(occurrences),
            Cell::Int(first_line),
            Cell::Text(&self.examples),
        ]
    }
}

pub(super) fn finding_rows(file: &ShopFile) -> Vec<FindingRow> {
    let row = |finding: &crate::retail::profile::Finding| FindingRow {
        cells: (
            finding.rule.as_str(),
            finding.rule.severity().as_str(),
            finding.column,
            i64::try_from(finding.count).unwrap_or(i64::MAX),
            i64::try_from(finding.line).unwrap_or(i64::MAX),
        ),
        examples: clean(&finding.examples.join(", ")),
    };
    file.report.findings.iter().map(row).collect()
}

/// The first and the last day of a file of orders.
pub(super) fn order_days(file: &ShopFile) -> Vec<jiff::civil::Date> {
    let mut days: Option<(jiff::Timestamp, jiff::Timestamp)> = None;
    let Dataset::Orders = file.dataset else { return Vec::new() };
    let each = file.for_each_row(|_, values| {
        if let Some(Value::Clock(at)) = values.get(1) {
            days = Some(days.map_or((*at, *at), |(first, last)| (first.min(*at), last.max(*at))));
        }
        Ok::<(), std::convert::Infallible>(())
    });
    match each {
        Ok(()) => {}
        Err(never) => match never {},
    }
    let day = |at: jiff::Timestamp| jiff::tz::TimeZone::UTC.to_datetime(at).date();
    days.map_or_else(Vec::new, |(first, last)| vec![day(first), day(last)])
}

/// A good line as the cells of its stage, into `cells`.
pub(super) fn row_cells<'a>(dataset: Dataset, line: u64, values: &'a [Value<'a>], cells: &mut Vec<Cell<'a>>) {
    cells.clear();
    cells.push(Cell::Int(i64::try_from(line).unwrap_or(i64::MAX)));
    for (column, value) in dataset.contract().columns.iter().zip(values) {
        if column.is_kept {
            cells.push(match value {
                Value::Null => Cell::Null,
                Value::Int(number) | Value::Cents(number) => Cell::Int(*number),
                Value::Text(text) => Cell::Text(text),
                Value::Clock(instant) => Cell::Instant(*instant),
            });
        }
    }
}

/// The incremental refresh, or the rebuild, of the marts for a last complete day.
pub(super) fn mart_statements(is_rebuild: bool, as_of: jiff::civil::Date, dialect: &Dialect) -> Vec<String> {
    let script =
        if is_rebuild { include_str!("sql/mart/rebuild.sql") } else { include_str!("sql/mart/refresh.sql") };
    let literal = format!("date '{as_of}'");
    dialect.statements(script).into_iter().map(|statement| statement.replace("{as_of}", &literal)).collect()
}

/// The last day that orders and their lines are complete for.
pub(super) const AS_OF: &str = include_str!("sql/mart/as_of.sql");

/// Whether a refresh would change anything: changed days, and the day that is published.
pub(super) const MART_STATE: &str = "select (select count(*) from (select 1 from mart.changed_product_day limit 1) as few), \
     (select max(as_of) from mart.published)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_to_fill_in_any_script() {
        for dialect in [&DUCKDB, &POSTGRES] {
            let merges = Dataset::ALL.into_iter().flat_map(|dataset| merge(dataset, dialect));
            let schema = SCHEMA.iter().flat_map(|script| dialect.statements(script));
            let day = jiff::civil::date(2026, 7, 9);
            let marts = [true, false].into_iter().flat_map(|all| mart_statements(all, day, dialect));
            for statement in merges.chain(schema).chain(closing_statements(dialect)).chain(marts) {
                assert!(!statement.contains('{') && !statement.contains('}'), "{statement}");
            }
        }
    }

    #[test]
    fn a_stage_holds_the_kept_columns_of_its_contract() {
        for dataset in Dataset::ALL {
            let kept = dataset.contract().columns.iter().filter(|column| column.is_kept).count();
            assert_eq!(rows_stage(dataset).columns.len(), kept + 1, "{dataset:?}");
        }
    }

    #[test]
    fn placeholders_stand_in_each_other() {
        let text = DUCKDB.expand("select {key(concat(a, {micros(b)}))} as {text} {as_of}");

        assert_eq!(
            text,
            "select cast('0x' || substr(md5(concat(a, epoch_us(b))), 1, 15) as bigint) as text {as_of}"
        );
    }
}
