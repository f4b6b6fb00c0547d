//! Replaying and dropping letters from a page: what it would do, the confirmation, its progress, its end.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;

use crate::lake::audit::Action;
use crate::lake::dead_letter::{DeadLetter, Filter};
use crate::replay::Order;

use super::Console;
use super::dead_letters::{here, may_act, record};
use super::fault::Fault;
use super::html::{Markup, put};
use super::job::{Job, Work};
use super::letters::{self, CONDITIONS};
use super::page::{self, Page, Tab, Viewer, act, reason_field};
use super::params::Params;
use super::preview::{LETTERS_MAX, Preview, preview};
use super::words::{count, maybe_stamp, stamp, whole};

/// What is about to be done, as the forms and words of its page need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Replay,
    Drop,
}

impl Deed {
    fn title(self) -> &'static str {
        match self {
            Deed::Replay => "Replay dead letters",
            Deed::Drop => "Drop dead letters",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Deed::Replay => "/dead-letters/replay",
            Deed::Drop => "/dead-letters/drop",
        }
    }

    fn page(self) -> Page<'static> {
        Page::still(Tab::DeadLetters, self.title())
    }
}

pub(super) async fn replay_preview(
    State(console): State<Console>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    look(&console, &headers, query.as_deref(), Deed::Replay).await
}

pub(super) async fn drop_preview(
    State(console): State<Console>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    look(&console, &headers, query.as_deref(), Deed::Drop).await
}

async fn look(console: &Console, headers: &HeaderMap, query: Option<&str>, deed: Deed) -> Response {
    let viewer = console.viewer(headers, here(deed.path(), query));
    let content = looked(console, &viewer, &Params::of(query), deed).await;
    page::answer(&viewer, &deed.page(), content)
}

async fn looked(console: &Console, viewer: &Viewer, params: &Params, deed: Deed) -> Result<Markup, Fault> {
    let order = order(params, "", Timestamp::now())?;
    let letters = letters::choose(console, &order).await?;
    let mut out = Markup::new();
    put!(
        out,
        "<p class=\"back\"><a href=\"/dead-letters\">All dead letters</a></p><div class=\"title\"><h1>"
    );
    put!(out, { deed.title() }, "</h1><p class=\"lead\">", { count(letters.len(), "letter", "letters") });
    let which = order.filter.to_string();
    put!(out, " <span class=\"mono muted\">", { which }, "</span></p></div>");
    if letters.is_empty() {
        put!(out, "<p class=\"nothing\">No open dead letter matches: there is nothing to do.</p>");
        return Ok(out);
    }
    match deed {
        Deed::Replay => would(&mut out, &preview(console, &letters).await?),
        Deed::Drop => {
            put!(out, "<p>They are marked as dropped and leave the list. Their bytes stay in the lake, and ");
            put!(out, "nothing in the warehouse changes.</p>");
        }
    }
    if deed == Deed::Replay && console.parts().queue.is_none() {
        put!(
            out,
            "<p class=\"notice warn\">This process has no queue to send them to: replay from a process "
        );
        put!(out, "that batches or receives, or with <code>waybill dead-letters replay</code>.</p>");
        return Ok(out);
    }
    confirm(&mut out, viewer, &order.filter, &letters, deed);
    Ok(out)
}

fn would(out: &mut Markup, preview: &Preview) {
    put!(out, "<section aria-labelledby=\"would\"><h2 id=\"would\">What it would do</h2>");
    if preview.examined < preview.chosen {
        put!(out, "<p>Told of the oldest ", { whole(LETTERS_MAX as u64) }, " of them.</p>");
    }
    put!(out, "<table class=\"tight\"><caption>Nothing is done yet</caption><thead><tr>");
    put!(out, "<th scope=\"col\" class=\"n\">Letters</th><th scope=\"col\">would</th></tr></thead><tbody>");
    let mut row = |number: usize, words: &'static str| {
        if number > 0 {
            put!(out, "<tr><td class=\"n\">", { number }, "</td><td>");
            out.raw(words);
            put!(out, "</td></tr>");
        }
    };
    row(preview.newer, "<strong>change the fact</strong> of their parcel: they are newer than what it shows");
    row(preview.new_parcels, "<strong>add a parcel</strong> that the warehouse does not know");
    row(preview.older, "be counted as events and change no fact: their parcel has newer news");
    row(preview.known, "<strong>change nothing</strong>: the warehouse has this very event");
    row(preview.dead_again, "come back as dead letters: their bytes still name no parcel");
    row(preview.not_replayable, "stay as they are: no event can be made of them");
    if !preview.is_compared {
        let events = preview.examined - preview.dead_again - preview.not_replayable;
        row(events, "become events; this process has no warehouse to compare them with");
    }
    put!(out, "</tbody></table></section>");
}

