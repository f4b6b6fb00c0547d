//! Who may read and who may act: tokens, sessions of a browser, and where a request came from.
//!
//! - A token opens everything: as `Authorization: Bearer`, or given once in the login form, which answers with a
//!   cookie that holds a random name of a session and nothing else. Sessions live in memory and end after 12 hours.
//! - A page of somebody else's must not act with an operator's cookie: a form's post must come from our own pages,
//!   and carry a value that only they know.
//! - A name that somebody else points at a loopback address must not open what loopback opens: there, `Host` must be
//!   a loopback name or address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;

use crate::event::BodySha256;
use crate::settings::Secret;

/// How long a session lasts.
pub(super) const SESSION_MAX: Duration = Duration::from_secs(12 * 3_600);
/// Sessions at once; the oldest goes.
const SESSIONS_MAX: usize = 100;
/// Longest name that an operator gives for the audit trail, characters.
const NAME_MAX: usize = 60;

/// The session's name in a browser.
const COOKIE: &str = "waybill_session";
/// Where a browser says that a request comes from.
const FETCH_SITE: &str = "sec-fetch-site";

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Actor {
    /// A program with the token.
    Token,
    /// A person who gave the token.
    Session {
        /// How they called themselves.
        name: Option<String>,
        /// What their forms carry.
        csrf: String,
    },
    /// Anybody on the machine of a demo, which has no token.
    Demo {
        /// What forms carry.
        csrf: String,
    },
    /// Somebody who may at most read.
    Nobody,
}

impl Actor {
    /// What the forms of our pages carry, for who may act.
    pub(super) fn csrf(&self) -> Option<&str> {
        match self {
            Actor::Session { csrf, .. } | Actor::Demo { csrf } => Some(csrf),
            Actor::Token | Actor::Nobody => None,
        }
    }

    /// For the audit record.
    pub(super) fn who(&self) -> String {
        match self {
            Actor::Token => "api".to_owned(),
            Actor::Session { name: Some(name), .. } => format!("console: {name}"),
            Actor::Session { name: None, .. } | Actor::Nobody => "console".to_owned(),
            Actor::Demo { .. } => "console of a demo".to_owned(),
        }
    }
}

struct Session {
    name: Option<String>,
    csrf: String,
    began: Instant,
}

/// The sessions of this process.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Session>>);

impl Sessions {
    /// Begins one; gives the cookie.
    pub(super) fn begin(&self, name: Option<&str>, is_tls: bool) -> String {
        let id = random();
        let name =
            name.map(|name| name.chars().filter(|letter| !letter.is_control()).take(NAME_MAX).collect());
        let session = Session { name, csrf: random(), began: Instant::now() };
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.began.elapsed() < SESSION_MAX);
        if sessions.len() >= SESSIONS_MAX
            && let Some(oldest) =
                sessions.iter().min_by_key(|(_, session)| session.began).map(|(id, _)| id.clone())
        {
            sessions.remove(&oldest);
        }
        sessions.insert(id.clone(), session);
        let secure = if is_tls { "; Secure" } else { "" };
        format!("{COOKIE}={id}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}{secure}", SESSION_MAX.as_secs())
    }

    /// The session that a request's cookie names.
    pub(super) fn find(&self, headers: &HeaderMap) -> Option<Actor> {
        let id = cookie(headers)?;
        let mut sessions = self.lock();
        let session = sessions.get(id)?;
        if session.began.elapsed() >= SESSION_MAX {
            sessions.remove(id);
            return None;
        }
        Some(Actor::Session { name: session.name.clone(), csrf: session.csrf.clone() })
    }

    /// Ends it; gives the cookie that takes the place of the other.
    pub(super) fn end(&self, headers: &HeaderMap) -> String {
        if let Some(id) = cookie(headers) {
            self.lock().remove(id);
        }
        format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0")
    }

    /// Nothing that panics runs under this lock.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A value that nobody guesses: 244 random bits.
pub(super) fn random() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

/// Is it one of the tokens? Hashes of equal length compare in constant time for our purpose: nothing of a token shows
/// in the timing.
pub(super) fn is_token(tokens: &[Secret], given: &str) -> bool {
    let digest = |text: &str| BodySha256::of(text.as_bytes());
    let given = digest(given);
    tokens.iter().fold(false, |found, token| found | (digest(token.expose()) == given))
}

/// The token that a request carries.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    text(headers, "authorization")?.strip_prefix("Bearer ")
}

/// Does a request carry one of the tokens?
pub fn has_token(tokens: &[Secret], headers: &HeaderMap) -> bool {
    bearer(headers).is_some_and(|given| is_token(tokens, given))
}

/// Does a request come from a page of another origin?
///
/// What a browser says of it counts: `Sec-Fetch-Site` where it sends that (over TLS, and to loopback), else `Origin`.
/// Who sends neither is no browser.
pub(super) fn is_foreign(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(FETCH_SITE) {
        return site.as_bytes() != b"same-origin";
    }
    headers.contains_key("origin") && !is_own_origin(headers)
}

