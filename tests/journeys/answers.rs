//! Every answer of the contract, over a real socket.

use std::io::Write;
use std::net::TcpStream;

use crate::support::waybill::{
    Deployment, PATIENCE, Running, event, exchange, fresh_id, get, post, read_answer, request, sign,
};

/// A server of the test's own; it ends with the test.
fn server() -> (tempfile::TempDir, Running) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let running = Deployment::embedded(dir.path()).start(&["receive"]);
    (dir, running)
}

fn signed(body: &[u8], more: &[&str]) -> Vec<u8> {
    let mut headers = vec![format!("aftership-hmac-sha256: {}", sign(body))];
    headers.extend(more.iter().map(|header| (*header).to_owned()));
    request(&headers, body)
}

#[test]
fn each_refusal_has_its_answer_and_says_nothing_of_the_body() {
    let (_dir, server) = server();
    let body = event(&fresh_id(), "canary-7f3a", "InTransit", "2026-07-09T11:00:00+00:00").into_bytes();
    let good = sign(&body);
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("no header", request(&[], &body), 401, "signature_missing"),
        ("not base64", request(&["aftership-hmac-sha256: abc".into()], &body), 401, "signature_malformed"),
        (
            "twice",
            request(&[format!("aftership-hmac-sha256: {good}"), format!("Aftership-Hmac-Sha256: {good}")], &body),
            401,
            "signature_repeated",
        ),
        ("another body", request(&[format!("aftership-hmac-sha256: {good}")], b"{}"), 401, "signature_mismatch"),
        (
            "compressed",
            signed(&body, &["Content-Encoding: gzip"]),
            415,
            "unsupported_content_encoding",
        ),
        (
            "declared too large",
            format!(
                "POST /webhooks/aftership HTTP/1.1\r\nHost: x\r\naftership-hmac-sha256: {good}\r\nContent-Length: 1048577\r\n\r\n"
            )
            .into_bytes(),
            413,
            "body_too_large",
        ),
        ("another path", b"POST /elsewhere HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".to_vec(), 404, "not_found"),
        (
            "another method",
            b"GET /webhooks/aftership HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            405,
            "method_not_allowed",
        ),
    ];
    for (name, request, status, code) in cases {
        let answer = exchange(server.listen(), &request).expect(name);

        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{name}: {}", answer.body);
        assert!(!answer.body.contains("canary-7f3a") && !answer.body.contains(&good), "{name} echoes");
        assert!(answer.json()["error"]["message"].is_string(), "{name}");
    }
}

#[test]
fn the_right_secret_under_another_products_header_gets_a_hint() {
    let (_dir, server) = server();
    let body = event(&fresh_id(), "t", "InTransit", "2026-07-09T11:00:00+00:00").into_bytes();
    let header = format!("as-signature-hmac-sha256: {}", sign(&body));

    let answer = exchange(server.listen(), &request(&[header], &body)).expect("an answer");

    assert_eq!((answer.status, answer.code().as_str()), (401, "signature_missing"));
    let hint = answer.json()["error"]["hint"].as_str().expect("a hint").to_owned();
    assert!(hint.contains("returns") || hint.contains("as-signature-hmac-sha256"), "{hint}");
}

