//! What the program says of itself in numbers and lines: every metric is in the reference, and nothing of what was received
//! is in labels or logs. That the reference has each metric of the catalogue, and no other, `reference.rs` holds.

use std::collections::BTreeSet;

use crate::support::pairing::{Pairing, Setup};
use crate::support::waybill::{Deployment, event, exchange, fresh_id, get, post, request};

fn documented() -> BTreeSet<String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/metrics.md"))
        .expect("page");
    text.lines()
        .filter(|line| line.starts_with("| `waybill_"))
        .map(|line| {
            let name = line.trim_start_matches("| `").split('`').next().expect("a name");
            name.split('{').next().expect("a name").to_owned()
        })
        .collect()
}

#[test]
fn labels_come_from_closed_lists() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let up = deployment.start(&["up"]);
    let tracking = "planted-tracking-9c1e";
    let body = event(&fresh_id(), tracking, "InTransit", "2026-07-09T11:00:00+00:00");
    assert_eq!(post(up.listen(), body.as_bytes()).expect("an answer").status, 200);
    assert_eq!(post(up.listen(), b"planted-body-77aa").expect("an answer").status, 200);
    deployment.await_count("select count(*) as n from base.fct_shipment_tracking", 1);

    let metrics = get(up.ops(), "/metrics").expect("an answer").body;
    let logs = up.stderr();
    for text in [tracking, "planted-body", "Zürich", crate::support::waybill::SECRET] {
        assert!(!metrics.contains(text), "{text} in the metrics");
        assert!(!logs.contains(text), "{text} in the logs");
    }
    let documented = documented();
    for line in metrics.lines().filter(|line| line.starts_with("# TYPE waybill_")) {
        let name = line.split(' ').nth(2).expect("a name");
        assert!(documented.contains(name), "{name} is not documented");
    }
}

/// Whatever is logged, however much of it: nothing of what was received, and no secret.
#[tokio::test(flavor = "multi_thread")]
async fn the_most_talkative_log_holds_nothing_of_a_body() {
    let setup = Setup::start(Pairing::Aws).await;
    tokio::task::spawn_blocking(move || {
        let deployment = setup.deployment.clone().with("WAYBILL_LOG", "trace,aws=info,hyper=info");
        let up = deployment.start(&["up"]);
        let body = event(&fresh_id(), "planted-tracking-9c1e", "planted-tag", "2026-07-09T11:00:00+00:00");
        let body = body.replace("Zürich", "planted-place");
        for bytes in
            [body.as_bytes(), b"planted-body-77aa", b"{\"msg\":{\"planted-key\":1}}", b"\xffplanted-bytes"]
        {
            assert_eq!(post(up.listen(), bytes).expect("an answer").status, 200);
            // Not signed, and under another path.
            exchange(up.listen(), &request(&["aftership-hmac-sha256: planted-signature".to_owned()], bytes));
            get(up.listen(), "/planted-path");
        }
        deployment.await_count("select count(*) as n from base.fct_shipment_tracking", 1);

        let (logs, metrics) = (up.stderr(), get(up.ops(), "/metrics").expect("an answer").body);
        assert!(logs.contains("DEBUG"), "it is talkative");
        for text in ["planted", crate::support::waybill::SECRET] {
            assert!(!metrics.contains(text), "{text} in the metrics");
            let line = logs.lines().find(|line| line.contains(text));
            assert!(line.is_none(), "{text} in the logs: {line:?}");
        }
    })
    .await
    .expect("the journey ends");
}
