//! Structure: what is around values. White space, repeated keys, width, and text that is almost JSON.

use super::{
    BARE, Bodies, ENVELOPE, Fate, MEMBERS, NO_TRACKING, NOT_AN_OBJECT, NOT_JSON, PLAIN, TRACKING, VALUE,
};

pub(super) fn add(bodies: &mut Bodies) {
    no_objects(bodies);
    values(bodies);
    no_values(bodies);
    commas_and_colons(bodies);
    open_ends(bodies);
    around_an_event(bodies);
    several_events(bodies);
    comments(bodies);
    white_space(bodies);
    width(bodies);
    repeated_members(bodies);
    repeated_keys_of_the_envelope(bodies);
    keys(bodies);
}

/// JSON, but no object.
fn no_objects(bodies: &mut Bodies) {
    let words = r#"
        null true false 0 -0 1e400 3.14 "" "x" "\ud800" "\u0000" [] [[]] [{}] [null] [1,2,3] ["a",{"b":[]}]"#;
    bodies.words("no object", NOT_AN_OBJECT, BARE, words);
    bodies.each("no object", NOT_AN_OBJECT, BARE, &["[ ]", " \"x\" ", "\t[]\n"]);
    bodies.add("no object: an event in an array", NOT_AN_OBJECT, format!("[{PLAIN}]"));
    bodies.add("no object: two events in an array", NOT_AN_OBJECT, format!("[{PLAIN},{PLAIN}]"));
    let quoted = PLAIN.replace('"', "\\\"");
    bodies.add("no object: an event in a string", NOT_AN_OBJECT, format!("\"{quoted}\""));
}

/// All kinds of values where nobody expects any.
fn values(bodies: &mut Bodies) {
    let words = r#"
        null true false [] {} [[]] [{}] {"a":{}} [1,null,"",[],{}] [1,[2,[3,[4]]]] {"":""}
        {"a":[{"b":[{"c":null}]}]}"#;
    bodies.words("value", Fate::Fact, VALUE, words);
    bodies.each("value", Fate::Fact, VALUE, &["[ ]", "{ }", "[\n1\n]"]);
}

fn no_values(bodies: &mut Bodies) {
    let words = r#"
        nul nulll NULL Null nil None tru truee True TRUE fals False yes on undefined * &x <x> (1) @x \n /x/
        function(){} ISODate("x") {{x}} ${x} é 📦"#;
    bodies.words("no value", NOT_JSON, VALUE, words);
    let texts = ["", " ", "void 0", "new Date()", "\u{200b}1", "\0", "\u{feff}1"];
    bodies.each("no value", NOT_JSON, VALUE, &texts);
}

fn commas_and_colons(bodies: &mut Bodies) {
    let words = r#"
        [1,] [,1] [1,,2] [,] [1;2] [1:2] ["a":1] ["",] [1][2] {"a":1,} {,"a":1} {"a":1,,"b":2} {"a"} {"a":}
        {"a"::1} {"a"=1} {"a"=>1} {"a",1} {"a":1;"b":2} {:1} {1} {[]} {{}} {"a":"b":"c"} {null}"#;
    bodies.words("commas and colons", NOT_JSON, VALUE, words);
    let texts = [
        "[1 2]",
        "[\"a\" \"b\"]",
        "[1,\n,2]",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1 2}",
        "{\"a\" \"b\"}",
    ];
    bodies.each("commas and colons", NOT_JSON, VALUE, &texts);
    bodies.words("commas and colons", NOT_JSON, MEMBERS, r#" , "x":1, "x" "x": :1 "x"1 "#);
    bodies.each("commas and colons", NOT_JSON, MEMBERS, &[""]);
}

