//! A parcel as AfterShip's REST API shows it at one moment.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;

use super::versions::{Version, reshape};

/// A parcel at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// AfterShip's id of it, 32 hexadecimal digits.
    pub id: String,
    /// Its id before 2024-07, by which it is still found.
    pub legacy_id: String,
    /// Which of the parcel's events it is of, from 0; a greater one is newer.
    pub number: usize,
    /// The parcel has no event after this one.
    pub is_last: bool,
    /// When AfterShip began to track it; a whole second.
    pub created_at: Timestamp,
    /// When AfterShip changed it last; a whole second.
    pub updated_at: Timestamp,
    /// The tracking as JSON, in the newest version's shape.
    pub msg: String,
}

impl Snapshot {
    /// The tracking as JSON, in the shape of a version of the API.
    pub fn in_version(&self, version: Version) -> Cow<'_, str> {
        if version >= Version::V2026_07 {
            return Cow::Borrowed(&self.msg);
        }
        match serde_json::from_str(&self.msg) {
            Ok(Value::Object(mut msg)) => {
                reshape(&mut msg, version);
                Cow::Owned(Value::Object(msg).to_string())
            }
            _ => Cow::Borrowed(&self.msg),
        }
    }
}
