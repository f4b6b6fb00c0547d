//! `openapi/waybill.yaml` and the router say the same.

use std::collections::BTreeSet;

use serde_yaml_ng::Value;

use crate::support::waybill::{Deployment, event, exchange, fresh_id, get, post, request, sign};

fn spec() -> Value {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/waybill.yaml"))
        .expect("the file");
    serde_yaml_ng::from_str(&text).expect("YAML")
}

/// The statuses that the file documents for an operation.
fn documented(spec: &Value, path: &str, method: &str) -> BTreeSet<u16> {
    let responses = &spec["paths"][path][method]["responses"];
    let responses = responses.as_mapping().unwrap_or_else(|| panic!("{method} {path} is not documented"));
    responses
        .keys()
        .filter_map(|key| {
            key.as_str().and_then(|text| text.parse().ok()).or_else(|| u16::try_from(key.as_u64()?).ok())
        })
        .collect()
}

/// Every word that the file lists as a possible value, the error codes among them.
fn codes(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Mapping(mapping) => {
            for (key, value) in mapping {
                if key.as_str() == Some("enum")
                    && let Some(values) = value.as_sequence()
                {
                    found.extend(values.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                codes(value, found);
            }
        }
        Value::Sequence(values) => values.iter().for_each(|value| codes(value, found)),
        _ => {}
    }
}

#[test]
fn exactly_the_documented_paths_are_served() {
    let spec = spec();
    let paths: BTreeSet<&str> =
        spec["paths"].as_mapping().expect("paths").keys().filter_map(Value::as_str).collect();

    assert_eq!(
        paths,
        BTreeSet::from([
            "/webhooks/aftership",
            "/livez",
            "/readyz",
            "/metrics",
            "/api/v1/query",
            "/api/v1/pipeline",
            "/api/v1/dead-letters",
            "/api/v1/dead-letters/{id}",
            "/api/v1/dead-letters/replay",
            "/api/v1/dead-letters/drop",
            "/api/v1/dead-letters/job",
            "/api/v1/audit",
            "/api/v1/trackings",
            "/api/v1/loads",
            "/api/v1/reconciliation",
        ])
    );
    let dir = tempfile::tempdir().expect("temporary folder");
    let up = Deployment::embedded(dir.path()).start(&["up"]);
    for path in paths {
        let address = if path == "/webhooks/aftership" { up.listen() } else { up.ops() };
        let status = get(address, path).expect("an answer").status;
        assert_ne!(status, 404, "{path} is documented and not served");
        let operations = spec["paths"][path].as_mapping().expect("operations");
        if operations.contains_key("get") {
            assert!(documented(&spec, path, "get").contains(&status), "GET {path} answers {status}");
        }
    }
    for path in ["/health", "/api/v1/", "/webhooks"] {
        assert_eq!(get(up.ops(), path).expect("an answer").status, 404, "{path}");
        assert_eq!(get(up.listen(), path).expect("an answer").status, 404, "{path}");
    }
    // The console is on the operators' listener alone.
    assert_eq!(get(up.listen(), "/").expect("an answer").status, 404);
}

#[test]
fn every_answer_that_is_given_is_documented() {
    let spec = spec();
    let statuses = documented(&spec, "/webhooks/aftership", "post");
    let mut known = BTreeSet::new();
    codes(&spec, &mut known);
    let dir = tempfile::tempdir().expect("temporary folder");
    let up = Deployment::embedded(dir.path()).start(&["up"]);
    let body = event(&fresh_id(), "t", "InTransit", "2026-07-09T11:00:00+00:00").into_bytes();
    let signature = format!("aftership-hmac-sha256: {}", sign(&body));
    let long = format!(
        "POST /webhooks/aftership?{} HTTP/1.1\r\nHost: x\r\n{signature}\r\nContent-Length: 0\r\n\r\n",
        "a".repeat(5_000)
    );
    let requests: Vec<Vec<u8>> = vec![
        request(std::slice::from_ref(&signature), &body),
        request(&[], &body),
        request(&["aftership-hmac-sha256: x".into()], &body),
        request(&[signature.clone(), signature.clone()], &body),
        request(std::slice::from_ref(&signature), b"{}"),
        request(&[signature.clone(), "Content-Encoding: br".into()], &body),
        format!(
            "POST /webhooks/aftership HTTP/1.1\r\nHost: x\r\n{signature}\r\nContent-Length: 9999999\r\n\r\n"
        )
        .into(),
        long.into_bytes(),
    ];
    let mut seen = BTreeSet::new();
    for request in requests {
        let answer = exchange(up.listen(), &request).expect("an answer");
        seen.insert(answer.status);
        assert!(statuses.contains(&answer.status), "{} is not documented", answer.status);
        if answer.status != 200 {
            assert!(known.contains(&answer.code()), "{} is no documented code", answer.code());
        }
    }
    assert_eq!(seen, BTreeSet::from([200, 401, 413, 414, 415]));
    for status in [405, 408, 503] {
        assert!(statuses.contains(&status), "{status} is given and not documented");
    }
    assert_eq!(post(up.listen(), &body).expect("an answer").status, 200);
    let unauthorized =
        exchange(up.ops(), b"POST /api/v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(unauthorized.expect("an answer").status, 401);
}
