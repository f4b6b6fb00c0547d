//! The mover from the lake to the warehouse.
//!
//! Takes what manifests name and the ledger lacks ([`discover`]), reads and parses it here in Rust ([`read`],
//! [`facts`]), and hands it over in sets; the warehouse merges each set and its ledger rows in one transaction. So
//! a load can be repeated after any crash. Lines that cannot be read are rejected by name ([`reject`]); the object
//! still loads.

pub mod discover;
pub mod facts;
pub mod read;
pub mod reject;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::lake::{Lake, LakeError};
use crate::ops::health::Health;
use crate::ops::metrics;
use crate::ops::retry::Backoff;
use crate::warehouse::rows::FileOutcome;
use crate::warehouse::{Warehouse, WarehouseError};

use discover::{Discovery, Found};
use read::ReadFile;

/// How the load mover works.
#[derive(Debug, Clone)]
pub struct LoadSettings {
    /// How often to look for new objects.
    pub interval: Duration,
    /// Objects of one transaction.
    pub files_max: usize,
    /// Stored (compressed) bytes of one transaction.
    pub bytes_max: usize,
    /// Objects read at once.
    pub readers: usize,
    /// Longest share of the time that loading may take; the pause between loads grows to keep it.
    pub duty_max: f64,
    /// How often to list all events, for what a crash left without a manifest.
    pub full_listing_every: Duration,
}

impl Default for LoadSettings {
    fn default() -> Self {
        LoadSettings {
            interval: Duration::from_secs(5),
            files_max: 256,
            bytes_max: 16 * 1024 * 1024,
            readers: 2,
            duty_max: 0.3,
            full_listing_every: Duration::from_secs(24 * 3600),
        }
    }
}

/// What has been loaded since the start.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Events new in the warehouse.
    pub events: AtomicU64,
    /// Lines and objects rejected.
    pub rejected: AtomicU64,
    /// Rung after each load.
    pub notify: Notify,
}

/// The mover.
pub struct Load {
    /// Where objects come from.
    pub lake: Arc<dyn Lake>,
    /// Where rows go.
    pub warehouse: Arc<dyn Warehouse>,
    /// How.
    pub settings: LoadSettings,
    /// Watchdog.
    pub health: Health,
    /// Counts for whoever looks.
    pub loaded: Arc<Loaded>,
    /// Rung by a batch mover in the same process, to load without waiting for the interval.
    pub landed: Option<Arc<Notify>>,
}

/// Why a load stopped.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The lake.
    #[error("cannot read from the lake")]
    Lake(#[from] LakeError),
    /// The warehouse.
    #[error("cannot load into the warehouse")]
    Warehouse(#[from] WarehouseError),
}

/// What `load --once` prints.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Objects that got a ledger row.
    pub files: u64,
    /// Of those, objects that could not be read as a whole.
    pub files_rejected: u64,
    /// Lines in them.
    pub lines: i64,
    /// The seven outcomes, see [`FileOutcome`].
    pub inserted: i64,
    /// See [`FileOutcome`].
    pub updated: i64,
    /// See [`FileOutcome`].
    pub unchanged: i64,
    /// See [`FileOutcome`].
    pub duplicate: i64,
    /// See [`FileOutcome`].
    pub conflict: i64,
    /// See [`FileOutcome`].
    pub waiting: i64,
    /// See [`FileOutcome`].
    pub rejected: i64,
}

impl Summary {
    fn add(&mut self, outcome: &FileOutcome) {
        self.files += 1;
        self.files_rejected += u64::from(outcome.status == "rejected");
        self.lines += outcome.lines;
        self.inserted += outcome.inserted;
        self.updated += outcome.updated;
        self.unchanged += outcome.unchanged;
        self.duplicate += outcome.duplicate;
        self.conflict += outcome.conflict;
        self.waiting += outcome.waiting;
        self.rejected += outcome.rejected;
    }
}

