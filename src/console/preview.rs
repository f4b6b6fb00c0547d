//! What a replay would change, said before it is done.
//!
//! Each letter is read as the replay would read it, its event is looked up by its key, and its snapshot compared with
//! the fact of its parcel by the one rule that orders snapshots. Nothing is written.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::aftership::{tracking, webhook};
use crate::event::identity::SnapshotOrder;
use crate::lake::dead_letter::DeadLetter;
use crate::warehouse::rows::clean;

use super::Console;
use super::ask::{Given, ask};
use super::fault::Fault;

/// Letters that are looked at; of more, the oldest.
pub(super) const LETTERS_MAX: usize = 1_000;

/// How many of the chosen letters would do what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Preview {
    /// Letters that the order means.
    pub(super) chosen: usize,
    /// Of them, looked at.
    pub(super) examined: usize,
    /// No event can be made of them: they stay as they are.
    pub(super) not_replayable: usize,
    /// Their body still names no parcel: they would come back as other letters.
    pub(super) dead_again: usize,
    /// The warehouse has this very event.
    pub(super) known: usize,
    /// Counted as events, while the fact of their parcel is newer.
    pub(super) older: usize,
    /// They would change the fact of their parcel.
    pub(super) newer: usize,
    /// Their parcel is not known yet.
    pub(super) new_parcels: usize,
    /// False where there is no warehouse to look into: the last four are not told apart then.
    pub(super) is_compared: bool,
}

impl Preview {
    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let compared = |count: usize| if self.is_compared { json!(count) } else { Value::Null };
        json!({
            "chosen": self.chosen,
            "examined": self.examined,
            "not_replayable": self.not_replayable,
            "dead_again": self.dead_again,
            "known": compared(self.known),
            "older": compared(self.older),
            "newer": compared(self.newer),
            "new_parcels": compared(self.new_parcels),
        })
    }
}

/// What a letter would be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Would {
    /// Nothing: it holds no event of ours.
    Stay,
    /// A dead letter again.
    Die,
    /// An event.
    Be(Snapshot),
}

/// As much of an event as the comparison needs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Snapshot {
    event_key: String,
    tracking_id: String,
    updated_at: Option<jiff::Timestamp>,
    event_at: Option<jiff::Timestamp>,
    body_sha256: String,
}

impl Snapshot {
    fn order(&self) -> SnapshotOrder<'_> {
        SnapshotOrder { updated_at: self.updated_at, event_at: self.event_at, body_sha256: &self.body_sha256 }
    }
}

/// Looks at letters and into the warehouse.
pub(super) async fn preview(console: &Console, letters: &[DeadLetter]) -> Result<Preview, Fault> {
    let mut preview = Preview { chosen: letters.len(), ..Preview::default() };
    let mut snapshots = Vec::new();
    for letter in letters.iter().take(LETTERS_MAX) {
        preview.examined += 1;
        match would(letter) {
            Would::Stay => preview.not_replayable += 1,
            Would::Die => preview.dead_again += 1,
            Would::Be(snapshot) => snapshots.push(snapshot),
        }
    }
    if console.parts().warehouse.is_none() {
        return Ok(preview);
    }
    preview.is_compared = true;
    if snapshots.is_empty() {
        return Ok(preview);
    }
    let known = known(console, &snapshots).await?;
    let facts = facts(console, &snapshots).await?;
    for snapshot in &snapshots {
        if known.get(&snapshot.event_key) == Some(&snapshot.body_sha256) {
            preview.known += 1;
            continue;
        }
        match facts.get(&snapshot.tracking_id) {
            None => preview.new_parcels += 1,
            Some(fact) if fact.order() >= snapshot.order() => preview.older += 1,
            Some(_) => preview.newer += 1,
        }
    }
    Ok(preview)
}

/// Bodies by the key of their event.
async fn known(console: &Console, snapshots: &[Snapshot]) -> Result<HashMap<String, String>, Fault> {
    let keys: Vec<String> = snapshots.iter().map(|snapshot| snapshot.event_key.clone()).collect();
    let sql = "select event_key, body_sha256 from raw.tracking_event where event_key in {keys}";
    let rows = ask(console, sql, &[("keys", Given::Texts(&keys))]).await?;
    Ok(rows.iter().map(|row| (row.text("event_key"), row.text("body_sha256"))).collect())
}

