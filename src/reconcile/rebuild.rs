//! Compares the tables with those that a load of the whole lake into an empty warehouse gives.
//!
//! Facts are a pure function of what landed, so both must be the same, row by row, whatever engine each is on. Both are
//! walked in the order of their keys, some thousand rows at a time, and compared cell by cell; columns that tell where or
//! when a row was loaded are left out.

mod on_their_way;
mod tables;

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet, VecDeque};

use serde::Serialize;

use crate::warehouse::{Cell, Warehouse, WarehouseError, literal_of};

pub use on_their_way::{Times, on_their_way};

use super::ReconcileError;
use super::rows::text;

use tables::{TABLES, Table};

/// Rows of one question.
const PAGE: usize = 20_000;
/// Trackings that are named for each table.
const NAMED_MAX: usize = 100;
/// Trackings whose differences are counted apart, so that they can be left out in the end.
const APART_MAX: usize = 100_000;

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

    fn add(&mut self, counts: Counts) {
        self.missing += counts.missing;
        self.extra += counts.extra;
        self.changed += counts.changed;
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    missing: u64,
    extra: u64,
    changed: u64,
}

/// How a table compares, tracking by tracking: what was loaded while it was compared is known only afterwards.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    table: &'static str,
    rows: u64,
    apart: BTreeMap<String, Counts>,
    /// Of those for which there was no room.
    others: Counts,
}

impl Tally {
    /// The same but for these trackings.
    pub fn without(self, recent: &HashSet<String>) -> Compared {
        let mut compared = Compared { table: self.table, rows: self.rows, ..Compared::default() };
        compared.add(self.others);
        for (tracking, counts) in self.apart {
            if recent.contains(&tracking) {
                continue;
            }
            compared.add(counts);
            if compared.trackings.len() < NAMED_MAX {
                compared.trackings.push(tracking);
            }
        }
        compared
    }

    fn differs(&mut self, tracking: String, found: Counts) {
        let has_room = self.apart.len() < APART_MAX || self.apart.contains_key(&tracking);
        let counts = if has_room { self.apart.entry(tracking).or_default() } else { &mut self.others };
        counts.missing += found.missing;
        counts.extra += found.extra;
        counts.changed += found.changed;
    }
}

