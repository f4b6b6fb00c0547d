//! AfterShip's own fields, missing, odd or wrong: what names a tracking is an event all the same.

use super::{BARE, Bodies, ENVELOPE, Fate, ID_TOO_LONG, MEMBERS, NO_TRACKING, TRACKING, event_id};

pub(super) fn add(bodies: &mut Bodies) {
    event_ids(bodies);
    events(bodies);
    no_trackings(bodies);
    no_ids(bodies);
    ids(bodies);
    long_ids(bodies);
    slugs_and_numbers(bodies);
    checkpoints(bodies);
    checkpoint_values(bodies);
    fields(bodies);
    pollution(bodies);
    our_own_words(bodies);
}

/// Without a UUID the body's hash is the event's key.
fn event_ids(bodies: &mut Bodies) {
    bodies.add("event_id: missing", Fate::Fact, r#"{"msg":{"id":"$TRACKING"}}"#);
    let around = (r#"{"event_id":"#, r#","msg":{"id":"$TRACKING"}}"#);
    let words = r#"
        null "" 0 12345 -1.5e3 true [] {} ["$EVENT"] {"id":"$EVENT"} "evt-1" "x$EVENT" "$EVENT"
        "{$EVENT}" "urn:uuid:$EVENT" "$EVENT\n" "$EVENT\u0000" "\u0000" "\ud800" "../../etc/passwd" "📦"
        "00000000-0000-0000-0000-000000000000" "ffffffff-ffff-ffff-ffff-ffffffffffff"
        "gad00000-0000-4000-8000-000000000000" "bad00000000040008000000000000000"
        "bad00000-0000-4000-8000-00000000000" "bad0000000-00-4000-8000-000000000000"
        "bad00000_0000_4000_8000_000000000000""#;
    bodies.words("event_id", Fate::Fact, around, words);
    let texts = ["\" \"", "\" $EVENT\"", "\"$EVENT \"", "\"'; drop table raw.tracking_event; --\""];
    bodies.each("event_id", Fate::Fact, around, &texts);
    let upper = event_id(0, bodies.cases.len()).to_uppercase();
    bodies.named("event_id", Fate::Fact, around, [("in upper case", format!("\"{upper}\""))]);
    bodies.named(
        "event_id",
        Fate::Fact,
        around,
        [("5,000 characters", format!("\"{}\"", "e".repeat(5_000)))],
    );
}

/// An open set, whatever it holds.
fn events(bodies: &mut Bodies) {
    let around = (r#"{"event_id":"$EVENT","msg":{"id":"$TRACKING"},"event":"#, "}");
    let words = r#"
        null "" 7 true [] {} "from_the_future" "TRACKING_UPDATE" "\u0000" "\ud800" "edd_revise" "追跡""#;
    bodies.words("event", Fate::Fact, around, words);
    bodies.named("event", Fate::Fact, around, [("10,000 characters", format!("\"{}\"", "e".repeat(10_000)))]);
}

/// Objects that name no tracking.
fn no_trackings(bodies: &mut Bodies) {
    let words = r#"
        {} {"":1} {"event":"tracking_update"} {"id":"x"} {"data":{"id":"x"}} {"MSG":{"id":"x"}} {"msg.id":"x"}
        {"message":"error"} {"__proto__":{"msg":{"id":"x"}}} {"meta":{"code":200},"data":{}}
        {"slug":"dhl","tracking_number":"1"}"#;
    bodies.words("no tracking", NO_TRACKING, BARE, words);
    bodies.each("no tracking", NO_TRACKING, BARE, &["{ }", "{\"msg \":{\"id\":\"x\"}}"]);
    let words = r#"
        null true false 0 1 "" "x" "{\"id\":\"x\"}" [] [{"id":"x"}] [[]] {} {"msg":{"id":"x"}} {"ID":"x"}
        {"_id":"x"} {"tracking":{"id":"x"}}"#;
    bodies.words("msg that names no tracking", NO_TRACKING, (r#"{"event_id":"$EVENT","msg":"#, "}"), words);
}

/// Trackings whose names are no names.
fn no_ids(bodies: &mut Bodies) {
    let words = r#"
        "id":null "id":"" "id":[] "id":["x"] "id":{} "id":{"$oid":"x"} "slug":"dhl" "tracking_number":"1"
        "slug":"dhl","tracking_number":null "slug":"dhl","tracking_number":"" "slug":"","tracking_number":"1"
        "slug":null,"tracking_number":"1" "slug":["dhl"],"tracking_number":"1" "slug":"dhl","number":"1"
        "slug":"dhl","tracking_number":[1] "slug":"dhl","tracking_number":{"n":"1"}
        "tag":"Delivered","checkpoints":[{"id":"x","slug":"dhl","tracking_number":"1"}]"#;
    bodies.words("no id", NO_TRACKING, TRACKING, words);
    bodies.each("no id", NO_TRACKING, TRACKING, &["\"id \":\"x\""]);
}

/// Ids that AfterShip never makes, and that are ids all the same.
fn ids(bodies: &mut Bodies) {
    let around = (r#"{"event":"tracking_update","event_id":"$EVENT","msg":{"id":"#, "}}");
    let words = r#"
        0 -0 12 1e400 3.0 18446744073709551616 true false "0" "null" "\u0000" "\u0000$TRACKING" "\ud800$TRACKING"
        "$TRACKING\n" "$TRACKING/dhl" "../../$TRACKING" "$TRACKING📦" "\u202e$TRACKING" "\\N" "\\." "\t" "\""
        "000000000000000000000000" "00000000000000000000000000000000" "00000000000000000000000""#;
    bodies.words("id", Fate::Fact, around, words);
    bodies.each("id", Fate::Fact, around, &["\" \"", "\"$TRACKING'; drop table x; --\""]);
}

/// Beyond 1,000 bytes no warehouse's key holds an id; it is counted as it was read, without its escapes.
fn long_ids(bodies: &mut Bodies) {
    let id = |text: &str, times: usize| format!("\"id\":\"{}\"", text.repeat(times));
    let number = |digits: usize| format!("\"slug\":\"dhl\",\"tracking_number\":\"{}\"", "n".repeat(digits));
    let texts = [
        ("999 bytes", id("a", 999)),
        ("1,000 bytes", id("a", 1_000)),
        ("500 letters of two bytes", id("\u{fc}", 500)),
        ("250 emoji", id("\u{1f4e6}", 250)),
        ("1,000 escaped zeros", id("\\u0000", 1_000)),
        ("333 lone surrogates", id("\\ud800", 333)),
        ("1,000 digits", format!("\"id\":{}", "7".repeat(1_000))),
        ("996 bytes behind a slug", number(996)),
    ];
    bodies.named("long id", Fate::Fact, TRACKING, texts);
    let texts = [
        ("1,001 bytes", id("a", 1_001)),
        ("5,000 bytes", id("a", 5_000)),
        ("half a million bytes", id("a", 500_000)),
        ("501 letters of two bytes", id("\u{fc}", 501)),
        ("334 lone surrogates", id("\\ud800", 334)),
        ("10,000 digits", format!("\"id\":{}", "7".repeat(10_000))),
        ("997 bytes behind a slug", number(997)),
    ];
    bodies.named("too long id", ID_TOO_LONG, TRACKING, texts);
    let older = format!("\"legacy_id\":\"{}\"", "l".repeat(5_000));
    bodies.named("long id", Fate::Fact, MEMBERS, [("an older one of 5,000 bytes", older)]);
}

/// The second way to name a tracking.
fn slugs_and_numbers(bodies: &mut Bodies) {
    let words = r#"
        "slug":"dhl","tracking_number":"$TRACKING" "id":null,"slug":"dhl","tracking_number":"$TRACKING"
        "id":"","slug":"dhl","tracking_number":"$TRACKING" "id":[],"slug":"dhl","tracking_number":"$TRACKING"
        "id":{},"slug":7,"tracking_number":"$TRACKING" "slug":true,"tracking_number":"$TRACKING"
        "slug":"$TRACKING","tracking_number":123 "slug":"$TRACKING","tracking_number":0
        "slug":"\t","tracking_number":"$TRACKING" "slug":"a/b","tracking_number":"/$TRACKING"
        "tracking_number":"$TRACKING","slug":"\u0000""#;
    bodies.words("slug and number", Fate::Fact, TRACKING, words);
}

fn checkpoints(bodies: &mut Bodies) {
    let around =
        (r#"{"event":"tracking_update","event_id":"$EVENT","msg":{"id":"$TRACKING","checkpoints":"#, "}}");
    let words = r#"
        null {} {"0":{"tag":"Delivered"}} [] "none" 0 true [null] [null,1,"x",true,[],{}] [[{"tag":"Delivered"}]]
        [{}] [{},{},{}] [{"tag":null,"message":null,"checkpoint_time":null}]
        [{"tag":"a"}],"checkpoints":[{"tag":"b"}]"#;
    bodies.words("checkpoints", Fate::Fact, around, words);
    let number = |number| format!("{{\"tag\":\"InTransit\",\"message\":\"{number}\"}}");
    let different: Vec<String> = (0..10_000).map(number).collect();
    let texts = [
        ("10,000", format!("[{}]", different.join(","))),
        ("10,000 equal ones", format!("[{}]", vec!["{\"tag\":\"InTransit\"}"; 10_000].join(","))),
        ("100,000 nulls", format!("[{}]", vec!["null"; 100_000].join(","))),
        ("a message of 500 KB", format!("[{{\"message\":\"{}\"}}]", "m".repeat(500_000))),
    ];
    bodies.named("checkpoints", Fate::Fact, around, texts);
}

/// Checkpoints with one odd thing each.
fn checkpoint_values(bodies: &mut Bodies) {
    let words = r#"
        "checkpoint_time":1783598400 "checkpoint_time":"soon" "checkpoint_time":"2026-07-09"
        "checkpoint_time":"0000-00-00T00:00:00Z" "checkpoint_time":"9999-12-31T23:59:59Z"
        "checkpoint_time":"\u0000" "checkpoint_time":"+262143-01-01" "checkpoint_time":{} "tag":["Delivered"]
        "tag":7,"subtag":true "tag":"\ud800" "location":{"city":"x"} "coordinates":[1e400,null] "message":"a\r\nb"
        "slug":null,"raw_tag":"\u0000" "hash":1e400 "city":"\ufffe","zip":0,"postal_code":[]"#;
    for word in words.split_ascii_whitespace() {
        bodies.each("checkpoint", Fate::Fact, MEMBERS, &[format!("\"checkpoints\":[{{{word}}}]")]);
    }
}

/// Every other field that is looked at.
fn fields(bodies: &mut Bodies) {
    let words = r#"
        "tag":null "tag":"From_The_Future" "tag":[] "subtag":"Delivered_999" "subtag":12 "active":"true"
        "active":"yes" "active":1 "return_to_sender":null "on_time_difference":99999999999999999999
        "on_time_difference":2147483648 "on_time_difference":-2147483649 "on_time_difference":"3"
        "on_time_difference":1.5 "order_id":12345678901234567890 "order_id":{"id":1}
        "order_promised_delivery_date":"soon" "order_promised_delivery_date":{"promised_delivery_date":7}
        "latest_estimated_delivery":[] "latest_estimated_delivery":{"datetime":{}}
        "latest_estimated_delivery":"2026-07-09T10:00:00Z" "expected_delivery":{} "legacy_id":"deprecated"
        "legacy_id":"\u0000" "legacy_id":{} "origin_country_iso3":"\ud800" "shipment_type":["x"]
        "custom_fields":null "custom_fields":[] "custom_fields":{"":"","a":{"b":{"c":[[[[[[1]]]]]]}}}
        "emails":"a@example.com" "smses":[null] "shipment_weight":{"unit":"kg","value":1e-400}"#;
    bodies.words("field", Fate::Fact, MEMBERS, words);
    let long = "o".repeat(20_000);
    let texts = [
        ("order_id of 20,000 characters", format!("\"order_id\":\"{long}\"")),
        ("tag of 20,000 characters", format!("\"tag\":\"{long}\"")),
    ];
    bodies.named("field", Fate::Fact, MEMBERS, texts);
}

/// Keys that change what an object is, in other languages.
fn pollution(bodies: &mut Bodies) {
    let words = r#"
        "__proto__":{"is_admin":true} "constructor":{"prototype":{"x":1}} "prototype":null
        "toString":1,"valueOf":2 "hasOwnProperty":false "__class__":"os","__reduce__":["id"]
        "@type":"java.lang.Runtime" "$type":"System.Object" "$where":"sleep(1000)","$gt":"" "length":-1"#;
    bodies.words("pollution", Fate::Fact, MEMBERS, words);
    bodies.words("pollution of the envelope", Fate::Fact, ENVELOPE, words);
}

/// The members of a line in the lake: inside a body they say nothing.
fn our_own_words(bodies: &mut Bodies) {
    let words = r#"
        "v":2 "v":1,"event_key":"x","source":"api","received_at":"1999-01-01T00:00:00Z"
        "body":{"msg":{"id":"x"}} "body_base64":"e30=" "body_sha256":"0000" "replay_id":"x","is_test":true"#;
    bodies.words("our own words", Fate::Fact, ENVELOPE, words);
}
