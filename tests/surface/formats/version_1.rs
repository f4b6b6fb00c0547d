//! One of everything, with fixed values, and all of it written by today's program.

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use waybill::aftership::api::{self, Next};
use waybill::event::{BodySha256, Event, EventKey, Redacted, line};
use waybill::lake::audit::{self, Action, Audit};
use waybill::lake::dead_letter::{self, Closed, DeadLetter, Reason};
use waybill::lake::disk::DiskLake;
use waybill::lake::layout::{self, Compression};
use waybill::lake::manifest::{FlushReason, KeysHash, Manifest, ManifestObject};
use waybill::lake::receipt::Receipt;
use waybill::lake::suppressed::{self, Entry};
use waybill::lake::{Lake, Put};
use waybill::poll::state::{self, State, Unfinished};

pub const WRITER: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
pub const ERASURE: &str = "018f4a5e-0000-7000-8000-00000000000e";
pub const REPLAY: &str = "018f4a5e-0000-7000-8000-000000000009";

pub fn at(text: &str) -> Timestamp {
    format!("2026-07-09T{text}Z").parse().expect("an instant")
}

/// A body; `more` members stand in its `msg`.
pub fn body(number: u32, more: &str) -> String {
    format!(
        concat!(
            r#"{{"event":"tracking_update","event_id":"0f0f0f0f-0000-4000-8000-00000000000{number}","#,
            r#""is_tracking_first_tag":true,"ts":1783598400,"msg":{{"id":"golden-{number}","tracking_number":"N-{number}","#,
            r#""slug":"dhl","tag":"InTransit","updated_at":"2026-07-09T11:00:00+00:00",{more}"checkpoints":[]}}}}"#
        ),
        number = number,
        more = more,
    )
}

