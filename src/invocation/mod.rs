//! One invocation from event to answer: the only place with a deadline, and the only one that decides on errors.

mod command;
mod reply;
mod static_file;

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep_until, timeout_at};

use self::command::Command;
use self::reply::Reply;
use self::static_file::StaticFile;
use crate::cgi::params::{Params, Script, of_event, of_request, run_by};
use crate::config::StatusCodes;
use crate::console::Console;
use crate::event::Event;
use crate::event::answer::largest;
use crate::failure::Failure;
use crate::fastcgi::connection::Error;
use crate::log::{Context, Level, Log};
use crate::runtime_api::delivery::{Delivery, HungUp, delivery};
use crate::runtime_api::{Error as ApiError, Invocation, RuntimeApi};
use crate::site::{Site, Target};
use crate::slot::{Slot, encode};

/// What is the same for every invocation of a function.
pub struct Function {
    /// Answers HTTP requests.
    pub handler: Handler,
    /// Answers every other event; `None`: a site without a script for them.
    pub event_script: Option<Script>,
    /// Runs the commands that events ask for.
    pub console: Option<Console>,
    /// Answers are streamed where the event's sender may have asked for it.
    pub streams: bool,
    /// How long before Lambda's deadline a script is stopped.
    pub timeout_margin: Duration,
    /// An answer with one of these fails the invocation.
    pub error_status_codes: StatusCodes,
    /// The worker is replaced after so many requests.
    pub max_requests: Option<u64>,
    /// The function's log.
    pub log: Log,
}

/// What the function's handler is.
pub enum Handler {
    /// One script, whatever the path is.
    Script(Script),
    /// A folder with scripts and other files.
    Site(Site),
}

/// Answers one invocation, and leaves the slot idle. An error of the Runtime API is logged here, unless it is fatal.
pub async fn run(
    function: &Function,
    slot: &mut Slot,
    api: &RuntimeApi,
    invocation: &Invocation,
) -> Result<(), ApiError> {
    let deadline = Deadline::of(invocation, function.timeout_margin);
    let context = invocation.log_context();
    slot.set_context(context.clone());

    let (mut delivery, post) = delivery();
    let work = async {
        let answered = answer(
            function,
            slot,
            invocation,
            &deadline,
            &context,
            &mut delivery,
        )
        .await;
        if slot.is_asked() {
            slot.drain().await;
        }
        if let Err(failure) = &answered {
            function
                .log
                .write(&context, Level::Error, &failure.for_log());
        }
        // a stream that Lambda does not take ends with Lambda's deadline
        deadline.lambdas_own(delivery.finish(answered)).await;
        // the call comes before what follows
        tokio::task::yield_now().await;
        slot.settle(deadline.at).await
    };
    // the answer is on its way while it is made, if it is streamed, and while the worker's end is waited for
    let (posted, is_settled) = tokio::join!(post.run(api, invocation, deadline.lambdas), work);
    if !is_settled {
        let message = "The PHP worker was not done at the deadline, or died, after the answer had been sent \
            or was taken no longer (fastcgi_finish_request, shutdown functions, ignore_user_abort): it was replaced.";
        function.log.write(&context, Level::Warn, message);
    }
    slot.recycle(function.max_requests).await;
    slot.set_context(Context::default());
    if let Err(error @ (ApiError::Refused(_) | ApiError::Unreachable(_))) = &posted {
        function
            .log
            .write(&context, Level::Error, &error.to_string());
    }
    posted
}

/// When the script must be done.
pub struct Deadline {
    /// `None`: Lambda named no deadline.
    at: Option<Instant>,
    /// When Lambda gives the invocation up.
    lambdas: Option<Instant>,
    /// What the script has in all.
    budget: Duration,
}

