//! Random histories of a minute: without a fault nothing is found, and of each fault exactly what it did.

use jiff::SignedDuration;
use proptest::prelude::*;

use crate::event::Source;
use crate::lake::manifest::KeysHash;
use crate::lake::receipt::Receipt;
use crate::reconcile::evidence::{Contents, Ledger, Letter};

use super::*;

mod single;

const WEBHOOK: &str = "webhook";
const OBJECTS: usize = 3;

/// What happened to one event.
#[derive(Debug, Clone, Copy)]
struct Told {
    object: usize,
    is_api: bool,
    is_dead: bool,
    is_replay: bool,
    is_rejected: bool,
    /// Delivered twice.
    is_repeated: bool,
    /// Its row is of an earlier minute.
    is_known: bool,
    /// The queue's answer was lost.
    is_uncertain: bool,
}

impl Told {
    fn has_row(self) -> bool {
        !self.is_dead && !self.is_rejected && !self.is_known
    }

    fn is_acknowledged(self) -> bool {
        !self.is_replay && !self.is_uncertain
    }
}

fn a_history() -> impl Strategy<Value = Vec<Told>> {
    let rare = || prop::bool::weighted(0.15);
    let told = (0..OBJECTS, any::<bool>(), rare(), rare(), rare(), rare(), rare(), rare()).prop_map(
        |(object, is_api, is_dead, is_replay, is_rejected, is_repeated, is_known, is_uncertain)| Told {
            object,
            is_api,
            is_dead,
            is_replay,
            is_rejected,
            is_repeated,
            is_known,
            is_uncertain,
        },
    );
    proptest::collection::vec(told, 1..25)
}

fn minute() -> Timestamp {
    "2026-07-09T12:00:00Z".parse().expect("instant")
}

fn key(number: usize) -> String {
    format!("key-{number:03}")
}

fn file(number: usize) -> String {
    format!("events/object-{number}.jsonl")
}

fn a_receipt(source: Source) -> Receipt {
    Receipt {
        v: 1,
        writer: "w".to_owned(),
        source: source.as_str().to_owned(),
        minute: minute(),
        part: 0,
        received: 0,
        verified: 0,
        rejected: BTreeMap::new(),
        acknowledged: 0,
        keys_hash: "0".repeat(32),
        keys: Vec::new(),
        keys_omitted: 0,
        uncertain: Vec::new(),
        uncertain_omitted: 0,
        written_at: minute(),
        is_last: true,
    }
}

/// Makes a receipt agree with its keys.
fn seal(receipt: &mut Receipt) {
    let mut hash = KeysHash::default();
    receipt.keys.iter().for_each(|key| hash.add(key));
    receipt.acknowledged = receipt.keys.len() as u64;
    receipt.keys_hash = hash.finish();
}

fn a_line(key: &str, source: &'static str, is_replay: bool) -> Line {
    Line {
        key: key.to_owned(),
        source,
        received_at: minute() + SignedDuration::from_secs(7),
        body_sha256: format!("body of {key}"),
        is_replay,
        tracking: Some(format!("tracking of {key}")),
    }
}

fn a_row(line: &Line, file: &str, number: u64) -> Row {
    Row {
        key: line.key.clone(),
        source: line.source.to_owned(),
        received_at: line.received_at,
        body_sha256: line.body_sha256.clone(),
        file: file.to_owned(),
        line: number,
    }
}

