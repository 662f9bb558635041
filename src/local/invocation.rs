//! An invocation: its event, its ids, its outcome, and the queue it waits in.

use std::{
    fs::File,
    io::{self, Read},
    time::SystemTime,
};

use axum::http::HeaderValue;
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

/// One event on its way to the function.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// What logs and the Runtime API's paths call it; a UUID.
    pub(crate) request_id: String,
    /// Names this attempt, so that a late answer cannot be taken for that of another.
    pub(crate) invocation_id: String,
    /// X-Ray's header, `Root=…;Parent=…;Sampled=0`.
    pub(crate) trace_id: HeaderValue,
    /// JSON of the caller's SDK.
    pub(crate) client_context: Option<HeaderValue>,
    pub(crate) tenant_id: Option<HeaderValue>,
    pub(crate) event: Bytes,
}

impl Invocation {
    pub(crate) fn new(ids: Ids, event: impl Into<Bytes>) -> Self {
        Self {
            request_id: ids.request_id,
            invocation_id: ids.invocation_id,
            trace_id: ids.trace_id,
            client_context: None,
            tenant_id: None,
            event: event.into(),
        }
    }
}

/// Fresh ids of an invocation; the event of an HTTP request already carries them.
#[derive(Debug)]
pub(crate) struct Ids {
    pub(crate) request_id: String,
    pub(crate) invocation_id: String,
    pub(crate) trace_id: HeaderValue,
}

impl Ids {
    /// Draws new ids; `trace_id` is the caller's, which counts where it is one.
    pub(crate) fn new(trace_id: Option<&HeaderValue>) -> io::Result<Self> {
        let is_one = |value: &&HeaderValue| value.to_str().is_ok_and(|text| text.contains("Root="));
        let trace_id = match trace_id.filter(is_one) {
            Some(trace_id) => trace_id.clone(),
            None => {
                let seconds = SystemTime::now()
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .unwrap_or_default()
                    .as_secs();
                let random = random_hex()?;
                let text = format!(
                    "Root=1-{seconds:08x}-{};Parent={};Sampled=0",
                    &random[..24],
                    &random_hex()?[..16]
                );
                HeaderValue::try_from(text).map_err(io::Error::other)?
            }
        };
        Ok(Self {
            request_id: uuid()?,
            invocation_id: uuid()?,
            trace_id,
        })
    }
}

/// 16 random bytes as 32 hexadecimal digits.
pub(crate) fn random_hex() -> io::Result<String> {
    Ok(hex(random()?))
}

/// A random UUID (RFC 9562, version 4).
fn uuid() -> io::Result<String> {
    let mut bytes = random()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(bytes);
    Ok([
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-"))
}

fn hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}

fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// What an invocation came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The function answered.
    Response(Response),
    /// It failed, by its own word or by Lambda's.
    Failure(Failure),
}

/// The body of `/response`.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) body: Bytes,
    pub(crate) form: Form,
}

/// How a response is to be read by who turns it into HTTP.
#[derive(Debug)]
pub(crate) enum Form {
    /// JSON, whole.
    Buffered,
    /// A stream that begins with a prelude: JSON with status and headers, 8 NUL bytes, then the raw body.
    Prelude,
    /// A stream that is nothing but the body, of this Content-Type.
    Raw { content_type: HeaderValue },
}

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

/// The way to the function: invocations wait here for the slot that takes them, first come, first served.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    sender: mpsc::UnboundedSender<Queued>,
}

/// An invocation together with the caller who waits for its outcome.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) invocation: Invocation,
    /// Closed when nobody is listening any more. An invocation that has begun runs on all the same, as in Lambda.
    pub(crate) caller: oneshot::Sender<Outcome>,
}

impl Queue {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Queued>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender }, receiver)
    }

    /// Waits for a free slot and for the outcome; `None` while lambda-local is shutting down.
    pub(crate) async fn invoke(&self, invocation: Invocation) -> Option<Outcome> {
        let (caller, outcome) = oneshot::channel();
        self.sender.send(Queued { invocation, caller }).ok()?;
        outcome.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_shapes_of_lambda() {
        let ids = Ids::new(None).unwrap();
        let shape: String = ids
            .request_id
            .chars()
            .map(|digit| {
                if digit.is_ascii_hexdigit() {
                    'x'
                } else {
                    digit
                }
            })
            .collect();
        assert_eq!(shape, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
        assert_eq!(&ids.request_id[14..15], "4");
        assert!("89ab".contains(&ids.request_id[19..20]));
        assert_ne!(ids.request_id, ids.invocation_id);
        let trace_id = ids.trace_id.to_str().unwrap();
        assert_eq!(
            trace_id.len(),
            "Root=1-12345678-123456789012345678901234;Parent=1234567890123456;Sampled=0".len()
        );
        assert!(trace_id.starts_with("Root=1-"));
    }

    #[test]
    fn a_failure_is_json() {
        let failure = Failure::new("Runtime.ExitError", "a \"quote\"");
        assert_eq!(
            failure.body,
            r#"{"errorType":"Runtime.ExitError","errorMessage":"a \"quote\""}"#
        );
    }
}
