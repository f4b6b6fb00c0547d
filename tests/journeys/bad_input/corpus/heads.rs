//! Header lines: encodings, floods, what no header line may hold, and what only looks dangerous.

use super::draft::{Draft, Requests};

pub(super) fn add(requests: &mut Requests<'_>) {
    encodings(requests);
    no_encodings(requests);
    floods(requests);
    names(requests);
    values(requests);
    lines(requests);
    hosts(requests);
    expectations(requests);
    upgrades(requests);
    harmless(requests);
}

/// The signature is over the bytes as sent, so only those are taken. Nobody needs a signature to be told so.
fn encodings(requests: &mut Requests<'_>) {
    for coding in [
        "gzip",
        "GZIP",
        "x-gzip",
        "br",
        "deflate",
        "zstd",
        "compress",
        "x-compress",
        "dcb",
        "exi",
        "aws-chunked",
        "utf-8",
        "none",
        "*",
        "identity, gzip",
        "gzip, identity",
        "identity,identity,br",
        "gzip;q=0",
        "identity;q=1",
        "\"identity\"",
        "identity gzip",
        "ident\u{131}ty",
    ] {
        requests.refused(&format!("encoding: {}", coding.escape_default()), &[415], |draft| {
            draft.field(format!("Content-Encoding: {coding}"));
        });
    }
    requests.refused("encoding: gzip in a second line", &[415], |draft| {
        draft.field("Content-Encoding: identity");
        draft.field("content-encoding: gzip");
    });
    requests
        .refused("encoding: bytes that are no text", &[415], |draft| draft.field(b"Content-Encoding: \xff"));
    requests.refused("encoding: gzip, and gzip's bytes", &[415], |draft| {
        draft.field("Content-Encoding: gzip");
        draft.content = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0".to_vec();
        draft.set("Content-Length", draft.content.len().to_string());
    });
    requests.refused("encoding: gzip, unsigned", &[415], |draft| {
        draft.without("aftership-hmac-sha256");
        draft.field("Content-Encoding: gzip");
    });
}

fn no_encodings(requests: &mut Requests<'_>) {
    for coding in ["identity", "Identity", "IDENTITY", "", "  ", ",", "identity,", " identity , identity "] {
        requests.taken(&format!("no encoding: {coding}"), |draft| {
            draft.field(format!("Content-Encoding: {coding}"));
        });
    }
}

/// 64 lines and 32 KiB are taken.
fn floods(requests: &mut Requests<'_>) {
    for lines in [64, 65, 100, 1_000, 10_000] {
        let name = format!("flood: {lines} header lines");
        let fill = |draft: &mut Draft| {
            for number in draft.fields.len()..lines {
                draft.field(format!("X-{number}: y"));
            }
        };
        if lines <= 64 { requests.taken(&name, fill) } else { requests.refused(&name, &[431], fill) }
    }
    requests.taken("flood: 60 header lines of one name", |draft| (0..60).for_each(|_| draft.field("X: y")));
    requests.taken("flood: 60 empty header lines", |draft| (0..60).for_each(|_| draft.field("X:")));
    for (bytes, is_taken) in [
        (31 * 1_024, true),
        (32 * 1_024, true),
        (32 * 1_024 + 1, false),
        (33 * 1_024, false),
        (70_000, false),
    ] {
        let name = format!("flood: a head of {bytes} bytes");
        let fill = |draft: &mut Draft| {
            let rest = bytes - draft.head_bytes() - "X: \r\n".len();
            draft.field(format!("X: {}", "x".repeat(rest)));
        };
        if is_taken { requests.taken(&name, fill) } else { requests.refused(&name, &[431], fill) }
    }
    requests.taken("flood: a name of 16 KiB", |draft| draft.field(format!("{}: y", "x".repeat(16 * 1_024))));
    requests
        .refused("flood: a name of 40 KB", &[431], |draft| draft.field(format!("{}: y", "x".repeat(40_000))));
    requests.refused("flood: a megabyte of header lines", &[431], |draft| {
        (0..20_000).for_each(|number| draft.field(format!("X-{number}: {}", "y".repeat(40))));
    });
}

