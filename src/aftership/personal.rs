//! What of a body is personal data, and the body without it. Pure.
//!
//! [`FIELDS`] says where AfterShip puts what tells of a person, in all its versions. [`redact`] replaces the values
//! there and nothing else: every other byte stays as it came, so a redacted body has the same identity, the same
//! place in the order of snapshots (by the hash of the original) and the same facts. No column of the fact tables
//! is made of a listed field.
//!
//! Left alone on purpose: the ids and numbers of trackings and orders, by which everything is joined, and all that
//! couriers say in checkpoints, which the keys of checkpoints are made of. A courier that writes a name or a street
//! into a message is not caught, nor is a person named by a member's name, by a tag or by an order number.
//! `tracking_account_number` is the shop's own.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::event::json::{self, Json};

/// Where personal data stands: names of members from the root, `[]` after those that hold a list. Everything below
/// such a path is personal, also what AfterShip may add there later. A list counts as if it were not there, so a
/// value beside a list, or a list in place of a value, is found too.
pub const FIELDS: &[&str] = &[
    // The people: name, e-mail, phone, and since 2026-07 an id.
    // AfterShip Tracking, "Migration guide" to 2025-01 and model "Tracking" of 2025-01 to 2026-07.
    "msg.customers[]",
    // The same until 2024-10. Model "Tracking" of 2024-10 and before; legacy "Webhook specifications".
    "msg.customer_name",
    "msg.emails[]",
    "msg.smses[]",
    // Who asks to be told, and until 2023 by which devices. Model "Tracking"; legacy "Webhook specifications".
    "msg.subscribed_emails[]",
    "msg.subscribed_smses[]",
    "msg.android[]",
    "msg.ios[]",
    // Who took the parcel, and the photos of it. Model "Tracking"; "Webhook changelog" of 2026-07.
    "msg.signed_by",
    "msg.proof_of_delivery[]",
    // Where they live; of a return it is the origin. Model "Tracking".
    "msg.destination_raw_location",
    "msg.destination_city",
    "msg.destination_state",
    "msg.destination_postal_code",
    "msg.origin_raw_location",
    "msg.origin_city",
    "msg.origin_state",
    "msg.origin_postal_code",
    // Older names of the destination's, and what a courier asks for before it shows a parcel, for some a part of the
    // receiver's data. "Additional tracking fields" of legacy to 2025-04.
    "msg.tracking_postal_code",
    "msg.tracking_state",
    "msg.tracking_key",
    // Where they fetch it, and free text about it. The title is the tracking number unless the shop writes another.
    // Model "Tracking"; legacy "Webhook changelog", 4.2.
    "msg.pickup_location",
    "msg.pickup_note",
    "msg.note",
    "msg.title",
    // Links that carry an e-mail address (the order page of AfterShip, in base64), may carry a postal code (those of
    // couriers that ask for one), or open the delivery or the order to whoever has them. "Migration guide" to
    // 2024-10; model "Tracking".
    "msg.aftership_tracking_order_url",
    "msg.order_id_path",
    "msg.courier_tracking_link",
    "msg.courier_redirect_link",
    "msg.first_mile.courier_tracking_link",
    "msg.first_mile.courier_redirect_link",
    "msg.last_mile.courier_tracking_link",
    "msg.last_mile.courier_redirect_link",
];

/// Where a shop writes what it likes. AfterShip asks it to keep personal data out, and the ids of order lines have
/// no other place to travel in. So only what is plainly somebody's goes: a value with an e-mail address in it, or
/// one that is a phone number with its country (`+49 …`). Model "Tracking", `custom_fields`.
pub const CONTACT_FIELDS: &[&str] = &["msg.custom_fields"];

/// In front of every pseudonym.
const PSEUDONYM_PREFIX: &str = "hmac:";
/// Bytes of the MAC that a pseudonym shows.
const PSEUDONYM_BYTES: usize = 16;
/// Digits of a phone number with its country: ITU-T E.164 allows 15.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// What is done with personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Privacy {
    /// It stays as it came.
    Keep,
    /// A keyed hash stands in its place: equal for equal persons, and no way back without the key.
    Hash,
    /// `null` stands in its place.
    Drop,
}

