//! S3 by path: `/bucket/key`. Puts are atomic, conditional ones too.

mod error;
mod list;
mod upload;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::Method;
use hyper::header::{CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED};
use hyper::http::request::Parts;
use jiff::Timestamp;
use md5::{Digest, Md5};
use percent_encoding::percent_decode_str;

pub(super) use self::error::{CONFLICT, Error, SLOW_DOWN};
use self::list::Listing;
use super::faults::Op;
use super::reply::{Reply, empty, with_body};

const XML: &str = "application/xml";

/// Says that an object goes back with its checksum.
const CHECKSUM_MODE: &str = "x-amz-checksum-mode";

/// Requests with one of these ask for what the stand-in does not do.
const NOT_DONE_HEADERS: [&str; 4] = ["if-match", "range", "x-amz-copy-source", "x-amz-write-offset-bytes"];

/// Buckets by name.
#[derive(Debug, Default)]
pub(super) struct S3 {
    buckets: Mutex<BTreeMap<String, Bucket>>,
}

/// Objects in the byte order of their keys.
type Bucket = BTreeMap<String, Arc<Object>>;

#[derive(Debug)]
struct Object {
    body: Bytes,
    etag: String,
    /// Whole seconds, as on AWS.
    modified_at: Timestamp,
    /// What goes back as it came: type, encoding, own metadata.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Goes back if asked for.
    checksums: Vec<(HeaderName, HeaderValue)>,
}

/// What a request is about.
#[derive(Debug)]
pub(super) struct Target {
    bucket: String,
    /// Empty for the bucket itself.
    key: String,
    query: Vec<(String, String)>,
}

impl Target {
    /// Reads a request's line and headers; an error for what the stand-in does not do.
    pub(super) fn of(head: &Parts) -> Result<(Op, Target), Error> {
        if NOT_DONE_HEADERS.iter().any(|name| head.headers.contains_key(*name)) {
            return Err(error::NOT_IMPLEMENTED);
        }
        let path = head.uri.path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let target = Target {
            bucket: decode(bucket)?,
            key: decode(key)?,
            query: query(head.uri.query().unwrap_or_default())?,
        };
        let op = target.op(&head.method).ok_or(error::NOT_IMPLEMENTED)?;
        Ok((op, target))
    }

    fn op(&self, method: &Method) -> Option<Op> {
        // `x-id` only names the operation; any other parameter makes it another one.
        let is_plain = self.query.iter().all(|(name, _)| name == "x-id");
        let is_list = self.parameter("list-type") == Some("2");
        Some(match (method, self.bucket.is_empty(), self.key.is_empty()) {
            (_, true, _) => return None,
            (&Method::GET, _, true) if is_list => Op::ListObjectsV2,
            _ if !is_plain => return None,
            (&Method::PUT, _, true) => Op::CreateBucket,
            (&Method::HEAD, _, true) => Op::HeadBucket,
            (&Method::PUT, _, false) => Op::PutObject,
            (&Method::GET, _, false) => Op::GetObject,
            (&Method::HEAD, _, false) => Op::HeadObject,
            (&Method::DELETE, _, false) => Op::DeleteObject,
            _ => return None,
        })
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let mut named = self.query.iter().filter(|(known, _)| known == name);
        named.next().map(|(_, value)| value.as_str())
    }
}

fn decode(text: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(String::from).map_err(|_| error::INVALID_URI)
}

