//! Everything that can be sent and should not: unsigned it is refused; signed it is kept, byte for byte, as a fact, a
//! rejected row or a dead letter with the right reason; and whatever it is, the program goes on.

mod corpus;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use waybill::event::BodySha256;
use waybill::lake::disk::DiskLake;
use waybill::lake::{Lake, dead_letter, layout, list_all, object};

use self::corpus::{BodyCase, Fate, bodies, requests};
use crate::support::waybill::{Deployment, PATIENCE, Running, exchange, get, post, request, sign};

/// Requests under way at once; some wait out a deadline of 10 s.
const SENDERS: usize = 24;

#[test]
fn odd_bodies_are_kept_with_their_reason_and_no_worker_restarts() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let mut up = deployment.start(&["up"]);
    let cases = bodies();
    assert!(cases.len() >= 400, "{} bodies", cases.len());

    let wrong = Mutex::new(Vec::new());
    for_each(&cases, |case| {
        let expected = if matches!(case.fate, Fate::TooLarge) { 413 } else { 200 };
        let signed = post(up.listen(), &case.bytes).map(|answer| answer.status);
        let bare = exchange(up.listen(), &request(&["Connection: close".to_owned()], &case.bytes));
        let bare = bare.map(|answer| answer.status);
        if signed != Some(expected) || !matches!(bare, Some(401 | 413)) {
            wrong.lock().expect("whole").push(format!("{}: signed {signed:?}, bare {bare:?}", case.name));
        }
    });
    let wrong = wrong.into_inner().expect("whole");
    assert!(wrong.is_empty(), "{wrong:#?}");

    let facts = cases.iter().filter(|case| matches!(case.fate, Fate::Fact)).count();
    deployment.await_count("select count(*) as n from raw.tracking_event", facts as i64);
    await_letters(&deployment, cases.iter().filter(|case| matches!(case.fate, Fate::Dead(_))).count());
    goes_on(&mut up);
    check_bodies(&deployment, &cases, dir.path());
}

#[test]
fn odd_requests_get_the_right_answer_and_only_signed_ones_are_kept() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let mut up = deployment.start(&["up"]);
    let cases = requests(&|body| sign(body));
    assert!(cases.len() >= 200, "{} requests", cases.len());

    let wrong = Mutex::new(Vec::new());
    for_each(&cases, |case| {
        let status = last_status(up.listen(), &case.bytes);
        if !case.right.contains(&status) {
            wrong.lock().expect("whole").push(format!("{}: {status:?}, not {:?}", case.name, case.right));
        }
    });
    let wrong = wrong.into_inner().expect("whole");
    assert!(wrong.is_empty(), "{wrong:#?}");

    let expected: BTreeSet<String> = cases
        .iter()
        .enumerate()
        .filter(|(_, case)| case.is_event)
        .map(|(index, _)| format!("request-{index}"))
        .collect();
    let found = || -> BTreeSet<String> {
        deployment
            .query("select distinct tracking_id from raw.tracking_event")
            .iter()
            .map(|row| row["tracking_id"].as_str().expect("text").to_owned())
            .collect()
    };
    let deadline = Instant::now() + PATIENCE;
    while found().len() < expected.len() {
        assert!(Instant::now() < deadline, "{:?} are missing", expected.difference(&found()));
        std::thread::park_timeout(Duration::from_millis(100));
    }
    goes_on(&mut up);
    assert_eq!(found(), expected);
}

/// Works on all cases, some at once.
fn for_each<T: Sync>(cases: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(case);
                }
            });
        }
    });
}

/// It is alive, has not panicked, and ends as it should, with everything delivered.
fn goes_on(up: &mut Running) {
    assert_eq!(get(up.ops(), "/livez").map(|answer| answer.status), Some(200));
    assert_eq!(get(up.ops(), "/readyz").map(|answer| answer.status), Some(200));
    up.terminate();
    assert!(up.wait().success(), "{}", up.stderr());
    assert!(!up.stderr().contains("panicked"), "{}", up.stderr());
}

