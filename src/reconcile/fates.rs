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

/// What lies in the queue and its spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) messages: u64,
    /// Age of the oldest message, where that can be told.
    pub(super) oldest: Option<Duration>,
}

/// How long after its minute a message may have been sent.
const SENDING: SignedDuration = SignedDuration::from_mins(2);

/// May this still lie in the queue?
fn may_wait(missing: &Missing, waiting: Option<Waiting>, now: Timestamp) -> bool {
    let Some(Waiting { messages, oldest }) = waiting else { return false };
    let sent_at =
        oldest.and_then(|age| SignedDuration::try_from(age).ok()).and_then(|age| now.checked_sub(age).ok());
    messages > 0 && sent_at.is_none_or(|sent_at| sent_at <= missing.minute + SENDING)
}

/// Whether what is missing may wait, or is lost. `waiting`: `None` when nobody could be asked.
pub(super) fn fates(missing: Vec<Missing>, waiting: Option<Waiting>, now: Timestamp) -> Vec<Difference> {
    let possible: u64 = missing.iter().filter(|one| may_wait(one, waiting, now)).map(|one| one.count).sum();
    let fits = waiting.is_some_and(|waiting| possible <= waiting.messages);
    let differences = missing.into_iter().map(|one| {
        let waits = fits && may_wait(&one, waiting, now);
        let (kind, text) = match (waits, waiting) {
            (true, _) => (Kind::Waiting, "acknowledged and not landed yet: as many messages wait in the queue".to_owned()),
            (false, None) => (
                Kind::Lost,
                "acknowledged, and neither landed nor a dead letter: lost, unless it waits in the queue, which was not \
                 asked: give its address"
                    .to_owned(),
            ),
            (false, Some(waiting)) => (
                Kind::Lost,
                format!(
                    "acknowledged, and neither landed nor a dead letter nor in the queue (where {} messages wait): keep queue, \
                     lake and logs as they are; `--heal` asks AfterShip for the trackings' state of now",
                    waiting.messages
                ),
            ),
        };
        let difference = Difference::of(kind, one.keys, text).at(one.minute).in_source(one.source);
        let difference = Difference { count: one.count.max(difference.count), ..difference };
        if waits { difference.explained() } else { difference }
    });
    differences.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute() -> Timestamp {
        "2026-07-09T12:00:00Z".parse().expect("instant")
    }

    fn missing(count: u64) -> Vec<Missing> {
        let keys = (0..count).map(|number| format!("key-{number}")).collect();
        vec![Missing { minute: minute(), source: "webhook", keys, count }]
    }

    #[test]
    fn what_is_missing_waits_if_as_much_lies_in_the_queue_for_as_long() {
        let now = minute() + SignedDuration::from_mins(10);
        let old = Some(Duration::from_secs(9 * 60));
        let young = Some(Duration::from_secs(60));
        for (messages, oldest, kind) in [
            (2, old, Kind::Waiting),
            (2, None, Kind::Waiting),
            (1, old, Kind::Lost),
            (9, young, Kind::Lost),
            (0, None, Kind::Lost),
        ] {
            let differences = fates(missing(2), Some(Waiting { messages, oldest }), now);

            assert_eq!(differences[0].kind, kind, "{messages} messages, the oldest {oldest:?}");
            assert_eq!(differences[0].is_explained, kind == Kind::Waiting);
            assert_eq!((differences[0].count, differences[0].minute), (2, Some(minute())));
        }
        assert_eq!(fates(missing(1), None, now)[0].kind, Kind::Lost, "nobody could be asked");
    }
}
