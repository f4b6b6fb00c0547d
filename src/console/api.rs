//! The admin API: what the pages show and do, for programs. `openapi/waybill.yaml` describes every answer.
//!
//! Every call needs the bearer token. One that changes anything also needs a reason, and is refused when a browser says
//! that another site's page made it.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::lake::dead_letter::Filter;
use crate::replay::Order;

use super::fault::Fault;
use super::params::Params;
use super::preview::preview;
use super::session::{self, Actor};
use super::sign_in::foreign;
use super::{Console, dead_letters, letters, loads, overview, reconciliation, replays, search};

/// Letters in one answer.
const LETTERS_MAX: usize = 100;
/// Letters that one order may mean, unless it says less.
const ORDER_MAX: usize = 1_000_000;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/api/v1/pipeline", get(pipeline))
        .route("/api/v1/dead-letters", get(list))
        .route("/api/v1/dead-letters/replay", post(replay))
        .route("/api/v1/dead-letters/drop", post(drop_letters))
        .route("/api/v1/dead-letters/job", get(job).delete(cancel))
        .route("/api/v1/dead-letters/{id}", get(letter))
        .route("/api/v1/audit", get(audit))
        .route("/api/v1/trackings", get(trackings))
        .route("/api/v1/loads", get(loads))
        .route("/api/v1/reconciliation", get(reconciliation))
}

/// What there is to say, or why not.
fn answer(found: Result<Value, Fault>) -> Response {
    match found {
        Ok(value) => Json(value).into_response(),
        Err(fault) => fault.into_json(),
    }
}

/// Who may read.
fn reads(console: &Console, headers: &HeaderMap) -> Result<(), Fault> {
    if console.is_open(headers) {
        return Ok(());
    }
    Err(Fault::new(StatusCode::UNAUTHORIZED, "unauthorized", "the bearer token is missing or wrong"))
}

/// Who may act.
fn acts(console: &Console, headers: &HeaderMap) -> Result<(), Fault> {
    reads(console, headers)?;
    if session::is_foreign(headers) { Err(foreign()) } else { Ok(()) }
}

async fn pipeline(State(console): State<Console>, headers: HeaderMap) -> Response {
    answer(reads(&console, &headers).map(|()| overview::json(&console)))
}

async fn list(State(console): State<Console>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let params = Params::of(query.as_deref());
    answer(match reads(&console, &headers) {
        Ok(()) => listed(&console, &params).await,
        Err(fault) => Err(fault),
    })
}

async fn listed(console: &Console, params: &Params) -> Result<Value, Fault> {
    known(params.names(), &["id", "reason", "event", "since", "all", "page"])?;
    let filter = letters::filter(params, "", Timestamp::now())?;
    let all = match params.get("all") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Fault::bad("`all` must be true or false")),
    };
    let page = page(params)?;
    let listed = letters::list(console, &filter, all).await?;
    let first = page.saturating_mul(LETTERS_MAX);
    let letters: Vec<Value> = listed.iter().skip(first).take(LETTERS_MAX).map(letters::summary).collect();
    let has_more = listed.len() > first.saturating_add(LETTERS_MAX);
    Ok(json!({ "count": listed.len(), "page": page, "has_more": has_more, "letters": letters }))
}

fn page(params: &Params) -> Result<usize, Fault> {
    match params.get("page") {
        None => Ok(0),
        Some(text) => text
            .parse()
            .ok()
            .filter(|page| *page <= 10_000)
            .ok_or_else(|| Fault::bad("`page` must be a whole number from 0 to 10000")),
    }
}

/// A name that nobody knows is a mistake, and would widen what is meant.
fn known<'a>(names: impl Iterator<Item = &'a str>, allowed: &[&str]) -> Result<(), Fault> {
    for name in names {
        if !allowed.contains(&name) {
            return Err(Fault::bad(format!("an unknown name is given: use {}", allowed.join(", "))));
        }
    }
    Ok(())
}

