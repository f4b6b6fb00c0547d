//! Chunks: sizes, extensions, ends of lines, trailers.

use super::draft::Requests;

/// The end of a chunk, and of the body.
const END: &[u8] = b"\r\n0\r\n\r\n";

/// A body that is malformed on its way, or cut.
const UNREADABLE: &[u16] = &[400];

pub(super) fn add(requests: &mut Requests<'_>) {
    in_every_size(requests);
    odd_sizes(requests);
    no_sizes(requests);
    wrong_sizes(requests);
    extensions(requests);
    line_ends(requests);
    trailers(requests);
    broken_trailers(requests);
    too_large(requests);
}

fn in_every_size(requests: &mut Requests<'_>) {
    for bytes in [1, 2, 7, 16, 1_000] {
        requests.taken(&format!("chunks of {bytes} bytes"), |draft| draft.chunked(draft.chunks(bytes)));
    }
    requests.refused("chunks: none", &[401], |draft| draft.chunked(b"0\r\n\r\n".to_vec()));
}

/// Sizes with more than they need.
fn odd_sizes(requests: &mut Requests<'_>) {
    type Written = fn(usize) -> String;
    let sizes: [(&str, Written); 7] = [
        ("in capitals", |bytes| format!("{bytes:X}\r\n")),
        ("with zeros before it", |bytes| format!("{bytes:016x}\r\n")),
        ("with a hundred zeros before it", |bytes| format!("{bytes:0100x}\r\n")),
        ("with a space behind it", |bytes| format!("{bytes:x} \r\n")),
        ("with a tab behind it", |bytes| format!("{bytes:x}\t \t\r\n")),
        ("with an extension", |bytes| format!("{bytes:x};a=b;c=\"d;e\"\r\n")),
        ("with an empty extension", |bytes| format!("{bytes:x};\r\n")),
    ];
    for (name, size) in sizes {
        requests.taken(&format!("chunk size: {name}"), |draft| {
            draft.chunked(draft.chunk(size(draft.body.len()), END));
        });
    }
    requests.taken("chunk size: of the last one, with many zeros", |draft| {
        draft.chunked(draft.chunk(format!("{:x}\r\n", draft.body.len()), b"\r\n0000000000\r\n\r\n"));
    });
}

fn no_sizes(requests: &mut Requests<'_>) {
    for size in [
        &b""[..],
        b" ",
        b" 5",
        b"-1",
        b"-5",
        b"+5",
        b"0x5",
        b"x",
        b"g",
        b"5g",
        b"5 5",
        b"5.0",
        b"5,5",
        b"5\0",
        b"\x005",
        b"\"5\"",
        b"five",
        b"5:",
        b"5=",
        b"\xef\xbc\x95",
        b"\xff",
        b"{",
        b"0x",
        b"10000000000000000",
        b"FFFFFFFFFFFFFFFFF",
        b"fffffffffffffffffffffffffffffffff",
        b"5\r5",
        b"\r\n5",
        b"\n5",
    ] {
        requests.refused(&format!("chunk size: {}", size.escape_ascii()), UNREADABLE, |draft| {
            draft.chunked(draft.chunk([size, b"\r\n"].concat(), END));
        });
    }
}

/// Sizes that the chunk does not have.
fn wrong_sizes(requests: &mut Requests<'_>) {
    for (name, difference) in
        [("a byte less", -1), ("a byte more", 1), ("two bytes less", -2), ("three bytes more", 3)]
    {
        requests.refused(&format!("chunk size: {name} than there is"), UNREADABLE, |draft| {
            let size = draft.body.len().saturating_add_signed(difference);
            draft.chunked(draft.chunk(format!("{size:x}\r\n"), END));
        });
    }
    requests.refused("chunk size: right, but nothing signed that", &[401], |draft| {
        draft.chunked(b"2\r\n{}\r\n0\r\n\r\n".to_vec());
    });
    requests.refused("chunk size: no chunk behind a good one", UNREADABLE, |draft| {
        draft.chunked(draft.chunk(format!("{:x}\r\n", draft.body.len()), b"\r\nno size\r\n"));
    });
}

