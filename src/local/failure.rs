//! An error on its way to the caller.

use bytes::Bytes;
use serde::Serialize;

/// An error as callers see it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// Of the form `Runtime.Name`, `Function.Name` or `Sandbox.Timedout`.
    pub(crate) error_type: String,
    /// JSON, as the function posted it or as Lambda makes it.
    pub(crate) body: Bytes,
}

impl Failure {
    /// An error in Lambda's own words.
    pub(crate) fn new(error_type: &str, message: &str) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape<'a> {
            error_type: &'a str,
            error_message: &'a str,
        }
        let shape = Shape {
            error_type,
            error_message: message,
        };
        let body = serde_json::to_vec(&shape).expect("two strings are always JSON");
        Self {
            error_type: error_type.to_owned(),
            body: body.into(),
        }
    }

    /// As much of the body as a line of the log should have.
    pub(crate) fn excerpt(&self) -> String {
        const MOST: usize = 4096;
        let length = self.body.len();
        let text = String::from_utf8_lossy(&self.body[..length.min(MOST)]);
        if length > MOST {
            format!("{text}… ({length} bytes)")
        } else {
            text.into_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_json() {
        let failure = Failure::new("Runtime.ExitError", "a \"quote\"");
        assert_eq!(
            failure.body,
            r#"{"errorType":"Runtime.ExitError","errorMessage":"a \"quote\""}"#
        );
    }
}
