//! One minute, looked at key by key: what each stage has, and every difference by name. Pure.
//!
//! A message may be delivered twice, so a key may land more often than it was acknowledged; a replay lands again in the
//! minute it first arrived in; of a key's lines the earliest has the row. None of that is a difference.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::bag::Bag;
use super::evidence::{Contents, Evidence, Line, Object, Row, State};
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
        judged: Judged::default(),
    };
    judge.objects();
    judge.rows();
    judge.lines();
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
    judged: Judged,
}

impl<'a> Judge<'a> {
    fn differs(&mut self, kind: Kind, ids: Vec<String>, text: String) -> &mut Difference {
        self.judged.differences.push(Difference::of(kind, ids, text).at(self.evidence.minute));
        self.judged.differences.last_mut().expect("one was pushed")
    }

    fn is_rejected(&self, file: &str, line: u64) -> bool {
        self.evidence.rejected.contains(&(file.to_owned(), line))
    }

    /// Are the objects there, whole, and loaded?
    fn objects(&mut self) {
        let evidence = self.evidence;
        for object in evidence.objects.iter().chain(&evidence.elsewhere) {
            let file = &object.file;
            match &object.state {
                State::Gone => {
                    let rows = evidence.rows.iter().filter(|row| row.file == *file);
                    let ids: Vec<String> = rows.map(|row| row.key.clone()).collect();
                    let text = match object.ledger {
                        Some(ledger) => format!(
                            "{file} with {} lines was loaded and is gone from the lake: the rows are there, what they were \
                             made of is not; bring it back from a version or a backup of the bucket",
                            ledger.lines
                        ),
                        None => format!(
                            "{file} is named by a manifest, was never loaded, and is gone from the lake: bring it back from \
                             a version or a backup of the bucket"
                        ),
                    };
                    let is_nameless = ids.is_empty();
                    let difference = self.differs(Kind::ObjectMissing, ids, text);
                    if is_nameless {
                        // Nobody knows its keys any more, but it has a name.
                        difference.ids = vec![file.clone()];
                        difference.count = 1;
                    }
                }
                State::Damaged(error) => {
                    let text =
                        format!("{file} {error}: bring it back from a version or a backup of the bucket");
                    self.differs(Kind::ObjectChanged, vec![file.clone()], text);
                }
                State::Read(contents) => self.contents(object, contents),
            }
        }
    }

    fn contents(&mut self, object: &Object, contents: &Contents) {
        let file = &object.file;
        let unread = contents.unread.iter().filter(|line| !self.is_rejected(file, **line));
        let ids: Vec<String> = unread.map(|line| format!("{file}:{line}")).collect();
        if !ids.is_empty() && object.ledger.is_some() {
            let text = "these lines were loaded and cannot be read now: somebody changed the object; bring it back from a \
                        version or a backup of the bucket";
            self.differs(Kind::ObjectChanged, ids, text.to_owned());
        }
        if contents.is_other {
            let text =
                format!("the bytes of {file} are not those that its name was made of: somebody changed it");
            self.differs(Kind::ObjectChanged, vec![file.clone()], text);
        }
        let lines = (contents.lines.len() + contents.unread.len()) as u64;
        match object.ledger {
            Some(ledger) if ledger.is_loaded && ledger.lines != lines => {
                let text = format!("{file} had {} lines when it was loaded, and has {lines}", ledger.lines);
                self.differs(Kind::ObjectChanged, vec![file.clone()], text);
            }
            Some(_) => {}
            None => {
                let age = object.landed_at.map(|at| self.evidence.now.duration_since(at));
                let is_young = age.is_some_and(|age| age < self.evidence.load_grace);
                let ids = contents.lines.values().map(|line| line.key.clone()).collect();
                let text = if is_young {
                    format!("{file} has just landed and is not loaded yet")
                } else {
                    format!("{file} is not loaded: does the loader run? `waybill load --once` loads it")
                };
                self.differs(Kind::NotLoaded, ids, text).is_explained = is_young;
            }
        }
    }

