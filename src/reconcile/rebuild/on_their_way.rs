//! What moves on while a rebuild goes on, and may differ for that.

use std::collections::HashSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::reconcile::ReconcileError;
use crate::reconcile::rows::{instant_literal, list, text};
use crate::warehouse::{Cell, Warehouse, WarehouseError};

/// How far behind the newest ledger row of a file one may still be committed: by the warehouse's clock, of a transaction
/// that began before.
const LATE_COMMIT: SignedDuration = SignedDuration::from_hours(1);
/// Objects of one question.
const FILES_MAX: usize = 1_000;

/// From when on what is on its way.
#[derive(Debug, Clone)]
pub struct Times {
    /// Events that arrived at or after this may not have landed.
    settled: Timestamp,
    /// Objects that landed at or after this may not be loaded.
    landed_since: Timestamp,
    /// Where the ledger ended when the rebuild began, by the warehouse's own clock, an hour back.
    horizon: Timestamp,
    /// What was loaded behind that.
    known: HashSet<String>,
}

impl Times {
    /// To be taken before the rebuild begins. `load_grace`: how long an object may wait to be loaded.
    pub async fn begin(
        ours: &dyn Warehouse,
        settled: Timestamp,
        load_grace: Duration,
        now: Timestamp,
    ) -> Result<Times, ReconcileError> {
        let newest = ours.query("select max(loaded_at) as newest from raw.loaded_file").await?;
        let newest = match newest.rows.first().and_then(|row| row.first()) {
            Some(Cell::Instant(newest)) => *newest,
            _ => Timestamp::UNIX_EPOCH,
        };
        let horizon = newest.checked_sub(LATE_COMMIT).unwrap_or(Timestamp::UNIX_EPOCH);
        let horizon = horizon.max(Timestamp::UNIX_EPOCH);
        let known = loaded_since(ours, horizon).await?.into_iter().collect();
        let grace = SignedDuration::try_from(load_grace).unwrap_or(SignedDuration::MAX);
        let landed_since = now.checked_sub(grace).unwrap_or(Timestamp::UNIX_EPOCH).max(Timestamp::UNIX_EPOCH);
        Ok(Times { settled, landed_since, horizon, known })
    }
}

async fn loaded_since(warehouse: &dyn Warehouse, horizon: Timestamp) -> Result<Vec<String>, WarehouseError> {
    let sql = format!(
        "select file from raw.loaded_file where dataset = 'tracking' and loaded_at >= {} order by file",
        instant_literal(horizon)
    );
    warehouse.query(&sql).await?.rows.iter().map(|row: &Vec<Cell>| text(row, 0)).collect()
}

/// Trackings with events that arrived late, were loaded since the rebuild began, or are loaded in the rebuild and not yet in
/// the warehouse. To be asked before and after both are compared.
pub async fn on_their_way(
    ours: &dyn Warehouse,
    rebuilt: &dyn Warehouse,
    times: &Times,
) -> Result<HashSet<String>, ReconcileError> {
    let mut found = HashSet::new();
    let arrived = format!("e.received_at >= {}", instant_literal(times.settled));
    add(ours, &arrived, &mut found).await?;

    let mut loaded = loaded_since(ours, times.horizon).await?;
    loaded.retain(|file| !times.known.contains(file));
    for some in loaded.chunks(FILES_MAX) {
        add(ours, &format!("e.file in ({})", list(ours.kind(), some)), &mut found).await?;
    }

    let files = ours.unloaded(young_files(rebuilt, times).await?).await?;
    for some in files.chunks(FILES_MAX) {
        add(rebuilt, &format!("e.file in ({})", list(rebuilt.kind(), some)), &mut found).await?;
    }
    Ok(found)
}

/// Objects that landed so lately that the warehouse need not have loaded them. What waits for longer is a difference.
async fn young_files(rebuilt: &dyn Warehouse, times: &Times) -> Result<Vec<String>, WarehouseError> {
    let sql = format!(
        "select file from raw.loaded_file where dataset = 'tracking' and landed_at >= {} order by file",
        instant_literal(times.landed_since)
    );
    rebuilt.query(&sql).await?.rows.iter().map(|row: &Vec<Cell>| text(row, 0)).collect()
}

/// Adds the trackings of events that a condition on `e` holds for, by both of their ids.
async fn add(
    warehouse: &dyn Warehouse,
    condition: &str,
    found: &mut HashSet<String>,
) -> Result<(), WarehouseError> {
    let sql = format!(
        "select e.tracking_id, coalesce(a.tracking_id, e.tracking_id) as fact_id
         from (
           select tracking_id, received_at, file from raw.tracking_event
           union all
           select tracking_id, received_at, file from raw.tracking_event_conflict
         ) as e
         left join raw.tracking_alias as a on a.legacy_id = e.tracking_id
         where {condition}"
    );
    for row in &warehouse.query(&sql).await?.rows {
        found.insert(text(row, 0)?);
        found.insert(text(row, 1)?);
    }
    Ok(())
}
