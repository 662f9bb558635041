//! The Runtime API's state machine: which call is allowed when, and what it brings about.
//!
//! A runtime asks for the next invocation, answers that one, asks again. Managed Instances have several such loops in
//! one runtime: each of them holds a call of `/next` or works on an invocation, and an answer finds its invocation by
//! the request id.

pub(crate) mod call;
mod in_flight;

use std::{collections::VecDeque, mem};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::local::{
    extensions::Extensions,
    failure::Failure,
    protocol::{
        call::{Begun, Call, Handover},
        in_flight::{InFlight, Invoked},
    },
    refusal::Refusal,
};

/// What a call brought about.
#[derive(Debug)]
pub(crate) enum Event {
    /// The runtime waits for an invocation.
    Ready,
    /// The answer of an invocation has begun.
    Begun {
        request_id: String,
        begun: Box<Begun>,
    },
    /// An invocation has its answer, or the end of it.
    Answered {
        request_id: String,
        result: Result<Bytes, Failure>,
    },
    /// The runtime waits to be restored from a snapshot.
    Snapshot,
    /// An extension has started.
    ExtensionStarted,
    /// The runtime gave up before it ever was ready.
    InitFailed(Failure),
}

type Poll = oneshot::Sender<Result<Handover, Refusal>>;

#[derive(Debug)]
pub(crate) struct Protocol {
    /// How many invocations the runtime may work on at once.
    capacity: usize,
    phase: Phase,
    extensions: Extensions,
    /// The calls of `/next` that are being answered.
    polls: VecDeque<Poll>,
    /// What no poll has taken so far.
    waiting: VecDeque<Handover>,
    in_flight: InFlight,
}

#[derive(Debug)]
enum Phase {
    Init,
    /// A `/restore/next` is being answered.
    Snapshot(oneshot::Sender<Result<(), Refusal>>),
    Restoring,
    /// A call of `/next` was accepted once.
    Ready,
}

