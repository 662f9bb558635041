//! Why a call of the Runtime API was not accepted, in the statuses and error types of AWS's runtime interface emulator.

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};

use crate::local::failure::Failure;

#[derive(Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) error_type: &'static str,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn request_id() -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error_type: "InvalidRequestID",
            message: "Invalid request ID".to_owned(),
        }
    }

    pub(crate) fn state(message: &str) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            error_type: "InvalidStateTransition",
            message: format!("State transition failed: {message}"),
        }
    }

    /// For an answer of an invocation that is over, and for every call to a sandbox that is.
    pub(crate) fn gone() -> Self {
        Self {
            status: StatusCode::GONE,
            error_type: "ErrorRuntimeInvokeTimeout",
            message: "The invocation has timed out; go on with /next".to_owned(),
        }
    }

    /// The Extensions API's own.
    pub(crate) fn extension(error_type: &'static str, message: &str) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            error_type,
            message: message.to_owned(),
        }
    }

    pub(crate) fn truncated() -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error_type: "TruncatedHTTPRequest",
            message: "HTTP request detected as truncated".to_owned(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Failure::new(self.error_type, &self.message).body;
        let json = [(CONTENT_TYPE, "application/json")];
        (self.status, json, body).into_response()
    }
}
