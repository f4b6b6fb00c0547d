//! The walk, over a lake on disk and a warehouse in a file, with a queue that is empty.

use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::event::{Event, EventKey, Source, line};
use crate::lake::disk::DiskLake;
use crate::lake::layout::{self, Compression};
use crate::lake::manifest::{FlushReason, KeysHash, Manifest, ManifestObject};
use crate::lake::receipt::ReceiptBook;
use crate::queue::{Delivery, Depth, Enqueued, Lease, QueueError};
use crate::warehouse::duckdb::{DuckDbOptions, DuckDbWarehouse};
use crate::warehouse::rows::{EventRow, FileRows, LoadSet};

use super::*;

/// Nothing waits in it.
struct Empty;

#[async_trait]
impl Queue for Empty {
    async fn send(&self, _: Vec<String>) -> Vec<Result<Enqueued, SendError>> {
        Vec::new()
    }

    async fn receive(&self, _: usize, _: Duration, _: Duration) -> Result<Vec<Delivery>, QueueError> {
        Ok(Vec::new())
    }

    async fn extend(&self, _: &[Lease], _: Duration) -> Vec<Result<(), QueueError>> {
        Vec::new()
    }

    async fn delete(&self, _: &[Lease]) -> Vec<Result<(), QueueError>> {
        Vec::new()
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        Ok(Depth { ready: 0, leased: 0, oldest: None })
    }

    async fn probe(&self) -> Result<(), QueueError> {
        Ok(())
    }

    fn message_bytes_max(&self) -> usize {
        1_048_576
    }

    fn kind(&self) -> &'static str {
        "empty"
    }

    async fn close(&self) {}
}

/// Three events of one minute, received, landed in one object and loaded.
struct World {
    dir: tempfile::TempDir,
    reconcile: Reconcile,
    events: Vec<Event>,
    file: String,
}

impl World {
    /// Receipts are of the minute that they are written in, so all of it has to happen in one.
    async fn begin() -> World {
        loop {
            let world = World::attempt().await;
            if minute_of(Timestamp::now()) == world.events[0].received_at {
                return world;
            }
        }
    }

