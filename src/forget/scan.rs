//! Goes through all that rests in the lake: to find, and to erase.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::failpoint::failpoint;
use crate::lake::dead_letter::{self, DeadLetter};
use crate::lake::{Lake, LakeError, layout, list_all};

use super::look::{Seen, Wanted};

/// Objects looked at together.
const READS: usize = 4;

/// What was found in the lake.
#[derive(Default)]
pub(super) struct Found {
    pub(super) seen: Seen,
    /// Objects that hold something to erase.
    pub(super) objects: Vec<String>,
    /// Letters that do.
    pub(super) letters: Vec<String>,
    /// Objects and letters that do not unpack, or are too large: nobody knows what is in them.
    pub(super) unreadable: u64,
}

/// What one object or letter was.
enum Looked {
    Nothing,
    Object(String),
    Letter(String),
    Unreadable,
}

/// Looks through everything, changing nothing; `None` when it was told to stop. `progress` gets (done, of) in objects
/// and letters.
pub(super) async fn find(
    lake: &Arc<dyn Lake>,
    wanted: &Wanted,
    stop: &CancellationToken,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Option<Found>, LakeError> {
    let mut keys: Vec<String> = Vec::new();
    for prefix in [layout::EVENTS, layout::DEAD_LETTERS] {
        let objects = list_all(lake.as_ref(), prefix, None).await?;
        keys.extend(objects.into_iter().map(|object| object.key));
    }
    keys.retain(|key| key.starts_with(layout::DEAD_LETTERS) || layout::is_events_key(key));
    let of = keys.len() as u64;
    let mut found = Found::default();
    let mut looks =
        stream::iter(keys).map(|key| look_at(Arc::clone(lake), wanted.clone(), key)).buffered(READS);
    let mut done = 0;
    while let Some((looked, seen)) = looks.try_next().await? {
        found.seen.merge(seen);
        match looked {
            Looked::Nothing => {}
            Looked::Object(key) => found.objects.push(key),
            Looked::Letter(key) => found.letters.push(key),
            Looked::Unreadable => found.unreadable += 1,
        }
        done += 1;
        progress(done, of);
        if stop.is_cancelled() {
            return Ok(None);
        }
    }
    Ok(Some(found))
}

async fn look_at(lake: Arc<dyn Lake>, wanted: Wanted, key: String) -> Result<(Looked, Seen), LakeError> {
    let nothing = |looked| Ok((looked, Seen::default()));
    let body = match lake.get(&key).await {
        Ok(body) => body,
        // Its retention ended meanwhile.
        Err(LakeError::NotFound(_)) => return nothing(Looked::Nothing),
        Err(LakeError::TooLarge { .. }) => {
            warn!(path = %key, "too large to look into, nothing is erased in it");
            return nothing(Looked::Unreadable);
        }
        Err(error) => return Err(error),
    };
    let look = move || {
        let mut seen = Seen::default();
        if layout::is_events_key(&key) {
            let looked = match wanted.object(&key, &body, &mut seen) {
                Ok(Some(_)) => Looked::Object(key),
                Ok(None) => Looked::Nothing,
                Err(error) => {
                    warn!(path = %key, %error, "cannot look into an object, nothing is erased in it");
                    Looked::Unreadable
                }
            };
            return (looked, seen);
        }
        let Some((letter, original)) = letter(&body) else {
            warn!(path = %key, "cannot read a dead letter, nothing is erased in it");
            return (Looked::Unreadable, seen);
        };
        let goes = wanted.takes(&letter, &original, &mut seen);
        (if goes { Looked::Letter(key) } else { Looked::Nothing }, seen)
    };
    tokio::task::spawn_blocking(look)
        .await
        .map_err(|_| LakeError::Unavailable("looking into an object was interrupted".into()))
}

fn letter(body: &[u8]) -> Option<(DeadLetter, Vec<u8>)> {
    let letter: DeadLetter = serde_json::from_slice(body).ok()?;
    let original = letter.body().ok()?;
    Some((letter, original))
}

/// Erases in one object; gives the lines that changed.
pub(super) async fn erase_object(lake: &dyn Lake, wanted: &Wanted, key: &str) -> Result<u64, LakeError> {
    let body = match lake.get(key).await {
        Ok(body) => body,
        Err(LakeError::NotFound(_)) => return Ok(0),
        Err(error) => return Err(error),
    };
    let (owned, wanted) = (key.to_owned(), wanted.clone());
    let rewrite = move || {
        let mut seen = Seen::default();
        let instead = wanted.object(&owned, &body, &mut seen).ok().flatten();
        instead.map(|instead| (instead, seen.lines))
    };
    let rewritten = tokio::task::spawn_blocking(rewrite)
        .await
        .map_err(|_| LakeError::Unavailable("rewriting an object was interrupted".into()))?;
    let Some((instead, lines)) = rewritten else { return Ok(0) };
    failpoint!("forget.before_object");
    lake.replace(key, instead).await?;
    failpoint!("forget.after_object");
    Ok(lines)
}

/// Erases a letter.
pub(super) async fn erase_letter(lake: &dyn Lake, key: &str, at: Timestamp) -> Result<(), LakeError> {
    let body = match lake.get(key).await {
        Ok(body) => body,
        Err(LakeError::NotFound(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    if let Some((letter, _)) = letter(&body) {
        dead_letter::erase(lake, &letter, at).await?;
        failpoint!("forget.after_letter");
    }
    Ok(())
}
