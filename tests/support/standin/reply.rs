//! Answers, as hyper takes them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Collected, Full};
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

/// An answer that is whole in memory.
pub(super) type Reply = Response<ReplyBody>;

/// What is sent of it.
#[derive(Debug)]
pub(super) enum ReplyBody {
    /// Everything.
    Whole(Full<Bytes>),
    /// It is announced whole, and only the first part comes before the connection ends.
    Cut { announced: u64, first: Option<Bytes> },
}

/// The rest does not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CutShort;

impl std::fmt::Display for CutShort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut short on purpose")
    }
}

impl std::error::Error for CutShort {}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        match self.get_mut() {
            ReplyBody::Whole(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|never: Infallible| match never {}))),
            ReplyBody::Cut { first, .. } => Poll::Ready(Some(first.take().map(Frame::data).ok_or(CutShort))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ReplyBody::Whole(body) => body.is_end_stream(),
            ReplyBody::Cut { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ReplyBody::Whole(body) => body.size_hint(),
            ReplyBody::Cut { announced, .. } => SizeHint::with_exact(*announced),
        }
    }
}

/// An answer without a body.
pub(super) fn empty(status: u16) -> Reply {
    let mut reply = Response::new(ReplyBody::Whole(Full::new(Bytes::new())));
    *reply.status_mut() = status_code(status);
    reply
}

/// An answer with a body.
pub(super) fn with_body(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(ReplyBody::Whole(Full::new(body.into())));
    *reply.status_mut() = status_code(status);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("faults are armed with real statuses")
}

/// The same answer, of which only the first half comes.
pub(super) async fn cut_short(reply: Reply) -> Reply {
    let (head, body) = reply.into_parts();
    let whole = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    let announced = whole.len() as u64;
    Response::from_parts(head, ReplyBody::Cut { announced, first: Some(whole.slice(..whole.len() / 2)) })
}
