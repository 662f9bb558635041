//! The body of a streamed answer on its way from the runtime to the caller.
//!
//! One chunk is under way at a time, so that a caller who reads slowly slows the function down and memory stays flat.
//! Only the word of whoever runs the invocation makes a stream complete: one that is merely given up breaks off.

use std::{
    error::Error,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::HttpBody;
use bytes::Bytes;
use http_body::Frame;
use tokio::sync::{mpsc, oneshot};

use crate::local::failure::Failure;

/// The three ends of a stream: the runtime's, that of the invocation, and the caller's.
pub(crate) fn channel() -> (Writer, Control, Stream) {
    let (sender, chunks) = mpsc::channel(1);
    let (verdict, ending) = oneshot::channel();
    let (open, over) = oneshot::channel();
    let writer = Writer {
        chunks: sender,
        open,
    };
    let control = Control {
        verdict,
        _over: over,
    };
    let stream = Stream {
        put_back: None,
        chunks,
        ending: Ending::Open(ending),
    };
    (writer, control, stream)
}

/// Where the runtime's chunks go in.
#[derive(Debug)]
pub(crate) struct Writer {
    chunks: mpsc::Sender<Bytes>,
    /// Closed when the invocation is over.
    open: oneshot::Sender<()>,
}

impl Writer {
    /// Hands a chunk on, once the caller has taken the one before.
    ///
    /// When the caller has hung up or the invocation is over it is dropped without a word: Lambda does not stop a
    /// function because its client has gone, the function runs on and the rest of its answer goes nowhere.
    pub(crate) async fn write(&mut self, chunk: Bytes) {
        tokio::select! {
            biased;
            () = self.open.closed() => {}
            // It fails when the caller has gone.
            _ = self.chunks.send(chunk) => {}
        }
    }
}

/// What says how a stream ends; dropped, it breaks it off.
#[derive(Debug)]
pub(crate) struct Control {
    verdict: oneshot::Sender<Result<(), Failure>>,
    _over: oneshot::Receiver<()>,
}

impl Control {
    /// All chunks were handed in, or something went wrong.
    pub(crate) fn end(self, result: Result<(), Failure>) {
        // It fails when the caller has gone.
        let _ = self.verdict.send(result);
    }
}

/// Where the caller takes the chunks out. As an HTTP body it ends in an error when the stream breaks off, so that the
/// server breaks the connection off as well.
#[derive(Debug)]
pub(crate) struct Stream {
    put_back: Option<Bytes>,
    chunks: mpsc::Receiver<Bytes>,
    ending: Ending,
}

#[derive(Debug)]
enum Ending {
    Open(oneshot::Receiver<Result<(), Failure>>),
    Known(Result<(), Failure>),
    /// The server had its chance to send what came before.
    Flushed(Failure),
}

impl Stream {
    /// The next chunk, or why there is none; nothing at the true end. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Failure>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Waits until there is something to send, so that a failure before that can still be told as one.
    pub(crate) async fn begin(&mut self) -> Result<(), Failure> {
        if let Some(chunk) = self.next().await.transpose()? {
            self.put_back(chunk);
        }
        Ok(())
    }

    /// Makes `chunk` the next one.
    pub(crate) fn put_back(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.put_back = Some(chunk);
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        if let Some(chunk) = self.put_back.take() {
            return Poll::Ready(Some(Ok(chunk)));
        }
        // What was handed in before the end comes first, however the end is.
        let chunk = self.chunks.poll_recv(context);
        if let Poll::Ready(Some(chunk)) = chunk {
            return Poll::Ready(Some(Ok(chunk)));
        }
        if let Ending::Open(verdict) = &mut self.ending {
            let verdict = ready!(Pin::new(verdict).poll(context));
            self.ending = Ending::Known(verdict.unwrap_or_else(|_| Err(given_up())));
        }
        match &self.ending {
            Ending::Known(Err(failure)) | Ending::Flushed(failure) => {
                Poll::Ready(Some(Err(failure.clone())))
            }
            // The last chunk may be handed in a moment before the writer is dropped.
            _ => chunk.map(|_| None),
        }
    }
}

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let stream = self.get_mut();
        let failure = match ready!(stream.poll_next(context)) {
            Some(Ok(chunk)) => return Poll::Ready(Some(Ok(Frame::data(chunk)))),
            Some(Err(failure)) => failure,
            None => return Poll::Ready(None),
        };
        if matches!(stream.ending, Ending::Flushed(_)) {
            return Poll::Ready(Some(Err(BrokenOff(failure))));
        }
        // An error makes the server drop what it has not sent yet; when there is nothing to do it sends that first.
        stream.ending = Ending::Flushed(failure);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

fn given_up() -> Failure {
    Failure::new("Runtime.Unknown", "the invocation was given up")
}

/// Why a caller got a part only.
#[derive(Debug)]
pub(crate) struct BrokenOff(Failure);

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the stream broke off with {}", self.0.error_type)
    }
}

