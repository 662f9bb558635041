//! Looks at each call of the Runtime API as it passes by, both ways, and changes nothing of it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{Request, State},
    http::HeaderMap,
    middleware::{self, Next},
    response::Response,
};
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::local::console::recorder::{Recorder, Which};

#[derive(Clone)]
struct Tap {
    recorder: Recorder,
    /// The record of the sandbox that calls.
    sandbox: Option<u64>,
}

/// `api`, each call of which the recorder sees; of the sandbox that has begun last.
pub(crate) fn tap(api: Router, recorder: &Recorder) -> Router {
    let tap = Tap {
        recorder: recorder.clone(),
        sandbox: recorder.sandbox(),
    };
    api.layer(middleware::from_fn_with_state(tap, pass))
}

async fn pass(State(tap): State<Tap>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let id = tap.recorder.called(tap.sandbox, &parts);
    let mut unanswered = Unanswered {
        recorder: &tap.recorder,
        id: Some(id),
    };
    let body = tap.watch(id, Which::Request, body);
    let response = next.run(Request::from_parts(parts, body)).await;
    unanswered.id = None;
    let (parts, body) = response.into_parts();
    let length = body.size_hint().exact();
    tap.recorder
        .responded(id, parts.status.as_u16(), &parts.headers, length);
    Response::from_parts(parts, tap.watch(id, Which::Response, body))
}

impl Tap {
    fn watch(&self, id: u64, which: Which, body: Body) -> Body {
        let mut watched = Watched {
            recorder: self.recorder.clone(),
            id,
            which,
            body,
            trailers: HeaderMap::new(),
            has_ended: false,
        };
        if watched.body.is_end_stream() {
            // Nobody will ask for what is not there.
            watched.end();
            return watched.take();
        }
        Body::new(watched)
    }
}

/// The server drops the answering of a call whose connection has ended.
struct Unanswered<'a> {
    recorder: &'a Recorder,
    id: Option<u64>,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.recorder.abandoned(id);
        }
    }
}

/// A body on its way.
struct Watched {
    recorder: Recorder,
    id: u64,
    which: Which,
    body: Body,
    trailers: HeaderMap,
    has_ended: bool,
}

impl Watched {
    fn end(&mut self) {
        if !self.has_ended {
            self.has_ended = true;
            self.recorder.ended(self.id, self.which, &self.trailers);
        }
    }

    fn take(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let watched = self.get_mut();
        let frame = ready!(Pin::new(&mut watched.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => match (frame.data_ref(), frame.trailers_ref()) {
                (Some(data), _) => watched.recorder.piece(watched.id, watched.which, data),
                (None, Some(trailers)) => watched.trailers.extend(trailers.clone()),
                (None, None) => {}
            },
            Some(Err(_)) => {
                watched.has_ended = true;
                watched.recorder.broke_off(watched.id, watched.which);
            }
            None => watched.end(),
        }
        // The server does not ask again where it knows that nothing follows.
        if watched.body.is_end_stream() {
            watched.end();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.has_ended {
            self.recorder.broke_off(self.id, self.which);
        }
    }
}
