//! What happens, and which record it belongs to. No clock, no lock.

use serde_json::{Value, json};

use crate::local::console::{
    answer::{self, Html},
    body::Micros,
    call::Call,
    log::Writer,
    record::{Invocation, Kind, Record, Sandbox, Source},
    records::Records,
};

/// In how many of the latest records a note's request id is searched.
const NOTED: usize = 8;

#[derive(Debug, Default)]
pub(super) struct History {
    records: Records,
    /// Numbers of the invocations that have begun and not ended.
    flights: Vec<u64>,
    sandbox: Option<u64>,
    /// The init that no invocation has waited for or reported so far.
    init: Option<(Micros, Micros)>,
    /// Calls of which it is not known yet to which record they belong: a `/next` that waits.
    waiting: Vec<Call>,
    last_call: u64,
}

impl History {
    pub(super) fn changes(&self) -> u64 {
        self.records.changes()
    }

    /// A caller waits for an invocation.
    pub(super) fn queued(&mut self, now: Micros, request_id: &str, source: Source) {
        let invocation = Invocation::new(request_id, source, now);
        self.records.add(Kind::Invocation(Box::new(invocation)));
    }

    /// The caller has gone before it began.
    pub(super) fn gave_up(&mut self, request_id: &str) {
        self.records
            .change(request_id, |invocation| invocation.is_given_up = true);
    }

    pub(super) fn sandbox_began(&mut self, now: Micros) {
        let number = self.records.add(Kind::Sandbox(Sandbox {
            began: now,
            ready: None,
            failed: None,
            ended: None,
        }));
        self.sandbox = Some(number);
        self.init = None;
        self.waiting.clear();
    }

    /// It is ready; else what it failed with.
    pub(super) fn sandbox_ready(&mut self, now: Micros, result: Result<(), String>) {
        let Some((record, sandbox)) = self.current_sandbox() else {
            return;
        };
        let init = (sandbox.began, now);
        match result {
            Ok(()) => sandbox.ready = Some(now),
            Err(reason) => sandbox.failed = Some(reason),
        }
        self.init = Some(init);
        self.records.touch(record);
        // What has begun and is not handed over has waited for it.
        for number in self.flights.clone() {
            if let Some(invocation) = self.records.get_mut(number).and_then(Record::invocation) {
                if invocation.handed.is_none() {
                    invocation.init = Some(init);
                    self.init = None;
                    self.records.touch(number);
                }
            }
        }
    }

    pub(super) fn sandbox_ended(&mut self, now: Micros) {
        if let Some((record, sandbox)) = self.current_sandbox() {
            sandbox.ended.get_or_insert(now);
            self.records.touch(record);
        }
    }

    pub(super) fn begun(&mut self, now: Micros, request_id: &str) {
        let sandbox = self.sandbox;
        let number = self.records.change(request_id, |invocation| {
            invocation.begun = Some(now);
            invocation.sandbox = sandbox;
        });
        self.flights.extend(number);
    }

    /// How the answer, or the end of a streamed one, was taken.
    pub(super) fn answered(&mut self, now: Micros, request_id: &str, error: Option<(&str, &[u8])>) {
        self.records.change(request_id, |invocation| {
            invocation.answer_ended.get_or_insert(now);
            if let Some((error_type, body)) = error {
                invocation.error_type = Some(error_type.to_owned());
                invocation.failure = body[..body.len().min(16 << 10)].to_vec();
            }
        });
    }

    pub(super) fn streams(&mut self, request_id: &str) {
        self.records
            .change(request_id, |invocation| invocation.is_stream = true);
    }

    /// What a client of the HTTP side got.
    pub(super) fn replied(&mut self, request_id: &str, status: u16) {
        self.records.change(request_id, |invocation| {
            invocation.http_status = Some(status);
        });
    }

