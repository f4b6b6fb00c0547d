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
mod settings;
mod summary;
mod work;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::failpoint::failpoint;
use crate::lake::suppressed::{Latest, ListError};
use crate::lake::{Lake, LakeError};
use crate::ops::health::Health;
use crate::ops::metrics;
use crate::ops::retry::Backoff;
use crate::warehouse::{Warehouse, WarehouseError};

use discover::{Discovery, Found, Listing};
use read::ReadFile;
pub use settings::LoadSettings;
pub use summary::{Loaded, Summary};
use work::Work;

/// The mover.
pub struct Load {
    /// Where objects come from.
    pub lake: Arc<dyn Lake>,
    /// Where rows go.
    pub warehouse: Arc<dyn Warehouse>,
    /// How.
    pub settings: LoadSettings,
    /// Who is erased, and must not come back.
    pub suppressed: Latest,
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
    /// Nobody who is erased may come back.
    #[error("cannot load without knowing who is erased")]
    Suppressed(#[from] ListError),
    /// The warehouse.
    #[error("cannot load into the warehouse")]
    Warehouse(#[from] WarehouseError),
}

/// The longest that one round may go without loading anything before the watchdog calls it stuck.
const ROUND_MAX: Duration = Duration::from_secs(15 * 60);
/// Manifests whose objects are loaded before they count as done.
const MANIFESTS_MAX: usize = 64;
/// How long a listing of everything goes on before what has just landed has its turn again.
const LISTING_SLICE: Duration = Duration::from_secs(30);

/// When to list everything again after something could not be read.
const RELIST: Duration = Duration::from_secs(3600);

/// What one round did, and the first thing in the lake that it could not read and passed over.
struct Round {
    did_work: bool,
    fault: Option<LakeError>,
}

impl Load {
    /// Loads every object that is there now and that the ledger lacks. `progress` gets (done, of) in objects; `of`
    /// grows while a long listing goes on.
    pub async fn run_once(
        &self,
        stop: &CancellationToken,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<Summary, LoadError> {
        let mut listing = Listing::default();
        let mut fault = None;
        let mut work = Work::new(&mut progress);
        while !stop.is_cancelled()
            && let Some(found) = listing.next(self.lake.as_ref()).await?
        {
            match self.load(found, stop, &mut work).await {
                // All others first.
                Err(LoadError::Lake(error)) => fault = fault.or(Some(error)),
                outcome => outcome?,
            }
        }
        fault.map_or(Ok(work.summary), |error| Err(error.into()))
    }

    /// Loads what lands, until `stop`; a transaction under way is finished.
    pub async fn run(self, stop: CancellationToken) {
        metrics::load_begins();
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        let mut discovery: Option<Discovery> = None;
        let mut listing = Some(Listing::default());
        let mut full_listing_at = Instant::now();
        loop {
            let started = Instant::now();
            if listing.is_none() && started >= full_listing_at {
                listing = Some(Listing::default());
            }
            let was_listing = listing.is_some();
            let round = self.round(&mut discovery, &mut listing, &stop);
            let outcome = self.health.attended("load", ROUND_MAX, round).await;
            let took = started.elapsed();
            let pause = match outcome {
                Ok(Round { did_work, fault }) => {
                    backoff.reset();
                    self.health.set_ready("warehouse", Ok(()));
                    if was_listing && listing.is_none() {
                        // What could be found by a listing only, and not be read, has its next turn sooner.
                        let again = if fault.is_some() { RELIST } else { self.settings.full_listing_every };
                        full_listing_at = started + again;
                    }
                    match fault {
                        None => {
                            self.health.set_ready("lake", Ok(()));
                            metrics::mover_last_success("load", Timestamp::now());
                        }
                        // The rest goes on as ever.
                        Some(fault) => self.note(&LoadError::Lake(fault)),
                    }
                    // A backlog is worked off first.
                    if listing.is_some() { Duration::ZERO } else { self.pause(took, did_work) }
                }
                Err(error) => {
                    self.note(&error);
                    // The part that failed is not in the ledger: from the beginning, past what is.
                    listing = listing.map(|_| Listing::default());
                    backoff.next()
                }
            };
            if !self.health.attended("load", pause + ROUND_MAX, self.rest(pause, &stop)).await {
                self.last_round(&mut discovery).await;
                self.health.rest("load");
                return;
            }
        }
    }

    /// Says what is wrong. Loading is late, receiving is not: this must not turn webhooks away.
    fn note(&self, error: &LoadError) {
        let cause = std::error::Error::source(error).map_or_else(String::new, ToString::to_string);
        let reason = format!("{error}: {cause}");
        let place = match error {
            LoadError::Lake(_) | LoadError::Suppressed(_) => "lake",
            LoadError::Warehouse(_) => "warehouse",
        };
        warn!(error = %reason, "load failed, trying on");
        metrics::load_failure(place);
        self.health.set_degraded(place, &reason);
    }

    /// What landed while others drained is loaded before we go; what fails now waits for the next start.
    async fn last_round(&self, discovery: &mut Option<Discovery>) {
        if let Err(error) = self.round(discovery, &mut None, &CancellationToken::new()).await {
            warn!(%error, "the last load failed: what has landed will be loaded at the next start");
        }
    }

    async fn round(
        &self,
        discovery: &mut Option<Discovery>,
        listing: &mut Option<Listing>,
        stop: &CancellationToken,
    ) -> Result<Round, LoadError> {
        let known = match discovery {
            Some(known) => known,
            None => {
                let landed_until = self.warehouse.landed_until().await?;
                discovery.insert(Discovery::after(landed_until, Timestamp::now()))
            }
        };
        let mut ignore = |_, _| {};
        let mut work = Work::new(&mut ignore);
        // Manifests first: what has just landed must not wait for a long listing.
        let manifests = known.manifests(self.lake.as_ref(), Timestamp::now()).await?;
        let mut fault = None;
        for some in manifests.chunks(MANIFESTS_MAX) {
            let named = discover::named_by(self.lake.as_ref(), some).await;
            let lines = named.found.iter().filter_map(|object| Some((object.key.clone(), object.lines?)));
            let lines: Vec<(String, u64)> = lines.collect();
            let loaded = self.load(named.found, stop, &mut work).await;
            if loaded.is_err() {
                known.expect(lines);
            }
            if stop.is_cancelled() {
                return loaded.map(|()| Round { did_work: true, fault: None });
            }
            match (loaded, named.fault) {
                (Ok(()), None) => known.done(some, Timestamp::now()),
                // Those behind must not wait for what may never heal.
                (Err(LoadError::Lake(error)), _) | (Ok(()), Some(error)) => fault = fault.or(Some(error)),
                (Err(error), _) => return Err(error),
            }
        }
        let listing_ends = Instant::now() + LISTING_SLICE;
        while let Some(walk) = listing
            && Instant::now() < listing_ends
        {
            match walk.next(self.lake.as_ref()).await? {
                Some(found) => match self.load(known.complete(found), stop, &mut work).await {
                    Err(LoadError::Lake(error)) => fault = fault.or(Some(error)),
                    outcome => outcome?,
                },
                None => *listing = None,
            }
            if stop.is_cancelled() {
                break;
            }
        }
        Ok(Round { did_work: work.summary.files > 0, fault })
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

    /// Loads those of some objects that the ledger lacks.
    async fn load(
        &self,
        found: Vec<Found>,
        stop: &CancellationToken,
        work: &mut Work<'_>,
    ) -> Result<(), LoadError> {
        if found.is_empty() {
            return Ok(());
        }
        failpoint!("load.after_list");
        let keys: Vec<String> = found.iter().map(|object| object.key.clone()).collect();
        let unloaded = self.warehouse.unloaded(keys).await?;
        let wanted: std::collections::HashSet<String> = unloaded.into_iter().collect();
        let waiting: Vec<Found> = found.into_iter().filter(|object| wanted.contains(&object.key)).collect();
        if !waiting.is_empty() {
            self.suppressed.refresh(self.lake.as_ref()).await?;
        }
        work.total += waiting.len() as u64;
        metrics::load_waiting_files(work.left());
        let reads = stream::iter(waiting).map(|object| self.fetch(object));
        let mut reads = std::pin::pin!(reads.buffered(self.settings.readers));
        let mut set = Vec::new();
        let mut bytes_in_set = 0;
        let mut fault = None;
        while let Some(outcome) = reads.next().await {
            match outcome {
                Ok(Some(file)) => {
                    bytes_in_set += file.bytes_unpacked;
                    set.push(file);
                }
                Ok(None) => work.summary.files_missing += 1,
                // The others must not wait for one that may never heal: it stays out of the ledger, and is tried again.
                Err(error) => {
                    metrics::load_failure("unreadable");
                    fault = fault.or(Some(error));
                }
            }
            if bytes_in_set >= self.settings.bytes_max || set.len() >= self.settings.files_max {
                bytes_in_set = 0;
                self.commit(std::mem::take(&mut set), &mut work.summary).await?;
                self.health.beat("load");
                work.tell();
                if stop.is_cancelled() {
                    return Ok(());
                }
            }
        }
        if !set.is_empty() {
            self.commit(set, &mut work.summary).await?;
        }
        work.tell();
        fault.map_or(Ok(()), Err)
    }

    /// Reads one object; `None` when it is not there: one that is gone for good must not hold up all others.
    async fn fetch(&self, object: Found) -> Result<Option<ReadFile>, LoadError> {
        failpoint!("load.before_read");
        let body = match self.lake.get(&object.key).await {
            Ok(body) => body,
            Err(LakeError::NotFound(_)) => {
                warn!(path = %object.key, "an object that should be loaded is not in the lake, its events are missing");
                metrics::load_failure("missing");
                return Ok(None);
            }
            Err(error @ LakeError::TooLarge { .. }) => {
                return Ok(Some(read::too_large(&object.key, object.landed_at, &error)));
            }
            Err(error) => {
                warn!(path = %object.key, %error, "cannot read an object now, going on with others");
                return Err(error.into());
            }
        };
        let (key, expected) = (object.key.clone(), object.lines);
        let suppressed = self.suppressed.get();
        let file = tokio::task::spawn_blocking(move || {
            read::read_without(&object.key, object.landed_at, &body, &suppressed)
        })
        .await
        .map_err(|_| LakeError::Unavailable("reading an object was interrupted".into()))?;
        if file.unerased > 0 {
            // It landed behind an erasure's back: loaded without its person, but the lake still holds it.
            warn!(path = %key, lines = file.unerased, "an object holds people who are erased: run `waybill forget --sweep`");
            metrics::load_unerased(file.unerased);
        }
        match expected {
            // Cut at the end of a line it would look whole.
            Some(expected) if file.rows.is_readable && file.rows.lines < expected => {
                let text = format!("{key} has {} lines, its manifest says {expected}", file.rows.lines);
                warn!(path = %key, "{text}");
                Err(LakeError::Unavailable(text).into())
            }
            _ => Ok(Some(file)),
        }
    }

    /// Reads again what was read before somebody was erased: what is loaded behind an erasure would stay.
    async fn without_erased(&self, files: Vec<ReadFile>) -> Result<Vec<ReadFile>, LoadError> {
        let entries = self.suppressed.refresh(self.lake.as_ref()).await?.entries();
        if files.iter().all(|file| file.suppressed_entries == entries || !file.rows.is_readable) {
            return Ok(files);
        }
        let mut again = Vec::with_capacity(files.len());
        for file in files {
            let found =
                Found { key: file.rows.file, landed_at: file.rows.landed_at, lines: Some(file.rows.lines) };
            again.extend(self.fetch(found).await?);
        }
        Ok(again)
    }

    async fn commit(&self, files: Vec<ReadFile>, summary: &mut Summary) -> Result<(), LoadError> {
        let started = Instant::now();
        let set = read::combine(self.without_erased(files).await?);
        let arrivals: Vec<(String, Vec<Timestamp>)> = set
            .files
            .iter()
            .map(|file| (file.file.clone(), file.events.iter().map(|event| event.received_at).collect()))
            .collect();
        failpoint!("load.before_commit");
        let outcomes = self.warehouse.load(set).await?;
        failpoint!("load.after_commit");

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
        self.loaded.lines.fetch_add(u64::try_from(lines - rejected).unwrap_or(0), Ordering::Relaxed);
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

#[cfg(test)]
mod tests;
