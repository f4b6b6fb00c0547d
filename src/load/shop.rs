//! The mover from the shop's files to the warehouse: what the ledger lacks, file by file, each in one transaction;
//! then the marts.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::Date;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::lake::{Lake, LakeError, Object, list_all};
use crate::ops::health::Health;
use crate::ops::metrics;
use crate::ops::retry::Backoff;
use crate::retail::Dataset;
use crate::retail::name::{self, Named};
use crate::retail::read::{ShopFile, Source};
use crate::warehouse::{MartState, ShopOutcome, Warehouse, WarehouseError};

use super::{LoadError, Loaded, Summary, summary};

/// The longest that one file may take before the watchdog calls the mover stuck.
const FILE_MAX: Duration = Duration::from_secs(15 * 60);

/// How long the warehouse is kept open from file to file, before others get their turn.
const HELD_MAX: Duration = Duration::from_secs(10);

/// The turn of others: they look for it several times in it.
const TURN: Duration = Duration::from_millis(300);

/// Which files.
#[derive(Debug, Clone, Default)]
pub struct ShopChoice {
    /// Of this dataset only.
    pub dataset: Option<Dataset>,
    /// About this day and later ones.
    pub from: Option<Date>,
    /// About this day and earlier ones.
    pub to: Option<Date>,
}

impl ShopChoice {
    /// Whether nothing is left out.
    pub fn is_all(&self) -> bool {
        self.dataset.is_none() && self.from.is_none() && self.to.is_none()
    }

    fn takes(&self, dataset: Dataset, day: Date) -> bool {
        self.dataset.is_none_or(|wanted| wanted == dataset)
            && self.from.is_none_or(|from| day >= from)
            && self.to.is_none_or(|to| day <= to)
    }
}

/// What to do with the files that are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Load them, and bring the marts up to date.
    Load,
    /// Load them.
    LoadOnly,
    /// Do everything, tell what came of it, and keep nothing.
    Dry,
}

/// The mover.
pub struct Shop {
    /// Where the files are. Only ever read.
    pub files: Arc<dyn Lake>,
    /// Where rows go.
    pub warehouse: Arc<dyn Warehouse>,
    /// How often to look for new files.
    pub interval: Duration,
    /// Watchdog.
    pub health: Health,
    /// Counts for whoever looks.
    pub loaded: Arc<Loaded>,
    /// Files whose bytes and time of writing are known to need nothing.
    settled: HashMap<String, (u64, Timestamp)>,
    /// Folders of no dataset, said once.
    unknown: HashSet<String>,
}

impl Shop {
    /// A mover that has seen nothing yet.
    pub fn new(
        files: Arc<dyn Lake>,
        warehouse: Arc<dyn Warehouse>,
        interval: Duration,
        health: Health,
        loaded: Arc<Loaded>,
    ) -> Shop {
        let (settled, unknown) = (HashMap::new(), HashSet::new());
        Shop { files, warehouse, interval, health, loaded, settled, unknown }
    }

