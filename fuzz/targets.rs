//! What must hold for any bytes at all: one function for each place where bytes from outside come in.
//!
//! The fuzzer (`scripts/fuzz.sh`) looks for bytes that break one of them; `tests/surface/fuzz_corpus.rs` replays the
//! seeds in `corpus/`, and inputs close to them, in every run of the tests. Only what the crate makes public is
//! called. An input with several parts is text that a person can write; each function says how.

#![allow(dead_code, unreachable_pub, reason = "a fuzzer's binary has all targets and runs one of them")]

#[path = "oracles.rs"]
mod oracles;

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use waybill::aftership::signature::{Product, SecretId, Secrets, SignatureError, Verifier, sign};
use waybill::aftership::{tracking, webhook};
use waybill::event::line::{LINE_BYTES_MAX, decode, encode, encode_read, from_message, to_message};
use waybill::event::{BodySha256, Event, Source, is_plausible, truncate_to_micros};
use waybill::lake::LakeError;
use waybill::lake::audit::Audit;
use waybill::lake::dead_letter::{Closed, DeadLetter, Filter};
use waybill::lake::layout::{self, Compression};
use waybill::lake::manifest::{KeysHash, Manifest, ManifestError};
use waybill::lake::object::{Packer, UnpackError, unpack};
use waybill::load::read;
use waybill::retail::Dataset;
use waybill::retail::read::{ShopFile, Source as ShopSource, Value as ShopValue};
use waybill::retail::reason::LineReason;
use waybill::settings::{Given, Need, Purpose, Settings};

const SECRETS: [&str; 2] = ["whsec-example-0123456789abcdef", "an-older-secret-0123456789"];

/// A line of products, lines `header: value`, an empty line, the body. `{1}` and `{2}` in a value stand for the right
/// signature under the newer and the older secret.
pub fn signature_header(data: &[u8]) {
    let end = data.windows(2).position(|two| two == b"\n\n");
    let (head, body) = end.map_or((data, [].as_slice()), |end| (&data[..end], &data[end + 2..]));
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let words = lines.next().unwrap_or_default().split(',');
    let products: Vec<Product> = words.filter_map(|word| word.trim().parse().ok()).collect();
    let right = SECRETS.map(|secret| sign(secret, body));
    let mut headers = HeaderMap::new();
    for line in lines.take(32) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.replace("{1}", &right[0]).replace("{2}", &right[1]);
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            headers.append(name, value);
        }
    }

    let verifier = Verifier::new(&products, Secrets::new(SECRETS.map(str::to_owned).to_vec()));
    let claim = verifier.claim(&headers);
    let verified = match &claim {
        Ok(claim) => verifier.verify(claim, body),
        Err(error) => Err(*error),
    };

    assert_eq!(verified.map(SecretId::as_str), oracles::signer(&products, &headers, &right));
    if let (Ok(claim), Ok(_)) = (&claim, &verified) {
        let longer = [body, b"x".as_slice()].concat();
        assert_eq!(verifier.verify(claim, &longer), Err(SignatureError::Mismatch));
    }
    let shown = format!("{verifier:?} {claim:?} {verified:?}");
    for text in SECRETS.into_iter().chain(right.iter().map(String::as_str)) {
        assert!(!shown.contains(text), "a secret or a signature shows itself");
    }
}

/// A webhook's body.
pub fn envelope(data: &[u8]) {
    oracles::reader_keeps_to_the_grammar(data);
    let (full, envelope) = match (webhook::read(data), webhook::read_envelope(data)) {
        (Ok(full), Ok(envelope)) => (full, envelope),
        (full, envelope) => {
            assert_eq!(full.err(), envelope.err(), "two stages disagree about a body");
            return;
        }
    };
    assert_eq!((&envelope.event, &envelope.event_id, envelope.ts), (&full.event, &full.event_id, full.ts));
    assert_eq!((envelope.tracking_id(), envelope.is_test()), (full.tracking_id(), full.is_test()));

    let event_id = envelope.event_id.clone();
    let event = Event::received(Bytes::copy_from_slice(data), event_id, envelope.is_test(), arrival());
    assert_eq!(encode_read(&event, Some(&envelope.doc)), encode(&event));
    oracles::comes_back(&event);

    let tracking = tracking::read(&full);
    assert!(!tracking.id.is_empty() && tracking.id == full.tracking_id());
    oracles::tracking_can_be_stored(&tracking);
    oracles::rows_can_be_stored(&tracking, &event.body_sha256.to_hex());
}

