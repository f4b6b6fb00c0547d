//! The operators' pages without a browser: whole without a script, nothing from elsewhere, and no action without the
//! token, a request of our own and a reason.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;

use crate::support::pairing::{Pairing, Setup};
use crate::support::waybill::{Answer, Deployment, PATIENCE, event, exchange, fresh_id, post};

const TOKEN: &str = "console-token-0123456789";
const PAGES: [&str; 7] =
    ["/", "/dead-letters", "/trackings", "/loads", "/reconciliation", "/sales", "/dead-letters/job"];

/// Asks as a browser on the same machine does.
fn ask(address: SocketAddr, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\nContent-Length: {}\r\n",
        address.port(),
        body.len()
    );
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    request.push_str(body);
    exchange(address, request.as_bytes()).expect("an answer")
}

fn page(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path, &[], "")
}

fn bearer() -> String {
    format!("Authorization: Bearer {TOKEN}")
}

fn origin(address: SocketAddr) -> String {
    format!("Origin: http://localhost:{}", address.port())
}

/// With the token set, and something in each place.
fn deployment(dir: &std::path::Path) -> Deployment {
    Deployment::embedded(dir).with("WAYBILL_OPS_TOKEN", TOKEN)
}

fn fill(deployment: &Deployment, listen: SocketAddr) {
    let body = event(&fresh_id(), "t1", "InTransit", "2026-07-09T11:00:00+00:00");
    assert_eq!(post(listen, body.as_bytes()).expect("an answer").status, 200);
    assert_eq!(post(listen, b"<script>alert('not json')</script>").expect("an answer").status, 200);
    deployment.await_count("select count(*) as n from base.fct_shipment_tracking", 1);
}

/// The open letters, once there are so many.
fn await_letters(address: SocketAddr, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask(address, "GET", "/api/v1/dead-letters", &[&bearer()], "");
        let letters = answer.json()["letters"].as_array().cloned().unwrap_or_default();
        if letters.len() == count {
            return letters;
        }
        assert!(Instant::now() < deadline, "{} letters, not {count}: {}", letters.len(), answer.body);
    }
}

/// What stands behind `name="` in a form's hidden field.
fn hidden(page: &str, name: &str) -> String {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).expect("a hidden field");
    rest.split_once('"').expect("its end").0.to_owned()
}

/// Signs in; gives the cookie.
fn sign_in(address: SocketAddr) -> String {
    let answer =
        ask(address, "POST", "/login", &[&origin(address)], &format!("token={TOKEN}&name=Ada&next=%2Floads"));
    assert_eq!((answer.status, answer.header("location")), (303, Some("/loads")));
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(TOKEN), "{cookie}");
    format!("Cookie: {}", cookie.split(';').next().expect("a pair"))
}

#[test]
fn every_page_is_whole_without_a_script_and_takes_nothing_from_elsewhere() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = deployment(dir.path());
    let up = deployment.start(&["up"]);
    fill(&deployment, up.listen());
    let letter = await_letters(up.ops(), 1)[0]["id"].as_str().expect("text").to_owned();

    let detail = format!("/dead-letters/{letter}");
    let more =
        [detail.as_str(), "/trackings?find=N-t1", "/login", "/dead-letters/replay", "/dead-letters/drop"];
    for path in PAGES.into_iter().chain(more) {
        let answer = page(up.ops(), path);

        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        assert!(answer.body.contains("<main id=\"main\"") && answer.body.contains("<h1"), "{path}");
        assert!(answer.body.contains("class=\"skip\" href=\"#main\""), "{path}");
        for part in ["http://", "https://", "src=\"//", "href=\"//", "javascript:", " style=\"", "onclick="] {
            assert!(!answer.body.contains(part), "{part} on {path}");
        }
        assert!(!answer.body.contains("<script>"), "what came from outside is text on {path}");
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert!(answer.header("referrer-policy").is_some(), "{path}");
    }
    for asset in ["/assets/console.css", "/assets/console.js", "/assets/icon.svg"] {
        let answer = page(up.ops(), asset);
        assert_eq!(answer.status, 200, "{asset}");
        assert!(!answer.body.contains("https://") && !answer.body.contains("@import"), "{asset}");
    }
}

