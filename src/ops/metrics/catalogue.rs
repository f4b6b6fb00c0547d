//! Every metric there is: its name, its labels, what it says.

use super::metric::{Metric, counts, state, times};

/// Seconds of an answer over HTTP.
pub(super) const ANSWER: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Seconds of a piece of work: a put, a load.
pub(super) const WORK: &[f64] = &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0];
/// Seconds since an event was acknowledged, up to a day.
pub(super) const AGE: &[f64] =
    &[0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0];

pub(super) const BUILD: Metric =
    state("waybill_build_info", &["version"], "Always 1; the label is the program's version");
pub(super) const LAST_SUCCESS: Metric = state(
    "waybill_mover_last_success_timestamp_seconds",
    &["mover"],
    "When a mover last did what it is for, seconds since 1970; receive: when it last acknowledged an event",
);

pub(super) const CLOCK_JUMPS: Metric =
    counts("waybill_clock_jumps_total", &[], "Times that this host's clock was set by 2 seconds or more");

pub(super) const REQUESTS: Metric = counts(
    "waybill_receive_requests_total",
    &["outcome"],
    "Answered requests on the public listener; the outcome is `accepted` or the error's code",
);
pub(super) const REQUEST_TIME: Metric = times(
    "waybill_receive_request_seconds",
    &["result"],
    ANSWER,
    "From a request's head to its answer; the result is accepted, refused (4xx) or unavailable (5xx)",
);
pub(super) const VERIFIED: Metric = counts(
    "waybill_receive_signature_verified_total",
    &["secret_id"],
    "Requests that a webhook secret signed; 1 is the newest secret",
);
pub(super) const SECRETS_READ: Metric = counts(
    "waybill_receive_secrets_read_total",
    &["result"],
    "Webhook secrets read again while running: ok when they changed, failed when the ones before stay",
);
pub(super) const REQUESTS_HELD: Metric =
    state("waybill_receive_in_flight_requests", &[], "Webhook requests at work, sampled each second");
pub(super) const BYTES_HELD: Metric = state(
    "waybill_receive_in_flight_bytes",
    &[],
    "Body bytes reserved by requests at work, sampled each second",
);
pub(super) const CONNECTIONS: Metric =
    state("waybill_receive_connections", &[], "Open connections of the public listener, sampled each second");
pub(super) const CONNECTIONS_REFUSED: Metric = counts(
    "waybill_receive_connections_refused_total",
    &[],
    "Connections turned away because as many as allowed were open",
);

pub(super) const READY: Metric =
    state("waybill_queue_ready_messages", &["queue"], "Messages waiting to be received; of SQS about");
pub(super) const LEASED: Metric =
    state("waybill_queue_leased_messages", &["queue"], "Messages received and not yet deleted");
pub(super) const OLDEST: Metric = state(
    "waybill_queue_oldest_message_seconds",
    &["queue"],
    "Age of the oldest message, leased or not; 0 when there is none; absent where the queue cannot tell",
);

pub(super) const SALVAGED: Metric = counts(
    "waybill_queue_salvaged_messages_total",
    &["result"],
    "Of a damaged queue file: messages saved, and holes, stretches that could not be read",
);
pub(super) const SPOOLED: Metric = counts(
    "waybill_spool_spooled_events_total",
    &[],
    "Events acknowledged from the spool because the queue did not take them",
);
pub(super) const FORWARDED: Metric =
    counts("waybill_spool_forwarded_events_total", &[], "Spooled events that the queue has taken since");
pub(super) const CIRCUIT: Metric = state(
    "waybill_spool_circuit_open_info",
    &[],
    "1 while events go to the spool without asking the queue, else 0",
);

pub(super) const TAKEN: Metric =
    counts("waybill_batch_received_messages_total", &[], "Messages leased, repetitions included");
pub(super) const LANDED: Metric =
    counts("waybill_batch_landed_events_total", &[], "Events written to the lake");
