//! *Pipeline*: how events flow right now, stage by stage, and how fresh the facts are against the target.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;

use crate::ops::health::Condition;

use super::Console;
use super::chart::{self, Named};
use super::history::Minute;
use super::html::{Markup, badge, put, term, text};
use super::overview::Overview;
use super::page::{self, Page, Tab};
use super::words::{ago, maybe, maybe_seconds, number, seconds, spaced, stamp, whole};

pub(super) async fn page(State(console): State<Console>, headers: HeaderMap) -> Response {
    let overview = Overview::of(&console, Timestamp::now());
    let viewer = console.viewer(&headers, "/".to_owned());
    let (_, says) = overview.says();
    let page = Page { tab: Tab::Pipeline, title: "Pipeline", refresh: Some(5), says: Some(says) };
    page::answer(&viewer, &page, Ok(content(&overview)))
}

fn content(overview: &Overview) -> Markup {
    let mut out = Markup::new();
    put!(out, "<div class=\"title\"><h1>Pipeline</h1><p class=\"lead\">", { overview.says().0 }, "</p>");
    put!(
        out,
        "<p class=\"now\" id=\"refresh\">As of ",
        [stamp(overview.at)],
        " <a href=\"/\">Reload</a></p></div>"
    );
    flow(&mut out, overview);
    put!(out, "<div class=\"pair\">");
    freshness(&mut out, overview);
    components(&mut out, overview);
    put!(out, "</div>");
    hour(&mut out, overview);
    put!(out, "<div class=\"pair\">");
    canary(&mut out, overview);
    aws(&mut out, overview);
    put!(out, "</div>");
    out
}

fn flow(out: &mut Markup, overview: &Overview) {
    const IDS: [&str; 6] = ["s-receive", "s-queue", "s-batch", "s-lake", "s-load", "s-warehouse"];
    put!(out, "<section aria-labelledby=\"flow\"><h2 class=\"unseen\" id=\"flow\">The path of an event</h2>");
    put!(out, "<ol class=\"flow\">");
    for (stage, id) in overview.stages.iter().zip(IDS) {
        put!(out, "<li><h3>", { stage.name }, " ");
        if let Some(worst) = worst(&overview.conditions, stage.components) {
            let tone = if worst.status == "not_ready" { "bad" } else { "warn" };
            put!(out, [badge(tone, &spaced(&worst.status))]);
        }
        put!(out, "</h3><p class=\"muted\">", { stage.about }, "</p>");
        match &stage.main {
            Some((value, unit)) => {
                put!(out, "<p class=\"big\"><b>", { value }, "</b> ", { unit }, "</p>");
                let says = format!("{} over the last hour, minute by minute", stage.name);
                put!(
                    out,
                    [chart::spark(Named { id, title: stage.name, says: &says }, &stage.minutes)],
                    "<dl>"
                );
                for &(name, ref value) in &stage.facts {
                    term(out, name, &text(value));
                }
                put!(out, "</dl>");
            }
            None => put!(out, "<p class=\"nothing\">Not in this process, or nothing yet.</p>"),
        }
        put!(out, "</li>");
    }
    put!(out, "</ol></section>");
}

/// The component that fails most of those that a stage depends on.
fn worst<'a>(conditions: &'a [Condition], components: &[&str]) -> Option<&'a Condition> {
    let failing =
        conditions.iter().filter(|one| one.status != "ready" && components.contains(&one.component));
    failing.max_by_key(|one| one.status == "not_ready")
}

fn freshness(out: &mut Markup, overview: &Overview) {
    let fresh = &overview.freshness;
    put!(
        out,
        "<section aria-labelledby=\"fresh\"><h2 id=\"fresh\">Freshness</h2><table class=\"tight\"><caption>"
    );
    put!(out, "From acknowledged to queryable, last 5 minutes; target ", { seconds(fresh.target) });
    put!(out, "</caption><thead><tr><th scope=\"col\">Events</th><th scope=\"col\" class=\"n\">within</th>");
    put!(out, "<th scope=\"col\">of the target</th></tr></thead><tbody>");
    let rows = [
        ("half of all", "g-50", fresh.p50),
        ("95 of 100", "g-95", fresh.p95),
        ("99 of 100", "g-99", fresh.p99),
    ];
    for (name, id, value) in rows {
        put!(
            out,
            "<tr><th scope=\"row\">",
            { name },
            "</th><td class=\"n\">",
            { maybe_seconds(value) },
            "</td><td>"
        );
        if let Some(value) = value {
            let says = format!("{} of {}", seconds(value), seconds(fresh.target));
            put!(out, [chart::gauge(Named { id, title: name, says: &says }, value, fresh.target)], " ");
            let (tone, word) = if value <= fresh.target { ("good", "within") } else { ("bad", "over") };
            put!(out, [badge(tone, &word)]);
        }
        put!(out, "</td></tr>");
    }
    put!(
        out,
        "</tbody></table><p>Oldest event on its way: <b>",
        { maybe_seconds(fresh.oldest) },
        "</b></p></section>"
    );
}

