//! What is asked, and what is read of answers in every version's form.

use std::time::Duration;

use proptest::prelude::*;

use crate::event::{Source, format_instant};

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

fn ids(page: &ListPage) -> Vec<&str> {
    page.trackings.iter().map(|snapshot| snapshot.id.as_str()).collect()
}

fn read(body: &str, next: Option<Next>, limit: u16) -> Result<ListPage, Unreadable> {
    read_page(body.as_bytes(), &ListQuery { next, limit, ..ListQuery::default() })
}

fn cursor(text: &str) -> Option<Next> {
    Some(Next::Cursor(text.to_owned()))
}

#[test]
fn dates_have_whole_seconds_and_an_encoded_offset() {
    let query = ListQuery {
        updated_from: Some(at("2026-07-09T12:00:00.9Z")),
        updated_until: Some(at("2026-07-09T14:30:00.1+02:00")),
        ..ListQuery::default()
    };

    assert_eq!(
        path_and_query("/tracking/2026-07", &query),
        "/tracking/2026-07/trackings?limit=200&updated_at_min=2026-07-09T12:00:00%2B00:00\
         &updated_at_max=2026-07-09T12:30:01%2B00:00"
    );
}

#[test]
fn every_bound_and_both_kinds_of_paging_are_named_as_aftership_does() {
    let query = ListQuery {
        created_from: Some(at("2026-07-01T00:00:00Z")),
        created_until: Some(at("2026-07-02T00:00:00Z")),
        next: cursor("WzE3MTk5OTIwMzIzNTMs+/=&x"),
        limit: 7,
        ..ListQuery::default()
    };

    assert_eq!(
        path_and_query("/tracking/2026-07/", &query),
        "/tracking/2026-07/trackings?limit=7&created_at_min=2026-07-01T00:00:00%2B00:00\
         &created_at_max=2026-07-02T00:00:00%2B00:00&cursor=WzE3MTk5OTIwMzIzNTMs%2B%2F%3D%26x"
    );
    let pages = ListQuery { next: Some(Next::Page(3)), limit: 900, ..ListQuery::default() };
    assert_eq!(path_and_query("/v4", &pages), "/v4/trackings?limit=200&page=3");
}

#[test]
fn one_tracking_is_asked_for_by_its_id() {
    assert_eq!(path_of("/v4", "a-b_1"), "/v4/trackings/a-b_1");
    assert_eq!(path_of("/v4", "ups/1Z"), "/v4/trackings/ups/1Z");
    assert_eq!(path_of("/v4", "a b?c"), "/v4/trackings/a%20b%3Fc");
}

#[test]
fn a_page_of_the_newest_version_is_read() {
    let tracking = r#"{"id":"t1","tag":"InTransit","updated_at":"2026-07-09T12:00:00+00:00","checkpoints":[{},{}],"title":"a, ]} \" b"}"#;
    let body = format!(
        r#"{{"meta":{{"code":200}},"data":{{"pagination":{{"total":2,"next_cursor":"c1","has_next_page":true}},"trackings":[ {tracking} ,{{"id":"t2"}}]}}}}"#
    );

    let page = read(&body, None, 200).expect("readable");

    assert_eq!(ids(&page), ["t1", "t2"]);
    assert_eq!((page.next.clone(), page.total), (cursor("c1"), Some(2)));
    let first = &page.trackings[0];
    assert_eq!(first.json, tracking);
    assert_eq!(first.updated_at, Some(at("2026-07-09T12:00:00Z")));
    assert_eq!((first.tag.as_deref(), first.checkpoints), (Some("InTransit"), 2));
    assert_eq!(first.key, content_key(tracking.as_bytes()));
}

