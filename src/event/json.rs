//! A strict JSON reader, shared by every stage that looks into a body.
//!
//! Why not a library: ready-made parsers disagree with each other, and with themselves between typed and untyped
//! reading, on duplicate keys, huge numbers, lone surrogates and depth. Here a body is read once, by one rule:
//! UTF-8, RFC 8259 grammar, at most [`DEPTH_MAX`] levels, numbers kept as their text, duplicate keys kept (the
//! last one counts). A lone surrogate (`"\ud800"`) is legal JSON that no UTF-8 string can hold: it reads as
//! U+FFFD and is reported. Memory is bounded by the input: at most one 32-byte node for every two bytes.

mod reader;

use std::borrow::Cow;

use reader::Reader;

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
    parse_levels(bytes, DEPTH_MAX)
}

/// Reads a whole text by the same rule, and keeps what is in the outermost levels only: objects and arrays below
/// them are checked and left empty. With 1 the members of the root are kept. Several times faster than [`parse`].
pub fn parse_levels(bytes: &[u8], levels: usize) -> Result<Document<'_>, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
    let mut reader = Reader::new(text);
    reader.levels_kept = levels;
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

#[cfg(test)]
mod tests;
