//! Nesting: 64 levels are read, one more is not, and where reading stops decides the reason.

use super::{
    BARE, BODY_BYTES_MAX, Bodies, ENVELOPE, Fate, NO_TRACKING, NOT_AN_OBJECT, NOT_JSON, TOO_DEEP, VALUE,
};

pub(super) fn add(bodies: &mut Bodies) {
    of_an_event(bodies);
    of_an_event_at_the_limit(bodies);
    closed(bodies);
    open(bodies);
}

/// Inside a tracking, which is on the second level itself.
fn of_an_event(bodies: &mut Bodies) {
    let levels = [
        (63, Fate::Fact),
        (64, Fate::Fact),
        (65, TOO_DEEP),
        (66, TOO_DEEP),
        (128, TOO_DEEP),
        (129, TOO_DEEP),
        (512, TOO_DEEP),
        (10_000, TOO_DEEP),
        (100_000, TOO_DEEP),
    ];
    for (levels, fate) in levels {
        for (kind, value) in
            [("arrays", arrays(levels - 2)), ("objects", objects(levels - 2)), ("both", both(levels - 2))]
        {
            bodies.add(format!("depth {levels}: {kind}"), fate, format!("{}{value}{}", VALUE.0, VALUE.1));
        }
    }
}

fn of_an_event_at_the_limit(bodies: &mut Bodies) {
    let hundred = format!("[{}]", vec![arrays(61); 100].join(","));
    bodies.named("depth 64", Fate::Fact, VALUE, [("a hundred times", hundred)]);
    let member = |levels| format!("\"x\":{}", both(levels));
    bodies.named("depth 64", Fate::Fact, ENVELOPE, [("in the envelope", member(63))]);
    bodies.named("depth 65", TOO_DEEP, ENVELOPE, [("in the envelope", member(64))]);
    bodies.named("depth 65", TOO_DEEP, VALUE, [("at the end of an array", format!("[1,2,{}]", arrays(62)))]);
    bodies.named("depth 65", TOO_DEEP, VALUE, [("before broken JSON", arrays(63) + "x")]);
    bodies.named("depth 64", NOT_JSON, VALUE, [("before broken JSON", arrays(62) + "x")]);
}

fn closed(bodies: &mut Bodies) {
    let texts = [("63 arrays", arrays(63)), ("64 arrays", arrays(64))];
    bodies.named("depth alone, closed", NOT_AN_OBJECT, BARE, texts);
    let texts = [("63 objects", objects(63)), ("64 objects", objects(64))];
    bodies.named("depth alone, closed", NO_TRACKING, BARE, texts);
    let texts = [
        ("65 arrays", arrays(65)),
        ("65 objects", objects(65)),
        ("65 of both", both(65)),
        ("10,000 arrays", arrays(10_000)),
        ("100,000 arrays", arrays(100_000)),
        ("100,000 objects", objects(100_000)),
        ("100,000 of both", both(100_000)),
        ("half a million arrays", arrays(500_000)),
    ];
    bodies.named("depth alone, closed", TOO_DEEP, BARE, texts);
}

fn open(bodies: &mut Bodies) {
    let texts = [
        ("65 arrays", "[".repeat(65)),
        ("100,000 arrays", "[".repeat(100_000)),
        ("1 MiB of arrays", "[".repeat(BODY_BYTES_MAX)),
        ("100,000 objects", "{\"a\":".repeat(100_000)),
        ("65 arrays, then nonsense", "[".repeat(65) + "nonsense"),
        ("65 arrays, spread", "[ ".repeat(65)),
    ];
    bodies.named("depth alone, open", TOO_DEEP, BARE, texts);
    let texts = [
        ("63 arrays", "[".repeat(63)),
        ("64 arrays", "[".repeat(64)),
        ("64 arrays, then nonsense", "[".repeat(64) + "nonsense"),
        ("64 objects", "{\"a\":".repeat(64)),
        ("100,000 braces", "{".repeat(100_000)),
        ("100,000 closing brackets", "]".repeat(100_000)),
    ];
    bodies.named("depth alone, open", NOT_JSON, BARE, texts);
    bodies.add("depth alone: 100 arrays and broken UTF-8", NOT_JSON, [&[b'['; 100][..], b"\xff"].concat());
}

fn arrays(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

fn objects(levels: usize) -> String {
    "{\"a\":".repeat(levels - 1) + "{" + &"}".repeat(levels)
}

/// Arrays and objects in turn.
fn both(levels: usize) -> String {
    let in_turn = |even, odd| move |level: usize| if level.is_multiple_of(2) { even } else { odd };
    let opened: String = (0..levels).map(in_turn("[", "{\"a\":")).collect();
    let closed: String = (0..levels).rev().map(in_turn("]", "}")).collect();
    format!("{opened}0{closed}")
}
