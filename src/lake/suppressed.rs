//! Who is erased: keyed hashes of people and trackings, kept for ever, so that nothing that comes again later (a
//! repetition, a replay, a load into an empty warehouse) brings anybody back.
//!
//! A tracking is suppressed whenever its event arrived: AfterShip repeats the same person in each later update. A
//! person is suppressed in what arrived until the erasure: who orders again later is a customer again. Nobody can be
//! read from the list without the key, and with another key nobody is recognised: so a list that was made with another
//! one is an error, never an empty list.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Lake, LakeError, Put, layout, list_all};

/// Version of the format.
const VERSION: u32 = 1;

/// Some who are erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Version of the format, 1.
    pub v: u32,
    /// The erasure.
    pub id: String,
    /// When it began.
    #[serde(with = "crate::event::instant_text")]
    pub at: Timestamp,
    /// Which key made the hashes.
    pub key_id: String,
    /// Whom it is about; `None` in an entry that only adds what was found.
    pub subject: Option<String>,
    /// Keyed hashes of customer ids, e-mail addresses, phone numbers.
    pub people: Vec<String>,
    /// Keyed hashes of trackings' ids.
    pub trackings: Vec<String>,
    /// Numbers of parcel and order go too.
    pub with_numbers: bool,
}

/// How much of an event goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Numbers of parcel and order go too.
    pub with_numbers: bool,
}

/// An erasure that has begun and is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The erasure.
    pub id: String,
    /// When it began.
    pub at: Timestamp,
    /// Numbers of parcel and order go too.
    pub with_numbers: bool,
    /// Whom it is about.
    pub subject: String,
}

/// Why it cannot be told who is erased.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The lake.
    #[error("cannot read who is erased")]
    Lake(#[from] LakeError),
    /// Will not heal by itself: made with another key, or by a newer program, or damaged.
    #[error("{0}")]
    Unusable(String),
}

/// The list, and the key that it was made with.
#[derive(Clone, Default)]
pub struct Suppressed {
    key: Arc<[u8]>,
    key_id: String,
    /// Files read; they never change.
    read: BTreeSet<String>,
    people: HashMap<String, Vec<(Timestamp, bool)>>,
    trackings: HashMap<String, bool>,
    erasures: BTreeMap<String, Open>,
}

impl Suppressed {
    /// The empty list. `key_id`: tells this key from others.
    pub fn new(key: &[u8], key_id: String) -> Suppressed {
        Suppressed { key: key.into(), key_id, ..Suppressed::default() }
    }

