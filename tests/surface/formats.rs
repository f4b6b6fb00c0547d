//! Everything that outlives a process, as version 1 writes it: golden files in `tests/golden/formats`, which today's
//! program must write and read. Old and new programs run side by side in every deployment, and what lies in a lake is
//! read years later. `UPDATE_GOLDEN=1` writes the files anew: a change in them is a change of a format.
//!
//! What is packed is compared unpacked: another release of zstd may pack otherwise, and is read all the same.

mod version_1;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use rusqlite::{Connection, params};
use tokio_util::sync::CancellationToken;
use waybill::event::line::{self, LineError};
use waybill::event::{EventKey, Source};
use waybill::lake::disk::DiskLake;
use waybill::lake::layout::{self, Compression};
use waybill::lake::manifest::{Manifest, ManifestError};
use waybill::lake::object::{Packer, unpack};
use waybill::lake::receipt::{self, Receipt, ReceiptBook};
use waybill::lake::suppressed::{Extent, ListError, Suppressed};
use waybill::lake::{Lake, audit, dead_letter};
use waybill::poll::state::{self, StateError};
use waybill::queue::disk::{DiskOptions, DiskQueue};
use waybill::queue::{Queue, QueueError};

use crate::support::waybill::Deployment;

use version_1::{WRITER, at};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/formats").join(name)
}

/// Key and bytes of every object; packed receipts unpacked.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let key = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
            if key.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                collect(root, &path, found);
                continue;
            }
            let bytes = std::fs::read(&path).expect("an object");
            let is_packed = key.ends_with(".zst");
            found.insert(key, if is_packed { zstd::decode_all(&bytes[..]).expect("zstd") } else { bytes });
        }
    }
    let mut found = BTreeMap::new();
    collect(root, root, &mut found);
    found
}

/// Says what differs, in words that a person can compare.
fn assert_same(name: &str, written: &[u8], golden: &[u8]) {
    assert_eq!(
        String::from_utf8_lossy(written),
        String::from_utf8_lossy(golden),
        "{name} is not written as version 1 wrote it: look at it with UPDATE_GOLDEN=1 and git diff"
    );
}

#[tokio::test]
async fn golden_objects_of_the_lake_are_what_is_written_today() {
    let dir = tempfile::tempdir().expect("temporary folder");
    version_1::write(&DiskLake::open(dir.path()).expect("lake")).await;
    let pack = |compression| {
        let mut packer = Packer::new(compression);
        packer.append(&version_1::object());
        packer.finish()
    };
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let _ = std::fs::remove_dir_all(golden("lake"));
        copy(dir.path(), &golden("lake"));
        let messages: Vec<String> =
            version_1::events().iter().map(|event| line::to_message(&line::encode(event)) + "\n").collect();
        std::fs::write(golden("messages.txt"), messages.concat()).expect("written");
        std::fs::write(golden("packed.jsonl.zst"), pack(Compression::Zstd)).expect("written");
        std::fs::write(golden("packed.jsonl.gz"), pack(Compression::Gzip)).expect("written");
    }

    let (written, kept) = (tree(dir.path()), tree(&golden("lake")));
    for (key, bytes) in &written {
        assert_same(key, bytes, kept.get(key).map_or(&[][..], Vec::as_slice));
    }
    assert_eq!(written.keys().collect::<Vec<_>>(), kept.keys().collect::<Vec<_>>());
    for compression in [Compression::Zstd, Compression::Gzip] {
        let key = layout::events_key(at("12:00:01"), "x", compression);
        assert_eq!(unpack(&key, &pack(compression), usize::MAX).expect("own object"), version_1::object());
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            std::fs::copy(&path, &to).expect("copied");
        }
    }
}

/// A lake of version 1 in a folder of its own; each object as `change` says.
fn old_lake(folder: &Path, change: impl Fn(&str, Vec<u8>) -> Vec<u8>) -> DiskLake {
    let lake = folder.join("lake");
    copy(&golden("lake"), &lake);
    for key in tree(&lake).into_keys() {
        let bytes = std::fs::read(lake.join(&key)).expect("an object");
        std::fs::write(lake.join(&key), change(&key, bytes)).expect("written");
    }
    DiskLake::open(&lake).expect("lake")
}

