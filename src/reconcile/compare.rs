//! One minute, looked at key by key: what each stage has, and every difference by name. Pure.
//!
//! A message may be delivered twice, so a key may land more often than it was acknowledged; a replay lands again in the
//! minute it first arrived in; of a key's lines the earliest has the row. None of that is a difference.

mod objects;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::bag::Bag;
use super::evidence::{Evidence, Line, Object, Row, State};
use super::fates::Missing;
use super::minutes::{Cover, SOURCES, Taken, taken, word};
use super::report::{Difference, Kind, Minute};

/// A minute, judged.
#[derive(Debug, Clone, Default)]
pub(super) struct Judged {
    pub(super) minutes: Vec<Minute>,
    pub(super) differences: Vec<Difference>,
    pub(super) missing: Vec<Missing>,
    /// Landed without a receipt while a writer died, by source.
    pub(super) explained_by_death: BTreeMap<&'static str, u64>,
    /// Trackings of lines that have no row.
    pub(super) rowless: BTreeSet<String>,
}

/// Counts of a source's lines.
#[derive(Debug, Clone, Default)]
struct Counts {
    landed: Bag,
    duplicate: u64,
    conflict: u64,
    rejected_lines: u64,
}

/// Judges a minute.
pub(super) fn judge(evidence: &Evidence) -> Judged {
    let mut judge = Judge {
        evidence,
        objects: evidence
            .objects
            .iter()
            .chain(&evidence.elsewhere)
            .map(|object| (object.file.as_str(), object))
            .collect(),
        counts: SOURCES.iter().map(|source| (source.as_str(), Counts::default())).collect(),
        named: HashSet::new(),
        judged: Judged::default(),
    };
    judge.objects();
    judge.rows();
    judge.lines();
    judge.unsound_receipts();
    let sums = taken(&evidence.receipts);
    for source in SOURCES.map(|source| source.as_str()) {
        let sum = sums.get(&(evidence.minute, source)).cloned().unwrap_or_default();
        judge.receipts(source, &sum);
        judge.minute(source, sum);
    }
    judge.judged
}

struct Judge<'a> {
    evidence: &'a Evidence,
    objects: HashMap<&'a str, &'a Object>,
    counts: BTreeMap<&'static str, Counts>,
    /// Keys of rows that are named already as not what they should be.
    named: HashSet<&'a str>,
    judged: Judged,
}

/// What to do about an object that is not what it was.
const BRING_BACK: &str = "bring it back from a version or a backup of the bucket";

impl<'a> Judge<'a> {
    fn differs(&mut self, kind: Kind, ids: Vec<String>, text: String) -> &mut Difference {
        self.judged.differences.push(Difference::of(kind, ids, text).at(self.evidence.minute));
        self.judged.differences.last_mut().expect("one was pushed")
    }

    fn is_rejected(&self, file: &str, line: u64) -> bool {
        self.evidence.rejected.contains(&(file.to_owned(), line))
    }

    /// Does a line stand behind each row, and one row before each line?
    fn rows(&mut self) {
        let (mut unknown, mut changed) = (Vec::new(), Vec::new());
        let (mut met, mut repeated) = (HashSet::new(), Vec::new());
        for row in &self.evidence.rows {
            if !met.insert(row.key.as_str()) {
                repeated.push(row.key.clone());
            }
            let Some(object) = self.objects.get(row.file.as_str()) else {
                unknown.push(row.key.clone());
                continue;
            };
            // What is gone or damaged is named already.
            let State::Read(contents) = &object.state else { continue };
            match contents.lines.get(&row.line) {
                None if contents.unread.contains(&row.line) => {}
                Some(line) if line.key == row.key => {
                    if !is_same(row, line) {
                        changed.push(row.key.clone());
                    }
                }
                _ => unknown.push(row.key.clone()),
            }
        }
        let wrong: HashSet<&String> = unknown.iter().chain(&changed).collect();
        repeated.retain(|key| !wrong.contains(key));
        let rows = self.evidence.rows.iter().filter(|row| wrong.contains(&row.key));
        self.named = rows.map(|row| row.key.as_str()).collect();
        for (ids, what) in [
            (
                unknown,
                "no line in the lake stands behind these rows of raw.tracking_event: they were not written by the loader",
            ),
            (
                changed,
                "these rows of raw.tracking_event are not as their lines in the lake: somebody changed them",
            ),
            (
                repeated,
                "these events have more than one row in raw.tracking_event, which the loader never writes: somebody did",
            ),
        ] {
            self.forged(ids, what);
        }
    }

    fn forged(&mut self, ids: Vec<String>, what: &str) {
        if !ids.is_empty() {
            let text = format!(
                "{what}; delete them, and those of their objects from raw.loaded_file, and load again"
            );
            self.differs(Kind::RowForged, ids, text);
        }
    }