impl Privacy {
    /// All of them.
    pub const ALL: [Privacy; 3] = [Privacy::Keep, Privacy::Hash, Privacy::Drop];

    /// The word used in settings and lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Privacy::Keep => "keep",
            Privacy::Hash => "hash",
            Privacy::Drop => "drop",
        }
    }
}

impl fmt::Display for Privacy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A word that names no way to treat personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be keep, hash or drop")]
pub struct UnknownPrivacy;

impl FromStr for Privacy {
    type Err = UnknownPrivacy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Privacy::ALL.into_iter().find(|privacy| privacy.as_str() == text).ok_or(UnknownPrivacy)
    }
}

/// The body with its personal data replaced and every other byte as it was. `None` when there is nothing to replace,
/// and when the strict reader does not take the body: then nobody knows what is in it, and it is no event.
///
/// Of a repeated member every occurrence counts. `null`, and text of white space only, stay: they tell of nobody.
/// With [`Privacy::Hash`] values that are pseudonyms already stay too, so that redacting twice changes nothing.
/// `key` makes the pseudonyms; with a short one they can be guessed.
pub fn redact(body: &[u8], privacy: Privacy, key: &[u8]) -> Option<Vec<u8>> {
    let keyed = match privacy {
        Privacy::Keep => return None,
        Privacy::Hash => Some(keyed_with(key)),
        Privacy::Drop => None,
    };
    // The reader checks grammar and depth of the whole text, so that the walk over it can be a simple one.
    json::parse_levels(body, 0).ok()?;
    let mut walk = Walk::new(std::str::from_utf8(body).ok()?, keyed);
    walk.gap();
    walk.value(&Place::root());
    walk.finish()
}

/// What stands for a person's name, address or number under this key: `hmac:` and 32 hex digits. White space around
/// it does not count, nor does the case of an e-mail address; a phone number counts as written.
pub fn pseudonym(text: &str, key: &[u8]) -> String {
    pseudonym_by(&keyed_with(key), text)
}

fn keyed_with(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn pseudonym_by(keyed: &Hmac<Sha256>, text: &str) -> String {
    let text = text.trim();
    // By ASCII only: the tables of Unicode grow, and a pseudonym must not change with them.
    let text = if is_email(text) { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) };
    let mac = keyed.clone().chain_update(text.as_bytes()).finalize().into_bytes();
    format!("{PSEUDONYM_PREFIX}{}", hex::encode(&mac[..PSEUDONYM_BYTES]))
}

fn is_pseudonym(text: &str) -> bool {
    text.strip_prefix(PSEUDONYM_PREFIX).is_some_and(|digits| {
        digits.len() == PSEUDONYM_BYTES * 2
            && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// An e-mail address somewhere in it, or nothing but a phone number with its country.
fn holds_contact(text: &str) -> bool {
    let is_between = |character: char| character.is_whitespace() || "<>()[]{}\"',;:=?&/|".contains(character);
    text.split(is_between).any(is_email) || is_phone(text.trim())
}

fn is_email(text: &str) -> bool {
    let is_domain = |domain: &str| domain.contains('.') && domain.ends_with(char::is_alphabetic);
    !text.contains(char::is_whitespace)
        && text
            .split_once('@')
            .is_some_and(|(name, domain)| !name.is_empty() && is_domain(domain.trim_end_matches('.')))
}

fn is_phone(text: &str) -> bool {
    let Some(number) = text.strip_prefix('+') else { return false };
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    PHONE_DIGITS.contains(&digits)
        && number.bytes().all(|byte| byte.is_ascii_digit() || b" -./()".contains(&byte))
}

/// What of a place's values goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Everything,
    Contacts,
}

/// The listed paths, each as the names of its members.
static PATHS: LazyLock<Vec<(Vec<&'static str>, What)>> = LazyLock::new(|| {
    let fields = FIELDS.iter().map(|field| (field, What::Everything));
    let contacts = CONTACT_FIELDS.iter().map(|field| (field, What::Contacts));
    fields
        .chain(contacts)
        .map(|(field, what)| (field.split('.').map(|name| name.trim_end_matches("[]")).collect(), what))
        .collect()
});

/// Where a value stands, seen from the listed paths.
enum Place {
    /// Nothing listed is here or below.
    Outside,
    /// Something listed is below: the rest of its paths.
    Above(Vec<(&'static [&'static str], What)>),
    /// In a listed field.
    Inside(What),
}

