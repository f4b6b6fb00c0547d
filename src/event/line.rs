//! An event as one line of a lake object and as one queue message, and back.
//!
//! A line is JSON without a line break:
//! `{"v":1,"event_key":…,"event_id":…,"source":…,"received_at":…,"replay_id":…,"body_sha256":…,"body":{…}}`.
//! `body` is the bytes as received when the strict reader takes them as one line (UTF-8, no line break, depth at
//! most 64, no lone surrogate, no space around it); else `body_base64` stands in its place. A queue message is the
//! base64 text of the zstd-compressed line: no character set to fear, and small.
//!
//! A body that is not as received has two members more: `"redacted":"hash|drop|erased","stored_sha256":…` stand behind
//! `body_sha256`, which stays the hash of the body as received. Then the body is checked against `stored_sha256`. A
//! program that knows neither finds a body that does not match, and rejects the line.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;

use super::json::{self, Document, JsonError};
use super::{BodySha256, Event, EventKey, Redacted, Source, format_instant};

/// Largest line we take, bytes: the largest body in base64, and room for the rest.
pub const LINE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Longest event key we take, bytes.
const KEY_BYTES_MAX: usize = 200;

/// Version of the line format.
const VERSION: u64 = 1;

/// zstd level of queue messages: the fastest one that still makes a median body small.
const MESSAGE_LEVEL: i32 = 1;

/// Why a line or a message is not one of ours.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The message is not base64 of zstd.
    #[error("message is not base64 of a zstd frame")]
    NotMessage,
    /// The message unpacks to more than [`LINE_BYTES_MAX`].
    #[error("message unpacks to more than {LINE_BYTES_MAX} bytes")]
    TooLarge,
    /// The line is not JSON.
    #[error("line is not a JSON object: {0}")]
    NotJson(#[from] JsonError),
    /// Written by a newer version, or not by us.
    #[error("line has format version {0:?}, this program reads version {VERSION}")]
    Version(Option<String>),
    /// A field is missing or is not what it should be.
    #[error("line has no readable field {0}")]
    Field(&'static str),
    /// The body is not the one that was written.
    #[error("body does not match its SHA-256")]
    BodyChanged,
}

/// Writes an event as a line, without the line feed.
pub fn encode(event: &Event) -> Vec<u8> {
    // Only its form is asked for, nothing that is in it.
    let document = json::parse_levels(&event.body, 0).ok();
    encode_read(event, document.as_ref())
}

/// The same for a body that the strict reader has read already (`None`: it could not).
pub fn encode_read(event: &Event, document: Option<&Document<'_>>) -> Vec<u8> {
    let mut line = Vec::with_capacity(event.body.len() + 500);
    line.extend_from_slice(b"{\"v\":1,\"event_key\":");
    write_text(&mut line, Some(event.event_key.as_str()));
    line.extend_from_slice(b",\"event_id\":");
    write_text(&mut line, event.event_id.as_deref());
    line.extend_from_slice(b",\"source\":");
    write_text(&mut line, Some(event.source.as_str()));
    line.extend_from_slice(b",\"received_at\":");
    write_text(&mut line, Some(&format_instant(event.received_at)));
    line.extend_from_slice(b",\"replay_id\":");
    write_text(&mut line, event.replay_id.as_deref());
    line.extend_from_slice(b",\"body_sha256\":");
    write_text(&mut line, Some(&event.body_sha256.to_hex()));
    if let Some(how) = event.redacted {
        line.extend_from_slice(b",\"redacted\":");
        write_text(&mut line, Some(how.as_str()));
        line.extend_from_slice(b",\"stored_sha256\":");
        write_text(&mut line, Some(&BodySha256::of(&event.body).to_hex()));
    }
    if is_verbatim(&event.body, document) {
        line.extend_from_slice(b",\"body\":");
        line.extend_from_slice(&event.body);
    } else {
        line.extend_from_slice(b",\"body_base64\":");
        write_text(&mut line, Some(&BASE64_STANDARD.encode(&event.body)));
    }
    line.push(b'}');
    line
}

/// Reads a line and checks the body against its hash: that of what was received, or of what was stored. Fields it does not know are passed over.
pub fn decode(line: &[u8]) -> Result<Event, LineError> {
    let members = json::parse_members(line)?;
    let raw = |name: &str| members.iter().rev().find(|(key, _)| key == name).map(|(_, text)| *text);
    let version = raw("v");
    if version != Some("1") {
        return Err(LineError::Version(version.map(|text| text.chars().take(20).collect())));
    }

    let body = match (raw("body"), raw("body_base64")) {
        (Some(text), _) => Bytes::copy_from_slice(text.as_bytes()),
        (None, Some(text)) => {
            let text: String = read_text(text).ok_or(LineError::Field("body_base64"))?;
            BASE64_STANDARD.decode(text).map_err(|_| LineError::Field("body_base64"))?.into()
        }
        (None, None) => return Err(LineError::Field("body")),
    };
    let sha256 = |name: &'static str| {
        raw(name)
            .and_then(read_text::<String>)
            .and_then(|text| BodySha256::from_hex(&text))
            .ok_or(LineError::Field(name))
    };
    let body_sha256 = sha256("body_sha256")?;
    // What was received is gone then, and only what was stored can be checked.
    let is_redacted = raw("stored_sha256").is_some();
    let expected = if is_redacted { sha256("stored_sha256")? } else { body_sha256 };
    if BodySha256::of(&body) != expected {
        return Err(LineError::BodyChanged);
    }
    let redacted = is_redacted.then(|| {
        let word = raw("redacted").and_then(read_text::<String>);
        word.map_or(Redacted::Other, |word| Redacted::from_word(&word))
    });

    let source = match raw("source").and_then(read_text::<String>).as_deref() {
        Some("webhook") => Source::Webhook,
        Some("api") => Source::Api,
        _ => return Err(LineError::Field("source")),
    };
    Ok(Event {
        event_key: raw("event_key")
            .and_then(read_text::<String>)
            .filter(|key| is_key(key))
            .map(|key| EventKey::from_text(&key))
            .ok_or(LineError::Field("event_key"))?,
        event_id: raw("event_id").and_then(read_text),
        source,
        received_at: raw("received_at")
            .and_then(read_text::<String>)
            .and_then(|text| text.parse::<Timestamp>().ok())
            .map(super::truncate_to_micros)
            .filter(|at| super::is_plausible(*at))
            .ok_or(LineError::Field("received_at"))?,
        replay_id: raw("replay_id").and_then(read_text),
        body_sha256,
        redacted,
        body,
    })
}

