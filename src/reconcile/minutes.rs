//! What receipts say of each minute, and whether all of them are there. Pure.
//!
//! A writer's receipts are a row: from the minute it began in to the minute it ended in, one at least for each. A gap in
//! a row is a receipt that is gone. A row without an end, that stops, is a writer that died.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::event::Source;
use crate::lake::receipt::{Receipt, Receipts, SILENT_MAX};

use super::bag::Bag;

/// How long after a writer's last receipt what it took may lack one: it died before it wrote it, or the lake was away.
pub(super) const DEATH_MINUTES: i64 = 15;

/// Both words of sources, in the order of a report.
pub(super) const SOURCES: [Source; 2] = [Source::Webhook, Source::Api];

/// A minute and a source.
pub(super) type Place = (Timestamp, &'static str);

/// The receipts of a minute and source, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) receipts: u64,
    pub(super) received: u64,
    pub(super) verified: u64,
    pub(super) rejected: BTreeMap<String, u64>,
    pub(super) acknowledged: Bag,
    pub(super) uncertain: u64,
    /// Keys that the receipts do not name.
    pub(super) omitted: u64,
}

/// Adds receipts up. The second: whether a hash is none of ours.
pub(super) fn taken(receipts: &[Receipt]) -> BTreeMap<Place, Taken> {
    let mut all: BTreeMap<Place, Taken> = BTreeMap::new();
    for receipt in receipts {
        let taken = all.entry((receipt.minute, word(&receipt.source))).or_default();
        taken.receipts += 1;
        taken.received += receipt.received;
        taken.verified += receipt.verified;
        for (reason, count) in &receipt.rejected {
            *taken.rejected.entry(reason.clone()).or_default() += count;
        }
        let bag = Bag::from_hex(receipt.acknowledged, &receipt.keys_hash);
        // A hash that cannot be read agrees with nothing, and so each key is looked at.
        let bag = bag.unwrap_or(Bag::unknown(receipt.acknowledged));
        taken.acknowledged = taken.acknowledged.plus(bag);
        taken.uncertain += receipt.uncertain.len() as u64 + receipt.uncertain_omitted;
        taken.omitted += receipt.keys_omitted;
    }
    all
}

/// The word of a source; of one that nobody knows, a webhook's.
pub(super) fn word(source: &str) -> &'static str {
    if source == Source::Api.as_str() { Source::Api.as_str() } else { Source::Webhook.as_str() }
}

/// Whether a minute's receipts are all there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cover {
    /// Nobody wrote receipts then.
    None,
    /// All are there.
    Whole,
    /// A writer may have died in it.
    Dead,
    /// One is gone.
    Broken,
}

/// A writer that stopped without a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dead {
    pub(super) writer: String,
    pub(super) source: &'static str,
    /// The first minute without its receipt.
    pub(super) since: Timestamp,
}

/// A minute without a receipt in the row of a writer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hole {
    pub(super) minute: Timestamp,
    pub(super) source: &'static str,
    pub(super) writer: String,
}

/// All minutes' covers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Coverage {
    covers: BTreeMap<Place, Cover>,
    /// Where a writer that has neither ended nor left receipts since may be at work, away from the lake.
    silent: BTreeSet<Place>,
    pub(super) holes: Vec<Hole>,
    pub(super) dead: Vec<Dead>,
}

impl Coverage {
    /// Of a minute and source.
    pub(super) fn of(&self, place: Place) -> Cover {
        self.covers.get(&place).copied().unwrap_or(Cover::None)
    }

    /// May somebody have been at work whose receipts never reached the lake?
    pub(super) fn is_silent(&self, place: Place) -> bool {
        self.silent.contains(&place)
    }
}

/// One writer's receipts.
struct Row {
    source: &'static str,
    first: Timestamp,
    /// Its last minute, once it has ended.
    ended: Option<Timestamp>,
    /// A minute behind those looked at in which it was at work.
    later: Option<Timestamp>,
    parts: BTreeMap<Timestamp, BTreeSet<(u32, bool)>>,
}

impl Row {
    /// Are all parts of a minute there, as far as anybody can tell?
    fn has(&self, minute: Timestamp) -> bool {
        self.parts.get(&minute).is_some_and(|parts| {
            parts.iter().zip(0..).all(|((part, _), expected)| *part == expected)
                && parts.last().is_some_and(|(_, is_last)| *is_last)
        })
    }

