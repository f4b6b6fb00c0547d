//! Random histories of loads, on both engines: any lines, cut into any files, in any order, some files again, two
//! loaders at once. The tables are what a few lines of Rust say they must be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use waybill::event::{BodySha256, Event, line};
use waybill::load::read;
use waybill::warehouse::duckdb::{DuckDbOptions, DuckDbWarehouse};
use waybill::warehouse::postgres::PostgresWarehouse;
use waybill::warehouse::{Cell, Warehouse};

use crate::support::process::Postgres;
use crate::support::waybill::event;

const CASES: u32 = 64;

/// One line: which event, which of its bodies, when it arrived.
#[derive(Debug, Clone, Copy)]
struct Line {
    id: u8,
    variant: u8,
    second: u8,
}

#[derive(Debug, Clone)]
struct History {
    files: Vec<Vec<Line>>,
    /// Which files are loaded, in this order; some come again, some together with the one before.
    loads: Vec<(prop::sample::Index, bool)>,
}

fn history() -> impl Strategy<Value = History> {
    let line = (0..8u8, 0..3u8, 0..20u8).prop_map(|(id, variant, second)| Line { id, variant, second });
    let files = prop::collection::vec(prop::collection::vec(line, 1..7), 1..6);
    let loads = prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..6);
    (files, loads).prop_map(|(files, loads)| History { files, loads })
}

fn body(line: Line) -> String {
    let id = format!("0e0e0e0e-0000-4000-8000-{:012}", line.id);
    let tag = ["InTransit", "Delivered", "Exception"][usize::from(line.variant)];
    let updated_at = format!("2026-07-09T11:00:{:02}+00:00", (line.id * 3 + line.variant * 7) % 60);
    event(&id, &format!("t{}", line.id % 3), tag, &updated_at)
}

fn text(one: Line) -> Vec<u8> {
    let received_at: Timestamp = "2026-07-09T12:00:00Z".parse().expect("an instant");
    let received_at = received_at + SignedDuration::from_secs(i64::from(one.second));
    let id = format!("0e0e0e0e-0000-4000-8000-{:012}", one.id);
    line::encode(&Event::received(Bytes::from(body(one)), Some(id), false, received_at))
}

/// What must be in the tables: each key with its chosen body, the other bodies, each tracking with its newest body.
type Tables = (BTreeMap<String, String>, BTreeSet<(String, String)>, BTreeMap<String, String>);

fn model(history: &History) -> Tables {
    let mut bodies: BTreeMap<(String, String), u8> = BTreeMap::new();
    let mut newest: BTreeMap<String, (String, String)> = BTreeMap::new();
    for one in history.files.iter().flatten() {
        let sha = BodySha256::of(body(*one).as_bytes()).to_hex();
        let key = format!("0e0e0e0e-0000-4000-8000-{:012}", one.id);
        let first = bodies.entry((key, sha.clone())).or_insert(one.second);
        *first = (*first).min(one.second);
        let updated_at = format!("{:02}", (one.id * 3 + one.variant * 7) % 60);
        let known = newest.entry(format!("t{}", one.id % 3)).or_default();
        *known = known.clone().max((updated_at, sha));
    }
    let mut chosen: BTreeMap<String, (u8, String)> = BTreeMap::new();
    for ((key, sha), second) in &bodies {
        let candidate = (*second, sha.clone());
        let known = chosen.entry(key.clone()).or_insert_with(|| candidate.clone());
        *known = known.clone().min(candidate);
    }
    let others = bodies.keys().filter(|(key, sha)| chosen[key].1 != *sha).cloned().collect();
    let chosen = chosen.into_iter().map(|(key, (_, sha))| (key, sha)).collect();
    (chosen, others, newest.into_iter().map(|(id, (_, sha))| (id, sha)).collect())
}

async fn pairs(warehouse: &dyn Warehouse, sql: &str) -> Vec<(String, String)> {
    let text = |cell: &Cell| match cell {
        Cell::Text(text) => text.clone(),
        other => panic!("{other:?} is no text"),
    };
    let answer = warehouse.query(sql).await.expect("an answer");
    answer.rows.iter().map(|row| (text(&row[0]), text(&row[1]))).collect()
}

async fn count(warehouse: &dyn Warehouse, sql: &str) -> i64 {
    match warehouse.query(sql).await.expect("an answer").rows[0][0] {
        Cell::Int(count) => count,
        ref other => panic!("{other:?} is no count"),
    }
}