impl Place {
    fn root() -> Place {
        Place::Above(PATHS.iter().map(|(names, what)| (names.as_slice(), *what)).collect())
    }

    /// The place of a member. `name`: as written, with its quotes.
    fn member(&self, name: &str) -> Place {
        let paths = match self {
            Place::Outside => return Place::Outside,
            Place::Inside(what) => return Place::Inside(*what),
            Place::Above(paths) => paths,
        };
        let name = unescape(name);
        let mut below = Vec::new();
        for (names, what) in paths {
            match names.split_first() {
                Some((first, [])) if *first == name => return Place::Inside(*what),
                Some((first, rest)) if *first == name => below.push((rest, *what)),
                _ => {}
            }
        }
        if below.is_empty() { Place::Outside } else { Place::Above(below) }
    }
}

/// One pass over a text that the strict reader took; at most [`json::DEPTH_MAX`] calls deep.
struct Walk<'a> {
    text: &'a str,
    at: usize,
    /// Makes pseudonyms; without it values become null.
    keyed: Option<Hmac<Sha256>>,
    /// The redacted form of the text before `done`.
    written: Vec<u8>,
    done: usize,
}

impl<'a> Walk<'a> {
    fn new(text: &'a str, keyed: Option<Hmac<Sha256>>) -> Self {
        Walk { text, at: 0, keyed, written: Vec::new(), done: 0 }
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        if self.done == 0 {
            return None;
        }
        self.written.extend_from_slice(&self.text.as_bytes()[self.done..]);
        Some(self.written)
    }

    fn value(&mut self, place: &Place) {
        match self.peek() {
            Some(b'{') => self.object(place),
            Some(b'[') => self.array(place),
            _ => self.leaf(place),
        }
    }

    fn object(&mut self, place: &Place) {
        self.at += 1;
        self.gap();
        while self.peek() == Some(b'"') {
            let name = self.string();
            self.gap();
            self.value(&place.member(name));
            self.gap();
        }
        self.at += 1;
    }

    fn array(&mut self, place: &Place) {
        self.at += 1;
        self.gap();
        while self.peek().is_some_and(|byte| byte != b']') {
            self.value(place);
            self.gap();
        }
        self.at += 1;
    }

    fn leaf(&mut self, place: &Place) {
        let start = self.at;
        let written = if self.peek() == Some(b'"') { self.string() } else { self.word() };
        let Place::Inside(what) = place else { return };
        let Some(instead) = self.instead_of(written, *what) else { return };
        self.written.extend_from_slice(&self.text.as_bytes()[self.done..start]);
        self.written.extend_from_slice(instead.as_bytes());
        self.done = self.at;
    }

    /// What stands in the place of a leaf; `None`: it stays.
    fn instead_of(&self, written: &str, what: What) -> Option<String> {
        let text = unescape(written);
        let is_ours = is_pseudonym(&text);
        let tells_of_nobody = written == "null" || text.trim().is_empty();
        if tells_of_nobody || (what == What::Contacts && !is_ours && !holds_contact(&text)) {
            return None;
        }
        match &self.keyed {
            None => Some("null".to_owned()),
            Some(_) if is_ours => None,
            Some(keyed) => Some(format!("\"{}\"", pseudonym_by(keyed, &text))),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes over what may stand between two tokens.
    fn gap(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b':') = self.peek() {
            self.at += 1;
        }
    }

    /// A string as written, with its quotes.
    fn string(&mut self) -> &'a str {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => break,
                b'\\' => self.at += 1,
                _ => {}
            }
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> &'a str {
        let start = self.at;
        self.at += 1;
        while self
            .peek()
            .is_some_and(|byte| !matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r'))
        {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }
}

/// What a string says; a number or a word as written.
fn unescape(written: &str) -> Cow<'_, str> {
    match json::parse(written.as_bytes()).map(|document| document.root) {
        Ok(Json::String(text)) => text,
        _ => Cow::Borrowed(written),
    }
}

#[cfg(test)]
mod tests;
