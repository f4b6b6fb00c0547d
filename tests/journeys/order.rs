//! Order does not matter: the same events, shuffled, repeated and cut into other files, make the same tables, on
//! both engines.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use waybill::aftership::simulator::{Simulator, SimulatorOptions, Version};
use waybill::aftership::webhook;
use waybill::event::{Event, line};
use waybill::lake::Lake;
use waybill::lake::disk::DiskLake;
use waybill::lake::layout::{self, Compression};
use waybill::lake::object::Packer;
use waybill::lake::suppressed::Latest;
use waybill::load::{Load, LoadSettings, Loaded, Summary};
use waybill::ops::health::Health;
use waybill::warehouse::duckdb::{DuckDbOptions, DuckDbWarehouse};
use waybill::warehouse::postgres::PostgresWarehouse;
use waybill::warehouse::{Cell, Warehouse};

use crate::support::process::Postgres;
use crate::support::waybill::event;

/// Shuffles on each engine.
const SHUFFLES: u64 = 4;

/// The columns that must be equal whatever the order; `docs/WAREHOUSE.md` lists them.
const TABLES: &[&str] = &[
    "select event_key, event_id, event, tracking_id, source, received_at, body_sha256, event_date, is_test
     from raw.tracking_event order by event_key",
    "select event_key, body_sha256, tracking_id, received_at from raw.tracking_event_conflict order by event_key, body_sha256",
    "select legacy_id, tracking_id from raw.tracking_alias order by legacy_id",
    "select tracking_key, tracking_id, source_tracking_id, legacy_id, tracking_number, courier, tag, subtag, subtag_message, order_id,
       order_number, shipment_type, origin_country, destination_country, created_at, updated_at, event_at, body_sha256,
       info_received_at, in_transit_at, out_for_delivery_at, first_attempt_at, available_for_pickup_at, delivered_at,
       exception_at, last_checkpoint_at, estimated_delivery_text, estimated_delivery_source, estimated_delivery_at,
       promised_delivery_text, promised_delivery_at, on_time_status, on_time_difference_days, is_active,
       is_return_to_sender, is_test, checkpoint_count
     from base.fct_shipment_tracking order by tracking_id",
    "select tracking_id, checkpoint_key, position, checkpoint_at, checkpoint_time_text, created_at, courier, tag, subtag,
       subtag_message, raw_tag, message, location, city, state, postal_code, country, source, hash
     from base.fct_tracking_checkpoint order by tracking_id, checkpoint_key",
];

