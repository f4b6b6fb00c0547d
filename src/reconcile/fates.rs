//! What was acknowledged and is in no place: does it wait, or is it lost? Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::report::{Difference, Kind};

/// What was acknowledged and is not where it should be; whether it waits or is lost, the queue's depth tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) minute: Timestamp,
    pub(super) source: &'static str,
    pub(super) keys: Vec<String>,
    /// At least as many as keys: some may have no name.
    pub(super) count: u64,
}

/// What lies in the queue, in its spool and in its own dead-letter queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) messages: u64,
    /// Age of the oldest message, where that can be told.
    pub(super) oldest: Option<Duration>,
}

/// How long after its minute a message may have been sent.
const SENDING: SignedDuration = SignedDuration::from_mins(2);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// May this still lie in the queue?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chance {
    /// It may, and that would be in order.
    Waits,
    /// It may, and has for longer than anything should: nobody can tell it from what came since.
    Overdue,
    No,
}

/// How long messages travel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Travel {
    pub(super) now: Timestamp,
    /// How long a message may be on its way, where nobody can tell how old the oldest is.
    pub(super) max: Duration,
}

impl Travel {
    fn chance(self, missing: &Missing, waiting: Option<Waiting>) -> Chance {
        let Some(Waiting { oldest, .. }) = waiting.filter(|waiting| waiting.messages > 0) else {
            return Chance::No;
        };
        let length = |time: Duration| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        match oldest {
            Some(age) => {
                let sent_at = self.now.checked_sub(length(age)).unwrap_or(Timestamp::MIN);
                if sent_at <= missing.minute + SENDING { Chance::Waits } else { Chance::No }
            }
            None if self.now.duration_since(missing.minute + MINUTE) <= length(self.max) => Chance::Waits,
            None => Chance::Overdue,
        }
    }
}

/// Whether what is missing may wait, or is lost. `waiting`: `None` when nobody could be asked.
///
/// Messages have no names from outside. The young have the first claim on those that are there, the overdue on the rest.
pub(super) fn fates(missing: Vec<Missing>, waiting: Option<Waiting>, travel: Travel) -> Vec<Difference> {
    let claims = |chance: Chance| -> u64 {
        let of_chance = missing.iter().filter(|one| travel.chance(one, waiting) == chance);
        of_chance.map(|one| one.count).sum()
    };
    let messages = waiting.map_or(0, |waiting| waiting.messages);
    let left = messages.checked_sub(claims(Chance::Waits));
    let is_room_for_overdue = left.is_some_and(|left| claims(Chance::Overdue) <= left);
    let differences = missing.iter().map(|one| {
        let (kind, is_explained, mut text) = match travel.chance(one, waiting) {
            Chance::Waits if left.is_some() => (
                Kind::Waiting,
                true,
                "acknowledged and not landed yet: as many messages wait in the queue".to_owned(),
            ),
            Chance::Overdue if is_room_for_overdue => (
                Kind::Waiting,
                false,
                format!(
                    "acknowledged, and not landed for longer than a message travels. {messages} messages lie in the queue, its \
                     spool and its dead-letter queue, so these may be among them; nobody can tell how old those are: look at \
                     batch, and at the age of the oldest message. If the queue is emptied and this stays, they are lost"
                ),
            ),
            _ if waiting.is_none() => (
                Kind::Lost,
                false,
                "acknowledged, and neither landed nor a dead letter: lost, unless it waits in the queue, which was not \
                 asked: give its address"
                    .to_owned(),
            ),
            _ => (
                Kind::Lost,
                false,
                format!(
                    "acknowledged, and neither landed nor a dead letter nor in the queue (where {messages} messages wait): lost, \
                     unless it waits in the spool of a receiver on another machine (which only that machine can look into), or \
                     its object or dead letter had a shorter retention than the receipt. Keep queue, spools, lake and logs as \
                     they are; `--heal` asks AfterShip for the trackings' state of now"
                ),
            ),
        };
        let nameless = one.count.saturating_sub(one.keys.len() as u64);
        if nameless > 0 {
            text = format!(
                "{text}. Of {nameless} only the number is known, as their keys found no room in the receipts: repetitions by \
                 AfterShip among them count, too"
            );
        }
        let difference = Difference::of(kind, one.keys.clone(), text).at(one.minute).in_source(one.source);
        Difference { count: one.count.max(difference.count), is_explained, ..difference }
    });
    differences.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute() -> Timestamp {
        "2026-07-09T12:00:00Z".parse().expect("instant")
    }

    fn missing_at(minute: Timestamp, count: u64) -> Missing {
        let keys = (0..count).map(|number| format!("key-{number}")).collect();
        Missing { minute, source: "webhook", keys, count }
    }

    fn after(minutes: i64) -> Travel {
        Travel { now: minute() + SignedDuration::from_mins(minutes), max: Duration::from_secs(600) }
    }

    #[test]
    fn what_is_missing_waits_if_as_much_lies_in_the_queue_for_as_long() {
        let old = Some(Duration::from_secs(9 * 60));
        let young = Some(Duration::from_secs(60));
        for (messages, oldest, kind) in [
            (2, old, Kind::Waiting),
            (2, None, Kind::Waiting),
            (1, old, Kind::Lost),
            (9, young, Kind::Lost),
            (0, None, Kind::Lost),
        ] {
            let waiting = Some(Waiting { messages, oldest });
            let differences = fates(vec![missing_at(minute(), 2)], waiting, after(10));

            assert_eq!(differences[0].kind, kind, "{messages} messages, the oldest {oldest:?}");
            assert_eq!(differences[0].is_explained, kind == Kind::Waiting);
            assert_eq!((differences[0].count, differences[0].minute), (2, Some(minute())));
        }
        let unasked = fates(vec![missing_at(minute(), 1)], None, after(10));
        assert_eq!(unasked[0].kind, Kind::Lost, "nobody could be asked");
    }

    #[test]
    fn where_no_age_is_known_what_is_overdue_is_not_explained() {
        let waiting = Some(Waiting { messages: 2_500, oldest: None });

        for (minutes, is_explained) in [(11, true), (12, false), (60 * 24, false)] {
            let found = fates(vec![missing_at(minute(), 3)], waiting, after(minutes));

            assert_eq!((found[0].kind, found[0].is_explained), (Kind::Waiting, is_explained), "{minutes}");
        }
    }

    #[test]
    fn the_young_have_the_first_claim_on_what_waits() {
        let travel = after(60);
        let fresh = travel.now - SignedDuration::from_mins(3);
        let missing = || vec![missing_at(minute(), 3), missing_at(fresh, 4)];
        let kinds = |messages| {
            let waiting = Some(Waiting { messages, oldest: None });
            let found = fates(missing(), waiting, travel);
            found.iter().map(|one| (one.kind, one.is_explained)).collect::<Vec<_>>()
        };

        assert_eq!(kinds(7), [(Kind::Waiting, false), (Kind::Waiting, true)]);
        assert_eq!(kinds(6), [(Kind::Lost, false), (Kind::Waiting, true)]);
        assert_eq!(kinds(3), [(Kind::Lost, false), (Kind::Lost, false)]);
    }

    #[test]
    fn what_has_no_name_is_counted_and_said() {
        let missing = Missing { count: 5, ..missing_at(minute(), 2) };

        let found = fates(vec![missing], Some(Waiting { messages: 0, oldest: None }), after(10));

        assert_eq!((found[0].count, found[0].ids.len()), (5, 2));
        assert!(found[0].text.contains("Of 3 only the number"), "{}", found[0].text);
        assert!(found[0].text.contains("spool of a receiver on another machine"));
    }
}
