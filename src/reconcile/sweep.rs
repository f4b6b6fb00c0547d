//! Compares with AfterShip's own list: names trackings whose newest state we do not have, and sends that state through the
//! queue when asked to.
//!
//! A webhook that was refused for good, or never sent, leaves no trace with us; AfterShip's list is the only one that
//! knows. It knows states, not events: what was between two states stays unknown.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use crate::aftership::api::{self, ListQuery, Snapshot};
use crate::aftership::client::{Api, ApiError};
use crate::event::{format_instant, line, truncate_to_micros};
use crate::lake::Lake;
use crate::lake::audit::{self, Action, Audit};
use crate::queue::{Queue, SendError};
use crate::warehouse::{Cell, Warehouse, WarehouseError};

use super::report::{Difference, Kind};
use super::rows::{instant_literal, list, text};
use super::{Reconcile, ReconcileError};

/// How often a list begins again, since AfterShip no longer knew where it was.
const RESTARTS_MAX: u32 = 3;
/// Trackings that AfterShip does not list, and that are asked for one by one.
const ASKED_MAX: usize = 100;
/// Messages sent together.
const SENT_TOGETHER: usize = 100;
/// Characters of an id before version 2024-07, by which the API no longer finds anything.
const OLD_ID_CHARS: usize = 24;

/// What AfterShip's list says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Trackings in the list.
    pub listed: u64,
    /// The newest states that we do not have.
    pub behind: Vec<Snapshot>,
    /// Trackings that AfterShip has no more.
    pub deleted: Vec<String>,
}

impl Sweep {
    /// As differences. `healed`: the states were just sent to the queue.
    pub fn differences(&self, healed: bool) -> Vec<Difference> {
        let mut differences = Vec::new();
        if !self.behind.is_empty() {
            let ids = self.behind.iter().map(|snapshot| snapshot.id.clone()).collect();
            let text = if healed {
                "AfterShip had newer states of these trackings; they were sent to the queue and are loaded like any other"
            } else {
                "AfterShip has newer states of these trackings, or we have none: their webhooks were refused, or never came; \
                 `--heal` fetches them"
            };
            let difference = Difference::of(Kind::BehindAftership, ids, text);
            differences.push(if healed { difference.explained() } else { difference });
        }
        if !self.deleted.is_empty() {
            let text = "AfterShip has these trackings no more: they were deleted there; here they stay";
            let difference = Difference::of(Kind::DeletedAtAftership, self.deleted.clone(), text);
            differences.push(difference.explained());
        }
        differences
    }
}

/// Why and by whom.
#[derive(Debug, Clone, Default)]
pub struct HealOrder {
    /// For the audit record.
    pub reason: Option<String>,
    /// The operator's name on the machine.
    pub who: Option<String>,
}

/// What was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Healed {
    /// Ties the audit record and the events together; `None`: there was nothing to send.
    pub replay_id: Option<String>,
    /// States that were to be sent.
    pub chosen: u64,
    /// In the queue.
    pub sent: u64,
    /// Over what the queue takes.
    pub too_large: u64,
}