/// Compares all tables but for the trackings in `recent`; what has become so meanwhile is left out afterwards
/// ([`Tally::without`]). `progress` gets (table, rows).
pub async fn compare_tables(
    ours: &dyn Warehouse,
    rebuilt: &dyn Warehouse,
    recent: &HashSet<String>,
    mut progress: impl FnMut(&'static str, u64),
) -> Result<Vec<Tally>, ReconcileError> {
    let mut all = Vec::new();
    for table in &TABLES {
        let mut tally = Tally { table: table.name, ..Tally::default() };
        let (mut left, mut right) = (Rows::of(ours, table), Rows::of(rebuilt, table));
        let mut done = 0;
        loop {
            left.fill().await?;
            right.fill().await?;
            let count = meet(&mut left, &mut right, recent, &mut tally)?;
            if count == 0 {
                break;
            }
            done += count;
            progress(table.name, done);
        }
        all.push(tally);
    }
    Ok(all)
}

/// Takes rows off both as long as both have some, or the other is over. How many.
fn meet(
    left: &mut Rows<'_>,
    right: &mut Rows<'_>,
    recent: &HashSet<String>,
    tally: &mut Tally,
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
        if recent.contains(&tracking) {
            continue;
        }
        let (mut missing, mut extra, mut changed) = (0, 0, 0);
        match (&of_left, &of_right) {
            (Some(a), Some(b)) => {
                tally.rows += 1;
                changed = u64::from(a != b);
            }
            (Some(_), None) => extra = 1,
            _ => missing = 1,
        }
        if missing + extra + changed > 0 {
            tally.differs(tracking, Counts { missing, extra, changed });
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
        let kind = self.warehouse.kind();
        let behind =
            self.last.as_ref().map_or_else(String::new, |last| format!(" where {}", after(kind, keys, last)));
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
fn after(kind: &str, keys: &[&str], last: &[String]) -> String {
    match (keys, last) {
        ([key, keys @ ..], [value, last @ ..]) => {
            let value = literal_of(kind, value);
            if keys.is_empty() {
                return format!("{key} > {value}");
            }
            format!("({key} > {value} or ({key} = {value} and {}))", after(kind, keys, last))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

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
            landed_at: at("2020-01-01T00:00:00Z"),
            lines: events.len() as u64,
            is_readable: true,
            events: (1..).zip(events).map(|(line, (key, body))| event(line, key, body)).collect(),
            rejects: Vec::new(),
        };
        warehouse.load(LoadSet { files: vec![file], ..LoadSet::default() }).await.expect("loaded");
        warehouse
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("instant")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_that_are_missing_extra_or_changed_are_named_and_no_others() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let ours = warehouse(&dir, "ours", &[("a", "1"), ("b", "1"), ("extra", "1"), ("new", "1")]).await;
        let rebuilt = warehouse(&dir, "rebuilt", &[("a", "1"), ("b", "2"), ("zone", "1")]).await;
        let recent = HashSet::from(["t-new".to_owned()]);

        let tallies = compare_tables(&ours, &rebuilt, &recent, |_, _| {}).await.expect("compared");

        let without = |recent: &HashSet<String>| -> Vec<Compared> {
            tallies.iter().map(|tally| tally.clone().without(recent)).collect()
        };
        let all = without(&recent);
        let events = &all[0];
        assert_eq!((events.rows, events.missing, events.extra, events.changed), (2, 1, 1, 1));
        assert_eq!(events.trackings, ["t-b", "t-extra", "t-zone"]);
        assert!(!events.is_same() && all[1].is_same() && all[2].is_same());
        let later = &without(&HashSet::from(["t-b".to_owned(), "t-zone".to_owned()]))[0];
        assert_eq!((later.missing, later.extra, later.changed), (0, 1, 0), "loaded while it was compared");
        let itself = compare_tables(&ours, &ours, &HashSet::new(), |_, _| {}).await.expect("compared");
        assert_eq!(itself[0].rows, 4);
        assert!(itself.into_iter().all(|tally| tally.without(&HashSet::new()).is_same()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_arrives_loads_or_lands_meanwhile_is_on_its_way() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let ours = warehouse(&dir, "ours", &[("a", "1")]).await;
        let rebuilt = warehouse(&dir, "rebuilt", &[("b", "1")]).await;
        let far = at("2100-01-01T00:00:00Z");
        let empty = warehouse(&dir, "empty", &[]).await;
        let begin = async |before: &DuckDbWarehouse, settled, grace| {
            Times::begin(before, settled, grace, Timestamp::now()).await.expect("the times")
        };
        let found = async |times: Times| {
            let found = on_their_way(&ours, &rebuilt, &times).await.expect("trackings");
            let mut found: Vec<String> = found.into_iter().collect();
            found.sort();
            found
        };

        assert_eq!(found(begin(&ours, far, Duration::ZERO).await).await, [""; 0]);
        let arrived = begin(&ours, at("2026-07-09T12:00:00Z"), Duration::ZERO).await;
        assert_eq!(found(arrived).await, ["t-a"], "arrived");
        assert_eq!(found(begin(&empty, far, Duration::ZERO).await).await, ["t-a"], "loaded since");
        let ever = begin(&ours, far, Duration::from_secs(200 * 365 * 86_400)).await;
        assert_eq!(found(ever).await, ["t-b"], "landed and not loaded here");
    }

    #[test]
    fn pages_go_on_behind_the_last_row() {
        assert_eq!(after("duckdb", &["a"], &["it's".to_owned()]), "a > 'it''s'");
        let last = ["x".to_owned(), "y".to_owned()];
        assert_eq!(after("duckdb", &["a", "b"], &last), "(a > 'x' or (a = 'x' and b > 'y'))");
    }
}
