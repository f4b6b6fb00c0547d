//! One event as JSON, in the newest version's shape; [`versions`] takes it back to older ones.
//!
//! [`versions`]: super::versions

use jiff::tz::Offset;
use serde_json::{Map, Value, json};

use super::journey::{DAY, Moment, Parcel, Scan};
use super::scans::{checkpoint, courier_time, date_in_form, instant, last_leg, leg, local, utc, with_offset};
use super::snapshot::Snapshot;
use super::versions::reshape;

/// The body AfterShip sends at moment `index` of a parcel's life: compact JSON.
pub(super) fn write(parcel: &Parcel, index: usize, event_id: &str) -> Vec<u8> {
    let moment = &parcel.moments[index];
    let mut msg = tracking(parcel, moment);
    reshape(&mut msg, parcel.version_at(index));
    let mut body = Map::new();
    put(
        &mut body,
        [
            ("event", json!(moment.event)),
            ("event_id", json!(event_id)),
            ("is_tracking_first_tag", json!(moment.is_first_tag)),
            ("msg", Value::Object(msg)),
            ("ts", json!(moment.ts)),
        ],
    );
    Value::Object(body).to_string().into_bytes()
}

/// What AfterShip's API shows at that moment.
pub(super) fn snapshot(parcel: &Parcel, index: usize) -> Snapshot {
    let moment = &parcel.moments[index];
    let mut msg = tracking(parcel, moment);
    // Null is the webhook's word for none; the API has an empty object.
    if msg.get("custom_fields").is_some_and(Value::is_null) {
        msg.insert("custom_fields".to_owned(), json!({}));
    }
    Snapshot {
        id: parcel.id.clone(),
        legacy_id: parcel.legacy_id.clone(),
        number: index,
        is_last: index + 1 == parcel.moments.len(),
        created_at: instant(parcel.created_at),
        updated_at: instant(moment.updated_at),
        msg: Value::Object(msg).to_string(),
    }
}

fn tracking(parcel: &Parcel, moment: &Moment) -> Map<String, Value> {
    let scans = &parcel.scans[..moment.known];
    let mut msg = Map::new();
    identity(&mut msg, parcel, moment);
    status(&mut msg, parcel, moment, scans);
    order(&mut msg, parcel);
    places(&mut msg, parcel);
    shipment(&mut msg, parcel, scans);
    estimates(&mut msg, parcel, moment);
    people(&mut msg, parcel, scans);
    features(&mut msg, parcel);
    let checkpoints: Vec<Value> = scans.iter().map(checkpoint).collect();
    msg.insert("checkpoints".to_owned(), checkpoints.into());
    msg
}

fn put<const N: usize>(msg: &mut Map<String, Value>, members: [(&str, Value); N]) {
    msg.extend(members.map(|(name, value)| (name.to_owned(), value)));
}

fn identity(msg: &mut Map<String, Value>, parcel: &Parcel, moment: &Moment) {
    put(
        msg,
        [
            ("id", json!(parcel.id)),
            ("legacy_id", json!(parcel.legacy_id)),
            ("tracking_number", json!(parcel.tracking_number)),
            ("slug", json!(parcel.courier.slug)),
            ("title", json!(parcel.tracking_number)),
            ("created_at", utc(parcel.created_at)),
            ("updated_at", utc(moment.updated_at)),
            ("source", json!("api")),
            ("language", json!(parcel.courier.language.code())),
            ("tracked_count", json!((moment.updated_at - parcel.created_at) / (3 * 3600) + 1)),
            ("courier_connection_id", Value::Null),
            ("tracking_account_number", Value::Null),
            ("tracking_key", Value::Null),
            (
                "tracking_ship_date",
                json!(local(parcel.created_at, parcel.courier).strftime("%Y%m%d").to_string()),
            ),
        ],
    );
}