pub(super) const OBJECTS: Metric = counts(
    "waybill_batch_landed_objects_total",
    &["reason"],
    "Objects written to the lake, by why they were closed",
);
pub(super) const RAW: Metric =
    counts("waybill_batch_landed_raw_bytes_total", &[], "Bytes landed, before compression");
pub(super) const STORED: Metric =
    counts("waybill_batch_landed_stored_bytes_total", &[], "Bytes landed, as stored");
pub(super) const PUT_TIME: Metric =
    times("waybill_batch_flush_seconds", &[], WORK, "From closing an object to its being listed");
pub(super) const PUT_AGAIN: Metric = counts(
    "waybill_batch_put_already_there_total",
    &[],
    "Objects that were in the lake already, from before a crash or a lost answer",
);
pub(super) const DEAD: Metric =
    counts("waybill_batch_dead_letters_total", &["reason"], "Messages set aside as dead letters");
pub(super) const REDACTED: Metric = counts(
    "waybill_batch_redacted_events_total",
    &["how"],
    "Events that land with their personal data replaced, by how: hash, drop or erased",
);
pub(super) const DELETED: Metric = counts(
    "waybill_batch_deleted_messages_total",
    &["result"],
    "Deletions of landed messages, ok or failed; a failed one comes again as a duplicate",
);
pub(super) const LEASE_LOST: Metric =
    counts("waybill_batch_lease_lost_total", &[], "Leases that ended while their messages were held");
pub(super) const HELD_EVENTS: Metric = state("waybill_batch_held_events", &[], "Events in open windows");
pub(super) const HELD_BYTES: Metric =
    state("waybill_batch_held_bytes", &[], "Their bytes, before compression");
pub(super) const TO_LAKE: Metric =
    times("waybill_batch_ack_to_lake_seconds", &[], AGE, "From acknowledged to in the lake");
pub(super) const BATCH_FAILED: Metric =
    counts("waybill_batch_failures_total", &["step"], "Failed attempts, by step; they are tried again");

pub(super) const FILES: Metric =
    counts("waybill_load_files_total", &["status"], "Objects done with: loaded or rejected");
pub(super) const ROWS: Metric = counts(
    "waybill_load_rows_total",
    &["outcome"],
    "Lines read, by outcome: inserted, updated, unchanged, duplicate, conflict, waiting, rejected",
);
pub(super) const LOAD_TIME: Metric =
    times("waybill_load_seconds", &[], WORK, "One load, from reading objects to the commit");
pub(super) const WAITING: Metric =
    state("waybill_load_waiting_files", &[], "Objects known and not yet loaded");
pub(super) const WAITING_LINES: Metric = state(
    "waybill_load_waiting_lines",
    &[],
    "Lines of the shop's orders that wait for their order, and are no facts before it comes",
);
pub(super) const WAITING_LINES_OLDEST: Metric = state(
    "waybill_load_waiting_lines_oldest_seconds",
    &[],
    "How long the first of them has waited; 0 when none waits",
);
pub(super) const TO_FACT: Metric = times(
    "waybill_load_ack_to_fact_seconds",
    &[],
    AGE,
    "From acknowledged to queryable in the fact tables; a dead letter counts as two days",
);
pub(super) const UNERASED: Metric = counts(
    "waybill_load_unerased_lines_total",
    &[],
    "Lines about erased people that were still whole in the lake; they are loaded without them",
);
pub(super) const LOAD_FAILED: Metric = counts(
    "waybill_load_failures_total",
    &["kind"],
    "Failed loads by whose fault it was, lake or warehouse; and objects that are missing or unreadable",
);

