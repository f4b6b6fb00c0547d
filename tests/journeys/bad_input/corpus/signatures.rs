//! Signatures: missing, malformed, repeated, of something else, and under other names.

use super::draft::{Draft, Requests};

/// The one status of them all: nobody learns why by it.
const UNSIGNED: &[u16] = &[401];

pub(super) fn add(requests: &mut Requests<'_>) {
    missing(requests);
    malformed(requests);
    of_other_letters(requests);
    of_other_bodies(requests);
    repeated(requests);
    of_other_products(requests);
    odd_but_right(requests);
}

fn missing(requests: &mut Requests<'_>) {
    let name = "aftership-hmac-sha256";
    requests.refused("signature: none", UNSIGNED, |draft| draft.without(name));
    requests.refused("signature: empty", UNSIGNED, |draft| draft.signed(""));
    requests.refused("signature: spaces", UNSIGNED, |draft| draft.signed("   "));
    for other in [
        "aftership_hmac_sha256",
        "aftership-hmac-sha512",
        "aftership-hmac-sha256-",
        "x-aftership-hmac-sha256",
        "Authorization",
        "Cookie",
        "X-Hub-Signature-256",
    ] {
        requests.refused(&format!("signature: in {other}"), UNSIGNED, |draft| {
            draft.without(name);
            draft.field(format!("{other}: {}", draft.signature));
        });
    }
    requests.refused("signature: in the query", UNSIGNED, |draft| {
        draft.without(name);
        draft.line(format!("POST /webhooks/aftership?{name}={} HTTP/1.1", draft.signature));
    });
    requests.refused("signature: in a trailer of chunks", UNSIGNED, |draft| {
        draft.without(name);
        let mut content = draft.chunks(10);
        content.truncate(content.len() - 2);
        content.extend_from_slice(format!("{name}: {}\r\n\r\n", draft.signature).as_bytes());
        draft.chunked(content);
    });
}

/// No base64 of 32 bytes.
fn malformed(requests: &mut Requests<'_>) {
    let mut refused = |name: &str, value: &dyn Fn(&Draft) -> Vec<u8>| {
        requests.refused(&format!("signature: {name}"), UNSIGNED, |draft| draft.signed(value(draft)));
    };
    refused("three letters", &|_| b"abc".to_vec());
    refused("no padding", &|draft| draft.signature.trim_end_matches('=').into());
    refused("too much padding", &|draft| format!("{}=", draft.signature).into());
    refused("padding alone", &|_| b"=".repeat(44));
    refused("a letter less", &|draft| draft.signature[1..].into());
    refused("a letter more", &|draft| format!("A{}", draft.signature).into());
    refused("hex, 64 digits", &|_| b"0123456789abcdef".repeat(4));
    refused("hex, 44 digits", &|_| b"a".repeat(44));
    refused("a space inside", &|draft| draft.signature.replacen(&draft.signature[20..21], " ", 1).into());
    refused("a space more inside", &|draft| {
        format!("{} {}", &draft.signature[..20], &draft.signature[20..]).into()
    });
    refused("a tab inside", &|draft| {
        format!("{}\t{}", &draft.signature[..20], &draft.signature[20..]).into()
    });
    refused("quoted", &|draft| format!("\"{}\"", draft.signature).into());
    refused("with a comma", &|draft| format!("{},", draft.signature).into());
    refused("two, with a comma", &|draft| format!("{0}, {0}", draft.signature).into());
    refused("with sha256=", &|draft| format!("sha256={}", draft.signature).into());
    refused("with hmac-sha256=", &|draft| format!("hmac-sha256={}", draft.signature).into());
    refused("percent encoded", &|draft| draft.signature.replace('=', "%3D").into());
    refused("Latin-1", &|draft| [b"\xfc", &draft.signature.as_bytes()[1..]].concat());
    refused("a letter of full width", &|draft| format!("\u{ff21}{}", &draft.signature[3..]).into());
    refused("behind a no-break space", &|draft| format!("\u{a0}{}", draft.signature).into());
    refused("behind a Latin-1 no-break space", &|draft| [b"\xa0", draft.signature.as_bytes()].concat());
    refused("8 KB", &|_| b"A".repeat(8_192));
    refused("of 33 bytes", &|_| b"A".repeat(44));
    refused("of 31 bytes", &|_| [&b"A".repeat(42)[..], b"=="].concat());
    refused("with bits behind its last byte", &|draft| {
        // The last letter before the padding carries four bits; the two below must be zero.
        let spoilt = char::from(draft.signature.as_bytes()[42]).to_string();
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let next = letters.find(&spoilt).map_or("B", |at| &letters[at + 1..at + 2]);
        format!("{}{next}=", &draft.signature[..42]).into()
    });
}

