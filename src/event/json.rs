//! A strict JSON reader, shared by every stage that looks into a body.
//!
//! Why not a library: ready-made parsers disagree with each other, and with themselves between typed and untyped
//! reading, on duplicate keys, huge numbers, lone surrogates and depth. Here a body is read once, by one rule:
//! UTF-8, RFC 8259 grammar, at most [`DEPTH_MAX`] levels, numbers kept as their text, duplicate keys kept (the
//! last one counts). A lone surrogate (`"\ud800"`) is legal JSON that no UTF-8 string can hold: it reads as
//! U+FFFD and is reported. Memory is bounded by the input: at most one 32-byte node for every two bytes.

use std::borrow::Cow;

/// Deepest nesting that we read.
pub const DEPTH_MAX: usize = 64;

/// One JSON value, borrowing from the text where it can.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as written.
    Number(&'a str),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object's pairs in their order, repeated keys included.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// A whole text, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Document<'a> {
    /// The value.
    pub root: Json<'a>,
    /// A string held a surrogate without its partner.
    pub has_lone_surrogate: bool,
    /// There is a line feed or carriage return between tokens.
    pub has_line_break: bool,
}

/// Why a text is not JSON by our rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// More than [`DEPTH_MAX`] levels.
    #[error("nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// Not JSON.
    #[error("not JSON at byte {offset}")]
    Syntax {
        /// Where reading stopped, bytes from the start.
        offset: usize,
    },
}

/// Reads a whole text.
pub fn parse(bytes: &[u8]) -> Result<Document<'_>, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
    let mut reader = Reader::new(text);
    reader.space();
    let root = reader.value(0)?;
    reader.space();
    if reader.at != text.len() {
        return Err(reader.fault());
    }
    Ok(Document {
        root,
        has_lone_surrogate: reader.has_lone_surrogate,
        has_line_break: reader.has_line_break,
    })
}

/// Reads a text that must be an object, and gives each member's value as its exact text beside it.
pub(crate) fn parse_members(bytes: &[u8]) -> Result<Vec<(Cow<'_, str>, &str)>, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
    let mut reader = Reader::new(text);
    let mut members = Vec::new();
    reader.space();
    reader.expect(b'{')?;
    reader.space();
    if reader.peek() == Some(b'}') {
        reader.at += 1;
    } else {
        loop {
            reader.space();
            let key = reader.string()?;
            reader.space();
            reader.expect(b':')?;
            reader.space();
            let start = reader.at;
            reader.skip()?;
            let value = text.get(start..reader.at).ok_or(reader.fault())?;
            members.push((key, value));
            reader.space();
            match reader.take() {
                Some(b',') => {}
                Some(b'}') => break,
                _ => return Err(reader.fault()),
            }
        }
    }
    reader.space();
    if reader.at != text.len() {
        return Err(reader.fault());
    }
    Ok(members)
}

