//! What one line, one object, one dead letter is to an erasure. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;

use crate::aftership::personal::{self, Marks};
use crate::event::{Redacted, line};
use crate::lake::dead_letter::DeadLetter;
use crate::lake::object::{self, Packer, UnpackError};
use crate::lake::{layout, suppressed::Suppressed};

use super::subject::{Subject, Words};

/// Most that one object may unpack to; the loader's limit.
const OBJECT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What stands in place of a line that nobody can read and that quotes the person: it was rejected, and still is.
const ERASED_LINE: &[u8] = br#"{"v":1,"erased":true}"#;

/// What is looked for.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) suppressed: std::sync::Arc<Suppressed>,
    /// Whom this erasure is about; `None`: everybody on the list.
    pub(super) subject: Option<Subject>,
    pub(super) until: Timestamp,
    pub(super) with_numbers: bool,
    pub(super) words: Words,
}

/// What was found.
#[derive(Default)]
pub(super) struct Seen {
    /// Ids of trackings, each with whether their numbers go too.
    pub(super) trackings: BTreeMap<String, bool>,
    /// Customers.
    pub(super) words: Vec<String>,
    /// Lines that hold something to erase.
    pub(super) lines: u64,
}

impl Seen {
    pub(super) fn merge(&mut self, other: Seen) {
        for (id, with_numbers) in other.trackings {
            *self.trackings.entry(id).or_default() |= with_numbers;
        }
        self.words.extend(other.words);
        self.lines += other.lines;
    }
}

impl Wanted {
    /// What is left of a body; `None` when it is about nobody here, or nothing is left to erase.
    fn body(&self, body: &[u8], received_at: Timestamp, seen: &mut Seen) -> Option<Vec<u8>> {
        let marks = Marks::of(body)?;
        let (ids, people) = marks.keyed(self.suppressed.key());
        let listed = self.suppressed.extent(&ids, &people, received_at).map(|extent| extent.with_numbers);
        let named = self.subject.as_ref().filter(|who| who.is_in(&marks, &people, received_at, self.until));
        let with_numbers =
            listed.into_iter().chain(named.map(|_| self.with_numbers)).reduce(|a, b| a || b)?;
        for id in marks.ids() {
            *seen.trackings.entry(id.to_owned()).or_default() |= with_numbers;
        }
        let less = personal::erase(body, with_numbers)?;
        seen.words.extend(personal::customers(body));
        Some(less)
    }

    /// What stands in place of a line; `None`: it stays.
    fn line(&self, text: &[u8], seen: &mut Seen) -> Option<Vec<u8>> {
        match line::decode(text) {
            Ok(event) => {
                let body = self.body(&event.body, event.received_at, seen)?;
                Some(line::encode(&event.with_body(Bytes::from(body), Redacted::Erased)))
            }
            Err(_) if self.words.are_in(text) => Some(ERASED_LINE.to_vec()),
            Err(_) => None,
        }
    }

