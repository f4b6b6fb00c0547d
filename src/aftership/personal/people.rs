//! By what a person and a parcel can be found in a body.

use crate::event::json::{self, Json};

use super::super::{tracking, webhook};
use super::{is_pseudonym, pseudonym};

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
/// The first so many are the customer's own.
const OF_CUSTOMERS: usize = 5;

/// Ids, e-mail addresses and phone numbers of the people in a body, as written; of a body that was hashed, their
/// pseudonyms.
pub fn people(body: &[u8]) -> Vec<String> {
    texts(body, CONTACTS)
}

/// Those of the customer alone: whoever else is told of a parcel may be told of all parcels.
pub fn customers(body: &[u8]) -> Vec<String> {
    texts(body, &CONTACTS[..OF_CUSTOMERS])
}

/// What a body says of whom and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// The parcel's id, as facts have it.
    pub id: String,
    /// Its older id.
    pub legacy_id: Option<String>,
    /// Its number at the courier.
    pub tracking_number: Option<String>,
    /// See [`people`].
    pub people: Vec<String>,
}

impl Marks {
    /// Of a body that names a parcel.
    pub fn of(body: &[u8]) -> Option<Marks> {
        let webhook = webhook::read_envelope(body).ok()?;
        let (id, msg) = (webhook.tracking_id(), webhook.msg());
        Some(Marks {
            legacy_id: tracking::legacy_id(msg, &id),
            tracking_number: msg.get("tracking_number").and_then(webhook::text),
            id,
            people: people(body),
        })
    }

    /// The parcel's ids.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.id.as_str()).chain(self.legacy_id.as_deref())
    }

    /// The pseudonyms of the parcel's ids, and of the people; those that are pseudonyms already stay.
    pub fn keyed(&self, key: &[u8]) -> (Vec<String>, Vec<String>) {
        let of = |text: &str| if is_pseudonym(text) { text.to_owned() } else { pseudonym(text, key) };
        (self.ids().map(|id| pseudonym(id, key)).collect(), self.people.iter().map(|text| of(text)).collect())
    }
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
