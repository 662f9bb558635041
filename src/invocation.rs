//! One invocation from event to answer: the only place with a deadline, and the only one that decides on errors.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep_until};

use crate::cgi::head::{Head, InvalidHead, Parser};
use crate::cgi::params::{Script, of_event, of_request};
use crate::config::StatusCodes;
use crate::event::answer::Answer;
use crate::event::{Dialect, Event, limits};
use crate::failure::Failure;
use crate::fastcgi::connection::Error;
use crate::fastcgi::record::Part;
use crate::log::{Context, Level, Log};
use crate::runtime_api::{Error as ApiError, Invocation, RuntimeApi};
use crate::slot::{Slot, encode};

/// What is the same for every invocation of a function.
pub struct Function {
    /// Answers HTTP requests.
    pub script: Script,
    /// Answers every other event.
    pub event_script: Script,
    /// How long before Lambda's deadline a script is stopped.
    pub timeout_margin: Duration,
    /// An answer with one of these fails the invocation.
    pub error_status_codes: StatusCodes,
    /// The worker is replaced after so many requests.
    pub max_requests: Option<u64>,
    /// The function's log.
    pub log: Log,
}

/// Answers one invocation, and leaves the slot idle. An error of the Runtime API that is not fatal is logged here.
pub async fn run(
    function: &Function,
    slot: &mut Slot,
    api: &RuntimeApi,
    invocation: &Invocation,
) -> Result<(), ApiError> {
    let deadline = Deadline::of(invocation, function.timeout_margin);
    let context = Context {
        request_id: Some(invocation.request_id.clone()),
        tenant_id: invocation.tenant_id.clone(),
    };
    slot.set_context(context.clone());

    let answered = answer(function, slot, invocation, &deadline, &context).await;
    slot.drain().await;
    let post = async {
        match answered {
            Ok(document) => api.respond(invocation, document).await,
            Err(failure) => {
                let text = format!("{}: {failure}", failure.error_type());
                function.log.write(&context, Level::Error, &text);
                api.fail(invocation, &failure).await
            }
        }
    };
    // the answer is on its way while the worker's end is waited for
    let (posted, is_settled) = tokio::join!(post, slot.settle(deadline.at));
    if !is_settled {
        let message = "The PHP worker was not done at the deadline, or died, after the answer had been sent \
            (fastcgi_finish_request, shutdown functions): it was replaced.";
        function.log.write(&context, Level::Warn, message);
    }
    slot.recycle(function.max_requests).await;
    slot.set_context(Context::default());
    match posted {
        Err(ApiError::Refused(text)) => {
            function.log.write(&context, Level::Error, &text);
            Ok(())
        }
        other => other,
    }
}

/// When the script must be done; `None`: Lambda named no deadline.
struct Deadline {
    at: Option<Instant>,
    /// What the script has in all.
    budget: Duration,
}

impl Deadline {
    fn of(invocation: &Invocation, margin: Duration) -> Deadline {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let left = invocation
            .deadline_ms
            .map(|deadline| Duration::from_millis(deadline).saturating_sub(now));
        // of a time-out that is hardly longer than the margin, half is the script's
        let budget = left
            .map(|left| left.saturating_sub(margin).max(left / 2))
            .unwrap_or_default();
        Deadline {
            at: left.map(|_| Instant::now() + budget),
            budget,
        }
    }

