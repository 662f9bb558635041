//! What has changed, as server-sent events (html.spec.whatwg.org/multipage/server-sent-events.html).
//!
//! An event says how records stand now and not what has happened to them. However long a page was away, what it needs is
//! therefore the state of what has changed meanwhile: no queue of events has to be kept for anybody.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::HttpBody;
use bytes::Bytes;
use http_body::Frame;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use crate::local::console::recorder::Recorder;

/// Between two events at least: what changes thousands of times a second is told thirty times.
const PAUSE: Duration = Duration::from_millis(33);

/// A comment after so much silence, so that an end of the connection is noticed on both sides.
const SILENCE: Duration = Duration::from_secs(15);

/// One reader's place.
pub(super) struct Feed {
    recorder: Recorder,
    changes: watch::Receiver<u64>,
    /// How many changes the reader has been told.
    seen: u64,
    /// Told at the beginning, as is the state, which even where it is empty says that this is all.
    about: Option<Value>,
    next: Instant,
}

impl Feed {
    /// For a reader whose last event was `last`, where it had one.
    pub(super) fn new(recorder: Recorder, about: Value, last: Option<&str>) -> Self {
        let seen = last
            .and_then(|last| last.split_once('-'))
            .filter(|(run, _)| *run == recorder.run())
            .and_then(|(_, seen)| seen.parse().ok());
        Self {
            changes: recorder.changes(),
            seen: seen.unwrap_or(0),
            about: Some(about),
            next: Instant::now(),
            recorder,
        }
    }

    pub(super) fn into_body(self) -> Events {
        Events {
            next: Box::pin(self.next()),
        }
    }

    /// Waits for the next event.
    async fn next(mut self) -> (Self, Bytes) {
        sleep_until(self.next).await;
        if self.about.is_none() {
            let seen = self.seen;
            let news = self.changes.wait_for(|changes| *changes > seen);
            let has_news = timeout(SILENCE, news).await.is_ok();
            if !has_news {
                return (self, Bytes::from_static(b":\n\n"));
            }
        }
        let is_whole = self.seen == 0;
        let (mut state, seen) = self.recorder.since(self.seen);
        self.seen = seen;
        if let Some(about) = self.about.take() {
            state["function"] = about;
            state["epoch"] = json!(self.recorder.epoch_ms() as u64);
            state["isWhole"] = json!(is_whole);
        }
        self.next = Instant::now() + PAUSE;
        // JSON has no line breaks of its own.
        let run = self.recorder.run();
        let event = format!("id: {run}-{seen}\nevent: state\ndata: {state}\n\n");
        (self, event.into())
    }
}

/// Events without end.
pub(super) struct Events {
    next: Pin<Box<dyn Future<Output = (Feed, Bytes)> + Send>>,
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let events = self.get_mut();
        let (feed, event) = ready!(events.next.as_mut().poll(context));
        events.next = Box::pin(feed.next());
        Poll::Ready(Some(Ok(Frame::data(event))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::console::recorder::Source;

    /// The next event's id and state.
    async fn event(feed: Feed) -> (Feed, String, Value) {
        let (feed, bytes) = feed.next().await;
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let mut lines = text.lines();
        let id = lines
            .next()
            .unwrap()
            .strip_prefix("id: ")
            .unwrap()
            .to_owned();
        assert_eq!(lines.next(), Some("event: state"));
        let state = lines.next().unwrap().strip_prefix("data: ").unwrap();
        let state = serde_json::from_str(state).unwrap();
        assert_eq!(lines.collect::<Vec<_>>(), [""]);
        (feed, id, state)
    }

    fn numbers(state: &Value) -> Vec<u64> {
        let records = state["records"].as_array().unwrap().iter();
        records
            .map(|record| record["number"].as_u64().unwrap())
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_goes_on_where_it_was() {
        let recorder = Recorder::new().unwrap();
        recorder.queued("a", Source::InvokeApi);
        let feed = Feed::new(recorder.clone(), json!("about"), None);
        let (feed, _, state) = event(feed).await;
        assert_eq!(
            (numbers(&state), &state["isWhole"]),
            (vec![1], &json!(true))
        );
        assert_eq!(state["function"], "about");
        recorder.queued("b", Source::InvokeApi);
        recorder.queued("c", Source::InvokeApi);
        let (feed, id, state) = event(feed).await;
        assert_eq!((numbers(&state), state.get("isWhole")), (vec![2, 3], None));
        drop(feed);
        recorder.begun("b");
        let again = Feed::new(recorder.clone(), json!(1), Some(&id));
        let (_, same, state) = event(again).await;
        assert_eq!(
            (numbers(&state), &state["isWhole"]),
            (vec![2], &json!(false))
        );
        // Where nothing is new there is an event at the beginning, and then silence with a sign of life.
        let (feed, id, state) = event(Feed::new(recorder.clone(), json!(1), Some(&same))).await;
        assert_eq!((numbers(&state), id), (vec![], same));
        assert_eq!(feed.next().await.1, &b":\n\n"[..]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_of_another_run_or_none_at_all_means_everything() {
        let recorder = Recorder::new().unwrap();
        recorder.queued("a", Source::InvokeApi);
        for last in ["", "5", "other-1", "-", "\u{fffd}-1"] {
            let (_, _, state) = event(Feed::new(recorder.clone(), json!(1), Some(last))).await;
            assert_eq!(
                (numbers(&state), &state["isWhole"]),
                (vec![1], &json!(true)),
                "{last}"
            );
        }
    }
}
