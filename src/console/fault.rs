//! What could not be done, said once for pages and for programs.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::lake::LakeError;
use crate::warehouse::WarehouseError;

/// Why there is no answer, or nothing was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    /// From a closed list: see `openapi/waybill.yaml`.
    pub(super) code: &'static str,
    /// What happened.
    pub(super) message: String,
    /// How to mend it, where there is something to say.
    pub(super) hint: Option<&'static str>,
}

impl Fault {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Fault {
        Fault { status, code, message: message.into(), hint: None }
    }

    /// What was asked cannot be understood.
    pub(super) fn bad(message: impl Into<String>) -> Fault {
        Fault::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// There is no such thing.
    pub(super) fn not_found(message: impl Into<String>) -> Fault {
        Fault::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// This process does not have the place that is asked about.
    pub(super) fn not_here(place: &str) -> Fault {
        Fault::new(StatusCode::NOT_FOUND, "not_here", format!("this process has no {place}")).hint(
            "ask the process that has it: `waybill up` has all places, `waybill load` lake and warehouse",
        )
    }

    /// As much as allowed is at work.
    pub(super) fn busy(message: impl Into<String>) -> Fault {
        Fault::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).hint("try again in a moment")
    }

    /// No answer in the time that a page has.
    pub(super) fn slow(what: &str) -> Fault {
        Fault::new(StatusCode::GATEWAY_TIMEOUT, "too_slow", format!("{what} took too long"))
            .hint("ask for less, or use the command line, which waits longer")
    }

    pub(super) fn hint(self, hint: &'static str) -> Fault {
        Fault { hint: Some(hint), ..self }
    }

    /// For programs.
    pub(super) fn into_json(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message, "hint": self.hint } });
        (self.status, Json(body)).into_response()
    }
}

impl From<LakeError> for Fault {
    fn from(error: LakeError) -> Fault {
        let status = match &error {
            LakeError::NotFound(_) => return Fault::not_found(error.to_string()),
            LakeError::TooLarge { .. } | LakeError::Refused(_) => StatusCode::INTERNAL_SERVER_ERROR,
            LakeError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let code = if status == StatusCode::SERVICE_UNAVAILABLE { "unavailable" } else { "internal" };
        Fault::new(status, code, error.to_string())
    }
}

impl From<WarehouseError> for Fault {
    fn from(error: WarehouseError) -> Fault {
        match &error {
            WarehouseError::Unavailable(_) | WarehouseError::Refused(_) => {
                Fault::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error.to_string())
            }
            // A statement of ours that an engine does not take.
            WarehouseError::Query(_) => {
                Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
            }
        }
    }
}
