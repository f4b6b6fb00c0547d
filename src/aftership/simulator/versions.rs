//! The body's shape in each version: the newest shape, with every change since an older version undone.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};

/// Makes a body older by one version.
type Step = fn(&mut Members);

/// A version of AfterShip's webhook, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// v4, before versions had dates; it has no version header.
    Legacy,
    /// 2023-10
    V2023_10,
    /// 2024-04
    V2024_04,
    /// 2024-07
    V2024_07,
    /// 2024-10
    V2024_10,
    /// 2025-01
    V2025_01,
    /// 2025-04
    V2025_04,
    /// 2025-07
    V2025_07,
    /// 2026-01
    V2026_01,
    /// 2026-07
    V2026_07,
    /// Each parcel in a version of its own; some are moved to the newest on their way.
    Mixed,
}

impl Version {
    /// Every real version, oldest first.
    pub const ALL: [Version; 10] = [
        Version::Legacy,
        Version::V2023_10,
        Version::V2024_04,
        Version::V2024_07,
        Version::V2024_10,
        Version::V2025_01,
        Version::V2025_04,
        Version::V2025_07,
        Version::V2026_01,
        Version::V2026_07,
    ];

    /// AfterShip's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::Legacy => "legacy",
            Version::V2023_10 => "2023-10",
            Version::V2024_04 => "2024-04",
            Version::V2024_07 => "2024-07",
            Version::V2024_10 => "2024-10",
            Version::V2025_01 => "2025-01",
            Version::V2025_04 => "2025-04",
            Version::V2025_07 => "2025-07",
            Version::V2026_01 => "2026-01",
            Version::V2026_07 => "2026-07",
            Version::Mixed => "mixed",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A word that names no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown version {0:?}: give legacy, 2023-10, 2024-04, 2024-07, 2024-10, 2025-01, 2025-04, 2025-07, 2026-01, 2026-07 or mixed"
)]
pub struct UnknownVersion(String);

impl FromStr for Version {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut known = Version::ALL.into_iter().chain([Version::Mixed]);
        let word = if text == "v4" { "legacy" } else { text };
        known.find(|version| version.as_str() == word).ok_or_else(|| UnknownVersion(text.to_owned()))
    }
}

type Members = Map<String, Value>;

/// Gives a tracking of the newest shape the shape of `version`.
pub(super) fn reshape(msg: &mut Members, version: Version) {
    let steps: [(Version, Step); 9] = [
        (Version::V2026_07, undo_2026_07),
        (Version::V2026_01, undo_2026_01),
        (Version::V2025_07, undo_2025_07),
        (Version::V2025_04, undo_2025_04),
        (Version::V2025_01, undo_2025_01),
        (Version::V2024_10, undo_2024_10),
        (Version::V2024_07, undo_2024_07),
        (Version::V2024_04, undo_2024_04),
        (Version::V2023_10, undo_2023_10),
    ];
    for (_, undo) in steps.iter().filter(|(changed_in, _)| version < *changed_in) {
        undo(msg);
    }
}

fn undo_2026_07(msg: &mut Members) {
    remove(
        msg,
        &[
            "shipment_dimensions",
            "proof_of_delivery",
            "multi_piece_info",
            "shipment_direction",
            "return_shipment",
            "forward_shipment",
        ],
    );
    each(msg, "customers", |customer| remove(customer, &["id"]));
    each(msg, "checkpoints", |checkpoint| remove(checkpoint, &["hash"]));
}

fn undo_2026_01(msg: &mut Members) {
    flatten(msg, "order_promised_delivery_date", "promised_delivery_date", "order_promised_delivery_date");
    msg.insert("last_mile_tracking_supported".to_owned(), Value::Null);
    each(msg, "checkpoints", |checkpoint| rename(checkpoint, "postal_code", "zip"));
}

fn undo_2025_07(msg: &mut Members) {
    if msg.get("custom_fields").is_some_and(Value::is_null) {
        msg.insert("custom_fields".to_owned(), json!({}));
    }
}

fn undo_2025_04(msg: &mut Members) {
    if let Some(Value::Object(latest)) = msg.get_mut("latest_estimated_delivery") {
        remove(latest, &["revise_reason"]);
    }
    for name in ["origin_country_region", "destination_country_region", "postal_code", "state"] {
        msg.insert(format!("tracking_{name}"), Value::Null);
    }
}

fn undo_2025_01(msg: &mut Members) {
    let named_region: Vec<String> =
        msg.keys().filter(|name| name.ends_with("_country_region")).cloned().collect();
    for name in named_region {
        rename(msg, &name, &name.replace("_country_region", "_country_iso3"));
    }
    each(msg, "checkpoints", |checkpoint| {
        rename(checkpoint, "country_region", "country_iso3");
        rename(checkpoint, "country_region_name", "country_name");
        remove(checkpoint, &["source"]);
    });
    let customers = msg.remove("customers");
    let customers: &[Value] =
        customers.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let of_all = |member: &str| {
        let values =
            customers.iter().filter_map(|customer| customer.get(member)).filter(|value| !value.is_null());
        values.cloned().collect::<Vec<Value>>()
    };
    let name = of_all("name").into_iter().next().unwrap_or_default();
    msg.insert("emails".to_owned(), of_all("email").into());
    msg.insert("smses".to_owned(), of_all("phone_number").into());
    msg.insert("customer_name".to_owned(), name);
    let next_couriers = match msg.remove("last_mile") {
        Some(Value::Object(last_mile)) => {
            json!([{ "slug": last_mile.get("slug"), "tracking_number": last_mile.get("tracking_number"), "source": "system" }])
        }
        _ => json!([]),
    };
    msg.insert("next_couriers".to_owned(), next_couriers);
    let updated_at = msg.get("updated_at").cloned().unwrap_or_default();
    msg.insert("last_updated_at".to_owned(), updated_at);
    remove(msg, &["first_mile", "origin_state", "origin_city", "origin_postal_code", "origin_raw_location"]);
}

