//! kill -9 at every moment that matters, and at random ones: whatever was acknowledged is in the facts, once, and
//! right; or in the dead letters.

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use waybill::failpoint::POINTS;

use crate::support::oracle::{Oracle, Verdict};
use crate::support::pairing::{Pairing, Setup};
use crate::support::standin::{Fault, Op};
use crate::support::torture::{conclude, passes};
use crate::support::waybill::Deployment;

/// How long a process may go on before the moment of its death must have come.
const LIFE_MAX: Duration = Duration::from_secs(20);

/// The moments that each pairing is killed at. Together they are all there are but those of erasing, which
/// `journeys::forget` is killed at, those of the shop's files (`journeys::shop`) and of polling (`journeys::poll`); each
/// runs where its code is.
fn moments(pairing: Pairing) -> Vec<&'static str> {
    let is_own = |name: &str| match pairing {
        Pairing::Embedded => {
            !name.starts_with("forget.")
                && !name.starts_with("shop.")
                && !name.starts_with("poll.")
                && !name.starts_with("queue.sqs")
                && !name.starts_with("spool.")
                && !name.starts_with("lake.s3")
                && !name.starts_with("warehouse.postgres")
        }
        Pairing::Aws => {
            ["queue.sqs", "spool.", "lake.s3", "warehouse.postgres"].iter().any(|own| name.starts_with(own))
        }
        Pairing::SqsFolderDuckDb => name.starts_with("batch.") || name.starts_with("queue.sqs"),
        Pairing::DiskS3Postgres => name.starts_with("load.") || name.starts_with("queue.disk.before"),
    };
    POINTS.iter().copied().filter(|name| is_own(name)).collect()
}

#[test]
fn every_moment_is_killed_at_in_some_pairing() {
    let killed: Vec<_> = Pairing::ALL.into_iter().flat_map(moments).collect();

    // Those are killed at in journeys of their own.
    let elsewhere = ["forget.", "shop.", "poll."];
    for point in POINTS.iter().filter(|point| !elsewhere.iter().any(|mover| point.starts_with(mover))) {
        assert!(killed.contains(point), "nobody is killed at {point}");
    }
    assert!(POINTS.len() >= 40);
    assert!(killed.len() >= 60, "{} kills", killed.len());
}

macro_rules! pairings {
    ($($test:ident: $pairing:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                for seed in passes(0x57A7) {
                    let verdict = kill_at_every_moment(Pairing::$pairing, seed).await;
                    conclude(concat!("kills, ", stringify!($pairing)), seed, &verdict);
                }
            }
        )+
    };
}

pairings! {
    a_kill_at_any_moment_loses_and_doubles_nothing_embedded: Embedded,
    a_kill_at_any_moment_loses_and_doubles_nothing_on_sqs_s3_postgres_with_a_spool: Aws,
    a_kill_at_any_moment_loses_and_doubles_nothing_on_sqs_folder_duckdb: SqsFolderDuckDb,
    a_kill_at_any_moment_loses_and_doubles_nothing_on_disk_s3_postgres: DiskS3Postgres,
}

async fn kill_at_every_moment(pairing: Pairing, seed: u64) -> Verdict {
    let setup = Setup::start(pairing).await;
    tokio::task::spawn_blocking(move || {
        let oracle = setup.oracle(seed);
        let mut random = fastrand::Rng::with_seed(seed);
        for point in moments(pairing) {
            if point.starts_with("replay.") {
                kill_replay(&setup, &oracle, point);
            } else {
                kill_at(&setup, &oracle, point, &mut random);
            }
            oracle.count_faults(1);
        }
        oracle.judge(moments(pairing).len() * 5)
    })
    .await
    .expect("the journey ends")
}

/// One life under load, that ends at `point`.
fn kill_at(setup: &Setup, oracle: &Arc<Oracle>, point: &str, random: &mut fastrand::Rng) {
    let is_at_start = point.contains(".open.") || point.ends_with(".migrate");
    let count = if is_at_start { 1 } else { random.u32(1..=3) };
    let deployment = match point {
        // A schema is made once only: this one is made, killed at, and made again.
        "warehouse.postgres.migrate" | "warehouse.duckdb.migrate" => setup.with_fresh_warehouse(),
        _ => setup.deployment.clone(),
    };
    let doomed = deployment.with("WAYBILL_TEST_FAILPOINT", &format!("{point}@{count}"));
    if point.starts_with("spool.") {
        setup.outage();
    }
    let mut up = match doomed.try_start(&["up"]) {
        Ok(up) => up,
        Err((status, stderr)) => {
            assert_eq!(status.signal(), Some(9), "{point}: {status}\n{stderr}");
            if point.ends_with(".migrate") {
                setup.with_fresh_warehouse().run_ok(&["migrate"]);
            }
            return;
        }
    };
    let senders = oracle.senders(up.listen(), 3);
    let end = Instant::now() + LIFE_MAX;
    let mut is_out = point.starts_with("spool.");
    let status = loop {
        if let Some(status) = up.ended() {
            break status;
        }
        if is_out && up.metric("waybill_spool_spooled_events_total") > 0.0 {
            // It is forwarded now.
            setup.standin().faults().disarm_all();
            is_out = false;
        }
        assert!(Instant::now() < end, "{point}@{count} was not reached:\n{}", up.stderr());
        std::thread::park_timeout(Duration::from_millis(5));
    };
    senders.stop();
    setup.end_outage();
    assert_eq!(status.signal(), Some(9), "{point}: {status}\n{}", up.stderr());
}

