//! Which objects to load next: what manifests name and the ledger lacks.
//!
//! The listing of manifests goes by *write* time, so a late write into an old minute is found. A writer's clock may
//! be off and a put may take its time, so each listing begins some way before the newest manifest seen, and never
//! after our own clock. What a crash left without a manifest, or a clock that is far off hid, is found by a listing
//! of the events themselves, at the first start and each night.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use tracing::warn;

use crate::lake::manifest::Manifest;
use crate::lake::{LIST_PAGE, Lake, LakeError, Object, layout, list_all};

/// How far back each listing of manifests begins, before the newest one seen.
const OVERLAP: Duration = Duration::from_secs(15 * 60);
/// How far back the first listing begins, before the newest object in the ledger.
const OVERLAP_FIRST: Duration = Duration::from_secs(48 * 3600);
/// Manifests read at once.
const READS: usize = 16;
/// Pages of a listing that are looked at together: bounds memory, whatever the lake holds.
const CHUNK_PAGES: usize = 10;

/// An object to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Key below the lake's root.
    pub key: String,
    /// When its manifest was written, or the object itself when no manifest names it.
    pub landed_at: Timestamp,
    /// Lines that its manifest counts, if one names it.
    pub lines: Option<u64>,
}

/// What has been seen so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// Write time of the newest manifest seen.
    newest: Timestamp,
    /// Manifests read already, kept for the overlap only.
    read: HashSet<String>,
    /// Lines of objects that a manifest names and that could not be loaded, so that a listing, which does not know how
    /// many lines there should be, does not take a part for the whole.
    expected: HashMap<String, u64>,
}

impl Discovery {
    /// Begins where the ledger ends; with an empty ledger now, since then a [`Listing`] finds all the rest.
    pub fn after(landed_until: Option<Timestamp>, now: Timestamp) -> Self {
        let newest = landed_until
            .map(|at| at.min(now))
            .and_then(|at| at.checked_sub(OVERLAP_FIRST).ok())
            .and_then(|at| at.checked_add(OVERLAP).ok());
        Discovery { newest: newest.unwrap_or(now), read: HashSet::new(), expected: HashMap::new() }
    }

    /// Where the next listing of manifests begins.
    pub fn horizon(&self) -> Timestamp {
        self.newest.checked_sub(OVERLAP).unwrap_or(Timestamp::MIN)
    }

    /// The manifests not read before, oldest first. Call [`Discovery::done`] once what they name is loaded.
    ///
    /// `now`: where our own clock was set back, what is written from now on is older than what was seen, and must not
    /// be taken for it.
    pub async fn manifests(&mut self, lake: &dyn Lake, now: Timestamp) -> Result<Vec<Object>, LakeError> {
        self.newest = self.newest.min(now);
        let after = layout::manifests_after(self.horizon());
        let mut manifests = list_all(lake, layout::MANIFESTS, Some(&after)).await?;
        manifests.retain(|object| !self.read.contains(&object.key));
        Ok(manifests)
    }

    /// Remembers how many lines objects have that could not all be loaded.
    pub fn expect(&mut self, lines: Vec<(String, u64)>) {
        self.expected.extend(lines);
    }

    /// Adds what is known of objects that a listing found.
    pub fn complete(&self, mut found: Vec<Found>) -> Vec<Found> {
        for object in found.iter_mut().filter(|object| object.lines.is_none()) {
            object.lines = self.expected.get(&object.key).copied();
        }
        found
    }

    /// Remembers manifests whose objects are all in the ledger.
    pub fn done(&mut self, manifests: &[Object], now: Timestamp) {
        for manifest in manifests {
            let written_at = layout::manifest_written_at(&manifest.key).unwrap_or(manifest.modified_at);
            // A writer whose clock is ahead must not hide those whose clocks are right.
            self.newest = self.newest.max(written_at.min(now));
            self.read.insert(manifest.key.clone());
        }
        let horizon = self.horizon();
        self.read.retain(|key| layout::manifest_written_at(key).is_none_or(|at| at >= horizon));
    }
}

/// What some manifests name.
#[derive(Debug, Default)]
pub struct Named {
    /// The objects, oldest write first.
    pub found: Vec<Found>,
    /// The manifests that cannot be read now. They hold up nobody else, and are tried again.
    pub unread: Vec<String>,
    /// Why the first of those cannot be read.
    pub fault: Option<LakeError>,
}

/// The objects that manifests name.
pub async fn named_by(lake: &dyn Lake, manifests: &[Object]) -> Named {
    let keys: Vec<String> = manifests.iter().map(|object| object.key.clone()).collect();
    let mut bodies = stream::iter(keys).map(|key| async { (lake.get(&key).await, key) }).buffered(READS);
    let mut named = Named::default();
    let mut found = BTreeMap::new();
    while let Some((outcome, key)) = bodies.next().await {
        let body = match outcome {
            Ok(body) => body,
            Err(LakeError::NotFound(_)) => continue,
            Err(error) => {
                warn!(manifest = %key, %error, "cannot read a manifest now, going on with others");
                named.unread.push(key);
                named.fault.get_or_insert(error);
                continue;
            }
        };
        match Manifest::from_json(&body) {
            Ok(manifest) => {
                for entry in manifest.objects {
                    if layout::is_events_key(&entry.key) {
                        found.entry(entry.key).or_insert((manifest.written_at, Some(entry.lines)));
                    } else {
                        warn!(manifest = %key, path = %entry.key, "a manifest names what is no object of events");
                    }
                }
            }
            // The objects themselves are found by the nightly listing.
            Err(error) => warn!(manifest = %key, %error, "cannot read a manifest"),
        }
    }
    named.found =
        found.into_iter().map(|(key, (landed_at, lines))| Found { key, landed_at, lines }).collect();
    named.found.sort_by(|a, b| (a.landed_at, &a.key).cmp(&(b.landed_at, &b.key)));
    named
}

/// A walk through every object of events there is, by minute of arrival, some thousands at a time.
#[derive(Debug, Default)]
pub struct Listing {
    after: Option<String>,
    is_over: bool,
}

impl Listing {
    /// The next objects; `None` at the end. After an error it gives the same ones again.
    pub async fn next(&mut self, lake: &dyn Lake) -> Result<Option<Vec<Found>>, LakeError> {
        if self.is_over {
            return Ok(None);
        }
        let mut found = Vec::new();
        let mut after = self.after.clone();
        let mut is_over = false;
        for _ in 0..CHUNK_PAGES {
            let page = lake.list(layout::EVENTS, after.as_deref()).await?;
            is_over = page.len() < LIST_PAGE;
            after = page.last().map(|object| object.key.clone()).or(after);
            found.extend(page.into_iter().filter(|object| layout::is_events_key(&object.key)).map(
                |object| Found {
                    key: object.key,
                    landed_at: crate::event::truncate_to_micros(object.modified_at),
                    lines: None,
                },
            ));
            if is_over {
                break;
            }
        }
        self.after = after;
        self.is_over = is_over;
        Ok(Some(found))
    }
}
