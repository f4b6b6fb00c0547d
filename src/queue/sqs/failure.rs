//! What went wrong with a call to SQS, and what is to be done about it.

use std::error::Error;

use aws_sdk_sqs::error::{BuildError, ProvideErrorMetadata, SdkError};

use crate::queue::QueueError;

/// Faults that no repetition mends: somebody must change an address, a key or a permission.
const REFUSED: [&str; 17] = [
    "AccessDenied",
    "AccessDeniedException",
    "InvalidAccessKeyId",
    "InvalidAddress",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "InvalidSignatureException",
    "KmsAccessDenied",
    "KmsDisabled",
    "KmsNotFound",
    "MissingAuthenticationToken",
    "NonExistentQueue",
    "OptInRequired",
    "QueueDoesNotExist",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
    "UnsupportedOperation",
];

/// Why a call as a whole failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// It will not heal by itself.
    pub(super) is_refused: bool,
    /// The same entries in two calls may pass: this service takes less in one.
    pub(super) is_too_long: bool,
    /// It came too early.
    pub(super) is_throttled: bool,
    /// One line, without anything that was sent.
    pub(super) reason: String,
}

impl Failure {
    pub(super) fn of<E>(call: &str, error: &SdkError<E>) -> Failure
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let (is_refused, reason) = match error {
            SdkError::ServiceError(_) => match error.code() {
                Some(code) => (REFUSED.contains(&short(code)), short(code).to_owned()),
                None => {
                    (false, format!("status {}", error.raw_response().map_or(0, |raw| raw.status().as_u16())))
                }
            },
            SdkError::TimeoutError(_) => (false, "no answer in time".to_owned()),
            SdkError::ConstructionFailure(_) => (true, root_cause(error)),
            _ => (false, root_cause(error)),
        };
        let is_too_long = error.code().is_some_and(|code| short(code) == "BatchRequestTooLong");
        let is_throttled = error.code().is_some_and(|code| is_throttle(short(code)));
        Failure { is_refused, is_too_long, is_throttled, reason: format!("{call} failed: {reason}") }
    }

    /// A request that could not even be put together.
    pub(super) fn of_entry(call: &str, error: &BuildError) -> Failure {
        Failure {
            is_refused: true,
            is_too_long: false,
            is_throttled: false,
            reason: format!("{call} failed: {error}"),
        }
    }

    pub(super) fn no_answer(call: &str) -> Failure {
        Failure {
            is_refused: false,
            is_too_long: false,
            is_throttled: false,
            reason: format!("{call} failed: no answer in time"),
        }
    }
}

impl From<Failure> for QueueError {
    fn from(failure: Failure) -> Self {
        if failure.is_refused {
            QueueError::Refused(failure.reason)
        } else {
            QueueError::Unavailable(failure.reason)
        }
    }
}

/// A code without its name space: `AWS.SimpleQueueService.NonExistentQueue`, `com.amazonaws.sqs#QueueDoesNotExist`.
pub(super) fn short(code: &str) -> &str {
    code.rsplit(['.', '#']).next().unwrap_or(code)
}

/// Whether a code (without its name space) says that there were too many calls.
pub(super) fn is_throttle(code: &str) -> bool {
    matches!(
        code,
        "RequestThrottled"
            | "Throttling"
            | "ThrottlingException"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "KmsThrottled"
            | "OverLimit"
    )
}

/// Whether an entry's code says that its lease is over.
pub(super) fn is_lease_over(code: &str) -> bool {
    // InvalidParameterValue: SQS says so of a handle whose message is gone or visible again.
    matches!(
        short(code),
        "ReceiptHandleIsInvalid" | "MessageNotInflight" | "InvalidParameterValue" | "InvalidIdFormat"
    )
}

fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_known_with_and_without_their_name_space() {
        for code in
            ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "com.amazonaws.sqs#AccessDenied"]
        {
            assert!(REFUSED.contains(&short(code)), "{code}");
        }
        assert!(!REFUSED.contains(&short("RequestThrottled")));
        assert!(is_lease_over("AWS.SimpleQueueService.MessageNotInflight"));
        assert!(!is_lease_over("InternalError"));
    }
}
