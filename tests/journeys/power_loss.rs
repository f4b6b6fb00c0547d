//! The power goes at any moment: of the disk queue only what was flushed is left, or torn parts of the rest. Whatever
//! is left, the queue opens, and every acknowledged event is in it, byte for byte.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use waybill::event::line;
use waybill::queue::Queue;
use waybill::queue::disk::{DiskOptions, DiskQueue};

use crate::support::crash_states::{CALLS, Fate, State, Trace};
use crate::support::waybill::{Deployment, PATIENCE, event, fresh_id, post};

const EVENTS: usize = 25;

/// Runs a receiver under strace; gives the ids in the order in which they were acknowledged, and what it asked for.
fn record(dir: &Path) -> (Vec<String>, Trace) {
    let root = dir.canonicalize().expect("a folder").join("queue");
    let log = dir.join("trace");
    let log_text = log.display().to_string();
    let trace = format!("trace={CALLS}");
    let strace = ["strace", "-f", "-y", "-xx", "-s", "4000000", "-e", &trace, "-o", &log_text];
    let deployment =
        Deployment::embedded(dir).with("WAYBILL_QUEUE", &format!("file:{}", root.display())).run_by(&strace);
    let mut receive = deployment.start(&["receive"]);
    let ids: Vec<String> = (0..EVENTS)
        .map(|index| {
            let id = fresh_id();
            let body = event(&id, &format!("t{index}"), "InTransit", "2026-07-09T11:00:00Z");
            assert_eq!(post(receive.listen(), body.as_bytes()).map(|answer| answer.status), Some(200));
            id
        })
        .collect();
    receive.kill();
    let text = std::fs::read_to_string(log).expect("what strace wrote");
    (ids, Trace::read(&text, &root))
}

/// Opens the queue as the next start would; gives the ids of the events in it.
fn recovered(state: &State) -> Result<BTreeSet<String>, String> {
    let dir = tempfile::tempdir().expect("temporary folder");
    for (path, bytes) in &state.files {
        // The index of the log is memory that is shared, and is made anew.
        if let Some(name) = path.file_name().filter(|name| !name.to_string_lossy().ends_with("-shm")) {
            std::fs::write(dir.path().join(name), bytes).expect("a file");
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = DiskOptions { any_file_system: true, ..DiskOptions::default() };
        let queue = DiskQueue::open(dir.path(), options).map_err(|error| error.to_string())?;
        let mut ids = BTreeSet::new();
        loop {
            let received =
                queue.receive(100, Duration::ZERO, PATIENCE).await.map_err(|error| error.to_string())?;
            if received.is_empty() {
                queue.close().await;
                return Ok(ids);
            }
            for delivery in received {
                let line = line::from_message(&delivery.body).map_err(|error| error.to_string())?;
                // Reading it holds the body against its hash.
                let event = line::decode(&line).map_err(|error| error.to_string())?;
                ids.extend(event.event_id);
            }
        }
    })
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (ids, trace) = record(dir.path());
    assert_eq!(trace.acknowledged(), EVENTS, "every answer is in the trace");

    let mut states = 0;
    for moment in 0..=trace.moments() {
        for fate in [Fate::Lost, Fate::Kept, Fate::Torn(1), Fate::Torn(2), Fate::Scattered(3)] {
            let state = trace.cut_at(moment, fate, true);
            let found = match recovered(&state) {
                Ok(found) => found,
                Err(error) => panic!("moment {moment}, {fate:?}: the queue does not open: {error}"),
            };
            let lost: Vec<_> = ids[..state.acknowledged].iter().filter(|id| !found.contains(*id)).collect();
            assert!(
                lost.is_empty(),
                "moment {moment}, {fate:?}: {} acknowledged events are lost",
                lost.len()
            );
            states += 1;
        }
    }
    println!("{states} states of the disk, {EVENTS} events: all that was acknowledged is there");
    assert!(states > 300, "{states} states");
}

/// The same check finds a program that does not flush: else it would prove nothing.
#[test]
fn without_flushes_events_would_be_lost() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (ids, trace) = record(dir.path());

    let state = trace.cut_at(trace.moments(), Fate::Lost, false);

    assert_eq!(state.acknowledged, EVENTS);
    let found = recovered(&state).unwrap_or_default();
    assert!(ids.iter().any(|id| !found.contains(id)));
}
