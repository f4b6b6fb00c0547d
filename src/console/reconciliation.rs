//! *Reconciliation*: every minute of arrival, held against what was received, landed and loaded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use crate::event;
use crate::reconcile::{Difference, Minute, Reconcile, ReconcileError, ReconcileSettings, Report, Span};

use super::Console;
use super::dead_letters::here;
use super::fault::Fault;
use super::history::Series;
use super::html::{Markup, badge, put};
use super::page::{self, Page, Tab};
use super::params::Params;
use super::words::{ago, count, short, spaced, stamp, whole};

/// What is compared unless something else is asked for.
const SINCE: &str = "60m";
/// Longest stretch that is compared from here.
const SPAN_MAX: SignedDuration = SignedDuration::from_hours(6);
/// Minutes younger than this are still on their way.
const SETTLE: Duration = Duration::from_secs(60);
/// How long a comparison counts as this one.
const FRESH_FOR: Duration = Duration::from_secs(30);
/// How long a comparison may take.
const COMPARE_MAX: Duration = Duration::from_secs(120);
/// Differences that are listed.
const DIFFERENCES_MAX: usize = 200;
/// Ids of a difference that are listed.
const IDS_MAX: usize = 10;

/// The last comparison, and who may make another.
pub(super) struct Reports {
    turn: Semaphore,
    last: Mutex<Option<Kept>>,
}

#[derive(Clone)]
struct Kept {
    since: String,
    made: Instant,
    report: Arc<Report>,
}

impl Default for Reports {
    fn default() -> Self {
        Reports { turn: Semaphore::new(1), last: Mutex::default() }
    }
}

impl Reports {
    /// Nothing that panics runs under this lock.
    fn kept(&self, since: &str) -> Option<Arc<Report>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = last.as_ref()?;
        (kept.since == since && kept.made.elapsed() < FRESH_FOR).then(|| Arc::clone(&kept.report))
    }

    fn keep(&self, since: &str, report: &Arc<Report>) {
        let kept = Kept { since: since.to_owned(), made: Instant::now(), report: Arc::clone(report) };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }
}

/// Compares what arrived since then; one at a time, and not twice within half a minute.
pub(super) async fn compare(console: &Console, since: Option<&str>) -> Result<Arc<Report>, Fault> {
    let since = since.unwrap_or(SINCE);
    let now = Timestamp::now();
    let from = event::since(since, now).filter(|from| *from < now);
    let Some(from) = from else {
        return Err(Fault::bad("`since` must be a time back (60m, 6h) or an instant that is past"));
    };
    if now.duration_since(from) > SPAN_MAX {
        return Err(
            Fault::bad("more than 6 hours are not compared from here").hint("use `waybill reconcile`")
        );
    }
    let reports = &console.0.reports;
    if let Some(report) = reports.kept(since) {
        return Ok(report);
    }
    let Ok(_turn) = reports.turn.try_acquire() else {
        return Err(Fault::busy("a comparison is under way"));
    };
    let reconcile = reconcile(console)?;
    let span = Span::settled(from, now, SETTLE);
    // A large future: it holds what is read of the places.
    let comparing = Box::pin(reconcile.compare(span, now, |_, _| {}));
    let Ok(report) = tokio::time::timeout(COMPARE_MAX, comparing).await else {
        return Err(Fault::slow("the comparison"));
    };
    let report = Arc::new(report.map_err(fault)?);
    reports.keep(since, &report);
    Ok(report)
}

fn reconcile(console: &Console) -> Result<Reconcile, Fault> {
    let parts = console.parts();
    let warehouse = parts.warehouse.clone().ok_or_else(|| Fault::not_here("warehouse"))?;
    let spooled = console.ring().now(Series::SpoolReady).map_or(0, |spooled| spooled.max(0.0) as u64);
    Ok(Reconcile {
        lake: Arc::clone(console.lake()?),
        warehouse,
        queue: parts.queue.clone(),
        settings: ReconcileSettings { spooled, ..parts.patience.clone() },
    })
}

