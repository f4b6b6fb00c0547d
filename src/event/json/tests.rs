use proptest::prelude::*;

use super::*;

fn root(text: &str) -> Json<'_> {
    parse(text.as_bytes()).expect("valid JSON").root
}

#[test]
fn values_read_as_written() {
    let json = root(r#" {"a":[1,-0,1e400,18446744073709551616],"b":"\u00fc\n\/","c":null,"d":true} "#);

    let numbers: Vec<_> = json.get("a").and_then(Json::as_array).expect("array").iter().collect();
    assert_eq!(numbers[2].as_number(), Some("1e400"));
    assert_eq!(numbers[3].as_number(), Some("18446744073709551616"));
    assert_eq!(numbers[3].as_i64(), None);
    assert_eq!(json.get("b").and_then(Json::as_str), Some("ü\n/"));
    assert_eq!(json.get("c"), None);
    assert_eq!(json.get("d").and_then(Json::as_bool), Some(true));
}

#[test]
fn the_last_of_repeated_keys_counts() {
    assert_eq!(root(r#"{"a":1,"a":2}"#).get("a").and_then(Json::as_i64), Some(2));
}

#[test]
fn lone_surrogates_are_reported_and_pairs_are_not() {
    let lone = parse(br#"["\ud800x\udc00"]"#).expect("legal JSON");
    assert!(lone.has_lone_surrogate);
    assert_eq!(lone.root.as_array().and_then(|a| a[0].as_str()), Some("\u{FFFD}x\u{FFFD}"));

    let pair = parse(br#"["\ud83d\udce6"]"#).expect("legal JSON");
    assert!(!pair.has_lone_surrogate);
    assert_eq!(pair.root.as_array().and_then(|a| a[0].as_str()), Some("📦"));

    let high_then_pair = parse(br#"["\ud83d\ud83d\udce6"]"#).expect("legal JSON");
    assert_eq!(high_then_pair.root.as_array().and_then(|a| a[0].as_str()), Some("\u{FFFD}📦"));
}

#[test]
fn depth_is_counted_in_levels() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));

    assert!(parse(nested(64).as_bytes()).is_ok());
    assert_eq!(parse(nested(65).as_bytes()), Err(JsonError::TooDeep));
    assert_eq!(parse("[".repeat(1_000_000).as_bytes()), Err(JsonError::TooDeep));
}

#[test]
fn line_breaks_between_tokens_are_reported() {
    assert!(parse(b"{\"a\":1}\n").expect("JSON").has_line_break);
    assert!(!parse(br#"{"a":"x\ny"}"#).expect("JSON").has_line_break);
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "01",
        "1.",
        ".5",
        "+1",
        "NaN",
        "Infinity",
        "tru",
        "\"\t\"",
        "\"\\x\"",
        "\"\\u12\"",
        "[1]x",
        "\u{FEFF}{}",
        "'a'",
        "// x\n1",
        "-",
        "1e",
        "{\"a\" 1}",
        "\"",
    ] {
        assert!(parse(text.as_bytes()).is_err(), "{text:?} was taken for JSON");
    }
    assert_eq!(parse(b"\"\xff\""), Err(JsonError::NotUtf8));
}

#[test]
fn members_keep_their_exact_text() {
    let members = parse_members(br#"{"v":1, "body":{"a" : 1.50} }"#).expect("object");

    assert_eq!(members[1].0, "body");
    assert_eq!(members[1].1, r#"{"a" : 1.50}"#);
}

/// What is left of a value when only so many levels are kept.
fn pruned<'a>(value: &Json<'a>, levels: usize) -> Json<'a> {
    match value {
        Json::Object(_) if levels == 0 => Json::Object(Vec::new()),
        Json::Array(_) if levels == 0 => Json::Array(Vec::new()),
        Json::Object(pairs) => {
            Json::Object(pairs.iter().map(|(key, value)| (key.clone(), pruned(value, levels - 1))).collect())
        }
        Json::Array(values) => Json::Array(values.iter().map(|value| pruned(value, levels - 1)).collect()),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn no_input_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn near_json_never_panics(text in r#"[\[\]{}",:\\u0-9a-fA-F truefalsn.eE+-]{0,60}"#) {
        let ours = parse(text.as_bytes());
        // serde_json refuses lone surrogates and numbers out of range; whatever it takes, we take too.
        if serde_json::from_str::<serde_json::Value>(&text).is_ok() {
            prop_assert!(ours.is_ok());
        }
    }

    #[test]
    fn fewer_levels_change_nothing_but_what_is_kept(
        text in r#"[\[\]{}",:\\u0-9a-fA-F truefalsn.eE+-]{0,60}"#, levels in 0usize..4,
    ) {
        let all = parse(text.as_bytes());
        let few = parse_levels(text.as_bytes(), levels);

        match (all, few) {
            (Ok(all), Ok(few)) => {
                prop_assert_eq!(few.has_lone_surrogate, all.has_lone_surrogate);
                prop_assert_eq!(few.has_line_break, all.has_line_break);
                prop_assert_eq!(few.root, pruned(&all.root, levels));
            }
            (all, few) => prop_assert_eq!(few.err(), all.err()),
        }
    }

    #[test]
    fn strings_of_any_length_end_where_they_end(
        text in "[a-z\u{7f}\u{80}\u{fe}ü📦 !#\\[\\]]{0,40}", end in prop::sample::select(vec!["\"", "\\n", "\n", "\u{1f}", "\0"]),
    ) {
        let written = format!("[\"{text}{end}\"]");
        let read = parse(written.as_bytes());
        let serde: Result<serde_json::Value, _> = serde_json::from_str(&written);

        prop_assert_eq!(read.is_ok(), serde.is_ok());
        if let (Ok(read), Ok(serde)) = (&read, &serde) {
            prop_assert_eq!(read.root.as_array().and_then(|values| values[0].as_str()), serde[0].as_str());
        }
    }

    #[test]
    fn what_serde_writes_reads_back(text in ".{0,40}", number in any::<i64>()) {
        let written = serde_json::json!({ "text": text, "number": number }).to_string();
        let read = parse(written.as_bytes()).expect("serde writes JSON");

        prop_assert_eq!(read.root.get("text").and_then(Json::as_str), Some(text.as_str()));
        prop_assert_eq!(read.root.get("number").and_then(Json::as_i64), Some(number));
    }
}
