use super::*;

#[test]
fn names_say_what_and_which_unit() {
    const UNITS: [&str; 10] = [
        "seconds",
        "bytes",
        "messages",
        "events",
        "files",
        "lines",
        "requests",
        "connections",
        "info",
        "total",
    ];
    for (index, metric) in CATALOGUE.iter().enumerate() {
        let name = metric.name;
        assert!(name.starts_with("waybill_"), "{name}");
        assert!(UNITS.contains(&name.rsplit('_').next().expect("a word")), "{name} ends in no unit");
        assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
        assert!(CATALOGUE[..index].iter().all(|other| other.name != name), "{name} is there twice");
        assert!(!metric.help.is_empty() && !metric.help.ends_with('.'), "{name}");
    }
}

#[test]
fn bucket_limits_grow() {
    for limits in [ANSWER, WORK, AGE] {
        assert!(limits.windows(2).all(|pair| pair[0] < pair[1]), "{limits:?}");
    }
    assert_eq!((AGE.first(), AGE.last()), (Some(&0.5), Some(&86_400.0)));
}

#[test]
fn outcomes_index_their_counters() {
    for (index, outcome) in Outcome::ALL.iter().enumerate() {
        assert_eq!(*outcome as usize, index);
    }
    for (index, class) in outcome::AnswerClass::ALL.iter().enumerate() {
        assert_eq!(*class as usize, index);
    }
}

#[test]
fn what_is_counted_is_rendered() {
    let handle = install();

    receive_begins();
    receive_answered(Outcome::Full, Duration::from_millis(3));
    signature_verified("1");
    load_ack_to_fact(Duration::from_secs(7));
    load_begins();
    load_waiting_lines(2, Duration::from_secs(90));
    queue_depth("main", 3, 4, Some(Duration::from_millis(1500)));
    mover_last_success("load", Timestamp::from_millisecond(1_700_000_000_500).expect("an instant"));

    let text = handle.render();
    for part in [
        r#"waybill_build_info{version=""#,
        r#"waybill_receive_requests_total{outcome="full"} "#,
        r#"waybill_receive_requests_total{outcome="internal"} "#,
        r#"waybill_receive_request_seconds_bucket{result="unavailable",le="0.005"} "#,
        r#"waybill_receive_signature_verified_total{secret_id="1"} "#,
        r#"waybill_load_ack_to_fact_seconds_bucket{le="86400"} "#,
        r#"waybill_load_rows_total{outcome="updated"} "#,
        r#"waybill_load_rows_total{outcome="unchanged"} "#,
        r#"waybill_load_rows_total{outcome="waiting"} "#,
        "waybill_load_waiting_lines 2",
        "waybill_load_waiting_lines_oldest_seconds 90",
        r#"waybill_queue_oldest_message_seconds{queue="main"} 1.5"#,
        r#"waybill_mover_last_success_timestamp_seconds{mover="load"} 1700000000.5"#,
        "# TYPE waybill_load_ack_to_fact_seconds histogram",
        "# HELP waybill_queue_ready_messages ",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}
