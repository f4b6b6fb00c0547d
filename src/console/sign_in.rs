//! The login: the token once, for a session of a browser.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use super::fault::Fault;
use super::html::{Markup, put};
use super::page::{self, Page, Tab};
use super::params::Params;
use super::{Console, session};

/// What a wrong token costs, so that few can be tried.
const WRONG_COSTS: Duration = Duration::from_millis(500);

const PAGE: Page<'static> = Page { tab: Tab::Login, title: "Sign in", refresh: None, says: None };

pub(super) async fn form(
    State(console): State<Console>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let params = Params::of(query.as_deref());
    let next = session::next(params.get("next"));
    let viewer = console.viewer(&headers, next.to_owned());
    page::answer(&viewer, &PAGE, Ok(content(next, console.parts().is_loopback)))
}

fn content(next: &str, is_loopback: bool) -> Markup {
    let mut out = Markup::new();
    put!(out, "<h1>Sign in</h1><form class=\"act narrow\" method=\"post\" action=\"/login\">");
    put!(out, "<input type=\"hidden\" name=\"next\" value=\"", { next }, "\">");
    put!(out, "<label for=\"token\">Token (WAYBILL_OPS_TOKEN)</label><input id=\"token\" name=\"token\" ");
    put!(out, "type=\"password\" required autocomplete=\"current-password\">");
    put!(out, "<label for=\"name\">Your name, for the audit trail</label><input id=\"name\" name=\"name\" ");
    put!(out, "maxlength=\"60\" autocomplete=\"name\"><button>Sign in</button></form>");
    put!(out, "<p class=\"muted\">A session lasts 12 hours and ends with the process. ");
    if is_loopback {
        put!(out, "Reading needs no token here; acting does. Without one set, start Waybill again with one.");
    } else {
        put!(
            out,
            "The token is sent as it is: where the network is not yours alone, have TLS before Waybill."
        );
    }
    put!(out, "</p>");
    out
}

pub(super) async fn login(State(console): State<Console>, headers: HeaderMap, body: Bytes) -> Response {
    let params = Params::read(&String::from_utf8_lossy(&body));
    let next = session::next(params.get("next"));
    let viewer = console.viewer(&headers, next.to_owned());
    if !session::is_own(&headers) {
        return page::refused(&viewer, &PAGE, &foreign());
    }
    let Ok(_turn) = console.0.logins.try_acquire() else {
        return page::refused(&viewer, &PAGE, &Fault::busy("somebody else is signing in"));
    };
    let given = params.get("token").unwrap_or_default();
    if !session::is_token(&console.parts().tokens, given) {
        tracing::warn!("a wrong token was given at the console's login");
        tokio::time::sleep(WRONG_COSTS).await;
        let fault = Fault::new(StatusCode::UNAUTHORIZED, "unauthorized", "that is not the token");
        return page::refused(&viewer, &PAGE, &fault);
    }
    let cookie = console.0.sessions.begin(params.get("name"), session::is_tls(&headers));
    with_cookie(page::see_other(next), &cookie)
}

pub(super) async fn logout(State(console): State<Console>, headers: HeaderMap) -> Response {
    if !session::is_own(&headers) {
        let viewer = console.viewer(&headers, "/".to_owned());
        return page::refused(&viewer, &PAGE, &foreign());
    }
    with_cookie(page::see_other("/"), &console.0.sessions.end(&headers))
}

/// What a form of somebody else's page gets.
pub(super) fn foreign() -> Fault {
    Fault::new(StatusCode::FORBIDDEN, "forbidden", "the form did not come from a page of this console")
        .hint("open the console itself and send the form from there")
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    // A cookie of ours holds hex digits and its own rules.
    if let Ok(value) = cookie.parse() {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}
