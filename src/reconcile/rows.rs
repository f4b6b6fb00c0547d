//! What the warehouse holds of some minutes, asked in the language of each engine.

mod sql;

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use crate::warehouse::{Cell, Warehouse, WarehouseError, literal_of};

use super::Span;
use super::bag::Bag;
use super::evidence::{Ledger, Row};
use super::minutes::{Place, word};

pub(super) use sql::{instant_literal, list};

use sql::{bags_sql, doubled_sql, forged_sql, received_in, touched_sql};

/// Keys of one question.
const KEYS_MAX: usize = 1_000;
/// Facts that are counted and named; of more only these are.
pub(super) const FACTS_MAX: usize = 1_000;

/// The tables.
#[derive(Clone, Copy)]
pub(super) struct Tables<'a>(pub(super) &'a dyn Warehouse);

/// What is odd about the facts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Trackings with events and without a row.
    pub(super) missing: Vec<String>,
    /// Trackings whose checkpoints are not as many as they say.
    pub(super) miscounted: Vec<String>,
    /// Trackings whose row is that of no event: their id, and that in the snapshot.
    pub(super) forged: Vec<(String, String)>,
    /// Trackings with more than one row.
    pub(super) doubled: Vec<String>,
    /// Are there more of the first two than are counted here?
    pub(super) is_more_touched: bool,
    /// And of those that are forged?
    pub(super) is_more_forged: bool,
    /// And of those with more than one row?
    pub(super) is_more_doubled: bool,
}