fn status(msg: &mut Map<String, Value>, parcel: &Parcel, moment: &Moment, scans: &[Scan]) {
    let has = |subtag: &str| scans.iter().any(|scan| scan.status.subtag == subtag);
    let of_tag = |tag: &str| scans.iter().filter(|scan| scan.status.tag == tag).count();
    let first_attempt = scans.iter().find(|scan| ["AttemptFail", "Delivered"].contains(&scan.status.tag));
    let is_over = ["Delivered", "Expired"].contains(&moment.status.tag);
    let days_late = (moment.estimated_at - parcel.promised_at).div_euclid(DAY);
    let on_time_status = match (is_over, days_late > 0) {
        (true, true) => "late",
        (true, false) => "on-time",
        (false, true) => "trending-late",
        (false, false) => "trending-on-time",
    };
    put(
        msg,
        [
            ("tag", json!(moment.status.tag)),
            ("subtag", json!(moment.status.subtag)),
            ("subtag_message", json!(moment.status.label)),
            ("active", json!(!is_over)),
            ("return_to_sender", json!(has("Exception_010") || has("Exception_011"))),
            ("failed_delivery_attempts", json!(of_tag("AttemptFail"))),
            ("first_attempted_at", first_attempt.map_or(Value::Null, |scan| json!(courier_time(scan)))),
            ("on_time_status", json!(on_time_status)),
            ("on_time_difference", json!(days_late)),
        ],
    );
}

fn order(msg: &mut Map<String, Value>, parcel: &Parcel) {
    let order_id = parcel.order_id;
    let custom_fields = if parcel.is_full {
        json!({ "order_items": format!("{},{}", order_id * 2, order_id * 2 + 1), "channel": "web", "warehouse": "W-03" })
    } else {
        Value::Null
    };
    put(
        msg,
        [
            ("order_id", json!(order_id.to_string())),
            ("order_number", json!(format!("#{order_id}"))),
            ("order_id_path", optional(parcel, || json!(format!("https://shop.example/orders/{order_id}")))),
            (
                "order_date",
                json!(with_offset(parcel.ordered_at, Offset::constant(parcel.courier.offset_hours))),
            ),
            ("order_tags", json!([])),
            ("shipment_tags", if parcel.is_full { json!(["standard", "insured"]) } else { json!([]) }),
            ("custom_fields", custom_fields),
            ("note", Value::Null),
        ],
    );
}

fn places(msg: &mut Map<String, Value>, parcel: &Parcel) {
    let from = parcel.courier;
    let to = parcel.last_mile.unwrap_or(from);
    let origin = &from.places[0];
    let destination = &to.places[1];
    put(
        msg,
        [
            ("origin_country_region", json!(from.country)),
            ("origin_state", json!(origin.state)),
            ("origin_city", json!(origin.city)),
            ("origin_postal_code", json!(origin.postal_code)),
            ("origin_raw_location", json!(format!("{}, {}", origin.city, from.country_name))),
            ("destination_country_region", json!(to.country)),
            ("courier_destination_country_region", json!(to.country)),
            ("destination_state", json!(destination.state)),
            ("destination_city", json!(destination.city)),
            ("destination_postal_code", json!(destination.postal_code)),
            ("destination_raw_location", json!(format!("{}, {}", destination.city, to.country_name))),
            ("location_id", Value::Null),
        ],
    );
}

fn shipment(msg: &mut Map<String, Value>, parcel: &Parcel, scans: &[Scan]) {
    let picked_up = scans.iter().find(|scan| scan.status.event == Some("picked_up"));
    let delivered = scans.iter().find(|scan| scan.status.tag == "Delivered");
    let days = picked_up.zip(delivered).map(|(from, to)| (to.at - from.at).div_euclid(DAY));
    let number = &parcel.tracking_number;
    put(
        msg,
        [
            ("shipment_package_count", json!(1)),
            ("shipment_type", json!(parcel.courier.service)),
            ("shipment_weight", json!({ "unit": "kg", "value": f64::from(parcel.weight_grams) / 1000.0 })),
            (
                "shipment_dimensions",
                optional(parcel, || json!({ "unit": "cm", "length": 40, "width": 30.5, "height": 12 })),
            ),
            ("shipment_pickup_date", json!(picked_up.map(|scan| date_in_form(scan, parcel.date_form)))),
            ("shipment_delivery_date", json!(delivered.map(|scan| date_in_form(scan, parcel.date_form)))),
            ("transit_time", json!(days)),
            ("shipment_direction", json!("forward")),
            ("shipping_method", optional(parcel, || json!("standard"))),
            ("delivery_type", json!("door_to_door")),
            ("delivery_location_type", optional(parcel, || json!("front door"))),
            ("signature_requirement", optional(parcel, || json!("no_signature_required"))),
            ("pickup_location", Value::Null),
            ("pickup_note", Value::Null),
            (
                "courier_tracking_link",
                json!(format!("https://{}.example/track?number={number}", parcel.courier.slug)),
            ),
            ("courier_redirect_link", optional(parcel, || json!(format!("https://track.example/{number}")))),
            ("first_mile", optional(parcel, || leg(parcel.courier, number))),
            ("last_mile", parcel.last_mile.map_or(Value::Null, |courier| last_leg(courier, number))),
            ("return_shipment", Value::Null),
            ("forward_shipment", Value::Null),
        ],
    );
}

