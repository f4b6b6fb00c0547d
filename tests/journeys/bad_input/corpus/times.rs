//! Times: what is no instant becomes none, and the event stays.

use super::{Bodies, Fate, MEMBERS};

pub(super) fn add(bodies: &mut Bodies) {
    of_events(bodies);
    of_records(bodies);
    with_offsets(bodies);
    of_no_type(bodies);
}

/// Seconds since 1970, of the envelope.
fn of_events(bodies: &mut Bodies) {
    let around = (r#"{"event_id":"$EVENT","msg":{"id":"$TRACKING"},"ts":"#, "}");
    let words = r#"
        null 0 -1 1 999999999 9999999999 10000000000 1783598400000 1783598400.0 1783598400.5 1.7835984e9 1e400 -1e400
        9223372036854775807 -9223372036854775808 9223372036854775808 "1783598400" "+1783598400" "soon" ""
        "2026-07-09T12:00:00Z" true [] {} [1783598400]"#;
    bodies.words("ts", Fate::Fact, around, words);
    bodies.each("ts", Fate::Fact, around, &["\" 1783598400 \""]);
    bodies.named("ts", Fate::Fact, around, [("10,000 digits", "9".repeat(10_000))]);
}

const UPDATED_AT: (&str, &str) =
    (r#"{"event":"tracking_update","event_id":"$EVENT","msg":{"id":"$TRACKING","updated_at":""#, r#""}}"#);

/// Dates and times of day, possible and not.
fn of_records(bodies: &mut Bodies) {
    let words = r"
        soon null 1783598400 2026 2026-07 2026-07-09 2026-07-09T 2026-07-09T11:00 2026-07-09T11:00:00
        2026-07-09T11:00:00Z 2026-07-09t11:00:00z 2016-12-31T23:59:60Z 2026-07-09T23:59:61Z 2026-07-09T24:00:00Z
        2026-07-09T11:60:00Z 2026-02-29T00:00:00Z 2024-02-29T00:00:00Z 2026-13-01T00:00:00Z 2026-00-00T00:00:00Z
        2026-07-32T00:00:00Z 0000-01-01T00:00:00Z 0001-01-01T00:00:00+00:00 1899-12-30T00:00:00Z
        1900-01-01T00:00:00Z 1969-12-31T23:59:59Z 9998-12-31T23:59:59Z 9999-12-31T23:59:59Z
        10000-01-01T00:00:00Z +262143-01-01T00:00:00Z -009999-01-01T00:00:00Z
        2026-07-09T11:00:00.123456789Z 2026-07-09T11:00:00.1234567890123Z 2026-07-09T11:00:00,5Z
        2026-07-09T11:00:00.Z 2026-W28-4T11:00:00Z 2026-190T11:00:00Z 20260709T110000Z 07/09/2026
        2026-07-09T11:00:00\u0000Z \/Date(1783598400000)\/";
    bodies.words("updated_at", Fate::Fact, UPDATED_AT, words);
    let texts = [
        "",
        " ",
        " 2026-07-09T11:00:00Z ",
        "2026-07-09 11:00:00",
        "2026-07-09 11:00:00Z",
        "Thu, 09 Jul 2026 11:00:00 GMT",
        "\u{662}\u{660}\u{662}\u{666}-07-09T11:00:00Z",
        "2026\u{2212}07\u{2212}09T11:00:00Z",
    ];
    bodies.each("updated_at", Fate::Fact, UPDATED_AT, &texts);
}

fn with_offsets(bodies: &mut Bodies) {
    let words = r"
        2026-07-09T11:00:00+14:00 2026-07-09T11:00:00-12:00 2026-07-09T11:00:00+23:59 2026-07-09T11:00:00+24:00
        2026-07-09T11:00:00+25:59 2026-07-09T11:00:00-25:59 2026-07-09T11:00:00+26:00 2026-07-09T11:00:00+99:99
        2026-07-09T11:00:00-00:00 2026-07-09T11:00:00+0530 2026-07-09T11:00:00+05 2026-07-09T11:00:00+5:30
        2026-07-09T11:00:00+05:30:15 2026-07-09T11:00:00Z+02:00 2026-07-09T11:00:00CEST
        2026-07-09T11:00:00Z[Europe/Berlin] 2026-07-09T11:00:00+02:00[Asia/Tokyo] 1900-01-01T00:00:00+14:00
        9998-12-31T23:59:59-12:00 9999-12-31T23:59:59-23:59 0000-01-01T00:00:00+23:59";
    bodies.words("offset", Fate::Fact, UPDATED_AT, words);
    bodies.each("offset", Fate::Fact, UPDATED_AT, &["2026-07-09T11:00:00 +05:30"]);
}

/// A time that is no text at all.
fn of_no_type(bodies: &mut Bodies) {
    let words =
        r#" "updated_at":null "updated_at":7 "updated_at":{} "updated_at":["2026"] "created_at":true "#;
    bodies.words("no time", Fate::Fact, MEMBERS, words);
}