fn confirm(out: &mut Markup, viewer: &Viewer, filter: &Filter, letters: &[DeadLetter], deed: Deed) {
    put!(out, "<section aria-labelledby=\"sure\"><h2 id=\"sure\">Do it</h2>");
    let seen = letters.len().to_string();
    let since = filter.since.map(|since| since.to_string()).unwrap_or_default();
    let given = |value: &Option<String>| value.clone().unwrap_or_default();
    let (id, reason, event) = (given(&filter.id), given(&filter.reason), given(&filter.event));
    // The field for the operator's own reason is called `reason` too.
    let hidden = [
        ("seen", seen.as_str()),
        ("where_id", id.as_str()),
        ("where_reason", reason.as_str()),
        ("where_event", event.as_str()),
        ("where_since", since.as_str()),
    ];
    if act(out, viewer, deed.path(), &hidden) {
        reason_field(out, "why");
        if deed == Deed::Replay {
            put!(
                out,
                "<label for=\"rate\">Letters a second (empty: as fast as the queue takes them)</label>"
            );
            put!(
                out,
                "<input id=\"rate\" name=\"rate\" type=\"number\" min=\"0.1\" max=\"10000\" step=\"any\">"
            );
        }
        let all = count(letters.len(), "letter", "letters");
        put!(out, "<button>", { if deed == Deed::Replay { "Replay" } else { "Drop" } }, " ", { all });
        put!(out, "</button></form>");
    }
    put!(out, "</section>");
}

/// What a form or an address asks for.
fn order(params: &Params, prefix: &str, now: Timestamp) -> Result<Order, Fault> {
    let rate = match params.get("rate") {
        None => None,
        Some(rate) => Some(
            rate.parse::<f64>().map_err(|_| Fault::bad("the rate must be a number of letters a second"))?,
        ),
    };
    Ok(Order {
        filter: letters::filter(params, prefix, now)?,
        limit: None,
        rate: letters::rate(rate)?,
        reason: None,
        who: None,
    })
}

pub(super) async fn replay(State(console): State<Console>, headers: HeaderMap, body: Bytes) -> Response {
    deed(&console, &headers, &body, Deed::Replay).await
}

pub(super) async fn drop_letters(
    State(console): State<Console>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    deed(&console, &headers, &body, Deed::Drop).await
}

async fn deed(console: &Console, headers: &HeaderMap, body: &[u8], deed: Deed) -> Response {
    let form = Params::read(&String::from_utf8_lossy(body));
    let pairs = CONDITIONS.map(|key| (key, form.get(&format!("where_{key}")).unwrap_or_default().to_owned()));
    let pairs = pairs.each_ref().map(|(key, value)| (*key, value.as_str()));
    let viewer = console.viewer(headers, super::params::address(deed.path(), &pairs));
    match done(console, &viewer, headers, &form, deed).await {
        Ok(()) => page::see_other("/dead-letters/job"),
        Err(fault) => page::refused(&viewer, &deed.page(), &fault),
    }
}

async fn done(
    console: &Console,
    viewer: &Viewer,
    headers: &HeaderMap,
    form: &Params,
    deed: Deed,
) -> Result<(), Fault> {
    let who = may_act(viewer, headers, form)?;
    let reason = letters::reason(form.get("reason"))?;
    let order = Order { reason: Some(reason), who: Some(who), ..order(form, "where_", Timestamp::now())? };
    let letters = letters::choose(console, &order).await?;
    if letters.is_empty() || form.number("seen") != Some(letters.len() as u64) {
        return Err(Fault::new(
            StatusCode::CONFLICT,
            "changed",
            "the letters are no longer those that were shown",
        )
        .hint("look again at what would be done"));
    }
    begin(console, deed == Deed::Replay, letters, order)?;
    Ok(())
}

/// Begins a replay, or a drop.
pub(super) fn begin(
    console: &Console,
    is_replay: bool,
    letters: Vec<DeadLetter>,
    order: Order,
) -> Result<std::sync::Arc<Job>, Fault> {
    let work = if is_replay {
        let queue = console.parts().queue.clone();
        Work::Replay(queue.ok_or_else(|| Fault::not_here("queue"))?)
    } else {
        Work::Drop
    };
    console.jobs().begin(console.lake()?, work, letters, order)
}

