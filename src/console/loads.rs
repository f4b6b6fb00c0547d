//! *Loads*: the ledger of files, and the lines that were rejected.
//!
//! A rejected line's text is not shown: it holds whatever was wrong in a file, and that may be somebody's address.

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::Console;
use super::ask::{Given, Rows, ask, sought};
use super::dead_letters::here;
use super::fault::Fault;
use super::html::{Markup, badge, link, put};
use super::page::{self, Page, Tab, pager};
use super::params::{Params, address};
use super::words::{bytes, maybe_stamp, short, spaced, whole};

/// Files on a page.
const FILES_MAX: u64 = 50;
/// Rejected lines on a page.
const REJECTS_MAX: u64 = 50;
/// Pages that can be asked for.
const PAGES_MAX: u64 = 10_000;

/// Statuses of a file, as the ledger has them.
const STATUSES: [&str; 4] = ["loaded", "rejected", "duplicate", "superseded"];
/// Datasets: the parcels, and the shop's tables.
const DATASETS: [&str; 7] =
    ["tracking", "departments", "categories", "products", "customers", "orders", "order_items"];

const TOTALS: &str = "
select
  l.dataset, l.status, count(*) as files, cast(sum(l.lines) as bigint) as lines,
  cast(sum(l.inserted) as bigint) as inserted, cast(sum(l.duplicate) as bigint) as duplicate,
  cast(sum(l.conflict) as bigint) as conflict, cast(sum(l.rejected) as bigint) as rejected,
  max(l.loaded_at) as loaded_at
from raw.loaded_file as l
group by l.dataset, l.status
order by l.dataset, l.status";

const FILES: &str = "
select
  l.file, l.generation, l.dataset, l.status, l.lines, l.inserted, l.updated, l.unchanged, l.duplicate, l.conflict,
  l.waiting, l.rejected, l.bytes, l.landed_at, l.loaded_at
from raw.loaded_file as l
where {which}
order by l.loaded_at desc, l.file
limit {limit} offset {offset}";

const REJECTS: &str = "
select r.file, r.line, r.reason, r.column_name, r.dataset, r.status, r.rejected_at
from raw.rejected_row as r
where {which}
order by r.rejected_at desc, r.file, r.line
limit {limit}";

/// What is asked for.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    dataset: Option<&'a str>,
    status: Option<&'a str>,
    file: Option<&'a str>,
    page: u64,
}