/// Facts by the id that their newest snapshot carries.
async fn facts(console: &Console, snapshots: &[Snapshot]) -> Result<HashMap<String, Snapshot>, Fault> {
    let ids: Vec<String> = snapshots.iter().map(|snapshot| snapshot.tracking_id.clone()).collect();
    let sql = "select source_tracking_id, updated_at, event_at, body_sha256 from base.fct_shipment_tracking \
               where source_tracking_id in {ids}";
    let rows = ask(console, sql, &[("ids", Given::Texts(&ids))]).await?;
    let fact = |row: super::ask::Row<'_>| Snapshot {
        event_key: String::new(),
        tracking_id: row.text("source_tracking_id"),
        updated_at: row.instant("updated_at"),
        event_at: row.instant("event_at"),
        body_sha256: row.text("body_sha256"),
    };
    Ok(rows.iter().map(fact).map(|fact| (fact.tracking_id.clone(), fact)).collect())
}

/// As the replay and the loader would read it.
fn would(letter: &DeadLetter) -> Would {
    let Some(event) = crate::replay::revive(letter, "") else { return Would::Stay };
    let (event_key, body_sha256) = (event.event_key.as_str().to_owned(), event.body_sha256.to_hex());
    let Ok(webhook) = webhook::read(&event.body) else { return Would::Die };
    let tracking = tracking::read(&webhook);
    let event_key = clean(&event_key);
    Would::Be(Snapshot {
        event_key,
        tracking_id: clean(&tracking.id),
        updated_at: tracking.updated_at,
        event_at: tracking.event_at,
        body_sha256,
    })
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine};
    use bytes::Bytes;

    use super::*;
    use crate::event::{Event, line};
    use crate::lake::dead_letter::Reason;

    fn letter(reason: Reason, source: Option<&str>, body: &[u8]) -> DeadLetter {
        DeadLetter {
            v: 1,
            id: DeadLetter::id_of(body),
            reason,
            detail: None,
            event: None,
            event_key: Some("a-key".to_owned()),
            source: source.map(str::to_owned),
            received_at: "2026-07-09T12:00:00Z".parse().expect("instant"),
            dead_at: "2026-07-09T12:00:01Z".parse().expect("instant"),
            attempts: 1,
            replay_id: None,
            body_sha256: String::new(),
            body_base64: BASE64_STANDARD.encode(body),
        }
    }

    const BODY: &[u8] =
        br#"{"event_id":"94DADD60-ed26-46d0-aa52-3ced925a50ff","msg":{"id":"t1","updated_at":"2026-07-09T11:00:00+00:00"}}"#;

    #[test]
    fn a_letter_is_read_as_the_replay_would_read_it() {
        let Would::Be(snapshot) = would(&letter(Reason::GaveUp, Some("webhook"), BODY)) else { panic!() };
        assert_eq!(snapshot.event_key, "94dadd60-ed26-46d0-aa52-3ced925a50ff");
        assert_eq!(snapshot.tracking_id, "t1");
        assert_eq!(snapshot.updated_at, Some("2026-07-09T11:00:00Z".parse().expect("instant")));

        let Would::Be(polled) = would(&letter(Reason::GaveUp, Some("api"), BODY)) else { panic!() };
        assert_eq!(polled.event_key, "a-key");
    }

    #[test]
    fn what_holds_no_event_stays_or_dies_again() {
        assert_eq!(would(&letter(Reason::NotJson, Some("webhook"), b"not json")), Would::Die);
        assert_eq!(would(&letter(Reason::Empty, Some("webhook"), b"")), Would::Die);
        assert_eq!(
            would(&letter(Reason::GaveUp, Some("webhook"), b"")),
            Would::Stay,
            "its person was erased"
        );
        assert_eq!(would(&letter(Reason::BadMessage, None, b"not ours")), Would::Stay);
    }

    #[test]
    fn a_message_that_is_understood_now_is_an_event() {
        let received_at = "2026-07-09T12:00:00Z".parse().expect("instant");
        let event = Event::received(Bytes::from_static(BODY), None, false, received_at);
        let message = line::to_message(&line::encode(&event));

        let Would::Be(snapshot) = would(&letter(Reason::BadMessage, None, message.as_bytes())) else {
            panic!()
        };

        assert_eq!(snapshot.event_key, event.event_key.as_str());
    }
}
