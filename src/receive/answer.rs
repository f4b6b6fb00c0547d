//! Every answer of the public listener.
//!
//! 200 is made by [`accepted`] alone, which takes the proof that the event is durable. All others are a [`Refusal`].
//! None echoes anything of the request. Our own faults are 5xx, never 4xx: those say that the request is wrong.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;

use crate::aftership::signature::SignatureError;
use crate::ops::metrics::Outcome;
use crate::queue::Enqueued;

const ACCEPTED: &[u8] = br#"{"status":"accepted"}"#;

/// 200: the event is durable. The proof is used up, so one event gets one such answer.
pub(super) fn accepted(_proof: Enqueued) -> Response {
    response(StatusCode::OK, Bytes::from_static(ACCEPTED))
}

/// Why a request is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Another path.
    NotFound,
    /// Another method.
    MethodNotAllowed,
    /// Path and query are too long.
    UriTooLong,
    /// A compressed body: the signature would not be over what we read.
    ContentEncoding,
    /// The headers carry no signature that could count; the body was not read.
    Unsigned(SignatureError),
    /// The signature does not hold for the body.
    Forged(SignatureError),
    /// The body is over the limit.
    BodyTooLarge,
    /// The body did not come in time.
    BodyTimeout,
    /// The body broke off.
    BodyUnreadable,
    /// The head did not come in time.
    HeadTimeout,
    /// Over what the queue takes, even compressed.
    MessageTooLarge,
    /// No place.
    Full,
    /// About to end.
    Draining,
    /// The queue cannot take it now.
    QueueUnavailable,
    /// A fault of ours.
    Internal,
}

#[derive(Serialize)]
struct ErrorBody {
    error: Error,
}

#[derive(Serialize)]
struct Error {
    code: &'static str,
    message: &'static str,
    hint: &'static str,
}

impl Refusal {
    /// What is counted, and the answer's code.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Refusal::NotFound => Outcome::NotFound,
            Refusal::MethodNotAllowed => Outcome::MethodNotAllowed,
            Refusal::UriTooLong => Outcome::UriTooLong,
            Refusal::ContentEncoding => Outcome::UnsupportedContentEncoding,
            Refusal::Unsigned(error) | Refusal::Forged(error) => match error {
                SignatureError::Missing | SignatureError::WrongProduct { .. } => Outcome::SignatureMissing,
                SignatureError::Malformed => Outcome::SignatureMalformed,
                SignatureError::Repeated => Outcome::SignatureRepeated,
                SignatureError::Mismatch => Outcome::SignatureMismatch,
            },
            Refusal::BodyTooLarge => Outcome::BodyTooLarge,
            Refusal::BodyTimeout => Outcome::BodyTimeout,
            Refusal::BodyUnreadable => Outcome::BodyUnreadable,
            Refusal::HeadTimeout => Outcome::HeadTimeout,
            Refusal::MessageTooLarge => Outcome::MessageTooLarge,
            Refusal::Full => Outcome::Full,
            Refusal::Draining => Outcome::Draining,
            Refusal::QueueUnavailable => Outcome::QueueUnavailable,
            Refusal::Internal => Outcome::Internal,
        }
    }

    /// The answer's status.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Refusal::NotFound => StatusCode::NOT_FOUND,
            Refusal::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::UriTooLong => StatusCode::URI_TOO_LONG,
            Refusal::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::Unsigned(_) | Refusal::Forged(_) => StatusCode::UNAUTHORIZED,
            Refusal::BodyTooLarge | Refusal::MessageTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::BodyTimeout | Refusal::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
            Refusal::BodyUnreadable => StatusCode::BAD_REQUEST,
            Refusal::Full | Refusal::Draining | Refusal::QueueUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What happened, and how to mend it.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Refusal::NotFound => ("no such path", "webhooks go to /webhooks/aftership"),
            Refusal::MethodNotAllowed => ("this path takes POST only", "set the webhook's method to POST"),
            Refusal::UriTooLong => ("path and query are too long", "webhooks go to /webhooks/aftership"),
            Refusal::ContentEncoding => (
                "compressed bodies are not taken",
                "the signature covers the body as sent; check for a proxy that compresses",
            ),
            Refusal::Unsigned(error) | Refusal::Forged(error) => (signature_message(error), error.hint()),
            Refusal::BodyTooLarge => ("the body is too large", "bodies may have 1,048,576 bytes"),
            Refusal::MessageTooLarge => (
                "the body is too large for the queue, even compressed",
                "raise the queue's MaximumMessageSize to 1,048,576 bytes",
            ),
            Refusal::BodyTimeout => ("the body did not come in time", "check the network, and send again"),
            Refusal::BodyUnreadable => ("the body broke off", "check the network, and send again"),
            Refusal::HeadTimeout => ("the request's head did not come in time", "send again"),
            Refusal::Full => ("too many requests at work", "send again after the seconds in Retry-After"),
            Refusal::Draining => ("this server is about to end", "send again: another one takes over"),
            Refusal::QueueUnavailable => (
                "the event cannot be stored now",
                "nothing to change at the sender: send again after the seconds in Retry-After",
            ),
            Refusal::Internal => ("a fault of ours", "nothing to change at the sender: send again"),
        }
    }

    /// Seconds after which to try again.
    fn retry_after(self) -> Option<&'static str> {
        match self {
            Refusal::Full | Refusal::Draining => Some("1"),
            Refusal::QueueUnavailable => Some("5"),
            _ => None,
        }
    }

    /// Was the body left on the wire, if there was one?
    pub(super) fn leaves_body_unread(self) -> bool {
        !matches!(
            self,
            Refusal::Forged(_) | Refusal::MessageTooLarge | Refusal::QueueUnavailable | Refusal::Internal
        )
    }

    fn body(self) -> Vec<u8> {
        let (message, hint) = self.words();
        let code = self.outcome().as_str();
        let error = Error { code, message, hint };
        serde_json::to_vec(&ErrorBody { error }).unwrap_or_default()
    }

    /// The answer.
    pub(super) fn response(self) -> Response {
        let mut response = response(self.status(), Bytes::from(self.body()));
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        if self == Refusal::MethodNotAllowed {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }

    /// The answer as bytes, for a connection that hyper does not serve, or serves no longer.
    pub(super) fn raw(self) -> Vec<u8> {
        let body = self.body();
        let retry =
            self.retry_after().map_or_else(String::new, |seconds| format!("retry-after: {seconds}\r\n"));
        let mut raw = format!(
            "HTTP/1.1 {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{retry}connection: close\r\n\r\n",
            self.status(),
            body.len(),
        )
        .into_bytes();
        raw.extend_from_slice(&body);
        raw
    }
}

