//! Bytes: broken UTF-8, other encodings, byte order marks, and what is no text at all.

use super::{BARE, BODY_BYTES_MAX, Bodies, EMPTY, Fate, MEMBERS, NOT_JSON, PLAIN, STRING, noise};

pub(super) fn add(bodies: &mut Bodies) {
    broken_utf8(bodies);
    encodings(bodies);
    byte_order_marks(bodies);
    white_space_only(bodies);
    formats(bodies);
    sizes(bodies);
}

/// Each kind of bytes that is no UTF-8.
fn broken_utf8(bodies: &mut Bodies) {
    let texts: [(&str, &[u8]); 27] = [
        ("continuation alone", b"\x80"),
        ("last continuation alone", b"\xbf"),
        ("two continuations", b"\x80\xbf"),
        ("first of two bytes alone", b"\xc3"),
        ("first of three bytes alone", b"\xe2"),
        ("first of four bytes alone", b"\xf0"),
        ("two of three bytes", b"\xe2\x82"),
        ("three of four bytes", b"\xf0\x9f\x93"),
        ("cut, then a letter", b"\xe2\x82x"),
        ("overlong slash in two bytes", b"\xc0\xaf"),
        ("overlong slash in three bytes", b"\xe0\x80\xaf"),
        ("overlong slash in four bytes", b"\xf0\x80\x80\xaf"),
        ("overlong U+0000", b"\xc0\x80"),
        ("overlong U+007F", b"\xc1\xbf"),
        ("overlong U+07FF", b"\xe0\x9f\xbf"),
        ("overlong U+FFFF", b"\xf0\x8f\xbf\xbf"),
        ("overlong quote", b"\xc0\xa2"),
        ("high surrogate", b"\xed\xa0\x80"),
        ("low surrogate", b"\xed\xbf\xbf"),
        ("surrogate pair", b"\xed\xa0\xbd\xed\xb3\xa6"),
        ("above U+10FFFF", b"\xf4\x90\x80\x80"),
        ("byte F5", b"\xf5\x80\x80\x80"),
        ("five bytes", b"\xf8\x88\x80\x80\x80"),
        ("six bytes", b"\xfc\x84\x80\x80\x80\x80"),
        ("byte FE", b"\xfe"),
        ("byte FF", b"\xff"),
        ("swapped bytes of a letter", b"\xbc\xc3"),
    ];
    bodies.named("broken UTF-8", NOT_JSON, STRING, texts);
    let long = [&[b'a'; 100][..], b"\xff"].concat();
    bodies.named("broken UTF-8", NOT_JSON, STRING, [("behind 100 letters", long)]);
    let keys: [(&str, &[u8]); 2] = [("in a key", b"\"\xff\":1"), ("before a key", b"\xff\"x\":1")];
    bodies.named("broken UTF-8", NOT_JSON, MEMBERS, keys);
    bodies.add("broken UTF-8: behind the event", NOT_JSON, [PLAIN.as_bytes(), b"\xff"].concat());
    bodies.add(
        "broken UTF-8: cut letter behind the event",
        NOT_JSON,
        [PLAIN.as_bytes(), b"\xe2\x82"].concat(),
    );
    bodies.add("broken UTF-8: before the event", NOT_JSON, [b"\xff", PLAIN.as_bytes()].concat());
}

