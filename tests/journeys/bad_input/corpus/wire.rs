//! Bytes that are no request of HTTP/1.1, and requests that are not whole.

use super::draft::Requests;
use super::noise;

pub(super) fn add(requests: &mut Requests<'_>) {
    other_protocols(requests);
    older_and_newer(requests);
    noises(requests);
    cut_heads(requests);
    cut_bodies(requests);
}

/// What comes to an open port all day.
fn other_protocols(requests: &mut Requests<'_>) {
    let hello = [
        b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03",
        &[7; 32][..],
        b"\x00\x00\x04\x13\x01\x13\x02\x01\x00",
    ]
    .concat();
    let protocols: [(&str, &[u8]); 16] = [
        ("TLS", &hello),
        ("TLS, two bytes and an end", b"\x16\x03\r\n\r\n"),
        ("SSL 2", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n"),
        ("Redis", b"*1\r\n$4\r\nPING\r\n"),
        ("PostgreSQL", b"\x00\x00\x00\x08\x04\xd2\x16\x2f"),
        ("SOCKS 5", b"\x05\x01\x00"),
        ("SOCKS 4", b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00"),
        ("RDP", b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00"),
        ("SMB", b"\x00\x00\x00\x85\xffSMBr\x00\x00\x00\x00"),
        ("the proxy protocol, version 1", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"),
        ("the proxy protocol, version 2", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"),
        ("an answer", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("a chunk", b"5\r\nhello\r\n0\r\n\r\n"),
        ("MQTT", b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00"),
        ("JSON", b"{\"msg\":{\"id\":\"x\"}}\r\n\r\n"),
    ];
    for (name, bytes) in protocols {
        requests.raw(&format!("protocol: {name}"), &[Some(400)], bytes);
    }
}

fn older_and_newer(requests: &mut Requests<'_>) {
    requests.raw("protocol: HTTP/0.9", &[Some(400)], "GET /\r\n");
    requests.raw("protocol: HTTP/0.9 of a webhook", &[Some(400)], "POST /webhooks/aftership\r\n");
    // The HTTP library knows this one, and leaves without a word.
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    requests.raw("protocol: HTTP/2", &[Some(400), None], preface);
    let settings = [preface.as_bytes(), b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"].concat();
    requests.raw("protocol: HTTP/2 with settings", &[Some(400), None], settings);
    requests.raw("protocol: HTTP/2, another preface", &[Some(400)], "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
}

fn noises(requests: &mut Requests<'_>) {
    for seed in [11, 13, 17, 19, 23] {
        // The first byte begins no method, so that the rest is not waited for.
        let bytes = [b"\xf0", &noise(seed, 2_000)[..]].concat();
        requests.raw(&format!("noise: seed {seed}"), &[Some(400)], bytes);
    }
    requests.raw("noise: 64 KB", &[Some(400)], [b"\xf0", &noise(29, 64_000)[..]].concat());
    requests.raw("noise: a thousand NULs", &[Some(400)], vec![0; 1_000]);
    requests.raw("noise: 40 KB of letters", &[Some(431)], "a".repeat(40_000));
    requests.raw("noise: 40 KB of empty lines", &[Some(431)], "\r\n".repeat(20_000));
    requests.raw("noise: 40 KB of spaces", &[Some(400)], " ".repeat(40_000));
}

/// A head that has begun and never ends.
fn cut_heads(requests: &mut Requests<'_>) {
    let cut: [(&str, &str); 7] = [
        ("in the method", "POS"),
        ("in the target", "POST /webhooks/aft"),
        ("in the version", "POST /webhooks/aftership HTTP/1"),
        ("behind the request line", "POST /webhooks/aftership HTTP/1.1\r\n"),
        ("in a name", "POST /webhooks/aftership HTTP/1.1\r\nHo"),
        ("in a value", "POST /webhooks/aftership HTTP/1.1\r\nHost: way"),
        ("before the last line end", "POST /webhooks/aftership HTTP/1.1\r\nHost: x\r\n\r"),
    ];
    for (name, bytes) in cut {
        requests.raw(&format!("cut: {name}"), &[Some(408), None], bytes);
    }
    requests.raw("cut: empty lines alone", &[Some(408), None], "\r\n\r\n");
}

/// A body that has begun and never ends.
fn cut_bodies(requests: &mut Requests<'_>) {
    let unread = &[400, 408];
    requests.refused_or_closed("cut: no body", unread, |draft| draft.content.clear());
    requests
        .refused_or_closed("cut: half a body", unread, |draft| draft.content.truncate(draft.body.len() / 2));
    requests.refused_or_closed("cut: the last byte of a body", unread, |draft| {
        draft.content.pop();
    });
    requests.refused_or_closed("cut: a body that was asked for", unread, |draft| {
        draft.field("Expect: 100-continue");
        draft.content.clear();
    });
    requests.refused_or_closed("cut: no chunk", unread, |draft| draft.chunked(Vec::new()));
    requests.refused_or_closed("cut: in a chunk's size", unread, |draft| draft.chunked(b"1".to_vec()));
    requests.refused_or_closed("cut: in a chunk", unread, |draft| {
        draft.chunked(draft.chunk(format!("{:x}\r\n", draft.body.len() + 100), b""));
    });
    requests.refused_or_closed("cut: the last chunk", unread, |draft| {
        draft.chunked(draft.chunk(format!("{:x}\r\n", draft.body.len()), b"\r\n"));
    });
    requests.refused_or_closed("cut: the end of the chunks", unread, |draft| {
        draft.chunked(draft.chunk(format!("{:x}\r\n", draft.body.len()), b"\r\n0\r\n"));
    });
    requests.refused_or_closed("cut: in a trailer of chunks", unread, |draft| {
        draft.chunked(draft.chunk(format!("{:x}\r\n", draft.body.len()), b"\r\n0\r\nX: y\r\n"));
    });
}
