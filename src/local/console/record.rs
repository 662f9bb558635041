//! One record: an invocation, or a sandbox from its start on.

use serde_json::{Value, json};

use crate::local::{
    console::{
        answer,
        body::{Micros, milliseconds},
        call::Call,
        log::{Lines, Writer},
    },
    report::{Report, Status},
};

/// How many calls of one record are kept.
const MOST_CALLS: usize = 100;

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
        self.calls.iter().find(|call| call.is_response())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_without_end_are_counted() {
        let mut record = Record::new(
            1,
            Kind::Invocation(Box::new(Invocation::new("id", Source::InvokeApi, 0))),
        );
        for id in 0..1000 {
            let mut call = Call::new(0, "GET", "/".to_owned(), String::new());
            call.id = id;
            record.take_call(call);
        }
        let detail = record.detail();
        assert_eq!(detail["calls"].as_array().unwrap().len(), MOST_CALLS);
        assert_eq!(detail["callsLeftOut"], 1000 - MOST_CALLS as u64);
    }
}
