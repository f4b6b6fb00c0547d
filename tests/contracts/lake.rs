//! What every lake promises, on a folder, on the S3 stand-in and on moto.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use waybill::lake::dead_letter::{self, Closed, DeadLetter, Filter, How, Reason};
use waybill::lake::disk::DiskLake;
use waybill::lake::s3::{S3Lake, S3Options};
use waybill::lake::{Lake, LakeError, Put, list_all};
use waybill::ops::aws::standin_config;

use crate::support::aws::create_bucket;
use crate::support::process::Moto;
use crate::support::standin::{Fault, Op, Standin, StandinOptions};

async fn bytes_come_back_unchanged(lake: &dyn Lake) {
    let large: Vec<u8> =
        (0..5 * 1024 * 1024u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (key, body) in
        [("bytes/empty", Vec::new()), ("bytes/dt=1/binary", vec![0, 255, 10, 13, 0]), ("bytes/large", large)]
    {
        assert_eq!(lake.put_new(key, Bytes::from(body.clone())).await.expect("put"), Put::Created);
        assert_eq!(lake.get(key).await.expect("get"), body, "{key}");
    }
    assert!(matches!(lake.get("bytes/none").await, Err(LakeError::NotFound(_))));
}

async fn a_second_put_changes_nothing(lake: &dyn Lake) {
    assert_eq!(lake.put_new("second/x", Bytes::from_static(b"first")).await.expect("put"), Put::Created);
    assert_eq!(lake.put_new("second/x", Bytes::from_static(b"other")).await.expect("put"), Put::AlreadyThere);
    assert_eq!(lake.get("second/x").await.expect("get"), "first");
}

async fn a_replaced_object_has_its_name_and_other_bytes(lake: &dyn Lake) {
    let keys = ["replace/dt=1/x", "replace/dt=1/y"];
    for key in keys {
        lake.put_new(key, Bytes::from_static(b"Ada")).await.expect("put");
    }

    for _ in 0..2 {
        lake.replace(keys[0], Bytes::from_static(b"somebody")).await.expect("replace");
    }

    assert_eq!(lake.get(keys[0]).await.expect("get"), "somebody");
    assert_eq!(lake.get(keys[1]).await.expect("get"), "Ada", "its neighbour is as it was");
    let listed = lake.list("replace/", None).await.expect("list");
    assert_eq!(listed.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), keys);
    assert_eq!(listed.iter().map(|object| object.bytes).collect::<Vec<_>>(), [8, 3]);
    let again = lake.put_new(keys[0], Bytes::from_static(b"Ada")).await.expect("put");
    assert_eq!(again, Put::AlreadyThere, "who repeats an old put does not bring it back");
    assert_eq!(lake.get(keys[0]).await.expect("get"), "somebody");
}

async fn who_reads_while_it_is_replaced_sees_one_or_the_other(lake: &dyn Lake) {
    let bodies = [vec![b'a'; 300_000], vec![b'b'; 200_000]];
    lake.put_new("replace/race", Bytes::from(bodies[0].clone())).await.expect("put");

    let replaces = (0..6).map(|round| lake.replace("replace/race", Bytes::from(bodies[round % 2].clone())));
    let gets = (0..12).map(|_| lake.get("replace/race"));
    let (replaced, got) = tokio::join!(join_all(replaces), join_all(gets));

    assert!(replaced.iter().all(Result::is_ok), "{replaced:?}");
    for body in got {
        assert!(bodies.contains(&body.expect("get").to_vec()), "half an object");
    }
}

async fn of_concurrent_puts_one_wins(lake: &dyn Lake) {
    for round in 0..5 {
        let key = format!("race/{round}");
        let puts = (0..12).map(|writer| lake.put_new(&key, Bytes::from(format!("writer {writer}"))));
        let won = join_all(puts).await.into_iter().filter(|put| matches!(put, Ok(Put::Created))).count();
        assert_eq!(won, 1, "round {round}");
    }
}

