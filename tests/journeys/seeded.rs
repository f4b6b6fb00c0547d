//! The judge is worth something only if it finds what is wrong: every mistake that can be asked for is found.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use waybill::failpoint::BUGS;

use crate::journeys::crash::open_letters;
use crate::support::oracle::Verdict;
use crate::support::pairing::{Pairing, Setup};
use crate::support::standin::{Fault, Op};
use crate::support::waybill::{PATIENCE, Running};

/// What a mistake needs to do harm.
enum Harm {
    /// Nothing but traffic.
    Traffic,
    /// What has been loaded is sent again.
    Again,
    /// The process dies at this moment, when it has come so often.
    KillAt(&'static str, u32),
    /// The process is asked to end while it holds events.
    Drain,
    /// The lake is away when the process is asked to end.
    LakeAway,
    /// SQS is away, and comes back.
    SqsAway,
    /// SQS is away, comes back, and the process dies at this moment.
    SqsAwayAndKillAt(&'static str, u32),
    /// A dead letter is sent again by a process that dies at this moment.
    ReplayKilledAt(&'static str),
}

fn harm(bug: &str) -> (Pairing, Harm) {
    use Pairing::{Aws, Embedded, SqsFolderDuckDb};
    match bug {
        "ack_before_durable" => (Embedded, Harm::KillAt("batch.after_object", 2)),
        "failed_entries_are_sent" => (SqsFolderDuckDb, Harm::SqsAway),
        "delete_before_put" => (Embedded, Harm::KillAt("batch.before_object", 2)),
        "deletes_what_failed_to_land" => (Aws, Harm::LakeAway),
        "loads_by_watermark" | "object_named_by_minute" | "object_cut_short" => (Embedded, Harm::Traffic),
        "ledger_apart" => (Embedded, Harm::KillAt("warehouse.duckdb.after_commit", 3)),
        "no_dedupe" => (Embedded, Harm::Again),
        "poison_dropped" | "poison_changed" | "body_rewritten" | "any_signature" => (Embedded, Harm::Traffic),
        "replay_marks_first" => (Embedded, Harm::ReplayKilledAt("replay.before_send")),
        "drain_drops" => (Embedded, Harm::Drain),
        "spool_forgets" => (Aws, Harm::SqsAway),
        "forward_deletes_first" => (Aws, Harm::SqsAwayAndKillAt("spool.forward.before_send", 2)),
        other => panic!("nobody looks for the bug {other}"),
    }
}

/// What the judge must say of a mistake: that something is wrong is not enough.
fn sign_of(bug: &str) -> &'static str {
    match bug {
        "no_dedupe" => "in the facts more than once",
        "poison_dropped" | "poison_changed" | "replay_marks_first" => "in no open dead letter byte for byte",
        "any_signature" => "was never signed, and is there",
        "loads_by_watermark" | "ledger_apart" => "is in the facts 0 times, in the lake",
        "body_rewritten" => "was never sent, and is there",
        _ => "is in the facts 0 times, in the lake 0 times",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_seeded_bug_is_found() {
    assert!(BUGS.len() >= 12);
    let mut missed = Vec::new();
    for (bug, what) in BUGS {
        let (pairing, harm) = harm(bug);
        let verdict = run(pairing, harm, Some(bug)).await;
        let sign = sign_of(bug);
        let first = verdict.problems.iter().find(|problem| problem.contains(sign)).cloned();
        println!("{bug:28} {}", first.clone().unwrap_or_else(|| format!("NOT FOUND: {verdict}")));
        if first.is_none() {
            missed.push(format!("{bug}: {what}; {verdict}: {:?}", verdict.problems));
        }
    }
    assert!(missed.is_empty(), "not found: {missed:#?}");
}

/// The same harm without a mistake is no harm: what is found above is the mistake.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_harm_without_a_bug_is_clean() {
    for bug in ["deletes_what_failed_to_land", "replay_marks_first", "drain_drops", "forward_deletes_first"] {
        let (pairing, harm) = harm(bug);
        let verdict = run(pairing, harm, None).await;
        assert!(verdict.problems.is_empty(), "{bug}: {:#?}", verdict.problems);
    }
}

async fn run(pairing: Pairing, harm: Harm, bug: Option<&'static str>) -> Verdict {
    let setup = Setup::start(pairing).await;
    tokio::task::spawn_blocking(move || {
        let mut deployment = setup.deployment.clone();
        if let Some(bug) = bug {
            deployment = deployment.with("WAYBILL_TEST_BUG", bug);
        }
        let oracle = setup.oracle(0xB06);
        let doomed = match &harm {
            Harm::KillAt(point, count) | Harm::SqsAwayAndKillAt(point, count) => {
                deployment.clone().with("WAYBILL_TEST_FAILPOINT", &format!("{point}@{count}"))
            }
            // Held until the end.
            Harm::Drain => deployment.clone().with("WAYBILL_BATCH_AGE", "60s"),
            _ => deployment.clone(),
        };
        let mut up = doomed.start(&["up"]);
        let senders = oracle.senders(up.listen(), 3);
        match harm {
            Harm::Traffic => {
                // Several objects in several loads, whatever the machine's pace. What is cut short is never loaded.
                until(|| {
                    up.metric("waybill_load_files_total") + up.metric("waybill_load_failures_total") > 0.0
                });
                let landed = up.metric("waybill_batch_landed_objects_total");
                until(|| {
                    oracle.oks() > 250 && up.metric("waybill_batch_landed_objects_total") > landed + 10.0
                });
            }
            Harm::Again => {
                // In the facts, so that the second time comes in another load.
                until(|| oracle.oks() > 60 && up.metric("waybill_load_rows_total") > 60.0);
                oracle.send_again(up.listen(), 60);
            }
            Harm::KillAt(..) => until(|| up.ended().is_some()),
            Harm::Drain => {
                until(|| oracle.oks() > 50 && up.metric("waybill_batch_held_events") > 0.0);
            }
            Harm::LakeAway => {
                until(|| oracle.oks() > 20);
                let armed = setup.standin().faults().arm(Op::PutObject, Fault::Status(503), u64::MAX);
                until(|| armed.fired() > 4 && up.metric("waybill_batch_held_events") > 0.0);
            }
            Harm::SqsAway | Harm::SqsAwayAndKillAt(..) => {
                let armed = setup.outage();
                let has_spool = pairing == Pairing::Aws;
                until(|| {
                    let spooled = up.metric("waybill_spool_spooled_events_total");
                    armed.fired() > 2 && oracle.sent() > 12 && (spooled > 20.0 || !has_spool)
                });
                setup.end_outage();
                if matches!(harm, Harm::SqsAwayAndKillAt(..)) {
                    until(|| up.ended().is_some());
                }
            }
            Harm::ReplayKilledAt(point) => {
                until(|| open_letters(&deployment) > 0);
                let killed = deployment.clone().with("WAYBILL_TEST_FAILPOINT", &format!("{point}@1"));
                let output = killed.run(&["dead-letters", "replay", "--yes", "--reason", "test"]);
                assert_eq!(output.status.signal(), Some(9), "{point}");
            }
        }
        senders.stop();
        end(&mut up);
        setup.end_outage();
        oracle.judge_with(&deployment, 1)
    })
    .await
    .expect("the journey ends")
}

fn end(up: &mut Running) {
    if up.ended().is_none() {
        up.terminate();
        up.wait();
    }
}

fn until(mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "it did not come to that");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
