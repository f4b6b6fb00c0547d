//! The API over real sockets: what clients of AfterShip rely on, and how it fails.

use std::collections::HashSet;
use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use serde_json::Value;

use crate::aftership::simulator::{Shelf, Simulator, SimulatorOptions};
use crate::ops::http;

use super::*;

const KEY: &str = "a-key-for-tests-only";

struct Api {
    address: SocketAddr,
    service: Service,
    client: http::Client,
    ids: HashSet<String>,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Api {
    /// An API about the parcels of some hundred events of these days, without a rate limit if nothing else is said.
    async fn start(options: ServiceOptions) -> Api {
        let simulator =
            SimulatorOptions { start: Timestamp::now(), has_snapshots: true, ..SimulatorOptions::default() };
        let mut shelf = Shelf::default();
        for delivery in Simulator::new(3, simulator).take(300) {
            shelf.put(&delivery);
        }
        let ids = shelf.snapshots().map(|snapshot| snapshot.id.clone()).collect();
        let service = Service::new(options, Arc::new(Mutex::new(shelf)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(serve(listener, service.clone()));
        let client = http::client(false, Duration::from_secs(5), 4).expect("a client");
        Api { address, service, client, ids }
    }

    /// Asks; `None` when the answer breaks off.
    async fn ask(&self, path: &str, key: &str) -> Option<Answer> {
        let uri = format!("http://{}{path}", self.address);
        let request = axum::http::Request::get(uri).header(KEY_HEADER, key).body(Full::new(Bytes::new()));
        let asking = self.client.request(request.expect("a request"));
        let response = tokio::time::timeout(Duration::from_secs(30), asking).await.expect("in time").ok()?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        Some(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(path, KEY).await.expect("an answer")
    }
}

fn options() -> ServiceOptions {
    ServiceOptions { key: KEY.to_owned(), rate_limit: 0, ..ServiceOptions::default() }
}

fn ids_of(trackings: &Value) -> Vec<String> {
    let trackings = trackings.as_array().expect("trackings");
    trackings.iter().map(|tracking| tracking["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn every_parcel_stands_on_exactly_one_page_by_cursor() {
    let api = Api::start(options()).await;
    let (mut seen, mut pages) = (Vec::new(), 0);
    let mut path = "/tracking/2026-07/trackings?limit=10".to_owned();
    loop {
        let data = api.get(&path).await.json()["data"].clone();
        seen.extend(ids_of(&data["trackings"]));
        pages += 1;
        assert_eq!(data["pagination"]["total"], api.ids.len());
        if data["pagination"]["has_next_page"] == false {
            assert_eq!(data["pagination"]["next_cursor"], "");
            break;
        }
        let cursor = data["pagination"]["next_cursor"].as_str().expect("a cursor");
        let escaped = cursor.replace('+', "%2B").replace('=', "%3D");
        path = format!("/tracking/2026-07/trackings?limit=10&cursor={escaped}");
    }

    assert!(pages > 2, "only {pages} pages");
    assert_eq!(seen.len(), api.ids.len());
    assert_eq!(seen.into_iter().collect::<HashSet<_>>(), api.ids);
    assert_eq!(api.service.requests(), pages);
}

#[tokio::test]
async fn every_parcel_stands_on_exactly_one_page_by_number() {
    let api = Api::start(options()).await;
    for version in ["tracking/2024-07", "tracking/2024-04", "v4"] {
        let mut seen = Vec::new();
        for page in 1.. {
            let data =
                api.get(&format!("/{version}/trackings?limit=10&page={page}")).await.json()["data"].clone();
            let page = ids_of(&data["trackings"]);
            if page.is_empty() {
                break;
            }
            seen.extend(page);
        }

        assert_eq!(seen.len(), api.ids.len(), "{version}");
        assert_eq!(seen.into_iter().collect::<HashSet<_>>().len(), api.ids.len(), "{version}");
    }
}

#[tokio::test]
async fn one_parcel_is_found_by_either_id() {
    let api = Api::start(options()).await;
    let id = api.ids.iter().next().expect("a parcel");

    let by_id = api.get(&format!("/tracking/2026-07/trackings/{id}")).await.json()["data"].clone();
    let legacy_id = by_id["legacy_id"].as_str().expect("a legacy id");
    let by_legacy_id =
        api.get(&format!("/tracking/2026-07/trackings/{legacy_id}")).await.json()["data"].clone();
    let unknown = api.get("/tracking/2026-07/trackings/nobody").await;

    assert_eq!(by_id["id"], *id);
    assert_eq!(by_id, by_legacy_id);
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json()["meta"]["code"], 4004);
    assert_eq!(unknown.json()["meta"]["type"], "BadRequest");
}

#[tokio::test]
async fn only_the_key_opens() {
    let api = Api::start(options()).await;

    for key in ["", "another"] {
        let answer = api.ask("/tracking/2026-07/trackings", key).await.expect("an answer");

        assert_eq!(answer.status, 401);
        assert_eq!(answer.json()["meta"]["type"], "Unauthorized");
    }
    let nobody = Api::start(ServiceOptions { key: String::new(), ..options() }).await;
    assert_eq!(nobody.ask("/tracking/2026-07/trackings", "").await.map(|answer| answer.status), Some(401));
}

#[tokio::test]
async fn beyond_the_rate_a_request_is_refused_until_the_next_second() {
    let api = Api::start(ServiceOptions { rate_limit: 3, ..options() }).await;

    // Far more than the seconds that they take have room for.
    let mut answers = Vec::new();
    for _ in 0..60 {
        answers.push(api.get("/tracking/2026-07/trackings?limit=1").await);
    }

    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    let first = refused.first().expect("a refusal");
    assert_eq!(first.json()["meta"]["code"], 429);
    assert_eq!(
        (first.header("x-ratelimit-limit"), first.header("x-ratelimit-remaining")),
        (Some("3"), Some("0"))
    );
    assert!(answers.iter().all(|answer| answer.header("x-ratelimit-reset").is_some()));
    let reset = first.header("x-ratelimit-reset").and_then(|text| text.parse::<i64>().ok()).expect("seconds");
    assert!((reset - Timestamp::now().as_second()).abs() < 30, "{reset} is no second of today");
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused_as_the_version_does() {
    let api = Api::start(options()).await;
    let unescaped = "updated_at_min=2090-01-01T00:00:00+00:00";
    let escaped = "updated_at_min=2090-01-01T00:00:00%2B00:00";

    let newer = api.get(&format!("/tracking/2025-01/trackings?{unescaped}")).await;
    let older = api.get(&format!("/tracking/2024-10/trackings?{unescaped}")).await;
    let right = api.get(&format!("/tracking/2024-10/trackings?{escaped}")).await;

    assert_eq!(newer.status, 400);
    assert_eq!(newer.json()["meta"]["code"], 4008);
    assert_eq!(older.json()["data"]["pagination"]["total"], api.ids.len());
    assert_eq!(right.json()["data"]["pagination"]["total"], 0);
    for query in ["limit=201", "cursor=abc", "tag=Delivered"] {
        assert_eq!(api.get(&format!("/tracking/2026-07/trackings?{query}")).await.status, 400, "{query}");
    }
    for path in ["/", "/tracking/2022-07/trackings", "/tracking/2026-07/couriers"] {
        assert_eq!(api.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn an_answer_says_who_gave_it_and_when() {
    let skew = SignedDuration::from_hours(-3);
    let api = Api::start(ServiceOptions { clock_skew: skew, ..options() }).await;

    let answer = api.get("/tracking/2025-07/trackings").await;

    assert_eq!(answer.header("as-api-version"), Some("2025-07"));
    assert_eq!(answer.header("as-trace-id").map(str::len), Some(32));
    let date = answer.header("date").expect("a date");
    let date = jiff::fmt::rfc2822::parse(&date.replace("GMT", "+0000")).expect("a date").timestamp();
    let ahead = date.duration_since(Timestamp::now()) - skew;
    assert!(ahead.abs() < SignedDuration::from_mins(1), "{ahead:?}");
}

#[tokio::test]
async fn errors_come_in_all_their_forms() {
    let api = Api::start(ServiceOptions { error_rate: 1.0, ..options() }).await;
    let mut forms = HashSet::new();
    for _ in 0..60 {
        let answer = api.get("/tracking/2026-07/trackings").await;
        forms.insert((answer.status, answer.body.starts_with('{')));
    }

    assert_eq!(forms, HashSet::from([(500, true), (502, true), (502, false)]));
}

#[tokio::test]
async fn a_body_may_be_cut_with_and_without_a_clean_end() {
    let api = Api::start(ServiceOptions { truncate_rate: 1.0, ..options() }).await;
    let (mut clean, mut broken) = (0, 0);
    for _ in 0..30 {
        match api.ask("/tracking/2026-07/trackings?limit=5", KEY).await {
            Some(answer) => {
                assert!(serde_json::from_str::<Value>(&answer.body).is_err(), "a whole body");
                clean += 1;
            }
            None => broken += 1,
        }
    }

    assert!(clean > 0 && broken > 0, "{clean} clean, {broken} broken");
}

#[tokio::test]
async fn an_outage_ends_when_it_is_told_to() {
    let api = Api::start(options()).await;

    api.service.set_outage(true);
    let out = api.get("/tracking/2026-07/trackings").await;
    api.service.set_outage(false);
    let back = api.get("/tracking/2026-07/trackings").await;

    assert_eq!((out.status, back.status), (503, 200));
}

#[tokio::test]
async fn a_cursor_works_until_its_time_is_up() {
    let cursor_of = |answer: Answer| {
        let data = answer.json()["data"].clone();
        data["pagination"]["next_cursor"].as_str().expect("a cursor").replace('+', "%2B").replace('=', "%3D")
    };
    for (lifetime, status) in [(Duration::from_secs(3600), 200), (Duration::ZERO, 400)] {
        let api = Api::start(ServiceOptions { cursor_lifetime: Some(lifetime), ..options() }).await;
        let cursor = cursor_of(api.get("/tracking/2026-07/trackings?limit=5").await);
        let path = format!("/tracking/2026-07/trackings?limit=5&cursor={cursor}");

        let deadline = Timestamp::now() + SignedDuration::from_secs(30);
        let mut answer = api.get(&path).await;
        // A cursor without a life still lives for the millisecond in which it was made.
        while answer.status != status && Timestamp::now() < deadline {
            answer = api.get(&path).await;
        }

        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn a_slow_api_takes_its_time() {
    let api = Api::start(ServiceOptions { latency: Duration::from_millis(300), ..options() }).await;
    let begun = std::time::Instant::now();

    api.get("/tracking/2026-07/trackings?limit=1").await;

    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn parcels_older_than_the_retention_are_not_shown() {
    let api = Api::start(ServiceOptions { retention: Duration::from_secs(60), ..options() }).await;
    let id = api.ids.iter().next().expect("a parcel");

    let list = api.get("/tracking/2026-07/trackings").await;
    let one = api.get(&format!("/tracking/2026-07/trackings/{id}")).await;

    assert_eq!(list.json()["data"]["pagination"]["total"], 0);
    assert_eq!(one.status, 404);
}