    fn last(&self) -> Option<Timestamp> {
        self.ended.or(self.later).or_else(|| self.parts.last_key_value().map(|(minute, _)| *minute))
    }
}

/// The covers of the minutes from `from` until before `until`. `found` may hold more minutes than that, before and
/// behind: a writer that wrote later is alive.
pub(super) fn coverage(found: &Receipts, from: Timestamp, until: Timestamp) -> Coverage {
    let mut coverage = Coverage::default();
    for (writer, row) in &rows(found) {
        let next = match row.last() {
            Some(last) => last + SignedDuration::from_mins(1),
            None => row.first,
        };
        for minute in minutes(row.first.max(from), next.min(until)) {
            let is_whole = row.has(minute);
            coverage.note((minute, row.source), if is_whole { Cover::Whole } else { Cover::Broken });
            if !is_whole {
                coverage.holes.push(Hole { minute, source: row.source, writer: writer.clone() });
            }
        }
        if row.ended.is_some() || next >= until {
            continue;
        }
        let given_up = next + SignedDuration::from_mins(DEATH_MINUTES);
        for minute in minutes(given_up.max(from), (next + SILENT_MAX).min(until)) {
            coverage.silent.insert((minute, row.source));
        }
        if given_up <= from {
            continue;
        }
        coverage.dead.push(Dead { writer: writer.clone(), source: row.source, since: next });
        for minute in minutes(next.max(from), given_up.min(until)) {
            coverage.note((minute, row.source), Cover::Dead);
        }
    }
    coverage.holes.sort();
    coverage
}

impl Coverage {
    fn note(&mut self, place: Place, cover: Cover) {
        let known = self.covers.entry(place).or_insert(Cover::None);
        *known = cover.max(*known);
    }
}

fn rows(found: &Receipts) -> BTreeMap<String, Row> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for writer in &found.writers {
        let row = Row {
            source: word(&writer.source),
            first: writer.first,
            ended: writer.last,
            later: writer.later,
            parts: BTreeMap::new(),
        };
        rows.insert(writer.id.clone(), row);
    }
    for receipt in &found.receipts {
        // Its mark is gone, or is not to be read.
        let unmarked = || Row {
            source: word(&receipt.source),
            first: receipt.minute,
            ended: None,
            later: None,
            parts: BTreeMap::new(),
        };
        let row = rows.entry(receipt.writer.clone()).or_insert_with(unmarked);
        row.parts.entry(receipt.minute).or_default().insert((receipt.part, receipt.is_last));
    }
    rows
}

/// The minutes from `from` until before `until`.
pub(super) fn minutes(from: Timestamp, until: Timestamp) -> impl Iterator<Item = Timestamp> {
    let step = |minute: &Timestamp| minute.checked_add(SignedDuration::from_mins(1)).ok();
    std::iter::successors(Some(from), step).take_while(move |minute| *minute < until)
}