impl Tables<'_> {
    fn literal(&self, text: &str) -> String {
        literal_of(self.0.kind(), text)
    }

    fn list(&self, texts: &[String]) -> String {
        list(self.0.kind(), texts)
    }

    /// Per minute of arrival and source: how many rows, and the hash of their keys.
    pub(super) async fn bags(&self, span: Span) -> Result<BTreeMap<Place, Bag>, WarehouseError> {
        let answer = self.0.query(&bags_sql(self.0.kind(), span)).await?;
        let mut bags: BTreeMap<Place, Bag> = BTreeMap::new();
        for row in &answer.rows {
            let minute = minute(number(row, 0)?)?;
            let mut quarters = [0; 4];
            for (index, quarter) in quarters.iter_mut().enumerate() {
                *quarter = number(row, 3 + index)?;
            }
            let bag = bags.entry((minute, word(&text(row, 1)?))).or_default();
            *bag = bag.plus(Bag::from_quarters(small(row, 2)?, quarters));
        }
        Ok(bags)
    }

    /// What the ledger says of the objects whose keys lie between two.
    pub(super) async fn ledger(
        &self,
        from: &str,
        until: &str,
    ) -> Result<HashMap<String, Ledger>, WarehouseError> {
        let (from, until) = (self.literal(from), self.literal(until));
        self.ledger_where(&format!("file >= {from} and file < {until}")).await
    }

    /// What it says of these objects.
    pub(super) async fn ledger_of(
        &self,
        files: &[String],
    ) -> Result<HashMap<String, Ledger>, WarehouseError> {
        let mut ledger = HashMap::new();
        for some in files.chunks(KEYS_MAX) {
            ledger.extend(self.ledger_where(&format!("file in ({})", self.list(some))).await?);
        }
        Ok(ledger)
    }

    async fn ledger_where(&self, condition: &str) -> Result<HashMap<String, Ledger>, WarehouseError> {
        let sql = format!(
            "select file, status, lines, inserted from raw.loaded_file where dataset = 'tracking' and {condition}"
        );
        let answer = self.0.query(&sql).await?;
        let entry = |row: &Vec<Cell>| -> Result<_, WarehouseError> {
            let is_loaded = text(row, 1)? == "loaded";
            Ok((text(row, 0)?, Ledger { is_loaded, lines: small(row, 2)?, inserted: small(row, 3)? }))
        };
        answer.rows.iter().map(entry).collect()
    }

    /// The rejected lines of the objects whose keys lie between two.
    pub(super) async fn rejected(
        &self,
        from: &str,
        until: &str,
    ) -> Result<HashSet<(String, u64)>, WarehouseError> {
        let sql = format!(
            "select file, line from raw.rejected_row where dataset = 'tracking' and file >= {} and file < {}",
            self.literal(from),
            self.literal(until)
        );
        let answer = self.0.query(&sql).await?;
        answer.rows.iter().map(|row| Ok((text(row, 0)?, small(row, 1)?))).collect()
    }

    /// The rows that arrived in a span.
    pub(super) async fn received(&self, span: Span) -> Result<Vec<Row>, WarehouseError> {
        self.rows_where(&received_in("received_at", span)).await
    }

    /// The rows of these keys, whenever they arrived.
    pub(super) async fn known(&self, keys: &[String]) -> Result<Vec<Row>, WarehouseError> {
        let mut rows = Vec::new();
        for some in keys.chunks(KEYS_MAX) {
            rows.extend(self.rows_where(&format!("event_key in ({})", self.list(some))).await?);
        }
        Ok(rows)
    }

    async fn rows_where(&self, condition: &str) -> Result<Vec<Row>, WarehouseError> {
        let sql = format!(
            "select event_key, source, received_at, body_sha256, file, line from raw.tracking_event where {condition}"
        );
        let answer = self.0.query(&sql).await?;
        let read = |row: &Vec<Cell>| -> Result<_, WarehouseError> {
            Ok(Row {
                key: text(row, 0)?,
                source: text(row, 1)?,
                received_at: instant(row, 2)?,
                body_sha256: text(row, 3)?,
                file: text(row, 4)?,
                line: small(row, 5)?,
            })
        };
        answer.rows.iter().map(read).collect()
    }

    /// The other bodies of these keys.
    pub(super) async fn conflicts(
        &self,
        keys: &[String],
    ) -> Result<HashSet<(String, String)>, WarehouseError> {
        let mut found = HashSet::new();
        for some in keys.chunks(KEYS_MAX) {
            let sql = format!(
                "select event_key, body_sha256 from raw.tracking_event_conflict where event_key in ({})",
                self.list(some)
            );
            for row in &self.0.query(&sql).await?.rows {
                found.insert((text(row, 0)?, text(row, 1)?));
            }
        }
        Ok(found)
    }

    /// What is odd about the facts of trackings with events in a span, and about all rows of facts that are no event's or
    /// are there more than once.
    pub(super) async fn facts(&self, span: Span) -> Result<Facts, WarehouseError> {
        let mut facts = Facts::default();
        let touched = self.0.query(&touched_sql(span)).await?.rows;
        facts.is_more_touched = touched.len() > FACTS_MAX;
        for row in touched.iter().take(FACTS_MAX) {
            let tracking = text(row, 0)?;
            match row.get(1) {
                Some(Cell::Null) | None => facts.missing.push(tracking),
                Some(_) => facts.miscounted.push(tracking),
            }
        }
        let forged = self.0.query(&forged_sql()).await?.rows;
        facts.is_more_forged = forged.len() > FACTS_MAX;
        for row in forged.iter().take(FACTS_MAX) {
            facts.forged.push((text(row, 0)?, text(row, 1)?));
        }
        let doubled = self.0.query(&doubled_sql()).await?.rows;
        facts.is_more_doubled = doubled.len() > FACTS_MAX;
        for row in doubled.iter().take(FACTS_MAX) {
            facts.doubled.push(text(row, 0)?);
        }
        Ok(facts)
    }
}

fn minute(number: u128) -> Result<Timestamp, WarehouseError> {
    let second = i64::try_from(number).ok().and_then(|minute| minute.checked_mul(60));
    second.and_then(|second| Timestamp::from_second(second).ok()).ok_or_else(odd)
}

/// A text of a row.
pub(super) fn text(row: &[Cell], index: usize) -> Result<String, WarehouseError> {
    match row.get(index) {
        Some(Cell::Text(text)) => Ok(text.clone()),
        _ => Err(odd()),
    }
}

/// An instant of a row.
pub(super) fn instant(row: &[Cell], index: usize) -> Result<Timestamp, WarehouseError> {
    match row.get(index) {
        Some(Cell::Instant(instant)) => Ok(*instant),
        _ => Err(odd()),
    }
}

fn number(row: &[Cell], index: usize) -> Result<u128, WarehouseError> {
    match row.get(index) {
        Some(Cell::Int(number)) => u128::try_from(*number).map_err(|_| odd()),
        Some(Cell::Exact(text)) => text.parse().map_err(|_| odd()),
        _ => Err(odd()),
    }
}

fn small(row: &[Cell], index: usize) -> Result<u64, WarehouseError> {
    u64::try_from(number(row, index)?).map_err(|_| odd())
}

