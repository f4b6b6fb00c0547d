//! Numbers: what the grammar takes whatever its size, and what only looks like one.

use super::{Bodies, Fate, NOT_JSON, VALUE};

pub(super) fn add(bodies: &mut Bodies) {
    of_the_grammar(bodies);
    beyond_every_type(bodies);
    with_signs_and_zeros(bodies);
    with_points_and_exponents(bodies);
    of_other_languages(bodies);
}

/// Well formed, and within what most programs hold.
fn of_the_grammar(bodies: &mut Bodies) {
    let words = "
        0 -0 -1 -123 1.0 -0.0 0e1 0e+1 0E0 1e1 1E22 1E-2 1E+2 1e00 20e1 123.456e78 123e45 0.1 -0e-0
        0.000000000000000000000000000001";
    bodies.words("number", Fate::Fact, VALUE, words);
}

/// Well formed, and lossy, infinite or refused elsewhere: the text is kept, so nothing is lost here.
fn beyond_every_type(bodies: &mut Bodies) {
    let words = "
        1e400 -1e400 1e-400 123e-10000000 1e999999999999999999999
        1.7976931348623157e308 1.7976931348623159e308 5e-324 2e-324 0.1234567890123456789012345
        9007199254740991 9007199254740993 9223372036854775807 9223372036854775808 -9223372036854775808
        -9223372036854775809 18446744073709551615 18446744073709551616 340282366920938463463374607431768211456";
    bodies.words("number", Fate::Fact, VALUE, words);
    let digits = "7".repeat(10_000);
    let texts = [
        ("10,000 digits", digits.clone()),
        ("10,000 digits, negative", format!("-{digits}")),
        ("10,000 decimals", format!("0.{digits}")),
        ("10,000 digits of exponent", format!("1e{digits}")),
        ("half a million zeros", format!("1{}", "0".repeat(500_000))),
    ];
    bodies.named("number", Fate::Fact, VALUE, texts);
}

fn with_signs_and_zeros(bodies: &mut Bodies) {
    let words = "
        +1 ++1 +0 - --1 -+1 -a -foo 1- 1+2 1-2 00 01 -00 -01 012 -012 0123.4 00e1 -01x \u{2212}1";
    bodies.words("no number", NOT_JSON, VALUE, words);
    bodies.each("no number", NOT_JSON, VALUE, &["- 1", "0 1", "1 000.0"]);
}

fn with_points_and_exponents(bodies: &mut Bodies) {
    let words = "
        . .5 -.5 -. .2e-3 1. -2. 0. 0.e1 2.e3 2.e+3 2.e-3 9.e+ 1..2 0.1.2 1.2.3 1.e
        1e 1E 1e+ 1E- 0e 0E+ 0.3e 0.3e+ 1eE2 1e1.5 1e1e1 1e+-1 1.0e e1";
    bodies.words("no number", NOT_JSON, VALUE, words);
    bodies.each("no number", NOT_JSON, VALUE, &["1e 1", "1 e1"]);
}

fn of_other_languages(bodies: &mut Bodies) {
    let words = "
        NaN -NaN nan Inf -Inf +Inf Infinity -Infinity +Infinity 1#INF \u{221e}
        0x1 0x42 0X1F -0x1 0b1 0o7 1_000 1,000 1'000 1n 1f 1d 1L 123abc 1a 1/2 50% $1 1:2
        \u{ff11} \u{0661} \u{bd} \u{2160} 1\u{a0}000";
    bodies.words("no number", NOT_JSON, VALUE, words);
}