/// Does a request come from a page of ours? Of a form that is asked for, not only that nothing speaks against it.
pub(super) fn is_own(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(FETCH_SITE) {
        return site.as_bytes() == b"same-origin";
    }
    is_own_origin(headers)
}

fn is_own_origin(headers: &HeaderMap) -> bool {
    let (Some(origin), Some(host)) = (text(headers, "origin"), text(headers, "host")) else {
        return false;
    };
    let origin = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host))
}

/// Is `Host` a name or an address of this machine alone?
pub(super) fn is_loopback_host(headers: &HeaderMap) -> bool {
    let Some(host) = text(headers, "host") else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Did the browser speak TLS to whatever stands before us?
pub(super) fn is_tls(headers: &HeaderMap) -> bool {
    text(headers, "x-forwarded-proto") == Some("https")
}

/// Where to go on after the login: a path of ours, or the first page.
pub(super) fn next(asked: Option<&str>) -> &str {
    let is_path = |text: &&str| {
        text.starts_with('/')
            && !text.starts_with("//")
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    asked.filter(is_path).unwrap_or("/")
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers.get_all("cookie").iter().find_map(|value| {
        value.to_str().ok()?.split(';').find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == COOKIE && !value.is_empty()).then_some(value)
        })
    })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), value.parse().expect("a header's value")))
            .collect()
    }

    #[test]
    fn a_session_is_found_by_its_cookie_and_ends_when_asked_to() {
        let sessions = Sessions::default();
        let cookie = sessions.begin(Some("Ada\n"), false);
        let (pair, rules) = cookie.split_once("; ").expect("a cookie with rules");
        let request = headers(&[("cookie", &format!("other=1; {pair}"))]);

        assert!(rules.starts_with("HttpOnly; SameSite=Strict; Path=/; Max-Age=43200"), "{rules}");
        let found = sessions.find(&request).expect("a session");
        assert_eq!(found.who(), "console: Ada");
        assert_eq!(found.csrf().map(str::len), Some(64));

        sessions.end(&request);

        assert_eq!(sessions.find(&request), None);
    }

    #[test]
    fn sessions_are_few() {
        let sessions = Sessions::default();
        for _ in 0..SESSIONS_MAX + 10 {
            sessions.begin(None, true);
        }

        assert_eq!(sessions.lock().len(), SESSIONS_MAX);
    }

    #[test]
    fn only_our_own_pages_send_forms() {
        for (pairs, is_own_page, is_foreign_page) in [
            (vec![("host", "localhost:8081"), ("origin", "http://localhost:8081")], true, false),
            (vec![("host", "w.example"), ("origin", "https://w.example")], true, false),
            (vec![("host", "w.example"), ("origin", "null"), ("sec-fetch-site", "same-origin")], true, false),
            (vec![("host", "w.example"), ("origin", "https://evil.example")], false, true),
            (vec![("host", "w.example"), ("origin", "null")], false, true),
            (vec![("host", "w.example"), ("sec-fetch-site", "cross-site")], false, true),
            (vec![("host", "w.example"), ("sec-fetch-site", "same-site")], false, true),
            (vec![("host", "w.example")], false, false),
        ] {
            let request = headers(&pairs);

            assert_eq!((is_own(&request), is_foreign(&request)), (is_own_page, is_foreign_page), "{pairs:?}");
        }
    }

    #[test]
    fn a_name_from_outside_is_no_loopback() {
        for (host, is_loopback) in [
            ("localhost", true),
            ("LOCALHOST:8081", true),
            ("127.0.0.1:8081", true),
            ("127.9.9.9", true),
            ("[::1]:8081", true),
            ("evil.example:8081", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example:80", false),
            ("10.0.0.1:8081", false),
            ("", false),
        ] {
            assert_eq!(is_loopback_host(&headers(&[("host", host)])), is_loopback, "{host}");
        }
        assert!(!is_loopback_host(&HeaderMap::new()));
    }

    #[test]
    fn a_login_leads_to_our_own_pages_only() {
        for (asked, leads) in [
            (Some("/loads?status=rejected"), "/loads?status=rejected"),
            (Some("//evil.example"), "/"),
            (Some("/\\evil.example"), "/"),
            (Some("https://evil.example"), "/"),
            (Some("/a\r\nb"), "/"),
            (None, "/"),
        ] {
            assert_eq!(next(asked), leads);
        }
    }

    #[test]
    fn a_token_is_one_of_those() {
        let tokens = [Secret::new("first"), Secret::new("second")];

        assert!(is_token(&tokens, "second"));
        assert!(!is_token(&tokens, "secon") && !is_token(&tokens, "") && !is_token(&[], ""));
    }
}