fn components(out: &mut Markup, overview: &Overview) {
    put!(
        out,
        "<section aria-labelledby=\"parts\"><h2 id=\"parts\">Components</h2><table class=\"tight\"><caption>"
    );
    put!(out, "Last signed request: ");
    match overview.last_signed_at {
        Some(at) => put!(out, { ago(at, overview.at) }),
        None => put!(out, "none yet"),
    }
    put!(out, "</caption><thead><tr><th scope=\"col\">Component</th><th scope=\"col\">State</th>");
    put!(out, "<th scope=\"col\">Why</th></tr></thead><tbody>");
    for condition in &overview.conditions {
        let tone = match condition.status {
            "ready" => "good",
            "degraded" => "warn",
            _ => "bad",
        };
        put!(out, "<tr><th scope=\"row\">", { condition.component }, "</th><td>");
        put!(out, [badge(tone, &spaced(&condition.status))], "</td><td>");
        put!(out, { condition.reason.as_deref().unwrap_or_default() });
        if let Some(since) = condition.since {
            put!(out, " <span class=\"muted\">since ", [stamp(since)], "</span>");
        }
        put!(out, "</td></tr>");
    }
    if overview.conditions.is_empty() {
        put!(out, "<tr><td colspan=\"3\">None has told anything yet.</td></tr>");
    }
    put!(out, "</tbody></table></section>");
}

fn hour(out: &mut Markup, overview: &Overview) {
    let minutes = &overview.minutes;
    let kept = overview.reach.map_or(0, |reach| reach.as_secs() / 60).min(60);
    put!(
        out,
        "<section aria-labelledby=\"hour\"><h2 id=\"hour\">The last ",
        { kept.max(1) },
        " minutes</h2>"
    );
    put!(out, "<div class=\"smalls\">");
    type OfMinute = fn(&Minute) -> Option<f64>;
    let charts: [(&str, &str, OfMinute); 5] = [
        ("h-received", "Received a second", |minute| minute.received),
        ("h-waiting", "Waiting in the queue", |minute| minute.queued),
        ("h-loaded", "Loaded a second", |minute| minute.loaded),
        ("h-p99", "Freshness, p99 in s", |minute| minute.p99),
        ("h-dead", "Dead letters a minute", |minute| minute.dead),
    ];
    for (id, title, of) in charts {
        let values: Vec<Option<f64>> = minutes.iter().map(of).collect();
        let most = values.iter().flatten().fold(0.0_f64, |most, value| most.max(*value));
        let last = maybe(values.last().copied().flatten());
        let says = format!("now {last}, at most {}", number(most));
        put!(out, "<figure><figcaption>", { title }, " <b>", { last }, "</b> <span class=\"muted\">at most ");
        put!(
            out,
            { number(most) },
            "</span></figcaption>",
            [chart::spark(Named { id, title, says: &says }, &values)]
        );
        put!(out, "</figure>");
    }
    put!(out, "</div><details id=\"minutes\"><summary>The numbers behind these charts</summary>");
    put!(
        out,
        "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"Minute by minute\"><table><caption>"
    );
    put!(out, "Minute by minute, newest first</caption><thead><tr><th scope=\"col\">Until</th>");
    for (_, title, _) in charts {
        put!(out, "<th scope=\"col\" class=\"n\">", { title }, "</th>");
    }
    put!(out, "</tr></thead><tbody>");
    for minute in minutes.iter().rev() {
        put!(out, "<tr><th scope=\"row\">", [stamp(minute.until)], "</th>");
        for (_, _, of) in charts {
            put!(out, "<td class=\"n\">", { maybe(of(minute)) }, "</td>");
        }
        put!(out, "</tr>");
    }
    put!(out, "</tbody></table></div></details></section>");
}

fn canary(out: &mut Markup, overview: &Overview) {
    let [found, refused, lost] = overview.canaries;
    put!(out, "<section aria-labelledby=\"canary\"><h2 id=\"canary\">Canary</h2>");
    if found.is_none() {
        put!(out, "<p class=\"nothing\">This process sends none.</p></section>");
        return;
    }
    put!(out, "<p>A signed event of our own, sent through the public door and looked for in the facts.</p>");
    put!(out, "<dl class=\"facts\">");
    term(out, "Found", &text(&maybe(found)));
    term(out, "Refused", &text(&maybe(refused)));
    term(out, "Lost", &text(&maybe(lost)));
    term(out, "Took, p99 of the hour", &text(&maybe_seconds(overview.canary_p99)));
    put!(out, "</dl></section>");
}

fn aws(out: &mut Markup, overview: &Overview) {
    put!(out, "<section aria-labelledby=\"aws\"><h2 id=\"aws\">AWS requests</h2>");
    match overview.aws_per_million {
        Some(requests) => {
            put!(out, "<p class=\"big\"><b>", { whole(requests.max(0.0).round() as u64) });
            put!(out, "</b> for a million events, by the last hour</p></section>");
        }
        None => put!(out, "<p class=\"nothing\">Nothing was asked of SQS or S3.</p></section>"),
    }
}
