//! *Trackings*: one parcel, what happened to it, what it carries, and the way of each of its events through Waybill.

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;

use crate::lake::dead_letter::Listed;

use super::Console;
use super::ask::{Row, Rows};
use super::chart::{Named, Stop, way};
use super::dead_letters::here;
use super::fault::Fault;
use super::html::{Markup, badge, link, put, term, text};
use super::page::{self, Page, Tab};
use super::params::{Params, address};
use super::search::{Detail, EVENTS_MAX, latest, search};
use super::words::{count, maybe_stamp, money, seconds, short, stamp, whole};

pub(super) async fn page(
    State(console): State<Console>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let params = Params::of(query.as_deref());
    let viewer = console.viewer(&headers, here("/trackings", query.as_deref()));
    let content = content(&console, params.get("find")).await;
    page::answer(&viewer, &Page::still(Tab::Trackings, "Trackings"), content)
}

async fn content(console: &Console, find: Option<&str>) -> Result<Markup, Fault> {
    let mut out = Markup::new();
    put!(out, "<div class=\"title\"><h1>Trackings</h1></div><form class=\"filters\" role=\"search\" ");
    put!(
        out,
        "aria-label=\"Trackings\" action=\"/trackings\"><p class=\"grow\"><label for=\"find\">Tracking number, "
    );
    put!(
        out,
        "order or event id</label><input id=\"find\" name=\"find\" type=\"search\" maxlength=\"200\" value=\""
    );
    put!(out, { find.unwrap_or_default() }, "\"></p><p><button>Find</button></p></form>");
    let Some(find) = find else {
        recent(&mut out, console).await?;
        return Ok(out);
    };
    let found = search(console, find).await?;
    if let Some(key) = &found.event_key {
        put!(out, "<p>Event <span class=\"mono\">", { key }, "</span> is about this parcel:</p>");
    }
    match (&found.detail, found.parcels.first()) {
        (Some(detail), Some(parcel)) => one(&mut out, &parcel, detail, found.event_key.as_deref()),
        _ if !found.parcels.is_empty() => {
            let caption = count(found.parcels.len(), "parcel", "parcels");
            parcels(&mut out, &found.parcels, &caption);
        }
        _ if found.letters.is_empty() => {
            put!(
                out,
                "<p class=\"nothing\">Nothing in the warehouse has that name, and no dead letter that key. "
            );
            put!(out, "It may still be on its way: look at the <a href=\"/\">pipeline</a>.</p>");
        }
        _ => {}
    }
    dead_letters(&mut out, &found.letters);
    Ok(out)
}

async fn recent(out: &mut Markup, console: &Console) -> Result<(), Fault> {
    let rows = latest(console).await?;
    if rows.is_empty() {
        put!(out, "<p class=\"nothing\">There is no parcel in the warehouse yet.</p>");
        return Ok(());
    }
    parcels(out, &rows, "The latest news");
    Ok(())
}

fn to_parcel(row: &Row<'_>) -> Markup {
    let (id, number) = (row.text("tracking_id"), row.text("tracking_number"));
    let words = if number.is_empty() { &id } else { &number };
    link(&address("/trackings", &[("find", &id)]), &short(words, 40))
}

fn parcels(out: &mut Markup, rows: &Rows, caption: &str) {
    put!(out, "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"Parcels\"><table><caption>");
    put!(
        out,
        { caption },
        "</caption><thead><tr><th scope=\"col\">Tracking</th><th scope=\"col\">Courier</th>"
    );
    put!(out, "<th scope=\"col\">Status</th><th scope=\"col\">Order</th><th scope=\"col\">Updated</th>");
    put!(out, "<th scope=\"col\" class=\"n\">Checkpoints</th></tr></thead><tbody>");
    for row in rows.iter() {
        put!(
            out,
            "<tr><th scope=\"row\">",
            [to_parcel(&row)],
            "</th><td>",
            { row.text("courier") },
            "</td><td>"
        );
        put!(out, [tag(&row.text("tag"))], "</td><td>", { short(&order(&row), 40) }, "</td><td>");
        put!(out, [maybe_stamp(row.instant("updated_at"))], "</td><td class=\"n\">");
        put!(out, { whole(row.whole("checkpoint_count")) }, "</td></tr>");
    }
    put!(out, "</tbody></table></div>");
}

fn order(row: &Row<'_>) -> String {
    let number = row.text("order_number");
    if number.is_empty() { row.text("order_id") } else { number }
}

