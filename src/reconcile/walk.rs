//! The walk through a span: looks at the hashes, and closer where they do not agree.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use crate::lake::receipt::{self, Receipts};
use crate::lake::{Lake, layout};

use super::bag::Bag;
use super::compare::{Judged, Stages, judge, minute};
use super::evidence::{Evidence, Ledger, Letter, Line, Object, Row, State};
use super::fates::{Missing, Waiting, fates};
use super::minutes::{Cover, Coverage, DEATH_MINUTES, Place, SOURCES, Taken, coverage, taken};
use super::read::{self, Folders, Listed};
use super::report::{Difference, Kind, Minute, Report, settle};
use super::rows::Tables;
use super::{Reconcile, ReconcileError, Span};

/// How far before and behind a span receipts are read: who wrote later is alive, who stopped before may have died.
const AROUND: SignedDuration = SignedDuration::from_mins(DEATH_MINUTES + 5);

/// What is known of the whole span, and what was found so far.
pub(super) struct Walk<'a> {
    reconcile: &'a Reconcile,
    tables: Tables<'a>,
    span: Span,
    now: Timestamp,
    waiting: Option<Waiting>,
    letters: BTreeMap<Timestamp, Vec<Letter>>,
    taken: BTreeMap<Place, Taken>,
    coverage: Coverage,
    bags: BTreeMap<Place, Bag>,
    ledger: HashMap<String, Ledger>,
    manifests: HashMap<String, Bag>,
    objects: BTreeMap<Timestamp, Vec<Listed>>,
    /// Keys that a manifest or the ledger names and the listing has not.
    unlisted: BTreeMap<Timestamp, BTreeSet<String>>,
    minutes: Vec<Minute>,
    differences: Vec<Difference>,
    missing: Vec<Missing>,
    explained_by_death: BTreeMap<&'static str, u64>,
    rowless: BTreeSet<String>,
    notes: Vec<String>,
}

impl<'a> Walk<'a> {
    /// Looks at everything that is looked at once.
    pub(super) async fn begin(
        reconcile: &'a Reconcile,
        span: Span,
        now: Timestamp,
    ) -> Result<Walk<'a>, ReconcileError> {
        let lake = reconcile.lake.as_ref();
        let tables = Tables(reconcile.warehouse.as_ref());
        let mut notes = Vec::new();
        // What moves on while we look is met again in the next place.
        let waiting = waiting(reconcile, &mut notes).await;
        let receipts = receipts(lake, span, &mut notes).await?;
        let letters = read::letters(lake, span).await?;
        let bags = tables.bags(span).await?;
        let (first, behind) = (layout::events_of(span.from), layout::events_of(span.until));
        let ledger = tables.ledger(&first, &behind).await?;
        let manifests = read::manifests(lake, span).await?;