fn names(requests: &mut Requests<'_>) {
    for field in [
        &b": y"[..],
        b":",
        b"X",
        b"X y",
        b"X Y: z",
        b" X: y",
        b"X : y",
        b"X\t: y",
        b"\tX: y",
        b"(X): y",
        b"X@Y: z",
        b"X[0]: y",
        b"X/Y: z",
        b"\"X\": y",
        b"X\0: y",
        b"X\x7f: y",
        b"X\xff: y",
        b"X\xc3\xbc: y",
        b"{\"X\": 1}",
        b"=X: y",
        b"X;Y: z",
        b"X,Y: z",
        b"X=y",
        b"<X>: y",
        b"\\X: y",
        b"X?: y",
        b"\x0bX: y",
        b"\xef\xbb\xbfX: y",
    ] {
        requests
            .refused(&format!("header name: {}", field.escape_ascii()), &[400], |draft| draft.field(field));
    }
    for field in
        ["Content-Length : 5", "Transfer-Encoding : chunked", "Host : x", "aftership-hmac-sha256 : x"]
    {
        requests.refused(&format!("header name: {field}"), &[400], |draft| draft.first_field(field));
    }
    for field in ["!#$%&'*+-.^_`|~09: y", "__proto__: y", "X.Y: z", "-: y", "0: y", "constructor: y"] {
        requests.taken(&format!("odd header name: {field}"), |draft| draft.field(field));
    }
}

fn values(requests: &mut Requests<'_>) {
    for code in (0..0x20_u8).filter(|code| !matches!(code, b'\t' | b'\n')).chain([0x7F]) {
        requests.refused(&format!("header value: byte {code:02x}"), &[400], |draft| {
            draft.field([b"X: a", &[code][..], b"b"].concat());
        });
    }
    for (name, value) in [
        ("a tab", &b"a\tb"[..]),
        ("UTF-8", "Zürich 📦".as_bytes()),
        ("Latin-1", b"Z\xfcrich"),
        ("broken UTF-8", b"\xff\xfe\xc0\xaf\x80"),
        ("C1 controls", b"\x80\x85\x9b31m"),
        ("colons", b":::a: b:"),
        ("SQL", b"'; drop table raw.tracking_event; --"),
        ("a lookup", b"${jndi:ldap://127.0.0.1/x}"),
        ("escaped line breaks", b"a%0d%0aX: y \\r\\nX: y"),
        ("20 KB", &[b'v'; 20_000]),
    ] {
        requests.taken(&format!("odd header value: {name}"), |draft| draft.field([b"X: ", value].concat()));
    }
}

/// Line ends. A line feed alone is taken for one, as RFC 9112 (2.2) allows; a carriage return alone never is, and a
/// line is never continued by the next.
fn lines(requests: &mut Requests<'_>) {
    for (name, field) in [
        ("continued by a space", &b"X: a\r\n b"[..]),
        ("continued by a tab", b"X: a\r\n\tb"),
        ("continued by nothing", b"X: a\r\n "),
        ("continued signature", b"aftership-hmac-sha256:\r\n x"),
        ("continued transfer encoding", b"Transfer-Encoding:\r\n chunked"),
        ("hidden transfer encoding", b"X: y\r\n Transfer-Encoding: chunked"),
        ("a bare CR inside", b"X: a\rY: b"),
        ("a bare CR at the end", b"X: a\r"),
        ("two CRs at the end", b"X: a\r\r"),
        ("a bare CR that hides a header", b"X: a\rTransfer-Encoding: chunked"),
    ] {
        requests.refused(&format!("line: {name}"), &[400], |draft| draft.field(field));
    }
    requests.refused("line: first one continued", &[400], |draft| draft.first_field(" X: y"));
    requests.refused("line: bare CRs everywhere", &[400], |draft| draft.end = b"\r");
    requests.refused("line: LF before CR everywhere", &[400], |draft| draft.end = b"\n\r");
    requests.taken("line: bare LFs everywhere", |draft| draft.end = b"\n");
    requests.taken("line: one bare LF", |draft| draft.field("X: a\nY: b"));
    requests.refused("line: an empty one before the others", &[401], |draft| draft.first_field(""));
}

