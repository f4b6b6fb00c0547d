//! Erasing takes all that a person could be known by, and leaves the facts of the parcel.

use super::*;

const BODY: &str = r##"{"event_id":"e","ts":7,"msg":{"id":"t1","tracking_number":"N1","slug":"dhl","order_id":"O1",
 "order_number":"#1","tag":"Delivered","updated_at":"2026-07-09T11:00:00+00:00","legacy_id":"old",
 "customers":[{"id":"c-1","name":"Ada L","email":"Ada@example.com","phone_number":"+4915100"}],"title":"  ",
 "custom_fields":{"gift":"for Ada","line":7},"signed_by":"Bob","checkpoints":[
 {"slug":"dhl","tag":"Delivered","checkpoint_time":"2026-07-09T10:00:00+02:00","raw_tag":"D1","message":"left with Eve",
  "location":"Main St 4","city":"Kiel","state":" ","zip":"24103","coordinate":{"latitude":54.3},"hash":"h","country_region":"DEU"}]}}"##;

fn erased(with_numbers: bool) -> String {
    String::from_utf8(erase(BODY.as_bytes(), with_numbers).expect("something to erase")).expect("UTF-8")
}

#[test]
fn nothing_of_the_person_is_left() {
    let erased = erased(false);

    for word in [
        "Ada",
        "c-1",
        "+4915100",
        "Bob",
        "Eve",
        "Main St",
        "Kiel",
        "24103",
        "54.3",
        "\"h\"",
        "gift\":\"",
        "7}",
    ] {
        assert!(!erased.contains(word), "{word} is in {erased}");
    }
    for word in ["N1", "O1", "#1", "t1", "old", "Delivered", "D1", "DEU", "2026-07-09T10:00:00+02:00"] {
        assert!(erased.contains(word), "{word} is not in {erased}");
    }
    assert_eq!(erase(erased.as_bytes(), false), None, "a second time");
}

#[test]
fn numbers_go_when_asked_for_and_not_needed() {
    let erased = erased(true);
    for word in ["N1", "O1", "#1"] {
        assert!(!erased.contains(word), "{word} is in {erased}");
    }
    assert_eq!(webhook::read(erased.as_bytes()).expect("readable").tracking_id(), "t1");
    assert_eq!(erase(erased.as_bytes(), true), None, "a second time");

    let without_id = BODY.replace(r#""id":"t1","#, "");
    let erased = erase(without_id.as_bytes(), true).expect("something to erase");
    assert_eq!(webhook::read(&erased).expect("readable").tracking_id(), "dhl/N1");
}

#[test]
fn of_the_facts_only_the_couriers_words_go() {
    let bytes = erased(false);
    let (before, now) = (webhook::read(BODY.as_bytes()).expect("readable"), webhook::read(bytes.as_bytes()));
    let (mut before, now) = (tracking::read(&before), tracking::read(&now.expect("readable")));
    for checkpoint in &mut before.checkpoints {
        checkpoint.message = None;
        checkpoint.location = None;
        checkpoint.city = None;
        checkpoint.state = None;
        checkpoint.postal_code = None;
        checkpoint.hash = None;
    }

    assert_eq!(now, before);
}

#[test]
fn realistic_bodies_of_every_version_stay_readable() {
    for version in Version::ALL {
        let options = SimulatorOptions { version, ..SimulatorOptions::default() };
        for delivery in Simulator::new(11, options).take(40) {
            for with_numbers in [false, true] {
                let erased = erase(&delivery.body, with_numbers).unwrap_or_else(|| delivery.body.clone());

                let (before, now) = (webhook::read(&delivery.body), webhook::read(&erased));
                let (before, now) = (before.expect("readable"), now.expect("readable"));
                assert_eq!(before.tracking_id(), now.tracking_id());
                assert_eq!(tracking::read(&before).checkpoints.len(), tracking::read(&now).checkpoints.len());
                assert_eq!(people(&erased), [""; 0]);
                assert_eq!(erase(&erased, with_numbers), None, "a second time");
            }
        }
    }
}

#[test]
fn people_are_found_in_every_version_plain_or_hashed() {
    assert_eq!(people(BODY.as_bytes()), ["c-1", "Ada@example.com", "+4915100"]);
    let old = br#"{"msg":{"emails":["a@example.com"],"smses":"+49151","subscribed_emails":["b@example.com",null,""]}}"#;
    assert_eq!(people(old), ["a@example.com", "+49151", "b@example.com"]);
    assert_eq!(customers(old), ["a@example.com", "+49151"]);

    let hashed = redact(BODY.as_bytes(), Privacy::Hash, KEY).expect("somebody");
    let expected = ["c-1", "ada@example.com", "+4915100"].map(|text| pseudonym(text, KEY));
    assert_eq!(people(&hashed), expected);
    let both = erase(&hashed, false).expect("pseudonyms");
    assert_eq!(people(&both), [""; 0]);
    assert_eq!(people(b"no json"), [""; 0]);
}

#[test]
fn marks_are_the_same_plain_and_hashed() {
    let plain = Marks::of(BODY.as_bytes()).expect("a parcel");
    assert_eq!(plain.ids().collect::<Vec<_>>(), ["t1", "old"]);
    assert_eq!(plain.tracking_number.as_deref(), Some("N1"));

    let hashed = redact(BODY.as_bytes(), Privacy::Hash, KEY).expect("somebody");
    let hashed = Marks::of(&hashed).expect("a parcel");
    assert_eq!(plain.keyed(KEY), hashed.keyed(KEY));
    assert_ne!(plain.keyed(KEY), plain.keyed(b"another key"));
    assert_ne!(key_id(KEY), key_id(b"another key"));
    assert_eq!(Marks::of(b"{}"), None);
    let filler = BODY.replace(r#""legacy_id":"old""#, r#""legacy_id":"deprecated""#);
    assert_eq!(Marks::of(filler.as_bytes()).expect("a parcel").legacy_id, None);
}
