//! What is kept of one call of the Runtime API or of the Extensions API.

use serde_json::{Value, json};

use crate::local::console::body::{Kept, Micros, milliseconds};

/// One call of the Runtime API or of the Extensions API.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: u64,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) began: Micros,
    /// `name: value` lines, as those of the response.
    pub(super) request_headers: String,
    pub(super) request: Kept,
    pub(super) status: Option<u16>,
    pub(super) answered: Option<Micros>,
    pub(super) response_headers: String,
    pub(super) response: Kept,
    /// The connection ended before there was an answer.
    pub(super) is_abandoned: bool,
}

impl Call {
    /// One that begins now; its id is the history's to give.
    pub(super) fn new(now: Micros, method: &str, path: String, request_headers: String) -> Self {
        Self {
            id: 0,
            method: method.to_owned(),
            path,
            began: now,
            request_headers,
            request: Kept::default(),
            status: None,
            answered: None,
            response_headers: String::new(),
            response: Kept::default(),
            is_abandoned: false,
        }
    }

    /// Whether it asks for an invocation.
    pub(super) fn is_next(&self) -> bool {
        self.path.ends_with("/invocation/next")
    }

    /// The invocation that its path names.
    pub(super) fn request_id(&self) -> Option<&str> {
        let (_, rest) = self.path.split_once("/invocation/")?;
        rest.split('/').next()
    }

    /// Whether it answers an invocation, in whatever way.
    pub(super) fn is_answer(&self) -> bool {
        self.path.ends_with("/response") || self.path.ends_with("/error")
    }

    /// Whether it brings what a handler has answered.
    pub(super) fn is_response(&self) -> bool {
        self.method == "POST" && self.path.ends_with("/response")
    }

    pub(super) fn weight(&self) -> usize {
        size_of::<Self>()
            + self.path.len()
            + self.request_headers.len()
            + self.response_headers.len()
            + self.request.bytes().len()
            + self.response.bytes().len()
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.id,
            "method": self.method,
            "path": self.path,
            "began": milliseconds(self.began),
            "requestHeaders": self.request_headers,
            "request": self.request.json(),
            "status": self.status,
            "answered": self.answered.map(milliseconds),
            "responseHeaders": self.response_headers,
            "response": self.response.json(),
            "isAbandoned": self.is_abandoned,
        })
    }
}
