//! *Dead letters*: what could not become an event, letter by letter, and what people did about it.

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::event::truncate_to_micros;
use crate::lake::audit::{self, Action, Audit};
use crate::lake::dead_letter::{Listed, Reason};

use super::fault::Fault;
use super::html::{Markup, badge, link, put, term, text};
use super::letters::{self, CONDITIONS};
use super::page::{self, Page, Tab, Viewer, act, pager, reason_field};
use super::params::{Params, address};
use super::sign_in::foreign;
use super::words::{ago, bytes, count, short, spaced, stamp};
use super::{Console, payload, replays, session};

/// Letters on a page.
const PAGE_LETTERS: usize = 50;
/// Records of the audit trail that are shown.
const TRAIL_MAX: usize = 50;
/// How far back the audit trail is read.
const TRAIL_DAYS: i64 = 30;

const TITLE: &str = "Dead letters";

pub(super) async fn page(
    State(console): State<Console>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let params = Params::of(query.as_deref());
    let viewer = console.viewer(&headers, here("/dead-letters", query.as_deref()));
    let content = list(&console, &params).await;
    page::answer(&viewer, &Page::still(Tab::DeadLetters, TITLE), content)
}

/// The address of a page with its query.
pub(super) fn here(path: &str, query: Option<&str>) -> String {
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

async fn list(console: &Console, params: &Params) -> Result<Markup, Fault> {
    let now = Timestamp::now();
    let filter = letters::filter(params, "", now)?;
    let all = params.is_on("all");
    let listed = letters::list(console, &filter, all).await?;
    let trail = trail(console, now).await?;
    let page = params.number("page").unwrap_or(0).min(100_000);
    let mut out = Markup::new();
    put!(out, "<div class=\"title\"><h1>Dead letters</h1><p class=\"lead\">");
    put!(out, { count(listed.len(), "letter", "letters") });
    put!(out, { if all { ", those dealt with too" } else { " open" } }, "</p></div>");
    if let Some(job) = console.jobs().last() {
        replays::progress(&mut out, &job, false);
    }
    filters(&mut out, params, all);
    table(&mut out, &listed, page, now);
    let pairs: Vec<(&str, &str)> = ["id", "reason", "event", "since", "all"]
        .iter()
        .map(|name| (*name, params.get(name).unwrap_or_default()))
        .collect();
    let shown = usize::try_from(page).unwrap_or(0).saturating_add(1).saturating_mul(PAGE_LETTERS);
    pager(&mut out, "/dead-letters", &pairs, page, listed.len() > shown);
    if listed.iter().any(|listed| listed.closed.is_none()) {
        actions(&mut out, params);
    }
    put!(out, [trail]);
    Ok(out)
}

fn filters(out: &mut Markup, params: &Params, all: bool) {
    let given = |name: &str| params.get(name).unwrap_or_default().to_owned();
    put!(
        out,
        "<form class=\"filters\" role=\"search\" aria-label=\"Dead letters\" action=\"/dead-letters\">"
    );
    put!(out, "<p><label for=\"reason\">Reason</label><select id=\"reason\" name=\"reason\">");
    put!(out, "<option value=\"\">any</option>");
    for reason in Reason::ALL {
        put!(out, "<option value=\"", { reason.as_str() }, "\"");
        if params.get("reason") == Some(reason.as_str()) {
            put!(out, " selected");
        }
        put!(out, ">", { spaced(&reason.as_str()) }, "</option>");
    }
    put!(out, "</select></p><p><label for=\"event\">Event</label><input id=\"event\" name=\"event\" ");
    put!(out, "placeholder=\"tracking_update\" value=\"", { given("event") }, "\"></p>");
    put!(out, "<p><label for=\"since\">Since</label><input id=\"since\" name=\"since\" ");
    put!(out, "placeholder=\"2h, 3d or 2026-07-09\" value=\"", { given("since") }, "\"></p>");
    put!(
        out,
        "<p><label for=\"id\">Id</label><input id=\"id\" name=\"id\" value=\"",
        { given("id") },
        "\"></p>"
    );
    put!(out, "<p class=\"tick\"><input type=\"checkbox\" id=\"all\" name=\"all\" value=\"1\"");
    if all {
        put!(out, " checked");
    }
    put!(out, "><label for=\"all\">Those dealt with too</label></p><p><button>Filter</button> ");
    put!(out, "<a href=\"/dead-letters\">Clear</a></p></form>");
}

fn table(out: &mut Markup, listed: &[Listed], page: u64, now: Timestamp) {
    if listed.is_empty() {
        put!(out, "<p class=\"nothing\">No dead letter: every event that came could be read.</p>");
        return;
    }
    put!(out, "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"Letters\"><table><caption>");
    put!(out, "Newest first</caption><thead><tr><th scope=\"col\">Id</th><th scope=\"col\">Reason</th>");
    put!(
        out,
        "<th scope=\"col\">Event</th><th scope=\"col\">Received</th><th scope=\"col\" class=\"n\">Attempts"
    );
    put!(out, "</th><th scope=\"col\" class=\"n\">Size</th><th scope=\"col\">State</th></tr></thead><tbody>");
    let first = usize::try_from(page).unwrap_or(0).saturating_mul(PAGE_LETTERS);
    for one in listed.iter().skip(first).take(PAGE_LETTERS) {
        let letter = &one.letter;
        let href = format!("/dead-letters/{}", letter.id);
        put!(out, "<tr><th scope=\"row\"><a class=\"mono\" href=\"", { href }, "\">");
        put!(
            out,
            { short(&letter.id, 13) },
            "</a></th><td>",
            { spaced(&letter.reason.as_str()) },
            "</td><td>"
        );
        put!(
            out,
            { letter.event.as_deref().map_or_else(String::new, |event| short(event, 40)) },
            "</td><td>"
        );
        put!(out, [stamp(letter.received_at)], " <span class=\"muted\">", { ago(letter.received_at, now) });
        put!(out, "</span></td><td class=\"n\">", { letter.attempts }, "</td><td class=\"n\">");
        put!(out, { bytes(letter.body().map_or(0, |body| body.len() as u64)) }, "</td><td>");
        put!(out, [state_badge(one)], "</td></tr>");
    }
    put!(out, "</tbody></table></div>");
}

fn state_badge(listed: &Listed) -> Markup {
    let tone = if listed.closed.is_none() { "warn" } else { "calm" };
    badge(tone, &listed.state())
}

/// What may be done with all that are listed: looked at first.
fn actions(out: &mut Markup, params: &Params) {
    let pairs: Vec<(&str, &str)> =
        CONDITIONS.iter().map(|name| (*name, params.get(name).unwrap_or_default())).collect();
    put!(out, "<section aria-labelledby=\"do\"><h2 id=\"do\">Do something about them</h2>");
    put!(out, "<p>Both show first what they would do. A letter stays in the lake whatever is done.</p>");
    put!(out, "<p class=\"row\"><a class=\"button\" href=\"", { address("/dead-letters/replay", &pairs) });
    put!(out, "\">Replay what is listed</a> <a class=\"button plain\" href=\"");
    put!(out, { address("/dead-letters/drop", &pairs) }, "\">Drop what is listed</a></p></section>");
}

async fn trail(console: &Console, now: Timestamp) -> Result<Markup, Fault> {
    let records = records(console, now).await?;
    let mut out = Markup::new();
    put!(out, "<section aria-labelledby=\"trail\"><h2 id=\"trail\">Audit trail</h2>");
    if records.is_empty() {
        put!(out, "<p class=\"nothing\">Nothing was done by hand in the last 30 days.</p></section>");
        return Ok(out);
    }
    put!(out, "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"Audit trail\"><table>");
    put!(out, "<caption>The last 30 days, newest first</caption><thead><tr><th scope=\"col\">When</th>");
    put!(
        out,
        "<th scope=\"col\">What</th><th scope=\"col\" class=\"n\">Letters</th><th scope=\"col\">Which</th>"
    );
    put!(out, "<th scope=\"col\">Who</th><th scope=\"col\">Reason</th></tr></thead><tbody>");
    for record in &records {
        put!(out, "<tr><th scope=\"row\">", [stamp(record.at)], "</th><td>", { record.action.as_str() });
        put!(out, "</td><td class=\"n\">", { record.count }, "</td><td class=\"mono\">");
        put!(out, { short(&record.filter, 80) }, "</td><td>");
        put!(out, { record.who.as_deref().unwrap_or_default() }, "</td><td>");
        put!(out, { record.reason.as_deref().unwrap_or_default() }, "</td></tr>");
    }
    put!(out, "</tbody></table></div></section>");
    Ok(out)
}

async fn records(console: &Console, now: Timestamp) -> Result<Vec<Audit>, Fault> {
    let since = now - SignedDuration::from_hours(24 * TRAIL_DAYS);
    Ok(audit::list(console.lake()?.as_ref(), since, TRAIL_MAX).await?)
}

/// The audit trail for programs.
pub(super) async fn trail_json(console: &Console) -> Result<Value, Fault> {
    Ok(json!(records(console, Timestamp::now()).await?))
}

pub(super) async fn letter(
    State(console): State<Console>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    let viewer = console.viewer(&headers, format!("/dead-letters/{id}"));
    let found = letters::find(&console, &id).await;
    let content = found.map(|listed| detail(&console, &viewer, &listed, false));
    page::answer(&viewer, &Page::still(Tab::DeadLetters, TITLE), content)
}

/// Shows a payload whole: a look at personal data, which is recorded like a deed.
pub(super) async fn reveal(
    State(console): State<Console>,
    headers: HeaderMap,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let viewer = console.viewer(&headers, format!("/dead-letters/{id}"));
    let form = Params::read(&String::from_utf8_lossy(&body));
    let content = revealed(&console, &viewer, &headers, &form, &id).await;
    page::answer(&viewer, &Page::still(Tab::DeadLetters, TITLE), content)
}

async fn revealed(
    console: &Console,
    viewer: &Viewer,
    headers: &HeaderMap,
    form: &Params,
    id: &str,
) -> Result<Markup, Fault> {
    let who = may_act(viewer, headers, form)?;
    let reason = letters::reason(form.get("reason"))?;
    let listed = letters::find(console, id).await?;
    record(console, Action::Reveal, &listed.letter.id, who, reason).await?;
    Ok(detail(console, viewer, &listed, true))
}

/// Writes down what is about to be done to, or seen of, one thing.
pub(super) async fn record(
    console: &Console,
    action: Action,
    id: &str,
    who: String,
    reason: String,
) -> Result<(), Fault> {
    let record = Audit {
        v: 1,
        at: truncate_to_micros(Timestamp::now()),
        action,
        who: Some(who),
        filter: format!("id={id}"),
        count: 1,
        ids: vec![id.to_owned()],
        reason: Some(reason),
        replay_id: None,
    };
    Ok(audit::record(console.lake()?.as_ref(), &record).await?)
}

/// Who acts, if they may: with the token, from a page of ours.
pub(super) fn may_act(viewer: &Viewer, headers: &HeaderMap, form: &Params) -> Result<String, Fault> {
    let actor = &viewer.actor;
    if *actor == session::Actor::Token {
        return if session::is_foreign(headers) { Err(foreign()) } else { Ok(actor.who()) };
    }
    let Some(csrf) = actor.csrf() else {
        return Err(Fault::new(StatusCode::UNAUTHORIZED, "unauthorized", "acting needs the token"));
    };
    if !session::is_own(headers) || form.get("csrf") != Some(csrf) {
        return Err(foreign());
    }
    Ok(actor.who())
}

fn detail(console: &Console, viewer: &Viewer, listed: &Listed, is_whole: bool) -> Markup {
    let letter = &listed.letter;
    let mut out = Markup::new();
    put!(
        out,
        "<p class=\"back\"><a href=\"/dead-letters\">All dead letters</a></p><div class=\"title\"><h1>"
    );
    put!(
        out,
        "Dead letter <span class=\"mono\">",
        { short(&letter.id, 13) },
        "</span></h1><p class=\"lead\">"
    );
    put!(
        out,
        { spaced(&letter.reason.as_str()) },
        " ",
        [state_badge(listed)],
        "</p></div><dl class=\"facts\">"
    );
    let or_dash = |given: &Option<String>| text(&given.as_deref().unwrap_or("–"));
    term(&mut out, "Id", &text(&letter.id));
    term(&mut out, "Detail", &or_dash(&letter.detail));
    term(&mut out, "Event", &or_dash(&letter.event));
    let key = letter.event_key.as_deref();
    let find = |key: &str| link(&address("/trackings", &[("find", key)]), &key);
    term(&mut out, "Event key", &key.map_or_else(|| text(&"–"), find));
    term(&mut out, "Source", &or_dash(&letter.source));
    term(&mut out, "Received", &stamp(letter.received_at));
    term(&mut out, "Set aside", &stamp(letter.dead_at));
    term(&mut out, "Deliveries", &text(&letter.attempts));
    term(&mut out, "SHA-256", &text(&letter.body_sha256));
    if let Some(closed) = &listed.closed {
        let mut done = Markup::new();
        put!(done, { closed.how.as_str() }, " ", [stamp(closed.at)]);
        if let Some(reason) = &closed.reason {
            put!(done, ": ", { reason });
        }
        term(&mut out, "Dealt with", &done);
    }
    put!(out, "</dl>");
    show(&mut out, console, viewer, listed, is_whole);
    if listed.closed.is_none() {
        let pairs = [("id", letter.id.as_str())];
        put!(
            out,
            "<section aria-labelledby=\"do\"><h2 id=\"do\">Do something about it</h2><p class=\"row\">"
        );
        put!(
            out,
            "<a class=\"button\" href=\"",
            { address("/dead-letters/replay", &pairs) },
            "\">Replay it</a> "
        );
        put!(out, "<a class=\"button plain\" href=\"", { address("/dead-letters/drop", &pairs) });
        put!(out, "\">Drop it</a></p></section>");
    }
    out
}

fn show(out: &mut Markup, console: &Console, viewer: &Viewer, listed: &Listed, is_whole: bool) {
    put!(out, "<section aria-labelledby=\"payload\"><h2 id=\"payload\">Payload</h2>");
    let Ok(body) = listed.letter.body() else {
        put!(out, "<p class=\"nothing\">The stored payload is damaged.</p></section>");
        return;
    };
    let size = bytes(body.len() as u64);
    if body.is_empty() {
        put!(out, "<p class=\"nothing\">It has no bytes.</p></section>");
        return;
    }
    if is_whole {
        put!(out, "<p>", { size }, ", as it came. That you looked is in the audit trail.</p>");
        put!(
            out,
            "<pre tabindex=\"0\" aria-label=\"Payload, whole\">",
            { payload::whole(&body) },
            "</pre></section>"
        );
        return;
    }
    match payload::masked(&body, console.0.mask_key.as_bytes()) {
        Some(text) => {
            put!(out, "<p>", { size }, ". What tells of a person is masked.</p>");
            put!(out, "<pre tabindex=\"0\" aria-label=\"Payload, masked\">", { text }, "</pre>");
        }
        None => {
            put!(out, "<p>", { size }, " that are no JSON. What is in them cannot be masked, so they are ");
            put!(out, "shown only when you ask.</p>");
        }
    }
    let action = format!("/dead-letters/{}/reveal", listed.letter.id);
    if act(out, viewer, &action, &[]) {
        reason_field(out, "reveal-reason");
        put!(out, "<button class=\"plain\">Show it whole</button></form>");
    }
    put!(out, "</section>");
}