impl Error for BrokenOff {}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out of the stream until its end or an error.
    async fn all(stream: &mut Stream) -> (Vec<Bytes>, Option<String>) {
        let mut chunks = Vec::new();
        while let Some(next) = stream.next().await {
            match next {
                Ok(chunk) => chunks.push(chunk),
                Err(failure) => return (chunks, Some(failure.error_type)),
            }
        }
        (chunks, None)
    }

    #[tokio::test]
    async fn a_stream_is_complete_only_when_that_was_said() {
        for (end, expected) in [
            (Some(Ok(())), None),
            (
                Some(Err(Failure::new("Function.Broken", ""))),
                Some("Function.Broken"),
            ),
            (None, Some("Runtime.Unknown")),
        ] {
            let (mut writer, control, mut stream) = channel();
            writer.write(Bytes::from_static(b"one")).await;
            drop(writer);
            match end {
                Some(result) => control.end(result),
                None => drop(control),
            }
            let (chunks, error) = all(&mut stream).await;
            assert_eq!(chunks, ["one"]);
            assert_eq!(error.as_deref(), expected);
        }
    }

    #[tokio::test]
    async fn one_chunk_is_under_way_at_a_time() {
        let (mut writer, _control, mut stream) = channel();
        writer.write(Bytes::from_static(b"one")).await;
        let mut second = Box::pin(writer.write(Bytes::from_static(b"two")));
        let is_waiting = tokio::select! {
            biased;
            () = &mut second => false,
            () = std::future::ready(()) => true,
        };
        assert!(is_waiting);
        assert_eq!(stream.next().await.unwrap().unwrap(), "one");
        second.await;
        assert_eq!(stream.next().await.unwrap().unwrap(), "two");
    }

    #[tokio::test]
    async fn nobody_has_to_wait_for_a_caller_who_has_gone_or_an_invocation_that_is_over() {
        let (mut writer, _control, stream) = channel();
        drop(stream);
        writer.write(Bytes::from_static(b"one")).await;
        writer.write(Bytes::from_static(b"two")).await;

        let (mut writer, control, _stream) = channel();
        writer.write(Bytes::from_static(b"one")).await;
        drop(control);
        writer.write(Bytes::from_static(b"two")).await;
    }

    #[tokio::test]
    async fn the_beginning_can_be_awaited_and_is_not_lost() {
        let (mut writer, control, mut stream) = channel();
        writer.write(Bytes::from_static(b"one")).await;
        assert!(stream.begin().await.is_ok());
        drop(writer);
        control.end(Err(Failure::new("Function.Broken", "")));
        let (chunks, error) = all(&mut stream).await;
        assert_eq!(
            (chunks, error.as_deref()),
            (vec![Bytes::from_static(b"one")], Some("Function.Broken"))
        );

        let (_, control, mut stream) = channel();
        control.end(Err(Failure::new("Function.Broken", "")));
        assert_eq!(
            stream.begin().await.unwrap_err().error_type,
            "Function.Broken"
        );
    }
}
