//! The shelf holds what has happened, each parcel once, and gives it page by page.

use super::*;
use crate::aftership::simulator::{DeliveryKind, Simulator, SimulatorOptions};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("an instant")
}

fn delivery(id: &str, number: usize, updated: i64) -> Delivery {
    let snapshot = Snapshot {
        id: id.to_owned(),
        legacy_id: format!("old-{id}"),
        number,
        is_last: false,
        created_at: at(1_000),
        updated_at: at(updated),
        msg: format!(r#"{{"id":"{id}"}}"#),
    };
    Delivery {
        body: Vec::new(),
        headers: Vec::new(),
        kind: DeliveryKind::Event,
        event_id: None,
        snapshot: Some(Arc::new(snapshot)),
    }
}

fn shelf(parcels: &[(&str, i64)]) -> Shelf {
    let mut shelf = Shelf::default();
    for (id, updated) in parcels {
        assert!(shelf.put(&delivery(id, 0, *updated)));
    }
    shelf
}

fn ids(page: &Page) -> Vec<&str> {
    page.snapshots.iter().map(|snapshot| snapshot.id.as_str()).collect()
}

#[test]
fn the_newest_snapshot_stays_whatever_the_order() {
    let mut shelf = shelf(&[("a", 2_000), ("b", 2_001)]);

    assert!(shelf.put(&delivery("a", 2, 2_002)));
    assert!(!shelf.put(&delivery("a", 1, 2_001)), "a late one");
    assert!(!shelf.put(&delivery("a", 2, 2_002)), "a repetition");
    assert!(!shelf.put(&Delivery { snapshot: None, ..delivery("c", 0, 2_003) }), "nothing to show");

    assert_eq!(shelf.len(), 2);
    assert_eq!(shelf.get("a").map(|snapshot| snapshot.number), Some(2));
    assert_eq!(shelf.get("old-a"), shelf.get("a"));
    assert_eq!(ids(&shelf.list(&ListAsk::default())), ["b", "a"]);
}

#[test]
fn a_deleted_parcel_is_gone_and_does_not_come_back() {
    let mut shelf = shelf(&[("a", 2_000), ("b", 2_001)]);

    assert!(shelf.remove("a"));
    assert!(!shelf.remove("a"));

    assert!(!shelf.put(&delivery("a", 1, 2_002)));
    assert_eq!((shelf.get("a"), shelf.get("old-a")), (None, None));
    assert_eq!(ids(&shelf.list(&ListAsk::default())), ["b"]);
}

#[test]
fn equal_times_are_told_apart_by_the_id() {
    let shelf = shelf(&[("c", 2_000), ("a", 2_000), ("b", 2_000)]);
    let mut ask = ListAsk { limit: 2, ..ListAsk::default() };

    let first = shelf.list(&ask);
    ask.start = Start::After(first.next.clone().expect("there is more"));
    let second = shelf.list(&ask);

    assert_eq!((ids(&first), ids(&second)), (vec!["a", "b"], vec!["c"]));
    assert_eq!((first.total, second.total, second.next), (3, 3, None));
}

#[test]
fn a_full_last_page_says_that_it_is_the_last() {
    let shelf = shelf(&[("a", 2_000), ("b", 2_001), ("c", 2_002), ("d", 2_003)]);

    let second = shelf.list(&ListAsk { limit: 2, start: Start::Page(2), ..ListAsk::default() });
    let third = shelf.list(&ListAsk { limit: 2, start: Start::Page(3), ..ListAsk::default() });

    assert_eq!((ids(&second), second.next.as_ref()), (vec!["c", "d"], None));
    assert_eq!((ids(&third), third.total, third.next.as_ref()), (Vec::new(), 4, None));
}

#[test]
fn windows_have_their_bounds_within() {
    let shelf = shelf(&[("a", 2_000), ("b", 2_001), ("c", 2_002), ("d", 2_003)]);
    let list = |ask: ListAsk| shelf.list(&ask).total;

    let window = ListAsk { updated_min: Some(at(2_001)), updated_max: Some(at(2_002)), ..ListAsk::default() };
    assert_eq!(ids(&shelf.list(&window)), ["b", "c"]);
    assert_eq!(list(ListAsk { created_min: Some(at(1_000)), ..ListAsk::default() }), 4);
    assert_eq!(list(ListAsk { created_min: Some(at(1_001)), ..ListAsk::default() }), 0);
    assert_eq!(list(ListAsk { created_max: Some(at(1_000)), ..ListAsk::default() }), 4);
    assert_eq!(list(ListAsk { created_max: Some(at(999)), ..ListAsk::default() }), 0);
}

#[test]
fn a_full_shelf_lets_go_of_what_was_not_updated_for_the_longest_time() {
    let mut shelf = Shelf::new(ShelfOptions { parcels_max: 2, ..ShelfOptions::default() });
    for (id, number, updated) in [("a", 0, 2_000), ("b", 0, 2_001), ("a", 1, 2_002), ("c", 0, 2_003)] {
        shelf.put(&delivery(id, number, updated));
    }

    assert_eq!(ids(&shelf.list(&ListAsk::default())), ["a", "c"]);
    assert_eq!(shelf.get("old-b"), None);
}

#[test]
fn every_parcel_of_a_long_run_stands_on_exactly_one_page() {
    let options = SimulatorOptions {
        has_snapshots: true,
        poison_rate: 0.05,
        late_rate: 0.1,
        ..SimulatorOptions::default()
    };
    let mut simulator = Simulator::new(3, options);
    let (mut shelf, mut expected) = (Shelf::default(), HashSet::new());
    for _ in 0..1_500 {
        let delivery = simulator.deliver_at(SimulatorOptions::default().start);
        for happened in simulator.take_unsent().iter().chain([&delivery]) {
            shelf.put(happened);
            expected.extend(happened.snapshot.iter().map(|snapshot| snapshot.id.clone()));
        }
    }
    assert!(expected.len() > 100, "only {} parcels", expected.len());

    let mut by_cursor = Vec::new();
    let mut ask = ListAsk { limit: 7, ..ListAsk::default() };
    loop {
        let page = shelf.list(&ask);
        by_cursor.extend(ids(&page).into_iter().map(str::to_owned));
        let Some(next) = page.next else { break };
        ask.start = Start::After(next);
    }
    let mut by_number = Vec::new();
    for number in 1.. {
        let page = shelf.list(&ListAsk { limit: 7, start: Start::Page(number), ..ListAsk::default() });
        by_number.extend(ids(&page).into_iter().map(str::to_owned));
        if page.next.is_none() {
            break;
        }
    }

    assert_eq!(by_cursor, by_number);
    assert_eq!(by_cursor.len(), expected.len());
    assert_eq!(by_cursor.into_iter().collect::<HashSet<_>>(), expected);
}

#[test]
fn some_parcels_are_deleted_after_their_last_event() {
    let options = SimulatorOptions { has_snapshots: true, ..SimulatorOptions::default() };
    let mut shelf = Shelf::new(ShelfOptions { deleted_rate: 0.5, ..ShelfOptions::default() });
    let mut seen = HashSet::new();
    for delivery in Simulator::new(3, options).take(2_000) {
        seen.extend(delivery.snapshot.iter().map(|snapshot| snapshot.id.clone()));
        shelf.put(&delivery);
    }

    let gone = seen.iter().filter(|id| shelf.get(id).is_none()).count();
    assert!(gone > 10 && gone < seen.len() * 7 / 10, "{gone} of {}", seen.len());
}
