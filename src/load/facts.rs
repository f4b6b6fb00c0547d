//! From AfterShip's snapshot of a tracking to the rows of the fact tables. Pure: the same body, the same rows.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::aftership::tracking::{Checkpoint, Tracking};
use crate::event::identity::checkpoint_key;
use crate::warehouse::rows::{CheckpointRow, Snapshot, TrackingRow, clean};

/// The rows of one snapshot. `body_sha256`: hex, settles the order of snapshots with equal times.
pub fn snapshot(tracking: &Tracking, body_sha256: &str) -> Snapshot {
    let checkpoints = checkpoint_rows(tracking);
    let milestone = |tag: &str| earliest(&tracking.checkpoints, tag);
    let estimated = tracking.estimated_delivery.as_ref();
    let promised = tracking.promised_delivery.as_ref();
    let row = TrackingRow {
        source_tracking_id: clean(&tracking.id),
        legacy_id: text(&tracking.legacy_id),
        tracking_number: text(&tracking.tracking_number),
        courier: text(&tracking.slug),
        tag: text(&tracking.tag),
        subtag: text(&tracking.subtag),
        subtag_message: text(&tracking.subtag_message),
        order_id: text(&tracking.order_id),
        order_number: text(&tracking.order_number),
        order_item_ids: text(&tracking.order_item_ids),
        shipment_type: text(&tracking.shipment_type),
        origin_country: text(&tracking.origin_country),
        destination_country: text(&tracking.destination_country),
        created_at: tracking.created_at,
        updated_at: tracking.updated_at,
        event_at: tracking.event_at,
        body_sha256: body_sha256.to_owned(),
        info_received_at: milestone("InfoReceived"),
        in_transit_at: milestone("InTransit"),
        out_for_delivery_at: milestone("OutForDelivery"),
        first_attempt_at: milestone("AttemptFail"),
        available_for_pickup_at: milestone("AvailableForPickup"),
        delivered_at: milestone("Delivered"),
        exception_at: milestone("Exception"),
        last_checkpoint_at: tracking.checkpoints.iter().filter_map(|checkpoint| checkpoint.at).max(),
        estimated_delivery_text: estimated.map(|estimate| clean(&estimate.text)),
        estimated_delivery_source: estimated.map(|estimate| estimate.source),
        estimated_delivery_at: estimated.and_then(|estimate| estimate.at),
        promised_delivery_text: promised.map(|(text, _)| clean(text)),
        promised_delivery_at: promised.and_then(|(_, at)| *at),
        on_time_status: text(&tracking.on_time_status),
        on_time_difference_days: tracking.on_time_difference_days,
        is_active: tracking.is_active,
        is_return_to_sender: tracking.is_return_to_sender,
        is_test: tracking.is_test,
        checkpoint_count: i32::try_from(checkpoints.len()).unwrap_or(i32::MAX),
    };
    Snapshot { tracking: row, checkpoints }
}

/// One row per checkpoint key; of equal ones the first in the list stays.
fn checkpoint_rows(tracking: &Tracking) -> Vec<CheckpointRow> {
    let mut seen = HashSet::new();
    let mut rows = Vec::with_capacity(tracking.checkpoints.len());
    for (index, checkpoint) in tracking.checkpoints.iter().enumerate() {
        let key = checkpoint_key(
            &tracking.id,
            checkpoint.slug.as_deref(),
            checkpoint.checkpoint_time.as_deref(),
            checkpoint.raw_tag.as_deref(),
            checkpoint.message.as_deref(),
            checkpoint.location.as_deref(),
        );
        if seen.insert(key.clone()) {
            rows.push(checkpoint_row(key, index, checkpoint));
        }
    }
    rows
}

fn checkpoint_row(checkpoint_key: String, index: usize, checkpoint: &Checkpoint) -> CheckpointRow {
    CheckpointRow {
        checkpoint_key,
        position: i32::try_from(index + 1).unwrap_or(i32::MAX),
        checkpoint_at: checkpoint.at,
        checkpoint_time_text: text(&checkpoint.checkpoint_time),
        created_at: checkpoint.created_at,
        courier: text(&checkpoint.slug),
        tag: text(&checkpoint.tag),
        subtag: text(&checkpoint.subtag),
        subtag_message: text(&checkpoint.subtag_message),
        raw_tag: text(&checkpoint.raw_tag),
        message: text(&checkpoint.message),
        location: text(&checkpoint.location),
        city: text(&checkpoint.city),
        state: text(&checkpoint.state),
        postal_code: text(&checkpoint.postal_code),
        country: text(&checkpoint.country),
        source: text(&checkpoint.source),
        hash: text(&checkpoint.hash),
    }
}

fn earliest(checkpoints: &[Checkpoint], tag: &str) -> Option<Timestamp> {
    checkpoints
        .iter()
        .filter(|checkpoint| checkpoint.tag.as_deref() == Some(tag))
        .filter_map(|checkpoint| checkpoint.at)
        .min()
}

fn text(value: &Option<String>) -> Option<String> {
    value.as_deref().map(clean)
}
