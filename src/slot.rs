//! A slot: one worker of php-fpm and the connection to it. An invocation has a slot for itself.

use std::borrow::Cow;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use crate::cgi::head::Parser;
use crate::cgi::params::Params;
use crate::console::Ini;
use crate::failure::Failure;
use crate::fastcgi::connection::{Connection, Error};
use crate::fastcgi::record::{ParamTooLong, Part, encode_request};
use crate::fpm::master_line::WorkerExit;
use crate::fpm::settings::PING_PATH;
use crate::fpm::{AtWork, Fpm, StartError};
use crate::log::Context;

/// How long a master that is about to end gets to do so.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a worker that is started again may take to its first answer.
const SLOW: Duration = Duration::from_secs(5);

/// How long the warm-up of such a worker may take: as long as Lambda gives to all of a start.
const SLOW_WARM_UP: Duration = Duration::from_secs(10);

/// A worker that is idle behind its answer says so within this time.
const AT_ONCE: Duration = Duration::from_millis(1);

/// How often what died is started again in a row.
const ATTEMPTS: u32 = 3;

/// One worker and the connection to it.
pub struct Slot {
    fpm: Rc<Fpm>,
    index: usize,
    connection: Option<Connection>,
    /// Requests that the present worker has answered.
    served: u64,
    /// The records of the request that a new worker gets first.
    warmup: Option<Vec<u8>>,
    /// Whether the next worker is not warmed up.
    stays_cold: bool,
    /// Whether the worker got a request in this invocation.
    is_asked: bool,
    /// While the slot is in an invocation.
    at_work: Option<AtWork>,
}

impl Slot {
    /// The slot with this number; nothing is connected yet. `warmup` comes from [`encode`] and has no body.
    pub fn new(fpm: Rc<Fpm>, index: usize, warmup: Option<Vec<u8>>) -> Slot {
        Slot {
            fpm,
            index,
            connection: None,
            served: 0,
            warmup,
            stays_cold: false,
            is_asked: false,
            at_work: None,
        }
    }

    /// Makes sure that php-fpm runs and that the worker is idle: it has answered on the connection that the next request takes.
    ///
    /// Cheap when nothing happened since the last time. What dies on the way is started again, a few times, and never at the
    /// cost of an invocation in another slot; an error means that php-fpm cannot be started, and at the first start it comes
    /// at once.
    pub async fn ready(&mut self) -> Result<(), Failure> {
        let mut attempt = 1;
        loop {
            if !self.fpm.is_running() {
                self.connection = None;
                self.fpm.ensure_running().await.map_err(not_started)?;
            }
            if self
                .connection
                .as_ref()
                .is_some_and(Connection::is_reusable)
            {
                return Ok(());
            }
            if !self.fpm.has_answered() {
                return self.start().await;
            }
            let connected = timeout(SLOW, self.connect()).await;
            let is_silent = connected.is_err();
            let failure = match connected {
                Ok(Ok(is_new)) => {
                    if is_new && !self.warm_up_again().await {
                        continue;
                    }
                    return Ok(());
                }
                Ok(Err(failure)) => failure,
                Err(_) => not_started(StartError("it does not answer".to_owned())),
            };
            match attempt {
                ATTEMPTS => return Err(failure),
                // it died once more, as can happen when memory is short
                1 if !is_silent => {}
                1 if self.fpm.has_worker(self.index) => self.kill().await,
                // its socket was removed, or the master is stopped
                _ => self.replace_php_fpm().await,
            }
            attempt += 1;
        }
    }

    /// Puts a new worker into the place of the present one, after a restore from a snapshot: its warm-up is the hook that
    /// applications have there, and must not fail.
    pub async fn renew(&mut self) -> Result<(), Failure> {
        self.kill().await;
        self.connect().await?;
        self.warm_up().await
    }

    /// From here on the slot is in an invocation: php-fpm's master is not taken from under it.
    pub fn begin(&mut self) {
        self.at_work = Some(self.fpm.begin_work());
        self.is_asked = false;
    }

    /// Whether the worker got a request in this invocation: a static file needs none.
    pub fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// The invocation is over.
    pub fn end(&mut self) {
        self.at_work = None;
    }

    /// PHP's version, once the slot is ready; `None` where php-fpm does not tell.
    ///
    /// A php-fpm that hides its version (`expose_php`) is told to show it for one ping.
    pub async fn php_version(&mut self) -> Option<String> {
        let shown = self.ping(None).await.ok()?;
        if shown.is_some() {
            return shown;
        }
        let version = self.ping(Some("expose_php=1")).await.ok()?;
        self.ping(Some("expose_php=0")).await.ok()?;
        version
    }

    /// The connection of a slot that is ready, for the request of an invocation.
    pub fn connection(&mut self) -> &mut Connection {
        self.is_asked = true;
        self.connected()
    }

