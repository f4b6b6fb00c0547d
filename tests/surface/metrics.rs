//! The operations page lists the metrics that the program gives, and no others.

use std::collections::BTreeSet;

use crate::support::waybill::{Deployment, event, fresh_id, get, post};

fn documented() -> BTreeSet<String> {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATIONS.md")).expect("page");
    text.lines()
        .filter(|line| line.starts_with("| `waybill_"))
        .map(|line| {
            let name = line.trim_start_matches("| `").split('`').next().expect("a name");
            name.split('{').next().expect("a name").to_owned()
        })
        .collect()
}

/// Every metric name that the code registers.
fn in_code() -> BTreeSet<String> {
    let code = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/ops/metrics.rs"))
        .expect("metrics.rs");
    code.split('"')
        .filter(|word| {
            word.starts_with("waybill_")
                && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
                && *word != "waybill_"
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_metric_is_documented_and_every_documented_one_exists() {
    let (documented, code) = (documented(), in_code());

    assert!(!code.is_empty());
    let missing: Vec<_> = code.difference(&documented).collect();
    assert!(missing.is_empty(), "not in docs/OPERATIONS.md: {missing:?}");
    let invented: Vec<_> = documented.difference(&code).collect();
    assert!(invented.is_empty(), "documented and not there: {invented:?}");
}

#[test]
fn labels_come_from_closed_lists() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let up = deployment.start(&["up"]);
    let tracking = "canary-tracking-9c1e";
    let body = event(&fresh_id(), tracking, "InTransit", "2026-07-09T11:00:00+00:00");
    assert_eq!(post(up.listen(), body.as_bytes()).expect("an answer").status, 200);
    assert_eq!(post(up.listen(), b"canary-body-77aa").expect("an answer").status, 200);
    deployment.await_count("select count(*) as n from base.fct_shipment_tracking", 1);

    let metrics = get(up.ops(), "/metrics").expect("an answer").body;
    let logs = up.stderr();
    for text in [tracking, "canary-body", "Zürich", crate::support::waybill::SECRET] {
        assert!(!metrics.contains(text), "{text} in the metrics");
        assert!(!logs.contains(text), "{text} in the logs");
    }
    let documented = documented();
    for line in metrics.lines().filter(|line| line.starts_with("# TYPE waybill_")) {
        let name = line.split(' ').nth(2).expect("a name");
        assert!(documented.contains(name), "{name} is not documented");
    }
}