fn undo_2024_10(msg: &mut Members) {
    flatten(msg, "courier_estimated_delivery_date", "estimated_delivery_date", "expected_delivery");
    remove(msg, &["aftership_tracking_url", "aftership_tracking_order_url"]);
}

fn undo_2024_07(msg: &mut Members) {
    rename(msg, "legacy_id", "id");
    remove(msg, &["delivery_location_type"]);
    let weight = msg.remove("shipment_weight").unwrap_or_default();
    msg.insert("shipment_weight_unit".to_owned(), weight.get("unit").cloned().unwrap_or_default());
    msg.insert("shipment_weight".to_owned(), weight.get("value").cloned().unwrap_or_default());
}

fn undo_2024_04(msg: &mut Members) {
    rename(msg, "transit_time", "delivery_time");
    remove(
        msg,
        &[
            "failed_delivery_attempts",
            "signature_requirement",
            "carbon_emissions",
            "location_id",
            "shipping_method",
        ],
    );
    each(msg, "checkpoints", |checkpoint| {
        remove(checkpoint, &["coordinate"]);
        checkpoint.insert("coordinates".to_owned(), json!([]));
    });
}

fn undo_2023_10(msg: &mut Members) {
    remove(
        msg,
        &[
            "first_estimated_delivery",
            "latest_estimated_delivery",
            "courier_connection_id",
            "shipment_tags",
            "tracking_origin_country_iso3",
            "tracking_destination_country_iso3",
        ],
    );
    for name in ["android", "ios"] {
        msg.insert(name.to_owned(), json!([]));
    }
    for name in ["path", "unique_token"] {
        msg.insert(name.to_owned(), "deprecated".into());
    }
    each(msg, "checkpoints", |checkpoint| remove(checkpoint, &["events"]));
}

fn remove(members: &mut Members, names: &[&str]) {
    for name in names {
        members.remove(*name);
    }
}

fn rename(members: &mut Members, from: &str, to: &str) {
    if let Some(value) = members.remove(from) {
        members.insert(to.to_owned(), value);
    }
}

/// Puts one member of an object in the place of the whole object.
fn flatten(members: &mut Members, from: &str, member: &str, to: &str) {
    let whole = members.remove(from).unwrap_or_default();
    members.insert(to.to_owned(), whole.get(member).cloned().unwrap_or_default());
}

/// Does something to every object of a list.
fn each(members: &mut Members, list: &str, change: impl FnMut(&mut Members)) {
    if let Some(Value::Array(items)) = members.get_mut(list) {
        items.iter_mut().filter_map(Value::as_object_mut).for_each(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_named_as_aftership_names_them() {
        for version in Version::ALL.into_iter().chain([Version::Mixed]) {
            assert_eq!(version.as_str().parse(), Ok(version));
        }
        assert_eq!("v4".parse(), Ok(Version::Legacy));
        assert!("2022-07".parse::<Version>().is_err());
        assert!(Version::ALL.is_sorted());
    }

    #[test]
    fn a_version_undoes_only_what_came_after_it() {
        let newest = json!({
            "id": "new", "legacy_id": "old", "custom_fields": null, "transit_time": 3, "shipment_direction": "forward",
            "origin_country_region": "DEU", "shipment_weight": { "unit": "kg", "value": 0.7 },
            "courier_estimated_delivery_date": { "estimated_delivery_date": "2026-07-03" },
            "order_promised_delivery_date": { "promised_delivery_date": "2026-07-04" },
            "customers": [{ "id": "c1", "name": "A", "email": "a@shop.example", "phone_number": null }],
            "checkpoints": [{ "postal_code": "1", "country_region": "DEU", "coordinate": null, "hash": "h" }],
        });
        let of = |version| {
            let mut msg = newest.as_object().cloned().unwrap_or_default();
            reshape(&mut msg, version);
            Value::Object(msg)
        };

        assert_eq!(of(Version::V2026_07), newest);
        assert_eq!(of(Version::V2026_01)["checkpoints"][0].get("hash"), None);
        assert_eq!(of(Version::V2026_01)["customers"][0].get("id"), None);
        assert_eq!(of(Version::V2025_07)["order_promised_delivery_date"], "2026-07-04");
        assert_eq!(of(Version::V2025_07)["checkpoints"][0]["zip"], "1");
        assert_eq!(of(Version::V2025_07)["custom_fields"], Value::Null);
        assert_eq!(of(Version::V2025_04)["custom_fields"], json!({}));
        assert_eq!(of(Version::V2025_01)["origin_country_region"], "DEU");
        assert_eq!(of(Version::V2024_10)["origin_country_iso3"], "DEU");
        assert_eq!(of(Version::V2024_10)["emails"], json!(["a@shop.example"]));
        assert_eq!(of(Version::V2024_10)["smses"], json!([]));
        assert_eq!(of(Version::V2024_07)["expected_delivery"], "2026-07-03");
        assert_eq!(of(Version::V2024_07)["id"], "new");
        assert_eq!(of(Version::V2024_04)["id"], "old");
        assert_eq!(of(Version::V2024_04)["shipment_weight"], 0.7);
        assert_eq!(of(Version::V2023_10)["delivery_time"], 3);
        assert_eq!(of(Version::V2023_10)["checkpoints"][0]["coordinates"], json!([]));
        assert_eq!(of(Version::Legacy)["path"], "deprecated");
    }
}
