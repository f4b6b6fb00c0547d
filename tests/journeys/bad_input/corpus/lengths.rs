//! Where a body ends: lengths, transfer encodings, and both at once. Whoever reads this differently from the proxy in
//! front lets requests hide in each other.

use super::draft::Requests;

pub(super) fn add(requests: &mut Requests<'_>) {
    no_lengths(requests);
    odd_lengths(requests);
    wrong_lengths(requests);
    several_lengths(requests);
    too_large(requests);
    no_transfer_encodings(requests);
    odd_transfer_encodings(requests);
    both(requests);
    both_signed(requests);
    hidden_requests(requests);
}

/// Nothing but digits is a length.
fn no_lengths(requests: &mut Requests<'_>) {
    for length in [
        "",
        "-1",
        "-0",
        "+5",
        "0x10",
        "0X5",
        "5 5",
        "5,",
        ",5",
        "5;",
        "5.0",
        "5e1",
        "1_0",
        "\u{ff15}",
        "\u{665}",
        "five",
        "NaN",
        "\"5\"",
        "5 bytes",
        "0b1",
        "99999999999999999999",
        "18446744073709551616",
        "-18446744073709551615",
        "5, 5",
        "5\t5",
    ] {
        requests.refused(&format!("length: {}", length.escape_default()), &[400], |draft| {
            draft.set("Content-Length", length);
        });
    }
    for (name, value) in [
        ("with a NUL", &b"5\0"[..]),
        ("behind a vertical tab", b"\x0b5"),
        ("before a form feed", b"5\x0c"),
        ("Latin-1 digits", b"\xb2\xb3"),
    ] {
        requests.refused(&format!("length: {name}"), &[400], |draft| draft.set("Content-Length", value));
    }
}

fn odd_lengths(requests: &mut Requests<'_>) {
    requests.taken("odd length: zeros before it", |draft| {
        draft.set("Content-Length", format!("{:030}", draft.body.len()));
    });
    requests.taken("odd length: space around it", |draft| {
        draft.set("Content-Length", format!("\t {} \t", draft.body.len()));
    });
    requests.taken("odd length: in capitals", |draft| {
        draft.without("Content-Length");
        draft.field(format!("CONTENT-LENGTH:{}", draft.body.len()));
    });
}

/// A body is what the length says.
fn wrong_lengths(requests: &mut Requests<'_>) {
    requests.refused("length: none", &[401], |draft| draft.without("Content-Length"));
    requests.refused("length: 0", &[401], |draft| draft.set("Content-Length", "0"));
    requests.refused("length: 1", &[401], |draft| draft.set("Content-Length", "1"));
    requests.refused("length: a byte less", &[401], |draft| {
        draft.set("Content-Length", (draft.body.len() - 1).to_string());
    });
    requests
        .taken("length: right, and more behind it", |draft| draft.content.extend_from_slice(b"\r\n\r\nmore"));
    requests.taken("length: right, and a NUL behind it", |draft| draft.content.push(0));
}

fn several_lengths(requests: &mut Requests<'_>) {
    requests.taken("lengths: two equal ones", |draft| {
        draft.field(format!("content-length: {}", draft.body.len()));
    });
    requests.taken("lengths: fifty equal ones", |draft| {
        (0..50).for_each(|_| draft.field(format!("Content-Length: {}", draft.body.len())));
    });
    for other in ["0", "1", "1048577", "x", ""] {
        requests.refused(&format!("lengths: right, then {other}"), &[400], |draft| {
            draft.field(format!("Content-Length: {other}"));
        });
        requests.refused(&format!("lengths: {other}, then right"), &[400], |draft| {
            draft.first_field(format!("Content-Length: {other}"));
        });
    }
}

/// Refused by what is declared, before anything is read.
fn too_large(requests: &mut Requests<'_>) {
    for length in
        ["1048577", "10000000000", "9223372036854775807", "9223372036854775808", "18446744073709551613"]
    {
        requests
            .refused(&format!("too large: {length}"), &[413], |draft| draft.set("Content-Length", length));
    }
    // The HTTP library keeps the two largest numbers for itself, and calls them a head too large.
    for length in ["18446744073709551614", "18446744073709551615"] {
        requests.refused(&format!("too large: {length}"), &[400, 413, 431], |draft| {
            draft.set("Content-Length", length)
        });
    }
    requests.refused("too large: unsigned, so that is said first", &[401], |draft| {
        draft.without("aftership-hmac-sha256");
        draft.set("Content-Length", "1048577");
    });
}