impl Deadline {
    /// `margin` before Lambda's.
    pub fn of(invocation: &Invocation, margin: Duration) -> Deadline {
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
            lambdas: left.map(|left| Instant::now() + left),
            budget,
        }
    }

    /// Gives up what is not done when Lambda gives up.
    async fn lambdas_own(&self, work: impl Future<Output = ()>) {
        match self.lambdas {
            Some(at) => timeout_at(at, work).await.unwrap_or_default(),
            None => work.await,
        }
    }

    /// Waits for it, and says what it means.
    pub async fn failed(&self) -> Failure {
        self.passed().await;
        Failure::Timeout(self.budget)
    }

    async fn passed(&self) {
        match self.at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

/// From the event to the document that is posted, which is empty where the answer was streamed. The worker may still be at
/// work behind it.
async fn answer(
    function: &Function,
    slot: &mut Slot,
    invocation: &Invocation,
    deadline: &Deadline,
    context: &Context,
    delivery: &mut Delivery,
) -> Result<Vec<u8>, Failure> {
    let event = Event::decode(&invocation.event).map_err(Failure::InvalidEvent)?;
    let lambda = invocation.context();
    match (&event, &function.console) {
        (Event::Cli(cli), Some(console)) => {
            let command = Command {
                console,
                log: function.log,
                context,
                deadline,
            };
            command.run(cli, slot.ini(), &lambda).await
        }
        (Event::Http(dialect, request), _) => {
            let is_head = request.method.eq_ignore_ascii_case(b"HEAD");
            let reply = Reply::new(function, context, Some((*dialect, is_head)));
            let script = match &function.handler {
                Handler::Script(script) => Cow::Borrowed(script),
                Handler::Site(site) => match site.find(request).map_err(static_file::unreadable)? {
                    Target::Script(script) => Cow::Owned(script),
                    Target::Static(target) => {
                        let file = StaticFile {
                            site,
                            request,
                            deadline,
                            limit: largest(*dialect),
                        };
                        return file.send(target, reply, delivery).await;
                    }
                },
            };
            let params = of_request(request, &script, &lambda);
            let body = request.body.as_deref().unwrap_or_default();
            run_script(slot, deadline, &params, body, reply, delivery).await
        }
        (Event::Cli(_) | Event::Other, _) => {
            let Some(script) = &function.event_script else {
                return Err(Failure::NoSuchHandler(
                    "The event is no HTTP request, and the handler is a folder without an index.php. \
                     Set PHP_LAMBDA_EVENT_HANDLER to the script for such events."
                        .to_owned(),
                ));
            };
            let runner = slot.event_runner()?;
            let mut params = of_event(&invocation.event, script, &lambda);
            run_by(&runner, &mut params);
            let reply = Reply::new(function, context, None);
            run_script(slot, deadline, &params, &invocation.event, reply, delivery).await
        }
    }
}

/// Has the slot's worker run a script, and ends the worker where it comes to no answer.
async fn run_script(
    slot: &mut Slot,
    deadline: &Deadline,
    params: &Params<'_>,
    body: &[u8],
    mut reply: Reply<'_>,
    delivery: &mut Delivery,
) -> Result<Vec<u8>, Failure> {
    let request = encode(params)?;

    let mut attempt = 1;
    loop {
        let talk = async {
            slot.ready().await.map_err(Ended::NotReady)?;
            let fpm_exited = slot.fpm_exited();
            tokio::select! {
                biased;
                talk = reply.read(slot, request.clone(), body, delivery) => talk,
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
            Ok(()) => return reply.finish(),
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
            // as for any client that is gone: settling closes the connection, PHP notices when it prints, and ends the script
            // unless that wants to go on
            Err(Ended::HungUp) => return Ok(Vec::new()),
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
    /// Lambda takes no more of the stream.
    HungUp,
}

impl From<Error> for Ended {
    fn from(error: Error) -> Ended {
        Ended::Talk(error)
    }
}

impl From<HungUp> for Ended {
    fn from(HungUp: HungUp) -> Ended {
        Ended::HungUp
    }
}
