//! The mover from the lake to the warehouse.
//!
//! Takes what manifests name and the ledger lacks ([`discover`]), reads and parses it here in Rust ([`read`],
//! [`facts`]), and hands it over in sets; the warehouse merges each set and its ledger rows in one transaction. So
//! a load can be repeated after any crash. Lines that cannot be read are rejected by name ([`reject`]); the object
//! still loads.

mod carry;
pub mod discover;
pub mod facts;
pub mod read;
pub mod reject;
mod settings;
pub mod shop;
mod summary;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::lake::suppressed::{Latest, ListError};
use crate::lake::{Lake, LakeError, layout};
use crate::ops::health::Health;
use crate::ops::retry::Backoff;
use crate::ops::{metrics, oldest};
use crate::warehouse::{Warehouse, WarehouseError};

use discover::{Discovery, Listing};
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

    /// Counts the objects that the ledger lacks.
    pub async fn count(&self) -> Result<u64, LoadError> {
        let (mut listing, mut count) = (Listing::default(), 0);
        while let Some(found) = listing.next(self.lake.as_ref()).await? {
            let keys = found.into_iter().map(|object| object.key).collect();
            count += self.warehouse.unloaded(keys).await?.len() as u64;
        }
        Ok(count)
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
            // What lands from now on may be too late for this round.
            let waited = self.landed.as_ref().and_then(|_| oldest::take(oldest::LANDED));
            let round = self.round(&mut discovery, &mut listing, &stop);
            let outcome = self.health.attended("load", ROUND_MAX, round).await;
            let took = started.elapsed();
            if let (Some(since), Err(_) | Ok(Round { fault: Some(_), .. })) = (waited, &outcome) {
                oldest::waits_too(oldest::LANDED, since);
            }
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
        // Beside a batch mover that one notes what waits, and better: by its arrival.
        let is_alone = self.landed.is_none();
        if is_alone {
            let written = manifests.iter().filter_map(|one| layout::manifest_written_at(&one.key));
            oldest::waits(oldest::LANDED, written.min());
        }
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
        if is_alone && fault.is_none() {
            oldest::waits(oldest::LANDED, None);
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
}

#[cfg(test)]
mod tests;
