//! The mover between a real folder and a real DuckDB file: what it finds, and what does not stop it.

use bytes::Bytes;
use jiff::SignedDuration;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::event::{Event, line};
use crate::lake::disk::DiskLake;
use crate::lake::layout::{self, Compression};
use crate::lake::manifest::{FlushReason, KeysHash, Manifest, ManifestObject};
use crate::warehouse::Cell;
use crate::warehouse::duckdb::{DuckDbOptions, DuckDbWarehouse};

use super::*;

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Bench {
    lake: Arc<dyn Lake>,
    warehouse: Arc<dyn Warehouse>,
    dir: TempDir,
}

impl Bench {
    async fn new() -> Bench {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("w.duckdb");
        let warehouse = DuckDbWarehouse::open(file, DuckDbOptions::default()).expect("a warehouse");
        warehouse.migrate().await.expect("a schema");
        Bench {
            lake: Arc::new(DiskLake::open(&dir.path().join("lake")).expect("a lake")),
            warehouse: Arc::new(warehouse),
            dir,
        }
    }

    /// Writes an object with one event of that name; gives its key.
    async fn object(&self, name: &str, minute: &str) -> String {
        let received_at: Timestamp = minute.parse().expect("an instant");
        let body = Bytes::from(format!(r#"{{"msg":{{"id":"{name}"}}}}"#));
        let event = Event::received(body, None, false, received_at);
        let key = layout::events_key(received_at, &event.body_sha256.to_hex(), Compression::None);
        self.lake.put_new(&key, Bytes::from(line::encode(&event))).await.expect("put");
        key
    }

    async fn manifest(&self, keys: &[&str], written_at: Timestamp) {
        let objects: Vec<(&str, u64)> = keys.iter().map(|key| (*key, 1)).collect();
        self.manifest_of(&objects, written_at).await;
    }

    async fn manifest_of(&self, objects: &[(&str, u64)], written_at: Timestamp) {
        let objects = objects
            .iter()
            .map(|(key, lines)| ManifestObject {
                key: (*key).to_owned(),
                lines: *lines,
                bytes: 1,
                keys_hash: KeysHash::default().finish(),
            })
            .collect();
        let written_at = crate::event::truncate_to_micros(written_at);
        let manifest = Manifest { v: 1, written_at, reason: FlushReason::Age, objects };
        let key = layout::manifest_key(written_at, &manifest.hash());
        self.lake.put_new(&key, Bytes::from(manifest.to_json())).await.expect("put");
    }

    fn load(&self) -> Load {
        Load {
            lake: Arc::clone(&self.lake),
            warehouse: Arc::clone(&self.warehouse),
            settings: LoadSettings { interval: Duration::from_millis(20), ..LoadSettings::default() },
            suppressed: Latest::default(),
            health: Health::new(),
            loaded: Arc::new(Loaded::default()),
            landed: None,
        }
    }

    fn run(&self) -> (CancellationToken, JoinHandle<()>) {
        let stop = CancellationToken::new();
        (stop.clone(), tokio::spawn(self.load().run(stop)))
    }

    async fn names(&self) -> Vec<String> {
        let answer = self.warehouse.query("select tracking_id from raw.tracking_event order by 1").await;
        let texts = answer.expect("an answer").rows.into_iter().map(|row| match &row[0] {
            Cell::Text(text) => text.clone(),
            other => panic!("{other:?} is no text"),
        });
        texts.collect()
    }

    /// Waits until exactly these events are in the warehouse.
    async fn holds(&self, expected: &[&str]) {
        let waiting = async {
            while self.names().await != expected {
                tokio::task::yield_now().await;
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(outcome.is_ok(), "{:?} instead of {expected:?}", self.names().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn late_writes_into_old_minutes_are_found_and_forgotten_manifests_too() {
    let bench = Bench::new().await;
    // A crash left this one without a manifest.
    bench.object("forgotten", "2026-01-01T00:00:00Z").await;
    let (stop, running) = bench.run();
    bench.holds(&["forgotten"]).await;

    let new = bench.object("new", "2026-07-09T12:00:00Z").await;
    bench.manifest(&[&new], Timestamp::now()).await;
    bench.holds(&["forgotten", "new"]).await;
    let late = bench.object("late", "2025-01-01T00:00:00Z").await;
    bench.manifest(&[&late], Timestamp::now()).await;

    bench.holds(&["forgotten", "late", "new"]).await;
    stop.cancel();
    running.await.expect("the mover ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_holds_up_nothing_else() {
    let bench = Bench::new().await;
    let (stop, running) = bench.run();
    let good = bench.object("good", "2026-07-09T12:00:00Z").await;
    let now = Timestamp::now();
    let gone = "events/dt=2026-07-09/hour=12/minute=01/gone.jsonl.zst";
    // Objects that are gone, a name that is none of ours, a manifest that cannot be read, and behind them a good one.
    bench.manifest(&[gone, "../elsewhere", "audit/x.json"], now - SignedDuration::from_secs(5)).await;
    let damaged = layout::manifest_key(now - SignedDuration::from_secs(4), "damaged");
    bench.lake.put_new(&damaged, Bytes::from_static(b"{")).await.expect("put");
    bench.manifest(&[&good, gone], now - SignedDuration::from_secs(3)).await;

    bench.holds(&["good"]).await;
    stop.cancel();
    running.await.expect("the mover ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_read_now_holds_up_no_other_and_is_tried_again() {
    let bench = Bench::new().await;
    let (stop, running) = bench.run();
    let now = Timestamp::now();
    // A folder of that name: reading it fails as a bad sector or a missing permission would.
    let unreadable = "events/dt=2026-07-09/hour=12/minute=01/unreadable.jsonl";
    let folder = bench.dir.path().join("lake").join(unreadable);
    std::fs::create_dir_all(&folder).expect("a folder");
    let beside = bench.object("beside", "2026-07-09T12:00:00Z").await;
    bench.manifest(&[unreadable, "events/../x.jsonl", &beside], now - SignedDuration::from_secs(5)).await;
    let behind = bench.object("behind", "2026-07-09T12:02:00Z").await;
    bench.manifest(&[&behind], now - SignedDuration::from_secs(3)).await;

    bench.holds(&["behind", "beside"]).await;

    std::fs::remove_dir(&folder).expect("the folder");
    let healed = bench.object("healed", "2026-07-09T12:03:00Z").await;
    std::fs::rename(bench.dir.path().join("lake").join(healed), &folder).expect("rename");
    bench.holds(&["behind", "beside", "healed"]).await;
    stop.cancel();
    running.await.expect("the mover ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_with_fewer_lines_than_its_manifest_says_is_not_loaded() {
    let bench = Bench::new().await;
    let now = Timestamp::now();
    let whole = bench.object("whole", "2026-07-09T12:00:00Z").await;
    // Without compression nothing else tells that the second line is missing.
    let cut = bench.object("cut", "2026-07-09T12:01:00Z").await;
    bench.manifest_of(&[(&cut, 2)], now - SignedDuration::from_secs(5)).await;
    bench.manifest(&[&whole], now - SignedDuration::from_secs(3)).await;
    // Not before: a listing that finds an object whose manifest is yet to come cannot know how many lines it has.
    let (stop, running) = bench.run();

    bench.holds(&["whole"]).await;
    stop.cancel();
    running.await.expect("the mover ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_whose_clock_is_ahead_hides_nobody() {
    let bench = Bench::new().await;
    let first = bench.object("ahead", "2026-07-09T12:00:00Z").await;
    bench.manifest(&[&first], Timestamp::now() + SignedDuration::from_hours(72)).await;
    let (stop, running) = bench.run();
    bench.holds(&["ahead"]).await;
    let second = bench.object("right", "2026-07-09T12:01:00Z").await;
    bench.manifest(&[&second], Timestamp::now()).await;
    bench.holds(&["ahead", "right"]).await;
    stop.cancel();
    running.await.expect("the mover ends");

    // Neither after a restart, when the ledger says how far it came.
    let third = bench.object("still right", "2026-07-09T12:02:00Z").await;
    let (stop, running) = bench.run();
    bench.holds(&["ahead", "right", "still right"]).await;
    let fourth = bench.object("that too", "2026-07-09T12:03:00Z").await;
    bench.manifest(&[&third, &fourth], Timestamp::now()).await;
    bench.holds(&["ahead", "right", "still right", "that too"]).await;
    stop.cancel();
    running.await.expect("the mover ends");
}

#[test]
fn the_horizon_follows_manifests_and_never_our_own_clock() {
    let now: Timestamp = "2026-07-09T12:00:00Z".parse().expect("an instant");
    let object = |written_at: Timestamp| crate::lake::Object {
        key: layout::manifest_key(written_at, "hash"),
        bytes: 1,
        modified_at: now,
    };
    let mut known = Discovery::after(Some(now + SignedDuration::from_hours(100)), now);
    let begin = known.clone();
    known.done(
        &[object(now + SignedDuration::from_hours(6)), object(now - SignedDuration::from_secs(60))],
        now,
    );

    assert_eq!(begin, Discovery::after(Some(now), now));
    assert_eq!(known.horizon(), now - SignedDuration::from_mins(15));
    assert_eq!(Discovery::after(None, now).horizon(), now - SignedDuration::from_mins(15));
    assert_eq!(Discovery::after(Some(now), now).horizon(), now - SignedDuration::from_hours(48));
}