/// The minute as it is when nothing went wrong.
fn evidence(history: &[Told]) -> Evidence {
    let mut evidence = Evidence {
        minute: minute(),
        now: minute() + SignedDuration::from_hours(1),
        load_grace: SignedDuration::from_mins(10),
        objects: (0..OBJECTS)
            .map(|number| Object {
                file: file(number),
                state: State::Read(Contents::default()),
                ledger: Some(Ledger { is_loaded: true, lines: 0, inserted: 0 }),
                landed_at: Some(minute()),
            })
            .collect(),
        elsewhere: Vec::new(),
        rows: Vec::new(),
        known: HashMap::new(),
        conflicts: HashSet::new(),
        rejected: HashSet::new(),
        letters: Vec::new(),
        receipts: SOURCES.map(a_receipt).to_vec(),
        covers: SOURCES.iter().map(|source| (source.as_str(), Cover::Whole)).collect(),
        silent: BTreeSet::new(),
    };
    for (number, told) in history.iter().enumerate() {
        let key = key(number);
        let source = if told.is_api { "api" } else { WEBHOOK };
        let receipt = evidence.receipts.iter_mut().find(|one| one.source == source).expect("one each");
        match (told.is_replay, told.is_uncertain) {
            (true, _) => {}
            (false, true) => receipt.uncertain.push(key.clone()),
            (false, false) => receipt.keys.push(key.clone()),
        }
        if told.is_dead {
            evidence.letters.push(Letter { key, source });
            continue;
        }
        let line = a_line(&key, source, told.is_replay);
        let first = land(&mut evidence, told.object, line.clone(), told.is_rejected);
        if told.is_repeated {
            land(&mut evidence, (told.object + 1) % OBJECTS, line.clone(), told.is_rejected);
        }
        let row = a_row(&line, &file(told.object), first);
        if told.is_known {
            let earlier = minute() - SignedDuration::from_hours(1);
            let row = Row { file: "events/earlier.jsonl".to_owned(), received_at: earlier, ..row };
            evidence.known.insert(key, row);
        } else if !told.is_rejected {
            evidence.known.insert(key, row.clone());
            evidence.rows.push(row);
        }
    }
    evidence.receipts.iter_mut().for_each(seal);
    evidence
}

fn contents(object: &mut Object) -> &mut Contents {
    match &mut object.state {
        State::Read(contents) => contents,
        other => panic!("{other:?}"),
    }
}

/// Puts a line at the end of an object that is loaded; gives its number.
fn land(evidence: &mut Evidence, object: usize, line: Line, is_rejected: bool) -> u64 {
    let object = &mut evidence.objects[object];
    let number = contents(object).lines.len() as u64 + 1;
    contents(object).lines.insert(number, line);
    if let Some(ledger) = &mut object.ledger {
        ledger.lines += 1;
    }
    if is_rejected {
        evidence.rejected.insert((object.file.clone(), number));
    }
    number
}

/// Takes every line of a key away, as if it had never landed.
fn unland(evidence: &mut Evidence, key: &str) {
    for object in &mut evidence.objects {
        let lines = &mut contents(object).lines;
        let before = lines.len();
        lines.retain(|_, line| line.key != key);
        let gone = (before - lines.len()) as u64;
        if let Some(ledger) = &mut object.ledger {
            ledger.lines -= gone;
        }
    }
    evidence.rows.retain(|row| row.key != key);
    evidence.known.remove(key);
}

/// What was found: kinds with their ids, and keys that are missing.
fn found(judged: &Judged) -> (Vec<(Kind, Vec<String>)>, Vec<String>) {
    let differences = judged.differences.iter().map(|one| (one.kind, one.ids.clone())).collect();
    let mut missing: Vec<String> = judged.missing.iter().flat_map(|one| one.keys.clone()).collect();
    missing.sort();
    (differences, missing)
}

/// Numbers of the events that a fault can be done to.
fn numbers(history: &[Told], fits: impl Fn(Told) -> bool) -> Vec<usize> {
    history.iter().enumerate().filter(|(_, told)| fits(**told)).map(|(number, _)| number).collect()
}

fn one_of(numbers: &[usize], pick: prop::sample::Index) -> Option<usize> {
    (!numbers.is_empty()).then(|| numbers[pick.index(numbers.len())])
}

