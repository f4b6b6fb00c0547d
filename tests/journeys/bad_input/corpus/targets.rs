//! The request line: methods, targets, versions.

use super::draft::Requests;

pub(super) fn add(requests: &mut Requests<'_>) {
    methods(requests);
    no_methods(requests);
    other_paths(requests);
    right_paths(requests);
    unreadable_targets(requests);
    long_targets(requests);
    versions(requests);
    spacing(requests);
}

/// Another method on the right path, signed and all.
fn methods(requests: &mut Requests<'_>) {
    let methods = "
        GET PUT DELETE PATCH OPTIONS TRACE CONNECT PROPFIND PURGE SEARCH QUERY post Post POSTS P !#$%&'*+-.^_`|~";
    for method in methods.split_ascii_whitespace() {
        requests.refused(&format!("method: {method}"), &[405], |draft| {
            draft.line(format!("{method} /webhooks/aftership HTTP/1.1"));
        });
    }
    requests.refused("method: HEAD", &[405], |draft| {
        draft.line("HEAD /webhooks/aftership HTTP/1.1");
        draft.field("Connection: close");
    });
    for (bytes, status) in [(10_000, 405), (40_000, 431)] {
        requests.refused(&format!("method: of {bytes} bytes"), &[status], |draft| {
            draft.line(format!("{} /webhooks/aftership HTTP/1.1", "M".repeat(bytes)));
        });
    }
}

fn no_methods(requests: &mut Requests<'_>) {
    for (name, method) in [
        ("none", &b""[..]),
        ("with a NUL", b"PO\0ST"),
        ("Latin-1", b"P\xd6ST"),
        ("with a colon", b"POST:"),
        ("in quotes", b"\"POST\""),
        ("with a backslash", b"\\u0050OST"),
    ] {
        requests.refused(&format!("no method: {name}"), &[400], |draft| {
            draft.line([method, b" /webhooks/aftership HTTP/1.1"].concat());
        });
    }
    for line in [
        "GET /readyz HTTP/1.1",
        "DELETE / HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT waybill.test:443 HTTP/1.1",
    ] {
        requests.refused(&format!("elsewhere: {line}"), &[404], |draft| {
            draft.line(line);
            draft.content.clear();
            draft.set("Content-Length", "0");
        });
    }
}

/// No path but one is ours, and nothing is decoded or tidied before that is decided.
fn other_paths(requests: &mut Requests<'_>) {
    let targets = "
        / * /webhooks /webhooks/ /webhooks/aftership/ /webhooks/aftership// //webhooks/aftership
        /webhooks//aftership /webhooks/./aftership /webhooks/x/../aftership /../webhooks/aftership
        /webhooks/aftership/.. /webhooks/aftership/. /webhooks/%2e%2e/webhooks/aftership /../../../etc/passwd
        /%2e%2e/%2e%2e/etc/passwd /..%2f..%2fetc/passwd /..;/webhooks/aftership /webhooks%2Faftership
        /webhooks/%61ftership /webhooks/aftership%00 /webhooks/aftership%20 /webhooks/aftership%0d%0aX:y
        /webhooks/aftership%3Fx /webhooks/aftership;v=1 /webhooks/aftership.json /webhooks/aftership&x
        /webhooks\\aftership /WEBHOOKS/AFTERSHIP /Webhooks/Aftership /webhooks/aftershi /webhooks/aftershipp
        /webhooks/:id /webhooks/{id} /webhooks/{*rest} /% /%zz /%c0%af /metrics /livez /readyz /api/v1/query /.env
        /.git/config /wp-login.php /favicon.ico /webhooks/aftersh\u{131}p /webhooks/aftership\u{200b}
        http://waybill.test http://waybill.test/ http://waybill.test/webhooks ://webhooks/aftership
        waybill.test:80 waybill.test";
    for target in targets.split_ascii_whitespace() {
        requests.refused(&format!("target: {}", target.escape_default()), &[404], |draft| {
            draft.line(format!("POST {target} HTTP/1.1"));
        });
    }
}

/// Other ways to write the one path.
fn right_paths(requests: &mut Requests<'_>) {
    for target in [
        "/webhooks/aftership?",
        "/webhooks/aftership?x=1&x=2",
        "/webhooks/aftership?/../../etc/passwd",
        "/webhooks/aftership??#",
        "/webhooks/aftership?%00%0d%0a",
        "/webhooks/aftership?\u{fc}",
        "/webhooks/aftership#x",
        "http://waybill.test/webhooks/aftership",
        "HTTPS://elsewhere.test:8443/webhooks/aftership?x",
        "http://user:password@[::1]:80/webhooks/aftership",
    ] {
        requests.taken(&format!("target: {}", target.escape_default()), |draft| {
            draft.line(format!("POST {target} HTTP/1.1"));
        });
    }
}

