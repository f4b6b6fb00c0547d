//! Queries of addresses and forms, read and written. Pure.
//!
//! The server is built without axum's own readers of them, and these two rules are all that is needed.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Pairs that are looked at; more are nobody's form.
const PAIRS_MAX: usize = 64;

/// What was asked with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads `a=b&c=d` with its escapes.
    pub(super) fn read(text: &str) -> Params {
        let decode = |part: &str| {
            let spaced = part.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        Params(
            text.split('&')
                .filter(|pair| !pair.is_empty())
                .take(PAIRS_MAX)
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// The query of an address, if it has one.
    pub(super) fn of(query: Option<&str>) -> Params {
        Params::read(query.unwrap_or_default())
    }

    /// The last value of a name without the space around it; nothing when it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().rev().find(|(known, _)| known == name)?;
        Some(value.trim()).filter(|value| !value.is_empty())
    }

    /// A number in it; nothing when it is none.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    /// Is the box of that name ticked?
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Names and values.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

/// An address with a query; values that are empty are left out.
pub(super) fn address(path: &str, pairs: &[(&str, &str)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let query: Vec<String> = pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let value = "a b&c=d?é#+%'\"";
        let address = address("/x", &[("find", value), ("none", "")]);

        let (path, query) = address.split_once('?').expect("a query");

        assert_eq!(path, "/x");
        assert_eq!(Params::read(query).get("find"), Some(value));
        assert_eq!(Params::read(query).names().collect::<Vec<_>>(), ["find"]);
    }

    #[test]
    fn odd_queries_are_no_fault() {
        let params = Params::read("&&a&b=%zz%ff&b= +&n=12&n=x");

        assert_eq!(params.get("a"), None);
        assert_eq!(params.get("b"), None);
        assert_eq!(params.number("n"), None);
        assert_eq!(Params::of(None), Params::default());
    }
}
