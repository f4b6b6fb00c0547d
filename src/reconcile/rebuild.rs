//! Compares the tables with those that a load of the whole lake into an empty warehouse gives.
//!
//! Facts are a pure function of what landed, so both must be the same, row by row, whatever engine each is on. Both are
//! walked in the order of their keys, some thousand rows at a time, and compared cell by cell; columns that tell where or
//! when a row was loaded are left out.

use std::cmp::Ordering;
use std::collections::{HashSet, VecDeque};

use jiff::Timestamp;
use serde::Serialize;

use crate::warehouse::{Cell, Warehouse, WarehouseError, literal};

use super::ReconcileError;
use super::rows::{instant_literal, text};

/// Rows of one question.
const PAGE: usize = 20_000;
/// Trackings that are named for each table.
const NAMED_MAX: usize = 100;

/// A table, and what of it must be the same.
struct Table {
    name: &'static str,
    /// Its rows are unique by these.
    keys: &'static [&'static str],
    /// The tracking that a row is about, and the other columns.
    columns: &'static [&'static str],
}

const TABLES: [Table; 3] = [
    Table {
        name: "raw.tracking_event",
        keys: &["event_key"],
        columns: &[
            "tracking_id",
            "event_id",
            "event",
            "source",
            "received_at",
            "body_sha256",
            "event_date",
            "is_test",
        ],
    },
    Table {
        name: "base.fct_shipment_tracking",
        keys: &["tracking_id"],
        columns: &[
            "tracking_id",
            "tracking_key",
            "source_tracking_id",
            "legacy_id",
            "tracking_number",
            "courier",
            "tag",
            "subtag",
            "subtag_message",
            "order_id",
            "order_number",
            "shipment_type",
            "origin_country",
            "destination_country",
            "created_at",
            "updated_at",
            "event_at",
            "body_sha256",
            "info_received_at",
            "in_transit_at",
            "out_for_delivery_at",
            "first_attempt_at",
            "available_for_pickup_at",
            "delivered_at",
            "exception_at",
            "last_checkpoint_at",
            "estimated_delivery_text",
            "estimated_delivery_source",
            "estimated_delivery_at",
            "promised_delivery_text",
            "promised_delivery_at",
            "on_time_status",
            "on_time_difference_days",
            "is_active",
            "is_return_to_sender",
            "is_test",
            "checkpoint_count",
        ],
    },
    Table {
        name: "base.fct_tracking_checkpoint",
        keys: &["tracking_id", "checkpoint_key"],
        columns: &[
            "tracking_id",
            "position",
            "checkpoint_at",
            "checkpoint_time_text",
            "created_at",
            "courier",
            "tag",
            "subtag",
            "subtag_message",
            "raw_tag",
            "message",
            "location",
            "city",
            "state",
            "postal_code",
            "country",
            "source",
            "hash",
        ],
    },
];

/// How a table compares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// The table.
    pub table: &'static str,
    /// Rows that both have.
    pub rows: u64,
    /// Rows that the warehouse lacks.
    pub missing: u64,
    /// Rows that the lake gives no reason for.
    pub extra: u64,
    /// Rows that both have, with other values.
    pub changed: u64,
    /// The first trackings that any of those are about.
    pub trackings: Vec<String>,
}

impl Compared {
    /// Are both the same?
    pub fn is_same(&self) -> bool {
        self.missing + self.extra + self.changed == 0
    }

    fn differs(&mut self, tracking: String) {
        if self.trackings.len() < NAMED_MAX && !self.trackings.contains(&tracking) {
            self.trackings.push(tracking);
        }
    }
}

