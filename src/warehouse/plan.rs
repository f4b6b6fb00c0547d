//! What all engines do, said once: columns and their order, rows as cells, the merge's statements. Pure.

use crate::failpoint::seeded_bug;
use jiff::Timestamp;
use jiff::civil::Date;

use super::dialect::Dialect;
use super::rows::{CheckpointRow, Claim, EventRow, FileRows, LoadSet, RejectedRow, Snapshot, TrackingRow};
use crate::event::identity::surrogate_key;

/// A column's type; the names are valid in all engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bigint,
    Integer,
    Boolean,
    Instant,
    Day,
}

impl Kind {
    fn sql(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Bigint => "bigint",
            Kind::Integer => "integer",
            Kind::Boolean => "boolean",
            Kind::Instant => "timestamptz",
            Kind::Day => "date",
        }
    }
}

/// A value on its way into a stage table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    Text(&'a str),
    Int(i64),
    Bool(bool),
    Instant(Timestamp),
    Day(Date),
}

/// A stage table: filled by the engine's own bulk path, read by the merge, gone after the load.
pub(super) struct Stage {
    pub(super) table: &'static str,
    pub(super) columns: &'static [(&'static str, Kind)],
}

impl Stage {
    /// `text_type`: with the engine's byte-order collation, so that both order and compare alike.
    pub(super) fn ddl(&self, text_type: &str) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|(name, kind)| {
                let sql = if *kind == Kind::Text { text_type } else { kind.sql() };
                format!("{name} {sql}")
            })
            .collect();
        format!("create temp table {} ({})", self.table, columns.join(", "))
    }

    pub(super) fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }
}

use Kind::{Bigint, Boolean, Day, Instant, Integer, Text};

pub(super) const FILE: Stage = Stage {
    table: "stage_file",
    columns: &[("file", Text), ("landed_at", Instant), ("lines", Bigint), ("is_readable", Boolean)],
};

pub(super) const EVENT: Stage = Stage {
    table: "stage_event",
    columns: &[
        ("file", Text),
        ("line", Bigint),
        ("event_key", Text),
        ("event_id", Text),
        ("event", Text),
        ("tracking_id", Text),
        ("source", Text),
        ("received_at", Instant),
        ("replay_id", Text),
        ("body_sha256", Text),
        ("event_date", Day),
        ("is_test", Boolean),
    ],
};

pub(super) const REJECTED: Stage = Stage {
    table: "stage_rejected",
    columns: &[("file", Text), ("line", Bigint), ("reason", Text), ("text", Text)],
};

pub(super) const CLAIM: Stage = Stage {
    table: "stage_claim",
    columns: &[("legacy_id", Text), ("tracking_id", Text), ("tracking_key", Bigint)],
};

pub(super) const TRACKING: Stage = Stage {
    table: "stage_tracking",
    columns: &[
        ("source_tracking_id", Text),
        ("tracking_key", Bigint),
        ("legacy_id", Text),
        ("tracking_number", Text),
        ("courier", Text),
        ("tag", Text),
        ("subtag", Text),
        ("subtag_message", Text),
        ("order_id", Text),
        ("order_number", Text),
        ("order_item_ids", Text),
        ("shipment_type", Text),
        ("origin_country", Text),
        ("destination_country", Text),
        ("created_at", Instant),
        ("updated_at", Instant),
        ("event_at", Instant),
        ("body_sha256", Text),
        ("info_received_at", Instant),
        ("in_transit_at", Instant),
        ("out_for_delivery_at", Instant),
        ("first_attempt_at", Instant),
        ("available_for_pickup_at", Instant),
        ("delivered_at", Instant),
        ("exception_at", Instant),
        ("last_checkpoint_at", Instant),
        ("estimated_delivery_text", Text),
        ("estimated_delivery_source", Text),
        ("estimated_delivery_at", Instant),
        ("promised_delivery_text", Text),
        ("promised_delivery_at", Instant),
        ("on_time_status", Text),
        ("on_time_difference_days", Integer),
        ("is_active", Boolean),
        ("is_return_to_sender", Boolean),
        ("is_test", Boolean),
        ("checkpoint_count", Integer),
    ],
};

pub(super) const CHECKPOINT: Stage = Stage {
    table: "stage_checkpoint",
    columns: &[
        ("source_tracking_id", Text),
        ("checkpoint_key", Text),
        ("position", Integer),
        ("checkpoint_at", Instant),
        ("checkpoint_time_text", Text),
        ("created_at", Instant),
        ("courier", Text),
        ("tag", Text),
        ("subtag", Text),
        ("subtag_message", Text),
        ("raw_tag", Text),
        ("message", Text),
        ("location", Text),
        ("city", Text),
        ("state", Text),
        ("postal_code", Text),
        ("country", Text),
        ("source", Text),
        ("hash", Text),
        ("is_test", Boolean),
    ],
};

