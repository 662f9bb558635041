//! The Runtime API's state machine: which call is allowed when, and what it brings about.
//!
//! One runtime works on one invocation at a time: it asks for the next, answers that one, asks again. Refusals
//! carry the statuses and error types of AWS's runtime interface emulator.

use axum::http::StatusCode;
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::local::{
    failure::Failure,
    invocation::{Invocation, Streamed},
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

/// Why a call was not accepted.
#[derive(Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) error_type: &'static str,
    pub(crate) message: String,
}

/// What a call brought about.
#[derive(Debug)]
pub(crate) enum Event {
    /// The runtime waits for an invocation.
    Ready,
    /// The answer of the invocation in flight has begun.
    Begun(Box<Begun>),
    /// The invocation in flight has its answer, or the end of it.
    Answered(Result<Bytes, Failure>),
    /// The runtime gave up before it ever was ready.
    InitFailed(Failure),
}

#[derive(Debug, Default)]
pub(crate) struct Protocol {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// Started, never ready so far.
    #[default]
    Starting,
    /// A `/next` is being answered.
    Waiting(oneshot::Sender<Result<Handover, Refusal>>),
    /// An invocation was handed over.
    Running(Ids),
    /// Its answer has begun.
    Streaming(Ids),
    /// It was answered; `/next` comes next.
    Answered(Ids),
    /// Its time was over before it was answered.
    TimedOut(Ids),
}

#[derive(Clone, Debug)]
struct Ids {
    request_id: String,
    invocation_id: String,
}

impl Protocol {
    /// Whether the runtime waits for an invocation. A poll whose client has gone away does not count.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(&self.state, State::Waiting(reply) if !reply.is_closed())
    }

    /// Gives the runtime an invocation; it comes back when the runtime is not waiting (any more).
    pub(crate) fn hand_over(&mut self, handover: Handover) -> Option<Handover> {
        let ids = Ids {
            request_id: handover.invocation.request_id.clone(),
            invocation_id: handover.invocation.invocation_id.clone(),
        };
        match std::mem::replace(&mut self.state, State::Running(ids)) {
            State::Waiting(reply) => {
                let back = reply.send(Ok(handover)).err()?;
                self.state = State::Starting;
                back.ok()
            }
            other => {
                self.state = other;
                Some(handover)
            }
        }
    }

    /// The deadline is over: an answer that still comes is refused.
    pub(crate) fn time_out(&mut self) {
        if let State::Running(ids) | State::Streaming(ids) = &self.state {
            self.state = State::TimedOut(ids.clone());
        }
    }

    /// Answers one call.
    pub(crate) fn take(&mut self, call: Call) -> Option<Event> {
        // A reply fails when the client has gone; its call counts all the same.
        match call {
            Call::Next { reply } => match &self.state {
                State::Waiting(earlier) if !earlier.is_closed() => {
                    let _ = reply.send(Err(Refusal::state("a call of /next is waiting already")));
                    None
                }
                State::Running(ids) | State::Streaming(ids) => {
                    let message = format!("{} has not been answered yet", ids.request_id);
                    let _ = reply.send(Err(Refusal::state(&message)));
                    None
                }
                State::TimedOut(_) => {
                    let _ = reply.send(Err(Refusal::gone()));
                    None
                }
                State::Starting | State::Waiting(_) | State::Answered(_) => {
                    self.state = State::Waiting(reply);
                    Some(Event::Ready)
                }
            },
            Call::Answer {
                invocation,
                result,
                verdict,
                reply,
            } => match self.running(&invocation) {
                Ok(ids) => {
                    self.state = State::Answered(ids);
                    let _ = reply.send(verdict);
                    Some(Event::Answered(result))
                }
                Err(refusal) => {
                    let _ = reply.send(Err(refusal));
                    None
                }
            },
            Call::Begin {
                invocation,
                begun,
                reply,
            } => match self.running(&invocation) {
                Ok(ids) => {
                    self.state = State::Streaming(ids);
                    let _ = reply.send(Ok(()));
                    Some(Event::Begun(begun))
                }
                Err(refusal) => {
                    let _ = reply.send(Err(refusal));
                    None
                }
            },
            Call::End {
                request_id,
                result,
                verdict,
                reply,
            } => match &self.state {
                State::Streaming(ids) if ids.request_id == request_id => {
                    self.state = State::Answered(ids.clone());
                    let _ = reply.send(verdict);
                    Some(Event::Answered(result.map(|()| Bytes::new())))
                }
                // Only what was accepted ends, so its time was over meanwhile.
                _ => {
                    let _ = reply.send(Err(Refusal::gone()));
                    None
                }
            },
            Call::InitError { failure, reply } => {
                if matches!(self.state, State::Starting) {
                    let _ = reply.send(Ok(()));
                    Some(Event::InitFailed(failure))
                } else {
                    let _ = reply.send(Err(Refusal::state(
                        "init is over: use /runtime/invocation/{id}/error",
                    )));
                    None
                }
            }
        }
    }

    /// The ids of the invocation that is `named`, where it is due for an answer.
    fn running(&self, named: &Named) -> Result<Ids, Refusal> {
        let (State::Running(ids)
        | State::Streaming(ids)
        | State::Answered(ids)
        | State::TimedOut(ids)) = &self.state
        else {
            return Err(Refusal::request_id());
        };
        if ids.request_id != named.request_id {
            return Err(Refusal::request_id());
        }
        if matches!(&named.invocation_id, Some(echo) if *echo != ids.invocation_id) {
            return Err(Refusal::gone());
        }
        match &self.state {
            State::Running(ids) => Ok(ids.clone()),
            State::TimedOut(_) => Err(Refusal::gone()),
            State::Streaming(_) => Err(Refusal::state("the answer of this invocation has begun")),
            _ => Err(Refusal::state("this invocation was answered already")),
        }
    }
}