    async fn attempt() -> World {
        let dir = tempfile::tempdir().expect("temporary folder");
        let lake: Arc<dyn Lake> = Arc::new(DiskLake::open(&dir.path().join("lake")).expect("lake"));
        let warehouse = DuckDbWarehouse::open(dir.path().join("w.duckdb"), DuckDbOptions::default())
            .expect("a warehouse");
        warehouse.migrate().await.expect("migrated");
        let received_at = minute_of(Timestamp::now());
        let body = |id: &str| Bytes::from(format!(r#"{{"msg":{{"id":"{id}"}}}}"#));
        let events: Vec<Event> = ["t1", "t2", "t3"]
            .into_iter()
            .map(|id| Event::received(body(id), None, false, received_at))
            .collect();
        let file = land(lake.as_ref(), &events).await;
        warehouse.load(rows(&file, &events)).await.expect("loaded");
        receive(&lake, &events).await;
        let reconcile = Reconcile {
            lake,
            warehouse: Arc::new(warehouse),
            queue: Some(Arc::new(Empty)),
            settings: ReconcileSettings { load_grace: Duration::ZERO, ..ReconcileSettings::default() },
        };
        World { dir, reconcile, events, file }
    }

    async fn report(&self) -> Report {
        let now = Timestamp::now();
        let span = Span::settled(now - SignedDuration::from_mins(3), now, Duration::ZERO);
        self.reconcile.compare(span, now, |_, _| {}).await.expect("a report")
    }

    /// Kinds and ids of what is found, but for facts: no facts are loaded here.
    async fn found(&self) -> Vec<(Kind, Vec<String>)> {
        let report = self.report().await;
        let differences = report.differences.into_iter().filter(|one| one.kind != Kind::FactMissing);
        differences.map(|one| (one.kind, one.ids)).collect()
    }

    fn keys(&self, numbers: &[usize]) -> Vec<String> {
        let mut keys: Vec<String> =
            numbers.iter().map(|number| self.events[*number].event_key.as_str().to_owned()).collect();
        keys.sort();
        keys
    }

    fn path(&self, key: &str) -> std::path::PathBuf {
        self.dir.path().join("lake").join(key)
    }

    fn sql(&self, sql: &str) {
        let connection = duckdb::Connection::open(self.dir.path().join("w.duckdb")).expect("the file");
        connection.execute_batch(&format!("set timezone = 'UTC'; {sql}")).expect("done by hand");
    }
}

/// Puts events into one object, and its manifest beside it.
async fn land(lake: &dyn Lake, events: &[Event]) -> String {
    let mut text = Vec::new();
    let mut hash = KeysHash::default();
    for event in events {
        text.extend(line::encode(event));
        text.push(b'\n');
        hash.add(event.event_key.as_str());
    }
    let name = hex::encode(Sha256::digest(&text));
    let key = layout::events_key(events[0].received_at, &name, Compression::None);
    let object = ManifestObject {
        key: key.clone(),
        lines: events.len() as u64,
        bytes: text.len() as u64,
        keys_hash: hash.finish(),
    };
    lake.put_new(&key, Bytes::from(text)).await.expect("put");
    let written_at = crate::event::truncate_to_micros(Timestamp::now());
    let manifest = Manifest { v: 1, written_at, reason: FlushReason::Age, objects: vec![object] };
    let manifest_key = layout::manifest_key(written_at, &manifest.hash());
    lake.put_new(&manifest_key, Bytes::from(manifest.to_json())).await.expect("put");
    key
}

fn rows(file: &str, events: &[Event]) -> LoadSet {
    let row = |(line, event): (u64, &Event)| EventRow {
        line,
        event_key: event.event_key.as_str().to_owned(),
        event_id: None,
        event: None,
        tracking_id: format!("tracking of {}", event.event_key.as_str()),
        source: event.source.as_str(),
        received_at: event.received_at,
        replay_id: None,
        body_sha256: event.body_sha256.to_hex(),
        event_date: None,
        is_test: false,
    };
    let file = FileRows {
        file: file.to_owned(),
        landed_at: events[0].received_at,
        lines: events.len() as u64,
        is_readable: true,
        events: (1..).zip(events).map(row).collect(),
        rejects: Vec::new(),
    };
    LoadSet { files: vec![file], ..LoadSet::default() }
}

/// Writes the receipts of a receiver that took these events and ended.
async fn receive(lake: &Arc<dyn Lake>, events: &[Event]) {
    let book = ReceiptBook::new(Source::Webhook);
    for event in events {
        book.received(event.received_at);
        book.verified(event.received_at);
        book.acknowledged(event.received_at, &event.event_key);
    }
    let stop = tokio_util::sync::CancellationToken::new();
    stop.cancel();
    book.keep(Arc::clone(lake), stop).await;
}

/// The files of a folder and all below it.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_span_ends_where_minutes_have_settled() {
    let at = |text: &str| text.parse::<Timestamp>().expect("instant");
    let (from, now) = (at("2026-07-09T12:00:30Z"), at("2026-07-09T12:05:30Z"));
    let until = |settle| Span::settled(from, now, Duration::from_secs(settle)).until;

    assert_eq!(Span::settled(from, now, Duration::ZERO).from, at("2026-07-09T12:00:00Z"));
    assert_eq!(until(0), at("2026-07-09T12:06:00Z"), "the running minute, too");
    assert_eq!(until(120), at("2026-07-09T12:03:00Z"));
    assert_eq!(until(30), at("2026-07-09T12:05:00Z"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_agrees_is_clean_by_hashes_and_by_keys() {
    let mut world = World::begin().await;
    for deep in [false, true] {
        world.reconcile.settings.deep = deep;

        assert_eq!(world.found().await, [], "deep {deep}");
        let report = world.report().await;
        let minute = report.minutes.iter().find(|minute| minute.landed.count > 0).expect("the minute");
        let acknowledged = minute.acknowledged.as_ref().expect("receipts");
        assert_eq!((minute.received, minute.verified, minute.receipts), (3, 3, 1));
        assert_eq!((&minute.landed, &minute.loaded), (acknowledged, acknowledged));
        assert_eq!(report.notes, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_object_is_named_with_its_events() {
    let world = World::begin().await;
    std::fs::remove_file(world.path(&world.file)).expect("the object");

    assert_eq!(world.found().await, [(Kind::ObjectMissing, world.keys(&[0, 1, 2]))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_deleted_and_a_row_forged_are_named_even_where_counts_agree() {
    let world = World::begin().await;
    let key = &world.keys(&[1])[0];
    world.sql(&format!("update raw.tracking_event set event_key = 'forged' where event_key = '{key}'"));

    let found = world.found().await;

    assert_eq!(found, [(Kind::RowMissing, vec![key.clone()]), (Kind::RowForged, vec!["forged".to_owned()])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_written_twice_is_named() {
    let world = World::begin().await;
    let key = &world.keys(&[1])[0];
    world.sql(&format!(
        "insert into raw.tracking_event select * from raw.tracking_event where event_key = '{key}'"
    ));

    assert_eq!(world.found().await, [(Kind::RowForged, vec![key.clone()])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_moved_out_of_the_span_is_named() {
    let world = World::begin().await;
    let key = &world.keys(&[0])[0];
    world.sql(&format!(
        "update raw.tracking_event set received_at = cast('2020-01-01 00:00:00+00' as timestamptz) where event_key = '{key}'"
    ));

    assert_eq!(world.found().await, [(Kind::RowForged, vec![key.clone()])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_another_size_is_read_whatever_the_hashes_say() {
    let world = World::begin().await;
    let path = world.path(&world.file);
    let text = std::fs::read_to_string(&path).expect("the object");
    // The same lines and keys, and a blank that nobody wrote.
    std::fs::write(&path, text.replacen("\"v\":1", "\"v\" :1", 1)).expect("changed");

    let kinds: Vec<Kind> = world.found().await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [Kind::ObjectChanged]);

    std::fs::write(&path, &text[..text.len() / 2]).expect("cut short");
    let kinds: Vec<Kind> = world.found().await.into_iter().map(|(kind, _)| kind).collect();
    assert!(kinds.contains(&Kind::ObjectChanged), "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_was_rejected_and_is_whole_again_is_not_loaded() {
    let world = World::begin().await;
    world.sql(&format!(
        "delete from raw.tracking_event where file = '{file}';
         update raw.loaded_file set status = 'rejected', lines = 0, inserted = 0 where file = '{file}';
         insert into raw.rejected_row (file, line, reason, text, dataset, rejected_at) values ('{file}', 0, 'damaged', null, 'tracking', now());",
        file = world.file
    ));

    let report = world.report().await;

    let found: Vec<_> = report.differences.iter().filter(|one| one.kind == Kind::NotLoaded).collect();
    let [rejected] = found.as_slice() else { panic!("{:?}", report.differences) };
    assert_eq!((rejected.is_explained, &rejected.ids), (false, &world.keys(&[0, 1, 2])));
    assert!(rejected.text.contains("raw.rejected_row"), "{}", rejected.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_receipt_is_named_and_no_event_for_it() {
    let world = World::begin().await;
    let receipts = files(&world.path("receipts"));
    std::fs::remove_file(&receipts[0]).expect("a receipt");

    let found = world.found().await;

    assert_eq!(found.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [Kind::ReceiptMissing]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_died_is_explained() {
    let world = World::begin().await;
    for path in files(&world.path("receipts")) {
        std::fs::remove_file(path).expect("a receipt");
    }
    let ended =
        files(&world.path("receivers")).into_iter().find(|path| path.to_string_lossy().contains("ended"));
    std::fs::remove_file(ended.expect("a mark")).expect("the mark");

    let report = world.report().await;

    let differences: Vec<&Difference> =
        report.differences.iter().filter(|one| one.kind != Kind::FactMissing).collect();
    let [died] = differences.as_slice() else { panic!("{differences:?}") };
    assert_eq!((died.kind, died.is_explained), (Kind::ReceiverDied, true));
    assert!(died.text.contains("3 events"), "{}", died.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_is_lost_and_what_nobody_took_is_named() {
    let world = World::begin().await;
    let strange = Event {
        event_key: EventKey::from_text("strange"),
        ..Event::received(Bytes::from_static(b"{}"), None, false, world.events[0].received_at)
    };
    let taken = Event { event_key: EventKey::from_text("taken"), ..strange.clone() };
    let file = land(world.reconcile.lake.as_ref(), std::slice::from_ref(&strange)).await;
    world.reconcile.warehouse.load(rows(&file, &[strange])).await.expect("loaded");
    receive(&world.reconcile.lake, &[taken]).await;

    let found = world.found().await;

    assert_eq!(
        found,
        [(Kind::NotReceipted, vec!["strange".to_owned()]), (Kind::Lost, vec!["taken".to_owned()])]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_object_is_found_by_looking_deep() {
    let mut world = World::begin().await;
    let path = world.path(&world.file);
    let text = std::fs::read_to_string(&path).expect("the object");
    let lines: Vec<&str> = text.lines().rev().collect();
    std::fs::write(&path, lines.join("\n") + "\n").expect("changed");

    assert_eq!(world.found().await, [], "hashes know no order");
    world.reconcile.settings.deep = true;
    let kinds: Vec<Kind> = world.found().await.into_iter().map(|(kind, _)| kind).collect();

    assert_eq!(kinds, [Kind::ObjectChanged, Kind::RowForged], "other bytes, and rows of other lines");
}
