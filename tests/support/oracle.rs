//! The judge of every fault test: knows what was sent and what was answered, and looks up what became of it.
//!
//! Each request is *ok* (200), *refused* (4xx: nothing of it may be there) or *unknown* (503, no answer: it may be
//! there). When the faults are over and everything is drained, every ok event is in the facts once, or, when it cannot
//! be an event, in the dead letters; its bytes are what was sent; nothing is there that was never sent or was refused;
//! the ledger's outcomes add up; and a fresh event still passes. A run that saw no fault, too few oks or no repeated
//! delivery proves nothing, and says so.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use waybill::event::{BodySha256, line};
use waybill::lake::disk::DiskLake;
use waybill::lake::s3::{S3Lake, S3Options};
use waybill::lake::{Lake, dead_letter, layout, list_all, object};
use waybill::ops::aws::standin_config;
use waybill::queue::Queue;
use waybill::queue::disk::{DiskOptions, DiskQueue};
use waybill::queue::sqs::{SqsOptions, SqsQueue};

use super::waybill::{Answer, Deployment, exchange, request, sign};

/// Trackings that the events are spread over.
const TRACKINGS: u64 = 40;
/// How long draining may take before the run counts as stuck.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two posts of one sender, so that a debug build is loaded and not drowned.
const PAUSE: Duration = Duration::from_millis(2);

/// What a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// 401 and the like: nothing may be there.
    Refused,
    /// No answer, or 503: it may be there.
    Unknown,
    /// 200: it must be there.
    Ok,
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Becomes a row of the facts.
    Event,
    /// Signed, and no event: becomes a dead letter.
    Poison,
    /// Not signed by us.
    Forged,
}

#[derive(Debug, Clone)]
struct Issued {
    kind: Kind,
    body: Vec<u8>,
    fate: Fate,
}

/// Where the places of a deployment are, for looking into them from outside.
#[derive(Debug, Clone)]
pub struct Places {
    /// Folder of the disk queue, or the URL of a queue on a stand-in.
    pub queue: Result<PathBuf, String>,
    /// Folder of the spool.
    pub spool: Option<PathBuf>,
    /// Folder of the lake, or bucket and prefix on a stand-in.
    pub lake: Result<PathBuf, (String, String)>,
    /// The stand-in's address.
    pub endpoint: Option<String>,
}

/// The judge.
pub struct Oracle {
    deployment: Deployment,
    places: Places,
    seed: u64,
    sent: AtomicU64,
    faults: AtomicU64,
    issued: Mutex<BTreeMap<BodySha256Text, Issued>>,
}

type BodySha256Text = String;

/// What the judge found.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Requests by what they were answered.
    pub ok: usize,
    pub refused: usize,
    pub unknown: usize,
    /// Times a fault happened.
    pub faults: u64,
    /// Lines of the lake beyond one for each event: deliveries that were repeated.
    pub repeated: u64,
    /// What must not be.
    pub problems: Vec<String>,
    /// Why the run proves nothing.
    pub invalid: Vec<String>,
}

impl Verdict {
    /// Panics unless the run is clean and proves something.
    pub fn assert_clean(&self) {
        assert!(self.problems.is_empty(), "{self}\n{}", self.problems.join("\n"));
        assert!(self.invalid.is_empty(), "the run proves nothing: {}\n{self}", self.invalid.join("; "));
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ok {}, unknown {}, refused {}, faults {}, repeated deliveries {}, problems {}",
            self.ok,
            self.unknown,
            self.refused,
            self.faults,
            self.repeated,
            self.problems.len()
        )
    }
}

impl Oracle {
    /// Judges this deployment. The same seed sends the same payloads.
    pub fn new(deployment: Deployment, places: Places, seed: u64) -> Arc<Oracle> {
        Arc::new(Oracle {
            deployment,
            places,
            seed,
            sent: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            issued: Mutex::default(),
        })
    }