impl<'a> Asked<'a> {
    fn of(params: &'a Params) -> Result<Asked<'a>, Fault> {
        let known = |name: &str, words: &[&str]| match params.get(name) {
            Some(word) if !words.contains(&word) => {
                Err(Fault::bad(format!("there is no {name} of that name: use one of {}", words.join(", "))))
            }
            word => Ok(word),
        };
        Ok(Asked {
            dataset: known("dataset", &DATASETS)?,
            status: known("status", &STATUSES)?,
            file: params.get("file").map(sought).transpose()?,
            page: params.number("page").unwrap_or(0).min(PAGES_MAX),
        })
    }

    /// The conditions on a table, and their values.
    fn which(&self, has_file_status: bool) -> (String, Vec<(&'static str, Given<'a>)>) {
        let mut conditions = vec!["1 = 1"];
        let mut values = Vec::new();
        if let Some(dataset) = self.dataset {
            conditions.push("dataset = {dataset}");
            values.push(("dataset", Given::Text(dataset)));
        }
        if let Some(status) = self.status
            && has_file_status
        {
            conditions.push("status = {status}");
            values.push(("status", Given::Text(status)));
        }
        if let Some(file) = self.file {
            conditions.push("file = {file}");
            values.push(("file", Given::Text(file)));
        }
        (conditions.join(" and "), values)
    }
}

struct Ledger {
    files: Rows,
    has_more: bool,
    rejects: Rows,
}

async fn ledger(console: &Console, asked: &Asked<'_>) -> Result<Ledger, Fault> {
    let (which, mut values) = asked.which(true);
    // One more than is shown tells whether there is another page.
    values.push(("limit", Given::Whole(FILES_MAX + 1)));
    values.push(("offset", Given::Whole(asked.page * FILES_MAX)));
    let mut files = ask(console, &FILES.replace("{which}", &which), &values).await?;
    let has_more = files.len() as u64 > FILES_MAX;
    files.truncate(FILES_MAX as usize);
    let (which, mut values) = asked.which(false);
    values.push(("limit", Given::Whole(REJECTS_MAX)));
    let rejects = ask(console, &REJECTS.replace("{which}", &which), &values).await?;
    Ok(Ledger { files, has_more, rejects })
}

/// The same for programs.
pub(super) async fn json(console: &Console, params: &Params) -> Result<Value, Fault> {
    let asked = Asked::of(params)?;
    let ledger = ledger(console, &asked).await?;
    Ok(json!({
        "page": asked.page,
        "has_more": ledger.has_more,
        "files": ledger.files.to_json(),
        "rejects": ledger.rejects.to_json(),
    }))
}

pub(super) async fn page(
    State(console): State<Console>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let params = Params::of(query.as_deref());
    let viewer = console.viewer(&headers, here("/loads", query.as_deref()));
    let content = content(&console, &params).await;
    page::answer(&viewer, &Page::still(Tab::Loads, "Loads"), content)
}

async fn content(console: &Console, params: &Params) -> Result<Markup, Fault> {
    let asked = Asked::of(params)?;
    let totals = ask(console, TOTALS, &[]).await?;
    let ledger = ledger(console, &asked).await?;
    let mut out = Markup::new();
    let (files, lines) = totals
        .iter()
        .fold((0, 0), |(files, lines), row| (files + row.whole("files"), lines + row.whole("lines")));
    put!(out, "<div class=\"title\"><h1>Loads</h1><p class=\"lead\">", { whole(files) }, " files with ");
    put!(out, { whole(lines) }, " lines are in the ledger.</p></div>");
    sums(&mut out, &totals);
    filters(&mut out, &asked);
    table(&mut out, &ledger.files);
    let pairs = [
        ("dataset", asked.dataset.unwrap_or_default()),
        ("status", asked.status.unwrap_or_default()),
        ("file", asked.file.unwrap_or_default()),
    ];
    pager(&mut out, "/loads", &pairs, asked.page, ledger.has_more);
    rejects(&mut out, &ledger.rejects);
    Ok(out)
}

fn sums(out: &mut Markup, totals: &Rows) {
    put!(
        out,
        "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"Totals\"><table class=\"tight\">"
    );
    put!(out, "<caption>By dataset and status</caption><thead><tr><th scope=\"col\">Dataset</th>");
    put!(out, "<th scope=\"col\">Status</th>");
    for name in ["Files", "Lines", "New", "Duplicate", "Conflict", "Rejected"] {
        put!(out, "<th scope=\"col\" class=\"n\">", { name }, "</th>");
    }
    put!(out, "<th scope=\"col\">Last</th></tr></thead><tbody>");
    for row in totals.iter() {
        let (dataset, status) = (row.text("dataset"), row.text("status"));
        let href = address("/loads", &[("dataset", &dataset), ("status", &status)]);
        put!(
            out,
            "<tr><th scope=\"row\">",
            [link(&href, &dataset)],
            "</th><td>",
            [status_badge(&status)],
            "</td>"
        );
        for column in ["files", "lines", "inserted", "duplicate", "conflict", "rejected"] {
            put!(out, "<td class=\"n\">", { whole(row.whole(column)) }, "</td>");
        }
        put!(out, "<td>", [maybe_stamp(row.instant("loaded_at"))], "</td></tr>");
    }
    put!(out, "</tbody></table></div>");
}

fn status_badge(status: &str) -> Markup {
    let tone = match status {
        "loaded" => "good",
        "rejected" => "bad",
        _ => "calm",
    };
    badge(tone, &status)
}

fn choice(out: &mut Markup, name: &'static str, label: &'static str, words: &[&str], chosen: Option<&str>) {
    put!(
        out,
        "<p><label for=\"",
        { name },
        "\">",
        { label },
        "</label><select id=\"",
        { name },
        "\" name=\""
    );
    put!(out, { name }, "\"><option value=\"\">any</option>");
    for word in words {
        put!(out, "<option value=\"", { word }, "\"");
        if chosen == Some(*word) {
            put!(out, " selected");
        }
        put!(out, ">", { spaced(word) }, "</option>");
    }
    put!(out, "</select></p>");
}

fn filters(out: &mut Markup, asked: &Asked<'_>) {
    put!(out, "<form class=\"filters\" role=\"search\" aria-label=\"Files\" action=\"/loads\">");
    choice(out, "dataset", "Dataset", &DATASETS, asked.dataset);
    choice(out, "status", "Status", &STATUSES, asked.status);
    put!(
        out,
        "<p class=\"grow\"><label for=\"file\">File</label><input id=\"file\" name=\"file\" maxlength=\"200\" "
    );
    put!(out, "value=\"", { asked.file.unwrap_or_default() }, "\"></p><p><button>Filter</button> ");
    put!(out, "<a href=\"/loads\">Clear</a></p></form>");
}

fn table(out: &mut Markup, files: &Rows) {
    put!(out, "<section aria-labelledby=\"files\"><h2 id=\"files\">Files</h2>");
    if files.is_empty() {
        put!(out, "<p class=\"nothing\">No file of that kind is in the ledger.</p></section>");
        return;
    }
    put!(out, "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"Files\"><table><caption>");
    put!(
        out,
        "Newest first; lines are the sum of what follows them</caption><thead><tr><th scope=\"col\">File</th>"
    );
    put!(out, "<th scope=\"col\">Dataset</th><th scope=\"col\">Status</th>");
    let columns = ["Lines", "New", "Updated", "Unchanged", "Duplicate", "Conflict", "Waiting", "Rejected"];
    for name in columns {
        put!(out, "<th scope=\"col\" class=\"n\">", { name }, "</th>");
    }
    put!(out, "<th scope=\"col\" class=\"n\">Size</th><th scope=\"col\">Loaded</th></tr></thead><tbody>");
    for row in files.iter() {
        let file = row.text("file");
        let href = address("/loads", &[("file", &file)]);
        put!(
            out,
            "<tr><th scope=\"row\"><a class=\"mono\" href=\"",
            { href },
            "\">",
            { brief(&file) },
            "</a></th><td>"
        );
        put!(out, { row.text("dataset") }, "</td><td>", [status_badge(&row.text("status"))], "</td>");
        let columns =
            ["lines", "inserted", "updated", "unchanged", "duplicate", "conflict", "waiting", "rejected"];
        for column in columns {
            put!(out, "<td class=\"n\">", { whole(row.whole(column)) }, "</td>");
        }
        let size = row.whole("bytes");
        put!(out, "<td class=\"n\">", { if size > 0 { bytes(size) } else { String::new() } }, "</td><td>");
        put!(out, [maybe_stamp(row.instant("loaded_at"))], "</td></tr>");
    }
    put!(out, "</tbody></table></div></section>");
}

/// The end of a key tells files of a minute apart, and its folders say when.
fn brief(file: &str) -> String {
    match file.rsplit_once('/') {
        Some((folder, name)) if file.chars().count() > 60 => {
            format!("{folder}/{}", short(name, 14))
        }
        _ => file.to_owned(),
    }
}

fn rejects(out: &mut Markup, rows: &Rows) {
    put!(out, "<section aria-labelledby=\"rejects\"><h2 id=\"rejects\">Rejected lines</h2>");
    if rows.is_empty() {
        put!(out, "<p class=\"nothing\">No line of these files was rejected.</p></section>");
        return;
    }
    put!(
        out,
        "<p>Their text may tell of a person and is not shown here: <code>waybill rejects show ID</code> "
    );
    put!(out, "does, and <code>waybill rejects replay</code> loads them once they are repaired.</p>");
    put!(
        out,
        "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"Rejected lines\"><table><caption>"
    );
    put!(out, "Newest first, at most ", { REJECTS_MAX }, "</caption><thead><tr><th scope=\"col\">File</th>");
    put!(
        out,
        "<th scope=\"col\" class=\"n\">Line</th><th scope=\"col\">Reason</th><th scope=\"col\">Column</th>"
    );
    put!(out, "<th scope=\"col\">State</th><th scope=\"col\">Rejected</th></tr></thead><tbody>");
    for row in rows.iter() {
        let file = row.text("file");
        let href = address("/loads", &[("file", &file)]);
        put!(out, "<tr><th scope=\"row\"><a class=\"mono\" href=\"", { href }, "\">", { brief(&file) });
        put!(out, "</a></th><td class=\"n\">", { row.text("line") }, "</td><td>", {
            spaced(&row.text("reason"))
        });
        put!(out, "</td><td>", { row.text("column_name") }, "</td><td>", { row.text("status") }, "</td><td>");
        put!(out, [maybe_stamp(row.instant("rejected_at"))], "</td></tr>");
    }
    put!(out, "</tbody></table></div></section>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_words_are_asked_for() {
        let params = Params::read("dataset=orders&status=loaded&page=3");
        let asked = Asked::of(&params).expect("good");
        assert_eq!((asked.dataset, asked.status, asked.page), (Some("orders"), Some("loaded"), 3));
        assert_eq!(asked.which(false).0, "1 = 1 and dataset = {dataset}");

        let wrong = Params::read("status=lost");
        assert!(Asked::of(&wrong).expect_err("refused").message.contains("superseded"));
    }

    #[test]
    fn a_long_key_keeps_its_folders() {
        let file = format!("events/dt=2026-07-09/hour=12/minute=00/{}.jsonl.zst", "a".repeat(64));

        assert_eq!(brief(&file), "events/dt=2026-07-09/hour=12/minute=00/aaaaaaaaaaaaa…");
        assert_eq!(brief("orders/2026-07-09.csv"), "orders/2026-07-09.csv");
    }
}