async fn a_listing_is_in_byte_order_and_can_begin_anywhere(lake: &dyn Lake) {
    let keys =
        ["list/a-b/x", "list/a.b", "list/a/dt=1/x", "list/a/dt=2/y", "list/a0", "list/b=1/x", "other/x"];
    for key in keys {
        lake.put_new(key, Bytes::from_static(b"x")).await.expect("put");
    }
    let listed = |prefix: &'static str, after: Option<&'static str>| async move {
        let objects = lake.list(prefix, after).await.expect("list");
        objects.into_iter().map(|object| object.key).collect::<Vec<_>>()
    };

    assert_eq!(listed("list/", None).await, keys[..6]);
    assert_eq!(listed("list/a/", None).await, keys[2..4]);
    assert_eq!(listed("list/a/dt", Some("list/a/dt=1/x")).await, keys[3..4]);
    assert_eq!(listed("list/", Some("list/a/")).await, keys[2..6]);
    assert!(listed("nothing/", None).await.is_empty());
    lake.probe().await.expect("probe");
    assert_eq!(listed("list/", None).await.len(), 6, "a probe leaves nothing");
}

async fn long_listings_come_whole(lake: &dyn Lake) {
    let keys: BTreeSet<String> = (0..1_205).map(|index| format!("many/{}/{index}", index % 7)).collect();
    for chunk in keys.iter().collect::<Vec<_>>().chunks(64) {
        join_all(chunk.iter().map(|key| lake.put_new(key, Bytes::from_static(b"x")))).await;
    }

    let listed: Vec<String> =
        list_all(lake, "many/", None).await.expect("list").into_iter().map(|o| o.key).collect();

    assert_eq!(listed, keys.into_iter().collect::<Vec<_>>());
}

fn letter(text: &str, reason: Reason, received_at: &str) -> DeadLetter {
    let received_at = received_at.parse().expect("instant");
    DeadLetter {
        v: 1,
        id: DeadLetter::id_of(text.as_bytes()),
        reason,
        detail: None,
        event: None,
        event_key: None,
        source: Some("webhook".to_owned()),
        received_at,
        dead_at: received_at,
        attempts: 1,
        replay_id: None,
        body_sha256: String::new(),
        body_base64: base64::Engine::encode(&base64::prelude::BASE64_STANDARD, text),
    }
}

async fn dead_letters_are_kept_for_ever_and_listed_until_closed(lake: &dyn Lake) {
    let first = letter("first", Reason::NotJson, "2026-07-09T12:00:00Z");
    let second = letter("\u{0}\u{ff}second", Reason::Empty, "2026-07-10T12:00:00Z");
    let listed = |filter: Filter, all: bool| async move {
        let found = dead_letter::list(lake, &filter, all).await.expect("list");
        found
            .into_iter()
            .map(|found| (found.letter, found.closed.map(|closed| closed.how)))
            .collect::<Vec<_>>()
    };
    for letter in [&first, &second, &first] {
        // The same message again is the same letter.
        let put = dead_letter::put(lake, letter).await.expect("put");
        assert!(matches!(put, Put::Created | Put::AlreadyThere));
    }
    assert_eq!(listed(Filter::default(), false).await, [(first.clone(), None), (second.clone(), None)]);

    let now = "2026-07-11T00:00:00Z".parse().expect("instant");
    let closed = Closed::dropped(now, Some("noise".to_owned()));
    assert_eq!(dead_letter::close(lake, &first, &closed).await.expect("close"), Put::Created);
    let again = Closed::replayed(now, "r", None);
    assert_eq!(dead_letter::close(lake, &first, &again).await.expect("close"), Put::AlreadyThere);

    assert_eq!(listed(Filter::default(), false).await, [(second.clone(), None)]);
    let all = listed(Filter::default(), true).await;
    assert_eq!(all, [(first.clone(), Some(How::Dropped)), (second.clone(), None)]);
    let filter = |condition: &str| Filter::parse(&[condition.to_owned()], now).expect("a condition");
    assert_eq!(listed(filter("reason=empty"), true).await, [(second.clone(), None)]);
    assert_eq!(listed(filter("since=13h"), true).await, [(second.clone(), None)]);
    assert_eq!(listed(filter(&format!("id={}", first.id)), false).await, []);
    assert_eq!(second.body().expect("body"), "\u{0}\u{ff}second".as_bytes());
}