    /// Makes the hashes.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Tells the key from others.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Nobody is erased.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty() && self.trackings.is_empty()
    }

    /// Files of the list; they only become more.
    pub fn entries(&self) -> usize {
        self.read.len()
    }

    /// What of an event goes: `None` when it is about nobody here. Takes keyed hashes.
    pub fn extent(&self, trackings: &[String], people: &[String], received_at: Timestamp) -> Option<Extent> {
        let of_trackings = trackings.iter().filter_map(|id| self.trackings.get(id)).copied();
        let of_people = people
            .iter()
            .filter_map(|person| self.people.get(person))
            .flatten()
            .filter(|(until, _)| received_at <= *until)
            .map(|(_, with_numbers)| *with_numbers);
        of_trackings.chain(of_people).reduce(|a, b| a || b).map(|with_numbers| Extent { with_numbers })
    }

    /// Is this tracking here, with its numbers if they are to go?
    pub fn has_tracking(&self, tracking: &str, with_numbers: bool) -> bool {
        self.trackings.get(tracking).is_some_and(|known| *known || !with_numbers)
    }

    /// The same with more trackings, for looking ahead.
    pub fn plus(&self, trackings: impl IntoIterator<Item = (String, bool)>) -> Suppressed {
        let mut list = self.clone();
        for (tracking, with_numbers) in trackings {
            *list.trackings.entry(tracking).or_default() |= with_numbers;
        }
        list
    }

    /// Erasures that have begun and are not over.
    pub fn open(&self) -> impl Iterator<Item = &Open> {
        self.erasures.values()
    }

    /// The list as it is now; of what was read before nothing is read again.
    pub async fn refreshed(&self, lake: &dyn Lake) -> Result<Suppressed, ListError> {
        let mut list = self.clone();
        for object in list_all(lake, layout::SUPPRESSED, None).await? {
            if !list.read.contains(&object.key) {
                if let Some(id) = layout::erasure_over(&object.key) {
                    list.erasures.remove(id);
                } else {
                    let body = lake.get(&object.key).await?;
                    list.add(entry(&object.key, &body)?)?;
                }
                list.read.insert(object.key);
            }
        }
        // A mark may have been listed before the entries it is about.
        let over: Vec<&str> = list.read.iter().filter_map(|key| layout::erasure_over(key)).collect();
        list.erasures.retain(|id, _| !over.contains(&id.as_str()));
        Ok(list)
    }

    /// With one entry more, without a lake.
    #[cfg(test)]
    pub(crate) fn with(mut self, entry: Entry) -> Suppressed {
        self.read.insert(format!("{entry:?}"));
        self.add(entry).expect("an entry of this key");
        self
    }

    fn add(&mut self, entry: Entry) -> Result<(), ListError> {
        if entry.key_id != self.key_id {
            return Err(ListError::Unusable(format!(
                "people are erased in this lake, and the list of them was made with the key {}: set WAYBILL_PRIVACY_KEY to it",
                entry.key_id
            )));
        }
        for person in entry.people {
            self.people.entry(person).or_default().push((entry.at, entry.with_numbers));
        }
        for tracking in entry.trackings {
            *self.trackings.entry(tracking).or_default() |= entry.with_numbers;
        }
        if let Some(subject) = entry.subject {
            let open = Open { id: entry.id.clone(), at: entry.at, with_numbers: entry.with_numbers, subject };
            self.erasures.insert(entry.id, open);
        }
        Ok(())
    }
}

impl fmt::Debug for Suppressed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (people, trackings) = (self.people.len(), self.trackings.len());
        write!(formatter, "Suppressed({people} people, {trackings} trackings)")
    }
}

/// An entry that cannot be read is no reason to bring somebody back.
fn entry(key: &str, body: &[u8]) -> Result<Entry, ListError> {
    let entry: Entry = serde_json::from_slice(body).map_err(|error| {
        ListError::Unusable(format!("cannot read {key}, which says who is erased: {error}"))
    })?;
    if entry.v != VERSION {
        return Err(ListError::Unusable(format!(
            "{key}, which says who is erased, has format version {}, this program reads version {VERSION}",
            entry.v
        )));
    }
    Ok(entry)
}

/// Adds an entry; the same one again changes nothing.
pub async fn put(lake: &dyn Lake, entry: &Entry) -> Result<Put, LakeError> {
    let body = serde_json::to_vec(entry).expect("an entry always has a JSON form");
    let hash = hex::encode(&Sha256::digest(&body)[..8]);
    lake.put_new(&layout::suppressed_key(&entry.id, &hash), Bytes::from(body)).await
}

/// Marks an erasure as over.
pub async fn close(lake: &dyn Lake, id: &str) -> Result<Put, LakeError> {
    lake.put_new(&layout::erasure_over_key(id), Bytes::from_static(b"{\"v\":1}")).await
}

/// The newest list that a mover has seen.
#[derive(Debug, Default)]
pub struct Latest(Mutex<(Arc<Suppressed>, Option<Instant>)>);

impl Latest {
    /// Begins with this one, and looks before its first use.
    pub fn new(list: Suppressed) -> Latest {
        Latest(Mutex::new((Arc::new(list), None)))
    }

