//! A payload for people: masked where it tells of a person, set out in lines, whatever its bytes are. Pure.

use crate::aftership::personal::{self, Privacy, is_pseudonym};
use crate::event::json;

/// Most of a payload that a page shows, bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Most of bytes that are no text, of which each takes some four characters.
const HEX_BYTES_MAX: usize = 4 * 1024;
/// Bytes in a row of those.
const ROW_BYTES: usize = 16;
/// What stands in place of what tells of a person.
const MASK: &str = "•••••";

/// A payload without what tells of a person; nothing when it cannot be read, so that nobody knows what is in it.
pub(super) fn masked(body: &[u8], key: &[u8]) -> Option<String> {
    json::parse_levels(body, 0).ok()?;
    let body = personal::redact(body, Privacy::Hash, key).unwrap_or_else(|| body.to_vec());
    let text = String::from_utf8(body).ok()?;
    Some(cut(&set_out(&text, |string| if is_pseudonym(string) { MASK } else { string })))
}

/// A payload as it came.
pub(super) fn whole(body: &[u8]) -> String {
    let is_json = json::parse_levels(body, 0).is_ok();
    match std::str::from_utf8(body) {
        Ok(text) if is_json => cut(&set_out(text, |string| string)),
        Ok(text) => cut(text),
        Err(_) => hex_rows(body),
    }
}

/// JSON with a line for each member, its tokens as they were written. `shown`: what stands for a string's inside.
fn set_out<'a>(text: &'a str, shown: impl Fn(&'a str) -> &'a str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        match letter {
            '"' => {
                let end = string_end(rest);
                out.push('"');
                out.push_str(shown(rest.get(1..end).unwrap_or_default()));
                out.push('"');
                rest = rest.get(end + 1..).unwrap_or_default();
                continue;
            }
            '{' | '[' => {
                let inside = rest.get(1..).unwrap_or_default().trim_start();
                out.push(letter);
                if inside.starts_with(['}', ']']) {
                    out.extend(inside.chars().next());
                    rest = inside.get(1..).unwrap_or_default();
                    continue;
                }
                depth += 1;
                line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(letter);
            }
            ',' => {
                out.push(',');
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            ' ' | '\t' | '\n' | '\r' => {}
            other => out.push(other),
        }
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
    }
    out
}

/// Where the quote is that ends the string at the beginning.
fn string_end(text: &str) -> usize {
    let mut is_escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return index,
            _ => {}
        }
    }
    text.len()
}

fn cut(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let mut end = TEXT_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}\n… {} of {} bytes are shown", &text[..end], end, text.len())
}

fn hex_rows(body: &[u8]) -> String {
    let mut out = String::new();
    for (index, row) in body.chunks(ROW_BYTES).take(HEX_BYTES_MAX / ROW_BYTES).enumerate() {
        let hex: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String =
            row.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '·' }).collect();
        out.push_str(&format!("{:06x}  {:<47}  {text}\n", index * ROW_BYTES, hex.join(" ")));
    }
    if body.len() > HEX_BYTES_MAX {
        out.push_str(&format!("… {HEX_BYTES_MAX} of {} bytes are shown\n", body.len()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"event":"tracking_update","msg":{"id":"t1","emails":["ada@example.com"],"tag":"InTransit","checkpoints":[],"n":1.50}}"#;

    #[test]
    fn what_tells_of_a_person_is_masked_and_the_rest_set_out_as_written() {
        let shown = masked(BODY.as_bytes(), b"a key").expect("JSON");

        let expected = [
            "{",
            "  \"event\": \"tracking_update\",",
            "  \"msg\": {",
            "    \"id\": \"t1\",",
            "    \"emails\": [",
            "      \"•••••\"",
            "    ],",
            "    \"tag\": \"InTransit\",",
            "    \"checkpoints\": [],",
            "    \"n\": 1.50",
            "  }",
            "}",
        ];
        assert_eq!(shown, expected.join("\n"));
    }

    #[test]
    fn what_cannot_be_read_is_not_shown_unasked() {
        assert_eq!(masked(b"ada@example.com", b"a key"), None);
        assert_eq!(masked(b"\xff\xfe", b"a key"), None);
        assert_eq!(masked(format!("{}{}", "[".repeat(70), "]".repeat(70)).as_bytes(), b"a key"), None);
    }

    #[test]
    fn whatever_the_bytes_are_they_can_be_looked_at() {
        assert_eq!(whole(b"not json \"{"), "not json \"{");
        assert!(whole(BODY.as_bytes()).contains("ada@example.com"));
        assert!(whole(b"\xff\xfeab").starts_with("000000  ff fe 61 62 "));
        assert!(whole(b"\xff\xfeab").trim_end().ends_with("··ab"));
        assert!(whole(&vec![0xff; 100_000]).ends_with("… 4096 of 100000 bytes are shown\n"));
        assert!(whole("é".repeat(100_000).as_bytes()).ends_with("of 200000 bytes are shown"));
    }

    #[test]
    fn quotes_and_brackets_in_strings_are_no_ends() {
        let body = r#"{"a":"x\"}]","b":["\\",{}]}"#;

        assert_eq!(
            whole(body.as_bytes()),
            "{\n  \"a\": \"x\\\"}]\",\n  \"b\": [\n    \"\\\\\",\n    {}\n  ]\n}"
        );
    }
}