/// One event of each form that a line has: verbatim, in base64, of a replay, of the API, and with less in its body.
pub fn events() -> Vec<Event> {
    let received = |number: u32, body: String| {
        let id = Some(format!("0f0f0f0f-0000-4000-8000-00000000000{number}"));
        Event::received(Bytes::from(body), id, false, at(&format!("12:00:0{number}.000001")))
    };
    let of_several_lines = body(2, "").replace(r#","msg""#, ",\n  \"msg\"") + "\n";
    let polled = body(4, "").replace("InTransit", "Delivered");
    let tracking = polled.split_once(r#""msg":"#).expect("a msg").1.strip_suffix('}').expect("an end");
    let polled = api::envelope(&Bytes::from(tracking.to_owned()));
    vec![
        received(1, body(1, r#""title":"Zürich \u00fc \/ \"Mitte\"","#)),
        received(2, of_several_lines),
        Event {
            replay_id: Some("018f4a5e-0000-7000-8000-000000000003".to_owned()),
            ..received(3, body(3, ""))
        },
        Event::polled(polled, EventKey::from_text(&"4".repeat(64)), at("12:00:04.000001")),
        received(5, body(5, r#""customer_name":"Ada","#))
            .with_body(Bytes::from(body(5, r#""customer_name":null,"#)), Redacted::Drop),
    ]
}

/// The lines of all events, as an object holds them.
pub fn object() -> Vec<u8> {
    events().iter().flat_map(|event| [line::encode(event), b"\n".to_vec()].concat()).collect()
}

pub fn object_key() -> String {
    layout::events_key(at("12:00:01"), &hex::encode(Sha256::digest(object())), Compression::None)
}

pub fn keys_hash() -> String {
    let mut hash = KeysHash::default();
    events().iter().for_each(|event| hash.add(event.event_key.as_str()));
    hash.finish()
}

pub fn manifest() -> Manifest {
    let object = ManifestObject {
        key: object_key(),
        lines: events().len() as u64,
        bytes: object().len() as u64,
        keys_hash: keys_hash(),
    };
    Manifest { v: 1, written_at: at("12:00:06.000001"), reason: FlushReason::Age, objects: vec![object] }
}

/// A body that is no event, a message that is none of ours, and an event that was given up.
pub fn letters() -> [DeadLetter; 3] {
    let letter = |message: &[u8], reason: Reason, attempts: u32, body: &[u8]| DeadLetter {
        v: 1,
        id: DeadLetter::id_of(message),
        reason,
        detail: None,
        event: None,
        event_key: None,
        source: None,
        received_at: at("12:00:01.000001"),
        dead_at: at("12:00:07"),
        attempts,
        replay_id: None,
        body_sha256: BodySha256::of(body).to_hex(),
        body_base64: BASE64_STANDARD.encode(body),
    };
    let given_up = &events()[2];
    [
        DeadLetter {
            event_key: Some(BodySha256::of(b"not json").to_hex()),
            source: Some("webhook".to_owned()),
            ..letter(b"first", Reason::NotJson, 1, b"not json")
        },
        DeadLetter {
            detail: Some("message is not base64 of a zstd frame".to_owned()),
            ..letter(b"no message of ours", Reason::BadMessage, 1, b"no message of ours")
        },
        DeadLetter {
            detail: Some("delivered 21 times without being stored".to_owned()),
            event: Some("tracking_update".to_owned()),
            event_key: Some(given_up.event_key.as_str().to_owned()),
            source: Some("webhook".to_owned()),
            replay_id: given_up.replay_id.clone(),
            ..letter(b"third", Reason::GaveUp, 21, &given_up.body)
        },
    ]
}

pub fn audit() -> Audit {
    Audit {
        v: 1,
        at: at("12:11:00"),
        action: Action::Replay,
        who: Some("ops".to_owned()),
        filter: "reason=gave_up".to_owned(),
        count: 1,
        ids: vec![letters()[2].id.clone()],
        reason: None,
        replay_id: Some(REPLAY.to_owned()),
    }
}

pub fn receipt() -> Receipt {
    Receipt {
        v: 1,
        writer: WRITER.to_owned(),
        source: "webhook".to_owned(),
        minute: at("12:00:00"),
        part: 0,
        received: 9,
        verified: 7,
        rejected: [("queue_unavailable".to_owned(), 1), ("signature_mismatch".to_owned(), 2)].into(),
        acknowledged: 5,
        keys_hash: keys_hash(),
        keys: events().iter().map(|event| event.event_key.as_str().to_owned()).collect(),
        keys_omitted: 0,
        uncertain: vec!["0f0f0f0f-0000-4000-8000-000000000009".to_owned()],
        uncertain_omitted: 0,
        written_at: at("12:01:10"),
        is_last: true,
    }
}

/// The mark of a writer of receipts.
pub fn mark(writer: &str, pid: u32, at: &str, minute: &str) -> String {
    format!(r#"{{"v":1,"writer":"{writer}","source":"webhook","pid":{pid},"at":"{at}","minute":"{minute}"}}"#)
}

pub fn poll_state() -> State {
    let unfinished = Unfinished {
        from: at("11:50:00"),
        until: at("12:05:00"),
        next: Some(Next::Cursor("eyJhIjoxfQ==".to_owned())),
        since: None,
        whole_until: Some(at("12:10:00")),
    };
    State {
        v: 1,
        until: Some(at("12:00:00")),
        unfinished: Some(unfinished),
        seen: [("0123456789abcdef".to_owned(), 1_783_598_400)].into(),
    }
}

pub fn entry() -> Entry {
    Entry {
        v: 1,
        id: ERASURE.to_owned(),
        at: at("12:00:00"),
        key_id: "golden".to_owned(),
        subject: Some("s".to_owned()),
        people: vec!["p1".to_owned(), "p2".to_owned()],
        trackings: vec!["t1".to_owned()],
        with_numbers: true,
    }
}

/// All of it, as today's program writes it.
pub async fn write(lake: &DiskLake) {
    async fn put(lake: &DiskLake, key: &str, body: impl Into<Bytes>) {
        assert_eq!(lake.put_new(key, body.into()).await.expect("put"), Put::Created);
    }
    put(lake, &object_key(), object()).await;
    put(lake, &layout::manifest_key(manifest().written_at, &manifest().hash()), manifest().to_json()).await;
    let [open, dropped, replayed] = letters();
    for letter in [&open, &dropped, &replayed] {
        dead_letter::put(lake, letter).await.expect("put");
    }
    let closed = Closed::dropped(at("12:10:00"), Some("a \"test\"".to_owned()));
    dead_letter::close(lake, &dropped, &closed).await.expect("put");
    let closed = Closed::replayed(at("12:11:00"), REPLAY, None);
    dead_letter::close(lake, &replayed, &closed).await.expect("put");
    audit::record(lake, &audit()).await.expect("put");
    let packed = serde_json::to_vec(&receipt()).expect("JSON");
    put(lake, &receipt().key(), zstd::bulk::compress(&packed, 3).expect("compress")).await;
    for (what, second) in [("began", "00.500000"), ("ended", "40.000000")] {
        let text = mark(WRITER, 4711, &format!("2026-07-09T12:00:{second}Z"), "2026-07-09T12:00:00.000000Z");
        put(lake, &layout::receiver_key(at("12:00:00"), WRITER, what), text).await;
    }
    state::save(lake, &poll_state()).await.expect("put");
    suppressed::put(lake, &entry()).await.expect("put");
    suppressed::close(lake, ERASURE).await.expect("put");
}
