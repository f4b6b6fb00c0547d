//! What an answer says beside its trackings: how much more may be asked, and what was wrong.

use std::time::Duration;

use jiff::Timestamp;

use crate::event::json;

use super::super::webhook;

/// A refused request waits at least so long: AfterShip counts by the second.
const REFUSED_MIN: Duration = Duration::from_secs(1);

/// A number from here on is an instant, in seconds since 1970; below it is a time from now.
const INSTANT_MIN: f64 = 1e9;
/// A number from here on is one in milliseconds.
const MILLIS_MIN: f64 = 1e12;
/// And from here on none that anybody means.
const MILLIS_MAX: f64 = 1e14;

/// Most characters of AfterShip's words that we pass on.
const MESSAGE_CHARS_MAX: usize = 200;

/// How much more may be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests left until `reset_at`.
    pub remaining: Option<u64>,
    /// When requests count from nothing again.
    pub reset_at: Option<Timestamp>,
}

impl RateLimit {
    /// Reads `X-RateLimit-*`, as Tracking sends them, and `ratelimit-*` with `retry-after`, as AfterShip's other products
    /// do. `header` looks one up by its name in lower case; `now`: by the clock of who answered.
    pub fn read<'a>(header: impl Fn(&str) -> Option<&'a str>, now: Timestamp) -> RateLimit {
        let remaining = ["x-ratelimit-remaining", "ratelimit-remaining"];
        let resets = ["x-ratelimit-reset", "ratelimit-reset", "retry-after"];
        RateLimit {
            remaining: remaining.into_iter().find_map(|name| header(name)?.trim().parse().ok()),
            reset_at: resets.into_iter().filter_map(|name| reset(header(name)?, now)).max(),
        }
    }

    /// How long to ask for nothing. `is_refused`: the answer was a 429. Without one only a limit that lasts is waited for
    /// (of calls a day, say): within the second it is enough to go on at one's own pace.
    pub fn pause(&self, is_refused: bool, now: Timestamp) -> Duration {
        let millis = self.reset_at.map_or(0, |at| at.as_millisecond().saturating_sub(now.as_millisecond()));
        let until_reset = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
        if is_refused {
            return until_reset.max(REFUSED_MIN);
        }
        if self.remaining == Some(0) && until_reset > REFUSED_MIN { until_reset } else { Duration::ZERO }
    }
}

/// An instant, or a time from now; in seconds, or as a date.
fn reset(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    let Ok(number) = text.parse::<f64>() else { return http_date(text) };
    let millis = if number >= MILLIS_MIN {
        number
    } else if number >= INSTANT_MIN {
        number * 1e3
    } else {
        now.as_millisecond() as f64 + number.max(0.0) * 1e3
    };
    if !(0.0..MILLIS_MAX).contains(&millis) {
        return None;
    }
    Timestamp::from_millisecond(millis as i64).ok()
}

/// An instant as HTTP writes it: `Thu, 09 Jul 2026 12:00:00 GMT`.
pub fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text.trim()).ok().map(|date| date.timestamp())
}

/// Why AfterShip did not answer the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiFault {
    /// HTTP's status.
    pub status: u16,
    /// AfterShip's finer code, `meta.code`.
    pub code: Option<i64>,
    /// Its kind, `meta.type`.
    pub kind: Option<String>,
    /// AfterShip's words, one line.
    pub message: Option<String>,
}

/// Reads an answer that is no success. Gateways in front of AfterShip answer with HTML: then the status is all there is.
pub fn fault(status: u16, body: &[u8]) -> ApiFault {
    let document = json::parse(body).ok();
    let meta = document.as_ref().and_then(|document| document.root.get("meta"));
    let text =
        |name| meta.and_then(|meta| meta.get(name)).and_then(webhook::text).map(|text| one_line(&text));
    ApiFault {
        status,
        code: meta.and_then(|meta| meta.get("code")).and_then(webhook::whole_number),
        kind: text("type"),
        message: text("message"),
    }
}

fn one_line(text: &str) -> String {
    let letters = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    letters.take(MESSAGE_CHARS_MAX).collect()
}
