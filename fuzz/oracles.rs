//! What an input must lead to, found out in another way than the program does, or by what may never differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use axum::http::HeaderMap;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use waybill::aftership::signature::{Product, SignatureError, TRACKING_HEADER};
use waybill::aftership::time::parse_instant;
use waybill::aftership::tracking::Tracking;
use waybill::aftership::webhook;
use waybill::event::json::{self, Json, JsonError};
use waybill::event::line::{LINE_BYTES_MAX, decode, encode, encode_read, from_message, to_message};
use waybill::event::{Event, is_plausible, truncate_to_micros};
use waybill::load::{facts, reject};
use waybill::settings::{Need, Purpose, Settings};
use waybill::warehouse::rows::{FileRows, Snapshot};

const RETURNS_HEADER: &str = "as-signature-hmac-sha256";
const SHIPPING_HEADER: &str = "am-webhook-signature";
const HEADERS: [(&str, &[Product]); 3] = [
    (TRACKING_HEADER, &[Product::Tracking]),
    (RETURNS_HEADER, &[Product::Returns]),
    (SHIPPING_HEADER, &[Product::Returns, Product::Shipping]),
];

/// Longest tracking id that is loaded, bytes.
const ID_BYTES_MAX: usize = 1_000;

/// Why a line may be rejected. That the reader failed is none of them.
const LINE_REASONS: [&str; 11] = [
    "line_too_long",
    "line_not_json",
    "line_version",
    "line_field",
    "body_changed",
    "tracking_id_too_long",
    "empty",
    "not_json",
    "too_deep",
    "not_an_object",
    "no_tracking",
];

/// Whose signature a request carries. `right`: the signatures of its body under the first and the second secret.
pub fn signer(
    products: &[Product],
    headers: &HeaderMap,
    right: &[String; 2],
) -> Result<&'static str, SignatureError> {
    let values = |is_configured: bool| {
        let mut values = Vec::new();
        for (name, of) in HEADERS {
            if of.iter().any(|product| products.contains(product)) == is_configured {
                values.extend(headers.get_all(name).into_iter().map(|value| (name, value.as_bytes())));
            }
        }
        values
    };
    let place =
        |text: &[u8]| right.iter().position(|right| right.as_bytes() == text).map(|index| ["1", "2"][index]);
    match values(true).as_slice() {
        [] => match values(false).into_iter().find_map(|(name, value)| Some((name, digest(name, value)?))) {
            Some((header, text)) if place(text).is_some() => Err(SignatureError::WrongProduct { header }),
            _ => Err(SignatureError::Missing),
        },
        [(name, value)] => match digest(name, value) {
            Some(text) => place(text).ok_or(SignatureError::Mismatch),
            None => Err(SignatureError::Malformed),
        },
        _ => Err(SignatureError::Repeated),
    }
}

/// A signature's text, if it has the one form of 32 bytes: they leave the last two bits of the 43rd character empty.
fn digest<'v>(name: &str, value: &'v [u8]) -> Option<&'v [u8]> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let place = |character: &u8| ALPHABET.iter().position(|known| known == character);
    let mut value = value.trim_ascii();
    if name == SHIPPING_HEADER {
        value = value.strip_prefix(b"hmac-sha256=").unwrap_or(value);
    }
    let is_digest = value.len() == 44
        && value[..42].iter().all(|character| place(character).is_some())
        && place(&value[42]).is_some_and(|place| place.is_multiple_of(4))
        && value[43] == b'=';
    is_digest.then_some(value)
}

