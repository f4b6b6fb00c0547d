//! The second place: every event's bytes for ever, as objects that are written once. Only erasing a person changes one.
//!
//! The promise, held by one contract suite (`tests/contracts/lake.rs`) for every backend:
//! - [`Lake::put_new`] creates an object whole or not at all, durable when it returns. Among concurrent puts of
//!   one key exactly one is [`Put::Created`].
//! - [`Lake::replace`] puts other bytes into an object: who reads it sees the old ones or the new ones, whole. Its name
//!   stays, so that whatever names it goes on being right.
//! - [`Lake::list`] is in byte order of keys, complete up to what existed when it was called.
//!
//! Keys are made in [`layout`] alone, are relative to the lake's root and use `/`.

pub mod audit;
pub mod between;
pub mod dead_letter;
pub mod disk;
pub mod layout;
pub mod manifest;
pub mod object;
pub mod receipt;
pub mod s3;
pub mod suppressed;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

/// What a conditional put did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The object is new.
    Created,
    /// An object of that key was there already and is unchanged.
    AlreadyThere,
}

/// One object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Key below the lake's root.
    pub key: String,
    /// Size in bytes.
    pub bytes: u64,
    /// When it was written, by the store's clock.
    pub modified_at: Timestamp,
}

/// Why a lake call failed.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// No object of that key, or none that can be read now (archived).
    #[error("no object {0}")]
    NotFound(String),
    /// Larger than anything we read.
    #[error("{key} is larger than {limit} bytes")]
    TooLarge {
        /// The object.
        key: String,
        /// Bytes.
        limit: usize,
    },
    /// May heal: the network, a throttle, a full disk.
    #[error("lake unavailable: {0}")]
    Unavailable(String),
    /// Will not heal by itself: wrong bucket, no permission.
    #[error("lake refused: {0}")]
    Refused(String),
}

/// An object store with conditional puts.
#[async_trait]
pub trait Lake: Send + Sync + 'static {
    /// Creates `key` unless it exists. Durable when it returns.
    async fn put_new(&self, key: &str, body: Bytes) -> Result<Put, LakeError>;

    /// Puts `body` in the place of an object that is there. Durable when it returns. For erasing, and for the one object that
    /// says how far a poll has come.
    async fn replace(&self, key: &str, body: Bytes) -> Result<(), LakeError>;

    /// The whole object.
    async fn get(&self, key: &str) -> Result<Bytes, LakeError>;

    /// Up to 1,000 objects whose keys begin with `prefix` and are greater than `after`, in byte order.
    /// Fewer than asked for, even none, only at the end of the listing.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Object>, LakeError>;

    /// Checks that the place can be reached and written, changing nothing that anybody reads.
    async fn probe(&self) -> Result<(), LakeError>;

    /// What operators call it: `disk` or `s3`.
    fn kind(&self) -> &'static str;
}

/// Page size of [`Lake::list`].
pub const LIST_PAGE: usize = 1_000;

/// Lists everything below `prefix` that is greater than `after`, page by page.
pub async fn list_all(lake: &dyn Lake, prefix: &str, after: Option<&str>) -> Result<Vec<Object>, LakeError> {
    let mut objects: Vec<Object> = Vec::new();
    loop {
        let after = objects.last().map(|object| object.key.clone()).or_else(|| after.map(str::to_owned));
        let page = lake.list(prefix, after.as_deref()).await?;
        let is_last = page.len() < LIST_PAGE;
        objects.extend(page);
        if is_last {
            return Ok(objects);
        }
    }
}