async fn letter(State(console): State<Console>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    answer(match reads(&console, &headers) {
        Ok(()) => letters::find(&console, &id).await.map(|listed| letters::summary(&listed)),
        Err(fault) => Err(fault),
    })
}

async fn audit(State(console): State<Console>, headers: HeaderMap) -> Response {
    answer(match reads(&console, &headers) {
        Ok(()) => dead_letters::trail_json(&console).await,
        Err(fault) => Err(fault),
    })
}

async fn trackings(
    State(console): State<Console>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let params = Params::of(query.as_deref());
    answer(match (reads(&console, &headers), params.get("find")) {
        (Err(fault), _) => Err(fault),
        (Ok(()), None) => Err(Fault::bad("`find` is needed: a tracking number, order or event id")),
        (Ok(()), Some(find)) => search::json(&console, find).await,
    })
}

async fn loads(State(console): State<Console>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let params = Params::of(query.as_deref());
    let checked = reads(&console, &headers)
        .and_then(|()| known(params.names(), &["dataset", "status", "file", "page"]))
        .and_then(|()| page(&params));
    answer(match checked {
        Ok(_) => loads::json(&console, &params).await,
        Err(fault) => Err(fault),
    })
}

async fn reconciliation(
    State(console): State<Console>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let params = Params::of(query.as_deref());
    answer(match reads(&console, &headers) {
        Ok(()) => reconciliation::compare(&console, params.get("since")).await.map(|report| json!(*report)),
        Err(fault) => Err(fault),
    })
}

/// What an order for programs says.
struct Ask {
    order: Order,
    is_dry: bool,
}

impl Ask {
    /// Read by hand: serde by itself also takes an array for a struct, and a mistyped name for none.
    fn read(body: &[u8], now: Timestamp) -> Result<Ask, Fault> {
        let asked: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|error| Fault::bad(format!("cannot read the request: {error}")))?;
        known(asked.keys().map(String::as_str), &["where", "limit", "rate", "dry_run", "reason"])?;
        let is_dry = match asked.get("dry_run") {
            None => false,
            Some(Value::Bool(is_dry)) => *is_dry,
            Some(_) => return Err(Fault::bad("`dry_run` must be true or false")),
        };
        let limit = match asked.get("limit") {
            None | Some(Value::Null) => None,
            Some(limit) => {
                let limit = limit.as_u64().and_then(|limit| usize::try_from(limit).ok());
                Some(limit.filter(|limit| (1..=ORDER_MAX).contains(limit)).ok_or_else(|| {
                    Fault::bad(format!("`limit` must be a whole number from 1 to {ORDER_MAX}"))
                })?)
            }
        };
        let rate = match asked.get("rate") {
            None | Some(Value::Null) => None,
            Some(rate) => Some(rate.as_f64().ok_or_else(|| Fault::bad("`rate` must be a number"))?),
        };
        let reason = match asked.get("reason") {
            None | Some(Value::Null) => None,
            Some(Value::String(reason)) => Some(reason.as_str()),
            Some(_) => return Err(Fault::bad("`reason` must be a text")),
        };
        // Looking changes nothing and needs none; what is given is checked all the same.
        let is_without = is_dry && reason.is_none_or(|reason| reason.trim().is_empty());
        let reason = if is_without { None } else { Some(letters::reason(reason)?) };
        let order = Order {
            filter: conditions(asked.get("where"), now)?,
            limit,
            rate: letters::rate(rate)?,
            reason,
            who: Some(Actor::Token.who()),
        };
        Ok(Ask { order, is_dry })
    }
}

fn conditions(given: Option<&Value>, now: Timestamp) -> Result<Filter, Fault> {
    let given = match given {
        None | Some(Value::Null) => return Ok(Filter::default()),
        Some(Value::Object(given)) => given,
        Some(_) => return Err(Fault::bad("`where` must be an object with id, reason, event, since")),
    };
    let mut conditions = Vec::with_capacity(given.len());
    known(given.keys().map(String::as_str), &["id", "reason", "event", "since"])?;
    for (key, value) in given {
        let Value::String(value) = value else {
            return Err(Fault::bad("each condition in `where` must be a text"));
        };
        conditions.push(format!("{key}={value}"));
    }
    Filter::parse(&conditions, now).map_err(|error| Fault::bad(error.to_string()))
}

