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
//!
//! [`erase`] goes further, for a person who asked for it: what couriers say goes too, and `custom_fields` whole.
//! [`people`] says by what somebody can be found.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::event::json::{self, Json};

use super::webhook;

mod fields;
mod people;

pub use fields::{CONTACT_FIELDS, ERASED_FIELDS, FIELDS, NUMBER_FIELDS};
use fields::{Paths, What};
pub use people::{Marks, customers, people};

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
    Walk::over(body, keyed, &fields::REDACTED)
}

/// The body with nothing left in it that tells of its person, also in the words of couriers; every other byte as it
/// was. `None` when there is nothing left to replace, and when the strict reader does not take the body.
///
/// `with_numbers`: those of the parcel and the order too, unless the parcel has no id and is known by its number.
pub fn erase(body: &[u8], with_numbers: bool) -> Option<Vec<u8>> {
    json::parse_levels(body, 0).ok()?;
    let has_id = |body| {
        let webhook = webhook::read_envelope(body).ok()?;
        webhook.msg().get("id").and_then(webhook::text)
    };
    let paths = if with_numbers && has_id(body).is_some() { &fields::NUMBERED } else { &fields::ERASED };
    Walk::over(body, None, paths)
}

/// The same for who keeps a list of keyed hashes: `extent` is given those of the parcel's ids and of its people (see
/// [`Marks::keyed`]), and says whether the body is on the list, and whether with its numbers.
pub fn erase_marked(
    body: &[u8],
    key: &[u8],
    extent: impl FnOnce(&[String], &[String]) -> Option<bool>,
) -> Option<Vec<u8>> {
    let (ids, people) = Marks::of(body)?.keyed(key);
    erase(body, extent(&ids, &people)?)
}

/// What stands for a person's name, address or number under this key: `hmac:` and 32 hex digits. White space around
/// it does not count, nor does the case of an e-mail address; a phone number counts as written.
pub fn pseudonym(text: &str, key: &[u8]) -> String {
    pseudonym_by(&keyed_with(key), text)
}

/// Tells keys apart, and nothing more about them: 8 hex digits.
pub fn key_id(key: &[u8]) -> String {
    let whole = pseudonym("waybill key", key);
    whole[PSEUDONYM_PREFIX.len()..][..8].to_owned()
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

/// Is it what stands for somebody already?
pub fn is_pseudonym(text: &str) -> bool {
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
    fn root(paths: &'static Paths) -> Place {
        Place::Above(paths.iter().map(|(names, what)| (names.as_slice(), *what)).collect())
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
    /// A text that the strict reader took, with what `paths` name replaced.
    fn over(body: &'a [u8], keyed: Option<Hmac<Sha256>>, paths: &'static Paths) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(body).ok()?;
        let mut walk = Walk { text, at: 0, keyed, written: Vec::new(), done: 0 };
        walk.gap();
        walk.value(&Place::root(paths));
        walk.finish()
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
        let is_blank = what != What::Whole && text.trim().is_empty();
        let tells_of_nobody = written == "null" || is_blank;
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