/// Our reader takes exactly the JSON that another one takes, as far down as it reads, and reads the same in it.
pub fn reader_keeps_to_the_grammar(bytes: &[u8]) {
    let ours = json::parse(bytes);
    for levels in 0..3 {
        match (&ours, json::parse_levels(bytes, levels)) {
            (Ok(all), Ok(few)) => {
                assert_eq!(few.root, pruned(&all.root, levels));
                assert_eq!(few.has_lone_surrogate, all.has_lone_surrogate);
                assert_eq!(few.has_line_break, all.has_line_break);
            }
            (all, few) => assert_eq!(all.as_ref().err(), few.as_ref().err()),
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        assert_eq!(ours, Err(JsonError::NotUtf8));
        return;
    };
    // Passing over a value knows no limit of depth, of numbers or of surrogates: it is the grammar alone.
    let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
    match ours {
        Err(JsonError::TooDeep) => {}
        Err(_) => assert!(!is_json, "refused, but it is JSON"),
        Ok(document) => {
            assert!(is_json, "taken, but it is no JSON");
            if let Ok(value) = serde_json::from_str::<Value>(text)
                && !document.has_lone_surrogate
            {
                assert!(reads_like(&document.root, &value), "read otherwise than by another reader");
            }
        }
    }
}

/// What is left of a value when only so many levels are kept.
fn pruned<'a>(value: &Json<'a>, levels: usize) -> Json<'a> {
    match value {
        Json::Object(_) if levels == 0 => Json::Object(Vec::new()),
        Json::Array(_) if levels == 0 => Json::Array(Vec::new()),
        Json::Object(pairs) => {
            Json::Object(pairs.iter().map(|(key, value)| (key.clone(), pruned(value, levels - 1))).collect())
        }
        Json::Array(values) => Json::Array(values.iter().map(|value| pruned(value, levels - 1)).collect()),
        other => other.clone(),
    }
}

fn reads_like(ours: &Json<'_>, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Json::Null, Value::Null) => true,
        (Json::Bool(ours), Value::Bool(theirs)) => ours == theirs,
        (Json::String(ours), Value::String(theirs)) => **ours == **theirs,
        (Json::Number(_), Value::Number(number)) => {
            number.as_i64().is_none_or(|number| ours.as_i64() == Some(number))
        }
        (Json::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|(ours, theirs)| reads_like(ours, theirs))
        }
        (Json::Object(pairs), Value::Object(members)) => {
            let last = |name: &str| pairs.iter().rev().find(|(key, _)| **key == *name);
            pairs.iter().all(|(key, _)| members.contains_key(&**key))
                && members
                    .iter()
                    .all(|(name, theirs)| last(name).is_some_and(|(_, ours)| reads_like(ours, theirs)))
        }
        _ => false,
    }
}

/// An event survives line and message unchanged, in either form of its body.
pub fn comes_back(event: &Event) {
    for line in [encode(event), encode_read(event, None)] {
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r'), "a line has a line break");
        assert_eq!(decode(&line).ok().as_ref(), Some(event));
        if line.len() <= LINE_BYTES_MAX {
            assert_eq!(from_message(&to_message(&line)).ok(), Some(line));
        }
    }
}

/// Every instant is one that a warehouse can hold, and follows from its text; an older id says something.
pub fn tracking_can_be_stored(tracking: &Tracking) {
    if let Some(legacy_id) = &tracking.legacy_id {
        assert!(!tracking.is_test && *legacy_id != tracking.id && legacy_id.bytes().any(|byte| byte != b'0'));
    }
    let mut instants = vec![tracking.created_at, tracking.updated_at, tracking.event_at];
    if let Some(estimate) = &tracking.estimated_delivery {
        assert!(["latest", "courier", "aftership", "custom"].contains(&estimate.source));
        assert_eq!(estimate.at, parse_instant(&estimate.text));
        instants.push(estimate.at);
    }
    if let Some((text, at)) = &tracking.promised_delivery {
        assert_eq!(*at, parse_instant(text));
        instants.push(*at);
    }
    for checkpoint in &tracking.checkpoints {
        assert_eq!(checkpoint.at, checkpoint.checkpoint_time.as_deref().and_then(parse_instant));
        instants.extend([checkpoint.at, checkpoint.created_at]);
    }
    assert!(instants.into_iter().flatten().all(can_be_stored));
}

/// A plausible instant of whole microseconds.
pub fn can_be_stored(instant: Timestamp) -> bool {
    is_plausible(instant) && truncate_to_micros(instant) == instant
}

/// The rows of a snapshot: each checkpoint once, counted, in order, without U+0000.
pub fn rows_can_be_stored(tracking: &Tracking, body_sha256: &str) {
    let Snapshot { tracking: row, checkpoints } = facts::snapshot(tracking, body_sha256);
    let keys: BTreeSet<&str> = checkpoints.iter().map(|row| row.checkpoint_key.as_str()).collect();
    assert_eq!(keys.len(), checkpoints.len(), "a checkpoint is there twice");
    assert_eq!(i32::try_from(keys.len()), Ok(row.checkpoint_count));
    assert!(checkpoints.is_sorted_by(|a, b| a.position < b.position));
    let texts = [&row.legacy_id, &row.tracking_number, &row.courier, &row.tag, &row.subtag_message];
    let scans = checkpoints.iter().flat_map(|row| [&row.message, &row.location, &row.raw_tag, &row.hash]);
    assert!(!row.source_tracking_id.contains('\0'));
    assert!(texts.into_iter().chain(scans).flatten().all(|text| !text.contains('\0')));
}

