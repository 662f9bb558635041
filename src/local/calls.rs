//! The way of a call from the HTTP side to its sandbox, and of the reply back.

use tokio::sync::{mpsc, oneshot};

use crate::local::{protocol::call::Call, refusal::Refusal};

#[derive(Clone, Debug)]
pub(crate) struct Calls {
    sender: mpsc::UnboundedSender<Call>,
}

impl Calls {
    /// The way in, and where the calls come out.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Call>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender }, receiver)
    }

    /// Makes a call and waits for its reply.
    pub(crate) async fn make<T>(
        &self,
        call: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Call,
    ) -> Result<T, Refusal> {
        let (reply, receiver) = oneshot::channel();
        self.tell(call(reply));
        // It fails when the sandbox is over: the caller outlived it by a moment.
        receiver.await.unwrap_or_else(|_| Err(Refusal::gone()))
    }

    /// Makes a call whose reply nobody waits for.
    pub(crate) fn tell(&self, call: Call) {
        // It fails when the sandbox is over, and drops the reply with the call.
        let _ = self.sender.send(call);
    }
}
