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
fn everything_that_befalls_parcels_occurs_in_a_long_run() {
    let mut subtags = HashSet::new();
    let mut parcels_of_orders: HashMap<String, HashSet<String>> = HashMap::new();
    let mut languages = HashSet::new();
    let mut returned = 0;
    let options = SimulatorOptions { version: Version::Mixed, ..SimulatorOptions::default() };
    for delivery in Simulator::new(1, options).take(10_000) {
        let tracking = read(&delivery);
        subtags.extend(tracking.subtag);
        returned += usize::from(tracking.is_return_to_sender == Some(true));
        parcels_of_orders.entry(tracking.order_id.expect("an order")).or_default().insert(tracking.id);
        for checkpoint in &tracking.checkpoints {
            let message = checkpoint.message.as_deref().unwrap_or_default();
            languages.extend(message.chars().map(script_of));
        }
    }

    let expected = [
        "Pending_001",
        "InfoReceived_001",
        "InTransit_002",
        "InTransit_008",
        "OutForDelivery_001",
        "AttemptFail_001",
        "AttemptFail_002",
        "Delivered_001",
        "Delivered_003",
        "AvailableForPickup_001",
        "Exception_010",
        "Exception_011",
        "Exception_013",
        "Expired_001",
    ];
    for subtag in expected {
        assert!(subtags.contains(subtag), "{subtag}");
    }
    assert!(returned > 0);
    let shared = parcels_of_orders.values().filter(|parcels| parcels.len() > 1).count();
    assert!(shared * 50 > parcels_of_orders.len(), "{shared} of {} orders", parcels_of_orders.len());
    assert_eq!(languages, HashSet::from(["Latin", "Japanese", "Chinese"]));
}

fn script_of(letter: char) -> &'static str {
    match letter {
        '\u{3040}'..='\u{30ff}' => "Japanese",
        '\u{4e00}'..='\u{9fff}' => "Chinese",
        _ => "Latin",
    }
}

#[test]
fn in_live_time_every_event_happens_now_and_later_than_the_one_before() {
    for version in [Version::Mixed, Version::V2026_07] {
        let options = SimulatorOptions { version, is_live: true, ..SimulatorOptions::default() };
        let mut simulator =
            Simulator::new(11, SimulatorOptions { duplicate_rate: 0.0, late_rate: 0.0, ..options });
        let mut known: HashMap<String, Tracking> = HashMap::new();
        for second in 0..2_000 {
            let now = Timestamp::from_second(1_790_000_000 + second).expect("an instant");
            let tracking = read(&simulator.deliver_at(now));
            // A parcel changes its id when it is moved to a newer version.
            let id = tracking.legacy_id.clone().unwrap_or_else(|| tracking.id.clone());

            assert_eq!((tracking.updated_at, tracking.event_at), (Some(now), Some(now)));
            assert!(tracking.created_at < Some(now));
            let scans: Vec<_> = tracking.checkpoints.iter().filter_map(|checkpoint| checkpoint.at).collect();
            assert!(scans.is_sorted() && scans.last().is_none_or(|newest| *newest <= now));
            if let Some(before) = known.get(&id) {
                assert!(tracking.updated_at > before.updated_at, "not later");
                assert!(tracking.checkpoints.len() >= before.checkpoints.len(), "history lost");
                let times = |tracking: &Tracking| -> Vec<String> {
                    tracking
                        .checkpoints
                        .iter()
                        .filter_map(|checkpoint| checkpoint.checkpoint_time.clone())
                        .collect()
                };
                assert!(times(&tracking).starts_with(&times(before)), "history changed");
            }
            known.insert(id, tracking);
        }

        assert!(known.len() > 50 && known.len() < 1_000, "{} parcels", known.len());
    }
}

#[test]
fn live_time_that_hardly_moves_takes_more_parcels_rather_than_the_future() {
    let options = SimulatorOptions { is_live: true, has_snapshots: true, ..SimulatorOptions::default() };
    let mut simulator = Simulator::new(11, options);
    let mut newest: HashMap<String, (usize, Timestamp)> = HashMap::new();
    for event in 0..3_000 {
        let now = Timestamp::from_second(1_790_000_000 + event / 300).expect("an instant");
        let delivery = simulator.deliver_at(now);
        let snapshot = delivery.snapshot.expect("a snapshot");

        assert!(snapshot.updated_at <= now, "{} is to come", snapshot.updated_at);
        if delivery.kind == DeliveryKind::Event
            && let Some((number, updated_at)) =
                newest.insert(snapshot.id.clone(), (snapshot.number, snapshot.updated_at))
        {
            assert!(snapshot.number > number && snapshot.updated_at > updated_at);
        }
    }
}

#[test]
fn a_live_story_goes_on_by_itself_by_its_rate() {
    let start = SimulatorOptions::default().start;
    let options = SimulatorOptions {
        is_live: true,
        has_snapshots: true,
        rate: Some(0.5),
        duplicate_rate: 0.0,
        late_rate: 0.0,
        ..SimulatorOptions::default()
    };

    let updates: Vec<i64> = Simulator::new(2, options)
        .filter_map(|delivery| delivery.snapshot)
        .map(|snapshot| snapshot.updated_at.as_second() - start.as_second())
        .take(100)
        .collect();

    assert_eq!(updates, (1..=100).map(|event| event * 2).collect::<Vec<_>>());
}

#[test]
fn a_snapshot_is_what_the_webhook_said() {
    let options = SimulatorOptions { has_snapshots: true, ..SimulatorOptions::default() };
    for delivery in Simulator::new(3, options).take(200) {
        let mut said = value(&delivery)["msg"].clone();
        if said["custom_fields"].is_null() {
            said["custom_fields"] = json!({});
        }

        let snapshot = delivery.snapshot.expect("a snapshot");

        assert_eq!(serde_json::from_str::<Value>(&snapshot.msg).expect("JSON"), said);
        assert_eq!(said["id"], snapshot.id);
        assert_eq!(said["legacy_id"], snapshot.legacy_id);
    }
}

#[test]
fn what_is_late_or_cut_has_happened_all_the_same() {
    let options = SimulatorOptions {
        has_snapshots: true,
        poison_rate: 0.2,
        late_rate: 0.2,
        duplicate_rate: 0.0,
        ..SimulatorOptions::default()
    };
    let mut simulator = Simulator::new(3, options);
    let mut numbers: HashMap<String, Vec<usize>> = HashMap::new();
    let mut unsent = 0;
    for _ in 0..2_000 {
        let delivery = simulator.next().expect("endless");
        let aside = simulator.take_unsent();
        unsent += usize::from(aside.is_some());
        for happened in aside.iter().chain([&delivery]).filter(|event| event.kind == DeliveryKind::Event) {
            let snapshot = happened.snapshot.as_ref().expect("a snapshot");
            numbers.entry(snapshot.id.clone()).or_default().push(snapshot.number);
        }
    }

    assert!(unsent > 100, "only {unsent}");
    for told in numbers.values() {
        assert_eq!(*told, (0..told.len()).collect::<Vec<_>>(), "one event after the other, none left out");
    }
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
