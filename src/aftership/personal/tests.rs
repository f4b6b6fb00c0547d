//! Each listed field, and real bodies of every version; [`any_json`] has anything at all.

use crate::aftership::simulator::{Simulator, SimulatorOptions, Version};
use crate::aftership::{tracking, webhook};
use crate::event::json::Document;

use super::*;

mod any_json;
mod erasing;

const KEY: &[u8] = b"thirty-two bytes that are secret";

const BOTH: [Privacy; 2] = [Privacy::Hash, Privacy::Drop];

fn redacted(body: &str, privacy: Privacy) -> String {
    let body = redact(body.as_bytes(), privacy, KEY).expect("something to replace");
    String::from_utf8(body).expect("UTF-8")
}

fn read(body: &[u8]) -> Document<'_> {
    json::parse(body).expect("JSON")
}

fn is_listed(fields: &[&str], names: &[String]) -> bool {
    fields.iter().any(|field| {
        let parts: Vec<&str> = field.split('.').map(|part| part.trim_end_matches("[]")).collect();
        names.len() >= parts.len() && parts.iter().zip(names).all(|(part, name)| part == name)
    })
}

/// Every leaf with the names of the members that lead to it.
fn leaves<'a>(value: &'a Json<'a>, names: &[String], found: &mut Vec<(Vec<String>, &'a Json<'a>)>) {
    match value {
        Json::Array(values) => values.iter().for_each(|value| leaves(value, names, found)),
        Json::Object(pairs) => pairs.iter().for_each(|(name, value)| {
            leaves(value, &[names, &[name.to_string()]].concat(), found);
        }),
        leaf => found.push((names.to_vec(), leaf)),
    }
}

/// Checks what must hold for every body that names a tracking; gives the redacted one, or the same one.
fn check(body: &[u8], privacy: Privacy) -> Vec<u8> {
    let after = redact(body, privacy, KEY).unwrap_or_else(|| body.to_vec());
    let (before, now) = (webhook::read(body).expect("readable"), webhook::read(&after).expect("readable"));

    // Facts are made of these alone (and of the hash of the original), and events of the envelope.
    assert_eq!(tracking::read(&before), tracking::read(&now));
    assert_eq!(
        (&before.event, &before.event_id, before.ts, before.tracking_id(), before.is_test()),
        (&now.event, &now.event_id, now.ts, now.tracking_id(), now.is_test())
    );
    assert_eq!(before.msg().get("checkpoints"), now.msg().get("checkpoints"));

    let (mut old, mut new) = (Vec::new(), Vec::new());
    leaves(&before.doc.root, &[], &mut old);
    leaves(&now.doc.root, &[], &mut new);
    assert_eq!(old.len(), new.len());
    for ((names, was), (same_names, is)) in old.into_iter().zip(new) {
        assert_eq!(names, same_names);
        if !is_listed(FIELDS, &names) {
            assert_eq!(was, is, "{names:?}");
            continue;
        }
        let tells_of_nobody = is.is_null() || is.as_str().is_some_and(|text| text.trim().is_empty());
        let is_hidden = privacy == Privacy::Hash && is.as_str().is_some_and(is_pseudonym);
        assert!(tells_of_nobody || is_hidden, "{names:?}: {is:?}");
    }
    assert_eq!(redact(&after, privacy, KEY), None, "a second time");
    after
}

#[test]
fn only_the_listed_values_change() {
    let body = r#" { "event_id" : "e", "msg":{"id":"t1","order_number":"\u00231","customers":[ {"name":"J\u00fcrgen", "id":7e0,"language":null,"x":[true,"", {}]} ],"shipment_weight":0.70,
        "signed_by" :"J" , "signed\u005fby":"K","checkpoints":[{"message":"J","city":"Kiel"}], "msg":{"note":"J"}},"note":"J", "ts":1.0 } "#;
    let expected = |[name, id, x, j, k]: [&str; 5]| {
        format!(
            r#" {{ "event_id" : "e", "msg":{{"id":"t1","order_number":"\u00231","customers":[ {{"name":{name}, "id":{id},"language":null,"x":[{x},"", {{}}]}} ],"shipment_weight":0.70,
        "signed_by" :{j} , "signed\u005fby":{k},"checkpoints":[{{"message":"J","city":"Kiel"}}], "msg":{{"note":"J"}}}},"note":"J", "ts":1.0 }} "#
        )
    };
    let hashes = ["Jürgen", "7e0", "true", "J", "K"].map(|text| format!("\"{}\"", pseudonym(text, KEY)));

    assert_eq!(redacted(body, Privacy::Drop), expected(["null"; 5]));
    assert_eq!(redacted(body, Privacy::Hash), expected(hashes.each_ref().map(String::as_str)));
}

