//! One record: an invocation, or a sandbox from its start on.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::local::{
    console::{
        answer,
        body::{Kept, Micros, milliseconds},
    },
    report::{Report, Status},
};

/// How many calls of one record are kept.
const MOST_CALLS: usize = 100;

/// How many bytes of a log are kept from its beginning, and how many from its end.
const LOG_HEAD: usize = 192 << 10;
const LOG_TAIL: usize = 64 << 10;

/// Where an invocation comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Http {
        method: String,
        uri: String,
    },
    InvokeApi,
    /// The page's Test button: the event's name, and what the page calls this test.
    Console {
        name: String,
        test: String,
    },
}

/// Who wrote a line of the log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Writer {
    /// START, END, REPORT and the like.
    Lambda,
    /// lambda-local's own words on what happens.
    Note,
    Function,
}

#[derive(Debug)]
pub(super) struct Record {
    /// Ascending, from 1.
    pub(super) number: u64,
    /// The change that was the last one here.
    pub(super) changed: u64,
    pub(super) kind: Kind,
    pub(super) calls: Vec<Call>,
    calls_left_out: u64,
    log: Lines,
    /// How many bytes of memory it takes, about.
    pub(super) weight: usize,
}

#[derive(Debug)]
pub(super) enum Kind {
    Sandbox(Sandbox),
    Invocation(Box<Invocation>),
}

#[derive(Debug)]
pub(super) struct Sandbox {
    pub(super) began: Micros,
    pub(super) ready: Option<Micros>,
    pub(super) failed: Option<String>,
    pub(super) ended: Option<Micros>,
}

#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) request_id: String,
    pub(super) source: Source,
    /// The number of its sandbox.
    pub(super) sandbox: Option<u64>,
    pub(super) queued: Micros,
    pub(super) begun: Option<Micros>,
    /// Of the init that it waited for, or that is reported with it.
    pub(super) init: Option<(Micros, Micros)>,
    pub(super) handed: Option<Micros>,
    pub(super) answer_began: Option<Micros>,
    pub(super) answer_ended: Option<Micros>,
    pub(super) landed: Option<Micros>,
    pub(super) is_stream: bool,
    pub(super) is_given_up: bool,
    pub(super) error_type: Option<String>,
    /// What Lambda says in the place of an answer, where the function said nothing.
    pub(super) failure: Vec<u8>,
    /// What a client of the HTTP side got.
    pub(super) http_status: Option<u16>,
    report: Option<Value>,
}

impl Invocation {
    pub(super) fn new(request_id: &str, source: Source, queued: Micros) -> Self {
        Self {
            request_id: request_id.to_owned(),
            source,
            sandbox: None,
            queued,
            begun: None,
            init: None,
            handed: None,
            answer_began: None,
            answer_ended: None,
            landed: None,
            is_stream: false,
            is_given_up: false,
            error_type: None,
            failure: Vec::new(),
            http_status: None,
            report: None,
        }
    }

    pub(super) fn take_report(&mut self, report: &Report<'_>, memory_used_mb: u64) {
        let status = report.status.as_ref().map(|status| match status {
            Status::Timeout => "timeout",
            Status::Error { .. } => "error",
        });
        self.report = Some(json!({
            "duration": report.duration.as_secs_f64() * 1000.0,
            "billed": report.billed(),
            "memorySize": report.memory_size,
            "memoryUsed": memory_used_mb,
            "cold": report.cold.map(|cold| cold.duration().as_secs_f64() * 1000.0),
            "status": status,
        }));
    }

    fn state(&self) -> &'static str {
        if self.landed.is_some() {
            "over"
        } else if self.is_given_up {
            "givenUp"
        } else if self.answer_ended.is_some() {
            "answered"
        } else if self.answer_began.is_some() {
            "answering"
        } else if self.handed.is_some() {
            "running"
        } else if self.begun.is_some() {
            "starting"
        } else {
            "waiting"
        }
    }
}

/// One call of the Runtime API or of the Extensions API.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: u64,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) began: Micros,
    /// `name: value` lines, as those of the response.
    pub(super) request_headers: String,
    pub(super) request: Kept,
    pub(super) status: Option<u16>,
    pub(super) answered: Option<Micros>,
    pub(super) response_headers: String,
    pub(super) response: Kept,
    /// The connection ended before there was an answer.
    pub(super) is_abandoned: bool,
}