/// Packs a line into a queue message.
pub fn to_message(line: &[u8]) -> String {
    thread_local! {
        // A compression context is large; making one per message costs more than the compression.
        static COMPRESSOR: std::cell::RefCell<Option<zstd::bulk::Compressor<'static>>> =
            std::cell::RefCell::new(zstd::bulk::Compressor::new(MESSAGE_LEVEL).ok());
    }
    let packed = COMPRESSOR.with_borrow_mut(|compressor| match compressor {
        Some(compressor) => compressor.compress(line),
        None => zstd::bulk::compress(line, MESSAGE_LEVEL),
    });
    BASE64_STANDARD.encode(packed.expect("compressing into memory fails only without memory"))
}

/// Unpacks a queue message into its line; never more than [`LINE_BYTES_MAX`], whatever the message says.
pub fn from_message(text: &str) -> Result<Vec<u8>, LineError> {
    let packed = BASE64_STANDARD.decode(text.trim_ascii()).map_err(|_| LineError::NotMessage)?;
    // A frame that declares more than we take is refused before anything is allocated for it.
    let declared = zstd::zstd_safe::get_frame_content_size(&packed).map_err(|_| LineError::NotMessage)?;
    let size = declared.map_or(LINE_BYTES_MAX, |size| usize::try_from(size).unwrap_or(usize::MAX));
    if size > LINE_BYTES_MAX {
        return Err(LineError::TooLarge);
    }
    zstd::bulk::decompress(&packed, size).map_err(|_| LineError::NotMessage)
}

