//! Named moments at which a test can kill this process, and mistakes it can ask for.
//!
//! Only there with the feature `failpoints`, which is for tests: what users run has none of it. A crash test sets
//! `WAYBILL_TEST_FAILPOINT=batch.before_delete@3`, and the process kills itself (SIGKILL, nothing is flushed or
//! unwound) when it reaches that moment for the third time. `WAYBILL_TEST_BUG` names a mistake from
//! [`crate::failpoint::BUGS`]: whoever checks that nothing is lost must find each of them.

/// Marks a moment. Nothing at all without the feature.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        $crate::failpoint::reach($name);
    };
}
pub(crate) use failpoint;

/// Whether this mistake is asked for. Always false without the feature.
macro_rules! seeded_bug {
    ($name:literal) => {{
        #[cfg(feature = "failpoints")]
        let is_asked_for = $crate::failpoint::has_bug($name);
        #[cfg(not(feature = "failpoints"))]
        let is_asked_for = false;
        is_asked_for
    }};
}
pub(crate) use seeded_bug;

#[cfg(feature = "failpoints")]
pub use points::*;

#[cfg(feature = "failpoints")]
mod points {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    /// Every moment there is, in the order of an event's path.
    pub const POINTS: &[&str] = &[
        "receive.before_verify",
        "receive.before_enqueue",
        "receive.before_answer",
        "poll.before_send",
        "poll.after_send",
        "poll.after_save",
        "queue.disk.open.before_checkpoint",
        "queue.disk.open.after_checkpoint",
        "queue.disk.before_transaction",
        "queue.disk.before_commit",
        "queue.disk.after_commit",
        "queue.sqs.before_send",
        "queue.sqs.after_send",
        "queue.sqs.before_delete",
        "queue.sqs.after_delete",
        "spool.before_send",
        "spool.after_send",
        "spool.forward.before_send",
        "spool.forward.before_delete",
        "spool.forward.after_delete",
        "batch.after_receive",
        "batch.before_object",
        "batch.after_object",
        "batch.before_manifest",
        "batch.after_manifest",
        "batch.before_delete",
        "batch.after_delete",
        "batch.before_dead_letter",
        "batch.after_dead_letter",
        "lake.disk.before_write",
        "lake.disk.before_sync",
        "lake.disk.before_link",
        "lake.disk.after_link",
        "lake.disk.after_sync",
        "lake.s3.before_put",
        "lake.s3.after_put",
        "load.after_list",
        "load.before_read",
        "load.before_commit",
        "load.after_commit",
        "warehouse.duckdb.migrate",
        "warehouse.duckdb.after_begin",
        "warehouse.duckdb.after_stage",
        "warehouse.duckdb.in_merge",
        "warehouse.duckdb.before_commit",
        "warehouse.duckdb.after_commit",
        "warehouse.postgres.migrate",
        "warehouse.postgres.after_begin",
        "warehouse.postgres.after_stage",
        "warehouse.postgres.in_merge",
        "warehouse.postgres.before_commit",
        "warehouse.postgres.after_commit",
        "shop.after_begin",
        "shop.after_stage",
        "shop.in_merge",
        "shop.before_commit",
        "shop.after_commit",
        "shop.in_mart",
        "replay.after_audit",
        "replay.before_send",
        "replay.before_mark",
        "replay.after_mark",
        "forget.after_audit",
        "forget.after_suppressed",
        "forget.after_found",
        "forget.before_warehouse",
        "forget.after_warehouse",
        "forget.before_object",
        "forget.after_object",
        "forget.after_letter_mark",
        "forget.after_letter",
        "forget.before_audit",
        "forget.before_over",
    ];

    /// Every mistake that can be asked for, with what it does wrong.
    pub const BUGS: &[(&str, &str)] = &[
        ("ack_before_durable", "a send says Ok before the queue has the message"),
        ("failed_entries_are_sent", "a message that the queue did not take counts as sent"),
        ("delete_before_put", "messages are deleted as soon as they are received"),
        ("deletes_what_failed_to_land", "messages whose object could not be written are deleted"),
        (
            "object_named_by_minute",
            "objects of one minute share a name, and the second counts as there already",
        ),
        ("object_cut_short", "the last line of an object is not written"),
        ("loads_by_watermark", "an object older than the newest loaded one is passed over"),
        ("ledger_apart", "the ledger is committed before the rows"),
        ("no_dedupe", "an event that is there already is inserted again"),
        ("poison_dropped", "a message that cannot be read is deleted without a dead letter"),
        ("poison_changed", "the bytes of a dead letter are not those received"),
        ("replay_marks_first", "a dead letter is marked as replayed before the queue has it"),
        ("body_rewritten", "a body is written again from what was read of it"),
        ("any_signature", "every well-formed signature counts"),
        ("drain_drops", "what is held when the program ends is deleted without landing"),
        ("spool_forgets", "the spool acknowledges and keeps nothing"),
        ("forward_deletes_first", "spooled messages are deleted before the queue has them"),
    ];

    static ARMED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static REACHED: AtomicU64 = AtomicU64::new(0);

    /// Kills this process if a test asked for it here and now.
    pub fn reach(name: &str) {
        debug_assert!(POINTS.contains(&name), "{name} is not in the list of failpoints");
        let armed = ARMED.get_or_init(|| {
            let text = std::env::var("WAYBILL_TEST_FAILPOINT").ok()?;
            let (name, count) = text.split_once('@').unwrap_or((text.as_str(), "1"));
            assert!(POINTS.contains(&name), "there is no failpoint {name}");
            Some((name.to_owned(), count.parse().expect("a number after the @")))
        });
        let Some((wanted, count)) = armed else { return };
        if wanted == name && REACHED.fetch_add(1, Ordering::SeqCst) + 1 == *count {
            let _ = kill_process(getpid(), Signal::KILL);
            // The signal may take a moment; nothing more must happen here.
            loop {
                std::thread::park();
            }
        }
    }

    /// Whether a test asked for this mistake.
    pub fn has_bug(name: &str) -> bool {
        static ASKED: OnceLock<Option<String>> = OnceLock::new();
        debug_assert!(BUGS.iter().any(|(known, _)| *known == name), "{name} is not in the list of bugs");
        let asked = ASKED.get_or_init(|| {
            let name = std::env::var("WAYBILL_TEST_BUG").ok()?;
            assert!(BUGS.iter().any(|(known, _)| *known == name), "there is no bug {name}");
            Some(name)
        });
        asked.as_deref() == Some(name)
    }
}
