//! One request, step by step.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::aftership::signature::{Claim, SecretId, SignatureError, Verifier};
use crate::event::{EventKey, Source, line};
use crate::failpoint::failpoint;
use crate::lake::receipt::ReceiptBook;
use crate::ops::clock;
use crate::ops::metrics::{self, Outcome};
use crate::ops::traces::{self, Span};
use crate::queue::{Enqueued, SendError};

use super::answer::{self, Refusal};
use super::body::{self, BodyError};
use super::finishing::Finishing;
use super::limits::Place;
use super::wrap::wrap;
use super::{QUEUE, Shared};

/// Larger bodies are hashed and compressed on a thread of their own, so that they hold nobody else up.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// `POST /webhooks/aftership`
pub(super) async fn webhook(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let began = Instant::now();
    let has_body = !request.body().is_end_stream();
    shared.note(|book| book.received(Timestamp::now()));
    match take(&shared, request).await {
        Ok(taken) => {
            let outcome = if taken.is_canary { Outcome::Canary } else { Outcome::Accepted };
            metrics::receive_answered(outcome, began.elapsed());
            answer::accepted(taken.proof)
        }
        Err(refusal) => {
            shared.note(|book| book.rejected(Timestamp::now(), refusal.outcome().as_str()));
            refuse(refusal, began, has_body)
        }
    }
}

/// Any other path.
pub(super) async fn not_found(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    elsewhere(&shared, &request, Refusal::NotFound)
}

/// Any other method.
pub(super) async fn method_not_allowed(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    elsewhere(&shared, &request, Refusal::MethodNotAllowed)
}

fn elsewhere(shared: &Shared, request: &Request, refusal: Refusal) -> Response {
    let refusal = if has_long_uri(shared, request) { Refusal::UriTooLong } else { refusal };
    refuse(refusal, Instant::now(), !request.body().is_end_stream())
}

fn refuse(refusal: Refusal, began: Instant, has_body: bool) -> Response {
    metrics::receive_answered(refusal.outcome(), began.elapsed());
    let mut response = refusal.response();
    if has_body && refusal.leaves_body_unread() {
        answer::close(response.headers_mut());
    }
    response
}

/// A body that is durable.
struct Taken {
    proof: Enqueued,
    is_canary: bool,
}

/// Everything between a request and its proof, cheap steps first.
async fn take(shared: &Arc<Shared>, request: Request) -> Result<Taken, Refusal> {
    let settings = &shared.settings;
    if has_long_uri(shared, &request) {
        return Err(Refusal::UriTooLong);
    }
    if is_encoded(request.headers()) {
        return Err(Refusal::ContentEncoding);
    }
    let verifier = shared.verifier.now();
    let claim = verifier.claim(request.headers()).map_err(Refusal::Unsigned)?;
    let body = request.into_body();
    let declared = declared(&body);
    if declared.is_some_and(|bytes| bytes > settings.body_bytes_max) {
        return Err(Refusal::BodyTooLarge);
    }
    let mut room = shared.places.room_for(declared).ok_or(Refusal::Full)?;
    // Until here nothing of the body was asked for, so a client that waits for `100 Continue` has sent none of it.
    let grow = |bytes| shared.places.grow(&mut room, bytes);
    let body =
        body::read(body, settings.body_bytes_max, settings.body_deadline, grow).await.map_err(|error| {
            match error {
                BodyError::TooLarge => Refusal::BodyTooLarge,
                BodyError::TooSlow => Refusal::BodyTimeout,
                BodyError::Broken => Refusal::BodyUnreadable,
                BodyError::NoRoom => Refusal::Full,
            }
        })?;
    let place = shared.places.take(room).ok_or(Refusal::Full)?;
    let arrived_at = Timestamp::now();
    failpoint!("receive.before_verify");
    let packed = verify(verifier, claim, body, arrived_at).await?;
    metrics::signature_verified(packed.secret.as_str());
    if !packed.is_canary {
        shared.health.last_signed_request(arrived_at);
    }
    shared.note(|book| book.verified(arrived_at));
    let is_canary = packed.is_canary;
    enqueue(shared, packed, arrived_at, place).await.map(|proof| Taken { proof, is_canary })
}

fn has_long_uri(shared: &Shared, request: &Request) -> bool {
    let uri = request.uri().path_and_query();
    uri.is_some_and(|uri| uri.as_str().len() > shared.settings.uri_bytes_max)
}

/// Is the body anything but itself?
fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .into_iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