/// Says to the client that this connection ends with this answer.
pub(super) fn close(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
}

fn response(status: StatusCode, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn signature_message(error: SignatureError) -> &'static str {
    match error {
        SignatureError::Missing => "the request carries no signature",
        SignatureError::WrongProduct { .. } => "the request carries no signature of a configured product",
        SignatureError::Malformed => "the signature is not the base64 form of an HMAC-SHA256",
        SignatureError::Repeated => "the request carries more than one signature",
        SignatureError::Mismatch => "the signature does not match the body",
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::receive::PATH;

    const ALL: [Refusal; 19] = [
        Refusal::NotFound,
        Refusal::MethodNotAllowed,
        Refusal::UriTooLong,
        Refusal::ContentEncoding,
        Refusal::Unsigned(SignatureError::Missing),
        Refusal::Unsigned(SignatureError::Malformed),
        Refusal::Unsigned(SignatureError::Repeated),
        Refusal::Forged(SignatureError::Mismatch),
        Refusal::Forged(SignatureError::WrongProduct { header: "as-signature-hmac-sha256" }),
        Refusal::BodyTooLarge,
        Refusal::BodyTimeout,
        Refusal::BodyUnreadable,
        Refusal::HeadTimeout,
        Refusal::MessageTooLarge,
        Refusal::Full,
        Refusal::Draining,
        Refusal::QueueUnavailable,
        Refusal::Internal,
        Refusal::Forged(SignatureError::Missing),
    ];

    #[tokio::test]
    async fn every_refusal_is_json_with_code_message_and_hint() {
        for refusal in ALL {
            let response = refusal.response();
            let status = response.status();
            let body = response.into_body().collect().await.expect("a body").to_bytes();
            let json: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            let error = &json["error"];

            assert!(status.is_client_error() || status.is_server_error(), "{refusal:?}");
            assert_eq!(error["code"], refusal.outcome().as_str());
            assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{refusal:?}");
            assert!(error["hint"].as_str().is_some_and(|text| !text.is_empty()), "{refusal:?}");
            assert_eq!(error.as_object().map(serde_json::Map::len), Some(3));
            assert!(body.len() < 600, "{refusal:?}");
        }
    }

    #[test]
    fn what_can_be_tried_again_says_when() {
        for refusal in ALL {
            let response = refusal.response();
            let is_unavailable = response.status() == StatusCode::SERVICE_UNAVAILABLE;

            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), is_unavailable, "{refusal:?}");
        }
    }

    #[test]
    fn signature_codes_are_the_verifiers() {
        for refusal in ALL {
            if let Refusal::Unsigned(error) | Refusal::Forged(error) = refusal {
                assert_eq!(refusal.outcome().as_str(), error.code());
            }
        }
    }

    #[test]
    fn a_wrong_method_is_told_the_right_one() {
        assert_eq!(Refusal::MethodNotAllowed.response().headers()[header::ALLOW], "POST");
    }

    #[test]
    fn hints_name_the_path() {
        assert!(Refusal::NotFound.words().1.ends_with(PATH));
        assert!(Refusal::UriTooLong.words().1.ends_with(PATH));
    }

    #[test]
    fn a_raw_answer_is_a_whole_answer() {
        let raw = String::from_utf8(Refusal::Full.raw()).expect("text");
        let (head, body) = raw.split_once("\r\n\r\n").expect("head and body");

        assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        assert!(head.contains("retry-after: 1\r\n") && head.ends_with("connection: close"), "{head}");
    }
}