fn unreadable_targets(requests: &mut Requests<'_>) {
    for target in [
        &b"/webhooks/aftership\0"[..],
        b"/webhooks/\taftership",
        b"/webhooks/aftership\x7f",
        b"/webhooks/\x1b[31m",
        b"/webhooks/aftership\xff",
        b"/webhooks/\xc3",
        b"/webhooks/\xc0\xaf",
        b"/webhooks/<aftership>",
        b"/webhooks/`aftership`",
        b"/webhooks/a b",
        b"",
        b"webhooks/aftership",
        b"?x",
        b"#x",
        b"\\webhooks\\aftership",
        b"http://",
        b"http:///webhooks/aftership",
        b"http://a b/webhooks/aftership",
        b"http://[::1/webhooks/aftership",
        b"/webhooks/aftership\r",
    ] {
        requests.refused(&format!("target: {}", target.escape_ascii()), &[400], |draft| {
            draft.line([b"POST ", target, b" HTTP/1.1"].concat());
        });
    }
}

/// Path and query may have 2 KiB together; beyond that, the head's own limit comes first at some point.
fn long_targets(requests: &mut Requests<'_>) {
    let query = |bytes: usize| {
        let path = "/webhooks/aftership?";
        format!("POST {path}{} HTTP/1.1", "q".repeat(bytes - path.len()))
    };
    requests.taken("target: of 2 KiB", |draft| draft.line(query(2_048)));
    requests.refused("target: of 2 KiB and a byte", &[414], |draft| draft.line(query(2_049)));
    requests.refused("target: of 30 KB", &[414], |draft| draft.line(query(30_000)));
    requests.refused("target: of 33 KiB", &[414, 431], |draft| draft.line(query(33 * 1_024)));
    requests.refused("target: of 70 KB", &[414, 431], |draft| draft.line(query(70_000)));
    let path = |bytes: usize| format!("POST /{} HTTP/1.1", "p".repeat(bytes - 1));
    requests.refused("target: another path of 2 KiB", &[404], |draft| draft.line(path(2_048)));
    requests.refused("target: another path of 2 KiB and a byte", &[414], |draft| draft.line(path(2_049)));
    requests.refused("target: a thousand levels", &[404], |draft| {
        draft.line(format!("POST {} HTTP/1.1", "/x".repeat(1_000)));
    });
    requests.refused("target: a thousand levels up", &[414], |draft| {
        draft.line(format!("POST {}/webhooks/aftership HTTP/1.1", "/..".repeat(1_000)));
    });
}

fn versions(requests: &mut Requests<'_>) {
    for version in [
        "HTTP/0.9",
        "HTTP/1.2",
        "HTTP/2.0",
        "HTTP/3.0",
        "HTTP/9.9",
        "HTTP/1.11",
        "HTTP/1.1.1",
        "HTTP/01.1",
        "HTTP/1,1",
        "HTTP/1",
        "HTTP/11",
        "HTTP/",
        "HTTP",
        "http/1.1",
        "Http/1.1",
        "HTTPS/1.1",
        "ICY/1.1",
        "RTSP/1.0",
        "SIP/2.0",
        "HTTP/-1.1",
        "HTTP /1.1",
        "HTTP/ 1.1",
        "HTTP/1. 1",
        "X",
    ] {
        requests.refused(&format!("version: {version}"), &[400], |draft| {
            draft.line(format!("POST /webhooks/aftership {version}"));
        });
    }
    requests.refused("version: none", &[400], |draft| draft.line("POST /webhooks/aftership"));
    requests.refused("version: none, and a space", &[400], |draft| draft.line("POST /webhooks/aftership "));
    requests.taken("version: HTTP/1.0", |draft| draft.line("POST /webhooks/aftership HTTP/1.0"));
    requests.taken("version: HTTP/1.0 without Host", |draft| {
        draft.line("POST /webhooks/aftership HTTP/1.0");
        draft.without("Host");
    });
    requests.taken("version: HTTP/1.0 that wants to stay", |draft| {
        draft.line("POST /webhooks/aftership HTTP/1.0");
        draft.field("Connection: keep-alive");
    });
}

/// Three parts and two spaces.
fn spacing(requests: &mut Requests<'_>) {
    for (name, line) in [
        ("two spaces before the target", "POST  /webhooks/aftership HTTP/1.1"),
        ("two spaces before the version", "POST /webhooks/aftership  HTTP/1.1"),
        ("a tab before the target", "POST\t/webhooks/aftership HTTP/1.1"),
        ("a tab before the version", "POST /webhooks/aftership\tHTTP/1.1"),
        ("a space before the method", " POST /webhooks/aftership HTTP/1.1"),
        ("a space behind the version", "POST /webhooks/aftership HTTP/1.1 "),
        ("a fourth part", "POST /webhooks/aftership HTTP/1.1 x"),
        ("a line break inside", "POST /webhooks/aftership\r\nHTTP/1.1"),
        ("a bare CR before the method", "\rPOST /webhooks/aftership HTTP/1.1"),
        ("a NUL before the method", "\0POST /webhooks/aftership HTTP/1.1"),
        ("a byte order mark before the method", "\u{feff}POST /webhooks/aftership HTTP/1.1"),
        ("a form feed before the target", "POST \u{c}/webhooks/aftership HTTP/1.1"),
    ] {
        requests.refused(&format!("spacing: {name}"), &[400], |draft| draft.line(line));
    }
    requests.taken("spacing: empty lines before the method", |draft| {
        draft.line("\r\n\r\n\r\nPOST /webhooks/aftership HTTP/1.1");
    });
}
