//! AfterShip's three kinds of time: a date, a local time without offset, a time with offset; often in one field.
//!
//! Only the last is an instant. The meaning of a time without offset is not stable (the courier's zone, the
//! recipient's, UTC), so it stays a text.

use jiff::Timestamp;

use crate::event::{is_plausible, truncate_to_micros};

/// `ts` has ten digits; anything else is another unit, or broken.
const TS_MIN: i64 = 1_000_000_000;
const TS_MAX: i64 = 9_999_999_999;

/// The instant a text means, in whole microseconds: only for an ISO 8601 date and time with an offset or `Z`, of a
/// year from 1900 to 9998.
pub fn parse_instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    // A zone's name in brackets would need a zone table to hold against the offset; AfterShip writes none.
    if text.ends_with(']') {
        return None;
    }
    let instant: Timestamp = text.parse().ok()?;
    is_plausible(instant).then(|| truncate_to_micros(instant))
}

/// The instant of an envelope's `ts`, when it can be one.
pub fn instant_of_ts(ts: i64) -> Option<Timestamp> {
    if !(TS_MIN..=TS_MAX).contains(&ts) {
        return None;
    }
    Timestamp::from_second(ts).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::event::format_instant;

    use super::*;

    #[test]
    fn a_text_with_an_offset_is_an_instant() {
        for (text, expected) in [
            ("2018-07-31T10:33:00-04:00", "2018-07-31T14:33:00.000000Z"),
            ("2018-07-25T10:10:00+09:00", "2018-07-25T01:10:00.000000Z"),
            ("2021-01-02T08:52:54Z", "2021-01-02T08:52:54.000000Z"),
            ("2023-01-18T08:47:10+00:00", "2023-01-18T08:47:10.000000Z"),
            ("2023-01-18T08:47:10.1234567+00:00", "2023-01-18T08:47:10.123456Z"),
            (" 2023-01-18T08:47:10+05:30 ", "2023-01-18T03:17:10.000000Z"),
            ("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(parse_instant(text).map(format_instant).as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn a_text_without_an_offset_is_none() {
        for text in [
            "2021-01-14T00:52:00",
            "2022-01-20",
            "2022-01-20T00:00:00",
            "20220101",
            "2018-08-01 17:19:47",
            "",
            "null",
            "soon",
            "Delivered",
            "1712741696",
        ] {
            assert_eq!(parse_instant(text), None, "{text:?}");
        }
    }

    #[test]
    fn absurd_dates_are_none() {
        for text in [
            "9999-12-31T23:59:59Z",
            "9999-99-99T00:00:00Z",
            "0000-00-00T00:00:00Z",
            "0001-01-01T00:00:00+00:00",
            "2026-02-30T00:00:00Z",
            "2026-02-28T25:00:00Z",
            "+262143-01-01T00:00:00Z",
            "-009999-01-01T00:00:00Z",
            "2026-02-28T10:00:00+99:99",
        ] {
            assert_eq!(parse_instant(text), None, "{text:?}");
        }
    }

    #[test]
    fn ts_counts_only_as_seconds() {
        assert_eq!(
            instant_of_ts(1_712_741_696).map(format_instant).as_deref(),
            Some("2024-04-10T09:34:56.000000Z")
        );
        for ts in [0, -1, 1, 999_999_999, 10_000_000_000, 1_712_741_696_000, i64::MIN, i64::MAX] {
            assert_eq!(instant_of_ts(ts), None, "{ts}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = parse_instant(&text);
        }

        #[test]
        fn nothing_like_a_time_makes_it_panic(text in r"[+-]?[0-9]{1,9}-[0-9]{1,3}-[0-9]{1,3}[T ][0-9:.,]{0,20}[Zz+-]?[0-9:]{0,8}") {
            let _ = parse_instant(&text);
        }
    }
}
