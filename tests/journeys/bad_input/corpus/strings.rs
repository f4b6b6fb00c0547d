//! Strings: escapes, surrogates, control characters, quotes. What is inside reaches the warehouse as a tracking's tag.

use super::{Bodies, Fate, MEMBERS, NOT_JSON, STRING, VALUE};

pub(super) fn add(bodies: &mut Bodies) {
    escapes(bodies);
    surrogates(bodies);
    escaped_controls(bodies);
    no_escapes(bodies);
    raw_controls(bodies);
    quotes(bodies);
    brackets(bodies);
    characters(bodies);
}

fn escapes(bodies: &mut Bodies) {
    let words = r#"
        \u0022 \" \\ \/ \b\f\n\r\t \u0041 \u00fc\u00FC\uabcd\uABCD \\u0000 \\\" \\\\\\\\ \u005c \u005Cu0041
        \u007f \u0085\u009b \u2028\u2029 \ufeff \ufffd \u200b\u200e\u202e \u0000\u0000 before\u0000after
        \u0060\u012a\u12AB"#;
    bodies.words("escape", Fate::Fact, STRING, words);
    bodies.words("escape in a key", Fate::Fact, MEMBERS, r#" "\u0000":1 "\"\\\/":1 "\ud83d\udce6":1 "#);
}

/// A lone surrogate is legal JSON, and no UTF-8 text can hold it: it is kept, and reads as U+FFFD.
fn surrogates(bodies: &mut Bodies) {
    let words = r"
        \ud83d\udce6 \uD834\uDD1E \ud83d\ude39\ud83d\udc8d \udbff\udfff \udbff\udffe
        \ud800 \udc00 \udfff \uDBFF \ud800\ud800 \udc00\udc00 \udfff\ud800 \udd1e\ud834 \ud83d\ud83d\udce6
        \ud800x \ud800\n \ud800\u0041 \ud800\\u0041 x\udc00x\ud800 \uD800\uDBFF\uDFFF \ud800\/";
    bodies.words("surrogate", Fate::Fact, STRING, words);
    bodies.words("surrogate in a key", Fate::Fact, MEMBERS, r#" "\ud800":1 "\udc00":"\udc00" "#);
    let words = r"\ud800\u \ud800\u1 \ud800\u12 \ud800\u1x \uD834\uDd \ud800\x \ud800\uD \ud800\";
    bodies.words("cut surrogate", NOT_JSON, STRING, words);
}

/// Every character that SQS refuses in a message, each in an escape.
fn escaped_controls(bodies: &mut Bodies) {
    let controls = (0..0x20).filter(|code| !matches!(code, 0x09 | 0x0A | 0x0D));
    for code in controls.chain([0xFFFE, 0xFFFF]) {
        bodies.each("forbidden by SQS, escaped", Fate::Fact, STRING, &[format!("<\\u{code:04x}>")]);
    }
}

fn no_escapes(bodies: &mut Bodies) {
    let words = r"
        \a \v \0 \1 \x00 \x41 \' \e \U0041 \u{41} \u \u1 \u12 \u123 \u00G0 \u+041 \u-041 \u0x41 \u004
        \B \N \# \(x) \& \";
    bodies.words("no escape", NOT_JSON, STRING, words);
    let texts = [r"\ ", r"\u 041", "\\\n", "\\\r\n", "\\\t", "\\\0", "\\\u{1f300}", "\\\u{fc}"];
    bodies.each("no escape", NOT_JSON, STRING, &texts);
}

/// Control characters must be escaped, each of them.
fn raw_controls(bodies: &mut Bodies) {
    for code in 0..0x20_u8 {
        bodies.each("raw control", NOT_JSON, STRING, &[[b'<', code, b'>']]);
    }
    bodies.each("raw control at the start", NOT_JSON, STRING, &["\t", "\0", "\u{1b}[31m"]);
    bodies.each("raw control in a key", NOT_JSON, MEMBERS, &["\"a\nb\":1", "\"\0\":1", "\"\t\":1"]);
    // At every place of a run of plain characters that is looked at eight at a time.
    for place in 0..9 {
        let text = format!("{}\u{1}{}", "a".repeat(place), "b".repeat(8 - place));
        bodies.each("raw control in a run", NOT_JSON, STRING, &[text]);
    }
    bodies.each("no control", Fate::Fact, STRING, &["\u{7f}", "\u{80}\u{85}\u{9f}"]);
}

fn quotes(bodies: &mut Bodies) {
    let words = r#"
        'x' `x` x "x x" "x"" "a"+"b" """x""" r"x" @"x" \"x\" &quot;x&quot; " “x” «x» ‘x’"#;
    bodies.words("quotes", NOT_JSON, VALUE, words);
    bodies.each("quotes", NOT_JSON, VALUE, &["\"a\" \"b\""]);
    let words = r#" 'a':1 a:1 "a:1 a":1 1:1 null:1 [1]:1 {}:1 "a"x:1 -:1 "#;
    bodies.words("no key", NOT_JSON, MEMBERS, words);
}

/// What only looks like structure: whoever passes over a value by its brackets must know strings.
fn brackets(bodies: &mut Bodies) {
    let words = r#"
        }]} {[{[ ]}\"[{ x\\ \"}} \\\"} /* // a/*b*/c/d//e },\"body\":{ \",\"body_base64\":\"
        [\"a\",{\"b\":[1]}] {\\\"a\\\":1}"#;
    bodies.words("brackets", Fate::Fact, STRING, words);
    bodies.named("brackets", Fate::Fact, STRING, [("100,000 in a string", "[{".repeat(50_000))]);
}

fn characters(bodies: &mut Bodies) {
    let texts = [
        ("U+2028 and U+2029", "a\u{2028}b\u{2029}c"),
        ("U+FFFE and U+FFFF", "\u{fffe}\u{ffff}"),
        ("non-characters of other planes", "\u{1fffe}\u{1ffff}\u{10fffe}\u{10ffff}\u{fdd0}"),
        ("private use", "\u{e000}\u{f8ff}\u{f0000}\u{100000}"),
        ("U+FEFF inside", "a\u{feff}b"),
        ("U+FFFD", "\u{fffd}"),
        ("around the surrogates", "\u{d7ff}\u{e000}"),
        ("at the borders of lengths", "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}"),
        ("unassigned", "\u{378}\u{e01f0}\u{3fffd}"),
        ("tags and variation selectors", "\u{e0041}\u{e007f}\u{fe0f}\u{e0100}"),
        ("white space of all kinds", "\u{a0}\u{1680}\u{2003}\u{202f}\u{205f}\u{3000}"),
        ("none", ""),
        ("spaces only", "   "),
    ];
    bodies.named("characters", Fate::Fact, STRING, texts);
    bodies.named("characters", Fate::Fact, STRING, [("100,000 of two bytes", "\u{fc}".repeat(100_000))]);
}