    /// Loads files as they come, until `stop`; a file under way is finished.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60));
        let health = self.health.clone();
        while !stop.is_cancelled() {
            let mut summary = Summary::default();
            let choice = ShopChoice::default();
            let round = self.round(&choice, Mode::Load, &stop, &mut summary, |_, _| {}, |_, _| {});
            let pause = match health.attended("shop", FILE_MAX, round).await {
                Ok(_) => {
                    backoff.reset();
                    health.set_ready("shop", Ok(()));
                    metrics::mover_last_success("shop", Timestamp::now());
                    self.interval
                }
                Err(error) => {
                    let cause =
                        std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
                    let reason = format!("{error}: {cause}");
                    warn!(error = %reason, "loading the shop's files failed, trying on");
                    metrics::load_failure("shop");
                    // Late, and no reason to turn webhooks away.
                    health.set_degraded("shop", &reason);
                    backoff.next().max(self.interval)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        health.rest("shop");
    }

    /// One pass over all files: the oldest version first, parents before children. `progress` gets (done, of) in bytes,
    /// `report` each file with what became of it. The first thing that cannot be read is answered when all else is done.
    pub async fn round(
        &mut self,
        choice: &ShopChoice,
        mode: Mode,
        stop: &CancellationToken,
        summary: &mut Summary,
        mut progress: impl FnMut(u64, u64) + Send,
        mut report: impl FnMut(&ShopFile, &ShopOutcome) + Send,
    ) -> Result<MartState, LoadError> {
        let (mut done, mut of) = (0, 0);
        let mut fault: Option<LoadError> = None;
        let mut waiting = VecDeque::from(self.waiting(choice).await?);
        of += waiting.iter().map(|(_, object)| object.bytes).sum::<u64>();
        progress(done, of);
        let mut has_loaded = false;
        let mut held: Option<(Box<dyn Send>, Instant)> = None;
        while let Some((dataset, object)) = waiting.pop_front() {
            if stop.is_cancelled() {
                break;
            }
            if held.as_ref().is_none_or(|(_, since)| since.elapsed() > HELD_MAX) {
                if held.is_some() {
                    let_go(held.take()).await;
                    tokio::time::sleep(TURN).await;
                }
                held = Some((self.warehouse.hold().await?, Instant::now()));
            }
            done += object.bytes;
            match self.take(dataset, &object, mode).await {
                Ok(Some((file, outcome))) => {
                    if outcome.is_new {
                        has_loaded = mode != Mode::Dry;
                        summary.add(&outcome.outcome);
                        self.tell(&file, &outcome, mode);
                    }
                    report(&file, &outcome);
                }
                Ok(None) => summary.files_missing += 1,
                // All others first.
                Err(error @ (LoadError::Lake(_) | LoadError::Warehouse(WarehouseError::Refused(_)))) => {
                    let cause =
                        std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
                    warn!(path = %object.key, error = %cause, "cannot load a shop file now, going on with others");
                    fault = fault.or(Some(error));
                }
                Err(error) => return Err(error),
            }
            self.health.beat("shop");
            progress(done, of);
            // What has been loaded may have made a duplicate a file of its own.
            if waiting.is_empty() && has_loaded && fault.is_none() {
                has_loaded = false;
                waiting.extend(self.waiting(choice).await?);
                of += waiting.iter().map(|(_, object)| object.bytes).sum::<u64>();
            }
        }
        let_go(held).await;
        let state = match mode {
            Mode::Load => self.close().await?,
            Mode::LoadOnly | Mode::Dry => MartState { as_of: None, is_changed: false },
        };
        fault.map_or(Ok(state), Err)
    }

    /// What comes behind the files: the marts, and a look at what waits. The place is opened for both together.
    async fn close(&self) -> Result<MartState, LoadError> {
        let held = Some((self.warehouse.hold().await?, Instant::now()));
        let asked = async {
            let state = self.warehouse.refresh_marts(false).await?;
            Ok::<_, WarehouseError>((state, self.warehouse.waiting_lines().await?))
        };
        let asked = asked.await;
        let_go(held).await;
        let (state, waiting) = asked?;
        if state.is_changed
            && let Some(day) = state.as_of
        {
            info!(as_of = %day, "brought the marts up to {day}");
        }
        let oldest = waiting.since.map(|since| Timestamp::now().duration_since(since));
        let oldest = oldest.and_then(|oldest| Duration::try_from(oldest).ok());
        metrics::load_waiting_lines(waiting.count, oldest.unwrap_or_default());
        Ok(state)
    }

    /// What there is to load: dataset, the day that the file is about, and its bytes.
    pub async fn list(&mut self, choice: &ShopChoice) -> Result<Vec<(Dataset, Date, u64)>, LoadError> {
        let waiting = self.waiting(choice).await?;
        let about = |object: &Object| name::version(&object.key, object.modified_at).closes_on;
        Ok(waiting.iter().map(|(dataset, object)| (*dataset, about(object), object.bytes)).collect())
    }

    /// What is there and not known to need nothing.
    async fn waiting(&mut self, choice: &ShopChoice) -> Result<Vec<(Dataset, Object)>, LoadError> {
        let mut found = Vec::new();
        for object in list_all(self.files.as_ref(), "", None).await? {
            match name::read(&object.key) {
                Named::File(dataset) => found.push((dataset, object)),
                Named::Ignored => {}
                Named::UnknownDataset => self.warn_of(&object.key),
            }
        }
        found.retain(|(dataset, object)| {
            let day = name::version(&object.key, object.modified_at).closes_on;
            choice.takes(*dataset, day)
                && self.settled.get(&object.key) != Some(&(object.bytes, written(object)))
        });
        if found.is_empty() {
            return Ok(found);
        }
        let ledger = self.warehouse.shop_ledger().await?;
        let known: HashMap<&str, ((u64, Timestamp), &str)> = ledger
            .iter()
            .map(|entry| (entry.file.as_str(), ((entry.bytes, entry.modified_at), entry.status.as_str())))
            .collect();
        found.retain(|(_, object)| {
            let state = (object.bytes, written(object));
            let found = known.get(object.key.as_str()).filter(|(known, _)| *known == state);
            // A duplicate may have to be loaded after all, once something comes between it and its twin.
            if found.is_some_and(|(_, status)| *status != "duplicate") {
                self.settled.insert(object.key.clone(), state);
            }
            found.is_none()
        });
        found.sort_by(|(dataset, object), (other_dataset, other)| {
            let order = |dataset: Dataset, object: &Object| {
                (name::version(&object.key, object.modified_at).at, dataset, object.key.clone())
            };
            order(*dataset, object).cmp(&order(*other_dataset, other))
        });
        Ok(found)
    }

    fn warn_of(&mut self, key: &str) {
        let folder = key.split('/').next().unwrap_or_default();
        if self.unknown.insert(folder.to_owned()) {
            let names = Dataset::ALL.map(Dataset::as_str).join(", ");
            warn!(path = %key, "no dataset is called so, the file is left alone; there are {names}");
        }
    }

    /// Reads and loads one file; `None` when it is gone.
    async fn take(
        &mut self,
        dataset: Dataset,
        object: &Object,
        mode: Mode,
    ) -> Result<Option<(Arc<ShopFile>, ShopOutcome)>, LoadError> {
        let stored = match self.files.get(&object.key).await {
            Ok(stored) => stored,
            Err(LakeError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let source =
            Source { key: object.key.clone(), bytes: stored.len() as u64, modified_at: written(object) };
        let file = tokio::task::spawn_blocking(move || Arc::new(ShopFile::read(dataset, source, stored)))
            .await
            .map_err(|_| LakeError::Unavailable("reading a shop file was interrupted".into()))?;
        let outcome = self.warehouse.load_shop(Arc::clone(&file), mode == Mode::Dry).await?;
        if mode != Mode::Dry && outcome.outcome.status != "duplicate" {
            self.settled.insert(object.key.clone(), (object.bytes, written(object)));
        }
        Ok(Some((file, outcome)))
    }

    fn tell(&self, file: &ShopFile, outcome: &ShopOutcome, mode: Mode) {
        let outcome = &outcome.outcome;
        if mode == Mode::Dry {
            return;
        }
        let rejected = u64::try_from(outcome.rejected).unwrap_or(0);
        match &file.report.verdict {
            Some((reason, detail)) if outcome.status == "rejected" => {
                warn!(path = %outcome.file, reason = reason.as_str(), "rejected a shop file: {detail}");
                metrics::load_files(0, 1);
            }
            _ => {
                info!(
                    path = %outcome.file,
                    load.lines = outcome.lines,
                    load.inserted = outcome.inserted,
                    load.rejected = outcome.rejected,
                    load.is_full = file.is_snapshot(),
                    "{} {} lines of {}{}",
                    outcome.status, outcome.lines, outcome.file,
                    if file.is_snapshot() { ", a full snapshot" } else { "" }
                );
                metrics::load_files(1, 0);
                if rejected > 0 {
                    let hint = if file.is_snapshot() {
                        "; until they are replayed nothing counts as absent by this snapshot"
                    } else {
                        ""
                    };
                    warn!(path = %outcome.file, rejected, "some lines were rejected: see `waybill rejects list`{hint}");
                }
            }
        }
        summary::count(outcome);
        self.loaded.rejected.fetch_add(rejected, Ordering::Relaxed);
    }
}

/// Off the threads of the runtime: closing a file writes it.
async fn let_go(held: Option<(Box<dyn Send>, Instant)>) {
    if let Some((held, _)) = held {
        // It cannot fail, and a panic in it is the engine's to tell.
        let _ = tokio::task::spawn_blocking(move || drop(held)).await;
    }
}

/// As the warehouse keeps it.
fn written(object: &Object) -> Timestamp {
    crate::event::truncate_to_micros(object.modified_at)
}
