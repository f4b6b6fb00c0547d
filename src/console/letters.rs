//! Which dead letters: what a form or a program asks for, and the letters themselves, with an end to the reading.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::event::format_instant;
use crate::lake::dead_letter::{self, DeadLetter, Filter, Listed};
use crate::replay::{self, Order};

use super::Console;
use super::fault::Fault;
use super::params::Params;

/// How long letters are read before a page gives up.
const READ_MAX: Duration = Duration::from_secs(20);
/// Longest reason, characters.
const REASON_MAX: usize = 500;
/// Fastest replay, letters a second.
const RATE_MAX: f64 = 10_000.0;

/// The conditions by which letters are chosen, as their keys are called everywhere.
pub(super) const CONDITIONS: [&str; 4] = ["id", "reason", "event", "since"];

/// What a form asks for; `prefix`: before the names of its fields.
pub(super) fn filter(params: &Params, prefix: &str, now: Timestamp) -> Result<Filter, Fault> {
    let conditions: Vec<String> = CONDITIONS
        .iter()
        .filter_map(|key| Some(format!("{key}={}", params.get(&format!("{prefix}{key}"))?)))
        .collect();
    Filter::parse(&conditions, now).map_err(|error| Fault::bad(error.to_string()))
}

/// Letters that a filter takes, newest first.
pub(super) async fn list(console: &Console, filter: &Filter, all: bool) -> Result<Vec<Listed>, Fault> {
    let lake = console.lake()?;
    let reading = dead_letter::list(lake.as_ref(), filter, all);
    let Ok(listed) = tokio::time::timeout(READ_MAX, reading).await else {
        return Err(Fault::slow("reading the dead letters"));
    };
    let mut listed = listed?;
    listed.sort_by(|a, b| (b.letter.received_at, &b.letter.id).cmp(&(a.letter.received_at, &a.letter.id)));
    Ok(listed)
}

/// The letter of that id, open or not.
pub(super) async fn find(console: &Console, id: &str) -> Result<Listed, Fault> {
    let filter = Filter { id: Some(id.to_owned()), ..Filter::default() };
    let listed = list(console, &filter, true).await?;
    listed.into_iter().next().ok_or_else(|| Fault::not_found("there is no dead letter of this id"))
}

/// The letters that an order means.
pub(super) async fn choose(console: &Console, order: &Order) -> Result<Vec<DeadLetter>, Fault> {
    let lake = console.lake()?;
    match tokio::time::timeout(READ_MAX, replay::choose(lake.as_ref(), order)).await {
        Ok(letters) => Ok(letters?),
        Err(_) => Err(Fault::slow("reading the dead letters")),
    }
}

/// Why something is done: asked of everybody who changes anything.
pub(super) fn reason(given: Option<&str>) -> Result<String, Fault> {
    let given = given.map(str::trim).filter(|reason| !reason.is_empty());
    let Some(reason) = given else {
        return Err(
            Fault::bad("a reason is needed").hint("say in a few words why; the audit record keeps it")
        );
    };
    if reason.chars().count() > REASON_MAX {
        return Err(Fault::bad(format!("the reason has more than {REASON_MAX} characters")));
    }
    Ok(reason.to_owned())
}

/// Letters a second, if there is to be a limit.
pub(super) fn rate(given: Option<f64>) -> Result<Option<f64>, Fault> {
    match given {
        Some(rate) if !(rate > 0.0 && rate <= RATE_MAX) => {
            Err(Fault::bad(format!("the rate must be more than 0 and at most {RATE_MAX} letters a second")))
        }
        given => Ok(given),
    }
}

/// A letter for programs: as the command prints it, and when and why it was closed.
pub(super) fn summary(listed: &Listed) -> Value {
    let mut summary = listed.summary();
    let closed = listed.closed.as_ref();
    summary["closed_at"] = closed.map(|closed| format_instant(closed.at)).into();
    summary["closed_because"] = closed.and_then(|closed| closed.reason.clone()).into();
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_some_words_and_no_book() {
        assert_eq!(reason(Some(" queue was stuck ")).expect("good"), "queue was stuck");
        for given in [None, Some(""), Some(" \t"), Some("x".repeat(501).as_str())] {
            assert_eq!(reason(given).expect_err("refused").code, "bad_request");
        }
    }

    #[test]
    fn a_rate_is_more_than_nothing() {
        assert_eq!(rate(None), Ok(None));
        assert_eq!(rate(Some(0.5)), Ok(Some(0.5)));
        for given in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(rate(Some(given)).is_err(), "{given}");
        }
    }

    #[test]
    fn fields_become_conditions() {
        let now = "2026-07-09T12:00:00Z".parse().expect("instant");

        let found = filter(&Params::read("where_reason=not_json&where_since=2h&reason=why"), "where_", now);

        let found = found.expect("good");
        assert_eq!(found.to_string(), "reason=not_json since=2026-07-09T10:00:00Z");
        assert!(filter(&Params::read("since=soon"), "", now).is_err());
    }
}