fn query(text: &str) -> Result<Vec<(String, String)>, Error> {
    text.split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| {
            // In a query, unlike in a path, a plus is a space.
            let parameter = parameter.replace('+', " ");
            let (name, value) = parameter.split_once('=').unwrap_or((parameter.as_str(), ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// Does what was asked and answers.
pub(super) fn answer(s3: &S3, op: Op, head: &Parts, target: Target, body: Bytes) -> Reply {
    let outcome = match op {
        Op::CreateBucket => s3.create_bucket(target),
        Op::HeadBucket => s3.in_bucket(&target, |_| Ok(empty(200))),
        Op::ListObjectsV2 => s3.list(&target),
        Op::PutObject => s3.put(target, &head.headers, body),
        Op::GetObject | Op::HeadObject => s3.get(&target, &head.headers),
        Op::DeleteObject => s3.in_bucket(&target, |bucket| {
            bucket.remove(&target.key);
            Ok(empty(204))
        }),
        _ => Err(error::NOT_IMPLEMENTED),
    };
    outcome.unwrap_or_else(Error::reply)
}

impl S3 {
    /// Makes a bucket unless it is there.
    pub(super) fn create(&self, bucket: &str) {
        self.lock().entry(bucket.to_owned()).or_default();
    }

    fn create_bucket(&self, target: Target) -> Result<Reply, Error> {
        let mut buckets = self.lock();
        if buckets.contains_key(&target.bucket) {
            return Err(error::BUCKET_IS_YOURS);
        }
        let mut reply = empty(200);
        if let Ok(location) = HeaderValue::from_str(&format!("/{}", target.bucket)) {
            reply.headers_mut().insert("location", location);
        }
        buckets.insert(target.bucket, Bucket::new());
        Ok(reply)
    }

    fn put(&self, target: Target, headers: &HeaderMap, body: Bytes) -> Result<Reply, Error> {
        let is_new_only = match headers.get("if-none-match").map(HeaderValue::as_bytes) {
            None => false,
            Some(b"*") => true,
            Some(_) => return Err(error::NOT_IMPLEMENTED),
        };
        let upload = upload::read(headers, body)?;
        let object = Object {
            etag: format!("\"{}\"", hex::encode(Md5::digest(&upload.body))),
            modified_at: whole_seconds(Timestamp::now()),
            headers: kept(headers),
            body: upload.body,
            checksums: upload.checksums,
        };
        let mut reply = empty(200);
        insert(reply.headers_mut(), ETAG, &object.etag);
        reply.headers_mut().extend(object.checksums.clone());
        // Looking and writing under one lock: of many conditional puts of a key exactly one finds it free.
        self.in_bucket(&target, |bucket| {
            if is_new_only && bucket.contains_key(&target.key) {
                return Err(error::PRECONDITION_FAILED);
            }
            bucket.insert(target.key.clone(), Arc::new(object));
            Ok(reply)
        })
    }

    fn get(&self, target: &Target, headers: &HeaderMap) -> Result<Reply, Error> {
        let object =
            self.in_bucket(target, |bucket| bucket.get(&target.key).cloned().ok_or(error::NO_SUCH_KEY))?;
        let mut reply = with_body(200, "binary/octet-stream", object.body.clone());
        let answered = reply.headers_mut();
        insert(answered, ETAG, &object.etag);
        insert(answered, LAST_MODIFIED, &http_date(object.modified_at));
        // For HeadObject too, whose answer has no body to count.
        answered.insert(CONTENT_LENGTH, HeaderValue::from(object.body.len()));
        for (name, value) in &object.headers {
            answered.insert(name, value.clone());
        }
        if headers.contains_key(CHECKSUM_MODE) {
            answered.extend(object.checksums.clone());
        }
        Ok(reply)
    }

    fn list(&self, target: &Target) -> Result<Reply, Error> {
        let listing = Listing::of(target)?;
        let answer = self.in_bucket(target, |bucket| Ok(listing.answer(&target.bucket, bucket)))?;
        Ok(with_body(200, XML, answer))
    }

    fn in_bucket<T>(
        &self,
        target: &Target,
        act: impl FnOnce(&mut Bucket) -> Result<T, Error>,
    ) -> Result<T, Error> {
        act(self.lock().get_mut(&target.bucket).ok_or(error::NO_SUCH_BUCKET)?)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Headers of an upload that belong to the object.
fn kept(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    headers
        .iter()
        .filter(|(name, value)| match name.as_str() {
            "content-type" | "cache-control" | "content-disposition" | "content-language" => true,
            // The framing of the upload is gone when the object is stored.
            "content-encoding" => value.as_bytes() != b"aws-chunked",
            name => name.starts_with("x-amz-meta-"),
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).expect("earlier than now")
}

fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
