//! Rows as the text that Redshift's COPY reads with ESCAPE. Pure.
//!
//! It is not the text that PostgreSQL's COPY writes: behind a backslash Redshift takes the next character as it is, so
//! `\n` would become the letter n (Developer Guide, "Data conversion parameters", ESCAPE). PostgreSQL reads this text
//! as well.

use std::borrow::Cow;
use std::fmt::Write;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::warehouse::plan::Cell;

/// Stands for null. Not `\N`: by default Redshift takes an escaped `\N`, which is a text, for null too.
pub(super) const NULL: &str = "@NULL@";

/// Bytes that a text may have: what a varchar takes, in whole groups of base64.
pub(super) const TEXT_MAX: usize = 65_532;

/// Behind a text that was cut: a sign, and the hash of the whole in hex.
const MARK: usize = '…'.len_utf8() + 64;

/// Adds one row.
pub(super) fn write_row(text: &mut String, cells: &[Cell<'_>]) {
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            text.push('\t');
        }
        match cell {
            Cell::Null => text.push_str(NULL),
            Cell::Text(value) => write_text(text, value),
            Cell::Bool(value) => text.push(if *value { 't' } else { 'f' }),
            Cell::Instant(value) => text.push_str(&instant(*value)),
            // Writing to a string cannot fail.
            Cell::Int(value) => {
                let _ = write!(text, "{value}");
            }
            Cell::Day(value) => {
                let _ = write!(text, "{value}");
            }
        }
    }
    text.push('\n');
}

/// As a `timestamptz` is read without a format of its own: with a blank, and an offset.
fn instant(value: Timestamp) -> String {
    value.strftime("%Y-%m-%d %H:%M:%S.%6f+00").to_string()
}

fn write_text(text: &mut String, value: &str) {
    for character in fitting(value).chars() {
        if matches!(character, '\\' | '\t' | '\n' | '\r') {
            text.push('\\');
        }
        text.push(character);
    }
    // A text that looks like the sign for null becomes another one, rather than nothing.
    if value == NULL {
        text.push('\u{FFFD}');
    }
}

/// A text that is too long is cut, and ends in the hash of the whole: what differs stays different, and equal texts
/// stay equal, in whatever order they come.
fn fitting(value: &str) -> Cow<'_, str> {
    if value.len() <= TEXT_MAX {
        return Cow::Borrowed(value);
    }
    let end = (0..=TEXT_MAX - MARK).rev().find(|end| value.is_char_boundary(*end)).unwrap_or(0);
    Cow::Owned(format!("{}…{}", &value[..end], hex::encode(Sha256::digest(value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[Cell<'_>]) -> String {
        let mut text = String::new();
        write_row(&mut text, cells);
        text
    }

    #[test]
    fn what_copy_takes_for_its_own_is_behind_a_backslash_as_it_is() {
        let cells =
            [Cell::Null, Cell::Text("\\N"), Cell::Text("a\tb\nc\r\\."), Cell::Int(-1), Cell::Bool(true)];

        assert_eq!(row(&cells), "@NULL@\t\\\\N\ta\\\tb\\\nc\\\r\\\\.\t-1\tt\n");
    }

    #[test]
    fn a_text_that_looks_like_null_is_not_null() {
        assert_eq!(row(&[Cell::Text(NULL)]), "@NULL@\u{FFFD}\n");
        assert_eq!(row(&[Cell::Text("")]), "\n");
    }

    #[test]
    fn instants_have_an_offset() {
        let at: Timestamp = "2026-07-09T12:00:00.5Z".parse().expect("instant");

        assert_eq!(row(&[Cell::Instant(at)]), "2026-07-09 12:00:00.500000+00\n");
    }

    #[test]
    fn texts_that_are_too_long_stay_different_and_fit() {
        let (one, other) = ("é".repeat(40_000), format!("{}x", "é".repeat(40_000)));

        assert!(fitting(&one).len() <= TEXT_MAX && fitting(&other).len() <= TEXT_MAX);
        assert_ne!(fitting(&one), fitting(&other));
        assert_eq!(fitting(&"x".repeat(TEXT_MAX)).len(), TEXT_MAX);
    }
}