    /// As of the last look.
    pub fn get(&self) -> Arc<Suppressed> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Looks again.
    pub async fn refresh(&self, lake: &dyn Lake) -> Result<Arc<Suppressed>, ListError> {
        let now = Instant::now();
        let list = Arc::new(self.get().refreshed(lake).await?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Arc::clone(&list), Some(now));
        Ok(list)
    }

    /// Looks again unless the last look is younger than this.
    pub async fn keep_fresh(&self, lake: &dyn Lake, age_max: Duration) -> Result<(), ListError> {
        let looked_at = self.0.lock().unwrap_or_else(PoisonError::into_inner).1;
        if looked_at.is_none_or(|at| at.elapsed() >= age_max) {
            self.refresh(lake).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::lake::disk::DiskLake;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("instant")
    }

    fn an_entry(people: &[&str], trackings: &[&str], with_numbers: bool) -> Entry {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Entry {
            v: 1,
            id: "e1".to_owned(),
            at: at("2026-07-09T12:00:00Z"),
            key_id: "k".to_owned(),
            subject: people.first().map(|text| (*text).to_owned()),
            people: owned(people),
            trackings: owned(trackings),
            with_numbers,
        }
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[tokio::test]
    async fn people_are_suppressed_until_the_erasure_and_trackings_for_ever() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let lake = DiskLake::open(dir.path()).expect("lake");
        let empty = Suppressed::new(b"key", "k".to_owned());
        assert!(empty.refreshed(&lake).await.expect("list").is_empty());
        put(&lake, &an_entry(&["ada"], &[], false)).await.expect("put");
        put(&lake, &an_entry(&[], &["t1"], false)).await.expect("put");

        let list = empty.refreshed(&lake).await.expect("list");

        let (before, after) = (at("2026-07-09T12:00:00Z"), at("2026-07-09T12:00:00.000001Z"));
        let extent = Some(Extent { with_numbers: false });
        assert_eq!(list.extent(&[], &texts(&["bob", "ada"]), before), extent);
        assert_eq!(list.extent(&[], &texts(&["ada"]), after), None);
        assert_eq!(list.extent(&texts(&["t1"]), &[], after), extent);
        assert_eq!(list.extent(&texts(&["t2"]), &texts(&["bob"]), before), None);
        assert!(list.has_tracking("t1", false) && !list.has_tracking("t1", true));

        put(&lake, &an_entry(&[], &["t1"], true)).await.expect("put");
        let list = list.refreshed(&lake).await.expect("list");
        assert_eq!(list.extent(&texts(&["t1"]), &[], after), Some(Extent { with_numbers: true }));
    }

    #[tokio::test]
    async fn an_erasure_is_open_until_it_is_marked() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let lake = DiskLake::open(dir.path()).expect("lake");
        let empty = Suppressed::new(b"key", "k".to_owned());
        put(&lake, &an_entry(&["ada"], &[], false)).await.expect("put");

        let list = empty.refreshed(&lake).await.expect("list");
        assert_eq!(list.open().map(|open| open.subject.as_str()).collect::<Vec<_>>(), ["ada"]);

        close(&lake, "e1").await.expect("put");
        assert_eq!(list.refreshed(&lake).await.expect("list").open().count(), 0);
        let whole = empty.refreshed(&lake).await.expect("list");
        assert!(whole.open().count() == 0 && !whole.is_empty());
    }

    #[tokio::test]
    async fn a_list_that_cannot_be_used_is_an_error() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let lake = DiskLake::open(dir.path()).expect("lake");
        put(&lake, &an_entry(&["ada"], &[], false)).await.expect("put");
        let other = Suppressed::new(b"other", "o".to_owned()).refreshed(&lake).await;
        assert!(matches!(other, Err(ListError::Unusable(why)) if why.contains("WAYBILL_PRIVACY_KEY")));

        lake.put_new("suppressed/e2-x.json", Bytes::from_static(b"{}")).await.expect("put");
        let damaged = Suppressed::new(b"key", "k".to_owned()).refreshed(&lake).await;
        assert!(matches!(damaged, Err(ListError::Unusable(_))));
    }
}
