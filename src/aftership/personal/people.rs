//! By what a person can be found in a body.

use crate::event::json::{self, Json};

/// What a person gives to name themselves: customer ids, e-mail addresses, phone numbers.
const CONTACTS: &[&[&str]] = &[
    &["msg", "customers", "id"],
    &["msg", "customers", "email"],
    &["msg", "customers", "phone_number"],
    &["msg", "emails"],
    &["msg", "smses"],
    &["msg", "subscribed_emails"],
    &["msg", "subscribed_smses"],
];

/// What others have too.
const NAMES: &[&[&str]] = &[&["msg", "customers", "name"], &["msg", "customer_name"], &["msg", "signed_by"]];

/// Ids, e-mail addresses and phone numbers of the people in a body, as written; of a body that was hashed, their
/// pseudonyms.
pub fn people(body: &[u8]) -> Vec<String> {
    texts(body, CONTACTS)
}

/// Their names. Two people can have one.
pub fn names(body: &[u8]) -> Vec<String> {
    texts(body, NAMES)
}

fn texts(body: &[u8], paths: &[&[&str]]) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(document) = json::parse(body) {
        for path in paths {
            gather(&document.root, path, &mut found);
        }
    }
    found
}

/// A list counts as if it were not there, and of a repeated member every occurrence counts.
fn gather(value: &Json<'_>, path: &[&str], found: &mut Vec<String>) {
    match (value, path.split_first()) {
        (Json::Array(values), _) => values.iter().for_each(|value| gather(value, path, found)),
        (Json::Object(members), Some((first, rest))) => {
            for (_, value) in members.iter().filter(|(name, _)| name == first) {
                gather(value, rest, found);
            }
        }
        (Json::Object(members), None) => members.iter().for_each(|(_, value)| gather(value, path, found)),
        (Json::String(text), None) if !text.trim().is_empty() => found.push(text.to_string()),
        (Json::Number(digits), None) => found.push((*digits).to_owned()),
        _ => {}
    }
}
