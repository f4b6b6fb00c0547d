//! AfterShip's REST API: how trackings are asked for, and what its answers say. Pure.
//!
//! One reader for all versions of the API. Lists since 2024-10 go by an opaque cursor; before that by page numbers, with
//! `data.pagination` (2024-04, 2024-07) or with page, limit and count beside the trackings (legacy v4). The first request
//! names neither, so it is right for all of them, and its answer tells which kind it is.
//!
//! *Page numbers* shift: a tracking that changes while we page leaves the window, and all behind it move up by one, past
//! a reader that goes forward. So pages are read from the last one down to the first, where whatever moves up is met
//! again. Page 1 is read twice for that: at first to learn how many there are, and at last. A count that AfterShip may have
//! cut off says nothing about the last page: who goes on from such a page 1 gets [`Unreadable::TooMany`].
//!
//! *Windows* are taken as inclusive at both ends; nobody says so. Whoever asks lets windows overlap by minutes, so that
//! it does not matter.

mod content;
mod limit;

use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::event::json;
use crate::event::{Event, EventKey};

use super::{tracking, webhook};

use content::key_of;

pub use content::content_key;
pub use limit::{ApiFault, RateLimit, fault, http_date};

/// Most trackings that one answer can have.
pub const LIMIT_MAX: u16 = 200;

/// AfterShip deletes a tracking so many days after its creation, and lists none that is older.
pub const KEPT_DAYS: i64 = 120;

/// The event code of a snapshot that we asked for. AfterShip itself sends no such event.
pub const SNAPSHOT_EVENT: &str = "tracking_snapshot";

/// Some say that older versions count no further, however many there are.
pub(super) const COUNT_MAX: u64 = 10_000;

/// What an id may be made of; the slash of a `slug/tracking_number` stays, since that is a path of legacy versions.
const ID: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'/');

/// Which trackings, and from where on. All bounds are sent in whole seconds, lower ones rounded down and upper ones up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// Changed at or after.
    pub updated_from: Option<Timestamp>,
    /// Changed at or before.
    pub updated_until: Option<Timestamp>,
    /// Created at or after; AfterShip's own default is 120 days ago.
    pub created_from: Option<Timestamp>,
    /// Created at or before.
    pub created_until: Option<Timestamp>,
    /// What the last answer said; `None` at first.
    pub next: Option<Next>,
    /// Trackings an answer, 1 to [`LIMIT_MAX`].
    pub limit: u16,
}

impl Default for ListQuery {
    fn default() -> Self {
        ListQuery {
            updated_from: None,
            updated_until: None,
            created_from: None,
            created_until: None,
            next: None,
            limit: LIMIT_MAX,
        }
    }
}

/// Where a list goes on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Next {
    /// AfterShip's own text, since 2024-10.
    Cursor(String),
    /// A page's number, before.
    Page(u32),
}

/// Some of the trackings asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPage {
    /// Those that can be read.
    pub trackings: Vec<Snapshot>,
    /// The exact bytes of those that cannot. One must not lose the others; [`unreadable_event`] makes an event of each,
    /// which becomes a dead letter with its reason like any other body that cannot be read.
    pub unreadable: Vec<Bytes>,
    /// Where it goes on; `None`: this was the last.
    pub next: Option<Next>,
    /// Trackings in all answers together, if AfterShip tells.
    pub total: Option<u64>,
}

/// A tracking as AfterShip has it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Exactly the bytes of the answer.
    pub json: Bytes,
    /// AfterShip's id; without one `slug/tracking_number`.
    pub id: String,
    /// AfterShip's record time.
    pub updated_at: Option<Timestamp>,
    /// Status, an open set.
    pub tag: Option<String>,
    /// How many checkpoints it has.
    pub checkpoints: usize,
    /// Of what it says, see [`content_key`].
    pub key: EventKey,
}

/// Why an answer is of no use. May heal, but for the last: an answer that was cut short reads like that too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not UTF-8, not JSON, or cut short.
    #[error("the answer is not JSON, or was cut short")]
    NotJson,
    /// No `data.trackings`, or no tracking in `data`.
    #[error("the answer has no trackings where AfterShip has them")]
    NoTrackings,
    /// It says that there is more, and not where.
    #[error("the answer says that there are more trackings, and not where")]
    NoNext,
    /// More than page numbers reach: the same question would get the same answer.
    #[error("there are more trackings than older versions of the API count")]
    TooMany,
}

