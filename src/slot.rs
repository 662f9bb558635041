//! A slot: one worker of php-fpm and the connection to it. An invocation has a slot for itself.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use crate::cgi::head::Parser;
use crate::cgi::params::Params;
use crate::failure::Failure;
use crate::fastcgi::connection::{Connection, Error};
use crate::fastcgi::record::{ParamTooLong, Part, encode_request};
use crate::fpm::master_line::WorkerExit;
use crate::fpm::settings::PING_PATH;
use crate::fpm::{Fpm, StartError};
use crate::log::Context;

/// How long a master that is about to end gets to do so.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a worker that is started again, and its warm-up, may take.
const SLOW: Duration = Duration::from_secs(5);

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
    /// Whether any worker of this slot was ever ready.
    was_ready: bool,
    /// The records of the request that a new worker gets first.
    warmup: Option<Vec<u8>>,
}

impl Slot {
    /// The slot with this number; nothing is connected yet. `warmup` comes from [`encode`] and has no body.
    pub fn new(fpm: Rc<Fpm>, index: usize, warmup: Option<Vec<u8>>) -> Slot {
        Slot {
            fpm,
            index,
            connection: None,
            served: 0,
            was_ready: false,
            warmup,
        }
    }

    /// Makes sure that php-fpm runs and that the worker is idle: it has answered on the connection that the next request takes.
    ///
    /// Cheap when nothing happened since the last time. What dies on the way is started again, a few times; an error means
    /// that php-fpm cannot be started, and at the first start it comes at once.
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
                return self.connect().await;
            }
            // the first worker of a slot may take as long as that of the first slot: it keeps nobody waiting
            let connected = match self.was_ready {
                true => timeout(SLOW, self.connect()).await,
                false => Ok(self.connect().await),
            };
            match connected {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(failure)) if attempt == ATTEMPTS => return Err(failure),
                Err(_) if attempt == ATTEMPTS => {
                    return Err(not_started(StartError("it does not answer".to_owned())));
                }
                // its worker died once more, as can happen when memory is short
                Ok(Err(_)) if attempt == 1 => {}
                // its socket was removed, or it is stopped: only a new php-fpm helps
                Ok(Err(_)) | Err(_) => self.fpm.kill().await,
            }
            attempt += 1;
        }
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

    /// The connection of a slot that is ready.
    pub fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("ready() connected it")
    }

    /// Gives the connection up: the next [`Slot::ready`] makes a new one.
    pub fn disconnect(&mut self) {
        self.connection = None;
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
    /// behind it. False: it was not done at `deadline`, or died. True at once when it was killed already.
    pub async fn settle(&mut self, deadline: Option<Instant>) -> bool {
        // the answer is to be on its way first
        tokio::task::yield_now().await;
        let begun = Instant::now();
        let pong = async {
            match &self.connection {
                None => true,
                Some(connection) if connection.is_reusable() => self.ping(None).await.is_ok(),
                // waits in the socket's backlog until the worker is free
                Some(_) => self.connect().await.is_ok(),
            }
        };
        let is_settled = match deadline {
            Some(deadline) => timeout_at(deadline, pong).await.unwrap_or(false),
            None => pong.await,
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

    /// Replaces the worker when it has served so many requests.
    pub async fn recycle(&mut self, max_requests: Option<u64>) {
        if max_requests.is_some_and(|max| self.served >= max) {
            self.kill().await;
        }
    }

    /// Connects and waits for the first answer, or for the end of php-fpm; a new worker is warmed up.
    async fn connect(&mut self) -> Result<(), Failure> {
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
        if self.fpm.adopt_worker(self.index) {
            self.served = 0;
            self.warm_up(is_first_start).await?;
        }
        self.was_ready = true;
        Ok(())
    }

    /// Runs the warm-up script in a worker that is new.
    async fn warm_up(&mut self, is_first_start: bool) -> Result<(), Failure> {
        let Some(request) = self.warmup.clone() else {
            return Ok(());
        };
        let mut parser = Parser::default();
        let mut status = None;
        let mut exchange = self.connection().request(request, b"");
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
        if talk.is_err() {
            let cause = self.cause_of_death().await;
            return Err(Failure::WarmupFailed(format!("did not end: {cause}")));
        }
        self.drain().await;
        match status {
            Some(status @ 500..) => {
                let failure =
                    Failure::WarmupFailed(format!("answered with the HTTP status {status}"));
                if is_first_start {
                    self.connection = None;
                    return Err(failure);
                }
                // it worked before: a cold worker is better than none
                self.fpm.warn(&failure.to_string());
                Ok(())
            }
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
            .connection()
            .request(head.expect("these are short"), b"");
        let mut output = Vec::new();
        loop {
            match exchange.next().await? {
                Part::Stdout(bytes) => output.extend_from_slice(bytes),
                Part::Stderr(_) => {}
                Part::End => break,
            }
        }
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
