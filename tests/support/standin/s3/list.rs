//! ListObjectsV2.

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Bound;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::{Error, INVALID_ARGUMENT};
use super::{Bucket, Object, Target};

const KEYS_MAX: usize = 1000;

/// What `encoding-type=url` leaves as it is.
const URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/');

/// Parameters of a listing.
#[derive(Debug)]
pub(super) struct Listing<'a> {
    prefix: &'a str,
    start_after: &'a str,
    token: Option<&'a str>,
    /// What `token` says: the last item of the page before.
    last: Option<Item<String>>,
    delimiter: &'a str,
    keys_max: usize,
    is_url: bool,
}

/// Line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item<T> {
    Key(T),
    /// All keys that begin so, as one.
    Common(T),
}

struct Page<'a> {
    items: Vec<(Item<&'a str>, Option<&'a Object>)>,
    is_truncated: bool,
}

impl<'a> Listing<'a> {
    pub(super) fn of(target: &'a Target) -> Result<Listing<'a>, Error> {
        let text = |name: &str| target.parameter(name).unwrap_or_default();
        let keys_max = match target.parameter("max-keys") {
            Some(number) => number.parse::<usize>().map_err(|_| INVALID_ARGUMENT)?,
            None => KEYS_MAX,
        };
        let token = target.parameter("continuation-token");
        Ok(Listing {
            prefix: text("prefix"),
            start_after: text("start-after"),
            token,
            last: token.map(item_of_token).transpose()?,
            delimiter: text("delimiter"),
            keys_max: keys_max.min(KEYS_MAX),
            is_url: text("encoding-type") == "url",
        })
    }

    fn page<'b>(&self, bucket: &'b Bucket) -> Page<'b> {
        let after = match &self.last {
            Some(Item::Key(last) | Item::Common(last)) => last.as_str(),
            None => self.start_after,
        };
        let mut page = Page { items: Vec::new(), is_truncated: false };
        if self.keys_max == 0 {
            return page;
        }
        // Keys with the prefix are neighbours; those before it cannot have it.
        let from = if after < self.prefix { Bound::Included(self.prefix) } else { Bound::Excluded(after) };
        for (key, object) in bucket.range::<str, _>((from, Bound::Unbounded)) {
            if !key.starts_with(self.prefix) {
                break;
            }
            let item = self.item(key);
            if let Item::Common(common) = &item {
                let is_told = match page.items.last() {
                    Some((last, _)) => *last == item,
                    None => matches!(&self.last, Some(Item::Common(last)) if last == common),
                };
                if is_told {
                    continue;
                }
            }
            if page.items.len() == self.keys_max {
                page.is_truncated = true;
                break;
            }
            let object = matches!(item, Item::Key(_)).then_some(object.as_ref());
            page.items.push((item, object));
        }
        page
    }

    /// What a key is listed as.
    fn item<'b>(&self, key: &'b str) -> Item<&'b str> {
        if self.delimiter.is_empty() {
            return Item::Key(key);
        }
        match key[self.prefix.len()..].find(self.delimiter) {
            Some(at) => Item::Common(&key[..self.prefix.len() + at + self.delimiter.len()]),
            None => Item::Key(key),
        }
    }

    /// The answer's XML.
    pub(super) fn answer(&self, name: &str, bucket: &Bucket) -> String {
        let page = self.page(bucket);
        let mut xml = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
        );
        element(&mut xml, "Name", name);
        element(&mut xml, "Prefix", &self.encoded(self.prefix));
        if !self.start_after.is_empty() {
            element(&mut xml, "StartAfter", &self.encoded(self.start_after));
        }
        if !self.delimiter.is_empty() {
            element(&mut xml, "Delimiter", &self.encoded(self.delimiter));
        }
        if self.is_url {
            element(&mut xml, "EncodingType", "url");
        }
        element(&mut xml, "MaxKeys", &self.keys_max.to_string());
        element(&mut xml, "KeyCount", &page.items.len().to_string());
        element(&mut xml, "IsTruncated", &page.is_truncated.to_string());
        if let Some(token) = self.token {
            element(&mut xml, "ContinuationToken", token);
        }
        if let Some((last, _)) = page.items.last().filter(|_| page.is_truncated) {
            element(&mut xml, "NextContinuationToken", &token_of_item(last));
        }
        for (item, object) in &page.items {
            match item {
                Item::Key(key) => self.contents(&mut xml, key, *object),
                Item::Common(common) => {
                    xml.push_str("<CommonPrefixes>");
                    element(&mut xml, "Prefix", &self.encoded(common));
                    xml.push_str("</CommonPrefixes>");
                }
            }
        }
        xml.push_str("</ListBucketResult>");
        xml
    }

    fn contents(&self, xml: &mut String, key: &str, object: Option<&Object>) {
        xml.push_str("<Contents>");
        element(xml, "Key", &self.encoded(key));
        if let Some(object) = object {
            let modified_at = object.modified_at.strftime("%Y-%m-%dT%H:%M:%S.000Z");
            element(xml, "LastModified", &modified_at.to_string());
            element(xml, "ETag", &object.etag);
            element(xml, "Size", &object.body.len().to_string());
        }
        element(xml, "StorageClass", "STANDARD");
        xml.push_str("</Contents>");
    }

    fn encoded<'b>(&self, text: &'b str) -> Cow<'b, str> {
        if self.is_url {
            // As forms do it: S3 writes a space as a plus.
            Cow::Owned(utf8_percent_encode(text, URL).to_string().replace("%20", "+"))
        } else {
            Cow::Borrowed(text)
        }
    }
}