/// The address of a list below the API's origin. `base_path`: of the version, as `/tracking/2026-07`.
pub fn path_and_query(base_path: &str, query: &ListQuery) -> String {
    let limit = query.limit.clamp(1, LIMIT_MAX);
    let mut text = format!("{}/trackings?limit={limit}", base_path.trim_end_matches('/'));
    let bounds = [
        ("updated_at_min", query.updated_from.map(second_at_or_before)),
        ("updated_at_max", query.updated_until.map(second_at_or_after)),
        ("created_at_min", query.created_from.map(second_at_or_before)),
        ("created_at_max", query.created_until.map(second_at_or_after)),
    ];
    for (name, bound) in bounds {
        if let Some(at) = bound {
            // A bare plus is a blank: older versions then silently answer with the last 120 days.
            text.push_str(&format!("&{name}={}%2B00:00", at.strftime("%Y-%m-%dT%H:%M:%S")));
        }
    }
    match &query.next {
        None => {}
        Some(Next::Cursor(cursor)) => {
            text.push_str(&format!("&cursor={}", utf8_percent_encode(cursor, NON_ALPHANUMERIC)));
        }
        Some(Next::Page(page)) => text.push_str(&format!("&page={page}")),
    }
    text
}

/// The address of one tracking below the API's origin.
pub fn path_of(base_path: &str, id: &str) -> String {
    format!("{}/trackings/{}", base_path.trim_end_matches('/'), utf8_percent_encode(id, ID))
}

/// The whole second that this instant is in.
pub fn second_at_or_before(at: Timestamp) -> Timestamp {
    let second = at.as_nanosecond().div_euclid(1_000_000_000);
    i64::try_from(second)
        .ok()
        .and_then(|second| Timestamp::from_second(second).ok())
        .unwrap_or(Timestamp::MIN)
}

fn second_at_or_after(at: Timestamp) -> Timestamp {
    let before = second_at_or_before(at);
    if before == at { at } else { Timestamp::from_second(before.as_second() + 1).unwrap_or(Timestamp::MAX) }
}

/// Reads the answer to a list.
pub fn read_page(body: &[u8], asked: &ListQuery) -> Result<ListPage, Unreadable> {
    let data = Members::of_answer(body)?;
    let written = data.raw("trackings").and_then(elements).ok_or(Unreadable::NoTrackings)?;
    let mut page = ListPage { trackings: Vec::new(), unreadable: Vec::new(), next: None, total: None };
    for element in &written {
        match snapshot(Bytes::copy_from_slice(element.as_bytes())) {
            Ok(snapshot) => page.trackings.push(snapshot),
            Err(json) => page.unreadable.push(json),
        }
    }
    let pagination = data.raw("pagination").and_then(Members::of);
    let paging = pagination.as_ref().unwrap_or(&data);
    page.total = paging.number("total").or_else(|| paging.number("count"));
    page.next = next(paging, page.total, written.is_empty(), asked)?;
    Ok(page)
}

/// Reads the answer to a question for one tracking; before 2024-07 it lies one level deeper.
pub fn read_one(body: &[u8]) -> Result<Snapshot, Unreadable> {
    let root = Members::of(text_of(body)?).ok_or(Unreadable::NotJson)?;
    let data = root.raw("data").ok_or(Unreadable::NoTrackings)?;
    let inner = Members::of(data).ok_or(Unreadable::NoTrackings)?;
    let written = inner.raw("tracking").filter(|text| text.starts_with('{')).unwrap_or(data);
    snapshot(Bytes::copy_from_slice(written.as_bytes())).map_err(|_| Unreadable::NoTrackings)
}

