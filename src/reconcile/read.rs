//! What the lake holds of some minutes.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use futures_util::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tracing::warn;

use crate::aftership::{api, webhook};
use crate::event::minute_of;
use crate::event::{Event, EventKey, Redacted, Source, identity, json, line};
use crate::lake::between::list_between;
use crate::lake::manifest::Manifest;
use crate::lake::{Lake, LakeError, Object, layout, object};
use crate::warehouse::rows::clean;

use super::Span;
use super::bag::Bag;
use super::evidence::{Contents, Letter, Line, State};
use super::minutes::{minutes, word};

/// Most that one object may unpack to, as for the loader.
const OBJECT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Objects read at once.
const READS: usize = 4;
/// Manifests and dead letters read at once.
const SMALL_READS: usize = 16;
/// What stands in place of a line that could not be read and was about somebody erased.
const ERASED_LINE: &[u8] = br#"{"v":1,"erased":true}"#;
/// How long after its minute an object is looked for among the manifests. One that landed later is read instead.
const LANDING: SignedDuration = SignedDuration::from_hours(1);

/// An object in the lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) key: String,
    pub(super) landed_at: Timestamp,
    pub(super) bytes: u64,
}

/// What a manifest says of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) bag: Bag,
    /// As stored. Nothing but an erasure changes them.
    pub(super) bytes: u64,
}

/// What of a dead letter is looked at; its body is not kept.
#[derive(Debug, Deserialize)]
struct LetterHead {
    event_key: Option<String>,
    source: Option<String>,
    #[serde(with = "crate::event::instant_text")]
    received_at: Timestamp,
}

/// Which minute a key lies in, of those of a span.
#[derive(Debug, Clone, Default)]
pub(super) struct Folders(BTreeMap<String, Timestamp>);

impl Folders {
    /// The folders of a span.
    pub(super) fn of(span: Span) -> Folders {
        Folders(minutes(span.from, span.until).map(|minute| (layout::events_of(minute), minute)).collect())
    }

    /// The minute that an object of events lies in.
    pub(super) fn minute(&self, key: &str) -> Option<Timestamp> {
        let until_it = (Bound::Unbounded, Bound::Included(key));
        let (folder, minute) = self.0.range::<str, _>(until_it).next_back()?;
        (key.starts_with(folder.as_str()) && layout::is_events_key(key)).then_some(*minute)
    }
}

/// The objects of events of a span.
pub(super) async fn objects(lake: &dyn Lake, span: Span) -> Result<Vec<Listed>, LakeError> {
    let (from, until) = (layout::events_of(span.from), layout::events_of(span.until));
    let objects = list_between(lake, layout::EVENTS, &from, &until).await?;
    let events = objects.into_iter().filter(|object| layout::is_events_key(&object.key));
    let listed =
        |object: Object| Listed { key: object.key, landed_at: object.modified_at, bytes: object.bytes };
    Ok(events.map(listed).collect())
}

/// What manifests say of the objects that they name, written while a span's events landed.
pub(super) async fn manifests(lake: &dyn Lake, span: Span) -> Result<HashMap<String, Named>, LakeError> {
    let until = span.until.checked_add(LANDING).unwrap_or(Timestamp::MAX);
    let (from, until) = (layout::manifests_after(span.from), layout::manifests_after(until));
    let objects = list_between(lake, layout::MANIFESTS, &from, &until).await?;
    let keys: Vec<String> = objects.into_iter().map(|object| object.key).collect();
    let mut bodies =
        stream::iter(keys).map(|key| async move { (lake.get(&key).await, key) }).buffered(SMALL_READS);
    let mut named = HashMap::new();
    while let Some((outcome, key)) = bodies.next().await {
        let body = match outcome {
            Ok(body) => body,
            Err(LakeError::NotFound(_)) => continue,
            Err(error) => return Err(error),
        };
        match Manifest::from_json(&body) {
            Ok(manifest) => {
                let bags = manifest.objects.into_iter().filter_map(|object| {
                    let bag = Bag::from_hex(object.lines, &object.keys_hash)?;
                    Some((object.key, Named { bag, bytes: object.bytes }))
                });
                named.extend(bags);
            }
            // Its objects are read instead.
            Err(error) => warn!(manifest = %key, %error, "cannot read a manifest"),
        }
    }
    Ok(named)
}