fn is_verbatim(body: &[u8], document: Option<&Document<'_>>) -> bool {
    // Space around the body would be lost between `"body":` and `}`.
    let is_tight = matches!((body.first(), body.last()), (Some(first), Some(last))
        if !first.is_ascii_whitespace() && !last.is_ascii_whitespace());
    is_tight && document.is_some_and(|document| !document.has_lone_surrogate && !document.has_line_break)
}

fn write_text(line: &mut Vec<u8>, text: Option<&str>) {
    match text {
        None => line.extend_from_slice(b"null"),
        Some(text) => serde_json::to_writer(&mut *line, text).expect("a string always has a JSON form"),
    }
}

/// A UUID has 36 characters and a hash 64; a foreign line may say anything, and every warehouse must hold it.
fn is_key(key: &str) -> bool {
    (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

fn read_text<'a, T: Deserialize<'a>>(raw: &'a str) -> Option<T> {
    serde_json::from_str(raw).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(body: &[u8]) -> Event {
        Event {
            event_key: EventKey::from_text("94dadd60-ed26-46d0-aa52-3ced925a50ff"),
            event_id: Some("94dadd60-ed26-46d0-aa52-3ced925a50ff".into()),
            source: Source::Webhook,
            received_at: "2026-07-09T12:00:00.123456Z".parse().expect("instant"),
            replay_id: None,
            body_sha256: BodySha256::of(body),
            redacted: None,
            body: Bytes::copy_from_slice(body),
        }
    }

    #[test]
    fn a_line_looks_as_the_contract_says() {
        let line = encode(&event(br#"{"event":"tracking_update"}"#));

        let sha = BodySha256::of(br#"{"event":"tracking_update"}"#).to_hex();
        assert_eq!(
            String::from_utf8(line).expect("UTF-8"),
            [
                r#"{"v":1,"event_key":"94dadd60-ed26-46d0-aa52-3ced925a50ff","#,
                r#""event_id":"94dadd60-ed26-46d0-aa52-3ced925a50ff","source":"webhook","#,
                r#""received_at":"2026-07-09T12:00:00.123456Z","replay_id":null,"#,
                &format!(r#""body_sha256":"{sha}","#),
                r#""body":{"event":"tracking_update"}}"#,
            ]
            .concat()
        );
    }

    #[test]
    fn odd_bodies_travel_as_base64_and_come_back_unchanged() {
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        let deepest = format!("{}{}", "[".repeat(64), "]".repeat(64));
        let cases: [(&[u8], bool); 12] = [
            (br#"{"a":1}"#, true),
            (br#"{"a":"\/\u00fc"}"#, true),
            (b"{\"a\":\"\xe2\x80\xa8\"}", true),
            (deepest.as_bytes(), true),
            (br#"{"a":1,"a":1e400}"#, true),
            (b"", false),
            (b"{\"a\":1}\n", false),
            (b" {}", false),
            (b"{\n}", false),
            (br#"{"a":"\ud800"}"#, false),
            (b"\xff\xfe", false),
            (deep.as_bytes(), false),
        ];
        for (body, is_verbatim) in cases {
            let line = encode(&event(body));

            assert_eq!(!line.windows(13).any(|part| part == b"\"body_base64\""), is_verbatim, "{body:?}");
            assert!(!line.contains(&b'\n'));
            assert_eq!(decode(&line).expect("own line"), event(body));
        }
    }

    #[test]
    fn a_changed_body_is_noticed() {
        let line =
            String::from_utf8(encode(&event(br#"{"a":1}"#))).expect("UTF-8").replace("\"a\":1", "\"a\":2");

        assert!(matches!(decode(line.as_bytes()), Err(LineError::BodyChanged)));
    }

    #[test]
    fn another_version_is_named() {
        let line = String::from_utf8(encode(&event(b"{}"))).expect("UTF-8").replace("\"v\":1", "\"v\":9");

        assert!(matches!(decode(line.as_bytes()), Err(LineError::Version(Some(v))) if v == "9"));
    }

    #[test]
    fn fields_of_the_future_are_passed_over() {
        let line = String::from_utf8(encode(&event(b"{}")))
            .expect("UTF-8")
            .replace("\"v\":1", "\"v\":1,\"new\":[{}]");

        assert_eq!(decode(line.as_bytes()).expect("readable"), event(b"{}"));
    }

    const REDACTED: &[u8] = br#"{"msg":{"customer_name":null}}"#;

    fn redacted(how: Redacted) -> Event {
        event(br#"{"msg":{"customer_name":"Ada"}}"#).with_body(Bytes::from_static(REDACTED), how)
    }

    #[test]
    fn a_redacted_line_has_both_hashes() {
        let line = String::from_utf8(encode(&redacted(Redacted::Drop))).expect("UTF-8");

        let received = BodySha256::of(br#"{"msg":{"customer_name":"Ada"}}"#).to_hex();
        let stored = BodySha256::of(REDACTED).to_hex();
        assert!(line.starts_with(r#"{"v":1,"event_key":"94dadd60-ed26-46d0-aa52-3ced925a50ff","#), "{line}");
        assert!(
            line.ends_with(&format!(
                r#""body_sha256":"{received}","redacted":"drop","stored_sha256":"{stored}","body":{}}}"#,
                String::from_utf8_lossy(REDACTED)
            )),
            "{line}"
        );
    }

    #[test]
    fn a_redacted_line_comes_back_and_a_change_of_it_is_noticed() {
        for how in [Redacted::Hash, Redacted::Drop, Redacted::Erased, Redacted::Other] {
            let line = encode(&redacted(how));
            assert_eq!(decode(&line).expect("own line"), redacted(how));

            let changed = String::from_utf8(line).expect("UTF-8").replace(":null}}", ":\"Eve\"}}");
            assert!(matches!(decode(changed.as_bytes()), Err(LineError::BodyChanged)));
        }
    }

    #[test]
    fn a_word_of_the_future_is_no_fault() {
        let line = String::from_utf8(encode(&redacted(Redacted::Drop)))
            .expect("UTF-8")
            .replace(r#""redacted":"drop""#, r#""redacted":"folded""#);

        assert_eq!(decode(line.as_bytes()).expect("readable").redacted, Some(Redacted::Other));
    }

    #[test]
    fn who_does_not_know_redacted_lines_sees_a_changed_body() {
        // As it is to a program that passes over both members.
        let line = String::from_utf8(encode(&redacted(Redacted::Drop)))
            .expect("UTF-8")
            .replace("\"stored_sha256\"", "\"unknown\"");

        assert!(matches!(decode(line.as_bytes()), Err(LineError::BodyChanged)));
    }

    #[test]
    fn a_message_that_unpacks_to_too_much_is_refused() {
        let bomb = zstd::bulk::compress(&vec![b' '; 8 * LINE_BYTES_MAX], 3).expect("compress");

        assert!(matches!(from_message(&BASE64_STANDARD.encode(bomb)), Err(LineError::TooLarge)));
        assert!(matches!(from_message("not base64!"), Err(LineError::NotMessage)));
        assert!(matches!(from_message("AAAA"), Err(LineError::NotMessage)));
    }

    proptest! {
        #[test]
        fn any_body_survives_line_and_message(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let sent = event(&body);
            let line = from_message(&to_message(&encode(&sent))).expect("own message");

            prop_assert_eq!(decode(&line).expect("own line"), sent);
        }

        #[test]
        fn any_redacted_body_survives_line_and_message(
            received in proptest::collection::vec(any::<u8>(), 0..100),
            stored in proptest::collection::vec(any::<u8>(), 0..300),
            how in prop::sample::select(vec![Redacted::Hash, Redacted::Drop, Redacted::Erased]),
        ) {
            let sent = event(&received).with_body(Bytes::from(stored), how);
            let line = from_message(&to_message(&encode(&sent))).expect("own message");

            prop_assert_eq!(decode(&line).expect("own line"), sent);
        }

        #[test]
        fn no_line_makes_it_panic(line in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&line);
        }
    }
}
