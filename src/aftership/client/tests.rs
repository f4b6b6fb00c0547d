//! The client against a small server on loopback.

use std::io;

use axum::Router;
use axum::http::HeaderMap;
use tokio::net::TcpListener;

use crate::aftership::api::Next;

use super::*;

const KEY_FOR_TESTS: &str = "a-key-for-tests-only";
const PAGE: &str = r#"{"meta":{"code":200},"data":{"pagination":{"total":1,"has_next_page":false},"trackings":[{"id":"t1"}]}}"#;

/// What was asked, in its order: path with query, and the key.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// One answer: status, headers, body.
type Scripted = (u16, Vec<(&'static str, String)>, String);

fn plain(status: u16, body: &str) -> Scripted {
    (status, Vec::new(), body.to_owned())
}

/// Gives these answers one after the other, and the last one for ever.
async fn server(script: Vec<Scripted>) -> (String, Asked) {
    let asked = Asked::default();
    let (seen, script) = (Arc::clone(&asked), Arc::new(script));
    let handler = move |uri: Uri, headers: HeaderMap| {
        let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
        async move {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let (status, extra, body) = script[seen.len().min(script.len() - 1)].clone();
            let key = headers.get(KEY).and_then(|key| key.to_str().ok()).unwrap_or_default();
            seen.push((uri.to_string(), key.to_owned()));
            let mut headers = HeaderMap::new();
            for (name, value) in extra {
                headers.insert(HeaderName::from_static(name), value.parse().expect("a header's value"));
            }
            (StatusCode::from_u16(status).expect("a status"), headers, body)
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let app = Router::new().fallback(handler);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (format!("http://{address}/tracking/2026-07/"), asked)
}

fn options(url: String) -> ApiOptions {
    ApiOptions { url, key: KEY_FOR_TESTS.to_owned(), rate: 1_000.0, attempts_max: 4, ..ApiOptions::default() }
}

fn api(url: String) -> Api {
    Api::open(options(url)).expect("good settings")
}

fn count(asked: &Asked) -> usize {
    asked.lock().unwrap_or_else(PoisonError::into_inner).len()
}

#[tokio::test]
async fn a_list_is_asked_for_with_the_key() {
    let (url, asked) = server(vec![plain(200, PAGE)]).await;

    let (page, date) = api(url).list(&ListQuery::default()).await.expect("an answer");

    assert_eq!(page.trackings[0].id, "t1");
    assert!(date.is_some(), "the server's clock is told");
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(asked[..], [("/tracking/2026-07/trackings?limit=200".to_owned(), KEY_FOR_TESTS.to_owned())]);
}

#[tokio::test]
async fn what_may_heal_is_tried_again() {
    let cut = &PAGE[..PAGE.len() - 9];
    let (url, asked) = server(vec![plain(503, "<html>"), plain(200, cut), plain(200, PAGE)]).await;

    let (page, _) = api(url).list(&ListQuery::default()).await.expect("an answer");

    assert_eq!((page.trackings.len(), count(&asked)), (1, 3));
}

#[tokio::test]
async fn what_does_not_heal_is_given_up_by_its_name() {
    for (status, body, is_unreadable) in [(500, "", false), (504, "<html>", false), (200, "<html>", true)] {
        let (url, asked) = server(vec![plain(status, body)]).await;
        let api = Api::open(ApiOptions { attempts_max: 2, ..options(url) }).expect("good settings");

        let error = api.list(&ListQuery::default()).await.expect_err("no answer");

        assert_eq!(matches!(error, ApiError::Unreadable(_)), is_unreadable, "{error}");
        assert_eq!(matches!(error, ApiError::Unavailable(_)), !is_unreadable, "{error}");
        assert_eq!(count(&asked), 2);
    }
}

#[tokio::test]
async fn a_refusal_is_not_repeated_and_says_what_to_do() {
    let said = r#"{"meta":{"code":401,"type":"Unauthorized","message":"The API key is invalid."},"data":{}}"#;
    let (url, asked) = server(vec![plain(401, said)]).await;

    let error = api(url).list(&ListQuery::default()).await.expect_err("refused").to_string();

    assert!(error.contains("The API key is invalid.") && error.contains("legacy access only"), "{error}");
    assert_eq!(count(&asked), 1);
}

#[tokio::test]
async fn a_refusal_that_repeats_the_key_is_not_passed_on() {
    let said = format!(r#"{{"meta":{{"code":403,"message":"{KEY_FOR_TESTS} may not"}}}}"#);
    let (url, _) = server(vec![plain(403, &said)]).await;
    let api = api(url);

    let error = api.list(&ListQuery::default()).await.expect_err("refused");

    assert!(matches!(error, ApiError::Refused { status: 403, code: Some(403), .. }));
    for text in
        [error.to_string(), format!("{error:?}"), format!("{api:?}"), format!("{:?}", options(String::new()))]
    {
        assert!(!text.contains(KEY_FOR_TESTS), "{text}");
    }
}

#[tokio::test]
async fn a_limit_is_waited_for_until_its_reset() {
    let reset = (Timestamp::now().as_second() + 2).to_string();
    let limited =
        (429, vec![("x-ratelimit-remaining", "0".to_owned()), ("x-ratelimit-reset", reset)], String::new());
    let (url, asked) = server(vec![limited, plain(200, PAGE)]).await;
    let begun = Instant::now();

    api(url).list(&ListQuery::default()).await.expect("an answer");

    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(count(&asked), 2);
}

#[tokio::test]
async fn a_limit_that_lasts_is_said_and_not_asked_against() {
    let limited = (429, vec![("retry-after", "3600".to_owned())], String::new());
    let (url, asked) = server(vec![limited]).await;
    let api = api(url);

    for _ in 0..2 {
        let error = api.list(&ListQuery::default()).await.expect_err("limited").to_string();

        assert!(error.contains("rate limit lasts"), "{error}");
        assert_eq!(count(&asked), 1);
    }
}

#[tokio::test]
async fn all_clones_share_one_pace() {
    let (url, asked) = server(vec![plain(200, PAGE)]).await;
    let api = Api::open(ApiOptions { rate: 20.0, ..options(url) }).expect("good settings");
    let begun = Instant::now();

    let asking = (0..5).map(|_| {
        let api = api.clone();
        tokio::spawn(async move { api.list(&ListQuery::default()).await.map(|_| ()) })
    });
    for asking in asking.collect::<Vec<_>>() {
        asking.await.expect("no panic").expect("an answer");
    }

    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
    assert_eq!(count(&asked), 5);
}

#[tokio::test]
async fn a_cursor_that_is_refused_has_expired() {
    let (url, _) = server(vec![plain(400, r#"{"meta":{"code":4008,"type":"BadRequest"}}"#)]).await;
    let api = api(url);

    let next = Some(Next::Cursor("old".to_owned()));
    assert_eq!(api.list(&ListQuery { next, ..ListQuery::default() }).await, Err(ApiError::CursorExpired));
    let error = api.list(&ListQuery::default()).await.expect_err("refused");
    assert!(matches!(error, ApiError::Refused { status: 400, code: Some(4008), .. }), "{error}");
}

#[tokio::test]
async fn more_than_page_numbers_reach_is_said_and_not_asked_again() {
    let body = r#"{"data":{"page":50,"limit":200,"count":10000,"trackings":[{"id":"t1"}]}}"#;
    let (url, asked) = server(vec![plain(200, body)]).await;

    let query = ListQuery { next: Some(Next::Page(50)), ..ListQuery::default() };
    let error = api(url).list(&query).await.expect_err("too many");

    assert_eq!((error.clone(), count(&asked)), (ApiError::TooMany, 1));
    assert!(error.to_string().contains("WAYBILL_AFTERSHIP_API_URL"), "{error}");
}

#[tokio::test]
async fn a_page_that_names_no_next_one_is_asked_for_again() {
    let lost = r#"{"data":{"pagination":{"total":9,"has_next_page":true},"trackings":[{"id":"t0"}]}}"#;
    let (url, asked) = server(vec![plain(200, lost), plain(200, PAGE)]).await;

    let (page, _) = api(url).list(&ListQuery::default()).await.expect("an answer");

    assert_eq!((page.trackings[0].id.as_str(), count(&asked)), ("t1", 2));
}

#[tokio::test]
async fn a_tracking_is_there_or_deleted_or_the_address_is_wrong() {
    let found = plain(200, r#"{"data":{"tracking":{"id":"t1"}}}"#);
    let deleted = plain(404, r#"{"meta":{"code":4004,"type":"BadRequest"}}"#);
    let wrong = plain(404, r#"{"meta":{"code":404,"type":"NotFound"}}"#);
    let (url, asked) = server(vec![found, deleted, wrong]).await;
    let api = api(url);

    assert_eq!(api.get("t1").await.expect("an answer").map(|snapshot| snapshot.id).as_deref(), Some("t1"));
    assert_eq!(api.get("t2").await, Ok(None));
    let error = api.get("t3").await.expect_err("no such address");
    assert!(error.to_string().contains("WAYBILL_AFTERSHIP_API_URL"), "{error}");
    assert_eq!(asked.lock().unwrap_or_else(PoisonError::into_inner)[1].0, "/tracking/2026-07/trackings/t2");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let (url, asked) = server(vec![plain(200, PAGE)]).await;
    let api = Api::open(ApiOptions { answer_bytes_max: 20, ..options(url) }).expect("good settings");

    let error = api.list(&ListQuery::default()).await.expect_err("too large").to_string();

    assert!(error.contains("larger than 20 bytes") && error.contains("WAYBILL_AFTERSHIP_API_URL"), "{error}");
    assert_eq!(count(&asked), 1);
}

#[tokio::test]
async fn no_answer_and_nobody_there_are_told_apart_from_a_refusal() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = silent.local_addr().expect("an address");
    let short = ApiOptions {
        attempts_max: 1,
        timeout: Duration::from_millis(100),
        ..options(format!("http://{address}"))
    };

    let error = Api::open(short.clone()).expect("good settings").list(&ListQuery::default()).await;
    assert!(
        matches!(&error, Err(ApiError::Unavailable(text)) if text.contains("no answer within")),
        "{error:?}"
    );

    drop(silent);
    let short = ApiOptions { timeout: Duration::from_secs(30), ..short };
    let error = Api::open(short).expect("good settings").list(&ListQuery::default()).await;
    let refused = io::Error::from(io::ErrorKind::ConnectionRefused).to_string();
    assert!(
        matches!(&error, Err(ApiError::Unavailable(text)) if text.to_lowercase().contains(&refused)),
        "{error:?}"
    );
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_once() {
    let url = || "http://127.0.0.1:1/tracking/2026-07".to_owned();
    for options in [
        ApiOptions { key: " ".to_owned(), ..options(url()) },
        ApiOptions { key: "a\nb".to_owned(), ..options(url()) },
        ApiOptions { rate: 0.0, ..options(url()) },
        ApiOptions { rate: f64::NAN, ..options(url()) },
        options("api.aftership.com".to_owned()),
        options("ftp://api.aftership.com/v4".to_owned()),
        options(String::new()),
    ] {
        assert!(matches!(Api::open(options), Err(ApiError::Unusable(_))));
    }
}
