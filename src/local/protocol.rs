//! The Runtime API's state machine: which call is allowed when, and what it brings about.
//!
//! One runtime works on one invocation at a time: it asks for the next, answers that one, asks again. Refusals
//! carry the statuses and error types of AWS's runtime interface emulator.

use axum::http::StatusCode;
use tokio::sync::oneshot;

use crate::local::invocation::{Failure, Invocation, Outcome};

/// A call of the Runtime API, with the way back to whoever made it.
pub(crate) enum Call {
    Next {
        reply: oneshot::Sender<Result<Handover, Refusal>>,
    },
    /// `/response` or `/error`.
    Answer {
        request_id: String,
        /// The echo of `Lambda-Runtime-Invocation-Id`; absent in runtimes older than that header.
        invocation_id: Option<String>,
        /// What the invocation comes to when the call is accepted.
        outcome: Outcome,
        /// What the runtime is told then: nothing is wrong, or (too large, say) what is.
        verdict: Result<(), Refusal>,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    InitError {
        failure: Failure,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
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
    /// The invocation in flight has its outcome.
    Answered(Outcome),
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
        if let State::Running(ids) = &self.state {
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
                State::Running(ids) => {
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
                request_id,
                invocation_id,
                outcome,
                verdict,
                reply,
            } => match self.answered(&request_id, invocation_id.as_deref()) {
                Ok(()) => {
                    let _ = reply.send(verdict);
                    Some(Event::Answered(outcome))
                }
                Err(refusal) => {
                    let _ = reply.send(Err(refusal));
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

    fn answered(&mut self, request_id: &str, invocation_id: Option<&str>) -> Result<(), Refusal> {
        let (State::Running(ids) | State::Answered(ids) | State::TimedOut(ids)) = &self.state
        else {
            return Err(Refusal::request_id());
        };
        if ids.request_id != request_id {
            return Err(Refusal::request_id());
        }
        if matches!(invocation_id, Some(echo) if echo != ids.invocation_id) {
            return Err(Refusal::gone());
        }
        match &self.state {
            State::Running(ids) => {
                self.state = State::Answered(ids.clone());
                Ok(())
            }
            State::TimedOut(_) => Err(Refusal::gone()),
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
    use super::*;
    use crate::local::invocation::{self, Form, Response};

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
        let outcome = Outcome::Response(Response {
            body: "{}".into(),
            form: Form::Buffered,
        });
        let request_id = request_id.to_owned();
        let invocation_id = invocation_id.map(str::to_owned);
        let event = protocol.take(Call::Answer {
            request_id,
            invocation_id,
            outcome,
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