async fn load(warehouse: Arc<dyn Warehouse>, history: &History, file: usize) {
    let lines: Vec<Vec<u8>> = history.files[file].iter().map(|line| text(*line)).collect();
    let landed_at: Timestamp = "2026-07-09T12:00:30Z".parse().expect("an instant");
    let read = read::read(&format!("events/{file}.jsonl"), landed_at, &Bytes::from(lines.join(&b'\n')));
    warehouse.load(read::combine(vec![read])).await.expect("a load");
}

async fn play(warehouse: &Arc<dyn Warehouse>, history: &History) -> Result<(), String> {
    let mut order: Vec<(usize, bool)> =
        history.loads.iter().map(|(index, together)| (index.index(history.files.len()), *together)).collect();
    // In the end every file was loaded once at least.
    order.extend((0..history.files.len()).rev().map(|file| (file, file % 2 == 0)));
    let mut order = order.into_iter().peekable();
    while let Some((file, _)) = order.next() {
        let beside = order.next_if(|(_, together)| *together);
        let first = load(Arc::clone(warehouse), history, file);
        match beside {
            Some((other, _)) => {
                futures_util::future::join(first, load(Arc::clone(warehouse), history, other)).await;
            }
            None => first.await,
        }
    }

    let (chosen, others, newest) = model(history);
    let found: BTreeMap<String, String> =
        pairs(warehouse.as_ref(), "select event_key, body_sha256 from raw.tracking_event")
            .await
            .into_iter()
            .collect();
    let rows = count(warehouse.as_ref(), "select count(*) as n from raw.tracking_event").await;
    let conflicts: BTreeSet<(String, String)> =
        pairs(warehouse.as_ref(), "select event_key, body_sha256 from raw.tracking_event_conflict")
            .await
            .into_iter()
            .collect();
    let facts: BTreeMap<String, String> =
        pairs(warehouse.as_ref(), "select tracking_id, body_sha256 from base.fct_shipment_tracking")
            .await
            .into_iter()
            .collect();
    let lines = count(
        warehouse.as_ref(),
        "select cast(coalesce(sum(inserted + duplicate + conflict), 0) as bigint) as n from raw.loaded_file",
    )
    .await;
    let expected_lines: usize = history.files.iter().map(Vec::len).sum();
    if rows as usize != chosen.len() || found != chosen {
        return Err(format!("events {found:?}, not {chosen:?}"));
    }
    if conflicts != others {
        return Err(format!("conflicts {conflicts:?}, not {others:?}"));
    }
    if facts != newest {
        return Err(format!("facts {facts:?}, not {newest:?}"));
    }
    if lines as usize != expected_lines {
        return Err(format!("{lines} lines in the ledger, not {expected_lines}"));
    }
    Ok(())
}

fn run(fresh: impl AsyncFn() -> Arc<dyn Warehouse>) {
    let runtime = tokio::runtime::Handle::current();
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&history(), |history| {
        runtime.block_on(async {
            let warehouse = fresh().await;
            play(&warehouse, &history).await.map_err(TestCaseError::fail)
        })
    });
    outcome.expect("every history gives the same tables");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_history_of_loads_makes_the_same_tables_on_duckdb() {
    tokio::task::spawn_blocking(|| {
        let dir = tempfile::tempdir().expect("temporary folder");
        let number = std::sync::atomic::AtomicU32::new(0);
        run(async || {
            let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let path = dir.path().join(format!("{number}.duckdb"));
            let warehouse = DuckDbWarehouse::open(path, DuckDbOptions::default()).expect("warehouse");
            warehouse.migrate().await.expect("a schema");
            Arc::new(warehouse) as Arc<dyn Warehouse>
        });
    })
    .await
    .expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_history_of_loads_makes_the_same_tables_on_postgres() {
    let postgres = Postgres::start().await;
    let url = postgres.create_database("loads").await;
    tokio::task::spawn_blocking(move || {
        run(async || {
            let warehouse = PostgresWarehouse::open(&url).expect("warehouse");
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
                .await
                .expect("the server takes connections");
            let connection = tokio::spawn(connection);
            client
                .batch_execute("drop schema if exists raw cascade; drop schema if exists base cascade; drop schema if exists mart cascade")
                .await
                .expect("empty");
            drop(client);
            connection.await.expect("the task ends").expect("the connection ends in order");
            warehouse.migrate().await.expect("a schema");
            Arc::new(warehouse) as Arc<dyn Warehouse>
        });
    })
    .await
    .expect("it ends");
}