impl Reconcile {
    /// Compares AfterShip's list of what changed from one instant to another with the facts. `progress` gets (done, of)
    /// in trackings.
    pub async fn sweep(
        &self,
        api: &Api,
        from: Timestamp,
        until: Timestamp,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Sweep, ReconcileError> {
        let warehouse = self.warehouse.as_ref();
        let first = ListQuery {
            updated_from: Some(from),
            updated_until: Some(until),
            limit: api::LIMIT_MAX,
            ..ListQuery::default()
        };
        let (mut seen, mut behind) = (HashSet::new(), BTreeMap::new());
        let mut query = first.clone();
        let mut restarts = 0;
        loop {
            let page = match api.list(&query).await {
                Ok((page, _)) => page,
                // Pages that were read already are read again, which changes nothing.
                Err(ApiError::CursorExpired) if restarts < RESTARTS_MAX => {
                    restarts += 1;
                    query = first.clone();
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let ids: Vec<String> = page.trackings.iter().map(|snapshot| snapshot.id.clone()).collect();
            let states = states(warehouse, &ids).await?;
            for snapshot in page.trackings {
                seen.insert(snapshot.id.clone());
                if is_behind(&snapshot, states.get(&snapshot.id)) {
                    behind.insert(snapshot.id.clone(), snapshot);
                }
            }
            let done = seen.len() as u64;
            progress(done, page.total.unwrap_or(done).max(done));
            match page.next {
                Some(next) => query = ListQuery { next: Some(next), ..first.clone() },
                None => break,
            }
        }
        let deleted = deleted(api, warehouse, from, until, &seen).await?;
        Ok(Sweep { listed: seen.len() as u64, behind: behind.into_values().collect(), deleted })
    }
}

/// Is AfterShip's state newer than ours? `ours`: `None` when we have none.
fn is_behind(snapshot: &Snapshot, ours: Option<&Option<Timestamp>>) -> bool {
    match ours {
        None => true,
        Some(ours) => snapshot.updated_at.is_some_and(|theirs| ours.is_none_or(|ours| ours < theirs)),
    }
}

/// The record times of trackings, by whatever id each of them is asked for.
async fn states(
    warehouse: &dyn Warehouse,
    ids: &[String],
) -> Result<HashMap<String, Option<Timestamp>>, WarehouseError> {
    let mut states: HashMap<String, Option<Timestamp>> = HashMap::new();
    if ids.is_empty() {
        return Ok(states);
    }
    for row in &warehouse.query(&states_sql(&list(ids))).await?.rows {
        let updated_at = match row.get(1) {
            Some(Cell::Instant(instant)) => Some(*instant),
            _ => None,
        };
        let state = states.entry(text(row, 0)?).or_default();
        *state = updated_at.max(*state);
    }
    Ok(states)
}

/// An older id is known by its tracking, and a tracking by the id of its newest snapshot.
fn states_sql(ids: &str) -> String {
    format!(
        "select f.source_tracking_id as id, f.updated_at from base.fct_shipment_tracking as f
         where f.source_tracking_id in ({ids})
         union all
         select f.tracking_id as id, f.updated_at from base.fct_shipment_tracking as f where f.tracking_id in ({ids})
         union all
         select a.legacy_id as id, f.updated_at
         from raw.tracking_alias as a
         join base.fct_shipment_tracking as f on f.tracking_id = a.tracking_id
         where a.legacy_id in ({ids})"
    )
}

/// Trackings that changed in the span as far as we know, that AfterShip does not list, and that it has no more. What
/// changed again since is not listed either, so each is asked for.
async fn deleted(
    api: &Api,
    warehouse: &dyn Warehouse,
    from: Timestamp,
    until: Timestamp,
    seen: &HashSet<String>,
) -> Result<Vec<String>, ReconcileError> {
    let sql = format!(
        "select f.source_tracking_id, f.tracking_id from base.fct_shipment_tracking as f
         where f.updated_at >= {} and f.updated_at < {} and not f.is_test
         order by f.updated_at desc",
        instant_literal(from),
        instant_literal(until)
    );
    let mut unlisted = Vec::new();
    for row in &warehouse.query(&sql).await?.rows {
        let (id, tracking) = (text(row, 0)?, text(row, 1)?);
        let can_be_asked_for = !id.contains('/') && id.len() != OLD_ID_CHARS;
        if can_be_asked_for && !seen.contains(&id) && !seen.contains(&tracking) {
            unlisted.push(id);
        }
    }
    if unlisted.len() > ASKED_MAX {
        let more = unlisted.len() - ASKED_MAX;
        warn!(more, "AfterShip does not list {} trackings: only {ASKED_MAX} are asked for", unlisted.len());
        unlisted.truncate(ASKED_MAX);
    }
    let mut deleted = Vec::new();
    for id in unlisted {
        if api.get(&id).await?.is_none() {
            deleted.push(id);
        }
    }
    Ok(deleted)
}

/// Sends the states that we do not have to the queue, as a poll would have, after writing down that it will. Asked again
/// it changes nothing: the same state is the same event.
pub async fn heal(
    lake: &dyn Lake,
    queue: &dyn Queue,
    sweep: &Sweep,
    order: &HealOrder,
    stop: &CancellationToken,
    mut progress: impl FnMut(u64, u64),
) -> Result<Healed, ReconcileError> {
    let of = sweep.behind.len() as u64;
    let mut healed = Healed { chosen: of, ..Healed::default() };
    if sweep.behind.is_empty() {
        return Ok(healed);
    }
    let replay_id = format!("heal-{}", Uuid::now_v7());
    let at = truncate_to_micros(Timestamp::now());
    let audit = Audit {
        v: 1,
        at,
        action: Action::Heal,
        who: order.who.clone(),
        filter: format!("newer at AfterShip than here, at {}", format_instant(at)),
        count: sweep.behind.len(),
        ids: sweep.behind.iter().map(|snapshot| snapshot.id.clone()).collect(),
        reason: order.reason.clone(),
        replay_id: Some(replay_id.clone()),
    };
    audit::record(lake, &audit).await?;
    healed.replay_id = Some(replay_id.clone());

    let mut done = 0;
    for some in sweep.behind.chunks(SENT_TOGETHER) {
        if stop.is_cancelled() {
            break;
        }
        let received_at = Timestamp::now();
        let messages = some.iter().map(|snapshot| {
            let mut event = api::event(snapshot, received_at);
            event.replay_id = Some(replay_id.clone());
            line::to_message(&line::encode(&event))
        });
        let fates = queue.send(messages.collect()).await;
        for fate in fates {
            match fate {
                Ok(_enqueued) => healed.sent += 1,
                Err(SendError::TooLarge { bytes, limit }) => {
                    warn!(bytes, limit, "a state is over the queue's limit and was not sent");
                    healed.too_large += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        done += some.len() as u64;
        progress(done, of);
    }
    Ok(healed)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::event::EventKey;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("instant")
    }

    fn snapshot(id: &str, updated_at: Option<&str>) -> Snapshot {
        Snapshot {
            json: Bytes::from_static(b"{}"),
            id: id.to_owned(),
            updated_at: updated_at.map(at),
            tag: None,
            checkpoints: 0,
            key: EventKey::from_text("k"),
        }
    }

    #[test]
    fn behind_is_what_is_older_or_not_there() {
        let theirs = snapshot("t", Some("2026-07-09T12:00:00Z"));
        let ours = |text: &str| Some(at(text));

        assert!(is_behind(&theirs, None));
        assert!(is_behind(&theirs, Some(&None)));
        assert!(is_behind(&theirs, Some(&ours("2026-07-09T11:59:59Z"))));
        assert!(!is_behind(&theirs, Some(&ours("2026-07-09T12:00:00Z"))));
        assert!(!is_behind(&theirs, Some(&ours("2026-07-09T12:00:01Z"))));
        assert!(!is_behind(&snapshot("t", None), Some(&None)), "without a time nobody can tell");
    }

    #[test]
    fn what_was_healed_is_explained_and_a_deletion_is_no_fault() {
        let sweep = Sweep {
            listed: 2,
            behind: vec![snapshot("b", None), snapshot("a", None)],
            deleted: vec!["c".to_owned()],
        };

        let before: Vec<(Kind, bool)> =
            sweep.differences(false).iter().map(|one| (one.kind, one.is_explained)).collect();
        assert_eq!(before, [(Kind::BehindAftership, false), (Kind::DeletedAtAftership, true)]);
        let after = sweep.differences(true);
        assert!(after.iter().all(|one| one.is_explained));
        assert_eq!(after[0].ids, ["a", "b"]);
        assert_eq!(Sweep::default().differences(false), []);
    }
}
