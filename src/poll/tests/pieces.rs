//! Windows that cannot be read in one go: cursors that expire, and counts that are cut off.

use super::*;

/// So many trackings: some of them a second apart, the others days.
async fn unevenly_updated(count: i64) -> Bench {
    let bench = Bench::new().await;
    for index in 0..count {
        let seconds = if index % 3 == 0 { index * 90_000 } else { index };
        bench.fake.put(&format!("t{index}"), ago(600 + seconds), "InTransit");
    }
    bench
}

fn sorted(count: i64) -> Vec<String> {
    let mut names = names(count);
    names.sort();
    names
}

/// Spans in seconds since 1970, as they were asked for.
fn spans(bench: &Bench) -> Vec<(i64, i64)> {
    let seconds = |name: &str| -> Vec<i64> {
        let texts = bench.fake.asked_for(name).into_iter().map(|text| text.expect("a bound"));
        texts.map(|text| text.parse::<Timestamp>().expect("a date").as_second()).collect()
    };
    seconds("updated_at_min").into_iter().zip(seconds("updated_at_max")).collect()
}

#[tokio::test]
async fn an_expired_cursor_halves_the_window_and_repeats_nothing() {
    let bench = Bench::with_trackings(5).await;
    bench.fake.fail(2, Fault::Status(400));

    let report = bench.once().await.expect("polled");

    assert_eq!((report.restarts, report.sent, report.unchanged), (1, 5, 4));
    let cursors = bench.fake.asked_for("cursor");
    let cursors: Vec<_> = cursors.iter().map(Option::as_deref).collect();
    // The first half is empty.
    assert_eq!(cursors, [None, Some("2"), Some("4"), None, None, Some("2"), Some("4")]);
    let spans = spans(&bench);
    let (whole, half, rest) = (spans[0], spans[3], spans[4]);
    assert_eq!(half, (whole.0, whole.0 + (whole.1 - whole.0) / 2));
    assert_eq!(rest, (half.1 - 1, whole.1));
    assert_eq!(bench.state().await.until.map(Timestamp::as_second), Some(whole.1));
    assert_eq!(bench.ids().await, names(5));
}

#[tokio::test]
async fn a_window_of_many_pages_ends_although_every_cursor_expires() {
    let bench = unevenly_updated(60).await;
    *locked(&bench.fake.pages_of_a_cursor) = Some(2);

    let report = bench.once().await.expect("polled");

    assert!(report.is_complete && report.restarts > 3, "{report:?}");
    assert_eq!(report.sent, 60);
    assert_eq!(bench.ids().await, sorted(60));
    let state = bench.state().await;
    assert_eq!((state.until, state.unfinished), (report.until, None));
    assert_eq!(report.until.map(Timestamp::as_second), Some(spans(&bench)[0].1), "the end stays");
}

#[tokio::test]
async fn pieces_are_gone_on_with_wherever_a_run_was_stopped() {
    let bench = unevenly_updated(30).await;
    *locked(&bench.fake.pages_of_a_cursor) = Some(2);
    let mut sent = 0;
    let mut runs = 0;

    loop {
        runs += 1;
        assert!(runs < 500, "it ends");
        // Each run is stopped after three pages.
        let stop = CancellationToken::new();
        let mut pages = 0;
        let stopping = stop.clone();
        let report = bench
            .poll()
            .run_once(&stop, |_, _| {
                pages += 1;
                if pages == 3 {
                    stopping.cancel();
                }
            })
            .await
            .expect("polled");
        sent += report.sent;
        if report.is_complete {
            break;
        }
        let state = bench.state().await;
        assert!(state.until.is_none() || state.unfinished.is_none(), "not before the whole is read");
    }

    let mut ids = bench.ids().await;
    assert_eq!(ids.len() as u64, sent);
    ids.dedup();
    assert_eq!(ids, sorted(30));
}

#[tokio::test]
async fn more_than_is_counted_is_read_in_pieces() {
    let bench = unevenly_updated(60).await;
    bench.fake.by_pages.store(true, Ordering::Relaxed);
    *locked(&bench.fake.counted_max) = Some(8);

    let report = bench.once().await.expect("polled");

    assert!(report.is_complete);
    assert_eq!((report.sent, report.restarts), (60, 0));
    assert_eq!(bench.ids().await, sorted(60));
}

#[tokio::test]
async fn more_than_is_counted_within_some_seconds_is_an_error() {
    let bench = Bench::new().await;
    let at = ago(600);
    for index in 0..9 {
        bench.fake.put(&format!("t{index}"), at, "InTransit");
    }
    bench.fake.by_pages.store(true, Ordering::Relaxed);
    *locked(&bench.fake.counted_max) = Some(8);

    let error = bench.once().await.expect_err("they cannot be told apart");

    assert!(matches!(error, PollError::Api(ApiError::TooMany)), "{error}");
    assert_eq!(bench.state().await.until, None);
}

#[tokio::test]
async fn a_cursor_that_is_never_taken_is_an_error_in_the_end() {
    let bench = Bench::new().await;
    let at = ago(600);
    for index in 0..9 {
        bench.fake.put(&format!("t{index}"), at, "InTransit");
    }
    *locked(&bench.fake.pages_of_a_cursor) = Some(0);

    let error = bench.once().await.expect_err("no second page can be read");

    assert_eq!((error.step(), bench.state().await.until), ("list", None));
    *locked(&bench.fake.pages_of_a_cursor) = None;
    assert!(bench.once().await.expect("polled").is_complete);
    let mut ids = bench.ids().await;
    ids.dedup();
    assert_eq!(ids, names(9));
}