        let folders = Folders::of(span);
        let mut objects: BTreeMap<Timestamp, Vec<Listed>> = BTreeMap::new();
        let mut listed = HashSet::new();
        for object in read::objects(lake, span).await? {
            if let Some(minute) = folders.minute(&object.key) {
                listed.insert(object.key.clone());
                objects.entry(minute).or_default().push(object);
            }
        }
        let mut unlisted: BTreeMap<Timestamp, BTreeSet<String>> = BTreeMap::new();
        for key in ledger.keys().chain(manifests.keys()).filter(|key| !listed.contains(*key)) {
            if let Some(minute) = folders.minute(key) {
                unlisted.entry(minute).or_default().insert(key.clone());
            }
        }
        Ok(Walk {
            reconcile,
            tables,
            span,
            now,
            waiting,
            letters,
            taken: taken(&receipts.receipts),
            coverage: coverage(&receipts, span.from, span.until),
            bags,
            ledger,
            manifests,
            objects,
            unlisted,
            minutes: Vec::new(),
            differences: Vec::new(),
            missing: Vec::new(),
            explained_by_death: BTreeMap::new(),
            rowless: BTreeSet::new(),
            notes,
        })
    }

    /// One minute.
    pub(super) async fn step(&mut self, minute: Timestamp) -> Result<(), ReconcileError> {
        if !self.reconcile.settings.deep && self.agrees(minute) {
            for source in SOURCES.map(|source| source.as_str()) {
                let place = (minute, source);
                let loaded = self.bags.get(&place).copied().unwrap_or_default();
                let stages = Stages { landed: loaded, loaded, dead: self.dead(place) };
                let taken = self.taken.get(&place).cloned().unwrap_or_default();
                self.minutes.extend(self::minute(minute, source, taken, &stages));
            }
            return Ok(());
        }
        let evidence = self.evidence(minute).await?;
        let judged = judge(&evidence);
        self.add(judged);
        Ok(())
    }

    fn add(&mut self, judged: Judged) {
        self.minutes.extend(judged.minutes);
        self.differences.extend(judged.differences);
        self.missing.extend(judged.missing);
        self.rowless.extend(judged.rowless);
        for (source, count) in judged.explained_by_death {
            *self.explained_by_death.entry(source).or_default() += count;
        }
    }

    fn dead(&self, (minute, source): Place) -> Bag {
        let letters = self.letters.get(&minute).map(Vec::as_slice).unwrap_or_default();
        Bag::of(letters.iter().filter(|letter| letter.source == source).map(|letter| letter.key.as_str()))
    }

    /// Do all stages have the same keys, by their hashes? If in doubt, no: then it is looked at closely.
    fn agrees(&self, minute: Timestamp) -> bool {
        if self.unlisted.contains_key(&minute) {
            return false;
        }
        let mut landed = Bag::default();
        for object in self.objects.get(&minute).map(Vec::as_slice).unwrap_or_default() {
            let (Some(named), Some(ledger)) = (self.manifests.get(&object.key), self.ledger.get(&object.key))
            else {
                return false;
            };
            if !ledger.is_loaded || ledger.lines != named.count || ledger.inserted != named.count {
                return false;
            }
            landed = landed.plus(*named);
        }
        let sum = |bag: &dyn Fn(Place) -> Bag| {
            SOURCES.iter().fold(Bag::default(), |sum, source| sum.plus(bag((minute, source.as_str()))))
        };
        let loaded = sum(&|place| self.bags.get(&place).copied().unwrap_or_default());
        if landed != loaded {
            return false;
        }
        let covers = SOURCES.map(|source| {
            let place = (minute, source.as_str());
            let is_used = self.bags.contains_key(&place) || self.dead(place).count > 0;
            (self.coverage.of(place), is_used)
        });
        if covers.iter().all(|(cover, _)| *cover == Cover::None) {
            return true;
        }
        let acknowledged =
            sum(&|place| self.taken.get(&place).map(|taken| taken.acknowledged).unwrap_or_default());
        let is_whole = covers
            .iter()
            .all(|(cover, is_used)| *cover == Cover::Whole || (*cover == Cover::None && !is_used));
        is_whole && acknowledged == landed.plus(sum(&|place| self.dead(place)))
    }

    /// Reads all there is of a minute.
    async fn evidence(&self, minute: Timestamp) -> Result<Evidence, ReconcileError> {
        let lake = self.reconcile.lake.as_ref();
        let is_deep = self.reconcile.settings.deep;
        let span = Span::minute(minute);
        let (first, behind) = (layout::events_of(span.from), layout::events_of(span.until));
        let listed = read::objects(lake, span).await?;
        let landed_at: HashMap<String, Timestamp> =
            listed.iter().map(|object| (object.key.clone(), object.landed_at)).collect();
        let keys: Vec<String> = listed.into_iter().map(|object| object.key).collect();
        let mut states = read::states(lake, keys, is_deep).await?;

        let held = self.tables.0.hold().await?;
        // The ledger before the rows: what it has, they must have.
        let ledger = self.tables.ledger(&first, &behind).await?;
        let named = ledger.keys().chain(self.unlisted.get(&minute).into_iter().flatten());
        let unlisted: BTreeSet<String> = named.filter(|key| !landed_at.contains_key(*key)).cloned().collect();
        states.extend(read::states(lake, unlisted.into_iter().collect(), is_deep).await?);
        let rejected = self.tables.rejected(&first, &behind).await?;
        let rows = self.tables.received(span).await?;
        let lines = || states.iter().filter_map(|(_, state)| lines_of(state)).flatten();
        let mut known: HashMap<String, Row> = rows.iter().map(|row| (row.key.clone(), row.clone())).collect();
        let unknown: BTreeSet<String> =
            lines().filter(|line| !known.contains_key(&line.key)).map(|line| line.key.clone()).collect();
        let unknown: Vec<String> = unknown.into_iter().collect();
        known.extend(self.tables.known(&unknown).await?.into_iter().map(|row| (row.key.clone(), row)));
        let others: BTreeSet<String> = lines()
            .filter(|line| known.get(&line.key).is_some_and(|row| row.body_sha256 != line.body_sha256))
            .map(|line| line.key.clone())
            .collect();
        let conflicts = self.tables.conflicts(&others.into_iter().collect::<Vec<_>>()).await?;

        let here: HashSet<&str> = states.iter().map(|(key, _)| key.as_str()).collect();
        let files: BTreeSet<String> = rows
            .iter()
            .map(|row| &row.file)
            .filter(|file| !here.contains(file.as_str()) && layout::is_events_key(file))
            .cloned()
            .collect();
        let files: Vec<String> = files.into_iter().collect();
        let known_files = self.tables.ledger_of(&files).await?;
        // Closing the file may take a while.
        let _ = tokio::task::spawn_blocking(move || drop(held)).await;
        let elsewhere = read::states(lake, files, is_deep).await?.into_iter().filter_map(|(file, state)| {
            let ledger = known_files.get(&file).copied();
            // What neither lake nor ledger knows was never there.
            let was_there = state != State::Gone || ledger.is_some();
            was_there.then_some(Object { file, state, ledger, landed_at: None })
        });
        let elsewhere = elsewhere.collect();
        let objects = states.into_iter().map(|(file, state)| Object {
            ledger: ledger.get(&file).copied(),
            landed_at: landed_at.get(&file).copied(),
            file,
            state,
        });
        let covers = SOURCES.map(|source| (source.as_str(), self.coverage.of((minute, source.as_str()))));
        Ok(Evidence {
            minute,
            now: self.now,
            load_grace: SignedDuration::try_from(self.reconcile.settings.load_grace)
                .unwrap_or(SignedDuration::MAX),
            objects: objects.collect(),
            elsewhere,
            rows,
            known,
            conflicts,
            rejected,
            letters: self.letters.get(&minute).cloned().unwrap_or_default(),
            receipts: receipt::read_minute(lake, minute).await?,
            covers: BTreeMap::from(covers),
        })
    }

    /// What is about the span as a whole, and the report.
    pub(super) async fn finish(mut self) -> Result<Report, ReconcileError> {
        self.facts().await?;
        self.receipts();
        self.differences.extend(fates(std::mem::take(&mut self.missing), self.waiting, self.now));
        for difference in self.differences.iter().filter(|difference| difference.kind == Kind::Waiting) {
            for minute in &mut self.minutes {
                if difference.minute == Some(minute.minute) && difference.source == Some(minute.source) {
                    minute.waiting += difference.count;
                }
            }
        }
        for source in SOURCES.map(|source| source.as_str()) {
            let unproven = self.minutes.iter().filter(|minute| {
                minute.source == source
                    && minute.landed.count > 0
                    && self.coverage.of((minute.minute, source)) == Cover::None
            });
            let count = unproven.count();
            if count > 0 {
                self.notes.push(format!(
                    "{count} minutes with events have no receipts of {source}: nobody can tell what was acknowledged in them \
                     (a receiver writes receipts when it has WAYBILL_LAKE and WAYBILL_RECEIPTS is on)"
                ));
            }
        }
        settle(&mut self.minutes, &mut self.differences);
        Ok(Report {
            from: self.span.from,
            until: self.span.until,
            made_at: crate::event::truncate_to_micros(self.now),
            minutes: self.minutes,
            differences: self.differences,
            notes: self.notes,
        })
    }

    async fn facts(&mut self) -> Result<(), ReconcileError> {
        let facts = self.tables.facts(self.span).await?;
        // A row without its event is the event's difference, named already.
        let forged = facts.forged.into_iter().filter(|(_, source)| !self.rowless.contains(source));
        let forged: Vec<String> = forged.map(|(tracking, _)| tracking).collect();
        for (kind, ids, text) in [
            (
                Kind::FactMissing,
                facts.missing,
                "these trackings have events and no row in base.fct_shipment_tracking: delete their objects from \
                 raw.loaded_file, and load again",
            ),
            (
                Kind::FactMissing,
                facts.miscounted,
                "these trackings have another number of checkpoints than their rows say: delete their objects from \
                 raw.loaded_file, and load again",
            ),
            (
                Kind::FactForged,
                forged,
                "these rows of base.fct_shipment_tracking are of no event that was loaded: somebody wrote or changed them; \
                 delete them, and `--rebuild` shows what else differs",
            ),
        ] {
            if !ids.is_empty() {
                self.differences.push(Difference::of(kind, ids, text));
            }
        }
        Ok(())
    }

    /// Receipts that are gone, and writers that died.
    fn receipts(&mut self) {
        let mut holes: BTreeMap<Place, Vec<String>> = BTreeMap::new();
        for hole in &self.coverage.holes {
            holes.entry((hole.minute, hole.source)).or_default().push(hole.writer.clone());
        }
        for ((minute, source), writers) in holes {
            let text = "these writers' receipts of the minute, or parts of them, are gone, and later ones are there: somebody \
                        deleted them; what was acknowledged then cannot be proven";
            let difference = Difference::of(Kind::ReceiptMissing, writers, text);
            self.differences.push(difference.at(minute).in_source(source));
        }
        for dead in &self.coverage.dead {
            let count = self.explained_by_death.get(dead.source).copied().unwrap_or(0);
            let text = format!(
                "this writer of receipts left none from this minute on, and no word of its end: it was killed, or cannot \
                 reach the lake. {count} events of {source} landed around then without a receipt; that is no loss, and no \
                 proof either that there was none",
                source = dead.source
            );
            let difference = Difference::of(Kind::ReceiverDied, vec![dead.writer.clone()], text);
            self.differences.push(difference.at(dead.since).in_source(dead.source).explained());
        }
    }
}

