//! SQS's errors: of a whole call, or of one entry of it.

/// What SQS says no with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    AccessDenied,
    BatchEntryIdsNotDistinct,
    BatchRequestTooLong,
    EmptyBatchRequest,
    /// Of one entry: a passing fault of SQS itself.
    Internal,
    /// Of a whole call.
    InternalFailure,
    InvalidAttributeName,
    InvalidAttributeValue,
    InvalidBatchEntryId,
    InvalidMessageContents,
    InvalidParameter,
    /// The message of a valid handle is deleted.
    MessageGone,
    MessageNotInflight,
    MessageTooLong,
    MissingParameter,
    OverLimit,
    QueueDoesNotExist,
    QueueNameExists,
    ReceiptHandleIsInvalid,
    RequestThrottled,
    Serialization,
    ServiceUnavailable,
    TooManyEntriesInBatchRequest,
    UnsupportedOperation,
}

impl Error {
    /// Its name in JSON.
    pub fn shape(self) -> &'static str {
        match self {
            Error::AccessDenied => "AccessDeniedException",
            Error::BatchEntryIdsNotDistinct => "BatchEntryIdsNotDistinct",
            Error::BatchRequestTooLong => "BatchRequestTooLong",
            Error::EmptyBatchRequest => "EmptyBatchRequest",
            Error::Internal => "InternalError",
            Error::InternalFailure => "InternalFailure",
            Error::InvalidAttributeName => "InvalidAttributeName",
            Error::InvalidAttributeValue => "InvalidAttributeValue",
            Error::InvalidBatchEntryId => "InvalidBatchEntryId",
            Error::InvalidMessageContents => "InvalidMessageContents",
            Error::InvalidParameter | Error::MessageGone | Error::MessageTooLong => {
                "InvalidParameterValueException"
            }
            Error::MessageNotInflight => "MessageNotInflight",
            Error::MissingParameter => "MissingRequiredParameterException",
            Error::OverLimit => "OverLimit",
            Error::QueueDoesNotExist => "QueueDoesNotExist",
            Error::QueueNameExists => "QueueNameExists",
            Error::ReceiptHandleIsInvalid => "ReceiptHandleIsInvalid",
            Error::RequestThrottled => "RequestThrottled",
            Error::Serialization => "SerializationException",
            Error::ServiceUnavailable => "ServiceUnavailable",
            Error::TooManyEntriesInBatchRequest => "TooManyEntriesInBatchRequest",
            Error::UnsupportedOperation => "UnsupportedOperation",
        }
    }

    /// Its code in the older protocol: what the SDK goes by, and what failed entries carry.
    pub fn code(self) -> &'static str {
        match self {
            Error::BatchEntryIdsNotDistinct => "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            Error::BatchRequestTooLong => "AWS.SimpleQueueService.BatchRequestTooLong",
            Error::EmptyBatchRequest => "AWS.SimpleQueueService.EmptyBatchRequest",
            Error::InvalidBatchEntryId => "AWS.SimpleQueueService.InvalidBatchEntryId",
            Error::InvalidParameter | Error::MessageGone | Error::MessageTooLong => "InvalidParameterValue",
            Error::MessageNotInflight => "AWS.SimpleQueueService.MessageNotInflight",
            Error::MissingParameter => "MissingParameter",
            Error::QueueDoesNotExist => "AWS.SimpleQueueService.NonExistentQueue",
            Error::QueueNameExists => "QueueAlreadyExists",
            Error::TooManyEntriesInBatchRequest => "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            Error::UnsupportedOperation => "AWS.SimpleQueueService.UnsupportedOperation",
            other => other.shape(),
        }
    }

    /// For people.
    pub fn message(self) -> &'static str {
        match self {
            Error::MessageGone => {
                "the message does not exist or is not available for a change of its visibility"
            }
            Error::MessageTooLong => "the message is longer than the queue takes",
            Error::Internal | Error::InternalFailure | Error::ServiceUnavailable => {
                "a fault that was asked for"
            }
            other => other.shape(),
        }
    }

    /// Status of the whole call. Below 500 the sender is at fault.
    pub fn status(self) -> u16 {
        match self {
            Error::Internal | Error::InternalFailure => 500,
            Error::ServiceUnavailable => 503,
            Error::AccessDenied | Error::OverLimit => 403,
            _ => 400,
        }
    }
}
