//! The way of one invocation's answer to the Runtime API: whole, piece by piece, or an error instead of it.
//!
//! Whoever makes the answer has the [`Delivery`], and beside it the [`Post`] does the calls. A stream that is dropped before
//! it was finished breaks the call off, so that a part is never taken for the whole.

use std::io;

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use reqwest::Body;
use reqwest::header::{HeaderMap, HeaderValue};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::{ERROR_BODY, ERROR_TYPE, Error, Invocation, RuntimeApi};
use crate::failure::Failure;

/// Where an answer goes. Nothing is sent before [`Delivery::open`] or [`Delivery::finish`].
pub struct Delivery {
    /// Taken by what is posted.
    outgoing: Option<oneshot::Sender<Outgoing>>,
    stream: Option<Stream>,
    has_failed: watch::Receiver<bool>,
}

/// The calls that a [`Delivery`] brings about.
pub struct Post {
    outgoing: oneshot::Receiver<Outgoing>,
    /// Lambda can refuse a stream and leave the connection open, with nobody at its end.
    has_failed: watch::Sender<bool>,
}

/// What is posted.
enum Outgoing {
    Document(Vec<u8>),
    Stream(Channel<Bytes, io::Error>),
    Failure(Failure),
}

/// Lambda takes no more of this stream: the call has ended.
#[derive(Debug)]
pub struct HungUp;

/// A delivery, and what has to run beside whoever uses it.
pub fn delivery() -> (Delivery, Post) {
    let (outgoing, post) = oneshot::channel();
    let (failed, has_failed) = watch::channel(false);
    let delivery = Delivery {
        outgoing: Some(outgoing),
        stream: None,
        has_failed,
    };
    let post = Post {
        outgoing: post,
        has_failed: failed,
    };
    (delivery, post)
}

impl Post {
    /// Waits for what is to be posted, and posts it; nothing, when the delivery was dropped. A stream that Lambda has not
    /// taken by `deadline` is broken off: nobody may be left to take the rest.
    pub async fn run(
        self,
        api: &RuntimeApi,
        invocation: &Invocation,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        match self.outgoing.await {
            Ok(Outgoing::Document(document)) => api.respond(invocation, document).await,
            Ok(Outgoing::Stream(body)) => {
                // dropped, the call closes its connection
                let posted = tokio::select! {
                    biased;
                    posted = api.respond_stream(invocation, Body::wrap(body)) => posted,
                    () = passed(deadline) => Err(Error::Unreachable(
                        "Lambda did not take the whole stream before its deadline: it was broken off".to_owned(),
                    )),
                };
                if posted.is_err() {
                    self.has_failed.send_replace(true);
                }
                posted
            }
            Ok(Outgoing::Failure(failure)) => api.fail(invocation, &failure).await,
            Err(_) => Ok(()),
        }
    }
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl Delivery {
    /// Begins a streamed answer, which from here on can end with a failure but not be one.
    pub fn open(&mut self) {
        // one piece on its way and one that is being taken: a slow reader slows PHP down
        let (sender, body) = Channel::new(1);
        self.stream = Some(Stream(Some(sender)));
        self.post(Outgoing::Stream(body));
    }

    /// Sends a piece of a streamed answer as soon as Lambda takes it.
    pub async fn send(&mut self, piece: Bytes) -> Result<(), HungUp> {
        let sender = self.stream.as_mut().and_then(|stream| stream.0.as_mut());
        let sender = sender.ok_or(HungUp)?;
        let sent = tokio::select! {
            biased;
            Ok(_) = self.has_failed.wait_for(|has_failed| *has_failed) => Err(HungUp),
            sent = sender.send_data(piece) => sent.map_err(|_| HungUp),
        };
        if sent.is_err() {
            self.stream = None;
        }
        sent
    }

    /// Sends the whole answer, or the end of the streamed one: `document` is nothing but its end then. A failure is an
    /// error, or the trailers of the stream.
    pub async fn finish(mut self, answered: Result<Vec<u8>, Failure>) {
        match (self.stream.take(), answered) {
            (None, Ok(document)) => self.post(Outgoing::Document(document)),
            (None, Err(failure)) => self.post(Outgoing::Failure(failure)),
            (Some(stream), Ok(_)) => stream.end(),
            (Some(stream), Err(failure)) => stream.fail(&failure).await,
        }
    }

    fn post(&mut self, outgoing: Outgoing) {
        if let Some(sender) = self.outgoing.take() {
            // the other half is gone with the whole invocation
            let _ = sender.send(outgoing);
        }
    }
}

/// A streamed answer under way.
struct Stream(Option<Sender<Bytes, io::Error>>);

impl Stream {
    fn end(mut self) {
        drop(self.0.take());
    }

    /// Source: "Building a custom runtime for AWS Lambda", errors in mid-stream.
    async fn fail(mut self, failure: &Failure) {
        let body = base64_simd::STANDARD.encode_to_string(failure.to_json());
        let trailers = HeaderMap::from_iter([
            (ERROR_TYPE, HeaderValue::from_static(failure.error_type())),
            (
                ERROR_BODY,
                HeaderValue::from_str(&body).expect("base64 is a header value"),
            ),
        ]);
        if let Some(sender) = self.0.as_mut() {
            // an error: Lambda has hung up, which the call itself reports
            let _ = sender.send_trailers(trailers).await;
        }
        drop(self.0.take());
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            sender.abort(io::Error::other("the answer was given up"));
        }
    }
}
