//! Every metric, each written by one typed function, so that names, units and labels are stated once.
//!
//! A name is `waybill`, the mover or place, what is measured, and the unit; counters end in `_total`. Times are
//! seconds, sizes bytes. Label values come from closed lists: a reason or a kind, never an id or a text from
//! outside. [`CATALOGUE`] is the list for people; `docs/reference/metrics.md` is made from it.

mod catalogue;
mod exporter;
mod metric;
mod outcome;

use std::sync::OnceLock;
use std::time::Duration;

use ::metrics::{Counter, Histogram, counter, gauge, histogram};
use jiff::Timestamp;

pub use catalogue::CATALOGUE;
use catalogue::*;
use exporter::cached;
pub use exporter::{Handle, install};
pub use metric::{Kind, Metric};
pub use outcome::Outcome;

/// The program's version.
fn build_info() {
    gauge!(BUILD.name, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// A mover has done what it is for.
pub fn mover_last_success(mover: &'static str, at: Timestamp) {
    gauge!(LAST_SUCCESS.name, "mover" => mover).set(at.as_millisecond() as f64 / 1_000.0);
}

/// The host's clock was set.
pub fn clock_jumped() {
    counter!(CLOCK_JUMPS.name).increment(1);
}

/// A request got its answer.
pub fn receive_answered(outcome: Outcome, took: Duration) {
    if let Some(answered) = outcome::answered() {
        answered.count(outcome, took);
    }
}

/// All outcomes are there, at zero, before the first request.
pub fn receive_begins() {
    let _ = outcome::answered();
}

/// A secret signed a request; `secret_id` is its place among the secrets, `1` to `8`.
pub fn signature_verified(secret_id: &'static str) {
    static COUNTERS: [OnceLock<Counter>; 9] = [const { OnceLock::new() }; 9];
    let index: usize = secret_id.parse().unwrap_or(0);
    if let Some(cell) = COUNTERS.get(index)
        && let Some(verified) = cached(cell, || counter!(VERIFIED.name, "secret_id" => secret_id))
    {
        verified.increment(1);
    }
}

/// Webhook secrets were read again; `result` is `ok` or `failed`.
pub fn receive_secrets_read(result: &'static str) {
    counter!(SECRETS_READ.name, "result" => result).increment(1);
}

/// Both results are there, at zero, before the first rotation.
pub fn receive_secrets_begin() {
    for result in ["ok", "failed"] {
        counter!(SECRETS_READ.name, "result" => result).increment(0);
    }
}

/// What the public listener holds right now.
pub fn receive_in_flight(requests: u64, body_bytes: u64, connections: u64) {
    gauge!(REQUESTS_HELD.name).set(requests as f64);
    gauge!(BYTES_HELD.name).set(body_bytes as f64);
    gauge!(CONNECTIONS.name).set(connections as f64);
}

/// A connection found no place.
pub fn receive_connection_refused() {
    counter!(CONNECTIONS_REFUSED.name).increment(1);
}

/// A damaged queue file was replaced.
pub fn queue_salvaged(messages: u64, holes: u64) {
    counter!(SALVAGED.name, "result" => "saved").increment(messages);
    counter!(SALVAGED.name, "result" => "holes").increment(holes);
}

/// All counts of the spool are there, at zero.
pub fn spool_begins() {
    spool_spooled(0);
    spool_forwarded(0);
    spool_circuit(false);
}

/// Events went to the spool.
pub fn spool_spooled(events: u64) {
    counter!(SPOOLED.name).increment(events);
}

/// Spooled events are in the queue.
pub fn spool_forwarded(events: u64) {
    counter!(FORWARDED.name).increment(events);
}

/// Whether the queue is asked at all.
pub fn spool_circuit(is_open: bool) {
    gauge!(CIRCUIT.name).set(if is_open { 1.0 } else { 0.0 });
}

/// How full a queue is; `queue` is `main`, `dead_letters` or `spool`.
pub fn queue_depth(queue: &'static str, ready: u64, leased: u64, oldest: Option<Duration>) {
    gauge!(READY.name, "queue" => queue).set(ready as f64);
    gauge!(LEASED.name, "queue" => queue).set(leased as f64);
    match oldest {
        Some(oldest) => gauge!(OLDEST.name, "queue" => queue).set(oldest.as_secs_f64()),
        None if ready + leased == 0 => gauge!(OLDEST.name, "queue" => queue).set(0.0),
        None => {}
    }
}

/// Messages were leased.
pub fn batch_received(n: u64) {
    counter!(TAKEN.name).increment(n);
}

/// An object was written and listed. `reason`: why its window closed.
pub fn batch_landed(events: u64, bytes_raw: u64, bytes_stored: u64, took: Duration, reason: &'static str) {
    static TOOK: OnceLock<Histogram> = OnceLock::new();
    counter!(LANDED.name).increment(events);
    counter!(OBJECTS.name, "reason" => reason).increment(1);
    counter!(RAW.name).increment(bytes_raw);
    counter!(STORED.name).increment(bytes_stored);
    record(&TOOK, PUT_TIME.name, took);
}

/// An object was in the lake already.
pub fn batch_put_already_there() {
    counter!(PUT_AGAIN.name).increment(1);
}

/// A message became a dead letter.
pub fn batch_dead_lettered(reason: &'static str) {
    counter!(DEAD.name, "reason" => reason).increment(1);
}

/// An event lands with its personal data replaced.
pub fn batch_redacted(how: &'static str) {
    counter!(REDACTED.name, "how" => how).increment(1);
}

/// Landed messages were deleted, or were not.
pub fn batch_deleted(ok: u64, failed: u64) {
    counter!(DELETED.name, "result" => "ok").increment(ok);
    counter!(DELETED.name, "result" => "failed").increment(failed);
}

/// Leases ended while their messages were held.
pub fn batch_lease_lost(n: u64) {
    counter!(LEASE_LOST.name).increment(n);
}

/// What open windows hold.
pub fn batch_held(events: u64, bytes: u64) {
    gauge!(HELD_EVENTS.name).set(events as f64);
    gauge!(HELD_BYTES.name).set(bytes as f64);
}

/// An event is in the lake, so long after it was acknowledged.
pub fn batch_ack_to_lake(age: Duration) {
    static AGES: OnceLock<Histogram> = OnceLock::new();
    record(&AGES, TO_LAKE.name, age);
}

/// A step of batch failed and will be tried again.
pub fn batch_failure(step: &'static str) {
    counter!(BATCH_FAILED.name, "step" => step).increment(1);
}

/// Objects are done with.
pub fn load_files(loaded: u64, rejected: u64) {
    counter!(FILES.name, "status" => "loaded").increment(loaded);
    counter!(FILES.name, "status" => "rejected").increment(rejected);
}

/// All counts of loading are there, at zero, before the first load: the first reject is an increase.
pub fn load_begins() {
    load_files(0, 0);
    for outcome in ["inserted", "updated", "unchanged", "duplicate", "conflict", "waiting", "rejected"] {
        load_rows(outcome, 0);
    }
}

/// Lines ended so; `outcome` is inserted, updated, unchanged, duplicate, conflict, waiting or rejected.
pub fn load_rows(outcome: &'static str, n: u64) {
    counter!(ROWS.name, "outcome" => outcome).increment(n);
}

/// A load took so long.
pub fn load_took(took: Duration) {
    static TOOK: OnceLock<Histogram> = OnceLock::new();
    record(&TOOK, LOAD_TIME.name, took);
}

/// Objects are known and not yet loaded.
pub fn load_waiting_files(n: u64) {
    gauge!(WAITING.name).set(n as f64);
}

/// Order lines wait for their order; the first of them for so long.
pub fn load_waiting_lines(lines: u64, oldest: Duration) {
    gauge!(WAITING_LINES.name).set(lines as f64);
    gauge!(WAITING_LINES_OLDEST.name).set(oldest.as_secs_f64());
}

/// An event can be queried, so long after it was acknowledged; or never, as a dead letter.
pub fn load_ack_to_fact(age: Duration) {
    static AGES: OnceLock<Histogram> = OnceLock::new();
    record(&AGES, TO_FACT.name, age);
}

/// Lines were loaded without the people in them, whom the lake still holds.
pub fn load_unerased(lines: u64) {
    counter!(UNERASED.name).increment(lines);
}

/// A load failed; `kind` is whose fault it was.
pub fn load_failure(kind: &'static str) {
    counter!(LOAD_FAILED.name, "kind" => kind).increment(1);
}

/// All counts of polling are there, at zero, before the first request.
pub fn poll_begins() {
    for outcome in ["ok", "rate_limited", "refused", "failed", "unreadable"] {
        counter!(POLL_REQUESTS.name, "outcome" => outcome).increment(0);
    }
    poll_snapshots(0, 0);
    for step in ["list", "queue", "state"] {
        counter!(POLL_FAILED.name, "step" => step).increment(0);
    }
}

/// AfterShip's REST API was asked; `outcome` is ok, rate_limited, refused, failed or unreadable.
pub fn poll_request(outcome: &'static str) {
    counter!(POLL_REQUESTS.name, "outcome" => outcome).increment(1);
}

/// Snapshots were sent to the queue, or found unchanged.
pub fn poll_snapshots(sent: u64, unchanged: u64) {
    counter!(POLL_SNAPSHOTS.name, "outcome" => "sent").increment(sent);
    counter!(POLL_SNAPSHOTS.name, "outcome" => "unchanged").increment(unchanged);
}

/// A poll ended early; `step` is list, queue or state.
pub fn poll_failure(step: &'static str) {
    counter!(POLL_FAILED.name, "step" => step).increment(1);
}

/// All updates before this instant were asked for.
pub fn poll_watermark(at: Timestamp) {
    gauge!(POLL_UNTIL.name).set(at.as_millisecond() as f64 / 1_000.0);
}

/// Receipts were written, or could not be.
pub fn receipts_written(ok: u64, failed: u64) {
    counter!(RECEIPTS.name, "result" => "ok").increment(ok);
    counter!(RECEIPTS.name, "result" => "failed").increment(failed);
}

/// All outcomes of canaries are there, at zero, before the first one.
pub fn canary_begins() {
    for outcome in ["found", "refused", "lost"] {
        counter!(CANARIES.name, "outcome" => outcome).increment(0);
    }
}

/// A canary met its fate after so long; `outcome` is found, refused or lost.
pub fn canary(outcome: &'static str, took: Duration) {
    static TIMES: OnceLock<Histogram> = OnceLock::new();
    counter!(CANARIES.name, "outcome" => outcome).increment(1);
    record(&TIMES, CANARY_TIME.name, took);
}

/// How old the oldest acknowledged event is that is not in the facts yet.
pub fn freshness_oldest(age: Duration) {
    gauge!(OLDEST_EVENT.name).set(age.as_secs_f64());
}

/// What the setting asks for.
pub fn freshness_target(target: Duration) {
    gauge!(FRESHNESS_TARGET.name).set(target.as_secs_f64());
}

/// One attempt of a request goes to AWS; `place` is sqs or s3, `operation` AWS's name of it.
pub fn aws_request(place: &'static str, operation: &'static str) {
    counter!(AWS_REQUESTS.name, "place" => place, "operation" => operation).increment(1);
}

/// Spans went to the collector of traces, or were dropped.
pub fn trace_spans(sent: u64, dropped: u64) {
    counter!(SPANS.name, "result" => "sent").increment(sent);
    counter!(SPANS.name, "result" => "dropped").increment(dropped);
}

/// The disk of a place has so much room; `place` is queue, spool, lake or warehouse.
pub fn disk_room(place: &'static str, free: u64, size: u64) {
    gauge!(DISK_FREE.name, "place" => place).set(free as f64);
    gauge!(DISK_SIZE.name, "place" => place).set(size as f64);
}

fn record(cell: &'static OnceLock<Histogram>, name: &'static str, took: Duration) {
    if let Some(histogram) = cached(cell, || histogram!(name)) {
        histogram.record(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests;
