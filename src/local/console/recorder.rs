//! The one way in to the history: what happens is told here, gets its time, and wakes who looks.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime},
};

use axum::http::{HeaderMap, HeaderValue, request::Parts};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::local::{
    console::{
        answer::Html,
        body::{Kept, Micros},
        call::Call,
        history::History,
    },
    failure::Failure,
    invocation,
    report::Report,
};

pub(crate) use crate::local::console::{log::Writer, record::Source};

/// A handle on the history; clones tell the same one.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    history: Mutex<History>,
    changes: watch::Sender<u64>,
    epoch: Instant,
    /// The same moment, in Unix milliseconds.
    epoch_ms: u128,
    /// Names this run of the program: numbers of another one mean nothing here.
    run: String,
}

impl Recorder {
    /// # Errors
    /// When there are no random numbers.
    pub(crate) fn new() -> io::Result<Self> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Ok(Self {
            shared: Arc::new(Shared {
                history: Mutex::default(),
                changes: watch::Sender::new(0),
                epoch: Instant::now(),
                epoch_ms: now.unwrap_or_default().as_millis(),
                run: invocation::random_hex()?,
            }),
        })
    }

    /// A caller waits for an invocation.
    pub(crate) fn queued(&self, request_id: &str, source: Source) {
        self.tell(|history, now| history.queued(now, request_id, source));
    }

    /// The caller has gone before the invocation began, which therefore never will.
    pub(crate) fn gave_up(&self, request_id: &str) {
        self.tell(|history, _| history.gave_up(request_id));
    }

    /// A sandbox is about to be started.
    pub(crate) fn sandbox_began(&self) {
        self.tell(|history, now| history.sandbox_began(now));
    }

    /// Its init has ended, with an error type where not well.
    pub(crate) fn sandbox_ready(&self, result: Result<(), String>) {
        self.tell(|history, now| history.sandbox_ready(now, result));
    }

    pub(crate) fn sandbox_ended(&self) {
        self.tell(|history, now| history.sandbox_ended(now));
    }

    /// An invocation begins: START is the next line of its log.
    pub(crate) fn begun(&self, request_id: &str) {
        self.tell(|history, now| history.begun(now, request_id));
    }

    /// The answer of an invocation has begun to stream.
    pub(crate) fn streams(&self, request_id: &str) {
        self.tell(|history, _| history.streams(request_id));
    }

    /// An invocation has its answer, or its streamed answer its end.
    pub(crate) fn answered(&self, request_id: &str, failure: Option<&Failure>) {
        let error = failure.map(|failure| (failure.error_type.as_str(), &failure.body[..]));
        self.tell(|history, now| history.answered(now, request_id, error));
    }

    /// What the HTTP side has made of it.
    pub(crate) fn replied(&self, request_id: &str, status: u16) {
        self.tell(|history, _| history.replied(request_id, status));
    }

    /// An invocation is over: REPORT was the last line of its log.
    pub(crate) fn landed(&self, report: &Report<'_>) {
        self.tell(|history, now| {
            history.landed(now, report.request_id, |invocation| {
                invocation.take_report(report, report.memory_used_mb());
            });
        });
    }

    /// A line of the log.
    pub(crate) fn line(&self, writer: Writer, line: &[u8]) {
        self.tell(|history, now| history.line(now, writer, line));
    }

    /// The sandbox that calls come from which begin now.
    pub(super) fn sandbox(&self) -> Option<u64> {
        self.history().sandbox()
    }

    /// A call has begun; gives its id.
    pub(super) fn called(&self, sandbox: Option<u64>, parts: &Parts) -> u64 {
        let (method, path) = (parts.method.as_str(), parts.uri.to_string());
        let request_headers = lines(&parts.headers);
        self.tell(|history, now| {
            let call = Call::new(now, method, path, request_headers);
            history.called(sandbox, call)
        })
    }

    /// A call is answered.
    pub(super) fn responded(&self, id: u64, status: u16, headers: &HeaderMap, length: Option<u64>) {
        let mut text = lines(headers);
        // What the server adds to a body whose length is known.
        if let Some(length) = length {
            text.push_str(&format!("content-length: {length}\n"));
        }
        let request_id = headers
            .get("lambda-runtime-aws-request-id")
            .and_then(|id| id.to_str().ok());
        self.tell(|history, now| history.responded(now, id, status, text, request_id));
    }

    /// The client of a call has gone before there was an answer.
    pub(super) fn abandoned(&self, id: u64) {
        self.tell(|history, now| history.abandoned(now, id));
    }

    pub(super) fn piece(&self, id: u64, which: Which, piece: &[u8]) {
        self.tell(|history, now| {
            history.change_call(id, |call| which.of(call).take(now, piece));
        });
    }

    pub(super) fn ended(&self, id: u64, which: Which, trailers: &HeaderMap) {
        let trailers = lines(trailers);
        self.tell(|history, now| {
            history.change_call(id, |call| {
                which.of(call).end(now, trailers);
                0
            });
        });
    }

    pub(super) fn broke_off(&self, id: u64, which: Which) {
        self.tell(|history, now| {
            history.change_call(id, |call| {
                which.of(call).break_off(now);
                0
            });
        });
    }

    pub(super) fn detail(&self, number: u64) -> Option<Value> {
        self.history().detail(number)
    }

    pub(super) fn html(&self, number: u64) -> Option<Html> {
        self.history().html(number)
    }

    /// What has changed since the first `seen` changes, and how many there are now.
    pub(super) fn since(&self, seen: u64) -> (Value, u64) {
        let history = self.history();
        let mut since = history.since(seen);
        since["now"] = json!(self.now() as f64 / 1000.0);
        (since, history.changes())
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    pub(super) fn run(&self) -> &str {
        &self.shared.run
    }

    pub(super) fn epoch_ms(&self) -> u128 {
        self.shared.epoch_ms
    }

    fn tell<T>(&self, what: impl FnOnce(&mut History, Micros) -> T) -> T {
        let mut history = self.history();
        let told = what(&mut history, self.now());
        let changes = history.changes();
        drop(history);
        // Wakes nobody when nobody looks.
        self.shared.changes.send_replace(changes);
        told
    }

    fn now(&self) -> Micros {
        self.shared.epoch.elapsed().as_micros() as Micros
    }

    /// A panic while it was held has cost a record at most.
    fn history(&self) -> MutexGuard<'_, History> {
        let history = &self.shared.history;
        history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the two bodies of a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    Request,
    Response,
}

