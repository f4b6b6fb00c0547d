//! The stand-in against the reader: what it sends is what AfterShip would send.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use serde_json::Value;

use crate::aftership::tracking::{self, Tracking};
use crate::aftership::webhook::{self, Unreadable};

use super::*;

/// Enough deliveries for rare things to happen, made once.
static STORY: LazyLock<Vec<(Delivery, Tracking)>> = LazyLock::new(|| {
    simulator(Version::V2026_07).take(5_000).map(|delivery| (delivery.clone(), read(&delivery))).collect()
});

fn simulator(version: Version) -> Simulator {
    Simulator::new(7, SimulatorOptions { version, ..SimulatorOptions::default() })
}

fn read(delivery: &Delivery) -> Tracking {
    tracking::read(&webhook::read(&delivery.body).expect("a readable body"))
}

fn value(delivery: &Delivery) -> Value {
    serde_json::from_slice(&delivery.body).expect("JSON")
}

#[test]
fn the_same_seed_gives_the_same_deliveries() {
    let options =
        SimulatorOptions { version: Version::Mixed, poison_rate: 0.1, ..SimulatorOptions::default() };
    let first: Vec<_> = Simulator::new(3, options.clone()).take(300).collect();
    let second: Vec<_> = Simulator::new(3, options.clone()).take(300).collect();
    let other: Vec<_> = Simulator::new(4, options).take(300).collect();

    assert_eq!(first, second);
    assert_ne!(first, other);
}

#[test]
fn every_version_is_readable_and_names_an_order() {
    for version in Version::ALL.into_iter().chain([Version::Mixed]) {
        for delivery in simulator(version).take(300) {
            let tracking = read(&delivery);

            let order_id: u32 = tracking.order_id.and_then(|id| id.parse().ok()).expect("a shop's order");
            assert!((1..=68_883).contains(&order_id));
            assert!(tracking.updated_at.is_some() && tracking.event_at >= tracking.updated_at, "{version}");
            assert!(tracking.slug.is_some() && tracking.tracking_number.is_some(), "{version}");
            assert!(
                tracking.estimated_delivery.is_some() && tracking.promised_delivery.is_some(),
                "{version}"
            );
            assert!(tracking.destination_country.is_some() && tracking.is_active.is_some(), "{version}");
            assert!(tracking.event_at <= Some(SimulatorOptions::default().start), "{version}");
            assert!(!tracking.is_test, "{version}");
        }
    }
}

#[test]
fn the_newest_version_has_all_its_names() {
    let body = value(&simulator(Version::V2026_07).next().expect("endless"));

    assert_eq!(body["msg"].as_object().map(serde_json::Map::len), Some(79));
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(5));
}

#[test]
fn bodies_have_the_size_of_the_real_ones() {
    let median = |mut values: Vec<usize>| {
        values.sort_unstable();
        values[values.len() / 2]
    };
    let bytes = median(STORY.iter().map(|(delivery, _)| delivery.body.len()).collect());
    let checkpoints = median(STORY.iter().map(|(_, tracking)| tracking.checkpoints.len()).collect());

    assert!((7_000..=11_500).contains(&bytes), "median of {bytes} bytes");
    assert!((7..=13).contains(&checkpoints), "median of {checkpoints} checkpoints");
}

#[test]
fn a_journey_is_told_in_growing_snapshots() {
    let mut known: HashMap<String, Tracking> = HashMap::new();
    let options = SimulatorOptions { duplicate_rate: 0.0, late_rate: 0.0, ..SimulatorOptions::default() };
    for delivery in Simulator::new(11, options).take(2_000) {
        let tracking = read(&delivery);
        if let Some(before) = known.get(&tracking.id) {
            assert!(tracking.checkpoints.starts_with(&before.checkpoints), "history changed");
            assert!(tracking.updated_at >= before.updated_at, "time runs backwards");
        }
        known.insert(tracking.id.clone(), tracking);
    }

    assert!(known.len() > 100, "only {} parcels", known.len());
}

