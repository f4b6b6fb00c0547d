//! Whom an erasure is about, and the words by which they are found where nothing else can be read. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::aftership::personal::{Marks, is_pseudonym, pseudonym};

/// Shorter words than this are found everywhere.
const WORD_CHARS_MIN: usize = 6;

/// How somebody is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By e-mail address, phone number or customer id.
    Customer,
    /// By a tracking's id, or its number at the courier.
    Tracking,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Customer => "customer",
            Kind::Tracking => "tracking",
        }
    }
}

/// Whom it is about.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject {
    kind: Kind,
    text: String,
    pseudonym: String,
}

impl Subject {
    /// As the operator named them.
    pub fn new(kind: Kind, text: &str, key: &[u8]) -> Subject {
        let text = text.trim().to_owned();
        Subject { kind, pseudonym: pseudonym(&text, key), text }
    }

    /// How they are named.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The name itself: for looking, never for writing down.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What may be written down.
    pub fn hashed(&self) -> String {
        format!("{}={}", self.kind.as_str(), self.pseudonym)
    }

    /// What stands for the name in the list of who is erased.
    pub fn pseudonym(&self) -> &str {
        &self.pseudonym
    }

    /// Is this body about them? `people`: keyed hashes of the people in it. What arrived after `until` is not.
    pub fn is_in(&self, marks: &Marks, people: &[String], received_at: Timestamp, until: Timestamp) -> bool {
        received_at <= until
            && match self.kind {
                Kind::Customer => people.contains(&self.pseudonym),
                Kind::Tracking => {
                    marks.ids().any(|id| id == self.text)
                        || marks.tracking_number.as_deref() == Some(&self.text)
                }
            }
    }
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.hashed())
    }
}

/// Texts that stand for the person in what nobody can read as an event. Case of ASCII letters does not count.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Words(BTreeSet<String>);

impl Words {
    /// Those of whom it is about.
    pub fn of(subject: Option<&Subject>) -> Words {
        let mut words = Words::default();
        words.add(subject.map(|subject| subject.text.clone()));
        words
    }

    /// Adds those that are long enough and no hashes, as written and as JSON may write them.
    pub fn add(&mut self, texts: impl IntoIterator<Item = String>) {
        for text in texts {
            let text = text.trim();
            if text.chars().count() >= WORD_CHARS_MIN && !is_pseudonym(text) {
                self.0.insert(text.to_ascii_lowercase());
                self.0.insert(escaped(text).to_ascii_lowercase());
            }
        }
    }

    /// Is one of them in there?
    pub fn are_in(&self, text: &[u8]) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let text = String::from_utf8_lossy(text).to_ascii_lowercase();
        self.0.iter().any(|word| is_word(&text, word))
    }

    /// All of them.
    pub fn to_vec(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

/// Not as a part of a longer one: `customer-12` is not `customer-1`.
fn is_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

/// As writers of JSON write it that know ASCII only.
fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            written.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                written.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"sixteen letters or more";

    #[test]
    fn a_subject_does_not_show() {
        let subject = Subject::new(Kind::Customer, " ada@example.com ", KEY);
        let shown = format!("{subject:?}");
        assert!(shown.starts_with("customer=hmac:") && !shown.contains("ada"), "{shown}");
    }

    #[test]
    fn a_customer_is_in_what_arrived_until_then_and_a_tracking_by_id_or_number() {
        let body = br#"{"msg":{"id":"t1","tracking_number":"N1","emails":["Ada@example.com"]}}"#;
        let marks = Marks::of(body).expect("a parcel");
        let (_, people) = marks.keyed(KEY);
        let now: Timestamp = "2026-07-09T12:00:00Z".parse().expect("instant");
        let later: Timestamp = "2026-07-09T12:00:01Z".parse().expect("instant");
        let is_in = |kind, text: &str, at| Subject::new(kind, text, KEY).is_in(&marks, &people, at, now);

        assert!(is_in(Kind::Customer, "ADA@EXAMPLE.COM", now));
        assert!(!is_in(Kind::Customer, "ADA@EXAMPLE.COM", later));
        assert!(!is_in(Kind::Customer, "t1", now));
        assert!(is_in(Kind::Tracking, "t1", now) && is_in(Kind::Tracking, "N1", now));
        assert!(!is_in(Kind::Tracking, "ada@example.com", now));
    }

    #[test]
    fn words_are_found_in_any_case_and_as_json_writes_them() {
        let mut words = Words::default();
        assert!(!words.are_in(b"anything"));
        words.add(["Jürgen M".to_owned(), "Al".to_owned(), format!("hmac:{}", "a".repeat(32))]);

        assert!(words.are_in("… JüRGEN m …".as_bytes()) && words.are_in(br#"J\u00FCrgen M"#));
        assert!(!words.are_in("Jürgen Mi".as_bytes()) && words.are_in("\"Jürgen M\"".as_bytes()));
        assert!(!words.are_in(b"Al") && !words.are_in("Jürgen".as_bytes()));
        assert_eq!(words.to_vec().len(), 2);
    }
}