fn estimates(msg: &mut Map<String, Value>, parcel: &Parcel, moment: &Moment) {
    let offset = Offset::constant(parcel.courier.offset_hours);
    let day = |second: i64| json!(local(second, parcel.courier).date().to_string());
    let estimated = json!(with_offset(moment.estimated_at, offset));
    let reason = if moment.revisions > 0 { json!("extreme_weather") } else { Value::Null };
    let three = |name: &str, value: Value| json!({ name: value, format!("{name}_min"): null, format!("{name}_max"): null });
    put(
        msg,
        [
            ("courier_estimated_delivery_date", three("estimated_delivery_date", estimated.clone())),
            (
                "aftership_estimated_delivery_date",
                json!({
                    "estimated_delivery_date": day(moment.estimated_at),
                    "estimated_delivery_date_min": day(moment.estimated_at - DAY),
                    "estimated_delivery_date_max": day(moment.estimated_at + DAY),
                    "confidence_code": 10001,
                }),
            ),
            ("order_promised_delivery_date", three("promised_delivery_date", day(parcel.promised_at))),
            (
                "custom_estimated_delivery_date",
                optional(parcel, || {
                    json!({
                        "type": "range",
                        "datetime": null,
                        "datetime_min": day(parcel.promised_at - DAY),
                        "datetime_max": day(parcel.promised_at),
                    })
                }),
            ),
            (
                "first_estimated_delivery",
                optional(parcel, || {
                    json!({
                        "type": "specific",
                        "source": "Carrier EDD",
                        "datetime": with_offset(parcel.promised_at, offset),
                        "datetime_min": null,
                        "datetime_max": null,
                    })
                }),
            ),
            (
                "latest_estimated_delivery",
                json!({
                    "type": "specific",
                    "source": "Carrier EDD",
                    "datetime": estimated,
                    "datetime_min": null,
                    "datetime_max": null,
                    "revise_reason": reason,
                }),
            ),
        ],
    );
}

/// Invented people at reserved addresses and numbers; nobody's data.
fn people(msg: &mut Map<String, Value>, parcel: &Parcel, scans: &[Scan]) {
    let order_id = parcel.order_id;
    let customers = optional(parcel, || {
        json!([{
            "id": format!("customer-{order_id}"),
            "role": "buyer",
            "name": format!("Sample Customer {order_id}"),
            "email": format!("customer-{order_id}@shop.example"),
            "phone_number": format!("+1555010{:04}", order_id % 10_000),
            "language": parcel.courier.language.code(),
        }])
    });
    let is_signed = scans.iter().any(|scan| scan.status.event == Some("signed_by_customer"));
    let signed_by = if is_signed { json!(format!("Sample Customer {order_id}")) } else { Value::Null };
    put(
        msg,
        [
            ("customers", if customers.is_null() { json!([]) } else { customers }),
            ("signed_by", signed_by),
            ("subscribed_emails", json!([])),
            ("subscribed_smses", json!([])),
        ],
    );
}

/// Paid features: null for most accounts.
fn features(msg: &mut Map<String, Value>, parcel: &Parcel) {
    let number = &parcel.tracking_number;
    put(
        msg,
        [
            ("carbon_emissions", optional(parcel, || json!({ "unit": "kg", "value": 0.42 }))),
            ("proof_of_delivery", Value::Null),
            (
                "multi_piece_info",
                optional(parcel, || {
                    json!({
                        "type": "master",
                        "pieces": [
                            { "tracking_id": parcel.id, "tracking_number": number, "type": "master", "trackable": true },
                            { "tracking_id": null, "tracking_number": format!("{number}02"), "type": "child", "trackable": false },
                        ],
                    })
                }),
            ),
            (
                "aftership_tracking_url",
                optional(parcel, || json!(format!("https://shop.aftership.example/{number}"))),
            ),
            ("aftership_tracking_order_url", Value::Null),
        ],
    );
}

/// What only accounts with every feature have.
fn optional(parcel: &Parcel, value: impl FnOnce() -> Value) -> Value {
    if parcel.is_full { value() } else { Value::Null }
}