/// Dead letters are sent again by a process that dies at `point`, while the rest goes on.
fn kill_replay(setup: &Setup, oracle: &Arc<Oracle>, point: &str) {
    let up = setup.deployment.start(&["up"]);
    let senders = oracle.senders(up.listen(), 2);
    let end = Instant::now() + LIFE_MAX;
    while open_letters(&setup.deployment) == 0 {
        assert!(Instant::now() < end, "no dead letter to replay");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    senders.stop();
    let doomed = setup.deployment.clone().with("WAYBILL_TEST_FAILPOINT", &format!("{point}@1"));
    let output = doomed.run(&["dead-letters", "replay", "--yes", "--reason", "test"]);
    assert_eq!(output.status.signal(), Some(9), "{point}: {}", String::from_utf8_lossy(&output.stderr));
}

pub fn open_letters(deployment: &Deployment) -> usize {
    let listed = deployment.run_ok(&["dead-letters", "list", "--format", "json"]);
    serde_json::from_str::<Vec<serde_json::Value>>(&listed).expect("JSON").len()
}

/// Kills of one pass at random moments.
const ROUNDS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments_lose_and_double_nothing() {
    for seed in passes(0xACE) {
        let verdict = kill_at_random(seed).await;
        conclude("kills at random, Embedded", seed, &verdict);
    }
}

async fn kill_at_random(seed: u64) -> Verdict {
    let setup = Setup::start(Pairing::Embedded).await;
    tokio::task::spawn_blocking(move || {
        let oracle = setup.oracle(seed);
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..ROUNDS {
            let mut up = setup.deployment.start(&["up"]);
            let senders = oracle.senders(up.listen(), 4);
            // The moment of the kill is the random thing here: between nothing done and several loads done.
            std::thread::park_timeout(Duration::from_millis(random.u64(20..900)));
            up.kill();
            senders.stop();
            oracle.count_faults(1);
        }
        oracle.judge(ROUNDS * 5)
    })
    .await
    .expect("the journey ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_aws_in_any_mix_lose_and_double_nothing() {
    for seed in passes(0xFA017) {
        let verdict = let_aws_fail(seed).await;
        conclude("faults of AWS", seed, &verdict);
    }
}

async fn let_aws_fail(seed: u64) -> Verdict {
    let setup = Setup::start(Pairing::Aws).await;
    tokio::task::spawn_blocking(move || {
        let oracle = setup.oracle(seed);
        let mut faults = [
            (Op::SendMessageBatch, Fault::Status(503)),
            (Op::SendMessageBatch, Fault::Throttle),
            (Op::SendMessageBatch, Fault::FailEntries(3)),
            (Op::SendMessageBatch, Fault::DropEntries(3)),
            (Op::SendMessageBatch, Fault::DropAnswerAfterDoing),
            (Op::SendMessageBatch, Fault::Slow(Duration::from_millis(700))),
            (Op::SendMessageBatch, Fault::Blackhole),
            (Op::ReceiveMessage, Fault::Status(503)),
            (Op::ReceiveMessage, Fault::LoseReceived),
            (Op::ReceiveMessage, Fault::DeliverTwice),
            (Op::ReceiveMessage, Fault::DropAnswerAfterDoing),
            (Op::DeleteMessageBatch, Fault::FailEntries(5)),
            (Op::DeleteMessageBatch, Fault::DropEntries(5)),
            (Op::DeleteMessageBatch, Fault::Status(500)),
            (Op::DeleteMessageBatch, Fault::DropAnswerAfterDoing),
            (Op::ChangeMessageVisibilityBatch, Fault::Status(503)),
            (Op::PutObject, Fault::Status(503)),
            (Op::PutObject, Fault::Throttle),
            (Op::PutObject, Fault::WriteThen503),
            (Op::PutObject, Fault::WriteThen412),
            (Op::PutObject, Fault::Conflict409),
            (Op::PutObject, Fault::DropAnswerAfterDoing),
            (Op::GetObject, Fault::CutBody),
            (Op::GetObject, Fault::Status(503)),
            (Op::GetObject, Fault::DropAnswerAfterDoing),
            (Op::ListObjectsV2, Fault::Status(503)),
        ];
        // Their order is another one in each pass, but the first.
        if seed != 0xFA017 {
            fastrand::Rng::with_seed(seed).shuffle(&mut faults);
        }
        let up = setup.deployment.start(&["up"]);
        let senders = oracle.senders(up.listen(), 4);
        let armed: Vec<_> = faults
            .iter()
            .map(|(op, fault)| {
                let armed = setup.standin().faults().arm(*op, *fault, 1);
                std::thread::park_timeout(Duration::from_millis(60));
                armed
            })
            .collect();
        let end = Instant::now() + LIFE_MAX;
        // Extending happens only while something is held for long: that one may come or not.
        let is_over = || {
            armed
                .iter()
                .enumerate()
                .all(|(index, one)| one.is_spent() || faults[index].0 == Op::ChangeMessageVisibilityBatch)
        };
        while !is_over() {
            assert!(Instant::now() < end, "some faults did not happen: {armed:?}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        senders.stop();
        setup.standin().faults().disarm_all();
        oracle.count_faults(armed.iter().map(|one| one.fired()).sum());
        drop(up);
        oracle.judge(100)
    })
    .await
    .expect("the journey ends")
}
