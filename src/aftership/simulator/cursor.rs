//! Cursors of the stand-in's listing, in the form of AfterShip's: base64 of the JSON `[milliseconds, "id"]` of the last
//! parcel of a page. One that expires has the time of its making behind them.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use super::Position;

/// Writes a cursor; `made_ms` only for one that expires.
pub(super) fn write(position: &Position, made_ms: Option<i64>) -> String {
    let json = match made_ms {
        None => json!([position.updated_ms, position.id]),
        Some(made_ms) => json!([position.updated_ms, position.id, made_ms]),
    };
    BASE64_STANDARD.encode(json.to_string())
}

/// Reads a cursor: where it points, and when it was made.
pub(super) fn read(text: &str) -> Option<(Position, Option<i64>)> {
    let json = BASE64_STANDARD.decode(text).ok()?;
    let parts: Vec<Value> = serde_json::from_slice(&json).ok()?;
    let (updated_ms, id, made_ms) = match parts.as_slice() {
        [updated_ms, id] => (updated_ms, id, None),
        [updated_ms, id, made_ms] => (updated_ms, id, Some(made_ms.as_i64()?)),
        _ => return None,
    };
    Some((Position { updated_ms: updated_ms.as_i64()?, id: id.as_str()?.to_owned() }, made_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_has_the_documented_form() {
        let position =
            Position { updated_ms: 1_719_992_032_353, id: "a45d9489858743209b0cb4ef17e0c4ea".to_owned() };
        let documented = BASE64_STANDARD.encode(r#"[1719992032353,"a45d9489858743209b0cb4ef17e0c4ea"]"#);

        assert_eq!(write(&position, None), documented);
        assert_eq!(read(&documented), Some((position.clone(), None)));
        assert_eq!(read(&write(&position, Some(7))), Some((position, Some(7))));
    }

    #[test]
    fn what_is_no_cursor_is_none() {
        for json in ["", "[]", "[1]", r#"["1","a"]"#, r#"[1,2]"#, r#"[1,"a",null]"#, r#"[1,"a",1,1]"#, "{}"] {
            assert_eq!(read(&BASE64_STANDARD.encode(json)), None, "{json}");
        }
        assert_eq!(read("no base64"), None);
    }
}
