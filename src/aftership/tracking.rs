//! The tracking in a webhook body, whatever version AfterShip sent it in.
//!
//! Reading cannot fail: AfterShip marks no field as required, renames them between versions, and moves a URL to
//! another version on its own. So a name is looked up with its older names, a value of an unexpected type becomes
//! nothing, and times stay texts with an instant beside them where the text has an offset.

use jiff::Timestamp;

use crate::event::json::Json;

use super::time::{instant_of_ts, parse_instant};
use super::webhook::{Webhook, text, whole_number};

/// What AfterShip writes where it no longer has a value.
const DEPRECATED: &str = "deprecated";

/// A parcel's full snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracking {
    /// AfterShip's id; without one `slug/tracking_number`.
    pub id: String,
    /// The id of the same tracking before version 2024-07.
    pub legacy_id: Option<String>,
    /// The parcel's number at the courier.
    pub tracking_number: Option<String>,
    /// AfterShip's code of the courier.
    pub slug: Option<String>,
    /// Status, an open set.
    pub tag: Option<String>,
    /// Finer status, an open set.
    pub subtag: Option<String>,
    /// AfterShip's label of the subtag.
    pub subtag_message: Option<String>,
    /// The shop's order, machine id.
    pub order_id: Option<String>,
    /// The shop's order, human id.
    pub order_number: Option<String>,
    /// Lines of that order, as the shop told AfterShip in `custom_fields`: numbers with commas between.
    pub order_item_ids: Option<String>,
    /// The courier's service.
    pub shipment_type: Option<String>,
    /// ISO alpha-3.
    pub origin_country: Option<String>,
    /// ISO alpha-3.
    pub destination_country: Option<String>,
    /// AfterShip's record was created.
    pub created_at: Option<Timestamp>,
    /// AfterShip's record was changed.
    pub updated_at: Option<Timestamp>,
    /// The event's own time, from the envelope.
    pub event_at: Option<Timestamp>,
    /// When the parcel should arrive.
    pub estimated_delivery: Option<Estimate>,
    /// When the shop promised it: the text, and its instant if it has an offset.
    pub promised_delivery: Option<(String, Option<Timestamp>)>,
    /// AfterShip's word: on-time, late, trending-on-time, …
    pub on_time_status: Option<String>,
    /// Days late, or early when negative.
    pub on_time_difference_days: Option<i32>,
    /// Still followed by AfterShip.
    pub is_active: Option<bool>,
    /// On its way back.
    pub is_return_to_sender: Option<bool>,
    /// AfterShip's documentation sample.
    pub is_test: bool,
    /// In AfterShip's order, the oldest first as a rule.
    pub checkpoints: Vec<Checkpoint>,
}

/// An estimated delivery; the end of it, when it is a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// As written: a date, a local time, or a time with an offset.
    pub text: String,
    /// Its instant, if it has an offset.
    pub at: Option<Timestamp>,
    /// Where it came from: `latest`, `courier`, `aftership`, `custom`.
    pub source: &'static str,
}

/// One scan of a parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Courier of this leg; can differ from the tracking's.
    pub slug: Option<String>,
    /// The courier's time as written, often without offset.
    pub checkpoint_time: Option<String>,
    /// Its instant, if it has an offset.
    pub at: Option<Timestamp>,
    /// When AfterShip learned it; often the same for a whole history.
    pub created_at: Option<Timestamp>,
    /// Status, an open set.
    pub tag: Option<String>,
    /// Finer status, an open set.
    pub subtag: Option<String>,
    /// AfterShip's label of the subtag.
    pub subtag_message: Option<String>,
    /// The courier's own code.
    pub raw_tag: Option<String>,
    /// The courier's words, in any language.
    pub message: Option<String>,
    /// Place as written.
    pub location: Option<String>,
    /// City, or a whole facility.
    pub city: Option<String>,
    /// State or region.
    pub state: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// ISO alpha-3.
    pub country: Option<String>,
    /// `carrier` or `user`.
    pub source: Option<String>,
    /// AfterShip's own hash, since 2026-07.
    pub hash: Option<String>,
}

/// Reads the tracking of a webhook.
pub fn read(webhook: &Webhook<'_>) -> Tracking {
    let msg = webhook.msg();
    let id = webhook.tracking_id();
    let is_test = webhook.is_test();
    let checkpoints = msg.get("checkpoints").and_then(Json::as_array).unwrap_or_default();
    Tracking {
        legacy_id: legacy_id(msg, &id).filter(|_| !is_test),
        tracking_number: first(msg, &["tracking_number"]),
        slug: first(msg, &["slug"]),
        tag: first(msg, &["tag"]),
        subtag: first(msg, &["subtag"]),
        subtag_message: first(msg, &["subtag_message"]),
        order_id: first(msg, &["order_id"]),
        order_number: first(msg, &["order_number"]),
        order_item_ids: msg.get("custom_fields").and_then(order_item_ids),
        shipment_type: first(msg, &["shipment_type"]),
        origin_country: first(msg, &["origin_country_region", "origin_country_iso3"]),
        destination_country: first(msg, &["destination_country_region", "destination_country_iso3"]),
        created_at: instant(msg, &["created_at"]),
        updated_at: instant(msg, &["updated_at", "last_updated_at"]),
        event_at: webhook.ts.and_then(instant_of_ts),
        estimated_delivery: estimated_delivery(msg),
        promised_delivery: promised_delivery(msg),
        on_time_status: first(msg, &["on_time_status"]),
        on_time_difference_days: whole_days(msg.get("on_time_difference")),
        is_active: flag(msg.get("active")),
        is_return_to_sender: flag(msg.get("return_to_sender")),
        is_test,
        checkpoints: checkpoints.iter().filter(|item| item.as_object().is_some()).map(checkpoint).collect(),
        id,
    }
}