fn await_letters(deployment: &Deployment, expected: usize) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let listed = deployment.run_ok(&["dead-letters", "list", "--format", "json"]);
        let found = serde_json::from_str::<Vec<serde_json::Value>>(&listed).expect("JSON").len();
        if found >= expected {
            return;
        }
        assert!(Instant::now() < deadline, "{found} of {expected} dead letters");
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

fn check_bodies(deployment: &Deployment, cases: &[BodyCase], dir: &std::path::Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (lines, letters) = runtime.block_on(held(&dir.join("lake")));
    let texts = |sql: &str| -> BTreeSet<String> {
        let rows = deployment.query(sql);
        rows.iter().map(|row| row["t"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let facts = texts("select body_sha256 as t from raw.tracking_event");
    let rejected = deployment.query("select reason, count(*) as n from raw.rejected_row group by 1");
    let mut rejects: BTreeMap<String, i64> = BTreeMap::new();
    for row in rejected {
        rejects.insert(row["reason"].as_str().unwrap_or_default().to_owned(), row["n"].as_i64().unwrap_or(0));
    }

    let mut wrong = Vec::new();
    let mut expected_rejects: BTreeMap<String, i64> = BTreeMap::new();
    for case in cases {
        let sha = BodySha256::of(&case.bytes).to_hex();
        let letter = letters.get(&sha);
        let (in_facts, in_lake) = (facts.contains(&sha), lines.get(&sha) == Some(&case.bytes));
        let is_right = match case.fate {
            Fate::Fact => in_facts && in_lake && letter.is_none(),
            Fate::Dead(reason) => {
                !in_facts
                    && !lines.contains_key(&sha)
                    && letter.is_some_and(|(found, bytes)| found == reason && *bytes == case.bytes)
            }
            Fate::Rejected(reason) => {
                *expected_rejects.entry(reason.to_owned()).or_default() += 1;
                !in_facts && in_lake && letter.is_none()
            }
            Fate::TooLarge => !in_facts && !lines.contains_key(&sha) && letter.is_none(),
        };
        if !is_right {
            let reason = letter.map(|(reason, _)| reason);
            wrong.push(format!(
                "{} ({:?}): fact {in_facts}, lake {in_lake}, letter {reason:?}",
                case.name, case.fate
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(rejects, expected_rejects);
}

/// Bodies in the lake, and dead letters with their reason, by hash.
type Held = (BTreeMap<String, Vec<u8>>, BTreeMap<String, (String, Vec<u8>)>);

async fn held(root: &std::path::Path) -> Held {
    let lake = DiskLake::open(root).expect("the lake");
    let mut lines = BTreeMap::new();
    for found in list_all(&lake, layout::EVENTS, None).await.expect("a list") {
        let body = lake.get(&found.key).await.expect("an object");
        let text = object::unpack(&found.key, &body, 1 << 30).expect("it unpacks");
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let event = waybill::event::line::decode(line).expect("a line of ours");
            lines.insert(event.body_sha256.to_hex(), event.body.to_vec());
        }
    }
    let all = dead_letter::Filter::default();
    let mut letters = BTreeMap::new();
    for listed in dead_letter::list(&lake, &all, false).await.expect("a list") {
        let letter = listed.letter;
        let body = letter.body().expect("a body");
        letters.insert(letter.body_sha256.clone(), (letter.reason.as_str().to_owned(), body));
    }
    (lines, letters)
}

/// The status of the answer that counts: interim ones are passed over. `None`: the connection ended without.
fn last_status(address: SocketAddr, bytes: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    // A server that refuses early may close while we still write: its answer counts all the same.
    let _ = stream.write_all(bytes);
    let mut head = Vec::new();
    let mut byte = [0];
    loop {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
        if head.ends_with(b"\r\n\r\n") {
            let status: u16 = String::from_utf8_lossy(&head).split(' ').nth(1)?.parse().ok()?;
            if status >= 200 {
                return Some(status);
            }
            head.clear();
        }
    }
}
