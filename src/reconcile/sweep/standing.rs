//! How AfterShip's state of a tracking stands to ours.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use crate::aftership::api::{self, Snapshot};
use crate::aftership::{tracking, webhook};
use crate::event::identity::checkpoint_key;
use crate::reconcile::rows::{list, text};
use crate::warehouse::rows::clean;
use crate::warehouse::{Cell, Warehouse, WarehouseError};

/// How a state of AfterShip's stands to ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Here,
    Behind {
        is_same_second: bool,
    },
    /// It has no time.
    Unknown,
}

/// What we have of a tracking.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct State {
    updated_at: Option<Timestamp>,
    tag: Option<String>,
    checkpoints: Option<i64>,
}

/// Is AfterShip's state newer than ours? `ours`: `None` when we have none.
pub(super) fn standing(snapshot: &Snapshot, ours: Option<&State>) -> Standing {
    let Some(ours) = ours else { return Standing::Behind { is_same_second: false } };
    let Some(theirs) = snapshot.updated_at else { return Standing::Unknown };
    if ours.updated_at.is_none_or(|ours| ours < theirs) {
        return Standing::Behind { is_same_second: false };
    }
    // AfterShip's times have a resolution of one second, so equal ones may be of two states.
    let is_equal = ours.updated_at == Some(theirs);
    if is_equal && !says_the_same(snapshot, ours) {
        return Standing::Behind { is_same_second: true };
    }
    Standing::Here
}

fn says_the_same(snapshot: &Snapshot, ours: &State) -> bool {
    let tag = snapshot.tag.as_deref().map(clean);
    let is_as_many = ours.checkpoints.is_none_or(|ours| ours == checkpoints(snapshot));
    tag == ours.tag && is_as_many
}

/// How many checkpoints the facts count of a state: equal ones once.
fn checkpoints(snapshot: &Snapshot) -> i64 {
    let body = api::envelope(&snapshot.json);
    let Ok(webhook) = webhook::read(&body) else { return snapshot.checkpoints as i64 };
    let tracking = tracking::read(&webhook);
    let keys: HashSet<String> = tracking
        .checkpoints
        .iter()
        .map(|one| {
            checkpoint_key(
                &tracking.id,
                one.slug.as_deref(),
                one.checkpoint_time.as_deref(),
                one.raw_tag.as_deref(),
                one.message.as_deref(),
                one.location.as_deref(),
            )
        })
        .collect();
    keys.len() as i64
}

/// What we have of trackings, by whatever id each of them is asked for.
pub(super) async fn states(
    warehouse: &dyn Warehouse,
    ids: &[String],
) -> Result<HashMap<String, State>, WarehouseError> {
    let mut states: HashMap<String, State> = HashMap::new();
    if ids.is_empty() {
        return Ok(states);
    }
    for row in &warehouse.query(&states_sql(&list(warehouse.kind(), ids))).await?.rows {
        let updated_at = match row.get(1) {
            Some(Cell::Instant(instant)) => Some(*instant),
            _ => None,
        };
        let tag = text(row, 2).ok();
        let checkpoints = match row.get(3) {
            Some(Cell::Int(count)) => Some(*count),
            _ => None,
        };
        let found = State { updated_at, tag, checkpoints };
        let state = states.entry(text(row, 0)?).or_default();
        if *state < found {
            *state = found;
        }
    }
    Ok(states)
}

/// An older id is known by its tracking, and a tracking by the id of its newest snapshot.
fn states_sql(ids: &str) -> String {
    format!(
        "select f.source_tracking_id as id, f.updated_at, f.tag, f.checkpoint_count from base.fct_shipment_tracking as f
         where f.source_tracking_id in ({ids})
         union all
         select f.tracking_id as id, f.updated_at, f.tag, f.checkpoint_count from base.fct_shipment_tracking as f
         where f.tracking_id in ({ids})
         union all
         select a.legacy_id as id, f.updated_at, f.tag, f.checkpoint_count
         from raw.tracking_alias as a
         join base.fct_shipment_tracking as f on f.tracking_id = a.tracking_id
         where a.legacy_id in ({ids})"
    )
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

    fn state(updated_at: Option<&str>) -> State {
        State { updated_at: updated_at.map(at), tag: None, checkpoints: Some(0) }
    }

    #[test]
    fn behind_is_what_is_older_or_not_there() {
        let theirs = snapshot("t", Some("2026-07-09T12:00:00Z"));
        let older = Standing::Behind { is_same_second: false };

        assert_eq!(standing(&theirs, None), older);
        assert_eq!(standing(&theirs, Some(&state(None))), older);
        assert_eq!(standing(&theirs, Some(&state(Some("2026-07-09T11:59:59Z")))), older);
        assert_eq!(standing(&theirs, Some(&state(Some("2026-07-09T12:00:00Z")))), Standing::Here);
        assert_eq!(standing(&theirs, Some(&state(Some("2026-07-09T12:00:01Z")))), Standing::Here);
        assert_eq!(standing(&snapshot("t", None), Some(&state(None))), Standing::Unknown);
        assert_eq!(standing(&snapshot("t", None), None), older);
    }

    #[test]
    fn of_one_second_status_and_checkpoints_tell() {
        let scan = r#"{"slug":"ups","message":"out","checkpoint_time":"2026-07-09T11:00:00"}"#;
        let json = format!(r#"{{"id":"t","tag":"Delivered","checkpoints":[{scan},{scan}]}}"#);
        let theirs = Snapshot {
            json: Bytes::from(json),
            tag: Some("Delivered".to_owned()),
            checkpoints: 2,
            ..snapshot("t", Some("2026-07-09T12:00:00Z"))
        };
        let ours = State {
            tag: Some("Delivered".to_owned()),
            checkpoints: Some(1),
            ..state(Some("2026-07-09T12:00:00Z"))
        };
        let tied = Standing::Behind { is_same_second: true };

        assert_eq!(standing(&theirs, Some(&ours)), Standing::Here, "equal scans are one");
        let in_transit = State { tag: Some("InTransit".to_owned()), ..ours.clone() };
        assert_eq!(standing(&theirs, Some(&in_transit)), tied);
        assert_eq!(standing(&theirs, Some(&State { checkpoints: Some(0), ..ours.clone() })), tied);
        let newer = State { updated_at: Some(at("2026-07-09T12:00:01Z")), ..in_transit };
        assert_eq!(standing(&theirs, Some(&newer)), Standing::Here);
    }
}