    /// Has each line its row, or a reason to have none?
    fn lines(&mut self) {
        let evidence = self.evidence;
        let (mut rowless, mut moved) = (Vec::new(), Vec::new());
        for object in &evidence.objects {
            let State::Read(contents) = &object.state else { continue };
            let unread = contents.unread.len() as u64;
            // Whose they were nobody can tell.
            self.count(SOURCES[0].as_str()).rejected_lines += unread;
            let is_loaded = object.ledger.is_some_and(|ledger| ledger.is_loaded);
            for (number, line) in &contents.lines {
                let is_rejected = self.is_rejected(&object.file, *number);
                let is_named = self.named.contains(line.key.as_str());
                let count = self.count(line.source);
                count.landed.add(&line.key);
                if is_rejected {
                    count.rejected_lines += 1;
                    continue;
                }
                if !is_loaded {
                    continue;
                }
                match fate(evidence, &object.file, *number, line) {
                    Fate::Row => {}
                    Fate::Changed if is_named => {}
                    Fate::Changed => moved.push(line.key.clone()),
                    Fate::Duplicate => count.duplicate += 1,
                    Fate::Conflict => count.conflict += 1,
                    Fate::Gone => {
                        rowless.push(line.key.clone());
                        self.judged.rowless.extend(line.tracking.clone());
                    }
                }
            }
        }
        self.forged(
            moved,
            "these rows of raw.tracking_event are not as their lines in the lake, and lie in another minute than those: \
             somebody changed them",
        );
        if !rowless.is_empty() {
            let text = "the ledger says that these events were loaded, and they have no row in raw.tracking_event or among \
                        the conflicts: delete their objects from raw.loaded_file, and load again";
            self.differs(Kind::RowMissing, rowless, text.to_owned());
        }
    }

    fn count(&mut self, source: &'static str) -> &mut Counts {
        self.counts.entry(source).or_default()
    }

    /// Receipts are what all else is held against, so they must agree with themselves.
    fn unsound_receipts(&mut self) {
        let unsound: Vec<String> = self
            .evidence
            .receipts
            .iter()
            .filter(|receipt| !receipt.is_sound())
            .map(|receipt| receipt.key())
            .collect();
        if !unsound.is_empty() {
            let text = format!(
                "these receipts do not agree with themselves: their keys are not as many as they count, or not those that \
                 their hash was made of. Somebody changed them; {BRING_BACK}"
            );
            self.differs(Kind::ReceiptMissing, unsound, text);
        }
    }

    /// Did what was acknowledged arrive, and was what arrived acknowledged?
    fn receipts(&mut self, source: &'static str, sum: &Taken) {
        let evidence = self.evidence;
        let of_source = || evidence.receipts.iter().filter(move |one| word(&one.source) == source);
        let acknowledged: HashSet<&str> = of_source().flat_map(|one| &one.keys).map(String::as_str).collect();
        let uncertain: HashSet<&str> =
            of_source().flat_map(|one| &one.uncertain).map(String::as_str).collect();
        let is_whole = sum.omitted == 0 && of_source().all(|one| one.uncertain_omitted == 0);

        let lines = || self.landed().filter(move |line| line.source == source);
        let landed: HashSet<&str> = self.landed().map(|line| line.key.as_str()).collect();
        let dead: HashSet<&str> = evidence.letters.iter().map(|letter| letter.key.as_str()).collect();
        let excused = self.keys_of_broken_objects();
        let keys: BTreeSet<&str> = acknowledged
            .iter()
            .copied()
            .filter(|key| !landed.contains(key) && !dead.contains(key) && !excused.contains_key(key))
            .collect();
        // Each key without a name stands for one that arrived and has none in the receipts.
        let letters = evidence.letters.iter().filter(|letter| letter.source == source);
        let arrived: HashSet<&str> = lines()
            .filter(|line| !line.is_replay)
            .map(|line| line.key.as_str())
            .chain(letters.map(|letter| letter.key.as_str()))
            .chain(excused.iter().filter(|(_, of)| **of == source).map(|(key, _)| *key))
            .filter(|key| !acknowledged.contains(key) && !uncertain.contains(key))
            .collect();
        let short = sum.omitted.saturating_sub(arrived.len() as u64);
        let missing = Missing {
            minute: evidence.minute,
            source,
            count: short + keys.len() as u64,
            keys: keys.into_iter().map(str::to_owned).collect(),
        };

        let unreceipted: Vec<String> = lines()
            .filter(|line| is_whole && !line.is_replay)
            .filter(|line| {
                !acknowledged.contains(line.key.as_str()) && !uncertain.contains(line.key.as_str())
            })
            .map(|line| line.key.clone())
            .collect();
        if missing.count > 0 {
            self.judged.missing.push(missing);
        }
        match evidence.covers.get(source) {
            _ if unreceipted.is_empty() => {}
            Some(Cover::Whole) if evidence.silent.contains(source) => {
                let text = "these events landed and are in no receipt. A writer of receipts that has not ended left none since: \
                            it may have taken them while it could not reach the lake, or somebody else wrote into the queue or \
                            the lake";
                let difference = self.differs(Kind::NotReceipted, unreceipted, text.to_owned());
                difference.source = Some(source);
                difference.is_explained = true;
            }
            Some(Cover::Whole) => {
                let text = "these events landed and no receiver took them, although all receipts of the minute are there: \
                            who else writes into the queue or the lake? A receiver without a lake address writes no receipts";
                let difference = self.differs(Kind::NotReceipted, unreceipted, text.to_owned());
                difference.source = Some(source);
            }
            Some(Cover::Dead) => {
                self.judged.explained_by_death.insert(source, unreceipted.len() as u64);
            }
            // The receipt that is gone is named, or there never were any.
            Some(Cover::Broken | Cover::None) | None => {}
        }
    }