/// Trackings with events that arrived at or after an instant: what is on its way while a rebuild goes on.
pub async fn touched_since(
    warehouse: &dyn Warehouse,
    since: Timestamp,
) -> Result<HashSet<String>, ReconcileError> {
    let sql = format!(
        "select e.tracking_id, coalesce(a.tracking_id, e.tracking_id) as fact_id
         from raw.tracking_event as e
         left join raw.tracking_alias as a on a.legacy_id = e.tracking_id
         where e.received_at >= {}",
        instant_literal(since)
    );
    let mut touched = HashSet::new();
    for row in &warehouse.query(&sql).await?.rows {
        touched.insert(text(row, 0)?);
        touched.insert(text(row, 1)?);
    }
    Ok(touched)
}

/// Compares all tables but for the trackings in `recent`. `progress` gets (table, rows).
pub async fn compare_tables(
    ours: &dyn Warehouse,
    rebuilt: &dyn Warehouse,
    recent: &HashSet<String>,
    mut progress: impl FnMut(&'static str, u64),
) -> Result<Vec<Compared>, ReconcileError> {
    let mut all = Vec::new();
    for table in &TABLES {
        let mut compared = Compared { table: table.name, ..Compared::default() };
        let (mut left, mut right) = (Rows::of(ours, table), Rows::of(rebuilt, table));
        let mut done = 0;
        loop {
            left.fill().await?;
            right.fill().await?;
            let count = meet(&mut left, &mut right, recent, &mut compared)?;
            if count == 0 {
                break;
            }
            done += count;
            progress(table.name, done);
        }
        all.push(compared);
    }
    Ok(all)
}

/// Takes rows off both as long as both have some, or the other is over. How many.
fn meet(
    left: &mut Rows<'_>,
    right: &mut Rows<'_>,
    recent: &HashSet<String>,
    compared: &mut Compared,
) -> Result<u64, WarehouseError> {
    let mut count = 0;
    loop {
        let order = match (left.buffer.front(), right.buffer.front()) {
            (Some(a), Some(b)) => left.key(a)?.cmp(&right.key(b)?),
            (Some(_), None) if right.is_over => Ordering::Less,
            (None, Some(_)) if left.is_over => Ordering::Greater,
            _ => return Ok(count),
        };
        let of_left = if order == Ordering::Greater { None } else { left.buffer.pop_front() };
        let of_right = if order == Ordering::Less { None } else { right.buffer.pop_front() };
        count += 1;
        let Some(row) = of_left.as_ref().or(of_right.as_ref()) else { return Ok(count) };
        let tracking = left.tracking(row)?;
        let differs = match (&of_left, &of_right) {
            _ if recent.contains(&tracking) => None,
            (Some(a), Some(b)) => {
                compared.rows += 1;
                (a != b).then_some(&mut compared.changed)
            }
            (Some(_), None) => Some(&mut compared.extra),
            _ => Some(&mut compared.missing),
        };
        if let Some(number) = differs {
            *number += 1;
            compared.differs(tracking);
        }
    }
}

/// A table's rows in the order of their keys.
struct Rows<'a> {
    warehouse: &'a dyn Warehouse,
    table: &'a Table,
    buffer: VecDeque<Vec<Cell>>,
    /// Keys of the last row that was read.
    last: Option<Vec<String>>,
    is_over: bool,
}

impl<'a> Rows<'a> {
    fn of(warehouse: &'a dyn Warehouse, table: &'a Table) -> Rows<'a> {
        Rows { warehouse, table, buffer: VecDeque::new(), last: None, is_over: false }
    }

    /// Reads on when there is nothing left.
    async fn fill(&mut self) -> Result<(), WarehouseError> {
        if self.is_over || !self.buffer.is_empty() {
            return Ok(());
        }
        let answer = self.warehouse.query(&self.sql()).await?;
        self.is_over = answer.rows.len() < PAGE;
        self.buffer.extend(answer.rows);
        if let Some(last) = self.buffer.back() {
            self.last = Some(self.key(last)?);
        }
        Ok(())
    }

    fn sql(&self) -> String {
        let Table { name, keys, columns } = self.table;
        let columns: Vec<&str> = keys.iter().chain(*columns).copied().collect();
        let behind =
            self.last.as_ref().map_or_else(String::new, |last| format!(" where {}", after(keys, last)));
        format!(
            "select {} from {name}{behind} order by {} limit {PAGE}",
            columns
                .iter()
                .enumerate()
                .map(|(nth, column)| format!("{column} as c{nth}"))
                .collect::<Vec<_>>()
                .join(", "),
            keys.join(", ")
        )
    }

    fn key(&self, row: &[Cell]) -> Result<Vec<String>, WarehouseError> {
        (0..self.table.keys.len()).map(|index| text(row, index)).collect()
    }

    fn tracking(&self, row: &[Cell]) -> Result<String, WarehouseError> {
        text(row, self.table.keys.len())
    }
}