async fn every_promise(lake: &dyn Lake) {
    of_concurrent_puts_one_wins(lake).await;
    every_promise_but_races(lake).await;
}

async fn every_promise_but_races(lake: &dyn Lake) {
    bytes_come_back_unchanged(lake).await;
    a_second_put_changes_nothing(lake).await;
    a_replaced_object_has_its_name_and_other_bytes(lake).await;
    who_reads_while_it_is_replaced_sees_one_or_the_other(lake).await;
    a_listing_is_in_byte_order_and_can_begin_anywhere(lake).await;
    dead_letters_are_kept_for_ever_and_listed_until_closed(lake).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_keeps_every_promise() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let lake = DiskLake::open(dir.path()).expect("lake");
    every_promise(&lake).await;
    long_listings_come_whole(&lake).await;

    let reopened = DiskLake::open(dir.path()).expect("lake");
    assert_eq!(reopened.get("second/x").await.expect("get"), "first");
    for key in ["", "../x", "/x", "a//b", "a/../b", "a\0b"] {
        assert!(matches!(lake.put_new(key, Bytes::new()).await, Err(LakeError::Refused(_))), "{key:?}");
    }
}

async fn on_stand_in(options: S3Options) -> (Standin, S3Lake) {
    let standin = Standin::start(StandinOptions::default()).await;
    let sdk = standin_config(&standin.endpoint());
    create_bucket(&sdk, "lake").await;
    let lake = S3Lake::open(&sdk, "lake", "shop/tracking", options);
    (standin, lake)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stand_in_keeps_every_promise() {
    let (_standin, lake) = on_stand_in(S3Options::default()).await;
    every_promise(&lake).await;
    long_listings_come_whole(&lake).await;
}

/// moto looks and writes in two steps, so that two writers who meet may both win; nothing that is tested on it has
/// two writers of one key.
#[tokio::test(flavor = "multi_thread")]
async fn moto_keeps_every_promise_but_races() {
    let moto = Moto::start().await;
    let sdk = standin_config(&moto.endpoint());
    create_bucket(&sdk, "lake").await;
    every_promise_but_races(&S3Lake::open(&sdk, "lake", "", S3Options::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_survives_what_s3_may_answer() {
    let (standin, lake) = on_stand_in(S3Options::default()).await;
    for (index, fault) in
        [Fault::Conflict409, Fault::WriteThen503, Fault::DropAnswerAfterDoing, Fault::Status(500)]
            .into_iter()
            .enumerate()
    {
        let armed = standin.faults().arm(Op::PutObject, fault, 1);
        let key = format!("faults/{index}");

        // Created, or already there from the attempt whose answer was lost: either way it is there once.
        lake.put_new(&key, Bytes::from_static(b"body")).await.expect("put");

        assert_eq!(armed.fired(), 1, "fault {index}");
        assert_eq!(lake.get(&key).await.expect("get"), "body");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_never_answers_is_unavailable_in_time() {
    let options =
        S3Options { attempt_timeout: Duration::from_millis(200), deadline: Duration::from_millis(600) };
    let (standin, lake) = on_stand_in(options).await;
    let armed = standin.faults().arm(Op::PutObject, Fault::Blackhole, 100);

    let outcome = lake.put_new("silence", Bytes::from_static(b"x")).await;

    assert!(matches!(outcome, Err(LakeError::Unavailable(_))), "{outcome:?}");
    assert!(armed.fired() >= 1);
}