fn fault(error: ReconcileError) -> Fault {
    match error {
        ReconcileError::Lake(error) => error.into(),
        ReconcileError::Warehouse(error) => error.into(),
        other => Fault::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", other.to_string()),
    }
}

pub(super) async fn page(
    State(console): State<Console>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let params = Params::of(query.as_deref());
    let viewer = console.viewer(&headers, here("/reconciliation", query.as_deref()));
    let since = params.get("since");
    let content = compare(&console, since).await.map(|report| content(&report, since.unwrap_or(SINCE)));
    page::answer(&viewer, &Page::still(Tab::Reconciliation, "Reconciliation"), content)
}

fn content(report: &Report, since: &str) -> Markup {
    let open = report.differences.iter().filter(|difference| !difference.is_explained).count();
    let mut out = Markup::new();
    put!(out, "<div class=\"title\"><h1>Reconciliation</h1><p class=\"lead\">");
    if open == 0 {
        put!(
            out,
            [badge("good", &"in balance")],
            " What was acknowledged is what landed and what was loaded."
        );
    } else {
        put!(out, [badge("bad", &count(open, "difference", "differences"))], " to look into, named below.");
    }
    put!(out, "</p><p class=\"now\">", [stamp(report.from)], " to ", [stamp(report.until)], ", compared ");
    put!(out, { ago(report.made_at, Timestamp::now()) }, "</p></div>");
    put!(
        out,
        "<form class=\"filters\" role=\"search\" aria-label=\"Minutes\" action=\"/reconciliation\"><p>"
    );
    put!(
        out,
        "<label for=\"since\">Since</label><input id=\"since\" name=\"since\" placeholder=\"60m, 6h\" value=\""
    );
    put!(out, { since }, "\"></p><p><button>Compare</button></p></form>");
    grid(&mut out, report);
    differences(&mut out, &report.differences);
    for note in &report.notes {
        put!(out, "<p class=\"notice warn\">", { page::sentence(note) }, "</p>");
    }
    minutes(&mut out, &report.minutes);
    out
}

/// How a minute stands, over its sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Empty,
    Clean,
    Explained,
    Open,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Tone::Empty => "empty",
            Tone::Clean => "good",
            Tone::Explained => "warn",
            Tone::Open => "bad",
        }
    }

    /// Shape beside colour.
    fn mark(self) -> &'static str {
        match self {
            Tone::Empty => "·",
            Tone::Clean => "✓",
            Tone::Explained => "~",
            Tone::Open => "✕",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Tone::Empty => "nothing came",
            Tone::Clean => "in balance",
            Tone::Explained => "differences with a reason",
            Tone::Open => "differences to look into",
        }
    }
}

/// Every minute of the stretch, those in which nothing came too.
fn tones(report: &Report) -> BTreeMap<Timestamp, Tone> {
    let mut tones = BTreeMap::new();
    let mut minute = report.from;
    while minute < report.until && tones.len() < 24 * 60 {
        tones.insert(minute, Tone::Empty);
        minute += SignedDuration::from_mins(1);
    }
    for minute in &report.minutes {
        let is_explained =
            report.differences.iter().any(|difference| difference.minute == Some(minute.minute));
        let tone = match (minute.is_clean, is_explained) {
            (false, _) => Tone::Open,
            (true, true) => Tone::Explained,
            (true, false) => Tone::Clean,
        };
        let known = tones.entry(minute.minute).or_insert(tone);
        if *known != Tone::Open {
            *known = tone;
        }
    }
    tones
}

fn grid(out: &mut Markup, report: &Report) {
    let tones = tones(report);
    put!(out, "<section aria-labelledby=\"grid\"><h2 id=\"grid\">Minute by minute</h2><ol class=\"grid\">");
    for (minute, tone) in &tones {
        put!(out, "<li class=\"");
        out.raw(tone.class());
        put!(out, "\"><span aria-hidden=\"true\">", { tone.mark() }, "</span> ", {
            minute.strftime("%H:%M")
        });
        put!(out, " <span class=\"unseen\">", { tone.words() }, "</span></li>");
    }
    put!(
        out,
        "</ol><p class=\"muted\">✓ in balance, ~ differences with a reason, ✕ differences to look into, "
    );
    put!(out, "· nothing came</p></section>");
}