proptest! {
    #[test]
    fn a_history_without_a_fault_has_no_difference(history in a_history()) {
        let evidence = evidence(&history);
        let judged = judge(&evidence);

        prop_assert_eq!(found(&judged), (Vec::new(), Vec::new()));
        prop_assert!(judged.rowless.is_empty());
        let landed: u64 = judged.minutes.iter().map(|minute| minute.landed.count).sum();
        let loaded: u64 = judged.minutes.iter().map(|minute| minute.loaded.count).sum();
        let others: u64 =
            judged.minutes.iter().map(|minute| minute.duplicate + minute.conflict + minute.rejected_lines).sum();
        prop_assert_eq!(landed, loaded + others);
    }

    #[test]
    fn a_lost_event_is_missing(history in a_history(), pick in any::<prop::sample::Index>()) {
        let can_be_lost = |told: Told| told.is_acknowledged() && !told.is_dead;
        if let Some(number) = one_of(&numbers(&history, can_be_lost), pick) {
            let mut evidence = evidence(&history);
            unland(&mut evidence, &key(number));

            prop_assert_eq!(found(&judge(&evidence)), (Vec::new(), vec![key(number)]));
        }
    }

    #[test]
    fn a_row_that_is_gone_is_missing(history in a_history(), pick in any::<prop::sample::Index>()) {
        if let Some(number) = one_of(&numbers(&history, Told::has_row), pick) {
            let mut evidence = evidence(&history);
            evidence.rows.retain(|row| row.key != key(number));
            evidence.known.remove(&key(number));

            let judged = judge(&evidence);
            prop_assert_eq!(found(&judged), (vec![(Kind::RowMissing, vec![key(number)])], Vec::new()));
            let tracking = format!("tracking of {}", key(number));
            prop_assert_eq!(judged.rowless.into_iter().collect::<Vec<_>>(), vec![tracking]);
        }
    }

    #[test]
    fn a_row_of_no_line_is_forged(history in a_history(), in_an_object in any::<bool>(), as_known in any::<bool>()) {
        let mut evidence = evidence(&history);
        let line = a_line(if as_known { "key-000" } else { "forged" }, WEBHOOK, false);
        let file = if in_an_object { file(0) } else { "events/never-there.jsonl".to_owned() };
        evidence.rows.push(a_row(&line, &file, 999));

        prop_assert_eq!(found(&judge(&evidence)), (vec![(Kind::RowForged, vec![line.key])], Vec::new()));
    }

    #[test]
    fn a_row_that_was_changed_is_forged(history in a_history(), pick in any::<prop::sample::Index>(), what in 0..3) {
        if let Some(number) = one_of(&numbers(&history, Told::has_row), pick) {
            let mut evidence = evidence(&history);
            let row = evidence.rows.iter_mut().find(|row| row.key == key(number)).expect("it has one");
            match what {
                0 => row.received_at += SignedDuration::from_secs(1),
                1 => row.source = "somebody".to_owned(),
                _ => row.body_sha256 = "another".to_owned(),
            }

            prop_assert_eq!(found(&judge(&evidence)), (vec![(Kind::RowForged, vec![key(number)])], Vec::new()));
        }
    }

    #[test]
    fn a_row_that_is_there_twice_is_forged(history in a_history(), pick in any::<prop::sample::Index>()) {
        if let Some(number) = one_of(&numbers(&history, Told::has_row), pick) {
            let mut evidence = evidence(&history);
            let row = evidence.rows.iter().find(|row| row.key == key(number)).expect("it has one").clone();
            evidence.rows.push(row);

            prop_assert_eq!(found(&judge(&evidence)), (vec![(Kind::RowForged, vec![key(number)])], Vec::new()));
        }
    }

    #[test]
    fn a_row_that_was_moved_into_another_time_is_forged(
        history in a_history(), pick in any::<prop::sample::Index>(), what in 0..3,
    ) {
        let is_alone = |told: Told| told.has_row() && !told.is_repeated;
        if let Some(number) = one_of(&numbers(&history, is_alone), pick) {
            let mut evidence = evidence(&history);
            evidence.rows.retain(|row| row.key != key(number));
            let row = evidence.known.get_mut(&key(number)).expect("it has one");
            row.received_at -= SignedDuration::from_hours(24 * 30);
            match what {
                0 => {}
                1 => row.source = "somebody".to_owned(),
                _ => row.body_sha256 = "another".to_owned(),
            }

            prop_assert_eq!(found(&judge(&evidence)), (vec![(Kind::RowForged, vec![key(number)])], Vec::new()));
        }
    }

    #[test]
    fn an_object_that_was_rejected_and_can_be_read_is_named(history in a_history(), number in 0..OBJECTS) {
        let mut evidence = evidence(&history);
        let told = |number: usize| history[number];
        let in_it: Vec<usize> =
            (0..history.len()).filter(|one| !told(*one).is_dead && told(*one).object == number).collect();
        // Only what is nowhere else, or another fault would be told as well.
        if !in_it.is_empty() && history.iter().all(|told| !told.is_repeated && !told.is_rejected) {
            evidence.objects[number].ledger = Some(Ledger { is_loaded: false, lines: 0, inserted: 0 });
            let file = file(number);
            evidence.rows.retain(|row| row.file != file);
            evidence.known.retain(|_, row| row.file != file);

            let keys: Vec<String> = in_it.into_iter().map(key).collect();
            let judged = judge(&evidence);
            prop_assert_eq!(found(&judged), (vec![(Kind::NotLoaded, keys)], Vec::new()));
            prop_assert!(!judged.differences[0].is_explained);
        }
    }

    #[test]
    fn what_landed_and_nobody_took_is_named(history in a_history(), pick in any::<prop::sample::Index>()) {
        let can_be = |told: Told| told.is_acknowledged() && !told.is_dead;
        if let Some(number) = one_of(&numbers(&history, can_be), pick) {
            let mut evidence = evidence(&history);
            evidence.receipts.iter_mut().for_each(|receipt| receipt.keys.retain(|one| *one != key(number)));
            evidence.receipts.iter_mut().for_each(seal);

            let judged = judge(&evidence);
            prop_assert_eq!(found(&judged), (vec![(Kind::NotReceipted, vec![key(number)])], Vec::new()));
            prop_assert!(!judged.differences[0].is_explained);
            evidence.silent = BTreeSet::from([WEBHOOK, "api"]);
            let judged = judge(&evidence);
            prop_assert_eq!(found(&judged), (vec![(Kind::NotReceipted, vec![key(number)])], Vec::new()));
            prop_assert!(judged.differences[0].is_explained, "somebody may be away from the lake");

            // Not so when a receiver died, or a receipt is gone: then that is what is named.
            for cover in [Cover::Dead, Cover::Broken, Cover::None] {
                evidence.covers.values_mut().for_each(|known| *known = cover);
                let judged = judge(&evidence);
                prop_assert_eq!(found(&judged), (Vec::new(), Vec::new()));
                prop_assert_eq!(judged.explained_by_death.is_empty(), cover != Cover::Dead);
            }
        }
    }

    #[test]
    fn an_object_that_is_gone_is_named_with_its_keys(history in a_history(), gone in 0..OBJECTS) {
        let mut evidence = evidence(&history);
        evidence.objects[gone].state = State::Gone;
        let in_it = |told: &Told| !told.is_dead && told.object == gone;
        let mut keys = Vec::new();
        let mut lost = Vec::new();
        for (number, told) in history.iter().enumerate() {
            if in_it(told) && told.has_row() {
                keys.push(key(number));
            } else if in_it(told) && !told.is_repeated && told.is_acknowledged() {
                // Neither a row nor another copy tells that it ever landed.
                lost.push(key(number));
            }
        }
        if keys.is_empty() {
            keys.push(file(gone));
        }

        prop_assert_eq!(found(&judge(&evidence)), (vec![(Kind::ObjectMissing, keys)], lost));
    }

    #[test]
    fn a_line_that_was_changed_is_named_by_its_place(history in a_history(), pick in any::<prop::sample::Index>()) {
        if let Some(number) = one_of(&numbers(&history, Told::has_row), pick) {
            let mut evidence = evidence(&history);
            let row = evidence.rows.iter().find(|row| row.key == key(number)).expect("it has one").clone();
            let object = evidence.objects.iter_mut().find(|object| object.file == row.file).expect("an object");
            contents(object).lines.remove(&row.line);
            contents(object).unread.push(row.line);

            let id = format!("{}:{}", row.file, row.line);
            prop_assert_eq!(found(&judge(&evidence)), (vec![(Kind::ObjectChanged, vec![id])], Vec::new()));
        }
    }

    #[test]
    fn an_object_that_is_not_loaded_is_explained_while_it_is_young(history in a_history(), is_young in any::<bool>()) {
        let mut evidence = evidence(&history);
        let lines = BTreeMap::from([(1, a_line("fresh", WEBHOOK, true))]);
        let age = SignedDuration::from_mins(if is_young { 9 } else { 11 });
        evidence.objects.push(Object {
            file: "events/fresh.jsonl".to_owned(),
            state: State::Read(Contents { lines, ..Contents::default() }),
            ledger: None,
            landed_at: Some(evidence.now - age),
        });

        let judged = judge(&evidence);
        prop_assert_eq!(found(&judged), (vec![(Kind::NotLoaded, vec!["fresh".to_owned()])], Vec::new()));
        prop_assert_eq!(judged.differences[0].is_explained, is_young);
    }
}