    fn issued(&self) -> MutexGuard<'_, BTreeMap<BodySha256Text, Issued>> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many more faults have happened.
    pub fn count_faults(&self, faults: u64) {
        self.faults.fetch_add(faults, Ordering::Relaxed);
    }

    /// Requests sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Requests answered 200 so far.
    pub fn oks(&self) -> usize {
        self.issued().values().filter(|issued| issued.fate == Fate::Ok).count()
    }

    /// Sends the next payload: mostly events, some repetitions, some poison, some forged.
    pub fn send_one(&self, address: SocketAddr) -> Option<Answer> {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let (kind, body) = payload(self.seed, number);
        self.send(address, kind, body)
    }

    /// Sends the first payloads once more, byte for byte.
    pub fn send_again(&self, address: SocketAddr, count: u64) {
        for number in 0..count.min(self.sent()) {
            let (kind, body) = payload(self.seed, number);
            self.send(address, kind, body);
        }
    }

    fn send(&self, address: SocketAddr, kind: Kind, body: Vec<u8>) -> Option<Answer> {
        let key = BodySha256::of(&body).to_hex();
        // Before it is sent: whatever happens, it was issued.
        self.issued().entry(key.clone()).or_insert_with(|| Issued {
            kind,
            body: body.clone(),
            fate: Fate::Refused,
        });
        let signature = match kind {
            Kind::Forged => waybill::aftership::signature::sign("not-the-secret-0123456789", &body),
            Kind::Event | Kind::Poison => sign(&body),
        };
        let headers = [format!("aftership-hmac-sha256: {signature}"), "Connection: close".to_owned()];
        let answer = exchange(address, &request(&headers, &body));
        let fate = match answer.as_ref().map(|answer| answer.status) {
            Some(200) => Fate::Ok,
            Some(400..=499) => Fate::Refused,
            _ => Fate::Unknown,
        };
        if let Some(issued) = self.issued().get_mut(&key) {
            issued.fate = issued.fate.max(fate);
        }
        answer
    }