fn odd() -> WarehouseError {
    WarehouseError::Query("the answer has another form than was asked for".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::warehouse::duckdb::{DuckDbOptions, DuckDbWarehouse};
    use crate::warehouse::rows::{EventRow, FileRows, LoadSet};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("instant")
    }

    fn event(line: u64, key: &str, source: &'static str, received_at: &str) -> EventRow {
        EventRow {
            line,
            event_key: key.to_owned(),
            event_id: None,
            event: None,
            tracking_id: format!("t-{key}"),
            source,
            received_at: at(received_at),
            replay_id: None,
            body_sha256: "0".repeat(64),
            event_date: None,
            is_test: false,
        }
    }

    async fn warehouse(dir: &tempfile::TempDir) -> Arc<dyn Warehouse> {
        let path = dir.path().join("w.duckdb");
        let warehouse = DuckDbWarehouse::open(path, DuckDbOptions::default()).expect("a warehouse");
        warehouse.migrate().await.expect("migrated");
        let events = vec![
            event(1, "a", "webhook", "2026-07-09T12:00:00Z"),
            event(2, "it's", "webhook", "2026-07-09T12:00:59.999999Z"),
            event(3, "b", "api", "2026-07-09T12:00:30Z"),
            event(4, "c", "webhook", "2026-07-09T12:01:00Z"),
        ];
        let file = FileRows {
            file: "events/dt=2026-07-09/hour=12/minute=00/x.jsonl".to_owned(),
            landed_at: at("2026-07-09T12:01:00Z"),
            lines: 4,
            is_readable: true,
            events,
            rejects: Vec::new(),
        };
        warehouse.load(LoadSet { files: vec![file], ..LoadSet::default() }).await.expect("loaded");
        Arc::new(warehouse)
    }

    fn span() -> Span {
        Span { from: at("2026-07-09T12:00:00Z"), until: at("2026-07-09T12:01:00Z") }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_hash_that_sql_makes_is_that_of_the_manifests() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let warehouse = warehouse(&dir).await;

        let bags = Tables(warehouse.as_ref()).bags(span()).await.expect("bags");

        let minute = at("2026-07-09T12:00:00Z");
        let expected = [((minute, "api"), Bag::of(["b"])), ((minute, "webhook"), Bag::of(["a", "it's"]))];
        assert_eq!(bags, BTreeMap::from(expected));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rows_ledger_and_facts_are_read() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let warehouse = warehouse(&dir).await;
        let tables = Tables(warehouse.as_ref());

        let known = tables.known(&["it's".to_owned(), "nobody".to_owned()]).await.expect("rows");
        assert_eq!(known.iter().map(|row| (row.key.as_str(), row.line)).collect::<Vec<_>>(), [("it's", 2)]);
        assert_eq!(tables.received(span()).await.expect("rows").len(), 3);
        let ledger = tables.ledger("events/", "events0").await.expect("ledger");
        let entry = Ledger { is_loaded: true, lines: 4, inserted: 4 };
        assert_eq!(ledger.values().copied().collect::<Vec<_>>(), [entry]);
        assert_eq!(tables.ledger_of(&["no".to_owned()]).await.expect("ledger"), HashMap::new());
        assert_eq!(tables.rejected("events/", "events0").await.expect("rejects"), HashSet::new());
        assert_eq!(tables.conflicts(&["a".to_owned()]).await.expect("conflicts"), HashSet::new());
        let facts = tables.facts(span()).await.expect("facts");
        assert_eq!(facts.missing, ["t-a", "t-b", "t-it's"], "events without facts");
        assert_eq!((facts.miscounted.len(), facts.forged.len(), facts.doubled.len()), (0, 0, 0));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_fact_that_is_there_twice_is_named() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let warehouse = warehouse(&dir).await;
        let connection = duckdb::Connection::open(dir.path().join("w.duckdb")).expect("the file");
        let insert = "insert into base.fct_shipment_tracking
            (tracking_id, source_tracking_id, tracking_key, body_sha256, is_test, checkpoint_count)
            values ('t-a', 't-a', 1, 'x', false, 0)";
        connection.execute_batch(&format!("{insert}; {insert};")).expect("done by hand");
        drop(connection);

        let facts = Tables(warehouse.as_ref()).facts(span()).await.expect("facts");

        assert_eq!(facts.doubled, ["t-a"]);
        assert!(!facts.is_more_doubled);
    }
}
