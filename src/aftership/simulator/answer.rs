//! Bodies of the stand-in's API, in the shape of each version.

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Value, json};

use super::ask::Paging;
use super::{ListAsk, Page, Snapshot, Start, Version};

/// Why there is no better answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Status of HTTP.
    pub(super) status: u16,
    /// AfterShip's own code.
    pub(super) code: u16,
    kind: &'static str,
    message: String,
}

impl Fault {
    /// A request that cannot be understood.
    pub(super) fn bad_request(message: String) -> Self {
        Fault { status: 400, code: 400, kind: "BadRequest", message }
    }

    /// A parameter that cannot be used.
    pub(super) fn field(message: String) -> Self {
        Fault { status: 400, code: 4008, kind: "BadRequest", message }
    }

    /// A parcel that is not there.
    pub(super) fn no_tracking() -> Self {
        let message = "Tracking does not exist.".to_owned();
        Fault { status: 404, code: 4004, kind: "BadRequest", message }
    }

    /// Any fault whose code is its status.
    pub(super) fn of_status(status: u16) -> Self {
        let (kind, message) = match status {
            401 => ("Unauthorized", "The API key is invalid."),
            404 => ("NotFound", "The resource does not exist."),
            429 => ("TooManyRequests", "You have exceeded the API call rate limit."),
            _ => ("InternalError", "Something went wrong on AfterShip's end."),
        };
        Fault { status, code: status, kind, message: message.to_owned() }
    }

    /// AfterShip's envelope for it.
    pub(super) fn body(&self) -> String {
        json!({
            "meta": { "code": self.code, "type": self.kind, "message": self.message, "errors": [] },
            "data": {},
        })
        .to_string()
    }
}

/// One parcel.
pub(super) fn one(version: Version, snapshot: &Snapshot) -> String {
    let tracking = snapshot.in_version(version);
    // Until 2024-07 it was wrapped once more.
    if version < Version::V2024_07 {
        format!(r#"{{"meta":{{"code":200}},"data":{{"tracking":{tracking}}}}}"#)
    } else {
        format!(r#"{{"meta":{{"code":200}},"data":{tracking}}}"#)
    }
}

/// A page. `cursor`: the next page's, if there is one.
pub(super) fn list(version: Version, ask: &ListAsk, page: &Page, cursor: Option<&str>) -> String {
    let has_next = page.next.is_some();
    let number = match ask.start {
        Start::Page(number) => number,
        Start::First | Start::After(_) => 1,
    };
    let paging = match Paging::of(version) {
        Paging::Cursors => {
            json!({ "total": page.total, "next_cursor": cursor.unwrap_or_default(), "has_next_page": has_next })
        }
        Paging::Numbers => {
            json!({ "page": number, "limit": ask.limit, "total": page.total, "has_next_page": has_next })
        }
        Paging::Legacy => json!({
            "page": number,
            "limit": ask.limit,
            "count": page.total,
            "keyword": "",
            "slug": "",
            "origin": [],
            "destination": [],
            "tag": "",
            "fields": "",
            "created_at_min": date(ask.created_min),
            "created_at_max": date(ask.created_max),
            "last_updated_at": null,
            "return_to_sender": [],
            "courier_destination_iso3": [],
        }),
    }
    .to_string();
    let trackings: Vec<_> = page.snapshots.iter().map(|snapshot| snapshot.in_version(version)).collect();
    let trackings = trackings.join(",");
    match Paging::of(version) {
        Paging::Legacy => {
            let beside = paging.trim_end_matches('}');
            format!(r#"{{"meta":{{"code":200}},"data":{beside},"trackings":[{trackings}]}}}}"#)
        }
        Paging::Numbers | Paging::Cursors => {
            format!(r#"{{"meta":{{"code":200}},"data":{{"pagination":{paging},"trackings":[{trackings}]}}}}"#)
        }
    }
}

fn date(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| json!(at.display_with_offset(Offset::UTC).to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::aftership::simulator::{Position, Simulator, SimulatorOptions};

    use super::*;

    fn page() -> Page {
        let options = SimulatorOptions { has_snapshots: true, ..SimulatorOptions::default() };
        let snapshots: Vec<Arc<Snapshot>> =
            Simulator::new(3, options).filter_map(|delivery| delivery.snapshot).take(2).collect();
        Page { snapshots, total: 5, next: Some(Position { updated_ms: 7, id: "a".to_owned() }) }
    }

    fn value(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn each_version_has_its_own_frame() {
        let page = page();
        let of = |version| {
            let ask = ListAsk { limit: 2, start: Start::Page(2), ..ListAsk::default() };
            value(&list(version, &ask, &page, Some("next")))["data"].clone()
        };

        let cursors = json!({ "total": 5, "next_cursor": "next", "has_next_page": true });
        let numbers = json!({ "page": 2, "limit": 2, "total": 5, "has_next_page": true });
        for version in Version::ALL {
            let data = of(version);

            match Paging::of(version) {
                Paging::Cursors => assert_eq!(data["pagination"], cursors, "{version}"),
                Paging::Numbers => assert_eq!(data["pagination"], numbers, "{version}"),
                Paging::Legacy => {
                    assert_eq!(
                        (&data["page"], &data["limit"], &data["count"]),
                        (&json!(2), &json!(2), &json!(5))
                    );
                    assert_eq!(data.get("pagination"), None, "{version}");
                }
            }
            assert_eq!(data["trackings"].as_array().map(Vec::len), Some(2), "{version}");
        }
    }

    #[test]
    fn each_version_has_its_own_trackings() {
        let page = page();
        let snapshot = &page.snapshots[0];
        let of = |version| value(&one(version, snapshot))["data"].clone();

        assert_eq!(of(Version::V2026_07)["id"], json!(snapshot.id));
        assert_eq!(of(Version::V2026_07)["legacy_id"], json!(snapshot.legacy_id));
        assert!(of(Version::V2026_07)["custom_fields"].is_object());
        assert!(of(Version::V2024_07)["destination_country_iso3"].is_string());
        assert_eq!(of(Version::V2024_04)["tracking"]["id"], json!(snapshot.legacy_id));
        assert_eq!(of(Version::Legacy)["tracking"]["path"], "deprecated");
    }

    #[test]
    fn faults_have_the_envelope_of_aftership() {
        let fault = value(&Fault::of_status(401).body());

        assert_eq!(
            fault,
            json!({
                "meta": { "code": 401, "type": "Unauthorized", "message": "The API key is invalid.", "errors": [] },
                "data": {},
            })
        );
        assert_eq!(value(&Fault::no_tracking().body())["meta"]["code"], 4004);
    }
}