/// Passed over, up to 16 KiB in a body.
fn extensions(requests: &mut Requests<'_>) {
    let extended = |extension: &[u8], body: &[u8]| {
        [format!("{:x};", body.len()).as_bytes(), extension, b"\r\n"].concat()
    };
    for (name, extension) in [
        ("15 KB", vec![b'e'; 15_000]),
        ("bytes that are no text", b"\xff\0\x80=\x7f".to_vec()),
        ("quotes", b"a=\"\\\"\"".to_vec()),
    ] {
        requests.taken(&format!("chunk extension: {name}"), |draft| {
            draft.chunked(draft.chunk(extended(&extension, &draft.body), END));
        });
    }
    for (name, extension) in
        [("17 KB", vec![b'e'; 17_000]), ("a bare LF", b"a\nb".to_vec()), ("a bare CR", b"a\rb".to_vec())]
    {
        requests.refused(&format!("chunk extension: {name}"), UNREADABLE, |draft| {
            draft.chunked(draft.chunk(extended(&extension, &draft.body), END));
        });
    }
    requests.refused("chunk extension: 17 KB in all", UNREADABLE, |draft| {
        let extension = "e".repeat(17_000 / draft.body.len() + 1);
        let chunks: String =
            draft.body.iter().map(|byte| format!("1;{extension}\r\n{}\r\n", char::from(*byte))).collect();
        draft.chunked(chunks + "0\r\n\r\n");
    });
}

/// Every line of chunks ends with CR and LF, unlike those of a head.
fn line_ends(requests: &mut Requests<'_>) {
    for (name, size_end, after) in [
        ("LFs alone", "\n", &b"\n0\n\n"[..]),
        ("an LF behind the size", "\n", END),
        ("a CR behind the size", "\r", END),
        ("an LF behind the chunk", "\r\n", b"\n0\r\n\r\n"),
        ("a CR behind the chunk", "\r\n", b"\r0\r\n\r\n"),
        ("nothing behind the chunk", "\r\n", b"0\r\n\r\n"),
        ("too much behind the chunk", "\r\n", b"\r\n\r\n0\r\n\r\n"),
        ("an LF behind the last size", "\r\n", b"\r\n0\n\r\n"),
        ("a CR and a letter at the end", "\r\n", b"\r\n0\r\n\rX"),
        ("CRs alone", "\r", b"\r0\r\r"),
    ] {
        requests.refused(&format!("chunk lines: {name}"), UNREADABLE, |draft| {
            draft.chunked(draft.chunk(format!("{:x}{size_end}", draft.body.len()), after));
        });
    }
}

/// Nothing to us, whatever they say.
fn trailers(requests: &mut Requests<'_>) {
    for trailer in [
        "X: y",
        "X:",
        "Content-Length: 0",
        "Transfer-Encoding: chunked",
        "Host: elsewhere.test",
        "aftership-hmac-sha256: x",
        "Content-Encoding: gzip",
    ] {
        requests.taken(&format!("chunk trailer: {trailer}"), |draft| {
            let after = format!("\r\n0\r\n{trailer}\r\n\r\n");
            draft.chunked(draft.chunk(format!("{:x}\r\n", draft.body.len()), after.as_bytes()));
        });
    }
    requests.taken("chunk trailer: 60 of them", |draft| {
        let after = format!("\r\n0\r\n{}\r\n", "X: y\r\n".repeat(60));
        draft.chunked(draft.chunk(format!("{:x}\r\n", draft.body.len()), after.as_bytes()));
    });
}

fn broken_trailers(requests: &mut Requests<'_>) {
    for (name, trailers) in [
        ("no colon", b"X\r\n".to_vec()),
        ("a space in the name", b"X Y: z\r\n".to_vec()),
        ("no name", b": y\r\n".to_vec()),
        ("a NUL", b"X: \0\r\n".to_vec()),
        ("a bare CR", b"X: a\rb\r\n".to_vec()),
        ("a continued line", b"X: a\r\n b\r\n".to_vec()),
        ("65 of them", b"X: y\r\n".repeat(65)),
        ("10,000 of them", b"X: y\r\n".repeat(10_000)),
        ("33 KiB", [b"X: ", &b"y".repeat(33 * 1_024)[..], b"\r\n"].concat()),
    ] {
        requests.refused(&format!("broken chunk trailer: {name}"), UNREADABLE, |draft| {
            let after = [b"\r\n0\r\n", &trailers[..], b"\r\n"].concat();
            draft.chunked(draft.chunk(format!("{:x}\r\n", draft.body.len()), &after));
        });
    }
}

/// More than a body may have, though nothing declared it.
fn too_large(requests: &mut Requests<'_>) {
    let much = vec![b' '; 1_048_577];
    for (name, size) in [("1 MiB and a byte", "100001"), ("as much as can be counted", "FFFFFFFFFFFFFFFF")] {
        requests.refused(&format!("too large chunk: {name}"), &[413], |draft| {
            draft.chunked([size.as_bytes(), b"\r\n", &much, b"\r\n0\r\n\r\n"].concat());
        });
    }
    requests.refused("too large chunks: 64 KiB each", &[413], |draft| {
        let chunk = [b"10000\r\n", &much[..65_536], b"\r\n"].concat();
        draft.chunked([chunk.repeat(17), b"0\r\n\r\n".to_vec()].concat());
    });
}
