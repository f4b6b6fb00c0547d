//! Answers, as hyper takes them.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

/// An answer that is whole in memory.
pub(super) type Reply = Response<Full<Bytes>>;

/// An answer without a body.
pub(super) fn empty(status: u16) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::new()));
    *reply.status_mut() = status_code(status);
    reply
}

/// An answer with a body.
pub(super) fn with_body(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status_code(status);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("faults are armed with real statuses")
}