/// A line of a lake object, a queue message, or a body.
pub fn line(data: &[u8]) {
    match decode(data) {
        Ok(event) => {
            let key = event.event_key.as_str();
            assert!((1..=200).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
            assert!(event.redacted.is_some() || BodySha256::of(&event.body) == event.body_sha256);
            assert!(oracles::can_be_stored(event.received_at));
            oracles::comes_back(&event);
        }
        Err(error) => assert!(error.to_string().len() < 400, "an error's text holds what it is about"),
    }
    let text = String::from_utf8_lossy(data);
    if let Ok(unpacked) = from_message(&text) {
        assert!(unpacked.len() <= LINE_BYTES_MAX);
        assert_eq!(from_message(&to_message(&unpacked)).ok(), Some(unpacked));
    }
    let is_test = data.len().is_multiple_of(2);
    let received = Event::received(Bytes::copy_from_slice(data), None, is_test, arrival());
    let (event_id, replay_id) = (Some(text.to_string()), Some(text.chars().rev().collect()));
    oracles::comes_back(&Event { source: Source::Api, event_id, replay_id, ..received });
}

const EXTENSIONS: [(Compression, &str); 3] =
    [(Compression::Zstd, ".jsonl.zst"), (Compression::Gzip, ".jsonl.gz"), (Compression::None, ".jsonl")];

/// A key. The instants and the hash of made keys follow from its bytes.
pub fn object_key(data: &[u8]) {
    let key = String::from_utf8_lossy(data);
    let compression = layout::compression_of(&key);
    let expected = EXTENSIONS.iter().find(|(_, extension)| key.ends_with(extension)).map(|(known, _)| *known);
    assert_eq!(compression, expected);
    assert_eq!(matches!(unpack(&key, b"", 1), Err(UnpackError::UnknownName)), compression.is_none());
    let name = key.rsplit('/').next().unwrap_or_default();
    let is_path = key.split('/').all(|part| !["", ".", ".."].contains(&part));
    let is_events_key =
        key.starts_with(layout::EVENTS) && is_path && compression.is_some() && !name.starts_with(['.', '_']);
    assert_eq!(layout::is_events_key(&key), is_events_key);
    let written_at = layout::manifest_written_at(&key);
    assert!(written_at.is_none() || key.starts_with(layout::MANIFESTS));

    let mix = data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |mix, byte| {
        (mix ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // From 1900 to 9980.
    let micros = (mix % 255_000_000_000_000_000) as i64 - 2_208_988_800_000_000;
    let instant = |micros| Timestamp::from_microsecond(micros).expect("an instant before the year 9999");
    let (earlier, later) = (instant(micros), instant(micros + 1));
    let hash = format!("{mix:016x}");
    for at in [Some(earlier), Some(later), written_at.filter(|at| is_plausible(*at))].into_iter().flatten() {
        let manifest = layout::manifest_key(at, &hash);
        assert_eq!(layout::manifest_written_at(&manifest), Some(truncate_to_micros(at)));
        assert!(layout::manifests_after(at) < manifest, "a listing leaves out its own instant");
        for (compression, extension) in EXTENSIONS {
            let events = layout::events_key(at, &hash, compression);
            assert!(layout::is_events_key(&events) && events.ends_with(&format!("/{hash}{extension}")));
            assert_eq!(layout::compression_of(&events), Some(compression));
        }
        let (letter, closed) = (layout::dead_letter_key(at, &hash), layout::closed_key(at, &hash));
        let audit = layout::audit_key(at, "replay", &hash);
        assert!(letter.starts_with(layout::DEAD_LETTERS) && !audit.starts_with(layout::CLOSED));
        assert_eq!(letter.strip_prefix(layout::DEAD_LETTERS), closed.strip_prefix(layout::CLOSED));
        assert!([&manifest, &letter, &closed, &audit].into_iter().all(|key| !layout::is_events_key(key)));
    }
    assert!(layout::manifest_key(earlier, &hash) < layout::manifest_key(later, "0"));
    assert!(layout::manifest_key(earlier, &hash) < layout::manifests_after(later));
}

/// A manifest.
pub fn manifest(data: &[u8]) {
    let manifest = match Manifest::from_json(data) {
        Ok(manifest) => manifest,
        Err(ManifestError::Version(version)) => {
            assert_ne!(version, 1);
            return;
        }
        Err(ManifestError::Json(_)) => return,
    };
    assert_eq!(manifest.v, 1);
    assert_eq!(serde_json::to_value(manifest.reason).ok(), Some(Value::from(manifest.reason.as_str())));
    let hash = manifest.hash();
    assert!(oracles::is_hex(&hash, 16));
    let hash_of = |keys: &[&str]| {
        let mut hash = KeysHash::default();
        keys.iter().for_each(|key| hash.add(key));
        hash.finish()
    };
    let keys: Vec<&str> = manifest.objects.iter().map(|object| object.key.as_str()).collect();
    let backwards: Vec<&str> = keys.iter().rev().copied().collect();
    let one_more = [keys.as_slice(), &[hash.as_str()]].concat();
    assert!(oracles::is_hex(&hash_of(&keys), 32) && hash_of(&keys) == hash_of(&backwards));
    assert_ne!(hash_of(&keys), hash_of(&one_more));
    // A year before 0 is written in a form that does not read back; ours are of this century.
    if !is_plausible(manifest.written_at) {
        return;
    }
    let written = manifest.to_json();
    assert_eq!(Manifest::from_json(&written).ok().as_ref(), Some(&manifest));
    let newer = [br#"{"of_the_future":[{}],"#.as_slice(), &written[1..]].concat();
    assert_eq!(Manifest::from_json(&newer).ok().as_ref(), Some(&manifest), "a field of the future stops it");
    let key = layout::manifest_key(manifest.written_at, &hash);
    assert_eq!(layout::manifest_written_at(&key), Some(manifest.written_at));
}

/// A dead letter, the mark of one, an audit record; or the conditions of a filter, one a line.
pub fn dead_letter(data: &[u8]) {
    if let Ok(letter) = serde_json::from_slice::<DeadLetter>(data) {
        match letter.body() {
            Ok(body) => assert_eq!(BASE64_STANDARD.encode(body), letter.body_base64),
            Err(error) => assert!(matches!(error, LakeError::Refused(_)) && !letter.body_base64.is_empty()),
        }
        assert_eq!(serde_json::to_value(letter.reason).ok(), Some(Value::from(letter.reason.as_str())));
        if is_plausible(letter.received_at) && is_plausible(letter.dead_at) {
            oracles::json_reads_back(&letter);
        }
        let for_these_bytes = DeadLetter { body_base64: BASE64_STANDARD.encode(data), ..letter };
        assert_eq!(for_these_bytes.body().ok().as_deref(), Some(data));
    }
    let closed = serde_json::from_slice::<Closed>(data).ok();
    if let Some(closed) = closed.filter(|closed| is_plausible(closed.at)) {
        oracles::json_reads_back(&closed);
    }
    let audit = serde_json::from_slice::<Audit>(data).ok();
    if let Some(audit) = audit.filter(|audit| is_plausible(audit.at)) {
        oracles::json_reads_back(&audit);
    }
    assert!(oracles::is_hex(&DeadLetter::id_of(data), 32));

    let text = String::from_utf8_lossy(data);
    let conditions: Vec<String> = text.lines().take(16).map(str::to_owned).collect();
    match Filter::parse(&conditions, arrival()) {
        Ok(filter) => {
            let since = filter.since.map(|since| since.to_string());
            let parts =
                [("id", &filter.id), ("reason", &filter.reason), ("event", &filter.event), ("since", &since)];
            let given =
                parts.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_ref()?)));
            let given: Vec<String> = given.collect();
            assert_eq!(filter.to_string(), given.join(" "));
            assert_eq!(Filter::parse(&given, arrival()), Ok(filter));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Most that an object may unpack to here: small, so that many can be tried.
const UNPACKED_MAX: usize = 4 * 1024 * 1024;

/// An object behind a letter: `z` zstd, `g` gzip, `p` plain lines; `b` bodies, one a line, to be wrapped in lines of
/// ours; any other letter is a name that tells no compression.
pub fn lake_object(data: &[u8]) {
    let (kind, rest) = data.split_first().map_or((b'p', data), |(kind, rest)| (*kind, rest));
    let bodies: Vec<&[u8]> = rest.split(|byte| *byte == b'\n').take(64).collect();
    let (file, packed) = match kind {
        b'z' => ("events/x.jsonl.zst", rest.to_vec()),
        b'g' => ("events/x.jsonl.gz", rest.to_vec()),
        b'p' => ("events/x.jsonl", rest.to_vec()),
        b'b' => ("events/x.jsonl", bodies.iter().map(|body| wrapped(body)).collect::<Vec<_>>().join(&b'\n')),
        _ => ("events/x.parquet", rest.to_vec()),
    };
    let packed = Bytes::from(packed);
    let unpacked = unpack(file, &packed, UNPACKED_MAX);
    if let Err(UnpackError::TooLarge(_)) = unpacked {
        return;
    }

    let found = read::read(file, arrival(), &packed);

    let rows = found.rows.clone();
    assert_eq!((rows.file.as_str(), rows.landed_at), (file, arrival()));
    let Ok(text) = unpacked else {
        assert!(!rows.is_readable && rows.lines == 0 && rows.events.is_empty() && rows.rejects.len() == 1);
        assert_eq!(rows.rejects[0].line, 0);
        assert!(["object_name", "object_damaged"].contains(&rows.rejects[0].reason));
        assert!(found.snapshots.is_empty() && found.claims.is_empty());
        return;
    };
    assert!(rows.is_readable && found.bytes_unpacked == text.len());
    assert_eq!(rows.lines, oracles::lines_in(&text));
    oracles::every_line_has_one_fate(&rows);
    if kind == b'b' {
        for (number, body) in (1..).zip(&bodies) {
            let reason = rows.rejects.iter().find(|row| row.line == number).map(|row| row.reason);
            assert_eq!(reason, oracles::why_not_loaded(body), "what is an event loads, and nothing else");
        }
    }
    let ids: BTreeSet<String> = rows.events.iter().map(|row| row.tracking_id.clone()).collect();
    let snapshots = oracles::by_tracking(found.snapshots.clone());
    assert!(snapshots.keys().eq(&ids), "a tracking has no snapshot, or a snapshot no event");
    let claims = found.claims.clone();
    assert!(claims.is_sorted_by(|a, b| a < b) && claims.iter().all(|claim| ids.contains(&claim.tracking_id)));

    // The same lines packed otherwise load the same, and the two together add nothing.
    let (compression, extension) = EXTENSIONS[text.len() % EXTENSIONS.len()];
    let mut packer = Packer::new(compression);
    text.chunks(1_000).for_each(|piece| packer.append(piece));
    let again = read::read(&format!("events/y{extension}"), arrival(), &Bytes::from(packer.finish()));
    assert_eq!((&again.rows.events, &again.rows.rejects), (&rows.events, &rows.rejects));
    let set = read::combine(vec![again, found]);
    assert_eq!((oracles::by_tracking(set.snapshots), set.claims), (snapshots, claims));
    assert_eq!(set.files.last(), Some(&rows));
}

/// A text that is in nothing but secrets.
const CANARY: &str = "canary-2f1d9c7e-8b44-canary";

/// A line of words for who asks; then lines `NAME=value` (environment) and `--flag=value`; after a line `---` the
/// file. Words: `receiving`, `queue`, `lake`, `warehouse` need that; `data`, `demo`; `canary` puts a secret into the
/// environment, `file-canary` one into the last line of the file.
pub fn settings(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if text.contains(CANARY) {
        return;
    }
    let (head, file) = text.split_once("\n---\n").map_or((&*text, None), |(head, file)| (head, Some(file)));
    let mut lines = head.lines();
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let has = |word: &str| words.contains(&word);
    let (mut flags, mut env) = (BTreeMap::new(), BTreeMap::new());
    for line in lines.take(64) {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        match name.strip_prefix("--") {
            Some(flag) => flags.insert(flag.replace('-', "_"), value.to_owned()),
            None => env.insert(name.to_owned(), value.to_owned()),
        };
    }
    if has("canary") {
        env.insert("WAYBILL_OPS_TOKEN".to_owned(), CANARY.to_owned());
        let warehouse = format!("postgres://waybill:{CANARY}@localhost/waybill");
        env.insert("WAYBILL_WAREHOUSE".to_owned(), warehouse);
    }
    let secret =
        if has("file-canary") { format!("\nwebhook_secrets = \"{CANARY}\"\n") } else { String::new() };
    let needs = [
        ("receiving", Need::Receiving),
        ("queue", Need::Queue),
        ("lake", Need::Lake),
        ("warehouse", Need::Warehouse),
    ];
    let purpose = Purpose {
        needs: needs.into_iter().filter(|(word, _)| has(word)).map(|(_, need)| need).collect(),
        data: has("data").then(|| "waybill-data".into()),
        is_demo: has("demo"),
    };
    let lookup = |name: &str| match env.get(name) {
        // No input may choose a file to be read.
        Some(_) if name.ends_with("_FILE") => Some("no-such-folder/no-such-file".to_owned()),
        found => found.cloned(),
    };
    let given = Given {
        env_names: env.keys().cloned().collect(),
        env: &lookup,
        file: file.map(|file| ("waybill.toml".to_owned(), format!("{file}{secret}"))),
        flags: flags.clone(),
    };

    let (settings, faults) = Settings::examine(&given, &purpose);

    match Settings::gather(&given, &purpose) {
        Ok(_) => assert!(faults.0.is_empty(), "good enough, in spite of faults"),
        Err(again) => assert_eq!(again, faults),
    }
    let shown = format!("{settings:?}\n{faults}");
    assert!(!shown.contains(CANARY), "a secret shows itself:\n{shown}");
    assert!(faults.0.iter().all(|fault| !fault.is_empty()));
    let Some(settings) = settings else {
        assert!(!faults.0.is_empty(), "no settings, and nothing is wrong");
        return;
    };
    oracles::settings_keep_their_limits(&settings);
    if faults.0.is_empty() {
        oracles::settings_are_whole(&settings, &purpose);
    }
    let (flag, variable) = (flags.get("batch_events"), env.get("WAYBILL_BATCH_EVENTS"));
    if let Some(text) = flag.or(variable) {
        let events = text.trim().parse::<usize>().ok().filter(|events| (1..=100_000).contains(events));
        assert_eq!(settings.batch_events, events.unwrap_or(10_000));
        let origin = if flag.is_some() { "--batch-events:" } else { "WAYBILL_BATCH_EVENTS:" };
        assert_eq!(events.is_none(), faults.0.iter().any(|fault| fault.starts_with(origin)));
    }
}

/// A time of arrival like any other: 2026-07-09T12:00:00.123456Z.
fn arrival() -> Timestamp {
    Timestamp::from_microsecond(1_783_598_400_123_456).expect("an instant of this century")
}

fn wrapped(body: &[u8]) -> Vec<u8> {
    let envelope = webhook::read_envelope(body).ok();
    let event_id = envelope.as_ref().and_then(|envelope| envelope.event_id.clone());
    let is_test = envelope.as_ref().is_some_and(webhook::Webhook::is_test);
    encode(&Event::received(Bytes::copy_from_slice(body), event_id, is_test, arrival()))
}

/// A line with the file's key, then the file. Each line of data is a row or a reject with its bytes; what is a row says
/// what was written; the sum of money is that of the rows.
pub fn shop_file(data: &[u8]) {
    let (key, text) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (String::from_utf8_lossy(&data[..end]).into_owned(), &data[end + 1..]),
        None => (String::new(), data),
    };
    let dataset = match waybill::retail::name::read(&key) {
        waybill::retail::name::Named::File(dataset) => dataset,
        _ => Dataset::OrderItems,
    };
    let source = ShopSource { key, bytes: text.len() as u64, modified_at: Timestamp::UNIX_EPOCH };
    let file = ShopFile::read(dataset, source, Bytes::copy_from_slice(text));
    let (mut rows, mut cents, mut last) = (0, 0_i128, 0);
    let money = dataset.contract().money_index();
    let each = file.for_each_row(|line, values| {
        assert!(line > last, "lines come in their order");
        last = line;
        rows += 1;
        assert_eq!(values.len(), dataset.contract().columns.len());
        if let Some(ShopValue::Cents(amount)) = money.and_then(|index| values.get(index)) {
            cents += i128::from(*amount);
        }
        Ok::<(), std::convert::Infallible>(())
    });
    match each {
        Ok(()) => {}
        Err(never) => match never {},
    }
    let report = &file.report;
    assert!(report.rejects.iter().all(|reject| reject.line > 0 && !reject.detail.is_empty()));
    let known: Vec<&str> = LineReason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert!(report.rejects.iter().all(|reject| known.contains(&reject.reason)));
    if report.verdict.is_some() {
        assert_eq!(rows, 0, "nothing of a rejected file is loaded");
        return;
    }
    assert_eq!(rows + report.rejects.len() as u64, report.lines);
    assert_eq!(cents, i128::from(report.money_cents));
    // Its rejects, replayed as they are, are rejected again.
    let again: Vec<(u64, Bytes)> =
        report.rejects.iter().map(|reject| (reject.line, reject.raw.clone())).collect();
    let repaired = ShopFile::repaired(dataset, file.source.clone(), 0, "again", again);
    // Where a column is not kept its fault is gone, too.
    if dataset.contract().columns.iter().all(|column| column.is_kept) {
        assert_eq!(repaired.report.rejects.len(), report.rejects.len());
    }
}