#[test]
fn a_parcel_is_found_by_any_of_its_names_with_every_hop_of_its_events() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = deployment(dir.path());
    let up = deployment.start(&["up"]);
    let event_id = fresh_id();
    let body = event(&event_id, "t1", "InTransit", "2026-07-09T11:00:00+00:00");
    assert_eq!(post(up.listen(), body.as_bytes()).expect("an answer").status, 200);
    deployment.await_count("select count(*) as n from base.fct_shipment_tracking", 1);

    for find in ["t1", "N-t1", event_id.as_str(), event_id.to_uppercase().as_str()] {
        let answer = page(up.ops(), &format!("/trackings?find={find}"));

        for part in ["N-t1", "InTransit", "Zürich", "Request", "events/dt=", "Fact", "shown"] {
            assert!(answer.body.contains(part), "{part} is not on the page for {find}: {}", answer.body);
        }
        let json = ask(up.ops(), "GET", &format!("/api/v1/trackings?find={find}"), &[&bearer()], "").json();
        assert_eq!(json["events"][0]["event_key"], event_id, "{find}");
        assert_eq!(json["events"][0]["line"], 1, "{find}");
    }
    let nothing = page(up.ops(), "/trackings?find=%27%3B+drop+table+x+--");
    assert!(nothing.status == 200 && nothing.body.contains("Nothing in the warehouse"), "{}", nothing.body);
    assert_eq!(page(up.ops(), "/trackings?find=a%5Cb").status, 200, "a backslash is part of some names");
    for wrong in ["a%00b".to_owned(), "x".repeat(201)] {
        assert_eq!(page(up.ops(), &format!("/trackings?find={wrong}")).status, 400);
    }
}

#[test]
fn nothing_is_done_without_the_token_a_request_of_our_own_and_a_reason() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = deployment(dir.path());
    let up = deployment.start(&["up"]);
    assert_eq!(post(up.listen(), b"not json").expect("an answer").status, 200);
    let letter = await_letters(up.ops(), 1)[0]["id"].as_str().expect("text").to_owned();
    let (own, cookie) = (origin(up.ops()), sign_in(up.ops()));
    let form = ask(up.ops(), "GET", "/dead-letters/drop", &[&cookie], "").body;
    let csrf = hidden(&form, "csrf");
    let good = format!("csrf={csrf}&seen=1&reason=noise");
    let drop =
        |headers: &[&str], body: &str| ask(up.ops(), "POST", "/dead-letters/drop", headers, body).status;

    assert_eq!(drop(&[&own], &good), 401, "without a session");
    assert_eq!(drop(&[&cookie], &good), 403, "from nowhere");
    assert_eq!(drop(&[&cookie, "Origin: http://evil.example"], &good), 403, "from another page");
    assert_eq!(drop(&[&cookie, &own], "csrf=wrong&seen=1&reason=noise"), 403, "not our form");
    assert_eq!(drop(&[&cookie, &own], &format!("csrf={csrf}&seen=1")), 400, "no reason");
    assert_eq!(drop(&[&cookie, &own], &format!("csrf={csrf}&seen=1&reason={}", "x".repeat(501))), 400);
    assert_eq!(
        drop(&[&cookie, &own], &format!("csrf={csrf}&seen=7&reason=noise")),
        409,
        "others than were shown"
    );
    let reveal = format!("/dead-letters/{letter}/reveal");
    assert_eq!(ask(up.ops(), "POST", &reveal, &[&own], "reason=look").status, 401);
    assert_eq!(await_letters(up.ops(), 1).len(), 1, "nothing was done");

    assert_eq!(drop(&[&cookie, &own], &good), 303);
    await_letters(up.ops(), 0);
    let audit = ask(up.ops(), "GET", "/api/v1/audit", &[&bearer()], "").json();
    assert_eq!((audit[0]["action"].as_str(), audit[0]["reason"].as_str()), (Some("drop"), Some("noise")));
    assert_eq!(audit[0]["who"], "console: Ada");
}