pub(super) const POLL_REQUESTS: Metric = counts(
    "waybill_poll_requests_total",
    &["outcome"],
    "Requests to AfterShip's REST API: ok, rate_limited, refused (4xx), failed (5xx or no answer), unreadable",
);
pub(super) const POLL_SNAPSHOTS: Metric = counts(
    "waybill_poll_snapshots_total",
    &["outcome"],
    "Snapshots that the REST API gave: sent to the queue, or unchanged since they were sent last",
);
pub(super) const POLL_FAILED: Metric = counts(
    "waybill_poll_failures_total",
    &["step"],
    "Polls that did not come to their end, by step: list, queue, state; the next one goes on from there",
);
pub(super) const POLL_UNTIL: Metric = state(
    "waybill_poll_watermark_timestamp_seconds",
    &[],
    "All updates before this instant were asked for, seconds since 1970",
);

pub(super) const RECEIPTS: Metric = counts(
    "waybill_receipt_objects_total",
    &["result"],
    "Receipts of a minute for `reconcile`: written ok, or failed and kept for the next attempt",
);

pub(super) const CANARY_TIME: Metric = times(
    "waybill_canary_freshness_seconds",
    &[],
    AGE,
    "From posting a canary at the public door to finding it in the facts; a lost one counts with its age",
);
pub(super) const CANARIES: Metric = counts(
    "waybill_canary_requests_total",
    &["outcome"],
    "Canaries posted: found in the facts, refused at the door, or lost (not found in time)",
);
pub(super) const OLDEST_EVENT: Metric = state(
    "waybill_freshness_oldest_event_seconds",
    &[],
    "Age of the oldest event that this process knows to be acknowledged and not yet in the facts: queued (SQS does not tell), held, spooled or landed; 0 when there is none",
);
pub(super) const FRESHNESS_TARGET: Metric = state(
    "waybill_freshness_target_seconds",
    &[],
    "What p99 of acknowledged to queryable should stay under, by the setting",
);

pub(super) const AWS_REQUESTS: Metric = counts(
    "waybill_aws_requests_total",
    &["place", "operation"],
    "Requests sent to SQS and S3, attempts included: what the bill counts",
);
pub(super) const SPANS: Metric = counts(
    "waybill_trace_spans_total",
    &["result"],
    "Spans for OpenTelemetry: sent, or dropped since the collector was away or too slow",
);
pub(super) const DISK_FREE: Metric =
    state("waybill_disk_free_bytes", &["place"], "Free bytes of the disk that a place of ours is on");
pub(super) const DISK_SIZE: Metric =
    state("waybill_disk_size_bytes", &["place"], "Size of the disk that a place of ours is on");

/// Every metric there is.
pub const CATALOGUE: &[Metric] = &[
    BUILD,
    LAST_SUCCESS,
    CLOCK_JUMPS,
    REQUESTS,
    REQUEST_TIME,
    VERIFIED,
    SECRETS_READ,
    REQUESTS_HELD,
    BYTES_HELD,
    CONNECTIONS,
    CONNECTIONS_REFUSED,
    READY,
    LEASED,
    OLDEST,
    SALVAGED,
    SPOOLED,
    FORWARDED,
    CIRCUIT,
    TAKEN,
    LANDED,
    OBJECTS,
    RAW,
    STORED,
    PUT_TIME,
    PUT_AGAIN,
    DEAD,
    REDACTED,
    DELETED,
    LEASE_LOST,
    HELD_EVENTS,
    HELD_BYTES,
    TO_LAKE,
    BATCH_FAILED,
    FILES,
    ROWS,
    LOAD_TIME,
    WAITING,
    WAITING_LINES,
    WAITING_LINES_OLDEST,
    TO_FACT,
    UNERASED,
    LOAD_FAILED,
    POLL_REQUESTS,
    POLL_SNAPSHOTS,
    POLL_FAILED,
    POLL_UNTIL,
    RECEIPTS,
    CANARY_TIME,
    CANARIES,
    OLDEST_EVENT,
    FRESHNESS_TARGET,
    AWS_REQUESTS,
    SPANS,
    DISK_FREE,
    DISK_SIZE,
];