impl Protocol {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            phase: Phase::Init,
            extensions: Extensions::default(),
            polls: VecDeque::new(),
            waiting: VecDeque::new(),
            in_flight: InFlight::default(),
        }
    }

    /// Whether the runtime waits for an invocation. A poll whose client has gone away does not count.
    pub(crate) fn is_ready(&self) -> bool {
        self.polls.iter().any(|poll| !poll.is_closed())
    }

    /// Whether init is complete: the runtime waits, and with it all extensions.
    pub(crate) fn is_initialized(&self) -> bool {
        (self.is_ready() || self.is_snapshot()) && self.extensions.have_started()
    }

    pub(crate) fn has_extensions(&self) -> bool {
        self.extensions.are_there()
    }

    fn is_snapshot(&self) -> bool {
        matches!(self.phase, Phase::Snapshot(_))
    }

    /// Answers the runtime that waits for it.
    pub(crate) fn restore(&mut self) {
        if self.is_snapshot() {
            if let Phase::Snapshot(reply) = mem::replace(&mut self.phase, Phase::Restoring) {
                // It fails when the client has gone, and then the restore is not in time.
                let _ = reply.send(Ok(()));
            }
        }
    }

    /// Gives the runtime an invocation, now or with its next call of `/next`.
    pub(crate) fn hand_over(&mut self, handover: Handover) {
        self.waiting.push_back(handover);
        self.match_up();
    }

    /// The deadline is over: an answer that still comes is refused.
    pub(crate) fn time_out(&mut self, request_id: &str) {
        self.waiting
            .retain(|handover| handover.invocation.request_id != request_id);
        self.in_flight.time_out(request_id);
    }

    /// Answers one call.
    pub(crate) fn take(&mut self, call: Call) -> Option<Event> {
        // A reply fails when the client has gone; its call counts all the same.
        match call {
            Call::Next { reply } => match self.full() {
                Some(refusal) => {
                    let _ = reply.send(Err(refusal));
                    None
                }
                None => {
                    self.phase = Phase::Ready;
                    self.extensions.close();
                    self.in_flight.forget_answered();
                    self.polls.push_back(reply);
                    self.match_up();
                    Some(Event::Ready)
                }
            },
            Call::Answer {
                invocation,
                result,
                verdict,
                reply,
            } => {
                let accepted = self.in_flight.answer(&invocation);
                let request_id = invocation.request_id;
                let event = Event::Answered { request_id, result };
                respond(reply, accepted, verdict, event)
            }
            Call::Begin {
                invocation,
                begun,
                reply,
            } => {
                let accepted = self.in_flight.begin(&invocation);
                let request_id = invocation.request_id;
                respond(reply, accepted, Ok(()), Event::Begun { request_id, begun })
            }
            Call::End {
                request_id,
                result,
                verdict,
                reply,
            } => {
                let accepted = self.in_flight.end(&request_id);
                let result = result.map(|()| Bytes::new());
                let event = Event::Answered { request_id, result };
                respond(reply, accepted, verdict, event)
            }
            Call::InitError { failure, reply } => {
                let accepted = match self.phase {
                    Phase::Init => Ok(()),
                    _ => Err(Refusal::state(
                        "init is over: use /runtime/invocation/{id}/error",
                    )),
                };
                respond(reply, accepted, Ok(()), Event::InitFailed(failure))
            }
            Call::RestoreError { failure, reply } => {
                let accepted = match self.phase {
                    Phase::Restoring => Ok(()),
                    _ => Err(Refusal::state("nothing is being restored")),
                };
                respond(reply, accepted, Ok(()), Event::InitFailed(failure))
            }
            Call::RestoreNext { reply } => {
                if matches!(self.phase, Phase::Init) {
                    self.phase = Phase::Snapshot(reply);
                    self.extensions.close();
                    Some(Event::Snapshot)
                } else {
                    let _ = reply.send(Err(Refusal::state("init is over")));
                    None
                }
            }
            Call::Register {
                name,
                events,
                identifier,
                reply,
            } => {
                let _ = reply.send(self.extensions.register(&name, &events, identifier));
                None
            }
            Call::NextEvent { identifier, reply } => self
                .extensions
                .wait(&identifier, reply)
                .then_some(Event::ExtensionStarted),
        }
    }

    /// Why another call of `/next` is one too many, where it is.
    fn full(&mut self) -> Option<Refusal> {
        if self.is_snapshot() {
            return Some(Refusal::state("a call of /restore/next is waiting"));
        }
        self.polls.retain(|poll| !poll.is_closed());
        if self.polls.len() + self.in_flight.busy().count() < self.capacity {
            return None;
        }
        Some(match self.in_flight.busy().next_back() {
            Some(request_id) => Refusal::state(&format!("{request_id} has not been answered yet")),
            None => Refusal::state("a call of /next is waiting already"),
        })
    }

    /// Answers polls with what waits for them.
    fn match_up(&mut self) {
        while let Some(handover) = self.waiting.pop_front() {
            let invoked = Invoked::new(&handover.invocation);
            match self.offer(handover) {
                None => self.in_flight.push(invoked),
                Some(back) => {
                    self.waiting.push_front(back);
                    return;
                }
            }
        }
    }

    /// It comes back when nobody takes it: a client may have gone at this very moment.
    fn offer(&mut self, mut handover: Handover) -> Option<Handover> {
        while let Some(poll) = self.polls.pop_front() {
            match poll.send(Ok(handover)) {
                Err(Ok(back)) => handover = back,
                _ => return None,
            }
        }
        Some(handover)
    }
}