    async fn passed(&self) {
        match self.at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

/// From the event to the document that is posted. The worker may still be at work behind it.
async fn answer(
    function: &Function,
    slot: &mut Slot,
    invocation: &Invocation,
    deadline: &Deadline,
    context: &Context,
) -> Result<Vec<u8>, Failure> {
    let event = Event::decode(&invocation.event).map_err(Failure::InvalidEvent)?;
    let lambda = invocation.context();
    let (params, body, mut reply) = match &event {
        Event::Http(dialect, request) => {
            let is_head = request.method.eq_ignore_ascii_case(b"HEAD");
            let params = of_request(request, &function.script, &lambda);
            (
                params,
                request.body.as_deref().unwrap_or_default(),
                Reply::new(Some((*dialect, is_head))),
            )
        }
        Event::Other => (
            of_event(&invocation.event, &function.event_script, &lambda),
            &invocation.event[..],
            Reply::new(None),
        ),
    };
    let request = encode(&params)?;

    let mut attempt = 1;
    loop {
        let talk = async {
            slot.ready().await.map_err(Ended::NotReady)?;
            let fpm_exited = slot.fpm_exited();
            tokio::select! {
                biased;
                talk = reply.read(slot, request.clone(), body, function.log, context) => talk.map_err(Ended::Talk),
                exit = fpm_exited => Err(Ended::FpmExited(exit)),
            }
        };
        // either branch may be dropped: the worker is killed then, and the connection given up
        let ended = tokio::select! {
            biased;
            ended = talk => ended,
            () = deadline.passed() => Err(Ended::Deadline),
        };
        match ended {
            Ok(()) => return reply.finish(function, context),
            Err(Ended::NotReady(failure)) => return Err(failure),
            // the worker had died while it was idle; it never saw the request
            Err(Ended::Talk(Error::NotSent(_))) if attempt == 1 => {
                attempt += 1;
                slot.disconnect();
            }
            Err(Ended::Talk(Error::Protocol(error))) => {
                slot.kill().await;
                let how = format!("sent what is not FastCGI ({})", error.0);
                return Err(Failure::WorkerCrashed(how));
            }
            Err(Ended::Talk(Error::Closed | Error::NotSent(_))) => {
                return Err(slot.cause_of_death().await);
            }
            // the worker goes on without its master; nothing of it may reach the next request
            Err(Ended::FpmExited(exit)) => {
                slot.kill().await;
                return Err(Failure::PhpFpmExited(exit));
            }
            Err(Ended::Deadline) => {
                slot.kill().await;
                return Err(Failure::Timeout(deadline.budget));
            }
        }
    }
}

/// Why a request has no whole answer.
enum Ended {
    NotReady(Failure),
    Talk(Error),
    FpmExited(String),
    Deadline,
}

/// PHP's output while it comes.
struct Reply {
    /// The dialect and whether it was a HEAD request; `None`: no HTTP.
    http: Option<(Dialect, bool)>,
    parser: Parser,
    head: Option<Head>,
    answer: Answer,
    invalid: Option<InvalidHead>,
}

impl Reply {
    fn new(http: Option<(Dialect, bool)>) -> Reply {
        Reply {
            http,
            parser: Parser::default(),
            head: None,
            answer: Answer::verbatim(),
            invalid: None,
        }
    }

    /// Sends the request and takes the whole output.
    async fn read(
        &mut self,
        slot: &mut Slot,
        request: Vec<u8>,
        body: &[u8],
        log: Log,
        context: &Context,
    ) -> Result<(), Error> {
        let mut exchange = slot.connection().request(request, body);
        loop {
            match exchange.next().await? {
                Part::Stdout(bytes) => self.push(bytes),
                Part::Stderr(bytes) => log.php(context, bytes.trim_ascii_end()),
                Part::End => return Ok(()),
            }
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.head.is_some() {
            return self.answer.push(bytes);
        }
        if self.invalid.is_some() {
            return;
        }
        match self.parser.push(bytes) {
            Ok(None) => {}
            Ok(Some((head, body_start))) => {
                if let Some((dialect, is_head)) = self.http {
                    self.answer = Answer::new(dialect, &head, is_head);
                }
                self.head = Some(head);
                self.answer.push(&bytes[body_start..]);
            }
            Err(invalid) => self.invalid = Some(invalid),
        }
    }

    fn finish(self, function: &Function, context: &Context) -> Result<Vec<u8>, Failure> {
        if let Some(InvalidHead(line)) = self.invalid {
            return Err(Failure::InvalidHeaders(line));
        }
        let Some(head) = self.head else {
            let what = if self.parser.is_empty() {
                "no output at all"
            } else {
                "a header block without an end"
            };
            return Err(Failure::InvalidHeaders(what.to_owned()));
        };
        // nobody reads the status of an answer to a queue or a schedule: there it has to fail the invocation
        let fails = function.error_status_codes.contains(head.status)
            || (self.http.is_none() && head.status >= 500);
        if fails {
            return Err(Failure::HttpStatus(head.status));
        }
        if let Some((dialect, len)) = self.answer.dialect() {
            for warning in limits::warnings(dialect, &head, len) {
                function.log.write(context, Level::Warn, &warning);
            }
        }
        self.answer.finish().map_err(Failure::ResponseTooLarge)
    }
}