impl Load {
    /// Loads every object that is there now and that the ledger lacks. `progress` gets (done, of) in objects.
    pub async fn run_once(
        &self,
        stop: &CancellationToken,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Summary, LoadError> {
        let found = discover::from_listing(self.lake.as_ref()).await?;
        self.load(found, stop, &mut progress).await
    }

    /// Loads what lands, until `stop`; a transaction under way is finished.
    pub async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        let mut discovery: Option<Discovery> = None;
        let mut full_listing_at = Instant::now();
        loop {
            self.health.beat("load");
            let started = Instant::now();
            let is_full = started >= full_listing_at;
            let outcome = self.round(&mut discovery, is_full, &stop).await;
            let took = started.elapsed();
            let pause = match outcome {
                Ok(did_work) => {
                    backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
                    self.health.set_ready("warehouse", Ok(()));
                    if is_full {
                        full_listing_at = started + self.settings.full_listing_every;
                    }
                    metrics::mover_last_success("load", Timestamp::now());
                    self.pause(took, did_work)
                }
                Err(error) => {
                    let reason = format!(
                        "{error}: {}",
                        std::error::Error::source(&error).map_or_else(String::new, ToString::to_string)
                    );
                    warn!(error = %reason, "load failed, trying on");
                    metrics::load_failure(match error {
                        LoadError::Lake(_) => "lake",
                        LoadError::Warehouse(_) => "warehouse",
                    });
                    // Loading is late, receiving is not: this must not turn webhooks away.
                    self.health.set_degraded("warehouse", &reason);
                    backoff.next()
                }
            };
            if !self.rest(pause, &stop).await {
                self.last_round(&mut discovery).await;
                self.health.rest("load");
                return;
            }
        }
    }

    /// What landed while others drained is loaded before we go; what fails now waits for the next start.
    async fn last_round(&self, discovery: &mut Option<Discovery>) {
        if let Err(error) = self.round(discovery, false, &CancellationToken::new()).await {
            warn!(%error, "the last load failed: what has landed will be loaded at the next start");
        }
    }

    async fn round(
        &self,
        discovery: &mut Option<Discovery>,
        is_full: bool,
        stop: &CancellationToken,
    ) -> Result<bool, LoadError> {
        let known = match discovery {
            Some(known) => known,
            None => discovery.insert(Discovery::after(self.warehouse.landed_until().await?)),
        };
        // Manifests first: what has just landed must not wait for a long listing.
        let (found, manifests) = known.from_manifests(self.lake.as_ref()).await?;
        let summary = self.load(found, stop, &mut |_, _| {}).await?;
        if stop.is_cancelled() {
            return Ok(true);
        }
        known.done(manifests);
        if is_full {
            let found = discover::from_listing(self.lake.as_ref()).await?;
            self.load(found, stop, &mut |_, _| {}).await?;
        }
        Ok(summary.files > 0)
    }

    /// Keeps loading to its share of the time, so that others can open the warehouse in between.
    fn pause(&self, took: Duration, did_work: bool) -> Duration {
        if !did_work {
            return self.settings.interval;
        }
        let fair = took.mul_f64((1.0 - self.settings.duty_max) / self.settings.duty_max);
        self.settings.interval.max(fair)
    }

