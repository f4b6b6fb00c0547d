//! What a tracking says, whatever way it is written.

use std::collections::BTreeMap;

use crate::event::json::{self, Document, Json};
use crate::event::{BodySha256, EventKey};

/// Members of a tracking that change by themselves: how often AfterShip asked the courier.
const VOLATILE: &[&str] = &["tracked_count"];

/// The key of a snapshot: SHA-256 of what it says. Order of members, white space and `tracked_count` do not count; of a
/// repeated member the last one does. What the strict reader cannot hold exactly counts byte by byte.
pub fn content_key(tracking_json: &[u8]) -> EventKey {
    match json::parse(tracking_json) {
        Ok(document) => key_of(&document, &document.root, tracking_json),
        Err(_) => EventKey::from_text(&BodySha256::of(tracking_json).to_hex()),
    }
}

/// The same of a tracking that was read already, as a part of `document`.
pub(super) fn key_of(document: &Document<'_>, tracking: &Json<'_>, written: &[u8]) -> EventKey {
    // Lone surrogates all read as the same character.
    if document.has_lone_surrogate {
        return EventKey::from_text(&BodySha256::of(written).to_hex());
    }
    let mut text = Vec::with_capacity(written.len());
    write_canonical(tracking, VOLATILE, &mut text);
    EventKey::from_text(&BodySha256::of(&text).to_hex())
}

/// Writes a value in the one form that all its spellings share, without the members named in `without`.
fn write_canonical(value: &Json<'_>, without: &[&str], text: &mut Vec<u8>) {
    match value {
        Json::Null => text.extend_from_slice(b"null"),
        Json::Bool(true) => text.extend_from_slice(b"true"),
        Json::Bool(false) => text.extend_from_slice(b"false"),
        Json::Number(digits) => text.extend_from_slice(digits.as_bytes()),
        Json::String(string) => write_string(string, text),
        Json::Array(values) => {
            text.push(b'[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                write_canonical(value, &[], text);
            }
            text.push(b']');
        }
        Json::Object(pairs) => {
            let mut members: BTreeMap<&str, &Json<'_>> = BTreeMap::new();
            for (name, value) in pairs {
                members.insert(name.as_ref(), value);
            }
            members.retain(|name, _| !without.contains(name));
            text.push(b'{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                write_string(name, text);
                text.push(b':');
                write_canonical(value, &[], text);
            }
            text.push(b'}');
        }
    }
}

fn write_string(string: &str, text: &mut Vec<u8>) {
    serde_json::to_writer(text, string).expect("a string always has a JSON form");
}