impl Call {
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>()
            + self.path.len()
            + self.request_headers.len()
            + self.response_headers.len()
            + self.request.bytes().len()
            + self.response.bytes().len()
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "method": self.method,
            "path": self.path,
            "began": milliseconds(self.began),
            "requestHeaders": self.request_headers,
            "request": self.request.json(),
            "status": self.status,
            "answered": self.answered.map(milliseconds),
            "responseHeaders": self.response_headers,
            "response": self.response.json(),
            "isAbandoned": self.is_abandoned,
        })
    }
}

impl Record {
    pub(super) fn new(number: u64, kind: Kind) -> Self {
        Self {
            number,
            changed: 0,
            kind,
            calls: Vec::new(),
            calls_left_out: 0,
            log: Lines::default(),
            weight: size_of::<Self>() + size_of::<Invocation>(),
        }
    }

    pub(super) fn invocation(&mut self) -> Option<&mut Invocation> {
        match &mut self.kind {
            Kind::Invocation(invocation) => Some(invocation),
            Kind::Sandbox(_) => None,
        }
    }

    /// Whether nothing more is expected of it.
    pub(super) fn is_over(&self) -> bool {
        match &self.kind {
            Kind::Invocation(invocation) => invocation.landed.is_some() || invocation.is_given_up,
            Kind::Sandbox(sandbox) => sandbox.ended.is_some(),
        }
    }

    /// Gives by how much heavier it is now.
    pub(super) fn take_call(&mut self, call: Call) -> usize {
        if self.calls.len() == MOST_CALLS {
            self.calls_left_out += 1;
            return 0;
        }
        let weight = call.weight();
        self.calls.push(call);
        weight
    }

    /// Gives by how much heavier it is now.
    pub(super) fn take_line(&mut self, now: Micros, writer: Writer, line: &[u8]) -> usize {
        self.log.take(now, writer, line)
    }

    /// What the list shows.
    pub(super) fn summary(&self) -> Value {
        match &self.kind {
            Kind::Sandbox(sandbox) => json!({
                "number": self.number,
                "kind": "sandbox",
                "began": milliseconds(sandbox.began),
                "ready": sandbox.ready.map(milliseconds),
                "failed": sandbox.failed,
                "ended": sandbox.ended.map(milliseconds),
            }),
            Kind::Invocation(invocation) => {
                let (source, label, test) = match &invocation.source {
                    Source::Http { method, uri } => ("http", format!("{method} {uri}"), None),
                    Source::InvokeApi => ("invoke", String::new(), None),
                    Source::Console { name, test } => ("console", name.clone(), Some(test)),
                };
                let times = [
                    ("queued", Some(invocation.queued)),
                    ("begun", invocation.begun),
                    ("initBegan", invocation.init.map(|(began, _)| began)),
                    ("initEnded", invocation.init.map(|(_, ended)| ended)),
                    ("handed", invocation.handed),
                    ("answerBegan", invocation.answer_began),
                    ("answerEnded", invocation.answer_ended),
                    ("landed", invocation.landed),
                ];
                let times: serde_json::Map<_, _> = times
                    .into_iter()
                    .map(|(name, time)| (name.to_owned(), json!(time.map(milliseconds))))
                    .collect();
                json!({
                    "number": self.number,
                    "kind": "invocation",
                    "requestId": invocation.request_id,
                    "source": source,
                    "label": label,
                    "test": test,
                    "sandbox": invocation.sandbox,
                    "state": invocation.state(),
                    "times": times,
                    "isStream": invocation.is_stream,
                    "errorType": invocation.error_type,
                    "httpStatus": invocation.http_status,
                    "statusCode": self.answer().and_then(|call| answer::status_code(call.request.bytes())),
                    "report": invocation.report,
                })
            }
        }
    }

    /// All that is kept.
    pub(super) fn detail(&self) -> Value {
        let mut detail = self.summary();
        detail["calls"] = self.calls.iter().map(Call::json).collect();
        detail["callsLeftOut"] = json!(self.calls_left_out);
        detail["log"] = self.log.json();
        if let Kind::Invocation(invocation) = &self.kind {
            detail["failure"] = json!(String::from_utf8_lossy(&invocation.failure));
        }
        detail
    }

