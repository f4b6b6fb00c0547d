//! One parcel in every version, odd types, and anything at all.

use proptest::prelude::*;

use crate::aftership::webhook;
use crate::event::format_instant;

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        ($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/", $name, ".json")))
    };
}

const VERSIONS: [(&str, &str); 10] = [
    fixture!("legacy"),
    fixture!("2023-10"),
    fixture!("2024-04"),
    fixture!("2024-07"),
    fixture!("2024-10"),
    fixture!("2025-01"),
    fixture!("2025-04"),
    fixture!("2025-07"),
    fixture!("2026-01"),
    fixture!("2026-07"),
];

fn tracking(body: &str) -> Tracking {
    read(&webhook::read(body.as_bytes()).expect("a readable body"))
}

fn of_msg(msg: &str) -> Tracking {
    tracking(&format!(r#"{{"msg":{msg}}}"#))
}

fn written(instant: Option<Timestamp>) -> Option<String> {
    instant.map(format_instant)
}

#[test]
fn every_version_tells_the_same_story() {
    for (version, body) in VERSIONS {
        let tracking = tracking(body);

        assert_eq!(tracking.tracking_number.as_deref(), Some("JJD000390007000000042"), "{version}");
        assert_eq!(tracking.slug.as_deref(), Some("dhl"), "{version}");
        assert_eq!(tracking.subtag.as_deref(), Some("Delivered_003"), "{version}");
        assert_eq!(tracking.order_id.as_deref(), Some("57764"), "{version}");
        assert_eq!(tracking.origin_country.as_deref(), Some("DEU"), "{version}");
        assert_eq!(tracking.destination_country.as_deref(), Some("DEU"), "{version}");
        assert_eq!(written(tracking.created_at).as_deref(), Some("2026-07-01T14:25:40.000000Z"), "{version}");
        assert_eq!(written(tracking.updated_at).as_deref(), Some("2026-07-04T09:30:12.000000Z"), "{version}");
        assert_eq!(written(tracking.event_at).as_deref(), Some("2026-07-04T09:30:13.000000Z"), "{version}");
        assert_eq!(tracking.promised_delivery, Some(("2026-07-03".to_owned(), None)), "{version}");
        assert_eq!(tracking.on_time_status.as_deref(), Some("late"), "{version}");
        assert_eq!(tracking.on_time_difference_days, Some(1), "{version}");
        assert_eq!(tracking.is_active, Some(false), "{version}");
        assert_eq!(tracking.is_return_to_sender, Some(false), "{version}");
        assert!(!tracking.is_test, "{version}");
        assert_eq!(tracking.checkpoints.len(), 7, "{version}");
    }
}

#[test]
fn checkpoints_read_the_same_in_every_version() {
    let newest = tracking(VERSIONS[9].1).checkpoints;
    for (version, body) in VERSIONS {
        for (checkpoint, like) in tracking(body).checkpoints.into_iter().zip(&newest) {
            let same = Checkpoint { source: like.source.clone(), hash: like.hash.clone(), ..checkpoint };
            assert_eq!(&same, like, "{version}");
        }
    }
    assert_eq!(newest[1].postal_code.as_deref(), Some("24159"));
    assert_eq!(newest[1].country.as_deref(), Some("DEU"));
    assert_eq!(written(newest[1].at).as_deref(), Some("2026-07-01T19:05:00.000000Z"));
    assert_eq!(newest[5].checkpoint_time.as_deref(), Some("2026-07-04T07:40:00"));
    assert_eq!(newest[5].at, None);
    assert_eq!(newest[0].hash.as_ref().map(String::len), Some(40));
}

#[test]
fn the_older_id_comes_with_2024_07() {
    for (version, body) in VERSIONS {
        let tracking = tracking(body);
        let is_old = ["legacy", "2023-10", "2024-04"].contains(&version);
        let old_id = "k7q2mmz81fxo3lstd05hw4na";
        let expected =
            if is_old { (old_id, None) } else { ("7c1f0d5be2a94f6f8a3b6d2e9c405e11", Some(old_id)) };
        assert_eq!((tracking.id.as_str(), tracking.legacy_id.as_deref()), expected, "{version}");
    }
}

#[test]
fn an_older_id_that_says_nothing_is_none() {
    for legacy_id in [r#""""#, r#""t1""#, r#""deprecated""#, r#""000000000000000000000000""#, "null", "[]"] {
        assert_eq!(
            of_msg(&format!(r#"{{"id":"t1","legacy_id":{legacy_id}}}"#)).legacy_id,
            None,
            "{legacy_id}"
        );
    }
    assert_eq!(of_msg(r#"{"id":"t1","legacy_id":"old"}"#).legacy_id.as_deref(), Some("old"));
}

#[test]
fn the_best_estimate_counts() {
    let latest = r#""latest_estimated_delivery":{"datetime":"2026-07-04T18:00:00+02:00"}"#;
    let range = r#""latest_estimated_delivery":{"datetime":null,"datetime_min":"2026-07-04","datetime_max":"2026-07-06"}"#;
    let courier = r#""courier_estimated_delivery_date":{"estimated_delivery_date":null,"estimated_delivery_date_max":"2026-07-05"}"#;
    let expected = r#""expected_delivery":"2026-07-07""#;
    let aftership = r#""aftership_estimated_delivery_date":{"estimated_delivery_date":"2026-07-08"}"#;
    let custom = r#""custom_estimated_delivery_date":{"type":"range","datetime_max":"2026-07-09"}"#;
    for (members, text, source) in [
        (vec![custom, aftership, courier, latest], "2026-07-04T18:00:00+02:00", "latest"),
        (vec![custom, range, courier], "2026-07-06", "latest"),
        (vec![custom, aftership, expected, courier], "2026-07-05", "courier"),
        (vec![custom, aftership, expected], "2026-07-07", "courier"),
        (vec![custom, aftership], "2026-07-08", "aftership"),
        (vec![custom], "2026-07-09", "custom"),
    ] {
        let estimate = of_msg(&format!(r#"{{"id":"t1",{}}}"#, members.join(","))).estimated_delivery;
        let estimate = estimate.expect("an estimate");
        assert_eq!((estimate.text.as_str(), estimate.source), (text, source));
        assert_eq!(estimate.at.is_some(), source == "latest" && text.contains('+'));
    }
    assert_eq!(of_msg(r#"{"id":"t1","latest_estimated_delivery":null}"#).estimated_delivery, None);
}

#[test]
fn the_record_time_has_an_older_name() {
    let tracking = of_msg(r#"{"id":"t1","updated_at":null,"last_updated_at":"2021-05-17T09:05:31+00:00"}"#);

    assert_eq!(written(tracking.updated_at).as_deref(), Some("2021-05-17T09:05:31.000000Z"));
}

#[test]
fn odd_types_are_read_as_far_as_they_go() {
    let tracking = tracking(fixture!("odd-types").1);

    assert_eq!(tracking.id, "123456789012345678901234");
    assert_eq!(tracking.legacy_id, None);
    assert_eq!(tracking.tracking_number.as_deref(), Some("42"));
    assert_eq!(tracking.slug, None);
    assert_eq!(tracking.tag.as_deref(), Some("Teleported"));
    assert_eq!(tracking.subtag_message.as_deref(), Some("true"));
    assert_eq!(tracking.order_id.as_deref(), Some("57764"));
    assert_eq!(tracking.created_at, None);
    assert_eq!(written(tracking.updated_at).as_deref(), Some("2026-07-01T14:25:40.000000Z"));
    assert_eq!(written(tracking.event_at).as_deref(), Some("2026-07-04T09:30:13.000000Z"));
    assert_eq!(tracking.estimated_delivery.map(|estimate| estimate.text).as_deref(), Some("2026-07-10"));
    let (promised, promised_at) = tracking.promised_delivery.expect("a promise");
    assert_eq!(promised, "2026-07-09T23:59:59+02:00");
    assert_eq!(written(promised_at).as_deref(), Some("2026-07-09T21:59:59.000000Z"));
    assert_eq!(tracking.on_time_status, None);
    assert_eq!(tracking.on_time_difference_days, Some(-2));
    assert_eq!(tracking.is_active, Some(true));
    assert_eq!(tracking.is_return_to_sender, None);
    assert_eq!(tracking.checkpoints.len(), 3);
    assert_eq!(tracking.checkpoints[1].message.as_deref(), Some("包裹已到達 📦"));
    assert_eq!(tracking.checkpoints[1].at, None);
    assert_eq!(tracking.checkpoints[2].postal_code.as_deref(), Some("12345"));
    assert_eq!(tracking.checkpoints[2].location, None);
}

#[test]
fn days_beyond_32_bits_are_none() {
    for days in ["99999999999999999999", "2147483648", "0.5", "\"soon\"", "{}"] {
        let msg = format!(r#"{{"id":"t1","on_time_difference":{days}}}"#);
        assert_eq!(of_msg(&msg).on_time_difference_days, None, "{days}");
    }
}

#[test]
fn the_documentations_sample_claims_no_other_tracking() {
    let sample = tracking(fixture!("documentation-sample").1);
    let zeros = "0".repeat(32);
    let with_claim = of_msg(&format!(r#"{{"id":"{zeros}","legacy_id":"a-real-one"}}"#));

    assert!(sample.is_test);
    assert_eq!(sample.legacy_id, None);
    assert_eq!(with_claim.legacy_id, None);
}

/// Any JSON value, shallow.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        ".{0,20}".prop_map(serde_json::Value::from),
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[+-][0-9]{2}:[0-9]{2}"
            .prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let names = prop_oneof![Just("datetime"), Just("datetime_max"), Just("checkpoint_time"), Just("tag")];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::vec((names, inner), 0..4).prop_map(|members| {
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_value_of_any_member_makes_it_panic(values in proptest::collection::vec(any_json(), 12)) {
        let names = [
            "legacy_id", "slug", "tag", "updated_at", "last_updated_at", "latest_estimated_delivery",
            "expected_delivery", "order_promised_delivery_date", "on_time_difference", "active", "checkpoints",
            "tracking_number",
        ];
        let mut msg: serde_json::Map<String, serde_json::Value> =
            names.iter().map(|name| (*name).to_owned()).zip(values).collect();
        msg.insert("id".to_owned(), "t1".into());
        let body = serde_json::json!({ "msg": msg }).to_string();

        prop_assert_eq!(tracking(&body).id, "t1");
    }
}