#[test]
fn a_payload_is_masked_until_somebody_asks_and_that_is_recorded() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = deployment(dir.path());
    let up = deployment.start(&["up"]);
    // Readable, and no event: it names no parcel.
    let body = br#"{"event":"tracking_update","msg":{"customer_name":"Ada Lovelace","tag":"InTransit"}}"#;
    assert_eq!(post(up.listen(), body).expect("an answer").status, 200);
    let id = await_letters(up.ops(), 1)[0]["id"].as_str().expect("text").to_owned();
    let path = format!("/dead-letters/{id}");
    let (own, cookie) = (origin(up.ops()), sign_in(up.ops()));

    let masked = ask(up.ops(), "GET", &path, &[&cookie], "").body;
    assert!(
        masked.contains("InTransit") && masked.contains("•••••") && !masked.contains("Lovelace"),
        "{masked}"
    );

    let ask_for_it = format!("csrf={}&reason=a+customer+asks", hidden(&masked, "csrf"));
    let whole = ask(up.ops(), "POST", &format!("{path}/reveal"), &[&cookie, &own], &ask_for_it).body;
    assert!(whole.contains("Ada Lovelace"), "{whole}");
    let audit = ask(up.ops(), "GET", "/api/v1/audit", &[&bearer()], "").json();
    assert_eq!(
        (audit[0]["action"].as_str(), audit[0]["ids"][0].as_str()),
        (Some("reveal"), Some(id.as_str()))
    );
}