/// What is never closed, closed twice, or closed by the wrong bracket.
fn open_ends(bodies: &mut Bodies) {
    let words = r#"
        { } [ ] {}} []] [} {] {" {"a {"a" {"a": {"a":1 {"a":1, [1 [1, [" ["\ ["\u [{ [{} {"a":[ {"a":{ [1} {"a":1]
        " "x "\" tr - ["a\" [[[[ {"msg":{"id":"x"}"#;
    bodies.words("open end", NOT_JSON, BARE, words);
    // A transfer that broke off.
    for missing in [1, 2, 3, 10, 30, 60] {
        let event = bodies.filled(PLAIN);
        let name = format!("open end: {missing} bytes missing");
        bodies.add(name, NOT_JSON, &event[..event.len() - missing]);
    }
    bodies.add("open end: the first byte missing", NOT_JSON, &PLAIN[1..]);
}

/// An event is whole, and there is more.
fn around_an_event(bodies: &mut Bodies) {
    let behind = [
        "x",
        "}",
        "]",
        ",",
        ";",
        "{}",
        "null",
        "1",
        "\"",
        "//",
        "#",
        "\0",
        "\0\0\0\0",
        "\u{1a}",
        "\u{b}",
        "\u{a0}",
        "\u{85}",
        "\u{2028}",
        "\\n",
        "\n{}",
        "\r\n.\r\n",
        "\n--b--",
        "<!-- -->",
        "\u{1e}",
    ];
    bodies.each("behind an event", NOT_JSON, (PLAIN, ""), &behind);
    let before = [
        "x",
        ",",
        "\u{1e}",
        "\0",
        ")]}',\n",
        "while(1);",
        "for(;;);",
        "callback(",
        "data: ",
        "1\r\n",
        "\u{2028}",
        "\\",
        "\u{b}",
        "\u{a0}",
        "--b\r\n",
        "HTTP/1.1",
        "event=",
        "{} ",
    ];
    bodies.each("before an event", NOT_JSON, ("", PLAIN), &before);
}

fn several_events(bodies: &mut Bodies) {
    let texts = [
        ("one per line", format!("{PLAIN}\n{PLAIN}\n")),
        ("side by side", format!("{PLAIN}{PLAIN}")),
        ("with a comma", format!("{PLAIN},{PLAIN}")),
        ("as records of a text sequence", format!("\u{1e}{PLAIN}\n\u{1e}{PLAIN}\n")),
        ("as a callback", format!("callback({PLAIN});")),
        ("in parentheses", format!("({PLAIN})")),
    ];
    bodies.named("several events", NOT_JSON, BARE, texts);
}

fn comments(bodies: &mut Bodies) {
    let texts = [
        "1/**/",
        "/**/1",
        "1 // x\n",
        "1 # x\n",
        "1 -- x\n",
        "1 ; x\n",
        "1<!-- x -->",
        "1/*",
        "1*/",
        "%x\n1",
    ];
    bodies.each("comment", NOT_JSON, VALUE, &texts);
    let words = r#" /*x*/"x":1 "x"/*x*/:1 "x":1/*x*/ "x":1,//"y":2 "#;
    bodies.words("comment", NOT_JSON, MEMBERS, words);
}

/// Allowed between tokens; whoever stores a body as one line must mind the line breaks.
fn white_space(bodies: &mut Bodies) {
    let spread = |space: &str| {
        let tokens = r#"{ "event_id" : "$EVENT" , "msg" : { "id" : "$TRACKING" } }"#;
        tokens.split(' ').fold(space.to_owned(), |text, token| text + token + space)
    };
    for space in [" ", "\t", "\n", "\r", "\r\n", "\n\r", " \t\r\n ", "\n\n\n\n"] {
        let name = format!("white space between tokens: {}", space.escape_default());
        bodies.add(name, Fate::Fact, spread(space));
    }
    bodies.add("white space between tokens: 1,000 tabs each", Fate::Fact, spread(&"\t".repeat(1_000)));
    let others = [
        "\u{b}", "\u{c}", "\u{a0}", "\u{85}", "\u{2028}", "\u{2029}", "\u{3000}", "\u{200b}", "\u{feff}",
        "\0", "\\n",
    ];
    for space in others {
        let name = format!("no white space between tokens: {}", space.escape_default());
        bodies.add(name, NOT_JSON, spread(space));
    }
    let spaces = [" ", "\n", "\r\n", "\t", "\r", "\n\n"];
    bodies.each("white space behind", Fate::Fact, (PLAIN, ""), &spaces);
    bodies.each("white space before", Fate::Fact, ("", PLAIN), &spaces);
}

/// Many of everything.
fn width(bodies: &mut Bodies) {
    let keys: Vec<String> = (0..50_000).map(|number| format!("\"k{number}\":0")).collect();
    let members = [
        ("50,000 keys", keys.join(",")),
        ("50,000 equal keys", repeated("\"x\":0", 50_000)),
        ("30,000 empty keys", repeated("\"\":{}", 30_000)),
    ];
    bodies.named("width", Fate::Fact, MEMBERS, members);
    bodies.named("width", Fate::Fact, ENVELOPE, [("50,000 keys in the envelope", keys.join(","))]);
    let values = [
        ("200,000 numbers", format!("[{}]", repeated("1", 200_000))),
        ("200,000 empty arrays", format!("[{}]", repeated("[]", 200_000))),
        ("200,000 empty objects", format!("[{}]", repeated("{}", 200_000))),
        ("100,000 empty strings", format!("[{}]", repeated("\"\"", 100_000))),
        ("100,000 nulls", format!("[{}]", repeated("null", 100_000))),
        ("60,000 escapes", format!("\"{}\"", "\\u0000".repeat(60_000))),
        ("60,000 lone surrogates", format!("\"{}\"", "\\ud800".repeat(60_000))),
    ];
    bodies.named("width", Fate::Fact, VALUE, values);
    let alone = format!("[{}]", repeated("1", 300_000));
    bodies.named("width", NOT_AN_OBJECT, BARE, [("300,000 numbers alone", alone)]);
}

/// With commas between.
fn repeated(text: &str, times: usize) -> String {
    vec![text; times].join(",")
}

/// Legal, and read in many ways; here the last one counts.
fn repeated_members(bodies: &mut Bodies) {
    bodies.words("repeated key", Fate::Fact, MEMBERS, r#" "x":1,"x":1 "x":1,"x":2 "x":{},"x":[],"x":null "#);
    let words = r#"
        "id":"other","id":"$TRACKING"
        "id":null,"id":"$TRACKING"
        "id":"other","\u0069d":"$TRACKING"
        "id":"x","id":null,"slug":"dhl","tracking_number":"$TRACKING"
        "tag":"a","tag":"b","id":"$TRACKING""#;
    bodies.words("repeated key", Fate::Fact, TRACKING, words);
    let words = r#" "id":"$TRACKING","id":null "id":"$TRACKING","id":"" "id":"$TRACKING","id":[] "#;
    bodies.words("repeated key", NO_TRACKING, TRACKING, words);
}

fn repeated_keys_of_the_envelope(bodies: &mut Bodies) {
    let words = r#"
        {"event_id":"$EVENT","msg":null,"msg":{"id":"$TRACKING"}}
        {"event_id":"$EVENT","msg":[1],"msg":{"id":"$TRACKING"},"x":1}
        {"event_id":"first","event_id":"$EVENT","msg":{"id":"$TRACKING"}}
        {"event_id":"$EVENT","event_id":null,"msg":{"id":"$TRACKING"}}
        {"event_id":"$EVENT","event":"a","event":7,"ts":1,"ts":"x","msg":{"id":"$TRACKING"}}"#;
    bodies.words("repeated key", Fate::Fact, BARE, words);
    let words = r#"
        {"event_id":"$EVENT","msg":{"id":"$TRACKING"},"msg":null}
        {"event_id":"$EVENT","msg":{"id":"$TRACKING"},"msg":{}}
        {"event_id":"$EVENT","msg":{"id":"$TRACKING"},"m\u0073g":"x"}"#;
    bodies.words("repeated key", NO_TRACKING, BARE, words);
}

fn keys(bodies: &mut Bodies) {
    let words = r#"
        "":1 "\u0000":1 "\n":1 "a.b":1,"a":{"b":2} "$ref":"$x" "0":1,"-1":2 "ID":"x","Id":"y","_id":"z""#;
    bodies.words("key", Fate::Fact, MEMBERS, words);
    bodies.each("key", Fate::Fact, MEMBERS, &["\" \":1", "\"id \":\"x\""]);
    let texts = [
        ("of 100,000 characters", format!("\"{}\":1", "k".repeat(100_000))),
        ("of 10,000 escaped characters", format!("\"{}\":1", "\\u0061".repeat(10_000))),
    ];
    bodies.named("key", Fate::Fact, MEMBERS, texts);
    // Escapes do not hide a key.
    let escaped = r#"{"event_id":"$EVENT","\u006d\u0073\u0067":{"\u0069\u0064":"$TRACKING"}}"#;
    bodies.add("key: msg in escapes", Fate::Fact, escaped);
}
