//! What a load stages: tables, and the rows that fill them. Pure.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::retail::Dataset;
use crate::retail::read::{LINE_BYTES_MAX, Reject, ShopFile, Value};
use crate::warehouse::plan::{Cell, Kind, Stage};
use crate::warehouse::rows::clean;

use Kind::{Bigint, Boolean, Day, Instant, Integer, Text};

/// Characters of a rejected line, and of what is said about it, that are kept as text beside its bytes.
const TEXT_MAX: usize = 1_000;
/// Bytes of a rejected line that are kept: all of it, or so much that it is still too long when it is replayed. As base64
/// that is less than the longest text that each engine holds, Redshift's 65,535 bytes.
const RAW_MAX: usize = LINE_BYTES_MAX + 1;

/// The one row about the file.
pub(in crate::warehouse) const FILE: Stage = Stage {
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
        ("has_repeats", Boolean),
        ("is_full", Boolean),
    ],
};

/// Lines kept out.
pub(in crate::warehouse) const REJECT: Stage = Stage {
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
pub(in crate::warehouse) const FINDING: Stage = Stage {
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
pub(in crate::warehouse) fn rows_stage(dataset: Dataset) -> &'static Stage {
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

/// How the file enters the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::warehouse) enum Status {
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

pub(in crate::warehouse) fn file_row(file: &ShopFile, status: Status, generation: i32) -> Vec<Cell<'_>> {
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
        Cell::Bool(report.has_repeats),
        Cell::Bool(file.is_full),
    ]
}

/// A rejected line, its texts made ready for a table.
pub(in crate::warehouse) struct RejectRow {
    line: i64,
    reason: &'static str,
    text: String,
    byte_offset: Option<i64>,
    column: Option<&'static str>,
    detail: String,
    raw: String,
}

impl RejectRow {
    pub(in crate::warehouse) fn cells(&self) -> Vec<Cell<'_>> {
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
pub(in crate::warehouse) fn reject_rows(file: &ShopFile) -> Vec<RejectRow> {
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
pub(in crate::warehouse) struct FindingRow {
    cells: (&'static str, &'static str, Option<&'static str>, i64, i64),
    examples: String,
}

impl FindingRow {
    pub(in crate::warehouse) fn cells(&self) -> Vec<Cell<'_>> {
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

pub(in crate::warehouse) fn finding_rows(file: &ShopFile) -> Vec<FindingRow> {
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
pub(in crate::warehouse) fn order_days(file: &ShopFile) -> Vec<jiff::civil::Date> {
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
pub(in crate::warehouse) fn row_cells<'a>(
    dataset: Dataset,
    line: u64,
    values: &'a [Value<'a>],
    cells: &mut Vec<Cell<'a>>,
) {
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