    /// Does a line stand behind each row?
    fn rows(&mut self) {
        let (mut unknown, mut changed) = (Vec::new(), Vec::new());
        for row in &self.evidence.rows {
            let Some(object) = self.objects.get(row.file.as_str()) else {
                unknown.push(row.key.clone());
                continue;
            };
            // What is gone or damaged is named already.
            let State::Read(contents) = &object.state else { continue };
            match contents.lines.get(&row.line) {
                None if contents.unread.contains(&row.line) => {}
                Some(line) if line.key == row.key => {
                    let is_same = line.source == row.source
                        && line.received_at == row.received_at
                        && line.body_sha256 == row.body_sha256;
                    if !is_same {
                        changed.push(row.key.clone());
                    }
                }
                _ => unknown.push(row.key.clone()),
            }
        }
        for (ids, what) in [
            (
                unknown,
                "no line in the lake stands behind these rows of raw.tracking_event: they were not written by the loader",
            ),
            (
                changed,
                "these rows of raw.tracking_event are not as their lines in the lake: somebody changed them",
            ),
        ] {
            if !ids.is_empty() {
                let text = format!(
                    "{what}; delete them, and those of their objects from raw.loaded_file, and load again"
                );
                self.differs(Kind::RowForged, ids, text);
            }
        }
    }

    /// Has each line its row, or a reason to have none?
    fn lines(&mut self) {
        let evidence = self.evidence;
        let mut rowless = Vec::new();
        for object in &evidence.objects {
            let State::Read(contents) = &object.state else { continue };
            let unread = contents.unread.len() as u64;
            // Whose they were nobody can tell.
            self.count(SOURCES[0].as_str()).rejected_lines += unread;
            let is_loaded = object.ledger.is_some_and(|ledger| ledger.is_loaded);
            for (number, line) in &contents.lines {
                let is_rejected = self.is_rejected(&object.file, *number);
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
                    Fate::Duplicate => count.duplicate += 1,
                    Fate::Conflict => count.conflict += 1,
                    Fate::Gone => {
                        rowless.push(line.key.clone());
                        self.judged.rowless.extend(line.tracking.clone());
                    }
                }
            }
        }
        if !rowless.is_empty() {
            let text = "the ledger says that these events were loaded, and they have no row in raw.tracking_event or among \
                        the conflicts: delete their objects from raw.loaded_file, and load again";
            self.differs(Kind::RowMissing, rowless, text.to_owned());
        }
    }

    fn count(&mut self, source: &'static str) -> &mut Counts {
        self.counts.entry(source).or_default()
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
            .filter(|key| !landed.contains(key) && !dead.contains(key) && !excused.contains(key))
            .collect();
        let letters = evidence.letters.iter().filter(|letter| letter.source == source).count() as u64;
        let arrived = lines().count() as u64 + letters + excused.len() as u64;
        let short = if sum.omitted > 0 { sum.acknowledged.count.saturating_sub(arrived) } else { 0 };
        let missing = Missing {
            minute: evidence.minute,
            source,
            count: short.max(keys.len() as u64),
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

    /// Keys that landed for all that their rows say, in objects that cannot be read any more.
    fn keys_of_broken_objects(&self) -> HashSet<&'a str> {
        let is_broken = |row: &&Row| {
            self.objects.get(row.file.as_str()).is_some_and(|object| match &object.state {
                State::Gone | State::Damaged(_) => true,
                State::Read(contents) => contents.unread.contains(&row.line),
            })
        };
        self.evidence.rows.iter().filter(is_broken).map(|row| row.key.as_str()).collect()
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
    Duplicate,
    Conflict,
    Gone,
}

fn fate(evidence: &Evidence, file: &str, number: u64, line: &Line) -> Fate {
    let Some(row) = evidence.known.get(&line.key) else { return Fate::Gone };
    if row.file == file && row.line == number {
        Fate::Row
    } else if row.body_sha256 == line.body_sha256 {
        Fate::Duplicate
    } else if evidence.conflicts.contains(&(line.key.clone(), line.body_sha256.clone())) {
        Fate::Conflict
    } else {
        Fate::Gone
    }
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