async fn replay(
    State(console): State<Console>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    deed(&console, &headers, body, true).await
}

async fn drop_letters(
    State(console): State<Console>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    deed(&console, &headers, body, false).await
}

async fn deed(
    console: &Console,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    is_replay: bool,
) -> Response {
    match done(console, headers, body, is_replay).await {
        Ok((status, value)) => (status, Json(value)).into_response(),
        Err(fault) => fault.into_json(),
    }
}

async fn done(
    console: &Console,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    is_replay: bool,
) -> Result<(StatusCode, Value), Fault> {
    acts(console, headers)?;
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the request is larger than 64 KiB")
        }
        _ => Fault::bad("the request's body broke off"),
    })?;
    let Ask { order, is_dry } = Ask::read(&body, Timestamp::now())?;
    let letters = letters::choose(console, &order).await?;
    if is_dry {
        let value = if is_replay {
            json!({ "dry_run": true, "chosen": letters.len(), "preview": preview(console, &letters).await?.to_json() })
        } else {
            json!({ "dry_run": true, "chosen": letters.len(), "preview": null })
        };
        return Ok((StatusCode::OK, value));
    }
    let job = replays::begin(console, is_replay, letters, order)?;
    Ok((StatusCode::ACCEPTED, job.to_json()))
}

async fn job(State(console): State<Console>, headers: HeaderMap) -> Response {
    answer(reads(&console, &headers).and_then(|()| {
        let last = console.jobs().last();
        last.map(|job| job.to_json()).ok_or_else(|| Fault::not_found("nothing was replayed or dropped yet"))
    }))
}

async fn cancel(State(console): State<Console>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let params = Params::of(query.as_deref());
    let checked = acts(&console, &headers).and_then(|()| letters::reason(params.get("reason")));
    answer(match checked {
        Ok(reason) => {
            let stopped = replays::stop(&console, Actor::Token.who(), reason).await;
            stopped.map(|job| job.to_json())
        }
        Err(fault) => Err(fault),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Ask, Fault> {
        Ask::read(body.as_bytes(), "2026-07-09T12:00:00Z".parse().expect("instant"))
    }

    #[test]
    fn an_order_is_read() {
        let ask = read(
            r#"{"where":{"reason":"not_json","since":"2h"},"limit":5,"rate":0.5,"reason":" mended ","dry_run":false}"#,
        )
        .expect("good");

        assert_eq!(ask.order.filter.to_string(), "reason=not_json since=2026-07-09T10:00:00Z");
        assert_eq!((ask.order.limit, ask.order.rate, ask.is_dry), (Some(5), Some(0.5), false));
        assert_eq!((ask.order.reason.as_deref(), ask.order.who.as_deref()), (Some("mended"), Some("api")));
    }

    #[test]
    fn looking_needs_no_reason_and_doing_does() {
        assert!(read(r#"{"dry_run":true}"#).expect("good").is_dry);
        assert_eq!(read("{}").err().map(|fault| fault.code), Some("bad_request"));
    }

    #[test]
    fn a_mistake_is_no_wider_order() {
        for body in [
            "[]",
            "not json",
            r#"{"reason":"x","wher":{}}"#,
            r#"{"reason":"x","where":[]}"#,
            r#"{"reason":"x","where":{"colour":"red"}}"#,
            r#"{"reason":"x","where":{"id":7}}"#,
            r#"{"reason":"x","limit":0}"#,
            r#"{"reason":"x","limit":"5"}"#,
            r#"{"reason":"x","rate":-1}"#,
            r#"{"reason":"x","dry_run":"true"}"#,
            r#"{"reason":["x"]}"#,
        ] {
            assert_eq!(read(body).err().map(|fault| fault.code), Some("bad_request"), "{body}");
        }
    }
}