/// The same text with other members in front, packed again where it was packed.
fn with_members(key: &str, bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    let is_packed = key.ends_with(".zst");
    let bytes = if is_packed { zstd::decode_all(&bytes[..]).expect("zstd") } else { bytes };
    let text = String::from_utf8(bytes).expect("UTF-8").replace(from, to).into_bytes();
    if is_packed { zstd::bulk::compress(&text, 3).expect("compress") } else { text }
}

/// Reads every object of a lake and finds in it what version 1 had to say.
async fn assert_read(lake: &DiskLake) {
    let manifest = layout::manifest_key(version_1::manifest().written_at, &version_1::manifest().hash());
    let manifest = Manifest::from_json(&lake.get(&manifest).await.expect("there")).expect("readable");
    assert_eq!(manifest, version_1::manifest());
    let lines = lake.get(&manifest.objects[0].key).await.expect("there");
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let events: Vec<_> = lines.map(|line| line::decode(line).expect("readable")).collect();
    assert_eq!(events, version_1::events());

    let mut letters = dead_letter::list(lake, &dead_letter::Filter::default(), true).await.expect("list");
    letters.sort_by_key(|listed| listed.letter.reason.as_str());
    let states: Vec<_> =
        letters.iter().map(|listed| (listed.letter.reason.as_str(), listed.state())).collect();
    assert_eq!(states, [("bad_message", "dropped"), ("gave_up", "replayed"), ("not_json", "open")]);
    for (listed, expected) in letters.iter().zip([1, 2, 0]) {
        assert_eq!(listed.letter, version_1::letters()[expected]);
    }
    let since = version_1::audit().at - SignedDuration::from_hours(1);
    assert_eq!(audit::list(lake, since, 9).await.expect("list"), [version_1::audit()]);

    let (from, until) = (at("12:00:00"), at("12:01:00"));
    let found = receipt::read_minutes(lake, from, until).await.expect("read");
    assert_eq!((found.receipts, found.unreadable), (vec![version_1::receipt()], vec![]));
    assert!(version_1::receipt().is_sound());
    let writers: Vec<_> = found.writers.iter().map(|one| (one.id.as_str(), one.first, one.last)).collect();
    assert_eq!(writers, [(WRITER, from, Some(from))]);

    assert_eq!(state::load(lake).await.expect("readable"), Some(version_1::poll_state()));
    let list = Suppressed::new(b"key", "golden".to_owned()).refreshed(lake).await.expect("readable");
    let texts = |text: &str| [text.to_owned()];
    assert_eq!(list.extent(&[], &texts("p2"), at("12:00:00")), Some(Extent { with_numbers: true }));
    assert!(list.has_tracking("t1", true) && list.open().count() == 0);
}

#[tokio::test]
async fn golden_objects_of_the_lake_are_read() {
    let dir = tempfile::tempdir().expect("temporary folder");

    assert_read(&old_lake(dir.path(), |_, bytes| bytes)).await;

    for (name, key) in [("packed.jsonl.zst", "events/x.jsonl.zst"), ("packed.jsonl.gz", "events/x.jsonl.gz")]
    {
        let packed = std::fs::read(golden(name)).expect("a golden file");
        assert_same(name, &unpack(key, &packed, usize::MAX).expect("readable"), &version_1::object());
    }
    let messages = std::fs::read_to_string(golden("messages.txt")).expect("a golden file");
    let events: Vec<_> = messages
        .lines()
        .map(|message| line::decode(&line::from_message(message).expect("readable")).expect("readable"))
        .collect();
    assert_eq!(events, version_1::events());
}