/// The dead letters of a span that were events of ours, by minute.
pub(super) async fn letters(
    lake: &dyn Lake,
    span: Span,
) -> Result<BTreeMap<Timestamp, Vec<Letter>>, LakeError> {
    let day_behind = span.until.checked_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
    // No id is empty, so both are what lies before all letters of their days.
    let (first, behind) = (layout::dead_letter_key(span.from, ""), layout::dead_letter_key(day_behind, ""));
    let objects = list_between(lake, layout::DEAD_LETTERS, &first, &behind).await?;
    let keys: Vec<String> = objects.into_iter().map(|object| object.key).collect();
    let mut heads = stream::iter(keys).map(|key| letter_head(lake, key)).buffered(SMALL_READS);
    let mut letters: BTreeMap<Timestamp, Vec<Letter>> = BTreeMap::new();
    while let Some(head) = heads.next().await {
        let Some(head) = head? else { continue };
        if let (Some(key), Some(source)) = (head.event_key, head.source)
            && (span.from..span.until).contains(&head.received_at)
        {
            let minute = minute_of(head.received_at);
            letters.entry(minute).or_default().push(Letter { key, source: word(&source) });
        }
    }
    Ok(letters)
}

/// `None`: its retention ended meanwhile, or it is damaged, which must not hide the others.
async fn letter_head(lake: &dyn Lake, key: String) -> Result<Option<LetterHead>, LakeError> {
    let body = match lake.get(&key).await {
        Ok(body) => body,
        Err(LakeError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let head = serde_json::from_slice(&body);
    if let Err(error) = &head {
        warn!(path = %key, %error, "cannot read a dead letter, it is left out");
    }
    Ok(head.ok())
}

/// Reads objects, in the order asked for.
pub(super) async fn states(
    lake: &dyn Lake,
    keys: Vec<String>,
    is_deep: bool,
) -> Result<Vec<(String, State)>, LakeError> {
    let mut reading = stream::iter(keys)
        .map(|key| async move { (state(lake, key.clone(), is_deep).await, key) })
        .buffered(READS);
    let mut states = Vec::new();
    while let Some((outcome, key)) = reading.next().await {
        states.push((key, outcome?));
    }
    Ok(states)
}

async fn state(lake: &dyn Lake, key: String, is_deep: bool) -> Result<State, LakeError> {
    let body = match lake.get(&key).await {
        Ok(body) => body,
        Err(LakeError::NotFound(_)) => return Ok(State::Gone),
        Err(error @ LakeError::TooLarge { .. }) => return Ok(State::Damaged(error.to_string())),
        Err(error) => return Err(error),
    };
    tokio::task::spawn_blocking(move || contents(&key, &body, is_deep))
        .await
        .map_err(|_| LakeError::Unavailable("reading an object was interrupted".into()))
}

/// Reads an object's bytes. `is_deep`: hold them against its name, too.
fn contents(key: &str, body: &[u8], is_deep: bool) -> State {
    let unpacked = match object::unpack(key, body, OBJECT_BYTES_MAX) {
        Ok(unpacked) => unpacked,
        Err(error) => return State::Damaged(error.to_string()),
    };
    let mut contents = Contents::default();
    let is_other = is_deep && is_of_other_bytes(key, &unpacked);
    let mut is_erased = false;
    for (number, text) in (1..).zip(lines(&unpacked)) {
        match line::decode(text) {
            Ok(event) => {
                let is_erased_here = event.redacted == Some(Redacted::Erased);
                is_erased |= is_erased_here;
                if is_other && !is_erased_here && !agrees_with_itself(key, &event) {
                    contents.others.push(number);
                }
                contents.lines.insert(number, line_of(event));
            }
            Err(_) => {
                is_erased |= text == ERASED_LINE;
                contents.unread.push(number);
            }
        }
    }
    if is_other && !is_erased {
        contents.is_other = true;
        contents.others.clear();
    }
    State::Read(contents)
}

/// Erasing a line puts other bytes under an object's name, which says nothing of the other lines then. Each of them says
/// for itself what its key is made of and which folder it belongs into.
fn agrees_with_itself(file: &str, event: &Event) -> bool {
    let is_in_place = file.starts_with(&layout::events_of(event.received_at));
    // What less is left of a body than came can be checked no further.
    is_in_place && (event.redacted.is_some() || key_of(event) == event.event_key)
}

/// The key that an event's body asks for.
fn key_of(event: &Event) -> EventKey {
    match event.source {
        Source::Webhook => {
            let webhook = webhook::read_envelope(&event.body).ok();
            let event_id = webhook.as_ref().and_then(|webhook| webhook.event_id.as_deref());
            let is_test = webhook.as_ref().is_some_and(|webhook| webhook.is_test());
            identity::event_key(event_id, is_test, &event.body_sha256, event.received_at)
        }
        Source::Api => {
            let members = json::parse_members(&event.body).unwrap_or_default();
            let tracking = members.iter().rev().find(|(name, _)| name == "msg").map(|(_, text)| *text);
            api::content_key(tracking.unwrap_or_default().as_bytes())
        }
    }
}

fn line_of(event: Event) -> Line {
    Line {
        tracking: webhook::read_envelope(&event.body).ok().map(|webhook| clean(&webhook.tracking_id())),
        key: event.event_key.as_str().to_owned(),
        source: event.source.as_str(),
        received_at: event.received_at,
        body_sha256: event.body_sha256.to_hex(),
        is_replay: event.replay_id.is_some(),
    }
}

/// Our names are the SHA-256 of what is packed; those of other writers are their own business.
fn is_of_other_bytes(key: &str, unpacked: &[u8]) -> bool {
    let name = key.rsplit('/').next().unwrap_or(key);
    let stem = name.split('.').next().unwrap_or(name);
    let is_ours = stem.len() == 64 && stem.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_ours && hex::encode(Sha256::digest(unpacked)) != stem
}

/// As the loader counts them: a line ends with a line feed, the last one may lack it, an empty line is a line.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let is_empty = text.is_empty();
    text.split(|byte| *byte == b'\n').filter(move |_| !is_empty)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("instant")
    }

    fn a_line(id: &str) -> Vec<u8> {
        let body = Bytes::from(format!(r#"{{"msg":{{"id":"{id}"}}}}"#));
        let mut line = line::encode(&Event::received(body, None, false, at("2026-07-09T12:00:00Z")));
        line.push(b'\n');
        line
    }

    fn read(key: &str, body: &[u8]) -> Contents {
        match contents(key, body, true) {
            State::Read(contents) => contents,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_keep_their_numbers_whatever_lies_between() {
        let body = [a_line("t1"), b"\nnot json\n".to_vec(), a_line("t2")].concat();

        let contents = read("events/x.jsonl", &body);

        assert_eq!(contents.lines.keys().copied().collect::<Vec<_>>(), [1, 4]);
        assert_eq!(contents.unread, [2, 3]);
        assert_eq!(contents.lines[&4].tracking.as_deref(), Some("t2"));
        assert_eq!(read("events/x.jsonl", b""), Contents::default());
    }

    #[test]
    fn bytes_that_are_not_those_of_the_name_are_told() {
        let body = a_line("t1");
        let name = hex::encode(Sha256::digest(&body));

        assert!(!read(&format!("events/{name}.jsonl"), &body).is_other);
        assert!(!read("events/of-somebody-else.jsonl", &body).is_other);
        assert!(read(&format!("events/{name}.jsonl"), &a_line("t2")).is_other);
        assert!(matches!(contents("events/x.jsonl.zst", b"no zstd", false), State::Damaged(_)));
    }

    #[test]
    fn an_erased_line_is_no_forgery() {
        let event = line::decode(a_line("t1").trim_ascii_end()).expect("own line");
        let body = Bytes::from_static(br#"{"msg":{"id":"t1","title":null}}"#);
        let mut erased = line::encode(&event.with_body(body, Redacted::Erased));
        erased.push(b'\n');

        assert!(!read(&format!("events/{}.jsonl", "0".repeat(64)), &erased).is_other);
    }

    #[test]
    fn lines_beside_an_erased_one_are_held_against_themselves() {
        let folder = layout::events_of(at("2026-07-09T12:00:00Z"));
        let file = format!("{folder}{}.jsonl", "0".repeat(64));
        let event = |id: &str| line::decode(a_line(id).trim_ascii_end()).expect("own line");
        let written = |event: &Event| [line::encode(event), b"\n".to_vec()].concat();
        let body = Bytes::from_static(br#"{"msg":{"id":"t1","title":null}}"#);
        let erased = written(&event("t1").with_body(body, Redacted::Erased));
        let forged = Event { event_key: EventKey::from_text("another"), ..event("t3") };
        let moved = Event { received_at: at("2026-07-09T12:07:00Z"), ..event("t4") };
        let json = Bytes::from_static(br#"{"id":"t5"}"#);
        let polled = Event::polled(api::envelope(&json), api::content_key(&json), event("t1").received_at);
        let text = [erased, a_line("t2"), written(&forged), written(&moved), written(&polled)].concat();

        let contents = read(&file, &text);

        assert!(!contents.is_other);
        assert_eq!(contents.others, [3, 4]);
        assert_eq!(read(&file, &a_line("t2")).others, [0; 0], "without an erasure it is the whole object");
    }

    #[test]
    fn a_key_lies_in_the_minute_of_its_folder() {
        let span = Span { from: at("2026-07-09T12:00:00Z"), until: at("2026-07-09T12:02:00Z") };
        let folders = Folders::of(span);

        let minute = |text: &str| folders.minute(&format!("{}x.jsonl", layout::events_of(at(text))));
        assert_eq!(minute("2026-07-09T12:01:00Z"), Some(at("2026-07-09T12:01:00Z")));
        assert_eq!(minute("2026-07-09T12:02:00Z"), None);
        assert_eq!(minute("2026-07-09T11:59:00Z"), None);
        assert_eq!(folders.minute("events/x.jsonl"), None);
    }
}