fn checkpoint(item: &Json<'_>) -> Checkpoint {
    let checkpoint_time = first(item, &["checkpoint_time"]);
    Checkpoint {
        slug: first(item, &["slug"]),
        at: checkpoint_time.as_deref().and_then(parse_instant),
        checkpoint_time,
        created_at: instant(item, &["created_at"]),
        tag: first(item, &["tag"]),
        subtag: first(item, &["subtag"]),
        subtag_message: first(item, &["subtag_message"]),
        raw_tag: first(item, &["raw_tag"]),
        message: first(item, &["message"]),
        location: first(item, &["location"]),
        city: first(item, &["city"]),
        state: first(item, &["state"]),
        postal_code: first(item, &["postal_code", "zip"]),
        country: first(item, &["country_region", "country_iso3"]),
        source: first(item, &["source"]),
        hash: first(item, &["hash"]),
    }
}

/// AfterShip knows no lines of orders; a shop can name them in a field of its own, however it separates them.
/// At most 512 characters, AfterShip's own limit of a value.
fn order_item_ids(fields: &Json<'_>) -> Option<String> {
    let text = first(fields, &["order_item_ids", "order_item_id", "line_item_ids", "line_item_id"])?;
    let ids: Vec<&str> =
        text.split(|letter: char| !letter.is_ascii_digit()).filter(|id| !id.is_empty()).collect();
    (!ids.is_empty() && text.len() <= 512).then(|| ids.join(","))
}

/// The older id, unless it says nothing: the same id again, or a filler.
pub(super) fn legacy_id(msg: &Json<'_>, id: &str) -> Option<String> {
    let legacy_id = first(msg, &["legacy_id"])?;
    let is_filler = legacy_id == id || legacy_id == DEPRECATED || legacy_id.bytes().all(|byte| byte == b'0');
    (!is_filler).then_some(legacy_id)
}

/// The best estimate known. AfterShip's `latest_estimated_delivery` is the one it shows itself; older versions
/// have only the parts it is made of.
fn estimated_delivery(msg: &Json<'_>) -> Option<Estimate> {
    let of = |field: &str, value: &str, end: &str, source: &'static str| {
        let text = msg.get(field).and_then(|written| moment(written, value, end))?;
        Some(Estimate { at: parse_instant(&text), text, source })
    };
    let of_parts = |field: &str, source: &'static str| {
        of(field, "estimated_delivery_date", "estimated_delivery_date_max", source)
    };
    of("latest_estimated_delivery", "datetime", "datetime_max", "latest")
        .or_else(|| of_parts("courier_estimated_delivery_date", "courier"))
        .or_else(|| of_parts("expected_delivery", "courier"))
        .or_else(|| of_parts("aftership_estimated_delivery_date", "aftership"))
        .or_else(|| of("custom_estimated_delivery_date", "datetime", "datetime_max", "custom"))
}

/// A text until 2025-07, an object since.
fn promised_delivery(msg: &Json<'_>) -> Option<(String, Option<Timestamp>)> {
    let written = msg.get("order_promised_delivery_date")?;
    let text = moment(written, "promised_delivery_date", "promised_delivery_date_max")?;
    let at = parse_instant(&text);
    Some((text, at))
}

/// A moment's text: the member `value`, of a range its `end`, or the text itself where an older version has one.
fn moment(written: &Json<'_>, value: &str, end: &str) -> Option<String> {
    if written.as_object().is_some() { first(written, &[value, end]) } else { text(written) }
}

/// The first of these members that holds a text.
fn first(object: &Json<'_>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| object.get(name).and_then(text))
}

/// The first of these members that holds an instant.
fn instant(object: &Json<'_>, names: &[&str]) -> Option<Timestamp> {
    names.iter().find_map(|name| object.get(name).and_then(Json::as_str).and_then(parse_instant))
}

fn whole_days(value: Option<&Json<'_>>) -> Option<i32> {
    i32::try_from(whole_number(value?)?).ok()
}

fn flag(value: Option<&Json<'_>>) -> Option<bool> {
    match value? {
        Json::Bool(value) => Some(*value),
        Json::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