/// A status as AfterShip writes it.
fn tag(tag: &str) -> Markup {
    badge(tone(tag), &if tag.is_empty() { "–" } else { tag })
}

fn tone(tag: &str) -> &'static str {
    match tag {
        "Delivered" => "good",
        "Exception" | "AttemptFail" | "Expired" => "warn",
        _ => "calm",
    }
}

fn one(out: &mut Markup, parcel: &Row<'_>, detail: &Detail, event_key: Option<&str>) {
    let number = parcel.text("tracking_number");
    put!(out, "<section aria-labelledby=\"parcel\"><h2 id=\"parcel\"><span class=\"mono\">");
    put!(out, { if number.is_empty() { parcel.text("tracking_id") } else { number } }, "</span> ");
    put!(out, [tag(&parcel.text("tag"))]);
    if parcel.is("is_test") {
        put!(out, " ", [badge("calm", &"test")]);
    }
    put!(out, "</h2><dl class=\"facts\">");
    let (from, to) = (parcel.text("origin_country"), parcel.text("destination_country"));
    let rows: [(&'static str, String); 8] = [
        ("Tracking id", parcel.text("tracking_id")),
        ("Courier", parcel.text("courier")),
        ("Status", parcel.text("subtag_message")),
        ("Order", order(parcel)),
        ("From, to", format!("{from} – {to}")),
        ("Estimated", parcel.text("estimated_delivery_text")),
        ("Promised", parcel.text("promised_delivery_text")),
        ("On time", parcel.text("on_time_status")),
    ];
    for (name, value) in rows.into_iter().filter(|(_, value)| !value.is_empty()) {
        term(out, name, &text(&value));
    }
    for (name, column) in [("Updated", "updated_at"), ("Delivered", "delivered_at")] {
        if let Some(at) = parcel.instant(column) {
            term(out, name, &stamp(at));
        }
    }
    put!(out, "</dl></section>");
    timeline(out, &detail.checkpoints);
    events(out, parcel, &detail.events, event_key);
    lines(out, &detail.lines);
    if !detail.others.is_empty() {
        put!(out, "<section aria-labelledby=\"others\"><h2 id=\"others\">Other parcels of the order</h2>");
        parcels(out, &detail.others, "Of the same order id or number");
        put!(out, "</section>");
    }
}

fn timeline(out: &mut Markup, checkpoints: &Rows) {
    put!(out, "<section aria-labelledby=\"way\"><h2 id=\"way\">Checkpoints</h2>");
    if checkpoints.is_empty() {
        put!(out, "<p class=\"nothing\">None yet.</p></section>");
        return;
    }
    let stops: Vec<Stop> = checkpoints
        .iter()
        .filter_map(|row| {
            let tag = row.text("tag");
            let at = row.instant("checkpoint_at")?;
            let says = format!("{} {tag}", at.strftime("%Y-%m-%d %H:%M"));
            Some(Stop { second: at.as_second() as f64, says, tone: tone(&tag) })
        })
        .collect();
    if stops.len() > 1 {
        let says = format!("{}, listed below", count(checkpoints.len(), "checkpoint", "checkpoints"));
        put!(out, [way(Named { id: "w-way", title: "Checkpoints over time", says: &says }, &stops)]);
    }
    put!(out, "<ol class=\"way-list\">");
    for row in checkpoints.iter() {
        put!(out, "<li><p>", [tag(&row.text("tag"))], " ");
        match row.instant("checkpoint_at") {
            Some(at) => put!(out, [stamp(at)]),
            // A time without an offset is no instant.
            None => put!(
                out,
                { row.text("checkpoint_time_text") },
                " <span class=\"muted\">courier's clock</span>"
            ),
        }
        let (message, label) = (row.text("message"), row.text("subtag_message"));
        put!(out, "</p><p>", { if message.is_empty() { label } else { message } });
        put!(
            out,
            " <span class=\"muted\">",
            { row.text("location") },
            " ",
            { row.text("courier") },
            "</span></p></li>"
        );
    }
    put!(out, "</ol></section>");
}

/// The way of each event: request, queue, object, row, fact.
fn events(out: &mut Markup, parcel: &Row<'_>, events: &Rows, event_key: Option<&str>) {
    put!(
        out,
        "<section aria-labelledby=\"events\"><h2 id=\"events\">Events, hop by hop</h2><ol class=\"hops\">"
    );
    let newest = parcel.text("body_sha256");
    for row in events.iter() {
        let key = row.text("event_key");
        let (received_at, landed_at) = (row.instant("received_at"), row.instant("landed_at"));
        put!(out, "<li><h3><span class=\"mono\">", { short(&key, 13) }, "</span> ", { row.text("event") });
        if event_key == Some(key.as_str()) {
            put!(out, " ", [badge("good", &"the one you look for")]);
        }
        put!(out, "</h3><ol class=\"hop\"><li><b>Request</b> ", { row.text("source") }, " ");
        put!(out, [maybe_stamp(received_at)]);
        let replay = row.text("replay_id");
        if !replay.is_empty() {
            put!(out, " <span class=\"muted\">sent again by replay ", { short(&replay, 13) }, "</span>");
        }
        put!(out, "</li><li><b>Queue</b> ", { stretch(received_at, landed_at) }, "</li><li><b>Object</b> ");
        put!(out, "<span class=\"mono\">", { row.text("file") }, "</span> line ", { row.text("line") }, " ");
        put!(out, [maybe_stamp(landed_at)], "</li><li><b>Row</b> ");
        if row.is("is_conflict") {
            put!(out, [badge("warn", &"conflict")], " another body under a known key ");
        }
        put!(out, [maybe_stamp(row.instant("loaded_at"))], "</li><li><b>Fact</b> ");
        if row.text("body_sha256") == newest {
            put!(out, [badge("good", &"shown")], " the parcel is as this event says");
        } else {
            put!(out, [badge("calm", &"older")], " the parcel has newer news");
        }
        put!(out, "</li></ol></li>");
    }
    put!(out, "</ol>");
    if events.len() as u64 == EVENTS_MAX {
        put!(out, "<p class=\"muted\">The newest ", { EVENTS_MAX }, " are shown.</p>");
    }
    put!(out, "</section>");
}

/// How long an event waited before it landed.
fn stretch(received_at: Option<Timestamp>, landed_at: Option<Timestamp>) -> String {
    match (received_at, landed_at) {
        (Some(from), Some(to)) => {
            format!("{} until it landed", seconds(to.duration_since(from).as_secs_f64()))
        }
        _ => "–".to_owned(),
    }
}

fn lines(out: &mut Markup, rows: &Rows) {
    put!(out, "<section aria-labelledby=\"lines\"><h2 id=\"lines\">Order lines in this parcel</h2>");
    if rows.is_empty() {
        put!(out, "<p class=\"nothing\">No order of the shop is joined to it.</p></section>");
        return;
    }
    put!(
        out,
        "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"Order lines\"><table><caption>"
    );
    put!(out, { count(rows.len(), "line", "lines") }, "</caption><thead><tr><th scope=\"col\">Line</th>");
    put!(
        out,
        "<th scope=\"col\">Order</th><th scope=\"col\">Product</th><th scope=\"col\" class=\"n\">Quantity</th>"
    );
    put!(out, "<th scope=\"col\" class=\"n\">Amount</th><th scope=\"col\">Order's status</th>");
    put!(out, "<th scope=\"col\">Joined by</th></tr></thead><tbody>");
    for row in rows.iter() {
        put!(out, "<tr><th scope=\"row\">", { row.text("order_item_id") }, "</th><td>", {
            row.text("order_id")
        });
        put!(out, " <span class=\"muted\">", { row.text("order_date") }, "</span></td><td>");
        put!(out, { row.text("product_name") }, "</td><td class=\"n\">", { row.text("quantity") });
        put!(
            out,
            "</td><td class=\"n\">",
            { row.real("line_amount").map_or_else(String::new, money) },
            "</td><td>"
        );
        put!(out, { row.text("order_status") }, "</td><td>", { row.text("link_source") }, "</td></tr>");
    }
    put!(out, "</tbody></table></div></section>");
}

fn dead_letters(out: &mut Markup, listed: &[Listed]) {
    if listed.is_empty() {
        return;
    }
    put!(out, "<section aria-labelledby=\"dead\"><h2 id=\"dead\">Dead letters of this event</h2><ul>");
    for one in listed {
        let href = format!("/dead-letters/{}", one.letter.id);
        put!(
            out,
            "<li>",
            [link(&href, &short(&one.letter.id, 13))],
            " ",
            { one.letter.reason.as_str() },
            ", "
        );
        put!(out, { one.state() }, ", ", [stamp(one.letter.received_at)], "</li>");
    }
    put!(out, "</ul></section>");
}