#[cfg(test)]
mod tests {
    use crate::lake::receipt::Writer;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        "2026-07-09T12:00:00Z".parse::<Timestamp>().expect("instant") + SignedDuration::from_mins(minute)
    }

    fn receipt(writer: &str, minute: i64, part: u32, is_last: bool) -> Receipt {
        Receipt {
            v: 1,
            writer: writer.to_owned(),
            source: "webhook".to_owned(),
            minute: at(minute),
            part,
            received: 2,
            verified: 1,
            rejected: BTreeMap::from([("full".to_owned(), 1)]),
            acknowledged: 1,
            keys_hash: Bag::of(["a"]).stage().keys_hash,
            keys: vec!["a".to_owned()],
            keys_omitted: 0,
            uncertain: Vec::new(),
            uncertain_omitted: 0,
            written_at: at(minute),
            is_last,
        }
    }

    fn writer(id: &str, first: i64, last: Option<i64>) -> Writer {
        let (id, source) = (id.to_owned(), "webhook".to_owned());
        Writer { id, source, first: at(first), last: last.map(at), later: None }
    }

    fn covers(found: &Receipts, minutes: std::ops::Range<i64>) -> Vec<Cover> {
        let coverage = coverage(found, at(minutes.start), at(minutes.end));
        minutes.map(|minute| coverage.of((at(minute), "webhook"))).collect()
    }

    #[test]
    fn a_row_with_both_ends_covers_its_minutes_and_no_others() {
        let found = Receipts {
            receipts: vec![receipt("w", 1, 0, true), receipt("w", 2, 0, true)],
            writers: vec![writer("w", 1, Some(2))],
            unreadable: Vec::new(),
        };

        assert_eq!(covers(&found, 0..4), [Cover::None, Cover::Whole, Cover::Whole, Cover::None]);
        let coverage = coverage(&found, at(0), at(4));
        assert!(coverage.holes.is_empty() && coverage.dead.is_empty());
    }

    #[test]
    fn a_gap_is_a_hole_wherever_it_is_and_so_is_a_part() {
        let all = [
            receipt("w", 1, 0, true),
            receipt("w", 2, 0, false),
            receipt("w", 2, 1, true),
            receipt("w", 3, 0, true),
        ];
        for gone in 0..all.len() {
            let mut receipts = all.to_vec();
            let lost = receipts.remove(gone);
            let found = Receipts { receipts, writers: vec![writer("w", 1, Some(3))], unreadable: Vec::new() };

            let coverage = coverage(&found, at(0), at(4));

            let holes: Vec<Timestamp> = coverage.holes.iter().map(|hole| hole.minute).collect();
            assert_eq!(holes, [lost.minute], "{gone}");
            assert_eq!(coverage.of((lost.minute, "webhook")), Cover::Broken);
        }
    }

    #[test]
    fn a_row_that_stops_is_a_death_and_explains_what_came_right_after_it() {
        let found = Receipts {
            receipts: vec![receipt("w", 1, 0, true), receipt("v", 1, 0, true), receipt("v", 2, 0, true)],
            writers: vec![writer("w", 1, None), writer("v", 1, Some(2))],
            unreadable: Vec::new(),
        };

        assert_eq!(covers(&found, 1..3), [Cover::Whole, Cover::Dead]);
        let dead = coverage(&found, at(0), at(30)).dead;
        assert_eq!(dead, [Dead { writer: "w".to_owned(), source: "webhook", since: at(2) }]);
        assert_eq!(coverage(&found, at(0), at(2)).dead, [], "it may go on behind what is asked for");
        assert_eq!(coverage(&found, at(2 + DEATH_MINUTES), at(60)).dead, []);
    }

    #[test]
    fn a_writer_that_died_in_its_first_minute_is_known_by_its_mark() {
        let found =
            Receipts { receipts: Vec::new(), writers: vec![writer("w", 1, None)], unreadable: Vec::new() };

        assert_eq!(covers(&found, 0..2), [Cover::None, Cover::Dead]);
    }

    #[test]
    fn a_stretch_without_any_receipt_of_a_writer_that_went_on_is_holes() {
        let went_on = Writer { later: Some(at(50)), ..writer("w", -5_000, None) };
        let found = Receipts { receipts: Vec::new(), writers: vec![went_on], unreadable: Vec::new() };

        let coverage = coverage(&found, at(0), at(3));

        assert_eq!(coverage.holes.iter().map(|hole| hole.minute).collect::<Vec<_>>(), [at(0), at(1), at(2)]);
        assert_eq!(covers(&found, 0..2), [Cover::Broken, Cover::Broken]);
        assert!(coverage.dead.is_empty() && !coverage.is_silent((at(1), "webhook")));
    }

    #[test]
    fn a_writer_without_an_end_may_be_away_from_the_lake_for_two_days() {
        let found = Receipts {
            receipts: vec![receipt("w", 1, 0, true), receipt("v", 1, 0, true)],
            writers: vec![writer("w", 1, None), writer("v", 1, Some(1))],
            unreadable: Vec::new(),
        };

        let coverage = coverage(&found, at(0), at(4_000));

        let silent = |minute: i64| coverage.is_silent((at(minute), "webhook"));
        assert!(!silent(2 + DEATH_MINUTES - 1) && silent(2 + DEATH_MINUTES), "before that it may have died");
        assert!(silent(2 + 48 * 60 - 1) && !silent(2 + 48 * 60));
        assert!(!coverage.is_silent((at(100), "api")));
    }

    #[test]
    fn receipts_add_up() {
        let all = taken(&[receipt("w", 1, 0, true), receipt("v", 1, 0, true)]);

        let taken = &all[&(at(1), "webhook")];
        assert_eq!((taken.receipts, taken.received, taken.verified), (2, 4, 2));
        assert_eq!(taken.acknowledged, Bag::of(["a", "a"]));
        assert_eq!(taken.rejected["full"], 2);
    }
}