    /// Sends from several threads until told to stop.
    pub fn senders(self: &Arc<Self>, address: SocketAddr, count: usize) -> Senders {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..count)
            .map(|_| {
                let (stop, oracle) = (Arc::clone(&stop), Arc::clone(self));
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        oracle.send_one(address);
                        std::thread::park_timeout(PAUSE);
                    }
                })
            })
            .collect();
        Senders { stop, threads }
    }

    /// Starts everything once more, waits until every place before the warehouse is empty, and judges. The faults
    /// must be over.
    pub fn judge(&self, least_oks: usize) -> Verdict {
        self.judge_with(&self.deployment, least_oks)
    }

    /// The same, with other settings for the last run.
    pub fn judge_with(&self, last: &Deployment, least_oks: usize) -> Verdict {
        let mut problems = Vec::new();
        let mut up = last.start(&["up"]);
        let fresh =
            super::waybill::event(&super::waybill::fresh_id(), "fresh", "InTransit", "2026-07-09T11:00:00Z");
        let answer = self.send(up.listen(), Kind::Event, fresh.into_bytes());
        if answer.map(|answer| answer.status) != Some(200) {
            problems.push("a fresh event is not taken after the faults".to_owned());
        }
        if let Err(left) = self.await_empty() {
            problems.push(format!("not drained within {PATIENCE:?}: {left}"));
        }
        up.terminate();
        let status = up.wait();
        if !status.success() {
            problems.push(format!("the last run ended with {status}: {}", up.stderr()));
        }
        last.run(&["load", "--once"]);
        let mut verdict = self.look();
        verdict.problems.splice(0..0, problems);
        if verdict.ok < least_oks {
            verdict.invalid.push(format!("only {} of at least {least_oks} were acknowledged", verdict.ok));
        }
        if verdict.faults == 0 {
            verdict.invalid.push("no fault happened".to_owned());
        }
        if verdict.repeated == 0 {
            verdict.invalid.push("nothing was delivered twice".to_owned());
        }
        verdict
    }

    fn await_empty(&self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        let runtime = runtime();
        let mut empty_since = None;
        loop {
            let waiting = runtime.block_on(waiting(&self.places));
            match waiting {
                // Twice in a row: what is neither here nor there is on its way.
                Ok(0)
                    if empty_since
                        .is_some_and(|since: Instant| since.elapsed() > Duration::from_millis(300)) =>
                {
                    return Ok(());
                }
                Ok(0) => {
                    empty_since.get_or_insert_with(Instant::now);
                }
                _ => empty_since = None,
            }
            if Instant::now() > deadline {
                return Err(format!("{waiting:?} messages wait"));
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// Looks into lake and warehouse.
    fn look(&self) -> Verdict {
        let issued = self.issued().clone();
        let count = |fate| issued.values().filter(|issued| issued.fate == fate).count();
        let mut verdict = Verdict {
            ok: count(Fate::Ok),
            unknown: count(Fate::Unknown),
            refused: count(Fate::Refused),
            faults: self.faults.load(Ordering::Relaxed),
            ..Verdict::default()
        };
        let problems = &mut verdict.problems;

        let (lines, letters) = match runtime().block_on(lake_holds(&self.places)) {
            Ok(held) => held,
            Err(reason) => {
                problems.push(format!("the lake cannot be read: {reason}"));
                return verdict;
            }
        };
        let mut facts: BTreeMap<String, i64> = BTreeMap::new();
        for row in self
            .deployment
            .query("select body_sha256 as sha, count(*) as n from raw.tracking_event group by 1")
        {
            facts.insert(row["sha"].as_str().unwrap_or_default().to_owned(), row["n"].as_i64().unwrap_or(0));
        }
        let keys = self
            .deployment
            .query("select event_key from raw.tracking_event group by event_key having count(*) > 1 limit 5");
        for key in keys {
            problems.push(format!("event {} is in the facts more than once", key["event_key"]));
        }
        for (sha, one) in &issued {
            let kind = one.kind;
            let in_facts = facts.get(sha).copied().unwrap_or(0);
            let in_lake = lines.get(sha).copied().unwrap_or(0);
            let is_buried = letters.get(sha).is_some_and(|body| *body == one.body);
            let is_somewhere = in_facts > 0 || in_lake > 0 || letters.contains_key(sha);
            match (one.fate, kind) {
                (Fate::Refused, _) if is_somewhere => {
                    problems.push(format!("{sha} was refused ({kind:?}), and is there"))
                }
                (Fate::Ok, Kind::Event) if in_facts != 1 => {
                    problems.push(format!(
                        "acknowledged {sha} is in the facts {in_facts} times, in the lake {in_lake} times"
                    ));
                }
                (Fate::Ok, Kind::Event) if letters.contains_key(sha) => {
                    problems.push(format!("acknowledged {sha} is in the facts and in the dead letters"));
                }
                (_, Kind::Poison) if in_facts > 0 => {
                    problems.push(format!("{sha} is no event, and in the facts"))
                }
                (Fate::Ok, Kind::Event) if in_lake == 0 => {
                    problems.push(format!("acknowledged {sha} is not in the lake"));
                }
                (Fate::Ok, Kind::Poison) if !is_buried => {
                    problems.push(format!(
                        "acknowledged {sha} is no event, and in no open dead letter byte for byte"
                    ));
                }
                (Fate::Unknown, _) if in_facts > 1 => {
                    problems.push(format!("{sha} is in the facts {in_facts} times"))
                }
                (_, Kind::Forged) if is_somewhere => {
                    problems.push(format!("{sha} was never signed, and is there"))
                }
                _ => {}
            }
        }
        for sha in facts.keys().chain(lines.keys()).chain(letters.keys()) {
            if !issued.contains_key(sha) {
                problems.push(format!("{sha} was never sent, and is there"));
            }
        }
        self.look_at_ledger(problems, &lines);
        let total: i64 = lines.values().sum();
        verdict.repeated = u64::try_from(total - lines.len() as i64).unwrap_or(0);
        verdict
    }

    fn look_at_ledger(&self, problems: &mut Vec<String>, lines: &BTreeMap<String, i64>) {
        let count = |sql: &str| self.deployment.count(sql);
        let wrong = count(
            "select count(*) as n from raw.loaded_file
             where lines <> inserted + updated + unchanged + duplicate + conflict + waiting + rejected",
        );
        let in_ledger = count("select cast(coalesce(sum(lines), 0) as bigint) as n from raw.loaded_file");
        let inserted = count("select cast(coalesce(sum(inserted), 0) as bigint) as n from raw.loaded_file");
        let rows = count("select count(*) as n from raw.tracking_event");
        let rejected = count("select count(*) as n from raw.rejected_row");
        let in_lake: i64 = lines.values().sum();
        if wrong > 0 {
            problems.push(format!("{wrong} files whose outcomes do not add up"));
        }
        if in_ledger != in_lake {
            problems.push(format!("the ledger counts {in_ledger} lines, the lake holds {in_lake}"));
        }
        if inserted != rows {
            problems.push(format!("the ledger counts {inserted} new events, the table has {rows}"));
        }
        if rejected > 0 {
            problems.push(format!("{rejected} rejected rows"));
        }
        self.look_at_facts(problems);
    }

    /// Each tracking is as its newest snapshot says, of those that arrived.
    fn look_at_facts(&self, problems: &mut Vec<String>) {
        let arrived: BTreeSet<String> = self
            .deployment
            .query("select body_sha256 as sha from raw.tracking_event")
            .iter()
            .filter_map(|row| row["sha"].as_str().map(str::to_owned))
            .collect();
        let mut newest: BTreeMap<String, (String, String)> = BTreeMap::new();
        for (sha, one) in self.issued().iter().filter(|(sha, _)| arrived.contains(*sha)) {
            let body: serde_json::Value = serde_json::from_slice(&one.body).unwrap_or_default();
            let text = |name: &str| body["msg"][name].as_str().unwrap_or_default().to_owned();
            let order = (text("updated_at"), sha.clone());
            let known = newest.entry(text("id")).or_insert_with(|| order.clone());
            if order > *known {
                *known = order;
            }
        }
        let facts = self.deployment.query("select tracking_id, body_sha256 from base.fct_shipment_tracking");
        if facts.len() != newest.len() {
            problems.push(format!("{} trackings in the facts instead of {}", facts.len(), newest.len()));
        }
        for fact in facts {
            let id = fact["tracking_id"].as_str().unwrap_or_default();
            let expected = newest.get(id).map(|(_, sha)| sha.as_str());
            if expected != fact["body_sha256"].as_str() {
                problems.push(format!("tracking {id} is not as its newest snapshot says"));
            }
        }
    }
}

/// Threads that send until told to stop.
pub struct Senders {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Senders {
    /// Waits until nothing more is sent.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a sender fails nothing");
        }
    }
}

/// The payload of this number: always the same for the same seed.
fn payload(seed: u64, number: u64) -> (Kind, Vec<u8>) {
    let mut random = fastrand::Rng::with_seed(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let kind = random.u32(0..100);
    if kind < 6 && number > 50 {
        // An earlier one once more, byte for byte.
        return payload(seed, number - 1 - random.u64(0..50));
    }
    let id = uuid::Builder::from_random_bytes(std::array::from_fn(|_| random.u8(..))).into_uuid();
    if kind < 12 {
        let poison = match random.u32(0..4) {
            0 => format!("not json {id} \u{1}\r\n").into_bytes(),
            1 => format!("[\"{id}\"]").into_bytes(),
            2 => format!("{{\"event_id\":\"{id}\",\"msg\":{{}}}}").into_bytes(),
            _ => [b"\xff\xfe\x00", id.to_string().as_bytes()].concat(),
        };
        return (Kind::Poison, poison);
    }
    let tracking = format!("track{}", random.u64(..TRACKINGS));
    let updated_at = format!(
        "2026-07-09T11:{:02}:{:02}.{:06}+00:00",
        number / 600 % 60,
        number / 10 % 60,
        number % 10 * 100_000 + random.u64(0..100_000)
    );
    let tag = ["InTransit", "OutForDelivery", "Delivered", "Exception"][random.usize(0..4)];
    let mut body = super::waybill::event(&id.to_string(), &tracking, tag, &updated_at);
    if random.bool() {
        // Bytes that a parser would not give back: spaces, a number no double holds, escapes.
        body = body.replacen('{', "{ \"padding\" : \"\\u00e9\\/\\ud83d\\ude00\", \"number\": 1.10e+05,  ", 1);
    }
    let kind = if kind < 16 { Kind::Forged } else { Kind::Event };
    (kind, body.into_bytes())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// Messages that are in a queue or a spool.
async fn waiting(places: &Places) -> Result<u64, String> {
    let options = || DiskOptions { any_file_system: true, ..DiskOptions::default() };
    let mut queues: Vec<Arc<dyn Queue>> = Vec::new();
    for dir in places.queue.iter().chain(&places.spool) {
        queues.push(Arc::new(DiskQueue::open(dir, options()).map_err(|error| error.to_string())?));
    }
    if let (Err(url), Some(endpoint)) = (&places.queue, &places.endpoint) {
        let sdk = standin_config(endpoint);
        let queue = SqsQueue::open(&sdk, url.clone(), SqsOptions::default()).await;
        queues.push(Arc::new(queue.map_err(|error| error.to_string())?));
    }
    let mut waiting = 0;
    for queue in queues {
        let depth = queue.depth().await.map_err(|error| error.to_string())?;
        waiting += depth.ready + depth.leased;
        queue.close().await;
    }
    Ok(waiting)
}

/// Bodies in the lake's objects with how often, and in open dead letters with their bytes; by their hash.
type Held = (BTreeMap<String, i64>, BTreeMap<String, Vec<u8>>);

async fn lake_holds(places: &Places) -> Result<Held, String> {
    let lake: Arc<dyn Lake> = match (&places.lake, &places.endpoint) {
        (Ok(dir), _) => Arc::new(DiskLake::open(dir).map_err(|error| error.to_string())?),
        (Err((bucket, prefix)), Some(endpoint)) => {
            Arc::new(S3Lake::open(&standin_config(endpoint), bucket, prefix, S3Options::default()))
        }
        (Err(_), None) => return Err("a bucket without a stand-in".to_owned()),
    };
    let fault = |error: &dyn std::fmt::Display| error.to_string();
    let mut lines = BTreeMap::new();
    for found in list_all(lake.as_ref(), layout::EVENTS, None).await.map_err(|error| fault(&error))? {
        let body = lake.get(&found.key).await.map_err(|error| fault(&error))?;
        let text = object::unpack(&found.key, &body, usize::MAX).map_err(|error| fault(&error))?;
        for text in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            // Reading it compares the bytes of the body with the hash beside it.
            let event = line::decode(text).map_err(|error| format!("{}: {error}", found.key))?;
            *lines.entry(event.body_sha256.to_hex()).or_insert(0) += 1;
        }
    }
    let mut letters = BTreeMap::new();
    let all = dead_letter::Filter::default();
    let listed = dead_letter::list(lake.as_ref(), &all, false).await.map_err(|error| fault(&error))?;
    for listed in listed {
        let body = listed.letter.body().map_err(|error| fault(&error))?;
        letters.insert(listed.letter.body_sha256.clone(), body);
    }
    Ok((lines, letters))
}