/// Calls `append` with every row of every stage table.
pub(super) fn stage_rows<E>(
    set: &LoadSet,
    mut append: impl FnMut(&'static Stage, &[Cell<'_>]) -> Result<(), E>,
) -> Result<(), E> {
    for file in &set.files {
        append(&FILE, &file_cells(file))?;
    }
    for file in &set.files {
        for event in &file.events {
            append(&EVENT, &event_cells(&file.file, event))?;
        }
    }
    for file in &set.files {
        for rejected in &file.rejects {
            append(&REJECTED, &rejected_cells(&file.file, rejected))?;
        }
    }
    for claim in &set.claims {
        append(&CLAIM, &claim_cells(claim))?;
    }
    for snapshot in &set.snapshots {
        append(&TRACKING, &tracking_cells(&snapshot.tracking))?;
    }
    for snapshot in &set.snapshots {
        for checkpoint in &snapshot.checkpoints {
            append(&CHECKPOINT, &checkpoint_cells(snapshot, checkpoint))?;
        }
    }
    Ok(())
}

/// All stage tables, in the order in which [`stage_rows`] fills them.
pub(super) const STAGES: [&Stage; 6] = [&FILE, &EVENT, &REJECTED, &CLAIM, &TRACKING, &CHECKPOINT];

fn text(value: Option<&String>) -> Cell<'_> {
    value.map_or(Cell::Null, |value| Cell::Text(value))
}

fn instant<'a>(value: Option<Timestamp>) -> Cell<'a> {
    value.map_or(Cell::Null, Cell::Instant)
}

fn boolean<'a>(value: Option<bool>) -> Cell<'a> {
    value.map_or(Cell::Null, Cell::Bool)
}

fn integer<'a>(value: usize) -> Cell<'a> {
    Cell::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

fn file_cells(file: &FileRows) -> [Cell<'_>; 4] {
    let lines = usize::try_from(file.lines).unwrap_or(usize::MAX);
    [Cell::Text(&file.file), Cell::Instant(file.landed_at), integer(lines), Cell::Bool(file.is_readable)]
}

fn event_cells<'a>(file: &'a str, event: &'a EventRow) -> [Cell<'a>; 12] {
    [
        Cell::Text(file),
        integer(usize::try_from(event.line).unwrap_or(usize::MAX)),
        Cell::Text(&event.event_key),
        text(event.event_id.as_ref()),
        text(event.event.as_ref()),
        Cell::Text(&event.tracking_id),
        Cell::Text(event.source),
        Cell::Instant(event.received_at),
        text(event.replay_id.as_ref()),
        Cell::Text(&event.body_sha256),
        event.event_date.map_or(Cell::Null, Cell::Day),
        Cell::Bool(event.is_test),
    ]
}

fn rejected_cells<'a>(file: &'a str, rejected: &'a RejectedRow) -> [Cell<'a>; 4] {
    let line = usize::try_from(rejected.line).unwrap_or(usize::MAX);
    [Cell::Text(file), integer(line), Cell::Text(rejected.reason), Cell::Text(&rejected.text)]
}

fn claim_cells(claim: &Claim) -> [Cell<'_>; 3] {
    let key = surrogate_key(&[&claim.tracking_id]);
    [Cell::Text(&claim.legacy_id), Cell::Text(&claim.tracking_id), Cell::Int(key)]
}

fn tracking_cells(row: &TrackingRow) -> [Cell<'_>; 37] {
    [
        Cell::Text(&row.source_tracking_id),
        Cell::Int(surrogate_key(&[&row.source_tracking_id])),
        text(row.legacy_id.as_ref()),
        text(row.tracking_number.as_ref()),
        text(row.courier.as_ref()),
        text(row.tag.as_ref()),
        text(row.subtag.as_ref()),
        text(row.subtag_message.as_ref()),
        text(row.order_id.as_ref()),
        text(row.order_number.as_ref()),
        text(row.order_item_ids.as_ref()),
        text(row.shipment_type.as_ref()),
        text(row.origin_country.as_ref()),
        text(row.destination_country.as_ref()),
        instant(row.created_at),
        instant(row.updated_at),
        instant(row.event_at),
        Cell::Text(&row.body_sha256),
        instant(row.info_received_at),
        instant(row.in_transit_at),
        instant(row.out_for_delivery_at),
        instant(row.first_attempt_at),
        instant(row.available_for_pickup_at),
        instant(row.delivered_at),
        instant(row.exception_at),
        instant(row.last_checkpoint_at),
        text(row.estimated_delivery_text.as_ref()),
        row.estimated_delivery_source.map_or(Cell::Null, Cell::Text),
        instant(row.estimated_delivery_at),
        text(row.promised_delivery_text.as_ref()),
        instant(row.promised_delivery_at),
        text(row.on_time_status.as_ref()),
        row.on_time_difference_days.map_or(Cell::Null, |days| Cell::Int(i64::from(days))),
        boolean(row.is_active),
        boolean(row.is_return_to_sender),
        Cell::Bool(row.is_test),
        Cell::Int(i64::from(row.checkpoint_count)),
    ]
}