/// Lines of realistic events of all versions, with repetitions, conflicts, legacy ids, test samples and odd content.
fn lines() -> Vec<Vec<u8>> {
    let start: Timestamp = "2026-07-01T00:00:00Z".parse().expect("instant");
    let options = SimulatorOptions {
        version: Version::Mixed,
        duplicate_rate: 0.1,
        late_rate: 0.1,
        start,
        ..SimulatorOptions::default()
    };
    let mut bodies: Vec<Vec<u8>> =
        Simulator::new(7, options).take(300).map(|delivery| delivery.body).collect();
    let id = "0e0e0e0e-0000-4000-8000-00000000000a";
    let plain = |tracking: &str, tag: &str, minute: u32| {
        event(
            &format!("0e0e0e0e-0000-4000-8000-{minute:012}"),
            tracking,
            tag,
            &format!("2026-07-09T11:{minute:02}:00+00:00"),
        )
    };
    let legacy = |new: &str, old: &str, minute: u32| {
        plain(new, "InTransit", minute)
            .replace(r#""slug":"dhl","tag""#, &format!(r#""legacy_id":"{old}","slug":"dhl","tag""#))
    };
    let sample = plain(&"0".repeat(32), "Delivered", 59);
    bodies.extend(
        [
            // A conflict: one key, two bodies, of two trackings.
            event(id, "conflict1", "InTransit", "2026-07-09T11:00:00+00:00"),
            event(id, "conflict1", "Delivered", "2026-07-09T12:00:00+00:00"),
            event(id, "conflict2", "Delivered", "2026-07-09T12:00:00+00:00"),
            // Equal times: the hash settles it. A status that goes back. No time at all.
            plain("tie", "InTransit", 1).replace("0001\"", "0091\""),
            plain("tie", "Delivered", 1),
            plain("back", "Delivered", 2),
            plain("back", "InTransit", 3),
            plain("timeless", "InTransit", 4).replace("2026-07-09T11:04:00+00:00", "whenever"),
            plain("timeless", "Delivered", 5),
            // Legacy ids: taken over before and after the old one's own news, and claimed twice.
            plain("old1", "InTransit", 10),
            legacy("new1", "old1", 11),
            plain("old1", "Exception", 12),
            legacy("new2", "old2", 13),
            legacy("new3", "old2", 14),
            plain("old2", "Delivered", 15),
            plain("new2", "Exception", 16),
            // AfterShip's sample, pressed twice.
            sample.clone(),
            sample,
            // Content that other readers choke on.
            plain("odd", "InTransit", 20).replace("\"dhl\"", r#""d\u0000h\ud800l""#),
        ]
        .map(String::into_bytes),
    );

    bodies
        .into_iter()
        .enumerate()
        .filter(|(_, body)| webhook::read(body).is_ok())
        .map(|(index, body)| {
            let received_at = start + SignedDuration::from_millis(index as i64 * 1_700);
            let webhook = webhook::read(&body).expect("filtered");
            let (event_id, is_test) = (webhook.event_id.clone(), webhook.is_test());
            let body = Bytes::from(body);
            line::encode(&Event::received(body, event_id, is_test, received_at))
        })
        .collect()
}

/// Writes lines shuffled, some of them again, into files of random sizes; loads after some of them.
async fn deliver(lines: &[Vec<u8>], seed: u64, dir: &Path, warehouse: Arc<dyn Warehouse>) -> Summary {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut lines: Vec<&Vec<u8>> = lines.iter().collect();
    for _ in 0..lines.len() / 5 {
        lines.push(lines[random.usize(..lines.len())]);
    }
    random.shuffle(&mut lines);
    let lake: Arc<dyn Lake> = Arc::new(DiskLake::open(dir).expect("lake"));
    let load = Load {
        lake: Arc::clone(&lake),
        warehouse,
        settings: LoadSettings { files_max: random.usize(1..5), ..LoadSettings::default() },
        suppressed: Latest::default(),
        health: Health::new(),
        loaded: Arc::new(Loaded::default()),
        landed: None,
    };
    let stop = CancellationToken::new();
    let mut total = Summary::default();
    let mut rest = lines.as_slice();
    let mut number = 0u64;
    while !rest.is_empty() {
        let (file, others) = rest.split_at(random.usize(1..=rest.len().min(60)));
        rest = others;
        number += 1;
        let compression = [Compression::Zstd, Compression::Gzip, Compression::None][random.usize(..3)];
        let mut packer = Packer::new(compression);
        for line in file {
            packer.append(line);
            packer.append(b"\n");
        }
        let minute = "2026-07-09T11:00:00Z".parse().expect("instant");
        let key = layout::events_key(minute, &format!("{number:064x}"), compression);
        lake.put_new(&key, Bytes::from(packer.finish())).await.expect("put");
        if random.u8(..4) == 0 || rest.is_empty() {
            let summary = load.run_once(&stop, |_, _| {}).await.expect("load");
            total.lines += summary.lines;
            total.inserted += summary.inserted;
            total.duplicate += summary.duplicate;
            total.conflict += summary.conflict;
            total.rejected += summary.rejected;
        }
    }
    assert_eq!(total.lines, lines.len() as i64);
    assert_eq!(total.lines, total.inserted + total.duplicate + total.conflict + total.rejected);
    total
}

async fn dump(warehouse: &dyn Warehouse) -> String {
    let mut text = String::new();
    for table in TABLES {
        let answer = warehouse.query(table).await.expect("query");
        text.push_str(&format!("{:?}\n", answer.columns));
        for row in answer.rows {
            text.push_str(&format!("{row:?}\n"));
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_repetition_and_split_makes_the_same_tables_on_both_engines() {
    let lines = lines();
    let postgres = Postgres::start().await;
    let mut first: Option<String> = None;
    for seed in 0..SHUFFLES {
        let dir = tempfile::tempdir().expect("temporary folder");
        let duckdb: Arc<dyn Warehouse> = Arc::new(
            DuckDbWarehouse::open(dir.path().join("w.duckdb"), DuckDbOptions::default()).expect("warehouse"),
        );
        let url = postgres.create_database(&format!("shuffle{seed}")).await;
        let other: Arc<dyn Warehouse> = Arc::new(PostgresWarehouse::open(&url).expect("warehouse"));
        for (name, warehouse) in [("lake1", duckdb), ("lake2", other)] {
            warehouse.migrate().await.expect("schema");
            // Each engine gets a shuffle of its own.
            let seed = seed * 2 + u64::from(name == "lake2");
            let total = deliver(&lines, seed, &dir.path().join(name), Arc::clone(&warehouse)).await;
            judge(warehouse.as_ref()).await;
            let found = dump(warehouse.as_ref()).await;

            assert!(total.conflict > 0 && total.duplicate > 0, "{total:?}: this proves little");
            match &first {
                None => first = Some(found),
                Some(first) => assert!(
                    *first == found,
                    "seed {seed} on {} makes other tables:\n{}",
                    warehouse.kind(),
                    difference(first, &found)
                ),
            }
        }
    }
}

/// What the facts must say, whatever the order: an old id is taken over, a conflict feeds the facts, the newest wins.
async fn judge(warehouse: &dyn Warehouse) {
    let facts = "select tracking_id, tag from base.fct_shipment_tracking
        where tracking_id in ('old1', 'old2', 'new1', 'new2', 'new3', 'conflict1', 'conflict2', 'back', 'timeless')
        order by tracking_id";
    let answer = warehouse.query(facts).await.expect("query");
    let found: Vec<(&str, &str)> = answer
        .rows
        .iter()
        .map(|row| match (&row[0], &row[1]) {
            (Cell::Text(id), Cell::Text(tag)) => (id.as_str(), tag.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        found,
        [
            ("back", "InTransit"),
            ("conflict1", "Delivered"),
            ("conflict2", "Delivered"),
            // Both were claimed; the old ids are nobody's own any more.
            ("new1", "Exception"),
            ("new2", "Exception"),
            ("new3", "InTransit"),
            ("timeless", "Delivered"),
        ]
    );
    let one = async |sql: &str| format!("{:?}", warehouse.query(sql).await.expect("query").rows);
    assert_eq!(one("select count(*) as n from raw.tracking_event where is_test").await, "[[Int(2)]]");
    assert_eq!(one("select count(*) as n from raw.tracking_event_conflict").await, "[[Int(2)]]");
}

/// The first lines in which two dumps differ.
fn difference(a: &str, b: &str) -> String {
    let (a, b): (Vec<_>, Vec<_>) = (a.lines().collect(), b.lines().collect());
    let only = |these: &[&str], those: &[&str]| -> String {
        these.iter().filter(|line| !those.contains(line)).take(5).map(|line| format!("  {line}\n")).collect()
    };
    format!(
        "{} and {} lines; only in the first:\n{}only in the second:\n{}",
        a.len(),
        b.len(),
        only(&a, &b),
        only(&b, &a)
    )
}