/// Why a body that came in a line of ours is not loaded; `None`: it is.
pub fn why_not_loaded(body: &[u8]) -> Option<&'static str> {
    match webhook::read(body) {
        Ok(webhook) => (webhook.tracking_id().len() > ID_BYTES_MAX).then_some("tracking_id_too_long"),
        Err(unreadable) => Some(unreadable.reason()),
    }
}

/// Each line is an event or rejected, and not both; what is kept of a rejected one can be stored.
pub fn every_line_has_one_fate(rows: &FileRows) {
    let rejected = rows.rejects.iter().map(|row| row.line);
    let mut numbers: Vec<u64> = rows.events.iter().map(|row| row.line).chain(rejected).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=rows.lines));
    for reject in &rows.rejects {
        assert!(LINE_REASONS.contains(&reject.reason), "line {}: {}", reject.line, reject.reason);
        assert!(reject.text.chars().count() <= reject::TEXT_MAX && !reject.text.contains('\0'));
    }
}

/// Lines of a text; the last one may lack its line feed. A line feed and nothing else is no line.
pub fn lines_in(text: &[u8]) -> u64 {
    let feeds = text.iter().filter(|byte| **byte == b'\n').count();
    let is_open = text.last().is_some_and(|byte| *byte != b'\n');
    if text == b"\n" { 0 } else { feeds as u64 + u64::from(is_open) }
}

/// Snapshots by the id of their tracking, of which each has one.
pub fn by_tracking(snapshots: Vec<Snapshot>) -> BTreeMap<String, Snapshot> {
    let count = snapshots.len();
    let id = |snapshot: &Snapshot| snapshot.tracking.source_tracking_id.clone();
    let by_id: BTreeMap<_, _> = snapshots.into_iter().map(|snapshot| (id(&snapshot), snapshot)).collect();
    assert_eq!(by_id.len(), count, "a tracking has more than one snapshot");
    by_id
}

/// Whatever was given, what goes on from here keeps its limits.
pub fn settings_keep_their_limits(settings: &Settings) {
    let (millis, hours) = (Duration::from_millis, |hours: u64| Duration::from_secs(hours * 3_600));
    assert!((millis(50)..=millis(300_000)).contains(&settings.batch_age));
    assert!((millis(1_000)..=hours(12)).contains(&settings.batch_lease));
    assert!((millis(50)..=hours(24)).contains(&settings.load_interval));
    assert!(settings.drain_delay <= millis(10_000));
    assert!((1_024..=128 * 1_024 * 1_024).contains(&settings.batch_bytes));
    assert!((1..=1_000_000).contains(&settings.connections_max));
    assert!((1..=100_000).contains(&settings.requests_max));
    assert!(!settings.signature_products.is_empty());
}

/// Settings without a fault have all that was asked for, and let nobody in.
pub fn settings_are_whole(settings: &Settings, purpose: &Purpose) {
    for need in &purpose.needs {
        let is_there = match need {
            Need::Receiving => purpose.is_demo || !settings.webhook_secrets.is_empty(),
            Need::Queue => settings.queue.is_some(),
            Need::Lake => settings.lake.is_some(),
            Need::Warehouse => settings.warehouse.is_some(),
            Need::Retail => settings.retail.is_some(),
            Need::Api => settings.aftership_api_key.is_some(),
        };
        assert!(is_there, "{need:?} is missing");
    }
    assert!(settings.webhook_secrets.iter().all(|secret| secret.expose().chars().count() >= 16));
    let is_open = settings.ops_listen.is_some_and(|listen| !listen.ip().is_loopback());
    let has_token = settings.ops_token.as_ref().is_some_and(|token| token.expose().len() >= 16);
    assert!(!is_open || has_token, "the admin API is open");
}

/// Lower-case hex of so many digits.
pub fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The JSON form of a value reads back as that value.
pub fn json_reads_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let written = serde_json::to_vec(value).expect("it has a JSON form");
    assert_eq!(serde_json::from_slice::<T>(&written).ok().as_ref(), Some(value));
}