fn encodings(bodies: &mut Bodies) {
    let texts: [(&str, &[u8]); 6] = [
        ("Latin-1", b"Z\xfcrich"),
        ("Windows-1252 quotes", b"\x93K\xf6ln\x94"),
        ("Shift JIS", b"\x93\x8c\x8b\x9e"),
        ("GBK", b"\xb1\xb1\xbe\xa9"),
        ("KOI8-R", b"\xed\xcf\xd3\xcb\xd7\xc1"),
        ("Big5", b"\xa5\x78\xa5\x5f"),
    ];
    bodies.named("encoding", NOT_JSON, STRING, texts);
    let plain = String::from_utf8_lossy(&bodies.filled(PLAIN)).into_owned();
    let units = || plain.encode_utf16();
    bodies.add("encoding: UTF-16LE", NOT_JSON, units().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
    bodies.add("encoding: UTF-16BE", NOT_JSON, units().flat_map(u16::to_be_bytes).collect::<Vec<_>>());
    let points = || plain.chars().map(u32::from);
    bodies.add("encoding: UTF-32LE", NOT_JSON, points().flat_map(u32::to_le_bytes).collect::<Vec<_>>());
    bodies.add("encoding: UTF-32BE", NOT_JSON, points().flat_map(u32::to_be_bytes).collect::<Vec<_>>());
    bodies.add("encoding: UTF-7", NOT_JSON, PLAIN.replace('{', "+AHs-").replace('}', "+AH0-"));
    bodies.add("encoding: EBCDIC brace", NOT_JSON, [b"\xc0", &PLAIN.as_bytes()[1..]].concat());
}

fn byte_order_marks(bodies: &mut Bodies) {
    let plain = bodies.filled(PLAIN);
    let marks: [(&str, &[u8]); 7] = [
        ("UTF-8", b"\xef\xbb\xbf"),
        ("UTF-8, cut", b"\xef\xbb"),
        ("UTF-16LE", b"\xff\xfe"),
        ("UTF-16BE", b"\xfe\xff"),
        ("UTF-32LE", b"\xff\xfe\0\0"),
        ("UTF-32BE", b"\0\0\xfe\xff"),
        ("UTF-7", b"+/v8-"),
    ];
    for (name, mark) in marks {
        bodies.add(format!("byte order mark: {name}, alone"), NOT_JSON, mark);
        bodies.add(format!("byte order mark: {name}, before an event"), NOT_JSON, [mark, &plain].concat());
    }
    bodies.add("byte order mark: behind an event", NOT_JSON, [PLAIN.as_bytes(), b"\xef\xbb\xbf"].concat());
    bodies.add("byte order mark: between brace and key", NOT_JSON, PLAIN.replacen('{', "{\u{feff}", 1));
}

/// The white space of JSON, and form feed, is an empty body; other white space is no JSON.
fn white_space_only(bodies: &mut Bodies) {
    bodies.add("nothing", EMPTY, "");
    bodies.each("white space", EMPTY, BARE, &[" ", "\t", "\n", "\r", "\r\n", "\n\n\n", " \t\r\n ", "\u{c}"]);
    bodies.named(
        "white space",
        EMPTY,
        BARE,
        [("64 KiB of spaces", " ".repeat(65_536)), ("as large as may be", "\n".repeat(BODY_BYTES_MAX))],
    );
    let others = [
        "\u{b}", "\0", "\0\0\0\0", " \0 ", "\u{a0}", "\u{85}", "\u{2028}", "\u{3000}", "\u{200b}",
        "\u{180e}", "\u{1e}", "\u{1a}", "\u{4}", "\u{7f}", " \u{b} ",
    ];
    bodies.each("no white space", NOT_JSON, BARE, &others);
}

/// Other formats, by their first bytes.
fn formats(bodies: &mut Bodies) {
    let texts: [(&str, &[u8]); 27] = [
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0"),
        ("zstd", b"\x28\xb5\x2f\xfd\x20\x02\x11\0\0{}"),
        ("zip", b"PK\x03\x04\x14\0"),
        ("PDF", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"),
        ("PNG", b"\x89PNG\r\n\x1a\n"),
        ("ELF", b"\x7fELF\x02\x01\x01"),
        ("Parquet", b"PAR1\x15\x04\x15"),
        ("SQLite", b"SQLite format 3\0"),
        ("MessagePack", b"\x81\xa3msg\x81\xa2id\xa1x"),
        ("CBOR", b"\xa1\x63msg\xa1\x62id\x61x"),
        ("protobuf", b"\x0a\x02\x08\x96\x01"),
        ("BSON", b"\x16\0\0\0\x02hello\0\x06\0\0\0world\0\0"),
        ("Java object", b"\xac\xed\0\x05sr"),
        ("Python pickle", b"\x80\x04\x95\x10\0\0\0"),
        (
            "XML",
            b"<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><msg>&e;</msg>",
        ),
        ("HTML", b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"),
        ("form", b"event=tracking_update&msg%5Bid%5D=x"),
        (
            "multipart",
            b"--b\r\nContent-Disposition: form-data; name=\"msg\"\r\n\r\n{\"id\":\"x\"}\r\n--b--\r\n",
        ),
        ("YAML", b"event: tracking_update\nmsg:\n  id: x\n"),
        ("TOML", b"event = \"tracking_update\"\n[msg]\nid = \"x\"\n"),
        ("CSV", b"event,id\ntracking_update,x\n"),
        ("INI", b"[msg]\nid=x\n"),
        ("PHP serialised", b"a:1:{s:3:\"msg\";a:1:{s:2:\"id\";s:1:\"x\";}}"),
        ("Python literal", b"{'msg': {'id': 'x'}, 'ok': True}"),
        ("an HTTP request", b"POST /webhooks/aftership HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("base64 of an event", b"eyJtc2ciOnsiaWQiOiJ4In19"),
        ("percent encoded event", b"%7B%22msg%22%3A%7B%22id%22%3A%22x%22%7D%7D"),
    ];
    bodies.named("format", NOT_JSON, BARE, texts);
}

/// At the limit, over it, and what no compression makes small.
fn sizes(bodies: &mut Bodies) {
    for (name, fate, bytes) in [
        ("size: an event of 1 MiB", Fate::Fact, BODY_BYTES_MAX),
        ("size: an event of 1 MiB less a byte", Fate::Fact, BODY_BYTES_MAX - 1),
        ("size: an event of 1 MiB and a byte", Fate::TooLarge, BODY_BYTES_MAX + 1),
    ] {
        let empty = bodies.filled(STRING.0.to_owned() + STRING.1).len();
        let filler = "x".repeat(bytes - empty);
        bodies.add(name, fate, STRING.0.to_owned() + &filler + STRING.1);
    }
    // More than the space around a body may be is no matter of its content.
    let spaces = BODY_BYTES_MAX + 1 - bodies.filled(PLAIN).len();
    bodies.add("size: over by spaces", Fate::TooLarge, PLAIN.to_owned() + &" ".repeat(spaces));
    let spaces = BODY_BYTES_MAX - bodies.filled(PLAIN).len();
    bodies.add("size: at the limit by spaces", Fate::Fact, PLAIN.to_owned() + &" ".repeat(spaces));
    bodies.add("size: noise of 1 KB", NOT_JSON, noise(1, 1_000));
    bodies.add("size: noise of 64 KiB and a byte", NOT_JSON, noise(3, 65_537));
    bodies.add("size: noise of 500 KB", NOT_JSON, noise(5, 500_000));
    // Small enough to be read, too large for a queue message.
    bodies.add("size: noise of 1 MiB", Fate::TooLarge, noise(7, BODY_BYTES_MAX));
}