#[test]
fn whatever_stands_in_a_listed_field_goes() {
    for field in FIELDS {
        for value in
            [r#""Jane""#, r#"["Jane",["Jane"]]"#, r#"{"a":"Jane","b":[{"c":"Jane"}]}"#, "155501", "true"]
        {
            for path in [(*field).to_owned(), field.replace("[]", "")] {
                let body = path.split('.').rev().fold(value.to_owned(), |inner, name| {
                    match name.strip_suffix("[]") {
                        Some(name) => format!(r#"{{"{name}":[{inner}]}}"#),
                        None => format!(r#"{{"{name}":{inner}}}"#),
                    }
                });
                for privacy in BOTH {
                    let redacted = redacted(&body, privacy);

                    read(redacted.as_bytes());
                    for word in ["Jane", "155501", "true"] {
                        assert!(!redacted.contains(word), "{redacted}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_body_with_all_fields_of_all_versions_gives_the_same_facts() {
    let fixture = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/2026-07.json"));
    let mut body: serde_json::Value = serde_json::from_str(fixture).expect("a fixture");
    for field in FIELDS {
        let path = format!("/{}", field.replace("[]", "").replace('.', "/"));
        let (parent, name) = path.rsplit_once('/').expect("at least msg");
        if body.pointer(parent).is_some_and(serde_json::Value::is_null) {
            *body.pointer_mut(parent).expect("there") = serde_json::json!({});
        }
        body.pointer_mut(parent).expect("an object")[name] = "canary".into();
    }
    let body = body.to_string();
    assert_eq!(body.matches("canary").count(), FIELDS.len());

    for privacy in BOTH {
        let redacted = check(body.as_bytes(), privacy);

        assert!(!String::from_utf8_lossy(&redacted).contains("canary"));
    }
}

#[test]
fn realistic_bodies_of_every_version_lose_people_and_nothing_else() {
    for version in Version::ALL {
        let options = SimulatorOptions { version, ..SimulatorOptions::default() };
        let mut people = 0;
        for delivery in Simulator::new(7, options).take(40) {
            people += String::from_utf8_lossy(&delivery.body).matches("@shop.example").count();
            for privacy in BOTH {
                let redacted = check(&delivery.body, privacy);

                let redacted = String::from_utf8_lossy(&redacted);
                assert!(
                    !redacted.contains("@shop.example") && !redacted.contains("Sample Customer"),
                    "{version}"
                );
            }
        }
        assert!(people > 0, "{version}");
    }
}

#[test]
fn odd_bodies_keep_their_facts_too() {
    macro_rules! fixture {
        ($name:literal) => {
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/", $name, ".json"))
        };
    }
    for body in [fixture!("legacy"), fixture!("odd-types"), fixture!("documentation-sample")] {
        for privacy in BOTH {
            check(body.as_bytes(), privacy);
        }
    }
}

#[test]
fn equal_persons_have_equal_pseudonyms_in_every_field_and_version() {
    let of = |body: &str| {
        redacted(body, Privacy::Hash).split('"').find(|part| is_pseudonym(part)).map(str::to_owned)
    };
    let jane = of(r#"{"msg":{"customers":[{"email":"jane@example.com"}]}}"#);

    assert!(jane.is_some());
    for body in [
        r#"{"msg":{"customers":[{"email":" Jane@Example.COM\n"}]}}"#,
        r#"{"msg":{"emails":["j\u0061ne@example.com"]}}"#,
        r#"{"msg":{"subscribed_emails":["JANE@example.com"]}}"#,
        r#"{"msg":{"custom_fields":{"mail":"jane@example.com"}}}"#,
    ] {
        assert_eq!(of(body), jane, "{body}");
    }
    assert_ne!(of(r#"{"msg":{"emails":["june@example.com"]}}"#), jane);
    assert_ne!(of(r#"{"msg":{"signed_by":"Jane"}}"#), of(r#"{"msg":{"signed_by":"jane"}}"#));
    assert_eq!(of(r#"{"msg":{"smses":["155501"]}}"#), of(r#"{"msg":{"smses":[155501]}}"#));
}

#[test]
fn pseudonyms_stay_what_they_are_and_need_the_key() {
    // Computed by another program: what is in a lake must stay joinable with what comes later.
    for (text, expected) in [
        ("jane@example.com", "hmac:535578ad021faf108a7e812e2fff2e81"),
        ("Jürgen Müller", "hmac:229d82f0a72cca8b70502e6a4c8064f7"),
        ("+4943155501", "hmac:d430c61370b7810a94377a0171f769cc"),
    ] {
        assert_eq!(pseudonym(text, KEY), expected);
        assert_ne!(pseudonym(text, b"another key"), expected);
    }
}

#[test]
fn of_a_shops_own_fields_only_contacts_go() {
    for (value, is_contact) in [
        ("1@gmail.com", true),
        ("Jane Doe <jane@example.co.uk>, 2", true),
        ("https://shop.example/?mail=jane@example.com&x=1", true),
        ("Write to jane@example.com.", true),
        ("jane@müller.example", true),
        ("+1 (555) 010-0100", true),
        ("+4943155501", true),
        ("115528,115529", false),
        ("71019410", false),
        ("2@19.99", false),
        ("@shop", false),
        ("jane@", false),
        ("+1", false),
        ("+12345678901234567890", false),
        ("W-03", false),
    ] {
        let body = serde_json::json!({ "msg": { "custom_fields": { "a": [value] } } }).to_string();

        assert_eq!(redact(body.as_bytes(), Privacy::Drop, KEY).is_some(), is_contact, "{value}");
        assert_eq!(redact(body.as_bytes(), Privacy::Hash, KEY).is_some(), is_contact, "{value}");
    }
}

#[test]
fn pseudonyms_can_still_be_dropped() {
    for body in [
        r#"{"msg":{"signed_by":"hmac:0123456789abcdef0123456789abcdef"}}"#,
        r#"{"msg":{"custom_fields":"hmac:0123456789abcdef0123456789abcdef"}}"#,
    ] {
        assert_eq!(redact(body.as_bytes(), Privacy::Hash, KEY), None);
        assert!(redacted(body, Privacy::Drop).ends_with(":null}}"));
    }
    // What only looks like one is somebody's name.
    assert!(redact(br#"{"msg":{"signed_by":"hmac:Jane"}}"#, Privacy::Hash, KEY).is_some());
}

#[test]
fn surrogates_without_a_partner_hide_nothing() {
    let body = r#"{"msg":{"note":"\ud800","signed_by":"Jane \udc00","tag":"\ud800"}}"#;

    assert_eq!(redacted(body, Privacy::Drop), r#"{"msg":{"note":null,"signed_by":null,"tag":"\ud800"}}"#);
}

#[test]
fn nothing_comes_back_when_nothing_changes() {
    let personal = r#"{"msg":{"signed_by":"Jane"}}"#;
    let deep = format!(r#"{{"msg":{{"signed_by":{}"Jane"{}}}}}"#, "[".repeat(63), "]".repeat(63));
    for privacy in BOTH {
        for body in [
            "",
            " ",
            "null",
            "\"signed_by\"",
            "[]",
            "{}",
            r#"{"msg":null}"#,
            r#"{"msg":{"signed_by":null,"emails":[],"customers":[{}],"note":"","title":" \n"}}"#,
            r#"{"signed_by":"Jane","msg.signed_by":"Jane","msg":{"id":"Jane","checkpoints":[{"note":"Jane"}]}}"#,
            r#"{"msg":{"signed_by":"Jane"}"#,
            r#"{"msg":{"signed_by":"Jane",}}"#,
            deep.as_str(),
        ] {
            assert_eq!(redact(body.as_bytes(), privacy, KEY), None, "{body}");
        }
        assert_eq!(redact(b"{\"msg\":{\"signed_by\":\"Jane\",\"x\":\"\xff\"}}", privacy, KEY), None);
    }
    assert_eq!(redact(personal.as_bytes(), Privacy::Keep, KEY), None);
}

#[test]
fn each_way_has_its_word() {
    for privacy in Privacy::ALL {
        assert_eq!(privacy.as_str().parse(), Ok(privacy));
    }
    assert_eq!("Hash".parse::<Privacy>(), Err(UnknownPrivacy));
}