    pub(super) fn landed(
        &mut self,
        now: Micros,
        request_id: &str,
        report: impl FnOnce(&mut Invocation),
    ) {
        let number = self.records.change(request_id, |invocation| {
            invocation.landed = Some(now);
            report(invocation);
        });
        self.flights.retain(|flight| Some(*flight) != number);
    }

    /// A line of the log. It belongs to the invocation under way; among several to the one that it names, and else to the
    /// sandbox. A note may come a moment after the end of what it is about.
    pub(super) fn line(&mut self, now: Micros, writer: Writer, line: &[u8]) {
        let number = match (writer, self.flights.as_slice()) {
            (Writer::Note, []) => self.named_in(line),
            (_, [one]) => Some(*one),
            (_, flights) => {
                let named = |number: &&u64| self.is_named_in(**number, line);
                flights.iter().find(named).copied()
            }
        };
        let Some(number) = number.or(self.sandbox) else {
            return;
        };
        self.records
            .put(number, |record| record.take_line(now, writer, line));
    }

    fn named_in(&self, line: &[u8]) -> Option<u64> {
        let latest = self.records.iter().rev().take(NOTED);
        latest
            .map(|record| record.number)
            .find(|number| self.is_named_in(*number, line))
    }

    fn is_named_in(&self, number: u64, line: &[u8]) -> bool {
        match self.records.get(number).map(|record| &record.kind) {
            Some(Kind::Invocation(invocation)) => {
                let id = invocation.request_id.as_bytes();
                line.windows(id.len()).any(|window| window == id)
            }
            _ => false,
        }
    }

    /// The runtime makes a call; gives its id. Which invocation it is about stands in its path, and of a `/next` nobody knows
    /// before it is answered. `sandbox` is the number of that from which it comes.
    pub(super) fn called(&mut self, sandbox: Option<u64>, mut call: Call) -> u64 {
        self.last_call += 1;
        let id = self.last_call;
        call.id = id;
        if call.is_next() {
            self.waiting.push(call);
            return id;
        }
        let named = call
            .request_id()
            .and_then(|request_id| self.records.number_of(request_id));
        if let Some(number) = named.or(sandbox) {
            self.records.put(number, |record| {
                let (is_answer, began) = (call.is_answer(), call.began);
                let weight = record.take_call(call);
                if let (true, Some(invocation)) = (is_answer, record.invocation()) {
                    if invocation.landed.is_none() {
                        invocation.answer_began.get_or_insert(began);
                    }
                }
                weight
            });
        }
        id
    }

    /// A call is answered; with an invocation where it was a `/next`.
    pub(super) fn responded(
        &mut self,
        now: Micros,
        id: u64,
        status: u16,
        headers: String,
        request_id: Option<&str>,
    ) {
        let waited = self.waiting.iter().position(|call| call.id == id);
        if let Some(waited) = waited {
            let call = self.waiting.swap_remove(waited);
            let sandbox = self.sandbox;
            let number = request_id.and_then(|request_id| self.records.number_of(request_id));
            let init = number.and_then(|_| self.init.take());
            if let Some(number) = number.or(sandbox) {
                self.records.put(number, |record| {
                    let weight = record.take_call(call);
                    if let Some(invocation) = record.invocation() {
                        invocation.handed = Some(now);
                        invocation.init = invocation.init.or(init);
                        invocation.sandbox = sandbox;
                    }
                    weight
                });
            }
        }
        self.change_call(id, |call| {
            call.status = Some(status);
            call.answered = Some(now);
            call.response_headers = headers;
            call.response_headers.len()
        });
    }

    /// The client of a call has gone before there was an answer.
    pub(super) fn abandoned(&mut self, now: Micros, id: u64) {
        self.waiting.retain(|call| call.id != id);
        self.change_call(id, |call| {
            call.is_abandoned = true;
            call.request.break_off(now);
            0
        });
    }

    /// Something about a call has changed; `change` gives by how many bytes it grew.
    pub(super) fn change_call(&mut self, id: u64, change: impl FnOnce(&mut Call) -> usize) {
        if let Some(call) = self.waiting.iter_mut().find(|call| call.id == id) {
            change(call);
            return;
        }
        self.records.change_call(id, change);
    }

