//! The way of one invocation's answer to the Runtime API: whole, piece by piece, or an error instead of it.
//!
//! Whoever makes the answer has the [`Delivery`], and beside it the [`Post`] does the calls. A stream that is dropped before
//! it was finished breaks the call off, so that a part is never taken for the whole.

use std::io;

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use reqwest::Body;
use reqwest::header::{HeaderMap, HeaderValue};
use tokio::sync::oneshot;

use super::{ERROR_BODY, ERROR_TYPE, Error, Invocation, RuntimeApi};
use crate::failure::Failure;

/// Where an answer goes. Nothing is sent before [`Delivery::open`] or [`Delivery::finish`].
pub struct Delivery {
    /// Taken by what is posted.
    outgoing: Option<oneshot::Sender<Outgoing>>,
    stream: Option<Stream>,
}

/// The calls that a [`Delivery`] brings about.
pub struct Post(oneshot::Receiver<Outgoing>);

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
    let delivery = Delivery {
        outgoing: Some(outgoing),
        stream: None,
    };
    (delivery, Post(post))
}

impl Post {
    /// Waits for what is to be posted, and posts it; nothing, when the delivery was dropped.
    pub async fn run(self, api: &RuntimeApi, invocation: &Invocation) -> Result<(), Error> {
        match self.0.await {
            Ok(Outgoing::Document(document)) => api.respond(invocation, document).await,
            Ok(Outgoing::Stream(body)) => api.respond_stream(invocation, Body::wrap(body)).await,
            Ok(Outgoing::Failure(failure)) => api.fail(invocation, &failure).await,
            Err(_) => Ok(()),
        }
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
        sender.send_data(piece).await.map_err(|_| HungUp)
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