/// Rows behind this one, in the words of every engine.
fn after(keys: &[&str], last: &[String]) -> String {
    match (keys, last) {
        ([key, keys @ ..], [value, last @ ..]) => {
            let value = literal(value);
            if keys.is_empty() {
                return format!("{key} > {value}");
            }
            format!("({key} > {value} or ({key} = {value} and {}))", after(keys, last))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use crate::warehouse::duckdb::{DuckDbOptions, DuckDbWarehouse};
    use crate::warehouse::rows::{EventRow, FileRows, LoadSet};

    use super::*;

    fn event(line: u64, key: &str, body: &str) -> EventRow {
        EventRow {
            line,
            event_key: key.to_owned(),
            event_id: None,
            event: None,
            tracking_id: format!("t-{key}"),
            source: "webhook",
            received_at: "2026-07-09T12:00:00Z".parse().expect("instant"),
            replay_id: None,
            body_sha256: body.to_owned(),
            event_date: None,
            is_test: false,
        }
    }

    async fn warehouse(dir: &tempfile::TempDir, name: &str, events: &[(&str, &str)]) -> DuckDbWarehouse {
        let path = dir.path().join(name);
        let warehouse = DuckDbWarehouse::open(path, DuckDbOptions::default()).expect("a warehouse");
        warehouse.migrate().await.expect("migrated");
        let file = FileRows {
            file: format!("events/{name}.jsonl"),
            landed_at: "2026-07-09T12:01:00Z".parse().expect("instant"),
            lines: events.len() as u64,
            is_readable: true,
            events: (1..).zip(events).map(|(line, (key, body))| event(line, key, body)).collect(),
            rejects: Vec::new(),
        };
        warehouse.load(LoadSet { files: vec![file], ..LoadSet::default() }).await.expect("loaded");
        warehouse
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_that_are_missing_extra_or_changed_are_named_and_no_others() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let ours = warehouse(&dir, "ours", &[("a", "1"), ("b", "1"), ("extra", "1"), ("new", "1")]).await;
        let rebuilt = warehouse(&dir, "rebuilt", &[("a", "1"), ("b", "2"), ("zone", "1")]).await;
        let recent = HashSet::from(["t-new".to_owned()]);

        let all = compare_tables(&ours, &rebuilt, &recent, |_, _| {}).await.expect("compared");

        let events = &all[0];
        assert_eq!((events.rows, events.missing, events.extra, events.changed), (2, 1, 1, 1));
        assert_eq!(events.trackings, ["t-b", "t-extra", "t-zone"]);
        assert!(!events.is_same() && all[1].is_same() && all[2].is_same());
        let itself = compare_tables(&ours, &ours, &HashSet::new(), |_, _| {}).await.expect("compared");
        assert!(itself.iter().all(Compared::is_same) && itself[0].rows == 4);
        let since = "2026-07-09T12:00:00Z".parse().expect("instant");
        assert!(touched_since(&ours, since).await.expect("trackings").contains("t-a"));
    }

    #[test]
    fn pages_go_on_behind_the_last_row() {
        assert_eq!(after(&["a"], &["it's".to_owned()]), "a > 'it''s'");
        let last = ["x".to_owned(), "y".to_owned()];
        assert_eq!(after(&["a", "b"], &last), "(a > 'x' or (a = 'x' and b > 'y'))");
    }
}
