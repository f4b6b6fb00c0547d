//! Numbers, times and stretches of time as people read them. Pure.

use std::fmt::Display;

use jiff::Timestamp;

use super::html::{Markup, put};
use crate::event::format_instant;

/// A whole number with its thousands set apart: `12 345`.
pub(super) fn whole(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            // A narrow space that does not break.
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A measured number: as exact as it is small.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let sign = if value < 0.0 { "−" } else { "" };
    let size = value.abs();
    if size >= 100.0 || size.fract() == 0.0 {
        // Far below what a double holds exactly.
        return format!("{sign}{}", whole(size.round().min(9e15) as u64));
    }
    let places = if size >= 10.0 { 1 } else { 2 };
    format!("{sign}{size:.places$}")
}

/// A number that may not be known.
pub(super) fn maybe(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), number)
}

/// Seconds as people say them.
pub(super) fn seconds(value: f64) -> String {
    let size = value.max(0.0);
    match size {
        _ if !value.is_finite() => "–".to_owned(),
        _ if size < 0.000_5 => "0 s".to_owned(),
        _ if size < 1.0 => format!("{:.0} ms", size * 1_000.0),
        _ if size < 10.0 => format!("{size:.1} s"),
        _ if size < 120.0 => format!("{size:.0} s"),
        _ if size < 7_200.0 => format!("{:.0} min", size / 60.0),
        _ if size < 172_800.0 => format!("{:.0} h", size / 3_600.0),
        _ => format!("{:.0} d", size / 86_400.0),
    }
}

/// Seconds that may not be known.
pub(super) fn maybe_seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), seconds)
}

/// How long ago, in words.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", seconds(now.duration_since(at).as_secs_f64()))
}

/// An instant to the second, as an element that machines read whole.
pub(super) fn stamp(at: Timestamp) -> Markup {
    let mut out = Markup::new();
    put!(out, "<time datetime=\"", { format_instant(at) }, "\">");
    put!(out, { at.strftime("%Y-%m-%d %H:%M:%S") }, "</time>");
    out
}

/// An instant that may not be known.
pub(super) fn maybe_stamp(at: Option<Timestamp>) -> Markup {
    at.map_or_else(Markup::new, stamp)
}

/// Money, or anything with two decimals.
pub(super) fn money(value: f64) -> String {
    let cents = (value.abs() * 100.0).round().min(9e15) as u64;
    format!("{}{}.{:02}", if value < 0.0 { "−" } else { "" }, whole(cents / 100), cents % 100)
}

/// `1 letter`, `2 letters`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", whole(number as u64), if number == 1 { one } else { many })
}

/// Bytes in the unit that fits.
pub(super) fn bytes(size: u64) -> String {
    match size {
        0..=1_023 => format!("{size} B"),
        1_024..=1_048_575 => format!("{:.1} KiB", size as f64 / 1_024.0),
        _ => format!("{:.1} MiB", size as f64 / 1_048_576.0),
    }
}

/// A text cut to so many characters.
pub(super) fn short(text: &str, letters_max: usize) -> String {
    if text.chars().count() <= letters_max {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(letters_max.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// What a word of ours is called on a page: `not_json` is "not json".
pub(super) fn spaced(word: &dyn Display) -> String {
    word.to_string().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(whole(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(
            [number(0.0), number(0.123), number(12.34), number(1234.5)].join(" "),
            "0 0.12 12.3 1\u{202f}235"
        );
        assert_eq!(number(-2.5), "−2.50");
        assert_eq!(money(1234.5), "1\u{202f}234.50");
    }

    #[test]
    fn stretches_of_time_have_one_unit() {
        let said: Vec<String> =
            [0.0, 0.25, 2.14, 59.0, 300.0, 9_000.0, 200_000.0].into_iter().map(seconds).collect();

        assert_eq!(said, ["0 s", "250 ms", "2.1 s", "59 s", "5 min", "2 h", "2 d"]);
    }

    #[test]
    fn an_instant_is_whole_for_machines_and_short_for_people() {
        let at = "2026-07-09T12:00:05.25Z".parse().expect("instant");

        assert_eq!(
            stamp(at).into_string(),
            "<time datetime=\"2026-07-09T12:00:05.250000Z\">2026-07-09 12:00:05</time>"
        );
    }
}
