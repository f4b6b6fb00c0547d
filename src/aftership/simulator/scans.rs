//! Scans and legs as JSON, and times as AfterShip and the couriers write them.

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Value, json};

use super::journey::Scan;
use super::vocabulary::Courier;

/// A checkpoint of the newest version.
pub(super) fn checkpoint(scan: &Scan) -> Value {
    let courier = scan.courier;
    let status = scan.status;
    let place = scan.place;
    let location = place.map(|place| match place.state {
        Some(state) => format!("{}, {state}, {}", place.city, courier.country_name),
        None => format!("{}, {}", place.city, courier.country_name),
    });
    let events: Vec<Value> =
        status.event.iter().map(|code| json!({ "code": code, "reason": null })).collect();
    json!({
        "created_at": utc(scan.learned_at),
        "slug": courier.slug,
        "checkpoint_time": courier_time(scan),
        "location": location,
        "city": place.map(|place| place.city),
        "state": place.and_then(|place| place.state),
        "postal_code": place.and_then(|place| place.postal_code),
        "coordinate": place.map(|place| json!({ "latitude": place.latitude, "longitude": place.longitude })),
        "country_region": courier.country,
        "country_region_name": courier.country_name,
        "message": status.words(courier.language),
        "tag": status.tag,
        "subtag": status.subtag,
        "subtag_message": status.label,
        "raw_tag": status.raw_tag,
        "events": events,
        "source": "carrier",
        "hash": scan.hash,
    })
}

/// A courier's part of the way.
pub(super) fn leg(courier: &Courier, number: &str) -> Value {
    json!({
        "tracking_number": number,
        "slug": courier.slug,
        "transit_time": 2,
        "courier_tracking_link": format!("https://{}.example/track?number={number}", courier.slug),
        "courier_redirect_link": null,
    })
}

/// The last part, by another courier.
pub(super) fn last_leg(courier: &Courier, number: &str) -> Value {
    let mut leg = leg(courier, number);
    leg["source"] = json!("system");
    leg
}

/// A second of a story as an instant.
pub(super) fn instant(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// AfterShip's own times.
pub(super) fn utc(second: i64) -> Value {
    json!(with_offset(second, Offset::UTC))
}

/// A time as ISO 8601 with its offset.
pub(super) fn with_offset(second: i64, offset: Offset) -> String {
    instant(second).display_with_offset(offset).to_string()
}

/// A time on the courier's clock.
pub(super) fn local(second: i64, courier: &Courier) -> jiff::civil::DateTime {
    Offset::constant(courier.offset_hours).to_datetime(instant(second))
}

/// A scan's time as this courier writes it.
pub(super) fn courier_time(scan: &Scan) -> String {
    if scan.courier.has_offset {
        with_offset(scan.at, Offset::constant(scan.courier.offset_hours))
    } else {
        local(scan.at, scan.courier).to_string()
    }
}

/// Pickup and delivery dates come in three forms.
pub(super) fn date_in_form(scan: &Scan, form: u8) -> String {
    match form {
        0 => local(scan.at, scan.courier).date().to_string(),
        1 => local(scan.at, scan.courier).to_string(),
        _ => with_offset(scan.at, Offset::constant(scan.courier.offset_hours)),
    }
}
