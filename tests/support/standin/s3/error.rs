//! S3's errors, as XML.

use super::super::reply::{Reply, with_body};
use super::XML;

/// What S3 says no with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    status: u16,
    code: &'static str,
}

/// The content is not what its checksum says.
pub const BAD_DIGEST: Error = Error::new(400, "BadDigest");
/// The bucket is there, and the caller's own.
pub const BUCKET_IS_YOURS: Error = Error::new(409, "BucketAlreadyOwnedByYou");
/// Two conditional puts met.
pub const CONFLICT: Error = Error::new(409, "ConditionalRequestConflict");
/// The body is shorter than it says, or badly framed.
pub const INCOMPLETE_BODY: Error = Error::new(400, "IncompleteBody");
/// A parameter that cannot be read.
pub const INVALID_ARGUMENT: Error = Error::new(400, "InvalidArgument");
/// A key that is no UTF-8.
pub const INVALID_URI: Error = Error::new(400, "InvalidURI");
/// No such bucket.
pub const NO_SUCH_BUCKET: Error = Error::new(404, "NoSuchBucket");
/// No such object.
pub const NO_SUCH_KEY: Error = Error::new(404, "NoSuchKey");
/// The stand-in does not do that.
pub const NOT_IMPLEMENTED: Error = Error::new(501, "NotImplemented");
/// The object is there already.
pub const PRECONDITION_FAILED: Error = Error::new(412, "PreconditionFailed");
/// S3's throttling.
pub const SLOW_DOWN: Error = Error::new(503, "SlowDown");

impl Error {
    const fn new(status: u16, code: &'static str) -> Error {
        Error { status, code }
    }

    /// A fault that was asked for by its status.
    pub fn of_status(status: u16) -> Error {
        let code = match status {
            403 => "AccessDenied",
            404 => "NoSuchKey",
            409 => "ConditionalRequestConflict",
            412 => "PreconditionFailed",
            503 => "ServiceUnavailable",
            500.. => "InternalError",
            _ => "InvalidRequest",
        };
        Error::new(status, code)
    }

    /// The answer.
    pub fn reply(self) -> Reply {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{0}</Code><Message>{0}</Message>\
             <RequestId>standin</RequestId></Error>",
            self.code
        );
        with_body(self.status, XML, body)
    }
}