    fn connected(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("ready() connected it")
    }

    /// The path of the PHP file that runs the script of an event that is no HTTP request.
    pub fn event_runner(&self) -> Result<String, Failure> {
        let runner = self.fpm.event_runner();
        runner.map_err(|error| Failure::EventRunnerUnavailable(error.to_string()))
    }

    /// Gives the connection up: the next [`Slot::ready`] makes a new one.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    /// The settings of the workers for a command of the console.
    pub fn ini(&self) -> io::Result<Ini> {
        let (file, scan_dir) = self.fpm.command_ini()?;
        Ok(Ini { file, scan_dir })
    }

    /// Whose lines the worker's output is from here on.
    pub fn set_context(&self, context: Context) {
        self.fpm.set_context(self.index, context);
    }

    /// Waits until everything that the worker has written is in the log.
    pub async fn drain(&self) {
        self.fpm.drain(self.index).await;
    }

    /// Waits until php-fpm's master has ended, and says how.
    pub fn fpm_exited(&self) -> impl Future<Output = String> + use<> {
        let fpm = self.fpm.clone();
        async move { fpm.exited().await }
    }

    /// Kills the worker with everything that it started and drains its output.
    pub async fn kill(&mut self) {
        self.connection = None;
        self.served = 0;
        self.fpm.kill_worker(self.index).await;
    }

    /// What became of a worker that closed its connection in mid-request.
    pub async fn cause_of_death(&mut self) -> Failure {
        self.connection = None;
        self.served = 0;
        let exit = self.fpm.worker_exit(self.index).await;
        let failure = match exit {
            _ if !self.fpm.is_running() => Failure::PhpFpmExited(self.fpm.exited().await),
            Some(WorkerExit::Signal(9, _)) => Failure::OutOfMemory,
            Some(exit) => Failure::WorkerCrashed(exit.to_string()),
            None => Failure::WorkerCrashed("closed the connection".to_owned()),
        };
        self.fpm.drain(self.index).await;
        self.fpm.forget_worker(self.index);
        failure
    }

    /// Waits until the worker is done with a request that has its answer: `fastcgi_finish_request()` lets a script go on
    /// behind it. False: it was not done at `deadline`, or died. True at once when it was killed already, or was never asked.
    pub async fn settle(&mut self, deadline: Option<Instant>) -> bool {
        if !self.is_asked {
            return true;
        }
        // the answer is to be on its way first
        tokio::task::yield_now().await;
        let begun = Instant::now();
        let idle = self.idle();
        let is_settled = match deadline {
            Some(deadline) => timeout_at(deadline, idle).await.unwrap_or(false),
            None => idle.await,
        };
        self.served += 1;
        if !is_settled {
            self.kill().await;
        } else if begun.elapsed() > AT_ONCE {
            // something ran behind the answer, and may have written
            self.drain().await;
        } else {
            self.fpm.drain_pipes(self.index);
        }
        is_settled
    }

    /// Waits until the worker is done with the request that it has answered. False: it has died. True at once when it was
    /// killed already.
    async fn idle(&mut self) -> bool {
        let Some(connection) = &self.connection else {
            return true;
        };
        let is_reusable = connection.is_reusable();
        self.fpm.answered(self.index);
        // in the socket's backlog a new connection waits until the worker is free; if it is another one's, that has died
        if !is_reusable && !matches!(self.connect().await, Ok(false)) {
            return false;
        }
        match self.fpm.says_when_idle(self.index) {
            true => self.fpm.idle(self.index).await,
            false if is_reusable => self.ping(None).await.is_ok(),
            false => true,
        }
    }

    /// Replaces the worker when it has served so many requests.
    pub async fn recycle(&mut self, max_requests: Option<u64>) {
        if max_requests.is_some_and(|max| self.served >= max) {
            self.kill().await;
        }
    }

    /// The first of all starts.
    async fn start(&mut self) -> Result<(), Failure> {
        self.connect().await?;
        let warm = self.warm_up().await;
        if warm.is_err() {
            self.connection = None;
        }
        warm
    }

    /// Connects and waits for the first answer, or for the end of php-fpm. True: the worker is new, and not warmed up yet.
    async fn connect(&mut self) -> Result<bool, Failure> {
        self.connection = None;
        let is_first_start = !self.fpm.has_answered();
        let fpm = self.fpm.clone();
        let answered = async {
            let socket = self.fpm.socket(self.index);
            self.connection = Some(Connection::open(&socket).await?);
            self.ping(None).await
        };
        let answered = tokio::select! {
            biased;
            answered = answered => answered.map_err(|error| StartError(error.to_string())),
            exit = fpm.exited() => Err(StartError(format!("it {exit}"))),
        };
        if answered.is_err() && is_first_start {
            // a worker that closes its connection at the start is mostly the sign of a master that ends
            let _ = timeout(PATIENCE, fpm.exited()).await;
        }
        if let Some(error) = self.fpm.start_error().or(answered.err()) {
            self.connection = None;
            return Err(not_started(error));
        }
        let is_new = self.fpm.adopt_worker(self.index);
        if is_new {
            self.served = 0;
        }
        Ok(is_new)
    }