    /// False when it is time to stop. A ring of the bell cuts the pause short, but not below what is fair.
    async fn rest(&self, pause: Duration, stop: &CancellationToken) -> bool {
        let least = if pause > self.settings.interval {
            pause
        } else {
            self.settings.interval.min(Duration::from_millis(200))
        };
        tokio::select! {
            () = tokio::time::sleep(least) => {}
            () = stop.cancelled() => return false,
        }
        let rest = pause.saturating_sub(least);
        match &self.landed {
            Some(bell) => tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = bell.notified() => {}
                () = stop.cancelled() => return false,
            },
            None => tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = stop.cancelled() => return false,
            },
        }
        true
    }

    async fn load(
        &self,
        found: Vec<Found>,
        stop: &CancellationToken,
        progress: &mut impl FnMut(u64, u64),
    ) -> Result<Summary, LoadError> {
        let mut summary = Summary::default();
        if found.is_empty() {
            return Ok(summary);
        }
        let keys: Vec<String> = found.iter().map(|object| object.key.clone()).collect();
        let unloaded = self.warehouse.unloaded(keys).await?;
        let wanted: std::collections::HashSet<String> = unloaded.into_iter().collect();
        let waiting: Vec<Found> = found.into_iter().filter(|object| wanted.contains(&object.key)).collect();
        let total = waiting.len() as u64;
        metrics::load_waiting_files(total);
        let reads = stream::iter(waiting).map(|object| self.fetch(object));
        let mut reads = std::pin::pin!(reads.buffered(self.settings.readers));
        let mut set = Vec::new();
        let mut bytes_in_set = 0;
        while let Some(outcome) = reads.next().await {
            let (file, bytes) = outcome?;
            set.push(file);
            bytes_in_set += bytes;
            if bytes_in_set >= self.settings.bytes_max || set.len() >= self.settings.files_max {
                self.commit(std::mem::take(&mut set), &mut summary).await?;
                self.health.beat("load");
                bytes_in_set = 0;
                metrics::load_waiting_files(total.saturating_sub(summary.files));
                progress(summary.files, total);
                if stop.is_cancelled() {
                    return Ok(summary);
                }
            }
        }
        if !set.is_empty() {
            self.commit(set, &mut summary).await?;
            progress(summary.files, total);
        }
        metrics::load_waiting_files(0);
        Ok(summary)
    }

    /// Reads one object; gives its stored size beside it.
    async fn fetch(&self, object: Found) -> Result<(ReadFile, usize), LoadError> {
        let body = self.lake.get(&object.key).await?;
        let bytes = body.len();
        let file = tokio::task::spawn_blocking(move || read::read(&object.key, object.landed_at, &body))
            .await
            .map_err(|_| LakeError::Unavailable("reading an object was interrupted".into()))?;
        Ok((file, bytes))
    }

    async fn commit(&self, files: Vec<ReadFile>, summary: &mut Summary) -> Result<(), LoadError> {
        let started = Instant::now();
        let set = read::combine(files);
        let arrivals: Vec<(String, Vec<Timestamp>)> = set
            .files
            .iter()
            .map(|file| (file.file.clone(), file.events.iter().map(|event| event.received_at).collect()))
            .collect();
        let outcomes = self.warehouse.load(set).await?;

        let now = Timestamp::now();
        let mut inserted = 0;
        let mut lines = 0;
        let mut rejected = 0;
        for outcome in &outcomes {
            summary.add(outcome);
            inserted += outcome.inserted;
            lines += outcome.lines;
            rejected += outcome.rejected;
            for (name, count) in [
                ("inserted", outcome.inserted),
                ("duplicate", outcome.duplicate),
                ("conflict", outcome.conflict),
                ("rejected", outcome.rejected),
            ] {
                metrics::load_rows(name, u64::try_from(count).unwrap_or(0));
            }
            if let Some((_, instants)) = arrivals.iter().find(|(file, _)| *file == outcome.file) {
                for received_at in instants {
                    metrics::load_ack_to_fact(
                        Duration::try_from(now.duration_since(*received_at)).unwrap_or_default(),
                    );
                }
            }
        }
        let files_rejected = outcomes.iter().filter(|outcome| outcome.status == "rejected").count() as u64;
        let files = outcomes.len() as u64;
        metrics::load_files(files - files_rejected, files_rejected);
        metrics::load_took(started.elapsed());
        self.loaded.events.fetch_add(u64::try_from(inserted).unwrap_or(0), Ordering::Relaxed);
        self.loaded
            .rejected
            .fetch_add(u64::try_from(rejected).unwrap_or(0) + files_rejected, Ordering::Relaxed);
        self.loaded.notify.notify_waiters();
        if files > 0 {
            info!(
                load.files = files,
                load.lines = lines,
                load.inserted = inserted,
                load.rejected = rejected,
                took_ms = started.elapsed().as_millis() as u64,
                "loaded {lines} lines of {files} objects, {inserted} events were new"
            );
        }
        if rejected > 0 || files_rejected > 0 {
            warn!(rejected, files_rejected, "some lines or objects were rejected: see raw.rejected_row");
        }
        Ok(())
    }
}
