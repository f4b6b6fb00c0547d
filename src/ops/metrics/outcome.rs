//! How a request on the public listener ends.

use std::sync::OnceLock;
use std::time::Duration;

use ::metrics::{Counter, Histogram, counter, histogram};

use super::exporter::cached;
use super::{REQUEST_TIME, REQUESTS};

macro_rules! outcomes {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal in $class:ident,)+) => {
        /// How a request on the public listener ended.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Outcome {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Outcome {
            /// All of them, in the order of the enum.
            pub const ALL: &'static [Outcome] = &[$(Outcome::$name,)+];

            /// The word in labels; of a refusal it is the answer's error code, too.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Outcome::$name => $word,)+
                }
            }

            /// Which kind of answer it is.
            pub(super) fn class(self) -> AnswerClass {
                match self {
                    $(Outcome::$name => AnswerClass::$class,)+
                }
            }
        }
    };
}

outcomes! {
    /// 200: the event is durable.
    Accepted = "accepted" in Accepted,
    /// 200, for a canary of our own: it is no traffic.
    Canary = "canary" in Accepted,
    /// 401: no signature of a configured product.
    SignatureMissing = "signature_missing" in Refused,
    /// 401: not base64 of 32 bytes.
    SignatureMalformed = "signature_malformed" in Refused,
    /// 401: more than one signature.
    SignatureRepeated = "signature_repeated" in Refused,
    /// 401: no secret of ours made it.
    SignatureMismatch = "signature_mismatch" in Refused,
    /// 404: no such path.
    NotFound = "not_found" in Refused,
    /// 405: the path takes POST only.
    MethodNotAllowed = "method_not_allowed" in Refused,
    /// 413: over the limit of a body.
    BodyTooLarge = "body_too_large" in Refused,
    /// 413: over the limit of the queue, even compressed.
    MessageTooLarge = "message_too_large" in Refused,
    /// 415: a compressed body.
    UnsupportedContentEncoding = "unsupported_content_encoding" in Refused,
    /// 414: a path and query over our limit.
    UriTooLong = "uri_too_long" in Refused,
    /// 408: the body did not come in time.
    BodyTimeout = "body_timeout" in Refused,
    /// 400: the body broke off, or its chunks are malformed.
    BodyUnreadable = "body_unreadable" in Refused,
    /// 408: the head did not come in time.
    HeadTimeout = "head_timeout" in Refused,
    /// 431, and 414 of hyper.
    HeadTooLarge = "head_too_large" in Refused,
    /// 400: no HTTP/1 request.
    HeadUnreadable = "head_unreadable" in Refused,
    /// 503: no place for another request.
    Full = "full" in Unavailable,
    /// 503: about to end.
    Draining = "draining" in Unavailable,
    /// 503: the queue could not take it.
    QueueUnavailable = "queue_unavailable" in Unavailable,
    /// 500: a fault of ours.
    Internal = "internal" in Unavailable,
}

/// The kind of an answer. Times are kept by this, so that quick refusals do not make accepted requests look quick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerClass {
    /// 2xx
    Accepted,
    /// 4xx
    Refused,
    /// 5xx
    Unavailable,
}

impl AnswerClass {
    /// All of them, in the order of the enum.
    pub(super) const ALL: [AnswerClass; 3] =
        [AnswerClass::Accepted, AnswerClass::Refused, AnswerClass::Unavailable];

    /// The word in labels.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            AnswerClass::Accepted => "accepted",
            AnswerClass::Refused => "refused",
            AnswerClass::Unavailable => "unavailable",
        }
    }
}

/// The counters of all outcomes, looked up once.
pub(super) struct Answered {
    outcomes: Vec<Counter>,
    times: Vec<Histogram>,
}

impl Answered {
    /// Counts one answer.
    pub(super) fn count(&self, outcome: Outcome, took: Duration) {
        self.outcomes[outcome as usize].increment(1);
        self.times[outcome.class() as usize].record(took.as_secs_f64());
    }
}

/// The counters; nothing before metrics are installed.
pub(super) fn answered() -> Option<&'static Answered> {
    static ANSWERED: OnceLock<Answered> = OnceLock::new();
    cached(&ANSWERED, || Answered {
        outcomes: Outcome::ALL
            .iter()
            .map(|outcome| counter!(REQUESTS.name, "outcome" => outcome.as_str()))
            .collect(),
        times: AnswerClass::ALL
            .iter()
            .map(|class| histogram!(REQUEST_TIME.name, "result" => class.as_str()))
            .collect(),
    })
}