    /// Kills php-fpm for [`Slot::ready`] to start another, as soon as no other slot is in an invocation: these come first.
    async fn replace_php_fpm(&mut self) {
        // else two slots in this place would wait for one another
        let was_at_work = self.at_work.take().is_some();
        if self.fpm.is_at_work() {
            self.fpm.warn(
                "A worker cannot be started: its slot waits until no other one is in an invocation, and php-fpm is then started again.",
            );
        }
        self.fpm.kill_when_idle().await;
        if was_at_work {
            self.begin();
        }
    }

    /// Warms a worker up that is in the place of another. False: it did not live through that, and the next one stays cold: the
    /// warm-up worked before, and a cold worker is better than none.
    async fn warm_up_again(&mut self) -> bool {
        if std::mem::take(&mut self.stays_cold) {
            return true;
        }
        let failure = match timeout(SLOW_WARM_UP, self.warm_up()).await {
            Ok(Ok(())) => return true,
            Ok(Err(failure)) => failure,
            Err(_) => {
                self.kill().await;
                let how = format!("took more than {} s", SLOW_WARM_UP.as_secs());
                Failure::WarmupFailed(how)
            }
        };
        self.fpm.warn(&failure.to_string());
        self.stays_cold = self.connection.is_none();
        !self.stays_cold
    }

    /// Runs the warm-up script in a worker that is new.
    async fn warm_up(&mut self) -> Result<(), Failure> {
        let Some(request) = self.warmup.clone() else {
            return Ok(());
        };
        let mut parser = Parser::default();
        let mut status = None;
        let mut exchange = self.connected().request(request, b"");
        let talk = loop {
            match exchange.next().await {
                Ok(Part::Stdout(bytes)) if status.is_none() => match parser.push(bytes) {
                    Ok(head) => status = head.map(|(head, _)| head.status),
                    // what it prints is dropped anyway
                    Err(_) => status = Some(200),
                },
                Ok(Part::Stdout(_) | Part::Stderr(_)) => {}
                Ok(Part::End) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let died = match talk {
            Err(_) => Some("did not end"),
            Ok(()) if !self.idle().await => Some("did not end behind its answer"),
            Ok(()) => None,
        };
        if let Some(how) = died {
            let cause = self.cause_of_death().await.to_string();
            let how = format!("{how}: {}", cause.trim_end_matches('.'));
            return Err(Failure::WarmupFailed(how));
        }
        self.drain().await;
        match status {
            Some(status @ 500..) => Err(Failure::WarmupFailed(format!(
                "answered with the HTTP status {status}"
            ))),
            _ => Ok(()),
        }
    }

    /// Asks the worker itself, without running any PHP; PHP's version where it is shown.
    async fn ping(&mut self, admin_value: Option<&str>) -> Result<Option<String>, Error> {
        let pairs = [
            ("SCRIPT_NAME", PING_PATH),
            ("SCRIPT_FILENAME", PING_PATH),
            ("REQUEST_METHOD", "GET"),
        ];
        let pairs = pairs
            .into_iter()
            .chain(admin_value.map(|value| ("PHP_ADMIN_VALUE", value)));
        let head = encode_request(pairs.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        let mut exchange = self
            .connected()
            .request(head.expect("these are short"), b"");
        let mut output = Vec::new();
        loop {
            match exchange.next().await? {
                Part::Stdout(bytes) => output.extend_from_slice(bytes),
                Part::Stderr(_) => {}
                Part::End => break,
            }
        }
        self.fpm.answered(self.index);
        let output = String::from_utf8_lossy(&output);
        let version = output
            .lines()
            .find_map(|line| line.strip_prefix("X-Powered-By: PHP/"));
        Ok(version.map(str::to_owned))
    }
}

/// The request's records up to its body.
pub fn encode(params: &Params<'_>) -> Result<Vec<u8>, Failure> {
    let pairs = params
        .iter()
        .map(|(name, value): &(Cow<'_, [u8]>, Cow<'_, [u8]>)| (&**name, &**value));
    encode_request(pairs).map_err(|ParamTooLong { name, len }| {
        Failure::InvalidRequest(format!(
            "{name} has {len} bytes, and PHP takes 65528 in one variable. Send less in one header or query string."
        ))
    })
}

fn not_started(StartError(text): StartError) -> Failure {
    Failure::PhpFpmStartFailed(text)
}
