//! One field as a value, or why it is none. Strict: what is written back must be what came.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::contract::{Column, ColumnKind, Contract};
use super::csv::Field;
use super::reason::LineReason;

/// A value on its way into the warehouse.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// Whole number.
    Int(i64),
    /// Money, in hundredths.
    Cents(i64),
    /// Text.
    Text(Cow<'a, str>),
    /// The shop's own clock, written as if it were UTC.
    Clock(Timestamp),
}

/// Reads a field as its column says.
pub(super) fn value<'a>(
    contract: &Contract,
    column: &Column,
    field: &Field<'a>,
) -> Result<Value<'a>, (LineReason, String)> {
    let text = field.text.as_ref();
    if text == contract.null {
        return if column.may_be_null {
            Ok(Value::Null)
        } else {
            Err((LineReason::Missing, format!("{} has no value", column.name)))
        };
    }
    match column.kind {
        ColumnKind::Text => {
            let limit = column.chars_max.unwrap_or(usize::MAX);
            if text.len() > limit && text.chars().count() > limit {
                return Err((
                    LineReason::TextTooLong,
                    format!("{} is longer than {limit} characters", column.name),
                ));
            }
            Ok(Value::Text(field.text.clone()))
        }
        ColumnKind::Integer | ColumnKind::Bigint => {
            let number = integer(text).ok_or_else(|| {
                (
                    LineReason::NotAnInteger,
                    format!("{} is not a whole number: `{}`", column.name, shown(text)),
                )
            })?;
            let (least, most) = match column.kind {
                ColumnKind::Integer => (i64::from(i32::MIN), i64::from(i32::MAX)),
                _ => (i64::MIN, i64::MAX),
            };
            within(
                column,
                number,
                column.min.unwrap_or(least).max(least),
                column.max.unwrap_or(most).min(most),
            )?;
            Ok(Value::Int(number))
        }
        ColumnKind::Money => {
            let cents = money(text).map_err(|reason| {
                let what = match reason {
                    LineReason::TooPrecise => "has more than two decimals",
                    _ => "is not an amount such as 129.99",
                };
                (reason, format!("{} {what}: `{}`", column.name, shown(text)))
            })?;
            let units = cents / 100;
            if column.min.is_some_and(|min| cents < min * 100)
                || column.max.is_some_and(|max| cents > max * 100)
            {
                within(column, units, column.min.unwrap_or(i64::MIN), column.max.unwrap_or(i64::MAX))?;
                return Err((
                    LineReason::OutOfRange,
                    format!("{} is out of range: `{}`", column.name, shown(text)),
                ));
            }
            Ok(Value::Cents(cents))
        }
        ColumnKind::Timestamp => {
            let clock = clock(text).map_err(|reason| {
                let what = match reason {
                    LineReason::TimestampWithOffset => {
                        "has an offset; the shop's own clock is meant, without a zone"
                    }
                    _ => "is not a time such as 2026-07-09 12:34:56",
                };
                (reason, format!("{} {what}: `{}`", column.name, shown(text)))
            })?;
            let year = i64::from(clock.year());
            let least = i64::from(column.year_min.unwrap_or(i16::MIN));
            let most = i64::from(column.year_max.unwrap_or(i16::MAX));
            if year < least || year > most {
                let detail = format!("{} is in the year {year}, not from {least} to {most}", column.name);
                return Err((LineReason::OutOfRange, detail));
            }
            match TimeZone::UTC.to_timestamp(clock) {
                Ok(instant) => Ok(Value::Clock(crate::event::truncate_to_micros(instant))),
                Err(_) => Err((LineReason::OutOfRange, format!("{} is no time we can hold", column.name))),
            }
        }
    }
}

fn within(column: &Column, number: i64, least: i64, most: i64) -> Result<(), (LineReason, String)> {
    if number < least {
        return Err((LineReason::OutOfRange, format!("{} is {number}, less than {least}", column.name)));
    }
    if number > most {
        return Err((LineReason::OutOfRange, format!("{} is {number}, more than {most}", column.name)));
    }
    Ok(())
}

/// Short enough for a message. Values of the columns that it is used for are no personal data.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Digits with an optional minus; no plus, no spaces, no leading zeros: what is written back must be what came.
fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_canonical = !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits.len() == 1 || !digits.starts_with('0'))
        && text != "-0";
    if is_canonical { text.parse().ok() } else { None }
}

/// In hundredths.
pub(super) fn money(text: &str) -> Result<i64, LineReason> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = !whole.is_empty()
        && whole.len() <= 10
        && whole.bytes().chain(decimals.bytes()).all(|byte| byte.is_ascii_digit())
        && !digits.ends_with('.');
    if !is_number {
        return Err(LineReason::NotMoney);
    }
    let (counted, beyond) = decimals.split_at(decimals.len().min(2));
    if beyond.bytes().any(|byte| byte != b'0') {
        return Err(LineReason::TooPrecise);
    }
    let mut cents: i64 = 0;
    for byte in whole.bytes().chain(counted.bytes()) {
        cents = cents * 10 + i64::from(byte - b'0');
    }
    for _ in counted.len()..2 {
        cents *= 10;
    }
    Ok(if is_negative { -cents } else { cents })
}

/// `YYYY-MM-DD`, or with ` ` or `T`, `HH:MM:SS` and up to nine decimals.
fn clock(text: &str) -> Result<DateTime, LineReason> {
    let bytes = text.as_bytes();
    if !bytes.is_ascii() {
        return Err(LineReason::NotATimestamp);
    }
    let number = |from: usize, to: usize| -> Option<i32> {
        let part = bytes.get(from..to)?;
        if !part.iter().all(u8::is_ascii_digit) {
            return None;
        }
        Some(part.iter().fold(0, |number, byte| number * 10 + i32::from(byte - b'0')))
    };
    let small = |from: usize, to: usize| number(from, to).and_then(|number| i8::try_from(number).ok());
    let read = || -> Option<(DateTime, usize)> {
        let year = i16::try_from(number(0, 4)?).ok()?;
        let (month, day) = (small(5, 7)?, small(8, 10)?);
        if bytes[4] != b'-' || bytes[7] != b'-' {
            return None;
        }
        if bytes.len() == 10 {
            return Some((DateTime::new(year, month, day, 0, 0, 0, 0).ok()?, 10));
        }
        let is_time =
            matches!(bytes[10], b' ' | b'T') && bytes.get(13) == Some(&b':') && bytes.get(16) == Some(&b':');
        if !is_time {
            return None;
        }
        let (hour, minute, second) = (small(11, 13)?, small(14, 16)?, small(17, 19)?);
        let mut end = 19;
        let mut nanos = 0;
        if bytes.get(19) == Some(&b'.') {
            let decimals = bytes[20..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            if decimals == 0 || decimals > 9 {
                return None;
            }
            end = 20 + decimals;
            nanos = number(20, end)? * 10_i32.pow(u32::try_from(9 - decimals).ok()?);
        }
        Some((DateTime::new(year, month, day, hour, minute, second, nanos).ok()?, end))
    };
    let (clock, end) = read().ok_or(LineReason::NotATimestamp)?;
    match bytes.get(end) {
        None => Ok(clock),
        Some(b'Z' | b'z' | b'+' | b'-') => Err(LineReason::TimestampWithOffset),
        Some(_) => Err(LineReason::NotATimestamp),
    }
}