fn checkpoint_cells<'a>(snapshot: &'a Snapshot, row: &'a CheckpointRow) -> [Cell<'a>; 20] {
    [
        Cell::Text(&snapshot.tracking.source_tracking_id),
        Cell::Text(&row.checkpoint_key),
        Cell::Int(i64::from(row.position)),
        instant(row.checkpoint_at),
        text(row.checkpoint_time_text.as_ref()),
        instant(row.created_at),
        text(row.courier.as_ref()),
        text(row.tag.as_ref()),
        text(row.subtag.as_ref()),
        text(row.subtag_message.as_ref()),
        text(row.raw_tag.as_ref()),
        text(row.message.as_ref()),
        text(row.location.as_ref()),
        text(row.city.as_ref()),
        text(row.state.as_ref()),
        text(row.postal_code.as_ref()),
        text(row.country.as_ref()),
        text(row.source.as_ref()),
        text(row.hash.as_ref()),
        Cell::Bool(snapshot.tracking.is_test),
    ]
}

/// Puts the newest snapshots in their place.
pub(super) const TRACKING_WRITE: &str = include_str!("sql/merge/tracking_write.sql");

/// The statements of the merge, one by one, in order. `tracking_write`: [`TRACKING_WRITE`], or what an engine has in its
/// place.
pub(super) fn merge_statements(dialect: &Dialect, tracking_write: &str) -> Vec<String> {
    let merge = [
        include_str!("sql/merge/event.sql"),
        include_str!("sql/merge/alias.sql"),
        include_str!("sql/merge/tracking.sql"),
        tracking_write,
        include_str!("sql/merge/checkpoint_write.sql"),
        include_str!("sql/merge/ledger.sql"),
    ];
    let list = |columns: &[&str], prefix: &str| -> String {
        columns.iter().map(|name| format!("{prefix}{name}")).collect::<Vec<_>>().join(", ")
    };
    let events = EVENT.names();
    // The three that the merge itself decides.
    let facts: Vec<&str> = TRACKING
        .names()
        .into_iter()
        .filter(|name| !["source_tracking_id", "tracking_key"].contains(name))
        .collect();
    let checkpoints: Vec<&str> =
        CHECKPOINT.names().into_iter().filter(|name| *name != "source_tracking_id").collect();
    let written: Vec<String> = facts.iter().map(|name| format!("{name} = tracking_put.{name}")).collect();
    let text = merge
        .join("\n")
        .replace("{event_columns}", &list(&events, ""))
        .replace("{fact_columns}", &list(&facts, ""))
        .replace("{c.fact_columns}", &list(&facts, "c."))
        .replace("{put.fact_columns}", &list(&facts, "tracking_put."))
        .replace("{set_fact_columns}", &written.join(", "))
        .replace("{checkpoint_columns}", &list(&checkpoints, ""))
        .replace("{c.checkpoint_columns}", &list(&checkpoints, "c."));
    let text = if seeded_bug!("no_dedupe") {
        text.replace("where event_key in (select event_key from event_candidate)", "where 1 = 0")
    } else {
        text
    };
    dialect.statements(&text)
}

/// What the ledger says about the files of this load: the last statement.
pub(super) const OUTCOMES: &str = "select l.file, l.status, l.lines, l.inserted, l.updated, l.unchanged, l.duplicate, \
     l.conflict, l.waiting, l.rejected from raw.loaded_file l join stage_file s on s.file = l.file order by l.file";

#[cfg(test)]
mod tests {
    use super::super::dialect::{DUCKDB, POSTGRES, REDSHIFT};
    use super::*;

    #[test]
    fn no_placeholder_is_left_in_the_merge() {
        for dialect in [&DUCKDB, &POSTGRES, &REDSHIFT] {
            for statement in merge_statements(dialect, TRACKING_WRITE) {
                assert!(!statement.contains('{') && !statement.contains('}'), "{statement}");
            }
        }
    }
}