/// Tells the runtime the verdict on a call that was accepted, else why it was not; gives the event that it was then.
fn respond(
    reply: oneshot::Sender<Result<(), Refusal>>,
    accepted: Result<(), Refusal>,
    verdict: Result<(), Refusal>,
    event: Event,
) -> Option<Event> {
    let is_accepted = accepted.is_ok();
    // It fails when the client has gone; its call counts all the same.
    let _ = reply.send(accepted.and(verdict));
    is_accepted.then_some(event)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, StatusCode};

    use super::*;
    use crate::local::{
        invocation::{self, Invocation, Streamed},
        protocol::call::Named,
        stream,
    };

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
        assert_eq!(
            refused.is_none(),
            matches!(event, Some(Event::Answered { .. }))
        );
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
        let mut protocol = Protocol::new(1);
        let invocation = given(&mut protocol);
        (protocol, invocation)
    }

    /// Asks for an invocation and gets one.
    fn given(protocol: &mut Protocol) -> Invocation {
        let (_, mut poll) = next(protocol);
        protocol.hand_over(handover());
        poll.try_recv().unwrap().unwrap().invocation
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
        protocol.time_out(&invocation.request_id);
        assert_eq!(
            answer(&mut protocol, &invocation.request_id, None),
            Some(StatusCode::GONE)
        );
    }

    #[test]
    fn as_many_are_in_flight_as_may_be_and_each_is_answered_by_its_id() {
        let mut protocol = Protocol::new(2);
        let one = given(&mut protocol).request_id;
        let two = given(&mut protocol).request_id;
        let (_, mut poll) = next(&mut protocol);
        assert!(poll.try_recv().unwrap().is_err(), "a third");
        assert_eq!(answer(&mut protocol, &two, None), None);
        let three = given(&mut protocol).request_id;
        assert_eq!(
            answer(&mut protocol, &two, None),
            Some(StatusCode::BAD_REQUEST)
        );
        assert_eq!(answer(&mut protocol, &one, None), None);
        assert_eq!(answer(&mut protocol, &three, None), None);
        let (_, mut first) = next(&mut protocol);
        let (_, mut second) = next(&mut protocol);
        assert!(first.try_recv().is_err() && second.try_recv().is_err());
        let (_, mut third) = next(&mut protocol);
        assert!(third.try_recv().unwrap().is_err());
    }

    #[test]
    fn a_time_out_leaves_the_others_alone() {
        let mut protocol = Protocol::new(2);
        let late = given(&mut protocol).request_id;
        let other = given(&mut protocol).request_id;
        protocol.time_out(&late);
        assert_eq!(answer(&mut protocol, &late, None), Some(StatusCode::GONE));
        let (event, _poll) = next(&mut protocol);
        assert!(matches!(event, Some(Event::Ready)));
        assert_eq!(answer(&mut protocol, &other, None), None);
    }

    #[test]
    fn what_timed_out_before_anybody_took_it_is_handed_to_nobody() {
        let mut protocol = Protocol::new(1);
        let (late, next_one) = (handover(), handover());
        let id = next_one.invocation.request_id.clone();
        let late_id = late.invocation.request_id.clone();
        protocol.hand_over(late);
        protocol.hand_over(next_one);
        protocol.time_out(&late_id);
        let (_, mut poll) = next(&mut protocol);
        let taken = poll.try_recv().unwrap().unwrap().invocation;
        assert_eq!(taken.request_id, id);
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
        assert_eq!(
            refused.is_none(),
            matches!(event, Some(Event::Begun { .. }))
        );
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
        assert_eq!(
            refused.is_none(),
            matches!(event, Some(Event::Answered { .. }))
        );
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
        protocol.time_out(&invocation.request_id);
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
        let mut protocol = Protocol::new(1);
        drop(next(&mut protocol));
        assert!(!protocol.is_ready());
        protocol.hand_over(handover());
        let (event, mut poll) = next(&mut protocol);
        assert!(matches!(event, Some(Event::Ready)));
        assert!(poll.try_recv().unwrap().is_ok());
    }

    #[test]
    fn init_error_is_for_init_alone() {
        let (mut protocol, _) = running();
        for (protocol, accepted) in [(&mut Protocol::new(1), true), (&mut protocol, false)] {
            let (reply, mut receiver) = oneshot::channel();
            let failure = Failure::new("Runtime.Some", "");
            let event = protocol.take(Call::InitError { failure, reply });
            assert_eq!(matches!(event, Some(Event::InitFailed(_))), accepted);
            assert_eq!(receiver.try_recv().unwrap().is_ok(), accepted);
        }
    }

    #[test]
    fn a_snapshot_is_taken_once_and_restored() {
        let mut protocol = Protocol::new(1);
        let (reply, mut restored) = oneshot::channel();
        let event = protocol.take(Call::RestoreNext { reply });
        assert!(matches!(event, Some(Event::Snapshot)));
        assert!(protocol.is_snapshot() && !protocol.is_ready());
        let (_, mut poll) = next(&mut protocol);
        assert!(poll.try_recv().unwrap().is_err());
        assert!(!gives_up_restored(&mut protocol));
        protocol.restore();
        assert_eq!(restored.try_recv().unwrap(), Ok(()));
        let (reply, mut again) = oneshot::channel();
        assert!(protocol.take(Call::RestoreNext { reply }).is_none());
        assert!(again.try_recv().unwrap().is_err());
        assert!(gives_up_restored(&mut protocol));
        let (event, _poll) = next(&mut protocol);
        assert!(matches!(event, Some(Event::Ready)));
        assert!(!gives_up_restored(&mut protocol));
    }

    fn gives_up_restored(protocol: &mut Protocol) -> bool {
        let (reply, mut receiver) = oneshot::channel();
        let failure = Failure::new("Runtime.AfterRestoreError", "");
        let event = protocol.take(Call::RestoreError { failure, reply });
        assert_eq!(receiver.try_recv().unwrap().is_ok(), event.is_some());
        event.is_some()
    }
}