/// The body of a snapshot's event: the envelope of a webhook around the tracking's exact bytes. It has no `event_id`,
/// and no `ts`: that is AfterShip's time of an event, and here is none.
pub fn envelope(tracking_json: &Bytes) -> Bytes {
    [format!(r#"{{"event":"{SNAPSHOT_EVENT}","msg":"#).as_bytes(), tracking_json.as_ref(), b"}"]
        .concat()
        .into()
}

/// The event of a snapshot.
pub fn event(snapshot: &Snapshot, received_at: Timestamp) -> Event {
    Event::polled(envelope(&snapshot.json), snapshot.key.clone(), received_at)
}

/// The event of what is no readable tracking, see [`ListPage::unreadable`].
pub fn unreadable_event(json: &Bytes, received_at: Timestamp) -> Event {
    Event::polled(envelope(json), content_key(json), received_at)
}

/// Reads a tracking by the rule of all stages: what they could not read as an event is none here either.
fn snapshot(json: Bytes) -> Result<Snapshot, Bytes> {
    let body = envelope(&json);
    let Ok(webhook) = webhook::read(&body) else { return Err(json) };
    let tracking = tracking::read(&webhook);
    let key = key_of(&webhook.doc, webhook.msg(), &json);
    Ok(Snapshot {
        id: tracking.id,
        updated_at: tracking.updated_at,
        tag: tracking.tag,
        checkpoints: tracking.checkpoints.len(),
        key,
        json,
    })
}

/// Where a list goes on after an answer.
fn next(
    paging: &Members<'_>,
    total: Option<u64>,
    is_empty: bool,
    asked: &ListQuery,
) -> Result<Option<Next>, Unreadable> {
    let cursor = paging.string("next_cursor");
    let told_page = paging.number("page").and_then(|page| u32::try_from(page).ok());
    let page = match &asked.next {
        Some(Next::Page(page)) => Some(*page),
        Some(Next::Cursor(_)) => None,
        None => told_page.filter(|_| cursor.is_none()),
    };
    let is_more = paging.flag("has_next_page");
    let Some(page) = page else {
        return match cursor {
            _ if is_more == Some(false) => Ok(None),
            Some(cursor) => Ok(Some(Next::Cursor(cursor))),
            // However few there are in it: to take it for the last one could lose the others for good.
            None if is_more == Some(true) => Err(Unreadable::NoNext),
            None => Ok(None),
        };
    };
    let Some(total) = total else {
        // Nobody tells where the end is: forward then.
        return Ok((is_more == Some(true) && !is_empty).then(|| Next::Page(page.saturating_add(1))));
    };
    if asked.next.is_some() {
        if total >= COUNT_MAX {
            return Err(Unreadable::TooMany);
        }
        return Ok((page > 1).then(|| Next::Page(page - 1)));
    }
    let limit =
        paging.number("limit").filter(|limit| *limit > 0).unwrap_or_else(|| u64::from(asked.limit.max(1)));
    let last = u32::try_from(total.div_ceil(limit)).unwrap_or(u32::MAX);
    Ok((last > 1).then_some(Next::Page(last)))
}

fn text_of(body: &[u8]) -> Result<&str, Unreadable> {
    std::str::from_utf8(body).map_err(|_| Unreadable::NotJson)
}

/// An object's members with their exact texts.
struct Members<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> Members<'a> {
    fn of(text: &'a str) -> Option<Members<'a>> {
        json::parse_members(text.as_bytes()).ok().map(Members)
    }

    /// What an answer has under `data`.
    fn of_answer(body: &'a [u8]) -> Result<Members<'a>, Unreadable> {
        let root = Members::of(text_of(body)?).ok_or(Unreadable::NotJson)?;
        root.raw("data").and_then(Members::of).ok_or(Unreadable::NoTrackings)
    }

    fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, text)| *text)
    }

    fn number(&self, name: &str) -> Option<u64> {
        let document = json::parse(self.raw(name)?.as_bytes()).ok()?;
        u64::try_from(webhook::whole_number(&document.root)?).ok()
    }

    fn string(&self, name: &str) -> Option<String> {
        let document = json::parse(self.raw(name)?.as_bytes()).ok()?;
        webhook::text(&document.root)
    }

    fn flag(&self, name: &str) -> Option<bool> {
        json::parse(self.raw(name)?.as_bytes()).ok()?.root.as_bool()
    }
}

/// The texts of an array's elements, by brackets and quotes alone: one that is not JSON must not hide the others.
fn elements(array: &str) -> Option<Vec<&str>> {
    let inner = array.strip_prefix('[')?.strip_suffix(']')?;
    if inner.trim_ascii().is_empty() {
        return Some(Vec::new());
    }
    let mut elements = Vec::new();
    let (mut depth, mut start, mut is_string, mut is_escaped) = (0usize, 0, false, false);
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_string => is_escaped = true,
            b'"' => is_string = !is_string,
            _ if is_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => {
                elements.push(inner.get(start..at)?.trim_ascii());
                start = at + 1;
            }
            _ => {}
        }
    }
    elements.push(inner.get(start..)?.trim_ascii());
    (depth == 0 && !is_string).then_some(elements)
}

#[cfg(test)]
mod tests;