#[test]
fn a_good_webhook_is_accepted_in_every_form() {
    let (_dir, server) = server();
    let body = event(&fresh_id(), "t", "InTransit", "2026-07-09T11:00:00+00:00").into_bytes();

    let plain = exchange(server.listen(), &signed(&body, &[])).expect("an answer");
    assert_eq!((plain.status, plain.body.as_str()), (200, r#"{"status":"accepted"}"#));

    let odd_type =
        exchange(server.listen(), &signed(&body, &["Content-Type: text/plain"])).expect("an answer");
    assert_eq!(odd_type.status, 200);

    let mut chunked = format!(
        "POST /webhooks/aftership HTTP/1.1\r\nHost: x\r\nAFTERSHIP-HMAC-SHA256: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        sign(&body)
    )
    .into_bytes();
    for chunk in body.chunks(100) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(exchange(server.listen(), &chunked).expect("an answer").status, 200);

    let query =
        String::from_utf8(signed(&body, &[])).expect("UTF-8").replace("/aftership ", "/aftership?secret=x ");
    assert_eq!(exchange(server.listen(), query.as_bytes()).expect("an answer").status, 200);
}

#[test]
fn a_signed_body_that_cannot_be_read_is_accepted() {
    let (_dir, server) = server();
    for body in ["", "not json", "[]", r#"{"event":"tracking_pending_time","ts":1712741800}"#] {
        let answer = post(server.listen(), body.as_bytes()).expect("an answer");

        assert_eq!(answer.status, 200, "{body:?}: {}", answer.body);
    }
}

#[test]
fn a_chunked_body_over_the_limit_is_refused_while_it_streams() {
    let (_dir, server) = server();
    let mut stream = TcpStream::connect(server.listen()).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let head = format!(
        "POST /webhooks/aftership HTTP/1.1\r\nHost: x\r\naftership-hmac-sha256: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        sign(b"")
    );
    stream.write_all(head.as_bytes()).expect("head");
    let chunk = [b' '; 64 * 1024];
    for _ in 0..17 {
        // The refusal may come, and the connection go, before all is written.
        if stream
            .write_all(b"10000\r\n")
            .and_then(|()| stream.write_all(&chunk))
            .and_then(|()| stream.write_all(b"\r\n"))
            .is_err()
        {
            break;
        }
    }

    let answer = read_answer(&mut stream);

    assert_eq!(answer.map(|answer| answer.status), Some(413));
}

#[test]
fn the_largest_body_is_taken() {
    let (_dir, server) = server();
    let mut body = event(&fresh_id(), "large", "InTransit", "2026-07-09T11:00:00+00:00");
    let filler = 1_048_576 - body.len() - r#","x":"""#.len();
    // Of these letters nothing compresses away, and still it fits the queue: four and a half bits each.
    let mut random = fastrand::Rng::with_seed(1);
    let filler: String = (0..filler).map(|_| char::from(b'a' + random.u8(..23))).collect();
    body.insert_str(body.len() - 1, &format!(r#","x":"{filler}""#));
    assert_eq!(body.len(), 1_048_576);

    assert_eq!(post(server.listen(), body.as_bytes()).expect("an answer").status, 200);
}

#[test]
fn what_no_queue_takes_even_compressed_is_refused_by_name() {
    let (_dir, server) = server();
    let mut random = fastrand::Rng::with_seed(2);
    // All characters from # to ~ but the backslash: six and a half bits each.
    let noise: String = std::iter::repeat_with(|| char::from(random.u8(b'#'..=b'~')))
        .filter(|character| *character != '\\')
        .take(1_040_000)
        .collect();
    let body = format!(r#"{{"msg":{{"id":"t1"}},"x":"{noise}"}}"#);

    let answer = post(server.listen(), body.as_bytes()).expect("an answer");

    assert_eq!((answer.status, answer.code().as_str()), (413, "message_too_large"));
    assert_eq!(get(server.ops(), "/readyz").expect("an answer").status, 200, "it is no fault of the queue");
}

#[test]
fn oversized_heads_get_an_answer_of_their_own() {
    let (_dir, server) = server();
    let long_header = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "a".repeat(70_000));
    assert_eq!(exchange(server.listen(), long_header.as_bytes()).map(|answer| answer.status), Some(431));

    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-A: b\r\n".repeat(200));
    assert_eq!(exchange(server.listen(), many.as_bytes()).map(|answer| answer.status), Some(431));

    let garbage = exchange(server.listen(), b"\x16\x03\x01 this is no HTTP\r\n\r\n");
    assert_eq!(garbage.map(|answer| answer.status), Some(400));
}

#[test]
fn an_ambiguous_length_is_refused() {
    let (_dir, server) = server();
    let body = event(&fresh_id(), "t", "InTransit", "2026-07-09T11:00:00+00:00");
    let smuggled = format!(
        "POST /webhooks/aftership HTTP/1.1\r\nHost: x\r\naftership-hmac-sha256: {}\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{body}",
        sign(body.as_bytes()),
        body.len(),
    );

    let status = exchange(server.listen(), smuggled.as_bytes()).map(|answer| answer.status);

    assert!(matches!(status, Some(400 | 401)), "{status:?}");
}

#[test]
fn a_connection_serves_many_requests() {
    let (_dir, server) = server();
    let mut stream = TcpStream::connect(server.listen()).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    for _ in 0..20 {
        let body = event(&fresh_id(), "t", "InTransit", "2026-07-09T11:00:00+00:00").into_bytes();
        stream.write_all(&signed(&body, &[])).expect("write");

        assert_eq!(read_answer(&mut stream).expect("an answer").status, 200);
    }
}

#[test]
fn operators_paths_are_not_on_the_public_listener() {
    let (_dir, server) = server();
    for path in ["/readyz", "/livez", "/metrics", "/api/v1/query", "/"] {
        assert_eq!(get(server.listen(), path).expect("an answer").status, 404, "{path}");
    }
    assert_eq!(get(server.ops(), "/readyz").expect("an answer").status, 200);
}