fn differences(out: &mut Markup, differences: &[Difference]) {
    put!(out, "<section aria-labelledby=\"differences\"><h2 id=\"differences\">Differences</h2>");
    if differences.is_empty() {
        put!(out, "<p class=\"nothing\">None.</p></section>");
        return;
    }
    put!(out, "<ul class=\"differences\">");
    // Those to look into come first.
    let (explained, open): (Vec<_>, Vec<_>) =
        differences.iter().partition(|difference| difference.is_explained);
    for difference in open.into_iter().chain(explained).take(DIFFERENCES_MAX) {
        put!(out, "<li><h3>", { spaced(&difference.kind.as_str()) }, " ");
        if difference.is_explained {
            put!(out, [badge("warn", &"has a reason")]);
        } else {
            put!(out, [badge("bad", &"look into it")]);
        }
        put!(out, "</h3><p>");
        if let Some(minute) = difference.minute {
            put!(out, [stamp(minute)], " ");
        }
        put!(out, { difference.source.unwrap_or_default() }, " <b>", { whole(difference.count) }, "</b>: ");
        put!(out, { page::sentence(&difference.text) }, "</p>");
        ids(out, difference);
        put!(out, "</li>");
    }
    put!(out, "</ul></section>");
}

fn ids(out: &mut Markup, difference: &Difference) {
    if difference.ids.is_empty() {
        return;
    }
    put!(out, "<p class=\"mono ids\">");
    for id in difference.ids.iter().take(IDS_MAX) {
        put!(out, "<span>", { short(id, 100) }, "</span> ");
    }
    let more = difference.count.saturating_sub(IDS_MAX as u64);
    if more > 0 {
        put!(out, "and ", { whole(more) }, " more");
    }
    put!(out, "</p>");
}

fn minutes(out: &mut Markup, minutes: &[Minute]) {
    put!(out, "<section aria-labelledby=\"minutes\"><h2 id=\"minutes\">The counts</h2>");
    if minutes.is_empty() {
        put!(out, "<p class=\"nothing\">Nothing came in these minutes.</p></section>");
        return;
    }
    put!(
        out,
        "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"Counts\"><table class=\"tight\">"
    );
    put!(out, "<caption>Events by the minute of their arrival, newest first</caption><thead><tr>");
    put!(out, "<th scope=\"col\">Minute</th><th scope=\"col\">Source</th>");
    for name in ["Requests", "Acknowledged", "Landed", "Loaded", "Duplicate", "Rejected", "Dead", "Waiting"] {
        put!(out, "<th scope=\"col\" class=\"n\">", { name }, "</th>");
    }
    put!(out, "<th scope=\"col\">State</th></tr></thead><tbody>");
    for minute in minutes.iter().rev() {
        put!(out, "<tr><th scope=\"row\">", [stamp(minute.minute)], "</th><td>", { minute.source }, "</td>");
        let acknowledged = minute
            .acknowledged
            .as_ref()
            .map_or_else(|| "no receipt".to_owned(), |acknowledged| whole(acknowledged.count));
        let cells = [
            whole(minute.received),
            acknowledged,
            whole(minute.landed.count),
            whole(minute.loaded.count),
            whole(minute.duplicate),
            whole(minute.rejected_lines),
            whole(minute.dead_lettered.count),
            whole(minute.waiting),
        ];
        for cell in &cells {
            put!(out, "<td class=\"n\">", { cell }, "</td>");
        }
        let (tone, words) = if minute.is_clean { ("good", "in balance") } else { ("bad", "differs") };
        put!(out, "<td>", [badge(tone, &words)], "</td></tr>");
    }
    put!(out, "</tbody></table></div></section>");
}