/// Bytes of the body, if the head says it.
fn declared(body: &Body) -> Option<usize> {
    let bytes = body.size_hint().exact()?;
    Some(usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// A signed body, ready to be sent.
struct Packed {
    secret: SecretId,
    message: String,
    key: EventKey,
    is_canary: bool,
}

async fn verify(
    verifier: Arc<Verifier>,
    claim: Claim,
    body: Bytes,
    arrived_at: Timestamp,
) -> Result<Packed, Refusal> {
    let outcome = if body.len() <= INLINE_BYTES_MAX {
        pack(&verifier, &claim, body, arrived_at)
    } else {
        let packing = tokio::task::spawn_blocking(move || pack(&verifier, &claim, body, arrived_at));
        packing.await.map_err(|_| Refusal::Internal)?
    };
    outcome.map_err(Refusal::Forged)
}

/// Checks the signature, and only then makes a message of the body.
fn pack(
    verifier: &Verifier,
    claim: &Claim,
    body: Bytes,
    arrived_at: Timestamp,
) -> Result<Packed, SignatureError> {
    let secret = verifier.verify(claim, &body)?;
    let wrapped = wrap(body, arrived_at);
    if let Some(ts) = wrapped.ts {
        clock::sender_says(ts, arrived_at);
    }
    let message = line::to_message(&wrapped.line);
    Ok(Packed { secret, message, key: wrapped.event_key, is_canary: wrapped.is_canary })
}

async fn enqueue(
    shared: &Arc<Shared>,
    packed: Packed,
    arrived_at: Timestamp,
    place: Place,
) -> Result<Enqueued, Refusal> {
    failpoint!("receive.before_enqueue");
    let sender = Arc::clone(shared);
    let Packed { message, key, .. } = packed;
    let sent = key.clone();
    let sending = Finishing::new(&shared.sending, async move {
        let fate = sender.queue.send(vec![message]).await.pop();
        match &fate {
            Some(Ok(_)) => {
                sender.received.accepted.fetch_add(1, Ordering::Relaxed);
                sender.queue_took_one();
                sender.note(|book| book.acknowledged(arrived_at, &sent));
                trace(&sent, arrived_at);
            }
            // The answer may have been lost on its way, and the event be in the queue.
            Some(Err(SendError::Unavailable(_))) => sender.note(|book| book.uncertain(arrived_at, &sent)),
            Some(Err(SendError::TooLarge { .. })) | None => {}
        }
        // The message took its room until now, whether or not its request still waits.
        drop(place);
        fate
    });
    let failure = match tokio::time::timeout(shared.settings.enqueue_deadline, sending).await {
        Ok(Some(Ok(proof))) => {
            failpoint!("receive.before_answer");
            return Ok(proof);
        }
        Ok(Some(Err(SendError::TooLarge { .. }))) => return Err(Refusal::MessageTooLarge),
        Ok(Some(Err(SendError::Unavailable(reason)))) => reason,
        Ok(None) => "the send ended without an answer".to_owned(),
        Err(_) => {
            // The send goes on, and may outlive us: by then nobody could note its fate.
            shared.note(|book| book.uncertain(arrived_at, &key));
            "no answer in time".to_owned()
        }
    };
    if shared.queue_failed_long_enough(Instant::now()) {
        shared.health.set_ready(QUEUE, Err(failure));
    } else {
        shared.health.set_degraded(QUEUE, &failure);
    }
    Err(Refusal::QueueUnavailable)
}

/// The span that all others of this event belong to.
fn trace(key: &EventKey, arrived_at: Timestamp) {
    if traces::is_on() {
        traces::record(Span {
            key: key.as_str().to_owned(),
            name: "receive",
            is_root: true,
            from: arrived_at,
            until: Timestamp::now(),
            attributes: vec![("source", Source::Webhook.as_str().to_owned())],
        });
    }
}

impl Shared {
    /// Notes something in the book of receipts, if one is kept.
    fn note(&self, note: impl FnOnce(&ReceiptBook)) {
        if let Some(book) = &self.receipts {
            note(book);
        }
    }

    fn failing(&self) -> MutexGuard<'_, Option<Instant>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue_took_one(&self) {
        if self.failing().take().is_some() {
            self.health.set_ready(QUEUE, Ok(()));
        }
    }

    /// Notes a failure; says whether there was no success for so long that we should get no more work.
    fn queue_failed_long_enough(&self, now: Instant) -> bool {
        let since = *self.failing().get_or_insert(now);
        now.saturating_duration_since(since) >= self.settings.unready_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_identity_is_no_encoding() {
        let encoded = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_ENCODING, value.parse().expect("a value"));
            }
            is_encoded(&headers)
        };

        for values in [&[][..], &["identity"], &["Identity, identity"], &[""], &["identity", " identity "]] {
            assert!(!encoded(values), "{values:?}");
        }
        for values in [&["gzip"][..], &["identity, gzip"], &["identity", "br"], &["deflate"], &["x"]] {
            assert!(encoded(values), "{values:?}");
        }
    }

    #[test]
    fn a_body_declares_its_length_or_none() {
        assert_eq!(declared(&Body::empty()), Some(0));
        assert_eq!(declared(&Body::from("four")), Some(4));
        let streamed = futures_util::stream::iter([Ok::<_, std::convert::Infallible>("four")]);
        assert_eq!(declared(&Body::from_stream(streamed)), None);
    }
}
