//! What is called, and what the call brings with it.

use std::convert::Infallible;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::local::{
    failure::Failure,
    invocation::{Invocation, Streamed},
    refusal::Refusal,
    stream::Control,
};

/// A call of the Runtime API, with the way back to whoever made it.
pub(crate) enum Call {
    Next {
        reply: oneshot::Sender<Result<Handover, Refusal>>,
    },
    /// `/response` or `/error`, whole.
    Answer {
        invocation: Named,
        /// What the invocation comes to when the call is accepted.
        result: Result<Bytes, Failure>,
        /// What the runtime is told then: nothing is wrong, or (too large, say) what is.
        verdict: Result<(), Refusal>,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    /// The headers of a `/response` whose body is streamed.
    Begin {
        invocation: Named,
        begun: Box<Begun>,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    /// The end of that body, or of the connection it came on.
    End {
        request_id: String,
        result: Result<(), Failure>,
        verdict: Result<(), Refusal>,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    InitError {
        failure: Failure,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    /// `/restore/next`: take the snapshot now, and answer when it was restored.
    RestoreNext {
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    RestoreError {
        failure: Failure,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    /// `/extension/register`
    Register {
        name: String,
        events: Vec<String>,
        /// Under which it will be known.
        identifier: String,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    /// `/extension/event/next`
    NextEvent {
        identifier: String,
        reply: oneshot::Sender<Result<Infallible, Refusal>>,
    },
}

/// The invocation that a call names.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) request_id: String,
    /// The echo of `Lambda-Runtime-Invocation-Id`; absent in runtimes older than that header.
    pub(crate) invocation_id: Option<String>,
}

/// An answer that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) streamed: Streamed,
    pub(crate) control: Control,
}

/// An invocation on its way to the runtime, as the answer to `/next`.
#[derive(Debug)]
pub(crate) struct Handover {
    pub(crate) invocation: Invocation,
    /// Unix time in milliseconds.
    pub(crate) deadline_ms: u128,
}
