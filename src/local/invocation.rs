//! An invocation: its event, its ids, its outcome, and the queue it waits in.

use std::{
    fs::File,
    io::{self, Read},
    time::SystemTime,
};

use axum::http::HeaderValue;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::local::{
    failure::Failure,
    stream::{Control, Stream},
};

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
pub(crate) fn uuid() -> io::Result<String> {
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

/// What a caller gets.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The function's answer: JSON, whole.
    Response(Bytes),
    /// The beginning of an answer, the rest of which is still to come.
    Stream(Streamed),
    /// The function failed, by its own word or by Lambda's.
    Failure(Failure),
}

/// A streamed answer.
#[derive(Debug)]
pub(crate) struct Streamed {
    pub(crate) content_type: HeaderValue,
    pub(crate) stream: Stream,
}

/// The way to the function: invocations wait here until they are taken, first come, first served.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    sender: mpsc::UnboundedSender<Queued>,
}

/// An invocation together with the caller who waits for its outcome.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) invocation: Invocation,
    pub(crate) caller: Caller,
}

/// Whoever waits for an outcome. An invocation that has begun runs on when they have gone, as in Lambda.
#[derive(Debug)]
pub(crate) struct Caller {
    outcome: Option<oneshot::Sender<Outcome>>,
    /// Of an answer that has begun.
    control: Option<Control>,
}

impl Caller {
    /// Whether nobody is listening any more.
    pub(crate) fn has_gone(&self) -> bool {
        self.outcome.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    /// Whether there is an answer that has begun and not ended.
    pub(crate) fn has_begun(&self) -> bool {
        self.control.is_some()
    }

    /// The answer has begun; from now on [`Caller::finish`] says how it ends.
    pub(crate) fn begin(&mut self, streamed: Streamed, control: Control) {
        self.control = Some(control);
        self.send(Outcome::Stream(streamed));
    }

    /// The answer, or the end of one that has begun.
    pub(crate) fn finish(&mut self, result: Result<Bytes, Failure>) {
        match self.control.take() {
            Some(control) => control.end(result.map(drop)),
            None => self.send(match result {
                Ok(body) => Outcome::Response(body),
                Err(failure) => Outcome::Failure(failure),
            }),
        }
    }

    fn send(&mut self, outcome: Outcome) {
        if let Some(sender) = self.outcome.take() {
            // It fails when the caller has gone.
            let _ = sender.send(outcome);
        }
    }
}

impl Queue {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Queued>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender }, receiver)
    }

    /// Waits for its turn and for the outcome; `None` while lambda-local is shutting down.
    pub(crate) async fn invoke(&self, invocation: Invocation) -> Option<Outcome> {
        let (sender, outcome) = oneshot::channel();
        let caller = Caller {
            outcome: Some(sender),
            control: None,
        };
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
}
