//! What every page has: head, way around, the place for what it is about, foot.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::fault::Fault;
use super::html::{Markup, put};
use super::params::address;
use super::session::Actor;

/// The pages that the way around leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Pipeline,
    DeadLetters,
    Trackings,
    Loads,
    Reconciliation,
    Sales,
    /// The login.
    Login,
}

/// In the order of the way around.
const TABS: [(Tab, &str, &str); 6] = [
    (Tab::Pipeline, "/", "Pipeline"),
    (Tab::DeadLetters, "/dead-letters", "Dead letters"),
    (Tab::Trackings, "/trackings", "Trackings"),
    (Tab::Loads, "/loads", "Loads"),
    (Tab::Reconciliation, "/reconciliation", "Reconciliation"),
    (Tab::Sales, "/sales", "Sales"),
];

/// Who looks at a page, and from where.
#[derive(Debug, Clone)]
pub(super) struct Viewer {
    pub(super) actor: Actor,
    /// Of the page itself, to come back to after the login.
    pub(super) here: String,
}

/// What stands on a page beside its content.
#[derive(Debug, Clone)]
pub(super) struct Page<'a> {
    pub(super) tab: Tab,
    pub(super) title: &'a str,
    /// Seconds after which the page's content is asked for again, by script.
    pub(super) refresh: Option<u32>,
    /// One sentence about how things stand; when it changes it is read out.
    pub(super) says: Option<&'a str>,
}

impl<'a> Page<'a> {
    /// One that stays as it is.
    pub(super) fn still(tab: Tab, title: &'a str) -> Page<'a> {
        Page { tab, title, refresh: None, says: None }
    }
}

/// A page with its content, or with why there is none.
pub(super) fn answer(viewer: &Viewer, page: &Page<'_>, content: Result<Markup, Fault>) -> Response {
    match content {
        Ok(content) => respond(StatusCode::OK, whole(viewer, page, &content)),
        Err(fault) => refused(viewer, page, &fault),
    }
}

/// A page that says what could not be done.
pub(super) fn refused(viewer: &Viewer, page: &Page<'_>, fault: &Fault) -> Response {
    let mut out = Markup::new();
    put!(out, "<h1>", { page.title }, "</h1><section class=\"notice bad\" role=\"alert\"><h2>");
    out.raw(match fault.code {
        "not_here" => "Not in this process",
        "unauthorized" => "The token is needed",
        "too_slow" => "Too slow",
        "busy" => "Busy",
        _ => "Not done",
    });
    put!(out, "</h2><p>", { sentence(&fault.message) }, "</p>");
    if let Some(hint) = fault.hint {
        put!(out, "<p>", { sentence(hint) }, "</p>");
    }
    if fault.code == "unauthorized" {
        put!(
            out,
            "<p><a class=\"button\" href=\"",
            { login(&viewer.here) },
            "\">Sign in with the token</a></p>"
        );
    }
    put!(out, "</section>");
    let page = Page { refresh: None, says: None, ..page.clone() };
    respond(fault.status, whole(viewer, &page, &out))
}

/// Errors are written without a capital and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else { return String::new() };
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{}{end}", first.to_uppercase(), letters.as_str())
}

/// Where to sign in and come back from.
pub(super) fn login(here: &str) -> String {
    address("/login", &[("next", here)])
}

/// To another page of ours, with GET.
pub(super) fn see_other(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, path.to_owned())]).into_response()
}

fn respond(status: StatusCode, page: Markup) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.into_string()).into_response()
}