#[test]
fn a_cursor_ends_in_any_of_its_ways() {
    let page = |pagination: &str| {
        let body = format!(r#"{{"data":{{"pagination":{{{pagination}}},"trackings":[{{"id":"t"}}]}}}}"#);
        read(&body, cursor("c0"), 1).map(|page| page.next)
    };

    for end in [
        r#""has_next_page":false,"next_cursor":"c1""#,
        r#""has_next_page":false,"next_cursor":"""#,
        r#""has_next_page":false"#,
        r#""next_cursor":null"#,
        "",
    ] {
        assert_eq!(page(end), Ok(None), "{end}");
    }
    assert_eq!(page(r#""next_cursor":"c1""#), Ok(cursor("c1")));
    assert_eq!(page(r#""has_next_page":true,"next_cursor":"""#), Err(Unreadable::NoNext));
}

#[test]
fn more_without_a_cursor_is_no_end_however_short_the_page() {
    for trackings in ["", r#"{"id":"t"}"#] {
        let body =
            format!(r#"{{"data":{{"pagination":{{"has_next_page":true}},"trackings":[{trackings}]}}}}"#);

        assert_eq!(read(&body, None, 200), Err(Unreadable::NoNext), "{trackings}");
        assert_eq!(read(&body, cursor("c0"), 200), Err(Unreadable::NoNext), "{trackings}");
    }
}

#[test]
fn a_count_that_may_be_cut_off_is_no_ground_for_page_numbers() {
    let dated = |total: u64| {
        format!(
            r#"{{"data":{{"pagination":{{"page":1,"limit":200,"total":{total},"has_next_page":true}},"trackings":[{{"id":"t"}}]}}}}"#
        )
    };
    let legacy = |total: u64| {
        format!(r#"{{"data":{{"page":1,"limit":200,"count":{total},"trackings":[{{"id":"t"}}]}}}}"#)
    };

    for body in [&dated as &dyn Fn(u64) -> String, &legacy] {
        for total in [10_000, 25_000] {
            let first = read(&body(total), None, 200).expect("how many there are can be asked");
            assert_eq!(first.total, Some(total));
            assert_eq!(read(&body(total), first.next, 200), Err(Unreadable::TooMany));
        }
        let below = read(&body(9_999), Some(Next::Page(50)), 200).expect("readable");
        assert_eq!(below.next, Some(Next::Page(49)));
    }
    let cursors = r#"{"data":{"pagination":{"total":25000,"next_cursor":"c2","has_next_page":true},"trackings":[{"id":"t"}]}}"#;
    assert_eq!(read(cursors, cursor("c1"), 1).expect("no count is needed").next, cursor("c2"));
}

#[test]
fn pages_are_read_from_the_last_one_down() {
    let dated = |page: u32| {
        format!(
            r#"{{"data":{{"pagination":{{"page":{page},"limit":2,"total":5,"has_next_page":true}},"trackings":[{{"id":"t"}}]}}}}"#
        )
    };
    let legacy = |page: u32| {
        format!(r#"{{"data":{{"page":{page},"limit":2,"count":5,"fields":"","trackings":[{{"id":"t"}}]}}}}"#)
    };
    let next = |body: &str, next| read(body, next, 2).expect("readable").next;

    for body in [&dated as &dyn Fn(u32) -> String, &legacy] {
        assert_eq!(next(&body(1), None), Some(Next::Page(3)));
        assert_eq!(next(&body(3), Some(Next::Page(3))), Some(Next::Page(2)));
        assert_eq!(next(&body(2), Some(Next::Page(2))), Some(Next::Page(1)));
        assert_eq!(next(&body(1), Some(Next::Page(1))), None);
    }
    let single = r#"{"data":{"page":1,"limit":200,"count":1,"trackings":[{"id":"t"}]}}"#;
    assert_eq!(next(single, None), None);
}

#[test]
fn pages_without_a_total_are_read_forward() {
    let body = |is_more: bool| {
        format!(
            r#"{{"data":{{"pagination":{{"page":4,"has_next_page":{is_more}}},"trackings":[{{"id":"t"}}]}}}}"#
        )
    };

    assert_eq!(read(&body(true), Some(Next::Page(4)), 1).expect("readable").next, Some(Next::Page(5)));
    assert_eq!(read(&body(false), Some(Next::Page(4)), 1).expect("readable").next, None);
}

#[test]
fn what_is_no_tracking_does_not_lose_the_page() {
    let deep = format!(r#"{{"id":"deep","x":{}{}}}"#, "[".repeat(70), "]".repeat(70));
    let body = format!(
        r#"{{"data":{{"trackings":[null,{{}},{{"id":"t1"}},{{"id":"bad","x":tru}},7,{deep},{{"id":"\ud800"}}]}}}}"#
    );

    let page = read(&body, None, 200).expect("readable");

    assert_eq!(ids(&page), ["t1", "\u{fffd}"]);
    assert_eq!(page.unreadable, ["null", "{}", r#"{"id":"bad","x":tru}"#, "7", deep.as_str()]);
    let reasons: Vec<_> = page
        .unreadable
        .iter()
        .map(|json| unreadable_event(json, at("2026-07-09T12:00:00Z")))
        .map(|event| webhook::read(&event.body).expect_err("unreadable").reason())
        .collect();
    assert_eq!(reasons, ["no_tracking", "no_tracking", "not_json", "no_tracking", "too_deep"]);
}

#[test]
fn what_is_no_list_is_unreadable() {
    let whole = r#"{"data":{"pagination":{"has_next_page":false},"trackings":[{"id":"t1"}]}}"#;
    for cut in 0..whole.len() {
        assert_eq!(read(&whole[..cut], None, 200), Err(Unreadable::NotJson), "{cut}");
    }
    for body in [
        "{}",
        r#"{"data":{}}"#,
        r#"{"data":[]}"#,
        r#"{"data":{"trackings":null}}"#,
        r#"{"meta":{"code":200}}"#,
    ] {
        assert_eq!(read(body, None, 200), Err(Unreadable::NoTrackings), "{body}");
    }
    assert_eq!(read("<html></html>", None, 200), Err(Unreadable::NotJson));
    assert_eq!(read_page(b"{\"data\":\"\xff\"}", &ListQuery::default()), Err(Unreadable::NotJson));
}

#[test]
fn one_tracking_is_read_with_and_without_its_wrapper() {
    let id = |body: &str| read_one(body.as_bytes()).map(|snapshot| (snapshot.id, snapshot.json));

    let expected = ("t1".to_owned(), Bytes::from_static(br#"{"id":"t1"}"#));
    assert_eq!(id(r#"{"data":{"tracking":{"id":"t1"}}}"#), Ok(expected.clone()));
    assert_eq!(id(r#"{"data":{"id":"t1"}}"#), Ok(expected));
    assert_eq!(id(r#"{"data":{}}"#), Err(Unreadable::NoTrackings));
    assert_eq!(id(r#"{"data":{"id":"t1"}"#), Err(Unreadable::NotJson));
}

#[test]
fn a_snapshots_event_is_read_like_any_other() {
    let tracking =
        Bytes::from_static(br#"{ "id":"t1","tag":"Delivered","updated_at":"2026-07-09T12:00:00+00:00" }"#);
    let snapshot = snapshot(tracking.clone()).expect("readable");

    let event = event(&snapshot, at("2026-07-09T12:01:00Z"));

    assert_eq!(event.source, Source::Api);
    assert_eq!(event.event_id, None);
    assert_eq!(event.event_key, content_key(&tracking));
    let webhook = webhook::read(&event.body).expect("readable");
    assert_eq!(webhook.event.as_deref(), Some(SNAPSHOT_EVENT));
    assert_eq!((webhook.event_id.clone(), webhook.ts), (None, None));
    let read = tracking::read(&webhook);
    assert_eq!((read.id.as_str(), read.tag.as_deref()), ("t1", Some("Delivered")));
    assert!(event.body.ends_with(b" }}"), "the tracking's bytes are as they were");
}

#[test]
fn a_change_of_anything_but_the_volatile_is_another_key() {
    let base = r#"{"id":"t1","tracked_count":3,"weight":1.0,"list":[1,{"tracked_count":1}],"note":"a"}"#;
    let key = |text: &str| content_key(text.as_bytes());

    for same in [
        r#"{"id":"t1","tracked_count":99,"weight":1.0,"list":[1,{"tracked_count":1}],"note":"a"}"#,
        r#"{"id":"t1","weight":1.0,"list":[1,{"tracked_count":1}],"note":"a"}"#,
        "{ \"note\" : \"\\u0061\",\n\"list\":[1, {\"tracked_count\":1}],\"weight\":1.0,\"id\":\"t1\"}",
        r#"{"id":"t0","weight":1.0,"list":[1,{"tracked_count":1}],"note":"a","id":"t1"}"#,
    ] {
        assert_eq!(key(same), key(base), "{same}");
    }
    for other in [
        r#"{"id":"t1","weight":1,"list":[1,{"tracked_count":1}],"note":"a"}"#,
        r#"{"id":"t1","weight":1.0,"list":[1,{"tracked_count":2}],"note":"a"}"#,
        r#"{"id":"t1","weight":1.0,"list":[{"tracked_count":1},1],"note":"a"}"#,
        r#"{"id":"t1","weight":1.0,"list":[1,{"tracked_count":1}],"note":null}"#,
        r#"{"id":"t1","weight":1.0,"list":[1,{"tracked_count":1}]}"#,
    ] {
        assert_ne!(key(other), key(base), "{other}");
    }
    assert_ne!(key(r#"{"a":"\ud800"}"#), key(r#"{"a":"\udfff"}"#));
}

#[test]
fn both_families_of_rate_headers_are_read() {
    let now = at("2026-07-09T12:00:00Z");
    let read = |headers: &[(&str, &'static str)]| {
        let find = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        RateLimit::read(find, now)
    };
    let seconds = |limit: RateLimit, is_refused| limit.pause(is_refused, now).as_secs();

    let tracking = read(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1783598403")]);
    assert_eq!(tracking.reset_at.map(format_instant).as_deref(), Some("2026-07-09T12:00:03.000000Z"));
    assert_eq!((seconds(tracking, true), seconds(tracking, false)), (3, 3));
    let others = read(&[("ratelimit-remaining", "4"), ("ratelimit-reset", "2"), ("retry-after", "9")]);
    assert_eq!(others.remaining, Some(4));
    assert_eq!((seconds(others, true), seconds(others, false)), (9, 0));
    let dated = read(&[("retry-after", "Thu, 09 Jul 2026 12:00:05 GMT")]);
    assert_eq!(seconds(dated, true), 5);
    let millis = read(&[("x-ratelimit-reset", "1783598404000")]);
    assert_eq!(seconds(millis, true), 4);
    for odd in ["soon", "-5", "NaN", "inf", "1e300", ""] {
        assert_eq!(seconds(read(&[("retry-after", odd)]), true), 1, "{odd}");
    }
    assert_eq!(seconds(read(&[]), true), 1);
    assert_eq!(read(&[]).pause(false, now), Duration::ZERO);
}

#[test]
fn a_fault_says_what_aftership_says() {
    let body =
        br#"{"meta":{"code":4004,"type":"BadRequest","message":"Tracking does\nnot exist."},"data":{}}"#;

    assert_eq!(
        fault(404, body),
        ApiFault {
            status: 404,
            code: Some(4004),
            kind: Some("BadRequest".to_owned()),
            message: Some("Tracking does not exist.".to_owned()),
        }
    );
    assert_eq!(fault(502, b"<html>"), ApiFault { status: 502, code: None, kind: None, message: None });
}

/// A tracking's members, each with a value of its own, in any order and with any white space.
fn written(members: &[(u8, i64)], spaces: &[u8], count: Option<i64>) -> String {
    let space =
        |index: usize| " \n\t ".get(..usize::from(spaces.get(index).copied().unwrap_or(0) % 4)).unwrap_or("");
    let mut parts: Vec<String> = members
        .iter()
        .enumerate()
        .map(|(index, (name, value))| {
            format!("{}\"m{name}\"{}:{{\"v\":{value}}}", space(index), space(index + 1))
        })
        .collect();
    if let Some(count) = count {
        parts.insert(parts.len() / 2, format!("\"tracked_count\":{count}"));
    }
    format!("{{{}}}", parts.join(","))
}

proptest! {
    #[test]
    fn order_space_and_count_do_not_make_another_key(
        members in proptest::collection::btree_map(any::<u8>(), any::<i64>(), 1..8),
        turn in 0..8usize,
        spaces in proptest::collection::vec(any::<u8>(), 0..9),
        count in proptest::option::of(any::<i64>()),
        changed in 0..8usize,
    ) {
        let members: Vec<(u8, i64)> = members.into_iter().collect();
        let mut turned = members.clone();
        turned.rotate_left(turn % members.len());
        let mut other = members.clone();
        let index = changed % other.len();
        other[index].1 = other[index].1.wrapping_add(1);

        let key = content_key(written(&members, &[], None).as_bytes());
        prop_assert_eq!(&content_key(written(&turned, &spaces, count).as_bytes()), &key);
        prop_assert_ne!(&content_key(written(&other, &spaces, count).as_bytes()), &key);
    }

    #[test]
    fn no_answer_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200), text in r#"[\[\]{}",:0-9a-c\\ ]{0,60}"#) {
        let _ = read_page(&body, &ListQuery::default());
        let _ = read_one(&body);
        let _ = fault(500, &body);
        let list = format!(r#"{{"data":{{"pagination":{{{text}}},"trackings":[{text}]}}}}"#);
        let _ = read_page(list.as_bytes(), &ListQuery::default());
    }

    #[test]
    fn a_page_read_down_meets_all_that_stays(total in 0..30u32, limit in 1..6u32, gone in proptest::collection::vec((0..40usize, 0..30usize), 0..10)) {
        // A list of numbers, from which one goes away between two answers, here and there.
        let mut list: Vec<u32> = (0..total).collect();
        let mut met = std::collections::BTreeSet::new();
        let mut left = std::collections::BTreeSet::new();
        let mut asked = ListQuery { limit: u16::try_from(limit).expect("small"), ..ListQuery::default() };
        for answer in 0.. {
            prop_assert!(answer < 40, "it ends");
            let page = match asked.next { Some(Next::Page(page)) => page, _ => 1 };
            let from = ((page - 1) * limit) as usize;
            let some: Vec<u32> = list.iter().skip(from).take(limit as usize).copied().collect();
            met.extend(some.iter().copied());
            let trackings: Vec<String> = some.iter().map(|number| format!(r#"{{"id":"{number}"}}"#)).collect();
            let body = format!(
                r#"{{"data":{{"page":{page},"limit":{limit},"count":{},"trackings":[{}]}}}}"#,
                list.len(),
                trackings.join(",")
            );
            asked.next = read_page(body.as_bytes(), &asked).expect("readable").next;
            if asked.next.is_none() {
                break;
            }
            for (_, index) in gone.iter().filter(|(when, _)| *when == answer) {
                if *index < list.len() {
                    left.insert(list.remove(*index));
                }
            }
        }

        for number in 0..total {
            prop_assert!(met.contains(&number) || left.contains(&number), "{number} was passed over");
        }
    }
}