impl<'a> Json<'a> {
    /// The last member of that name; `None` when there is none, when it is `null`, or when this is no object.
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        self.as_object()?
            .iter()
            .rev()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
            .filter(|value| !value.is_null())
    }

    /// A string's text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// A number's text.
    pub fn as_number(&self) -> Option<&'a str> {
        match self {
            Json::Number(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number in 64 bits; `3.0` and `3e0` count as whole.
    pub fn as_i64(&self) -> Option<i64> {
        let text = self.as_number()?;
        text.parse().ok().or_else(|| {
            let float: f64 = text.parse().ok()?;
            // Above 2^53 a float no longer tells which whole number was meant.
            (float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0).then_some(float as i64)
        })
    }

    /// A boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Json::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// An array's values.
    pub fn as_array(&self) -> Option<&[Json<'a>]> {
        match self {
            Json::Array(values) => Some(values),
            _ => None,
        }
    }

    /// An object's pairs.
    pub fn as_object(&self) -> Option<&[(Cow<'a, str>, Json<'a>)]> {
        match self {
            Json::Object(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// `null`
    pub fn is_null(&self) -> bool {
        matches!(self, Json::Null)
    }
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    has_lone_surrogate: bool,
    has_line_break: bool,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Reader { text, bytes: text.as_bytes(), at: 0, has_lone_surrogate: false, has_line_break: false }
    }

    fn fault(&self) -> JsonError {
        JsonError::Syntax { offset: self.at.min(self.bytes.len()) }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek();
        self.at += 1;
        byte
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.fault());
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), JsonError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault());
        }
        self.at += word.len();
        Ok(())
    }

    fn space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = self.peek() {
            self.has_line_break |= byte == b'\n' || byte == b'\r';
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        match self.peek() {
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => self.string().map(Json::String),
            Some(b't') => self.word("true").map(|()| Json::Bool(true)),
            Some(b'f') => self.word("false").map(|()| Json::Bool(false)),
            Some(b'n') => self.word("null").map(|()| Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number().map(Json::Number),
            _ => Err(self.fault()),
        }
    }

    /// Passes over a value by its brackets and quotes alone: whoever needs what is inside reads it properly.
    fn skip(&mut self) -> Result<(), JsonError> {
        if !matches!(self.peek(), Some(b'{' | b'[')) {
            return self.value(0).map(|_| ());
        }
        let mut open = 0usize;
        while let Some(byte) = self.take() {
            match byte {
                b'{' | b'[' => open += 1,
                b'}' | b']' => {
                    open -= 1;
                    if open == 0 {
                        return Ok(());
                    }
                }
                b'"' => self.skip_string()?,
                _ => {}
            }
        }
        Err(self.fault())
    }

    /// Passes over the rest of a string whose opening quote is behind us.
    fn skip_string(&mut self) -> Result<(), JsonError> {
        while let Some(byte) = self.take() {
            match byte {
                b'"' => return Ok(()),
                b'\\' => self.at += 1,
                _ => {}
            }
        }
        Err(self.fault())
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        if depth > DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        self.at += 1;
        let mut pairs = Vec::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(pairs));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.space();
            self.expect(b':')?;
            self.space();
            let value = self.value(depth)?;
            pairs.push((key, value));
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Json::Object(pairs));
                }
                _ => return Err(self.fault()),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        if depth > DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        self.at += 1;
        let mut values = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(values));
        }
        loop {
            self.space();
            values.push(self.value(depth)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Json::Array(values));
                }
                _ => return Err(self.fault()),
            }
        }
    }

    fn number(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.fault()),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.fault()) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.expect(b'"')?;
        let mut start = self.at;
        let mut unescaped: Option<String> = None;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let rest = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(match unescaped {
                        None => Cow::Borrowed(rest),
                        Some(text) => Cow::Owned(text + rest),
                    });
                }
                Some(b'\\') => {
                    let text = unescaped.get_or_insert_with(String::new);
                    text.push_str(&self.text[start..self.at]);
                    self.at += 1;
                    let character = self.escape()?;
                    unescaped.get_or_insert_with(String::new).push(character);
                    start = self.at;
                }
                Some(0..=0x1F) | None => return Err(self.fault()),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let byte = self.peek();
        let character = match byte {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{C}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.fault()),
        };
        self.at += 1;
        Ok(character)
    }

    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let first = self.hex4()?;
        if let Some(character) = char::from_u32(first) {
            return Ok(character);
        }
        // A high surrogate counts with the low one right behind it; alone, either is a lone surrogate.
        let is_high = (0xD800..0xDC00).contains(&first);
        if is_high && self.bytes[self.at..].starts_with(b"\\u") {
            let rewind = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xDC00..0xE000).contains(&second) {
                let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return char::from_u32(code).ok_or(self.fault());
            }
            self.at = rewind;
        }
        self.has_lone_surrogate = true;
        Ok('\u{FFFD}')
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(self.fault())?;
        let mut code = 0;
        for digit in digits {
            let value = char::from(*digit).to_digit(16).ok_or(self.fault())?;
            code = code * 16 + value;
        }
        self.at += 4;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
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
        fn what_serde_writes_reads_back(text in ".{0,40}", number in any::<i64>()) {
            let written = serde_json::json!({ "text": text, "number": number }).to_string();
            let read = parse(written.as_bytes()).expect("serde writes JSON");

            prop_assert_eq!(read.root.get("text").and_then(Json::as_str), Some(text.as_str()));
            prop_assert_eq!(read.root.get("number").and_then(Json::as_i64), Some(number));
        }
    }
}
