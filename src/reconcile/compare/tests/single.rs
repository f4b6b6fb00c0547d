//! One fault or oddity each, made by hand.

use super::*;

#[test]
fn another_body_under_a_key_is_a_conflict_or_has_no_row() {
    let told = Told {
        object: 0,
        is_api: false,
        is_dead: false,
        is_replay: false,
        is_rejected: false,
        is_repeated: false,
        is_known: true,
        is_uncertain: false,
    };
    let mut evidence = evidence(&[told]);
    evidence.known.get_mut("key-000").expect("known").body_sha256 = "another".to_owned();
    assert_eq!(found(&judge(&evidence)).0, [(Kind::RowMissing, vec!["key-000".to_owned()])]);

    evidence.conflicts.insert(("key-000".to_owned(), "body of key-000".to_owned()));

    let judged = judge(&evidence);
    assert_eq!(found(&judged), (Vec::new(), Vec::new()));
    assert_eq!(judged.minutes[0].conflict, 1);
}

#[test]
fn keys_without_a_name_are_missed_by_their_count() {
    let mut evidence = evidence(&[]);
    evidence.receipts[0].acknowledged = 3;
    evidence.receipts[0].keys_omitted = 3;

    let missing = judge(&evidence).missing;

    assert_eq!(missing.iter().map(|one| one.count).collect::<Vec<_>>(), [3]);
}

#[test]
fn neither_repetitions_nor_replays_nor_the_other_source_stand_for_keys_without_a_name() {
    let told = Told {
        object: 0,
        is_api: false,
        is_dead: false,
        is_replay: false,
        is_rejected: false,
        is_repeated: true,
        is_known: false,
        is_uncertain: false,
    };
    let replay = Told { is_replay: true, is_repeated: false, ..told };
    let mut evidence = evidence(&[told, replay, Told { is_api: true, ..told }]);
    evidence.receipts[0].keys_omitted = 2;
    evidence.receipts[0].acknowledged += 2;
    let unnamed = a_line("unnamed", WEBHOOK, false);
    let line = land(&mut evidence, 1, unnamed.clone(), false);
    let row = a_row(&unnamed, &file(1), line);
    evidence.known.insert(unnamed.key.clone(), row.clone());
    evidence.rows.push(row);

    let missing = judge(&evidence).missing;

    assert_eq!(missing.iter().map(|one| (one.source, one.count)).collect::<Vec<_>>(), [(WEBHOOK, 1)]);
}

#[test]
fn a_receipt_that_does_not_agree_with_itself_is_named() {
    let mut evidence = evidence(&[]);
    evidence.receipts[0].keys.push("slipped in".to_owned());

    let (differences, missing) = found(&judge(&evidence));

    assert_eq!(differences, [(Kind::ReceiptMissing, vec![evidence.receipts[0].key()])]);
    assert_eq!(missing, ["slipped in"]);
}

#[test]
fn lines_beside_an_erased_one_that_were_changed_are_named_by_their_place() {
    let mut evidence = evidence(&[]);
    contents(&mut evidence.objects[1]).others = vec![4];

    let (differences, _) = found(&judge(&evidence));

    assert_eq!(differences, [(Kind::ObjectChanged, vec![format!("{}:4", file(1))])]);
}
