//! The invocations that the runtime was given, and how far each of them is.

use crate::local::{invocation::Invocation, protocol::call::Named, refusal::Refusal};

/// Oldest first.
#[derive(Debug, Default)]
pub(super) struct InFlight(Vec<Invoked>);

/// An invocation that was handed over.
#[derive(Debug)]
pub(super) struct Invoked {
    request_id: String,
    invocation_id: String,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Running,
    /// Its answer has begun.
    Streaming,
    /// The next call of `/next` forgets it.
    Answered,
    /// Its time was over before it was answered. It is forgotten when the answer comes after all.
    TimedOut,
}

impl InFlight {
    pub(super) fn push(&mut self, invoked: Invoked) {
        self.0.push(invoked);
    }

    /// The request ids of those that keep the runtime's loops busy.
    pub(super) fn busy(&self) -> impl DoubleEndedIterator<Item = &str> {
        let busy = self.0.iter().filter(|invoked| invoked.is_busy());
        busy.map(|invoked| invoked.request_id.as_str())
    }

    /// The invocation that is `named` has its answer, where one is due.
    pub(super) fn answer(&mut self, named: &Named) -> Result<(), Refusal> {
        self.advance(named, State::Answered)
    }

    /// Its answer begins, where one is due.
    pub(super) fn begin(&mut self, named: &Named) -> Result<(), Refusal> {
        self.advance(named, State::Streaming)
    }

    /// An answer that has begun is whole, or broken off.
    pub(super) fn end(&mut self, request_id: &str) -> Result<(), Refusal> {
        let position = self.position(request_id);
        match position.map(|position| &mut self.0[position]) {
            Some(invoked) if invoked.state == State::Streaming => {
                invoked.state = State::Answered;
                Ok(())
            }
            // Only what was accepted ends, so its time was over meanwhile.
            _ => {
                self.0
                    .retain(|invoked| !invoked.is(request_id) || invoked.state != State::TimedOut);
                Err(Refusal::gone())
            }
        }
    }

    /// The deadline is over: an answer that still comes is refused.
    pub(super) fn time_out(&mut self, request_id: &str) {
        let invoked = self.0.iter_mut();
        for invoked in invoked.filter(|invoked| invoked.is(request_id) && invoked.is_busy()) {
            invoked.state = State::TimedOut;
        }
    }

    /// A loop of the runtime is done with what it has answered.
    pub(super) fn forget_answered(&mut self) {
        let answered = |invoked: &Invoked| invoked.state == State::Answered;
        if let Some(position) = self.0.iter().position(answered) {
            self.0.remove(position);
        }
    }

    /// Moves on the invocation that is `named`, where it is due for an answer.
    fn advance(&mut self, named: &Named, to: State) -> Result<(), Refusal> {
        let position = self
            .position(&named.request_id)
            .ok_or_else(Refusal::request_id)?;
        let invoked = &mut self.0[position];
        if matches!(&named.invocation_id, Some(echo) if *echo != invoked.invocation_id) {
            return Err(Refusal::gone());
        }
        match invoked.state {
            State::Running => {
                invoked.state = to;
                Ok(())
            }
            State::Streaming => Err(Refusal::state("the answer of this invocation has begun")),
            State::Answered => Err(Refusal::state("this invocation was answered already")),
            State::TimedOut => {
                self.0.remove(position);
                Err(Refusal::gone())
            }
        }
    }

    fn position(&self, request_id: &str) -> Option<usize> {
        self.0.iter().position(|invoked| invoked.is(request_id))
    }
}

impl Invoked {
    /// It is handed over now.
    pub(super) fn new(invocation: &Invocation) -> Self {
        Self {
            request_id: invocation.request_id.clone(),
            invocation_id: invocation.invocation_id.clone(),
            state: State::Running,
        }
    }

    fn is(&self, request_id: &str) -> bool {
        self.request_id == request_id
    }

    /// Whether it keeps one of the runtime's loops busy.
    fn is_busy(&self) -> bool {
        matches!(self.state, State::Running | State::Streaming)
    }
}