/// Well formed, and another number.
fn of_other_letters(requests: &mut Requests<'_>) {
    let mut refused = |name: &str, value: &dyn Fn(&str) -> String| {
        requests
            .refused(&format!("signature: {name}"), UNSIGNED, |draft| draft.signed(value(&draft.signature)));
    };
    refused("in URL-safe letters", &|right| right.replace('+', "-").replace('/', "_"));
    refused("in lower case", &|right| right.to_ascii_lowercase());
    refused("in upper case", &|right| right.to_ascii_uppercase());
    refused("backwards", &|right| right[..43].chars().rev().collect::<String>() + "=");
    refused("all zero", &|_| "A".repeat(43) + "=");
    refused("all one", &|_| "/".repeat(42) + "8=");
    refused("its first letter changed", &|right| {
        let other = if right.starts_with('A') { "B" } else { "A" };
        other.to_owned() + &right[1..]
    });
}

fn of_other_bodies(requests: &mut Requests<'_>) {
    for (name, other) in [("nothing", ""), ("{}", "{}"), ("null", "null")] {
        let signature = requests.sign(other.as_bytes());
        requests.refused(&format!("signature: of {name}"), UNSIGNED, |draft| draft.signed(signature));
    }
    for (name, before, after) in [
        ("a line feed more", "", "\n"),
        ("a space more", "", " "),
        ("a byte order mark more", "\u{feff}", ""),
    ] {
        requests.refused(&format!("signature: of a body with {name}"), UNSIGNED, |draft| {
            draft.content = [before.as_bytes(), &draft.body, after.as_bytes()].concat();
            draft.set("Content-Length", draft.content.len().to_string());
        });
    }
    requests.refused("signature: of a body with one letter changed", UNSIGNED, |draft| {
        draft.content = String::from_utf8_lossy(&draft.body).replace("request-", "Request-").into();
    });
    requests.refused("signature: of the body without its last byte", UNSIGNED, |draft| {
        draft.content.pop();
        draft.set("Content-Length", draft.content.len().to_string());
    });
}

fn repeated(requests: &mut Requests<'_>) {
    requests.refused("signature: twice", UNSIGNED, |draft| {
        draft.field(format!("Aftership-Hmac-Sha256: {}", draft.signature));
    });
    requests.refused("signature: right, then wrong", UNSIGNED, |draft| {
        draft.field(format!("aftership-hmac-sha256: {}=", "A".repeat(43)));
    });
    requests.refused("signature: wrong, then right", UNSIGNED, |draft| {
        draft.first_field(format!("aftership-hmac-sha256: {}=", "A".repeat(43)));
    });
    requests.refused("signature: right, then empty", UNSIGNED, |draft| draft.field("aftership-hmac-sha256:"));
    requests.refused("signature: fifty times", UNSIGNED, |draft| {
        for _ in 0..50 {
            draft.field(format!("aftership-hmac-sha256: {}", draft.signature));
        }
    });
}

/// Only Tracking is configured.
fn of_other_products(requests: &mut Requests<'_>) {
    for (name, prefix) in [
        ("as-signature-hmac-sha256", ""),
        ("am-webhook-signature", ""),
        ("am-webhook-signature", "hmac-sha256="),
    ] {
        requests.refused(&format!("signature: of another product, {name} {prefix}"), UNSIGNED, |draft| {
            draft.without("aftership-hmac-sha256");
            draft.field(format!("{name}: {prefix}{}", draft.signature));
        });
    }
    requests.refused("signature: of another product, and wrong", UNSIGNED, |draft| {
        draft.without("aftership-hmac-sha256");
        draft.field(format!("as-signature-hmac-sha256: {}=", "A".repeat(43)));
    });
    requests.refused("signature: of another product beside a wrong one", UNSIGNED, |draft| {
        draft.signed("A".repeat(43) + "=");
        draft.field(format!("as-signature-hmac-sha256: {}", draft.signature));
    });
    requests.taken("signature: right beside another product's", |draft| {
        draft.field(format!("as-signature-hmac-sha256: {}=", "A".repeat(43)));
        draft.field("am-webhook-signature: x");
    });
}

/// Names of headers have no case, and the space around values is none of theirs.
fn odd_but_right(requests: &mut Requests<'_>) {
    for name in ["AFTERSHIP-HMAC-SHA256", "Aftership-Hmac-Sha256", "aFtErShIp-hMaC-sHa256"] {
        requests.taken(&format!("signature: in {name}"), |draft| {
            draft.without("aftership-hmac-sha256");
            draft.field(format!("{name}: {}", draft.signature));
        });
    }
    for (name, before, after) in
        [("no space", "", ""), ("many spaces", "     ", "     "), ("tabs", "\t\t", " \t")]
    {
        requests.taken(&format!("signature: with {name} around"), |draft| {
            draft.without("aftership-hmac-sha256");
            draft.field(format!("aftership-hmac-sha256:{before}{}{after}", draft.signature));
        });
    }
    requests.taken("signature: before everything else", |draft| {
        draft.without("aftership-hmac-sha256");
        draft.first_field(format!("aftership-hmac-sha256: {}", draft.signature));
    });
}