/// A transfer encoding that does not end with `chunked` says nothing about where a body ends.
fn no_transfer_encodings(requests: &mut Requests<'_>) {
    for coding in [
        "",
        "xchunked",
        "chunkedx",
        "chunke",
        "identity",
        "gzip",
        "chunked, identity",
        "chunked, gzip",
        "chunked,",
        "chunked;q=1",
        "chunked x",
        "\"chunked\"",
        "chunk\u{131}d",
        "chunked\u{a0}",
        "x",
        "*",
    ] {
        requests.refused(&format!("transfer encoding: {}", coding.escape_default()), &[400], |draft| {
            draft.chunked(draft.chunks(10));
            draft.set("Transfer-Encoding", coding);
        });
        requests.refused(
            &format!("transfer encoding beside a length: {}", coding.escape_default()),
            &[400],
            |draft| {
                draft.field(format!("Transfer-Encoding: {coding}"));
            },
        );
    }
    for (name, value) in [
        ("vertical tab", &b"\x0bchunked"[..]),
        ("NUL", b"chunked\0"),
        ("form feed", b"chunked\x0c"),
        ("bare CR", b"chunked\rX: y"),
    ] {
        requests.refused(&format!("transfer encoding: with a {name}"), &[400], |draft| {
            draft.chunked(draft.chunks(10));
            draft.set("Transfer-Encoding", value);
        });
    }
    requests.refused("transfer encoding: in HTTP/1.0", &[400], |draft| {
        draft.line("POST /webhooks/aftership HTTP/1.0");
        draft.chunked(draft.chunks(10));
    });
    requests.refused("transfer encoding: chunked, then identity in a second line", &[400], |draft| {
        draft.chunked(draft.chunks(10));
        draft.field("Transfer-Encoding: identity");
    });
    requests.refused("transfer encoding: gzip, and gzip's bytes in chunks", &[400, 401], |draft| {
        draft.chunked(b"14\r\n\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0\r\n0\r\n\r\n".to_vec());
        draft.set("Transfer-Encoding", "gzip, chunked");
    });
}

/// Ends with `chunked`, however it is written.
fn odd_transfer_encodings(requests: &mut Requests<'_>) {
    for coding in
        ["chunked", "CHUNKED", "ChUnKeD", "\tchunked\t", "identity, chunked", ",chunked", "chunked, chunked"]
    {
        requests.taken(&format!("chunks by transfer encoding: {}", coding.escape_default()), |draft| {
            draft.chunked(draft.chunks(10));
            draft.set("Transfer-Encoding", coding);
        });
    }
    requests.taken("chunks by transfer encoding: twice", |draft| {
        draft.chunked(draft.chunks(10));
        draft.field("transfer-encoding: chunked");
    });
}

/// A length and chunks, signed as the length says.
fn both(requests: &mut Requests<'_>) {
    let hidden = b"0\r\n\r\nGET /readyz HTTP/1.1\r\nHost: x\r\n\r\n";
    for (name, is_length_first) in [("a length, then chunks", true), ("chunks, then a length", false)] {
        requests.refused(&format!("both: {name}, with a request hidden"), &[400, 401], |draft| {
            let signed_length = draft.body.len();
            draft.content = [&hidden[..], &draft.body].concat();
            draft.without("Content-Length");
            let length = format!("Content-Length: {signed_length}");
            let fields = [length.as_str(), "Transfer-Encoding: chunked"];
            let [first, second] = if is_length_first { fields } else { [fields[1], fields[0]] };
            draft.field(first);
            draft.field(second);
        });
    }
    requests.refused("both: chunks that hold nothing, then the body", &[400, 401], |draft| {
        draft.content = [b"0\r\n\r\n", &draft.body[..]].concat();
        draft.field("Transfer-Encoding: chunked");
    });
    requests.refused("both: a length that is none beside chunks", &[400, 401], |draft| {
        draft.content = b"2\r\n{}\r\n0\r\n\r\n".to_vec();
        draft.set("Transfer-Encoding", "chunked");
        draft.set("Content-Length", "x");
    });
}

/// The same, signed as the chunks say. RFC 9112 (6.3) lets the chunks win and closes the connection afterwards. It is
/// kept: AfterShip would give up on a signed event that is refused, and nothing can be hidden behind it, since whatever
/// follows needs a signature of its own.
fn both_signed(requests: &mut Requests<'_>) {
    requests.taken("both, signed: a length, then chunks", |draft| {
        draft.content = draft.chunks(10);
        draft.field("Transfer-Encoding: chunked");
    });
    requests.taken("both, signed: chunks, then a length", |draft| {
        draft.content = draft.chunks(10);
        draft.first_field("Transfer-Encoding: chunked");
    });
    requests.taken("both, signed: chunks, then a length that is none", |draft| {
        draft.content = draft.chunks(10);
        draft.set("Transfer-Encoding", "chunked");
        draft.set("Content-Length", "x");
    });
    requests.taken("both, signed: chunks, then two different lengths", |draft| {
        draft.content = draft.chunks(10);
        draft.set("Transfer-Encoding", "chunked");
        draft.set("Content-Length", "1");
        draft.field("Content-Length: 2");
    });
}

/// A whole request, and another behind it that nobody signed.
fn hidden_requests(requests: &mut Requests<'_>) {
    for (name, second) in [
        ("a GET", "GET /webhooks/aftership HTTP/1.1\r\nHost: x\r\n\r\n"),
        (
            "a POST without a signature",
            "POST /webhooks/aftership HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
        ),
        ("half a head", "POST /webhooks/aftership HTTP/1.1\r\nX: "),
        ("noise", "\u{1}\u{2}\u{3}\r\n\r\n"),
    ] {
        requests.taken(&format!("behind an event: {name}"), |draft| {
            draft.content.extend_from_slice(second.as_bytes())
        });
    }
}