#[test]
fn a_replay_says_what_it_would_change_and_then_does_it() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = deployment(dir.path());
    let up = deployment.start(&["up"]);
    fill(&deployment, up.listen());
    let letters = await_letters(up.ops(), 1);
    let replay = "/api/v1/dead-letters/replay";
    let with_token = bearer();
    let order = |body: &str| ask(up.ops(), "POST", replay, &[&with_token], body);

    let preview = order(r#"{"dry_run":true}"#);
    assert_eq!(preview.status, 200, "{}", preview.body);
    assert_eq!(
        (preview.json()["chosen"].as_u64(), preview.json()["preview"]["dead_again"].as_u64()),
        (Some(1), Some(1))
    );
    assert_eq!(order("{}").status, 400, "no reason");
    assert_eq!(order(r#"{"reason":"x","wher":{}}"#).status, 400, "a mistake");
    assert_eq!(ask(up.ops(), "POST", replay, &[], r#"{"reason":"x"}"#).status, 401);
    let foreign =
        ask(up.ops(), "POST", replay, &[&with_token, "Sec-Fetch-Site: cross-site"], r#"{"reason":"x"}"#);
    assert_eq!(foreign.status, 403);
    assert_eq!(order(&format!(r#"{{"reason":"{}"}}"#, "x".repeat(70_000))).status, 413);
    assert_eq!(await_letters(up.ops(), 1), letters, "nothing was done");

    let begun = order(r#"{"where":{"reason":"not_json"},"reason":"try again"}"#);
    assert_eq!(begun.status, 202, "{}", begun.body);
    let deadline = Instant::now() + PATIENCE;
    let job = loop {
        let job = ask(up.ops(), "GET", "/api/v1/dead-letters/job", &[&with_token], "").json();
        if job["state"] == "done" {
            break job;
        }
        assert!(Instant::now() < deadline, "{job}");
    };
    assert_eq!((job["done"].as_u64(), job["reason"].as_str()), (Some(1), Some("try again")));
    // It cannot be read the second time either.
    let again = await_letters(up.ops(), 1);
    assert_ne!(again[0]["id"], letters[0]["id"]);
}

#[test]
fn away_from_loopback_everything_needs_the_token() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = deployment(dir.path()).with("WAYBILL_OPS_LISTEN", "0.0.0.0:0");
    let up = deployment.start(&["up"]);
    let address = SocketAddr::from(([127, 0, 0, 1], up.ops().port()));

    for path in PAGES {
        let answer = page(address, path);
        assert_eq!(answer.status, 303, "{path}");
        assert!(answer.header("location").is_some_and(|to| to.starts_with("/login?next=")), "{path}");
        assert_eq!(ask(address, "GET", path, &[&bearer()], "").status, 200, "{path}");
    }
    for path in ["/login", "/assets/console.css"] {
        assert_eq!(page(address, path).status, 200, "{path}");
    }
    let cookie = sign_in(address);
    assert_eq!(ask(address, "GET", "/loads", &[&cookie], "").status, 200);
    let wrong = ask(address, "POST", "/login", &[&origin(address)], "token=wrong");
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, None));
    let foreign = format!("token={TOKEN}");
    assert_eq!(ask(address, "POST", "/login", &["Origin: http://evil.example"], &foreign).status, 403);
    assert_eq!(ask(address, "POST", "/logout", &[&cookie, &origin(address)], "").status, 303);
    assert_eq!(ask(address, "GET", "/loads", &[&cookie], "").status, 303, "the session is over");
}

#[test]
fn a_name_that_somebody_points_at_loopback_opens_nothing() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = deployment(dir.path());
    let up = deployment.start(&["up"]);

    let request = "GET /dead-letters HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    let answer = exchange(up.ops(), request.as_bytes()).expect("an answer");

    assert_eq!(answer.status, 403);
}

#[test]
fn a_demo_acts_without_a_token_but_only_from_its_own_pages() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path()).without("WAYBILL_WEBHOOK_SECRETS");
    let up = deployment.start(&["up", "--demo", "--data", "demo", "--demo-rate", "100"]);
    let form = page(up.ops(), "/dead-letters/drop");
    let deadline = Instant::now() + PATIENCE;
    let mut body = form.body;
    while !body.contains("name=\"seen\"") {
        assert!(Instant::now() < deadline, "no dead letter of the demo: {body}");
        std::thread::park_timeout(std::time::Duration::from_millis(200));
        body = page(up.ops(), "/dead-letters/drop").body;
    }
    let own = origin(up.ops());
    let given = format!("csrf={}&reason=tidy", hidden(&body, "csrf"));

    assert_eq!(ask(up.ops(), "POST", "/dead-letters/drop", &[&own], "reason=tidy&seen=1").status, 403);
    assert_eq!(ask(up.ops(), "POST", "/dead-letters/drop", &[], &given).status, 403);
    // Others may have come since, which is told, and is not a refusal of who asks.
    let status = ask(up.ops(), "POST", "/dead-letters/drop", &[&own], &given).status;
    assert_eq!(status, 409, "nobody saw a number of letters");
}

/// The same questions in the other engine's words, and a lake and a queue that are far away.
#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_there_on_sqs_s3_and_postgres() {
    let setup = Setup::start(Pairing::Aws).await;
    tokio::task::spawn_blocking(move || {
        let deployment = setup.deployment.clone().with("WAYBILL_OPS_TOKEN", TOKEN);
        let up = deployment.start(&["up"]);
        fill(&deployment, up.listen());
        let letter = await_letters(up.ops(), 1)[0]["id"].as_str().expect("text").to_owned();

        let detail = format!("/dead-letters/{letter}");
        for path in PAGES.into_iter().chain([detail.as_str(), "/trackings?find=N-t1", "/dead-letters/replay"])
        {
            let answer = page(up.ops(), path);
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        }
        for path in ["pipeline", "dead-letters", "trackings?find=N-t1", "loads", "reconciliation", "audit"] {
            let answer = ask(up.ops(), "GET", &format!("/api/v1/{path}"), &[&bearer()], "");
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        }
        let found = page(up.ops(), "/trackings?find=N-t1").body;
        assert!(found.contains("InTransit") && found.contains(".jsonl.zst"), "{found}");
    })
    .await
    .expect("the journey ends");
}