impl Refusal {
    fn request_id() -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error_type: "InvalidRequestID",
            message: "Invalid request ID".to_owned(),
        }
    }

    fn state(message: &str) -> Self {
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
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::local::{invocation, stream};

    fn next(
        protocol: &mut Protocol,
    ) -> (Option<Event>, oneshot::Receiver<Result<Handover, Refusal>>) {
        let (reply, receiver) = oneshot::channel();
        (protocol.take(Call::Next { reply }), receiver)
    }

    fn answer(
        protocol: &mut Protocol,
        request_id: &str,
        invocation_id: Option<&str>,
    ) -> Option<StatusCode> {
        let (reply, mut receiver) = oneshot::channel();
        let event = protocol.take(Call::Answer {
            invocation: Named {
                request_id: request_id.to_owned(),
                invocation_id: invocation_id.map(str::to_owned),
            },
            result: Ok("{}".into()),
            verdict: Ok(()),
            reply,
        });
        let refused = receiver
            .try_recv()
            .unwrap()
            .err()
            .map(|refusal| refusal.status);
        assert_eq!(refused.is_none(), matches!(event, Some(Event::Answered(_))));
        refused
    }

    fn handover() -> Handover {
        let ids = invocation::Ids::new(None).unwrap();
        Handover {
            invocation: Invocation::new(ids, "{}"),
            deadline_ms: 1,
        }
    }

    /// A runtime that has just been given an invocation.
    fn running() -> (Protocol, Invocation) {
        let mut protocol = Protocol::default();
        let (_, mut given) = next(&mut protocol);
        assert!(protocol.hand_over(handover()).is_none());
        (protocol, given.try_recv().unwrap().unwrap().invocation)
    }

    #[test]
    fn asks_answers_asks_again() {
        let (mut protocol, invocation) = running();
        assert_eq!(
            answer(
                &mut protocol,
                &invocation.request_id,
                Some(&invocation.invocation_id)
            ),
            None
        );
        let (event, _poll) = next(&mut protocol);
        assert!(matches!(event, Some(Event::Ready)));
        assert!(protocol.is_ready());
    }

    #[test]
    fn the_echo_is_optional_but_must_match() {
        let (mut protocol, invocation) = running();
        assert_eq!(
            answer(&mut protocol, &invocation.request_id, Some("other")),
            Some(StatusCode::GONE)
        );
        assert_eq!(answer(&mut protocol, &invocation.request_id, None), None);
    }

    #[test]
    fn an_id_that_is_not_in_flight_is_refused() {
        let (mut protocol, invocation) = running();
        assert_eq!(
            answer(&mut protocol, "other", None),
            Some(StatusCode::BAD_REQUEST)
        );
        assert_eq!(answer(&mut protocol, &invocation.request_id, None), None);
        let _poll = next(&mut protocol);
        assert_eq!(
            answer(&mut protocol, &invocation.request_id, None),
            Some(StatusCode::BAD_REQUEST)
        );
    }

    #[test]
    fn a_second_answer_is_refused() {
        let (mut protocol, invocation) = running();
        assert_eq!(answer(&mut protocol, &invocation.request_id, None), None);
        assert_eq!(
            answer(&mut protocol, &invocation.request_id, None),
            Some(StatusCode::FORBIDDEN)
        );
    }

    #[test]
    fn an_answer_after_the_deadline_is_refused() {
        let (mut protocol, invocation) = running();
        protocol.time_out();
        assert_eq!(
            answer(&mut protocol, &invocation.request_id, None),
            Some(StatusCode::GONE)
        );
    }

    fn begin(protocol: &mut Protocol, request_id: &str) -> Option<StatusCode> {
        let (reply, mut receiver) = oneshot::channel();
        let (_, control, stream) = stream::channel();
        let streamed = Streamed {
            content_type: HeaderValue::from_static("text/plain"),
            stream,
        };
        let event = protocol.take(Call::Begin {
            invocation: Named {
                request_id: request_id.to_owned(),
                invocation_id: None,
            },
            begun: Box::new(Begun { streamed, control }),
            reply,
        });
        let refused = receiver.try_recv().unwrap().err();
        assert_eq!(refused.is_none(), matches!(event, Some(Event::Begun(_))));
        refused.map(|refusal| refusal.status)
    }

    fn end(protocol: &mut Protocol, request_id: &str) -> Option<StatusCode> {
        let (reply, mut receiver) = oneshot::channel();
        let event = protocol.take(Call::End {
            request_id: request_id.to_owned(),
            result: Ok(()),
            verdict: Ok(()),
            reply,
        });
        let refused = receiver.try_recv().unwrap().err();
        assert_eq!(refused.is_none(), matches!(event, Some(Event::Answered(_))));
        refused.map(|refusal| refusal.status)
    }

    #[test]
    fn a_stream_is_an_answer_from_its_begin_to_its_end() {
        let (mut protocol, invocation) = running();
        let id = &invocation.request_id;
        assert_eq!(begin(&mut protocol, id), None);
        assert_eq!(begin(&mut protocol, id), Some(StatusCode::FORBIDDEN));
        assert_eq!(answer(&mut protocol, id, None), Some(StatusCode::FORBIDDEN));
        let (event, mut poll) = next(&mut protocol);
        assert!(event.is_none());
        assert!(poll.try_recv().unwrap().is_err());
        assert_eq!(end(&mut protocol, "other"), Some(StatusCode::GONE));
        assert_eq!(end(&mut protocol, id), None);
        assert_eq!(answer(&mut protocol, id, None), Some(StatusCode::FORBIDDEN));
        let (event, _poll) = next(&mut protocol);
        assert!(matches!(event, Some(Event::Ready)));
    }

    #[test]
    fn a_stream_that_outlives_the_deadline_is_gone() {
        let (mut protocol, invocation) = running();
        assert_eq!(begin(&mut protocol, &invocation.request_id), None);
        protocol.time_out();
        assert_eq!(
            end(&mut protocol, &invocation.request_id),
            Some(StatusCode::GONE)
        );
    }

    #[test]
    fn next_before_the_answer_is_refused() {
        let (mut protocol, _) = running();
        let (event, mut poll) = next(&mut protocol);
        assert!(event.is_none());
        assert_eq!(
            poll.try_recv().unwrap().unwrap_err().status,
            StatusCode::FORBIDDEN
        );
    }

    #[test]
    fn a_poll_that_was_given_up_gets_nothing() {
        let mut protocol = Protocol::default();
        drop(next(&mut protocol));
        assert!(!protocol.is_ready());
        assert!(protocol.hand_over(handover()).is_some());
        let (event, _poll) = next(&mut protocol);
        assert!(matches!(event, Some(Event::Ready)));
        assert!(protocol.hand_over(handover()).is_none());
    }

    #[test]
    fn init_error_is_for_init_alone() {
        let (mut protocol, _) = running();
        for (protocol, accepted) in [(&mut Protocol::default(), true), (&mut protocol, false)] {
            let (reply, mut receiver) = oneshot::channel();
            let failure = Failure::new("Runtime.Some", "");
            let event = protocol.take(Call::InitError { failure, reply });
            assert_eq!(matches!(event, Some(Event::InitFailed(_))), accepted);
            assert_eq!(receiver.try_recv().unwrap().is_ok(), accepted);
        }
    }
}