/// Nobody reads it here, so a signed event is not lost over it.
fn hosts(requests: &mut Requests<'_>) {
    requests.taken("host: none", |draft| draft.without("Host"));
    requests.taken("host: two", |draft| draft.field("Host: elsewhere.test"));
    for host in [
        "",
        "a b",
        "elsewhere.test",
        "waybill.test:99999",
        "[::1",
        "../../etc",
        "\u{fc}.test",
        "localhost",
        "a,b",
    ] {
        requests.taken(&format!("host: {}", host.escape_default()), |draft| draft.set("Host", host));
    }
}

fn expectations(requests: &mut Requests<'_>) {
    for value in ["100-continue", "100-Continue", "100-continue, x", "200-ok", "", "\"100-continue\"", "x"] {
        requests.taken(&format!("expect: {value}"), |draft| draft.field(format!("Expect: {value}")));
    }
    requests.taken("expect: in HTTP/1.0", |draft| {
        draft.line("POST /webhooks/aftership HTTP/1.0");
        draft.field("Expect: 100-continue");
    });
    requests.taken("expect: chunks", |draft| {
        draft.field("Expect: 100-continue");
        draft.chunked(draft.chunks(7));
    });
    requests.refused("expect: unsigned", &[401], |draft| {
        draft.without("aftership-hmac-sha256");
        draft.field("Expect: 100-continue");
    });
    requests.refused("expect: forged", &[401], |draft| {
        draft.signed("A".repeat(43) + "=");
        draft.field("Expect: 100-continue");
    });
    requests.refused("expect: too large", &[413], |draft| {
        draft.set("Content-Length", "1048577");
        draft.field("Expect: 100-continue");
        draft.content.clear();
    });
}

/// Offers that are not taken up.
fn upgrades(requests: &mut Requests<'_>) {
    for (name, value, more) in [
        ("h2c", "h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
        ("websocket", "websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        ("TLS", "TLS/1.2", "X: y"),
    ] {
        requests.taken(&format!("upgrade: {name}"), |draft| {
            draft.field(format!("Upgrade: {value}"));
            draft.field("Connection: Upgrade, HTTP2-Settings");
            draft.field(more);
        });
    }
    requests.refused("upgrade: a GET to websocket", &[405], |draft| {
        draft.line("GET /webhooks/aftership HTTP/1.1");
        draft.without("Content-Length");
        draft.content.clear();
        draft.field("Upgrade: websocket");
        draft.field("Connection: Upgrade");
    });
}

/// What means something elsewhere.
fn harmless(requests: &mut Requests<'_>) {
    let fields = r#"
        X-HTTP-Method-Override: DELETE
        X-Original-URL: /readyz
        X-Forwarded-For: 127.0.0.1, ' or 1=1 --
        Forwarded: for="[::1]";proto=x
        Range: bytes=0-
        Content-Range: bytes 0-0/1
        If-Match: *
        If-None-Match: *
        Accept-Encoding: gzip, br;q=0
        TE: trailers, deflate
        Trailer: aftership-hmac-sha256
        Max-Forwards: 0
        Connection: close, aftership-hmac-sha256
        Connection: close
        Connection: x
        Keep-Alive: timeout=99999999
        Content-MD5: AAAA
        Content_Length: 0
        Content-Lengths: 0
        Transfer_Encoding: chunked
        Transfer-Encodin: chunked
        X-Transfer-Encoding: chunked
        Origin: null
        Cookie: a=b; a=c
        Authorization: Basic Og==
        Prefer: return=minimal
        Via: 1.0 x, 1.1 y
        Early-Data: 1
        User-Agent:"#;
    for field in fields.lines().map(str::trim).filter(|field| !field.is_empty()) {
        requests.taken(&format!("harmless: {field}"), |draft| draft.field(field));
    }
    requests.taken("content type: none", |draft| draft.without("Content-Type"));
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/grpc",
        "application/xml",
        "",
        "x",
        "*/*",
        "application/json, text/html",
        "application/json;;;",
    ] {
        requests.taken(&format!("content type: {kind}"), |draft| draft.set("Content-Type", kind));
    }
}