#[tokio::test]
async fn members_of_the_future_are_passed_over() {
    let dir = tempfile::tempdir().expect("temporary folder");
    // What carries no version has no other first member than `how`.
    let lake = old_lake(dir.path(), |key, bytes| {
        let bytes = with_members(key, bytes, r#"{"v":1,"#, r#"{"v":1,"future":[{"a":null}],"#);
        with_members(key, bytes, r#"{"how":"#, r#"{"future":[{"a":null}],"how":"#)
    });

    assert_read(&lake).await;
}

#[tokio::test]
async fn versions_of_the_future_are_refused_by_name() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let lake = old_lake(dir.path(), |key, bytes| with_members(key, bytes, r#"{"v":1,"#, r#"{"v":2,"#));

    for line in version_1::object().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let newer = with_members("", line.to_vec(), r#"{"v":1,"#, r#"{"v":2,"#);
        let error = line::decode(&newer).expect_err("newer");
        assert!(matches!(&error, LineError::Version(Some(version)) if version == "2"), "{error}");
        assert!(error.to_string().contains("reads version 1"), "{error}");
    }
    let key = layout::manifest_key(version_1::manifest().written_at, &version_1::manifest().hash());
    let error = Manifest::from_json(&lake.get(&key).await.expect("there")).expect_err("newer");
    assert!(matches!(error, ManifestError::Version(2)), "{error}");
    let found = receipt::read_minutes(&lake, at("12:00:00"), at("12:01:00")).await.expect("read");
    assert_eq!((found.receipts, found.writers), (vec![], vec![]));
    assert_eq!(found.unreadable.len(), 3, "the receipt and both marks: {:?}", found.unreadable);
    let error = state::load(&lake).await.expect_err("newer");
    assert!(matches!(&error, StateError::Unusable(why) if why.contains("version 2")), "{error}");
    let list = Suppressed::new(b"key", "golden".to_owned()).refreshed(&lake).await;
    assert!(matches!(&list, Err(ListError::Unusable(why)) if why.contains("version 2")), "{list:?}");
}

/// What [`ReceiptBook::keep`] writes has an id and times of its own: everything else in it must be as in version 1.
#[tokio::test]
async fn receipts_and_marks_are_written_today_in_the_form_of_the_golden_ones() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let lake = DiskLake::open(dir.path()).expect("lake");
    let book = ReceiptBook::new(Source::Webhook);
    book.received(jiff::Timestamp::now());
    book.acknowledged(jiff::Timestamp::now(), &EventKey::from_text("a-key"));
    let stop = CancellationToken::new();
    stop.cancel();

    book.keep(Arc::new(lake), stop).await;

    let written = tree(dir.path());
    let of = |part: &'static str| written.iter().filter(move |(key, _)| key.contains(part));
    for (key, bytes) in of("receivers/") {
        let json: serde_json::Value = serde_json::from_slice(bytes).expect("JSON");
        let text = |name: &str| json[name].as_str().expect("text").to_owned();
        let expected = version_1::mark(&text("writer"), std::process::id(), &text("at"), &text("minute"));
        assert_same(key, bytes, expected.as_bytes());
        assert!(key.contains(&text("writer")), "{key}");
    }
    assert_eq!((of("-began.json").count(), of("-ended.json").count()), (1, 1));
    for (key, bytes) in of("receipts/") {
        let receipt: Receipt = serde_json::from_slice(bytes).expect("JSON");
        // The golden receipt is the same structure with other values, written by the same means.
        assert_same(key, bytes, &serde_json::to_vec(&receipt).expect("JSON"));
        assert_eq!(*key, receipt.key());
    }
    assert!(of("receipts/").count() >= 1);
}

/// The tables of a queue's file, as statements that make them.
fn statements(file: &Path) -> String {
    let conn = Connection::open(file).expect("a database");
    let mut select = conn
        .prepare("select sql from sqlite_master where sql is not null order by rowid")
        .expect("a statement");
    let rows = select.query_map([], |row| row.get::<_, String>(0)).expect("rows");
    let mut text: String = rows.map(|sql| sql.expect("text") + ";\n").collect();
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    text += &format!(
        "insert into mark values ({}, {});\npragma user_version = {};\n",
        number("select id from mark"),
        number("select taken_up_to from mark"),
        number("pragma user_version")
    );
    text
}

#[tokio::test]
async fn the_golden_file_of_the_disk_queue_is_what_is_made_today() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let queue = DiskQueue::open(dir.path(), DiskOptions::default()).expect("a queue");
    let file = queue.file().to_owned();
    queue.close().await;
    drop(queue);

    let made = statements(&file);

    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden("queue.sql"), &made).expect("written");
    }
    assert_same("queue.sql", made.as_bytes(), &std::fs::read(golden("queue.sql")).expect("a golden file"));
}