    /// The minute's events that can be read.
    fn landed(&self) -> impl Iterator<Item = &'a Line> {
        let lines = |object: &'a Object| match &object.state {
            State::Read(contents) => Some(contents.lines.values()),
            State::Gone | State::Damaged(_) => None,
        };
        self.evidence.objects.iter().filter_map(lines).flatten()
    }

    /// Keys that landed for all that their rows say, in objects that cannot be read any more, with their sources.
    fn keys_of_broken_objects(&self) -> HashMap<&'a str, &'static str> {
        let is_broken = |row: &&Row| {
            self.objects.get(row.file.as_str()).is_some_and(|object| match &object.state {
                State::Gone | State::Damaged(_) => true,
                State::Read(contents) => contents.unread.contains(&row.line),
            })
        };
        let rows = self.evidence.rows.iter().filter(is_broken);
        rows.map(|row| (row.key.as_str(), word(&row.source))).collect()
    }

    fn minute(&mut self, source: &'static str, sum: Taken) {
        let evidence = self.evidence;
        let counts = self.counts.get(source).cloned().unwrap_or_default();
        let rows = evidence.rows.iter().filter(|row| word(&row.source) == source);
        let letters = evidence.letters.iter().filter(|letter| letter.source == source);
        let stages = Stages {
            landed: counts.landed,
            loaded: Bag::of(rows.map(|row| row.key.as_str())),
            dead: Bag::of(letters.map(|letter| letter.key.as_str())),
        };
        if let Some(minute) = minute(evidence.minute, source, sum, &stages) {
            self.judged.minutes.push(Minute {
                duplicate: counts.duplicate,
                conflict: counts.conflict,
                rejected_lines: counts.rejected_lines,
                ..minute
            });
        }
    }
}

/// What became of a line.
enum Fate {
    Row,
    /// It has a row, which says something else.
    Changed,
    Duplicate,
    Conflict,
    Gone,
}

fn fate(evidence: &Evidence, file: &str, number: u64, line: &Line) -> Fate {
    let Some(row) = evidence.known.get(&line.key) else { return Fate::Gone };
    if row.file == file && row.line == number {
        if is_same(row, line) { Fate::Row } else { Fate::Changed }
    } else if row.body_sha256 == line.body_sha256 {
        Fate::Duplicate
    } else if evidence.conflicts.contains(&(line.key.clone(), line.body_sha256.clone())) {
        Fate::Conflict
    } else {
        Fate::Gone
    }
}

/// Does a row say what its line says?
fn is_same(row: &Row, line: &Line) -> bool {
    line.source == row.source && line.received_at == row.received_at && line.body_sha256 == row.body_sha256
}

/// What the places have of a minute and source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stages {
    pub(super) landed: Bag,
    pub(super) loaded: Bag,
    pub(super) dead: Bag,
}

/// A minute of the report; `None` when there is nothing to tell.
pub(super) fn minute(minute: Timestamp, source: &'static str, sum: Taken, stages: &Stages) -> Option<Minute> {
    if sum.receipts == 0 && *stages == Stages::default() {
        return None;
    }
    Some(Minute {
        minute,
        source,
        received: sum.received,
        verified: sum.verified,
        rejected: sum.rejected,
        acknowledged: (sum.receipts > 0).then(|| sum.acknowledged.stage()),
        uncertain: sum.uncertain,
        landed: stages.landed.stage(),
        loaded: stages.loaded.stage(),
        duplicate: 0,
        conflict: 0,
        rejected_lines: 0,
        dead_lettered: stages.dead.stage(),
        waiting: 0,
        receipts: sum.receipts,
        is_clean: true,
    })
}

#[cfg(test)]
mod tests;