    /// What stands in place of an object; `None`: it stays. As many lines, in the same order.
    pub(super) fn object(
        &self,
        key: &str,
        body: &[u8],
        seen: &mut Seen,
    ) -> Result<Option<Bytes>, UnpackError> {
        let unpacked = object::unpack(key, body, OBJECT_BYTES_MAX)?;
        let compression = layout::compression_of(key).ok_or(UnpackError::UnknownName)?;
        let mut packer = Packer::new(compression);
        let before = seen.lines;
        for piece in unpacked.split_inclusive(|byte| *byte == b'\n') {
            let (text, end) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, &b"\n"[..]),
                None => (piece, &b""[..]),
            };
            match self.line(text, seen) {
                Some(instead) => {
                    seen.lines += 1;
                    packer.append(&instead);
                }
                None => packer.append(text),
            }
            packer.append(end);
        }
        Ok((seen.lines > before).then(|| Bytes::from(packer.finish())))
    }

    /// Must a dead letter go? One that nobody can read goes when it quotes the person.
    pub(super) fn takes(&self, letter: &DeadLetter, body: &[u8], seen: &mut Seen) -> bool {
        if letter.source.is_some() {
            return match Marks::of(body) {
                Some(_) => self.body(body, letter.received_at, seen).is_some(),
                None => self.words.are_in(body),
            };
        }
        // The queue message itself was kept.
        let unpacked = std::str::from_utf8(body).ok().and_then(|text| line::from_message(text).ok());
        match unpacked {
            Some(text) => self.line(&text, seen).is_some(),
            None => self.words.are_in(body),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::event::Event;

    use super::super::subject::Kind;
    use super::*;

    const KEY: &[u8] = b"sixteen letters or more";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("instant")
    }

    fn line_of(body: &str) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let event = Event::received(body, None, false, at("2026-07-09T12:00:00Z"));
        String::from_utf8(line::encode(&event)).expect("UTF-8")
    }

    fn wanted(text: &str, kind: Kind) -> Wanted {
        let subject = Subject::new(kind, text, KEY);
        Wanted {
            suppressed: Arc::new(Suppressed::new(KEY, "k".to_owned())),
            words: Words::of(Some(&subject)),
            subject: Some(subject),
            until: at("2026-07-10T00:00:00Z"),
            with_numbers: false,
        }
    }

    #[test]
    fn only_the_lines_about_them_change() {
        let ada = line_of(r#"{"msg":{"id":"t1","legacy_id":"old","emails":["ada@example.com"]}}"#);
        let eve = line_of(r#"{"msg":{"id":"t2","emails":["eve@example.com"]}}"#);
        let torn = "half a line of ADA@example.com".to_owned();
        for end in ["", "\n"] {
            let text = format!("{}{end}", [eve.clone(), ada.clone(), torn.clone(), eve.clone()].join("\n"));
            for key in ["events/x.jsonl", "events/x.jsonl.gz", "events/x.jsonl.zst"] {
                let mut packer = Packer::new(layout::compression_of(key).expect("known"));
                packer.append(text.as_bytes());
                let packed = packer.finish();
                let wanted = wanted("ada@example.com", Kind::Customer);
                let mut seen = Seen::default();

                let instead = wanted.object(key, &packed, &mut seen).expect("unpacks").expect("changed");

                let after = object::unpack(key, &instead, usize::MAX).expect("unpacks");
                let after = String::from_utf8(after).expect("UTF-8");
                assert!(!after.to_lowercase().contains("ada@"), "{after}");
                assert_eq!(after.ends_with('\n'), end == "\n");
                let lines: Vec<&str> = after.lines().collect();
                assert_eq!((lines[0], lines[3], lines.len()), (eve.as_str(), eve.as_str(), 4));
                let (was, is) = (line::decode(ada.as_bytes()), line::decode(lines[1].as_bytes()));
                let (was, is) = (was.expect("ours"), is.expect("ours"));
                assert_eq!((is.event_key, is.body_sha256), (was.event_key, was.body_sha256));
                assert!(line::decode(lines[2].as_bytes()).is_err(), "a reject stays one");
                assert_eq!(seen.lines, 2);
                assert_eq!(seen.trackings.keys().collect::<Vec<_>>(), ["old", "t1"]);
                assert!(wanted.object(key, &instead, &mut Seen::default()).expect("unpacks").is_none());
            }
        }
    }

    #[test]
    fn a_letter_goes_when_it_is_about_them_or_quotes_them() {
        let letter = |source: Option<&str>| DeadLetter {
            v: 1,
            id: "x".to_owned(),
            reason: crate::lake::dead_letter::Reason::NotJson,
            detail: None,
            event: None,
            event_key: None,
            source: source.map(str::to_owned),
            received_at: at("2026-07-09T12:00:00Z"),
            dead_at: at("2026-07-09T12:00:00Z"),
            attempts: 1,
            replay_id: None,
            body_sha256: String::new(),
            body_base64: String::new(),
        };
        let wanted = wanted("ada@example.com", Kind::Customer);
        let takes = |source, body: &[u8]| wanted.takes(&letter(source), body, &mut Seen::default());

        let about = r#"{"msg":{"id":"t1","emails":["Ada@example.com"]}}"#;
        assert!(takes(Some("webhook"), about.as_bytes()));
        assert!(takes(Some("webhook"), b"\xff Ada@Example.com"));
        assert!(!takes(Some("webhook"), br#"{"msg":{"id":"t1","emails":["eve@example.com"]}}"#));
        assert!(!takes(Some("webhook"), b""));
        let message = line::to_message(line_of(about).as_bytes());
        assert!(takes(None, message.as_bytes()));
        let unreadable = line::to_message(b"no line, but ada@example.com");
        assert!(takes(None, unreadable.as_bytes()));
        assert!(takes(None, b"ada@example.com") && !takes(None, b"?"));
    }
}