    /// What has changed since `seen`, as the page takes it.
    pub(super) fn since(&self, seen: u64) -> Value {
        let changed = self.records.iter().filter(|record| record.changed > seen);
        json!({
            "kept": self.records.runs(),
            "sandbox": self.sandbox,
            "records": changed.map(Record::summary).collect::<Vec<_>>(),
        })
    }

    pub(super) fn detail(&self, number: u64) -> Option<Value> {
        self.records.get(number).map(Record::detail)
    }

    pub(super) fn html(&self, number: u64) -> Option<Html> {
        let record = self.records.get(number)?;
        let Kind::Invocation(invocation) = &record.kind else {
            return None;
        };
        let answer = &record.answer()?.request;
        if !answer.is_whole() {
            return None;
        }
        answer::html(answer.bytes(), invocation.is_stream)
    }

    pub(super) fn sandbox(&self) -> Option<u64> {
        self.sandbox
    }

    fn current_sandbox(&mut self) -> Option<(u64, &mut Sandbox)> {
        let number = self.sandbox?;
        match &mut self.records.get_mut(number)?.kind {
            Kind::Sandbox(sandbox) => Some((number, sandbox)),
            Kind::Invocation(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::console::records::{MOST_RECORDS, MOST_WEIGHT};

    fn call(method: &str, path: &str) -> Call {
        let path = format!("/2018-06-01/runtime{path}");
        Call::new(0, method, path, String::new())
    }

    /// An invocation from its event to the end.
    fn invoke(history: &mut History, id: &str, size: usize) {
        let poll = history.called(history.sandbox(), call("GET", "/invocation/next"));
        history.queued(1, id, Source::InvokeApi);
        history.begun(2, id);
        history.responded(3, poll, 200, String::new(), Some(id));
        let path = format!("/invocation/{id}/response");
        let answer = history.called(history.sandbox(), call("POST", &path));
        history.change_call(answer, |call| call.request.take(4, &vec![b'x'; size]));
        history.answered(5, id, None);
        history.responded(5, answer, 202, String::new(), None);
        history.landed(6, id, |_| {});
    }

    #[test]
    fn it_stays_small() {
        let mut history = History::default();
        history.sandbox_began(0);
        history.sandbox_ready(1, Ok(()));
        for number in 0..1000 {
            invoke(&mut history, &format!("small-{number}"), 100);
        }
        assert_eq!(history.records.iter().count(), MOST_RECORDS);
        for number in 0..1000 {
            invoke(&mut history, &format!("large-{number}"), 1 << 20);
        }
        assert!(history.records.weight <= MOST_WEIGHT);
        assert!(
            history.records.iter().count() > 100,
            "{}",
            history.records.iter().count()
        );
        let weights: usize = history.records.iter().map(|record| record.weight).sum();
        assert_eq!(weights, history.records.weight);
        assert!(history.waiting.is_empty() && history.flights.is_empty());
        // The sandbox goes on, and is not dropped for what is over.
        let runs = history.records.runs();
        assert_eq!((runs.len(), runs[0], runs[1][1]), (2, [1, 1], 2001));
    }

    #[test]
    fn what_has_changed_is_told_once() {
        let mut history = History::default();
        let numbers = |told: Value| -> Vec<u64> {
            let records = told["records"].as_array().unwrap().iter();
            records
                .map(|record| record["number"].as_u64().unwrap())
                .collect()
        };
        history.sandbox_began(0);
        invoke(&mut history, "a", 1);
        assert_eq!(numbers(history.since(0)), [1, 2]);
        let seen = history.changes();
        assert!(numbers(history.since(seen)).is_empty());
        invoke(&mut history, "b", 1);
        assert_eq!(numbers(history.since(seen)), [3]);
        let seen = history.changes();
        history.replied("a", 502);
        assert_eq!(numbers(history.since(seen)), [2]);
    }

    #[test]
    fn an_init_is_shown_with_the_first_invocation_alone() {
        let mut history = History::default();
        history.sandbox_began(10);
        history.sandbox_ready(20, Ok(()));
        invoke(&mut history, "a", 1);
        invoke(&mut history, "b", 1);
        let init = |number| {
            let times = history.detail(number).unwrap()["times"].clone();
            (times["initBegan"].as_f64(), times["initEnded"].as_f64())
        };
        assert_eq!(init(2), (Some(0.01), Some(0.02)));
        assert_eq!(init(3), (None, None));
        // One that waited for it within itself has it too, and the next one has not.
        history.queued(30, "c", Source::InvokeApi);
        history.begun(30, "c");
        history.sandbox_began(31);
        history.sandbox_ready(40, Err("Runtime.ExitError".to_owned()));
        history.landed(41, "c", |_| {});
        let times = history.detail(4).unwrap()["times"].clone();
        assert_eq!(times["initEnded"], 0.04);
        assert_eq!(history.init, None);
    }

    #[test]
    fn each_line_goes_where_it_belongs() {
        let mut history = History::default();
        history.line(0, Writer::Note, b"nobody is there yet");
        history.sandbox_began(0);
        history.line(0, Writer::Function, b"of init");
        history.queued(1, "id-a", Source::InvokeApi);
        history.queued(1, "id-b", Source::InvokeApi);
        history.begun(2, "id-a");
        history.line(2, Writer::Function, b"of a, though it names id-b");
        history.begun(3, "id-b");
        history.line(3, Writer::Function, b"{\"requestId\":\"id-b\"}");
        history.line(3, Writer::Function, b"of either");
        history.landed(4, "id-b", |_| {});
        history.landed(4, "id-a", |_| {});
        history.line(5, Writer::Note, b"GET /: id-a: 502 Bad Gateway");
        history.line(5, Writer::Function, b"of nobody, though it names id-a");
        let texts = |number| -> Vec<String> {
            let lines = history.detail(number).unwrap()["log"]["lines"].clone();
            let lines = lines.as_array().unwrap().iter();
            lines
                .map(|line| line[2].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(
            texts(1),
            ["of init", "of either", "of nobody, though it names id-a"]
        );
        assert_eq!(
            texts(2),
            ["of a, though it names id-b", "GET /: id-a: 502 Bad Gateway"]
        );
        assert_eq!(texts(3), ["{\"requestId\":\"id-b\"}"]);
    }

    #[test]
    fn calls_find_their_record() {
        let mut history = History::default();
        history.sandbox_began(0);
        let register = call("POST", "/../2020-01-01/extension/register");
        history.called(Some(1), register);
        invoke(&mut history, "a", 1);
        let late = history.called(Some(1), call("POST", "/invocation/a/response"));
        history.responded(9, late, 410, String::new(), None);
        history.called(Some(1), call("POST", "/invocation/unknown/response"));
        let poll = history.called(Some(1), call("GET", "/invocation/next"));
        history.abandoned(10, poll);
        let paths = |number| -> Vec<String> {
            let calls = history.detail(number).unwrap()["calls"].clone();
            let calls = calls.as_array().unwrap().iter();
            calls
                .map(|call| {
                    call["path"]
                        .as_str()
                        .unwrap()
                        .rsplit('/')
                        .next()
                        .unwrap()
                        .to_owned()
                })
                .collect()
        };
        assert_eq!(paths(1), ["register", "response"]);
        assert_eq!(paths(2), ["next", "response", "response"]);
        assert!(history.waiting.is_empty());
        // What comes too late is no beginning of an answer.
        let mut late = History::default();
        late.queued(0, "x", Source::InvokeApi);
        late.landed(1, "x", |_| {});
        late.called(None, call("POST", "/invocation/x/response"));
        assert_eq!(late.detail(1).unwrap()["times"]["answerBegan"], Value::Null);
    }
}