fn token_of_item(item: &Item<&str>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(match item {
        Item::Key(key) => format!("k{key}"),
        Item::Common(common) => format!("c{common}"),
    })
}

fn item_of_token(token: &str) -> Result<Item<String>, Error> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| INVALID_ARGUMENT)?;
    let text = String::from_utf8(bytes).map_err(|_| INVALID_ARGUMENT)?;
    match text.split_at_checked(1) {
        Some(("k", key)) => Ok(Item::Key(key.to_owned())),
        Some(("c", common)) => Ok(Item::Common(common.to_owned())),
        _ => Err(INVALID_ARGUMENT),
    }
}

fn element(xml: &mut String, name: &str, text: &str) {
    xml.push('<');
    xml.push_str(name);
    xml.push('>');
    for character in text.chars() {
        match character {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            control if control.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(xml, "&#x{:x};", u32::from(control));
            }
            other => xml.push(other),
        }
    }
    xml.push_str("</");
    xml.push_str(name);
    xml.push('>');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use jiff::Timestamp;

    use super::*;

    fn bucket(keys: &[&str]) -> Bucket {
        let object = || {
            Arc::new(Object {
                body: Bytes::new(),
                etag: String::new(),
                modified_at: Timestamp::UNIX_EPOCH,
                headers: Vec::new(),
                checksums: Vec::new(),
            })
        };
        keys.iter().map(|key| ((*key).to_owned(), object())).collect()
    }

    fn target(query: &[(&str, &str)]) -> Target {
        Target {
            bucket: "lake".to_owned(),
            key: String::new(),
            query: query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    /// All items, page by page; common prefixes in brackets.
    fn listed(bucket: &Bucket, query: &[(&str, &str)]) -> Vec<String> {
        let mut listed = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let mut query = query.to_vec();
            if let Some(token) = &token {
                query.push(("continuation-token", token.as_str()));
            }
            let target = target(&query);
            let page = Listing::of(&target).expect("a listing").page(bucket);
            for (item, _) in &page.items {
                listed.push(match item {
                    Item::Key(key) => (*key).to_owned(),
                    Item::Common(common) => format!("[{common}]"),
                });
            }
            let Some((last, _)) = page.items.last().filter(|_| page.is_truncated) else {
                return listed;
            };
            token = Some(token_of_item(last));
        }
    }

    #[test]
    fn pages_of_any_size_make_the_same_listing() {
        let bucket = bucket(&["a", "b/1", "b/2", "b/c/3", "b!", "c", "é"]);

        for size in ["1", "2", "3", "1000"] {
            let size = ("max-keys", size);

            assert_eq!(listed(&bucket, &[size]), ["a", "b!", "b/1", "b/2", "b/c/3", "c", "é"]);
            assert_eq!(listed(&bucket, &[size, ("prefix", "b/")]), ["b/1", "b/2", "b/c/3"]);
            assert_eq!(listed(&bucket, &[size, ("delimiter", "/")]), ["a", "b!", "[b/]", "c", "é"]);
            assert_eq!(
                listed(&bucket, &[size, ("delimiter", "/"), ("prefix", "b/")]),
                ["b/1", "b/2", "[b/c/]"]
            );
            assert_eq!(listed(&bucket, &[size, ("start-after", "b/1")]), ["b/2", "b/c/3", "c", "é"]);
        }
    }

    #[test]
    fn no_keys_wanted_is_an_empty_page_and_the_end() {
        assert!(listed(&bucket(&["a"]), &[("max-keys", "0")]).is_empty());
    }

    #[test]
    fn a_key_is_escaped_or_encoded() {
        let bucket = bucket(&["a &<b"]);

        for (query, expected) in
            [(vec![], "<Key>a &amp;&lt;b</Key>"), (vec![("encoding-type", "url")], "<Key>a+%26%3Cb</Key>")]
        {
            let target = target(&query);
            let xml = Listing::of(&target).expect("a listing").answer("lake", &bucket);

            assert!(xml.contains(expected), "{xml}");
        }
    }
}