fn whole(viewer: &Viewer, page: &Page<'_>, content: &Markup) -> Markup {
    let mut out = Markup::new();
    put!(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    put!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    put!(out, "<meta name=\"color-scheme\" content=\"light dark\">");
    put!(out, "<title>", { page.title }, " · Waybill</title>");
    put!(out, "<link rel=\"icon\" href=\"/assets/icon.svg\" type=\"image/svg+xml\">");
    put!(out, "<link rel=\"stylesheet\" href=\"/assets/console.css\">");
    put!(out, "<script src=\"/assets/console.js\" defer></script></head><body>");
    put!(out, "<a class=\"skip\" href=\"#main\">Skip to the content</a>");
    head(&mut out, viewer, page);
    put!(out, "<p class=\"unseen\" role=\"status\" id=\"said\"></p><main id=\"main\" tabindex=\"-1\"");
    if let Some(seconds) = page.refresh {
        put!(out, " data-refresh=\"", { seconds }, "\"");
    }
    if let Some(says) = page.says {
        put!(out, " data-says=\"", { says }, "\"");
    }
    put!(out, ">", [*content], "</main><footer class=\"foot\"><p>Waybill ", { env!("CARGO_PKG_VERSION") });
    put!(
        out,
        ". All times are UTC.</p><p><a href=\"/metrics\">Metrics</a> <a href=\"/readyz\">Readiness</a>"
    );
    put!(out, "</p></footer></body></html>\n");
    out
}

fn head(out: &mut Markup, viewer: &Viewer, page: &Page<'_>) {
    put!(
        out,
        "<header class=\"head\"><a class=\"brand\" href=\"/\"><svg aria-hidden=\"true\" viewBox=\"0 0 28 28\">"
    );
    put!(
        out,
        "<path d=\"M3 5h22v18H3z\"/><path d=\"M7 10v8M10 10v8M12.5 10v8M16 10v8M18 10v8M21 10v8\"/></svg>"
    );
    put!(out, "Waybill</a><nav aria-label=\"Console\"><ul>");
    for (tab, path, name) in TABS {
        put!(out, "<li><a href=\"", { path }, "\"");
        if tab == page.tab {
            put!(out, " aria-current=\"page\"");
        }
        put!(out, ">", { name }, "</a></li>");
    }
    put!(out, "</ul></nav><div class=\"who\">");
    match &viewer.actor {
        Actor::Session { name, csrf } => {
            put!(
                out,
                "<form method=\"post\" action=\"/logout\"><input type=\"hidden\" name=\"csrf\" value=\""
            );
            put!(out, { csrf }, "\"><span>", { name.as_deref().unwrap_or("Signed in") }, "</span> ");
            put!(out, "<button class=\"plain\">Sign out</button></form>");
        }
        Actor::Demo { .. } => put!(out, "<span>Demo</span>"),
        Actor::Token => put!(out, "<span>By token</span>"),
        Actor::Nobody if page.tab == Tab::Login => {}
        Actor::Nobody => put!(out, "<a href=\"", { login(&viewer.here) }, "\">Sign in</a>"),
    }
    put!(out, "</div></header>");
}

/// Begins a form that does something: it carries what only our pages know, and asks for a reason.
pub(super) fn act(out: &mut Markup, viewer: &Viewer, action: &str, hidden: &[(&'static str, &str)]) -> bool {
    let Some(csrf) = viewer.actor.csrf() else {
        put!(out, "<p class=\"muted\"><a href=\"", { login(&viewer.here) }, "\">Sign in with the token</a> ");
        put!(out, "to do this.</p>");
        return false;
    };
    put!(out, "<form class=\"act\" method=\"post\" action=\"", { action }, "\">");
    put!(out, "<input type=\"hidden\" name=\"csrf\" value=\"", { csrf }, "\">");
    for (name, value) in hidden {
        put!(out, "<input type=\"hidden\" name=\"", { name }, "\" value=\"", { value }, "\">");
    }
    true
}

/// The field that every action asks for. `id`: of this field alone on its page.
pub(super) fn reason_field(out: &mut Markup, id: &'static str) {
    put!(out, "<label for=\"", { id }, "\">Reason, for the audit trail</label><input id=\"", { id }, "\" ");
    put!(out, "name=\"reason\" required maxlength=\"500\" autocomplete=\"off\">");
}

/// Links to the pages before and after.
pub(super) fn pager(out: &mut Markup, path: &str, pairs: &[(&str, &str)], page: u64, has_more: bool) {
    if page == 0 && !has_more {
        return;
    }
    let to = |page: u64| {
        let number = page.to_string();
        let mut pairs = pairs.to_vec();
        pairs.push(("page", if page == 0 { "" } else { &number }));
        address(path, &pairs)
    };
    put!(out, "<nav class=\"pager\" aria-label=\"Pages\"><ul>");
    if page > 0 {
        put!(out, "<li><a rel=\"prev\" href=\"", { to(page - 1) }, "\">Newer</a></li>");
    }
    put!(out, "<li>Page ", { page + 1 }, "</li>");
    if has_more {
        put!(out, "<li><a rel=\"next\" href=\"", { to(page + 1) }, "\">Older</a></li>");
    }
    put!(out, "</ul></nav>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_becomes_a_sentence() {
        assert_eq!(sentence("cannot list x"), "Cannot list x.");
        assert_eq!(sentence("Done."), "Done.");
        assert_eq!(sentence(""), "");
    }

    #[test]
    fn a_page_says_where_it_is_and_what_is_on_it() {
        let viewer = Viewer { actor: Actor::Nobody, here: "/loads?a=1&b".to_owned() };
        let mut content = Markup::new();
        put!(content, "<h1>", { "<Loads>" }, "</h1>");

        let page = whole(&viewer, &Page::still(Tab::Loads, "Loads"), &content).into_string();

        assert!(page.contains("<a href=\"/loads\" aria-current=\"page\">Loads</a>"), "{page}");
        assert!(page.contains("<main id=\"main\" tabindex=\"-1\"><h1>&lt;Loads&gt;</h1></main>"), "{page}");
        assert!(page.contains("href=\"/login?next=%2Floads%3Fa%3D1%26b\""), "{page}");
        assert_eq!(page.matches("aria-current").count(), 1);
    }
}