#[test]
fn all_codes_and_all_statuses_occur() {
    let events: HashSet<_> = STORY
        .iter()
        .filter_map(|(delivery, _)| webhook::read(&delivery.body).ok().and_then(|webhook| webhook.event))
        .collect();
    let tags: HashSet<_> = STORY.iter().filter_map(|(_, tracking)| tracking.tag.as_deref()).collect();

    assert_eq!(
        events,
        HashSet::from(["tracking_update", "edd_revise", "tracking_pending_time"].map(String::from))
    );
    let expected = [
        "Pending",
        "InfoReceived",
        "InTransit",
        "OutForDelivery",
        "AttemptFail",
        "AvailableForPickup",
        "Delivered",
        "Exception",
        "Expired",
    ];
    assert_eq!(tags, HashSet::from(expected));
}

#[test]
fn some_times_have_an_offset_and_some_have_none() {
    let checkpoints = || STORY.iter().flat_map(|(_, tracking)| &tracking.checkpoints);
    let all = checkpoints().count();
    let with_offset = checkpoints().filter(|checkpoint| checkpoint.at.is_some()).count();

    assert!((all * 4 / 10..all * 8 / 10).contains(&with_offset), "{with_offset} of {all}");
}

#[test]
fn status_goes_backwards_now_and_then() {
    let mut last: HashMap<&str, &str> = HashMap::new();
    let mut is_backwards = false;
    for (_, tracking) in STORY.iter() {
        let tag = tracking.tag.as_deref().expect("a tag");
        is_backwards |= last.insert(&tracking.id, tag) == Some("OutForDelivery") && tag == "InTransit";
    }

    assert!(is_backwards);
}

#[test]
fn a_duplicate_repeats_bytes_and_nothing_else_does() {
    let options = SimulatorOptions { duplicate_rate: 0.2, late_rate: 0.1, ..SimulatorOptions::default() };
    let mut seen = HashSet::new();
    let mut kinds: HashMap<DeliveryKind, usize> = HashMap::new();
    for delivery in Simulator::new(5, options).take(2_000) {
        *kinds.entry(delivery.kind).or_default() += 1;
        let is_new = seen.insert(delivery.body);
        assert_eq!(is_new, delivery.kind != DeliveryKind::Duplicate);
    }

    assert!(kinds[&DeliveryKind::Duplicate] > 100 && kinds[&DeliveryKind::Late] > 50);
}

#[test]
fn poison_is_unreadable_in_every_way_it_can_be() {
    let options = SimulatorOptions { poison_rate: 1.0, ..SimulatorOptions::default() };
    let reasons: HashSet<_> = Simulator::new(1, options)
        .take(200)
        .map(|delivery| webhook::read(&delivery.body).expect_err("unreadable").reason())
        .collect();

    let expected = [Unreadable::Empty, Unreadable::NotJson, Unreadable::TooDeep, Unreadable::NoTracking];
    assert_eq!(reasons, HashSet::from(expected.map(Unreadable::reason)));
}

#[test]
fn mixed_versions_take_over_their_older_ids() {
    let mut old_ids = HashSet::new();
    let mut taken_over = 0;
    for delivery in simulator(Version::Mixed).take(5_000) {
        let tracking = read(&delivery);
        match &tracking.legacy_id {
            Some(legacy_id) => taken_over += usize::from(old_ids.contains(legacy_id)),
            None => {
                old_ids.insert(tracking.id);
            }
        }
    }

    assert!(taken_over > 0);
}

#[test]
fn only_the_legacy_version_has_no_version_header() {
    let version_of = |version| {
        let delivery = simulator(version).next().expect("endless");
        delivery.headers.into_iter().find(|(name, _)| *name == "as-webhook-version").map(|(_, value)| value)
    };

    assert_eq!(version_of(Version::Legacy), None);
    assert_eq!(version_of(Version::V2025_01).as_deref(), Some("2025-01"));
}