fn lines_of(state: &State) -> Option<impl Iterator<Item = &Line>> {
    match state {
        State::Read(contents) => Some(contents.lines.values()),
        State::Gone | State::Damaged(_) => None,
    }
}

async fn receipts(lake: &dyn Lake, span: Span, notes: &mut Vec<String>) -> Result<Receipts, ReconcileError> {
    let from = span.from.checked_sub(AROUND).unwrap_or(Timestamp::UNIX_EPOCH);
    let until = span.until.checked_add(AROUND).unwrap_or(Timestamp::MAX);
    let receipts = receipt::read_counts(lake, from, until).await?;
    for key in &receipts.unreadable {
        notes.push(format!("{key} cannot be read: it is damaged, or a newer program wrote it"));
    }
    Ok(receipts)
}

async fn waiting(reconcile: &Reconcile, notes: &mut Vec<String>) -> Option<Waiting> {
    let Some(queue) = &reconcile.queue else {
        notes.push(
            "the queue was not asked: what has not landed counts as lost, though it may wait there"
                .to_owned(),
        );
        return None;
    };
    match queue.depth().await {
        Ok(depth) => {
            let spooled = reconcile.settings.spooled;
            // How long the spool's messages have been there is not known.
            let oldest = if spooled > 0 { None } else { depth.oldest };
            Some(Waiting { messages: depth.ready + depth.leased + spooled, oldest })
        }
        Err(error) => {
            notes.push(format!("the queue could not be asked ({error}): what has not landed counts as lost"));
            None
        }
    }
}
