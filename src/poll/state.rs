//! How far the poll has come, kept in the lake: one small JSON object, whole at every moment.
//!
//! It is written only after everything it speaks of is durable in the queue. A crash before that repeats some pages, and
//! the warehouse knows their events by key. Two pollers on one lake would overwrite each other's; either state is right.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::aftership::api::Next;
use crate::lake::{Lake, LakeError, Put, layout};

/// Version of the format.
const VERSION: u32 = 1;

/// How far the poll has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Version of the format, 1.
    pub v: u32,
    /// All updates until then were asked for, and are in the queue.
    #[serde(with = "instant_or_null")]
    pub until: Option<Timestamp>,
    /// A window that was begun and not read to its end.
    pub unfinished: Option<Unfinished>,
    /// Contents that the next window may bring again: part of the key, and `updated_at` in seconds since 1970.
    pub seen: BTreeMap<String, i64>,
}

impl Default for State {
    fn default() -> Self {
        State { v: VERSION, until: None, unfinished: None, seen: BTreeMap::new() }
    }
}

/// A window, or a piece of one, and where in it to go on. Both ends stay as they are until it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// Updated at or after.
    #[serde(with = "crate::event::instant_text")]
    pub from: Timestamp,
    /// Updated at or before.
    #[serde(with = "crate::event::instant_text")]
    pub until: Timestamp,
    /// What AfterShip said last; `None`: from the beginning.
    pub next: Option<Next>,
    /// The instant that somebody asked for, if this window is for that.
    #[serde(with = "instant_or_null")]
    pub since: Option<Timestamp>,
    /// Where the whole ends, if this is a piece of a window that could not be read in one go.
    #[serde(default, with = "instant_or_null")]
    pub whole_until: Option<Timestamp>,
}

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The lake.
    #[error("cannot read or write {}", layout::POLL_STATE)]
    Lake(#[from] LakeError),
    /// Will not heal by itself: damaged, or written by a newer program.
    #[error(
        "cannot use {}: {}; without it the poll begins again as far back as AfterShip goes, which adds no second fact",
        layout::POLL_STATE,
        .0
    )]
    Unusable(String),
}

/// Reads it; `None` before the first poll.
pub async fn load(lake: &dyn Lake) -> Result<Option<State>, StateError> {
    let body = match lake.get(layout::POLL_STATE).await {
        Ok(body) => body,
        Err(LakeError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let state: State =
        serde_json::from_slice(&body).map_err(|error| StateError::Unusable(error.to_string()))?;
    if state.v != VERSION {
        let v = state.v;
        return Err(StateError::Unusable(format!(
            "it has version {v}, this program reads version {VERSION}"
        )));
    }
    Ok(Some(state))
}

/// Keeps it.
pub async fn save(lake: &dyn Lake, state: &State) -> Result<(), StateError> {
    let body = Bytes::from(serde_json::to_vec(state).expect("a state always has a JSON form"));
    match lake.replace(layout::POLL_STATE, body.clone()).await {
        Err(LakeError::NotFound(_)) => {}
        outcome => return outcome.map_err(StateError::from),
    }
    match lake.put_new(layout::POLL_STATE, body.clone()).await? {
        Put::Created => Ok(()),
        // Another poller began in the same moment.
        Put::AlreadyThere => lake.replace(layout::POLL_STATE, body).await.map_err(StateError::from),
    }
}

/// An instant as in lines, or `null`.
pub(super) mod instant_or_null {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use crate::event::{format_instant, truncate_to_micros};

    pub(crate) fn serialize<S: Serializer>(
        instant: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        instant.map(format_instant).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map(truncate_to_micros).map_err(de::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use crate::lake::disk::DiskLake;

    use super::*;

    fn state(next: Next) -> State {
        let at = |text: &str| text.parse().expect("an instant");
        State {
            v: VERSION,
            until: Some(at("2026-07-09T12:00:00Z")),
            unfinished: Some(Unfinished {
                from: at("2026-07-09T11:50:00Z"),
                until: at("2026-07-09T12:05:00Z"),
                next: Some(next),
                since: None,
                whole_until: Some(at("2026-07-09T12:10:00Z")),
            }),
            seen: BTreeMap::from([("0a".repeat(16), 1_783_598_400)]),
        }
    }

    #[tokio::test]
    async fn a_state_comes_back_as_it_was_saved() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let lake = DiskLake::open(dir.path()).expect("a lake");
        assert_eq!(load(&lake).await.expect("readable"), None);

        for next in [Next::Cursor("c+/=".to_owned()), Next::Page(7)] {
            save(&lake, &state(next.clone())).await.expect("saved");

            assert_eq!(load(&lake).await.expect("readable"), Some(state(next)));
        }
    }

    #[tokio::test]
    async fn a_state_from_before_there_were_pieces_is_read() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let lake = DiskLake::open(dir.path()).expect("a lake");
        let earlier = r#"{"v":1,"until":null,"unfinished":{"from":"2026-07-09T11:50:00Z","until":"2026-07-09T12:05:00Z","next":{"page":7},"since":null},"seen":{}}"#;
        lake.put_new(layout::POLL_STATE, Bytes::from(earlier)).await.expect("put");

        let window = load(&lake).await.expect("readable").and_then(|state| state.unfinished);

        let window = window.expect("a window");
        assert_eq!((window.next, window.whole_until), (Some(Next::Page(7)), None));
    }

    #[tokio::test]
    async fn a_state_that_cannot_be_read_is_an_error_and_no_beginning() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let lake = DiskLake::open(dir.path()).expect("a lake");
        let newer = r#"{"v":2,"until":null,"unfinished":null,"seen":{}}"#;
        lake.put_new(layout::POLL_STATE, Bytes::from_static(b"{\"v\":1,")).await.expect("put");
        assert!(matches!(load(&lake).await, Err(StateError::Unusable(_))));

        lake.replace(layout::POLL_STATE, Bytes::from(newer)).await.expect("put");
        let error = load(&lake).await.expect_err("newer").to_string();
        assert!(error.contains("version 2") && error.contains(layout::POLL_STATE), "{error}");
    }
}
