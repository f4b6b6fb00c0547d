//! Runs that are stopped, and orders that are asked for again after it.

use async_trait::async_trait;
use bytes::Bytes;

use crate::lake::{Object, Put};

use super::*;

/// A lake that takes nothing and does not say so.
struct Silent(Arc<dyn Lake>);

#[async_trait]
impl Lake for Silent {
    async fn put_new(&self, _key: &str, _body: Bytes) -> Result<Put, LakeError> {
        std::future::pending().await
    }

    async fn replace(&self, _key: &str, _body: Bytes) -> Result<(), LakeError> {
        std::future::pending().await
    }

    async fn get(&self, key: &str) -> Result<Bytes, LakeError> {
        self.0.get(key).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Object>, LakeError> {
        self.0.list(prefix, after).await
    }

    async fn probe(&self) -> Result<(), LakeError> {
        self.0.probe().await
    }

    fn kind(&self) -> &'static str {
        self.0.kind()
    }
}

/// Everything since then once more.
fn order(bench: &Bench, seconds: i64) -> Poll {
    let mut poll = bench.poll();
    poll.settings.since = Some(ago(seconds));
    poll.settings.again = true;
    poll
}

/// Stops a run after its first page.
async fn stopped(poll: &Poll) -> Result<PollReport, PollError> {
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let run = poll.run_once(&stop, |_, _| stopping.cancel());
    tokio::time::timeout(PATIENCE, run).await.expect("it ends")
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_lake_that_does_not_answer() {
    let bench = Bench::with_trackings(6).await;
    let mut poll = bench.poll();
    poll.lake = Arc::new(Silent(Arc::clone(&bench.lake)));

    let error = stopped(&poll).await.expect_err("nothing could be kept");

    assert!(matches!(error, PollError::CutShort), "{error}");
    assert!(state::load(bench.lake.as_ref()).await.expect("readable").is_none());
    // What was sent is sent once more, and the rest too.
    assert_eq!(bench.once().await.expect("polled").sent, 6);
    let mut ids = bench.ids().await;
    ids.dedup();
    assert_eq!(ids, names(6));
}

#[tokio::test]
async fn an_order_is_gone_on_with_although_its_instant_moves_with_the_clock() {
    let bench = Bench::with_trackings(6).await;
    bench.once().await.expect("polled");

    assert_eq!(stopped(&order(&bench, 3_600)).await.expect("stopped").sent, 2);
    // An hour ago, asked for 100 s later.
    let rest = order(&bench, 3_500).run_once(&CancellationToken::new(), |_, _| {}).await.expect("polled");

    assert!(rest.is_complete);
    let cursors = bench.fake.asked_for("cursor");
    let cursors: Vec<_> = cursors.iter().map(Option::as_deref).collect();
    // After the three pages of the first poll.
    assert_eq!(cursors[3..6], [None, Some("2"), Some("4")]);
    let mut ids = bench.ids().await;
    ids.dedup();
    assert_eq!(ids, names(6));
}

#[tokio::test]
async fn an_order_for_more_begins_anew() {
    let bench = Bench::with_trackings(6).await;
    stopped(&order(&bench, 3_600)).await.expect("stopped");

    let more = order(&bench, 7_200).run_once(&CancellationToken::new(), |_, _| {}).await.expect("polled");

    assert_eq!((more.sent, more.is_complete), (6, true));
    assert!(more.from.expect("a window") <= ago(7_200));
}