impl Which {
    fn of(self, call: &mut Call) -> &mut Kept {
        match self {
            Self::Request => &mut call.request,
            Self::Response => &mut call.response,
        }
    }
}

/// `name: value` lines, in one piece of memory of their own.
fn lines(headers: &HeaderMap) -> String {
    let size = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 3)
        .sum();
    let mut lines = String::with_capacity(size);
    for (name, value) in headers {
        lines.push_str(name.as_str());
        lines.push_str(": ");
        append_text(&mut lines, value);
        lines.push('\n');
    }
    lines
}

/// UTF-8, else what every byte means in ISO 8859-1.
fn append_text(lines: &mut String, value: &HeaderValue) {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => lines.push_str(text),
        Err(_) => lines.extend(value.as_bytes().iter().map(|&byte| char::from(byte))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_keep_their_bytes() {
        let headers = HeaderMap::from_iter([
            (axum::http::header::HOST, HeaderValue::from_static("a: b")),
            (
                axum::http::header::COOKIE,
                HeaderValue::from_bytes(b"caf\xe9=\xff").unwrap(),
            ),
            (
                axum::http::header::USER_AGENT,
                HeaderValue::from_bytes("é".as_bytes()).unwrap(),
            ),
        ]);
        assert_eq!(
            lines(&headers),
            "host: a: b\ncookie: café=ÿ\nuser-agent: é\n"
        );
    }
}