/// A queue or spool as version 1 left it; gives its messages.
fn old_queue(folder: &Path, version: i64) -> Vec<String> {
    std::fs::create_dir_all(folder).expect("a folder");
    let conn = Connection::open(folder.join("queue.sqlite")).expect("a database");
    conn.execute_batch(&std::fs::read_to_string(golden("queue.sql")).expect("a golden file")).expect("made");
    let messages = std::fs::read_to_string(golden("messages.txt")).expect("a golden file");
    for (index, message) in messages.lines().enumerate() {
        conn.execute(
            "insert into message values (?1, 1783598400000000, ?2)",
            params![index as i64 + 1, message],
        )
        .expect("inserted");
    }
    conn.execute_batch(&format!("pragma user_version = {version}")).expect("set");
    messages.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_disk_queue_of_version_1_is_read_with_its_leases_and_a_newer_one_is_left_alone() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let messages = old_queue(&dir.path().join("old"), 1);
    let conn = Connection::open(dir.path().join("old/queue.sqlite")).expect("a database");
    // The first message was received twice, and its lease is over.
    conn.execute_batch("insert into lease values (1, 0, 2); update mark set taken_up_to = 1")
        .expect("leased");
    drop(conn);

    let queue = DiskQueue::open(&dir.path().join("old"), DiskOptions::default()).expect("a queue");
    let mut received = queue.receive(9, Duration::ZERO, Duration::from_secs(60)).await.expect("messages");
    received.sort_by_key(|delivery| delivery.message_id.clone());

    let bodies: Vec<_> = received.iter().map(|delivery| delivery.body.clone()).collect();
    assert_eq!(bodies, messages);
    let counts: Vec<_> = received.iter().map(|delivery| delivery.receive_count).collect();
    assert_eq!(counts, [3, 1, 1, 1, 1]);
    queue.close().await;

    old_queue(&dir.path().join("new"), 2);
    let error = DiskQueue::open(&dir.path().join("new"), DiskOptions::default()).expect_err("newer");
    assert!(matches!(&error, QueueError::Refused(why) if why.contains("version is 2")), "{error}");
    let conn = Connection::open(dir.path().join("new/queue.sqlite")).expect("a database");
    let kept =
        conn.query_row("select count(*) from message", [], |row| row.get::<_, i64>(0)).expect("a number");
    assert_eq!(kept, 5, "nothing of it is lost");
}

#[test]
fn the_program_takes_a_queue_and_a_lake_of_version_1_to_the_facts() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path()).with("WAYBILL_LAKE_COMPRESSION", "none");
    old_queue(&dir.path().join("queue"), 1);

    deployment.run_ok(&["batch", "--once"]);

    let key = version_1::object_key();
    let landed = std::fs::read(dir.path().join("lake").join(&key)).expect("the object under its golden name");
    assert_same(&key, &landed, &version_1::object());

    // The same lines again, and what lies beside them: who is erased needs a key, and has a test of its own.
    copy(&golden("lake"), &dir.path().join("lake"));
    std::fs::remove_dir_all(dir.path().join("lake/suppressed")).expect("removed");
    deployment.run_ok(&["load", "--once"]);
    let rows = deployment.query("select tracking_id as id from base.fct_shipment_tracking order by 1");
    let ids: Vec<_> = rows.iter().map(|row| row["id"].as_str().expect("text")).collect();
    assert_eq!(ids, ["golden-1", "golden-2", "golden-3", "golden-4", "golden-5"]);
    assert_eq!(deployment.count("select count(*) as n from raw.rejected_row"), 0);
    let letters = deployment.run_ok(&["dead-letters", "list", "--format", "json"]);
    let letters: Vec<serde_json::Value> = serde_json::from_str(&letters).expect("JSON");
    assert_eq!(letters.len(), 1, "two of the three were dealt with");
    assert_eq!(letters[0]["reason"], "not_json");
}