pub(super) async fn job(State(console): State<Console>, headers: HeaderMap) -> Response {
    let viewer = console.viewer(&headers, "/dead-letters/job".to_owned());
    let last = console.jobs().last();
    let is_running = last.as_ref().is_some_and(|job| job.end().is_none());
    let mut out = Markup::new();
    put!(out, "<p class=\"back\"><a href=\"/dead-letters\">All dead letters</a></p><h1>Replay or drop</h1>");
    match &last {
        None => {
            put!(out, "<p class=\"nothing\">Nothing was replayed or dropped since this process began.</p>")
        }
        Some(job) => {
            progress(&mut out, job, true);
            if is_running && act(&mut out, &viewer, "/dead-letters/cancel", &[]) {
                reason_field(&mut out, "cancel-reason");
                put!(out, "<button class=\"plain\">Cancel it</button></form>");
            }
        }
    }
    let says = last.as_ref().map(|job| says(job));
    let page = Page {
        tab: Tab::DeadLetters,
        title: "Replay or drop",
        refresh: is_running.then_some(1),
        says: says.as_deref(),
    };
    page::answer(&viewer, &page, Ok(out))
}

/// One sentence about a job, the same for as long as nothing decisive happens.
fn says(job: &Job) -> String {
    format!("The {} is {}.", job.work, job.state())
}

pub(super) async fn cancel(State(console): State<Console>, headers: HeaderMap, body: Bytes) -> Response {
    let viewer = console.viewer(&headers, "/dead-letters/job".to_owned());
    let form = Params::read(&String::from_utf8_lossy(&body));
    match cancelled(&console, &viewer, &headers, &form).await {
        Ok(()) => page::see_other("/dead-letters/job"),
        Err(fault) => page::refused(&viewer, &Page::still(Tab::DeadLetters, "Replay or drop"), &fault),
    }
}

async fn cancelled(
    console: &Console,
    viewer: &Viewer,
    headers: &HeaderMap,
    form: &Params,
) -> Result<(), Fault> {
    let who = may_act(viewer, headers, form)?;
    let reason = letters::reason(form.get("reason"))?;
    stop(console, who, reason).await.map(|_| ())
}

/// Stops what runs, and then writes down who did: a lake that is away must not keep a replay going.
pub(super) async fn stop(
    console: &Console,
    who: String,
    reason: String,
) -> Result<std::sync::Arc<Job>, Fault> {
    let job = console.jobs().cancel()?;
    record(console, Action::Cancel, &job.id, who, reason).await?;
    Ok(job)
}

/// How far the last replay or drop is.
pub(super) fn progress(out: &mut Markup, job: &Job, is_all: bool) {
    let state = job.state();
    if !is_all && job.end().is_some() {
        return;
    }
    put!(out, "<section class=\"notice\" aria-labelledby=\"job\"><h2 id=\"job\">", { says(job) }, "</h2>");
    put!(out, "<p><progress max=\"", { job.total.max(1) }, "\" value=\"", { job.done() }, "\" ");
    put!(out, "aria-labelledby=\"job\"></progress> ", { whole(job.done()) }, " of ", { whole(job.total) });
    put!(out, " letters</p>");
    if !is_all {
        put!(out, "<p><a href=\"/dead-letters/job\">Look at it</a></p></section>");
        return;
    }
    put!(out, "<p>Begun ", [stamp(job.began_at)], " because: ");
    put!(out, { job.order.reason.as_deref().unwrap_or_default() }, "</p>");
    if let Some(end) = job.end() {
        put!(out, "<p>Over ", [maybe_stamp(Some(end.at))], ". ");
        match &end.outcome {
            Ok(report) => {
                put!(out, { whole(report.done as u64) }, {
                    if job.work == "drop" { " dropped" } else { " sent again" }
                });
                put!(out, ", ", { whole(report.not_replayable as u64) }, " left as they are");
                if state == "cancelled" {
                    let left = report.chosen - report.done - report.not_replayable;
                    put!(out, ", ", { whole(left as u64) }, " not come to");
                }
                put!(out, ".</p>");
            }
            Err(error) => {
                put!(out, "It stopped: ", { page::sentence(error) }, " What was done stays done.</p>")
            }
        }
    }
    put!(out, "</section>");
}
