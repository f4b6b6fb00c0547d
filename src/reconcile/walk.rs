//! The walk through a span: looks at the hashes, and closer where they do not agree.

mod finish;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use crate::lake::receipt::{self, Receipts};
use crate::lake::{Lake, layout};

use super::bag::Bag;
use super::compare::{Judged, Stages, judge, minute};
use super::evidence::{Evidence, Ledger, Letter, Line, Object, Row, State};
use super::fates::{Missing, Waiting};
use super::minutes::{Cover, Coverage, DEATH_MINUTES, Place, SOURCES, Taken, coverage, taken};
use super::read::{self, Folders, Listed, Named};
use super::report::{Difference, Minute};
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
    manifests: HashMap<String, Named>,
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
            let lines = named.bag.count;
            if !ledger.is_loaded || ledger.lines != lines || ledger.inserted != lines {
                return false;
            }
            if is_of_another_size(object, Some(named)) {
                return false;
            }
            landed = landed.plus(named.bag);
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
        let span = Span::minute(minute);
        let (first, behind) = (layout::events_of(span.from), layout::events_of(span.until));
        let listed = read::objects(lake, span).await?;
        // Lines and keys may be the same all the same, so the bytes are held against the name.
        let has_other_size =
            listed.iter().any(|object| is_of_another_size(object, self.manifests.get(&object.key)));
        let is_deep = self.reconcile.settings.deep || has_other_size;
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
        let sources = SOURCES.map(|source| source.as_str());
        let covers = sources.map(|source| (source, self.coverage.of((minute, source))));
        let silent = sources.into_iter().filter(|source| self.coverage.is_silent((minute, *source)));
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
            silent: silent.collect(),
        })
    }
}

/// Is an object not as large as the manifest says? An erasure makes it so, and anybody who puts other bytes there.
fn is_of_another_size(object: &Listed, named: Option<&Named>) -> bool {
    named.is_some_and(|named| named.bytes != object.bytes)
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
            let beside = reconcile.settings.spooled + reconcile.settings.set_aside;
            // How long those have been there is not known.
            let oldest = if beside > 0 { None } else { depth.oldest };
            Some(Waiting { messages: depth.ready + depth.leased + beside, oldest })
        }
        Err(error) => {
            notes.push(format!("the queue could not be asked ({error}): what has not landed counts as lost"));
            None
        }
    }
}
