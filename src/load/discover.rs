//! Which objects to load next: what manifests name and the ledger lacks.
//!
//! The listing of manifests goes by *write* time, so a late write into an old minute is found. A writer's clock may
//! be off and a put may take its time, so each listing begins some way before the newest manifest seen. What a
//! crash left without a manifest is found by a listing of the events themselves, at the first start and each night.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use tracing::warn;

use crate::lake::manifest::Manifest;
use crate::lake::{Lake, LakeError, Object, layout, list_all};

/// How far back each listing of manifests begins, before the newest one seen.
const OVERLAP: Duration = Duration::from_secs(15 * 60);
/// How far back the first listing begins, before the newest object in the ledger.
const OVERLAP_FIRST: Duration = Duration::from_secs(48 * 3600);

/// An object to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Key below the lake's root.
    pub key: String,
    /// When its manifest was written, or the object itself when no manifest names it.
    pub landed_at: Timestamp,
}

/// What has been seen so far.
#[derive(Debug, Default)]
pub struct Discovery {
    /// Write time of the newest manifest seen.
    newest: Option<Timestamp>,
    /// Manifests read already, kept for the overlap only.
    read: HashSet<String>,
}

impl Discovery {
    /// Begins where the ledger ends.
    pub fn after(landed_until: Option<Timestamp>) -> Self {
        let newest = landed_until
            .and_then(|at| at.checked_sub(OVERLAP_FIRST).ok())
            .and_then(|at| at.checked_add(OVERLAP).ok());
        Discovery { newest, read: HashSet::new() }
    }

    /// The objects of manifests not read before. Call [`Discovery::done`] once they are loaded.
    pub async fn from_manifests(&self, lake: &dyn Lake) -> Result<(Vec<Found>, Vec<Object>), LakeError> {
        let after =
            self.newest.and_then(|newest| newest.checked_sub(OVERLAP).ok()).map(layout::manifests_after);
        let manifests: Vec<Object> = list_all(lake, layout::MANIFESTS, after.as_deref())
            .await?
            .into_iter()
            .filter(|object| !self.read.contains(&object.key))
            .collect();
        let mut found = BTreeMap::new();
        for object in &manifests {
            let body = lake.get(&object.key).await?;
            match Manifest::from_json(&body) {
                Ok(manifest) => {
                    for entry in manifest.objects {
                        found.entry(entry.key).or_insert(manifest.written_at);
                    }
                }
                // The objects themselves are found by the nightly listing.
                Err(error) => warn!(manifest = %object.key, %error, "cannot read a manifest"),
            }
        }
        let mut found: Vec<Found> =
            found.into_iter().map(|(key, landed_at)| Found { key, landed_at }).collect();
        found.sort_by(|a, b| (a.landed_at, &a.key).cmp(&(b.landed_at, &b.key)));
        Ok((found, manifests))
    }

    /// Remembers manifests whose objects are all in the ledger.
    pub fn done(&mut self, manifests: Vec<Object>) {
        for manifest in manifests {
            let written_at = layout::manifest_written_at(&manifest.key).unwrap_or(manifest.modified_at);
            self.newest = self.newest.max(Some(written_at));
            self.read.insert(manifest.key);
        }
        if let Some(horizon) = self.newest.and_then(|newest| newest.checked_sub(OVERLAP).ok()) {
            self.read.retain(|key| layout::manifest_written_at(key).is_none_or(|at| at >= horizon));
        }
    }
}

/// Every object of events there is, oldest write first.
pub async fn from_listing(lake: &dyn Lake) -> Result<Vec<Found>, LakeError> {
    let mut found: Vec<Found> = list_all(lake, layout::EVENTS, None)
        .await?
        .into_iter()
        .filter(|object| layout::is_events_key(&object.key))
        .map(|object| Found {
            key: object.key,
            landed_at: crate::event::truncate_to_micros(object.modified_at),
        })
        .collect();
    found.sort_by(|a, b| (a.landed_at, &a.key).cmp(&(b.landed_at, &b.key)));
    Ok(found)
}