    /// The call that brought the answer: the first one, as Lambda takes no other.
    pub(super) fn answer(&self) -> Option<&Call> {
        self.calls
            .iter()
            .find(|call| call.method == "POST" && call.path.ends_with("/response"))
    }
}

/// The lines of a log: the first ones, and the last ones where they are many, since there stands what it came to.
#[derive(Debug, Default)]
struct Lines {
    head: Vec<Line>,
    head_size: usize,
    tail: VecDeque<Line>,
    tail_size: usize,
    left_out: u64,
    /// The most that it has weighed so far.
    weight: usize,
}

#[derive(Debug)]
struct Line {
    at: Micros,
    writer: Writer,
    text: Box<[u8]>,
}

impl Line {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.text.len()
    }

    fn json(&self) -> Value {
        let writer = match self.writer {
            Writer::Lambda => "lambda",
            Writer::Note => "note",
            Writer::Function => "function",
        };
        json!([
            milliseconds(self.at),
            writer,
            String::from_utf8_lossy(&self.text)
        ])
    }
}

impl Lines {
    fn take(&mut self, now: Micros, writer: Writer, text: &[u8]) -> usize {
        // One line alone must not be larger than all that there is room for.
        let text = &text[..text.len().min(LOG_TAIL / 2)];
        let line = Line {
            at: now,
            writer,
            text: text.into(),
        };
        let weight = line.weight();
        if self.tail.is_empty() && self.head_size + weight <= LOG_HEAD {
            self.head_size += weight;
            self.head.push(line);
        } else {
            self.tail_size += weight;
            self.tail.push_back(line);
            while self.tail_size > LOG_TAIL {
                let Some(oldest) = self.tail.pop_front() else {
                    break;
                };
                self.tail_size -= oldest.weight();
                self.left_out += 1;
            }
        }
        let before = self.weight;
        self.weight = before.max(self.head_size + self.tail_size);
        self.weight - before
    }

    fn json(&self) -> Value {
        json!({
            "lines": self.head.iter().map(Line::json).collect::<Vec<_>>(),
            "leftOut": self.left_out,
            "lastLines": self.tail.iter().map(Line::json).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_log_the_beginning_and_the_end_are_kept() {
        let mut lines = Lines::default();
        let mut weight = 0;
        for number in 0..100_000 {
            let line = format!("line {number}");
            weight += lines.take(number, Writer::Function, line.as_bytes());
        }
        lines.take(100_000, Writer::Lambda, b"REPORT");
        assert!(weight <= LOG_HEAD + LOG_TAIL, "{weight}");
        let json = lines.json();
        let [first, last] = ["lines", "lastLines"].map(|name| json[name].as_array().unwrap());
        assert_eq!(first[0], json!([0.0, "function", "line 0"]));
        assert_eq!(last.last(), Some(&json!([100.0, "lambda", "REPORT"])));
        let left_out = json["leftOut"].as_u64().unwrap();
        assert_eq!(first.len() + last.len() + left_out as usize, 100_001);
    }

    #[test]
    fn one_endless_line_leaves_room_for_others() {
        let mut lines = Lines::default();
        let long = vec![b'x'; 256 << 10];
        for _ in 0..20 {
            lines.take(0, Writer::Function, &long);
        }
        lines.take(0, Writer::Lambda, b"END");
        let json = lines.json();
        assert_eq!(
            json["lastLines"].as_array().unwrap().last().unwrap()[2],
            "END"
        );
        assert!(lines.head_size + lines.tail_size <= LOG_HEAD + LOG_TAIL);
    }

    #[test]
    fn calls_without_end_are_counted() {
        let mut record = Record::new(
            1,
            Kind::Invocation(Box::new(Invocation::new("id", Source::InvokeApi, 0))),
        );
        for id in 0..1000 {
            record.take_call(Call {
                id,
                method: "GET".to_owned(),
                path: "/".to_owned(),
                began: 0,
                request_headers: String::new(),
                request: Kept::default(),
                status: None,
                answered: None,
                response_headers: String::new(),
                response: Kept::default(),
                is_abandoned: false,
            });
        }
        let detail = record.detail();
        assert_eq!(detail["calls"].as_array().unwrap().len(), MOST_CALLS);
        assert_eq!(detail["callsLeftOut"], 1000 - MOST_CALLS as u64);
    }
}
