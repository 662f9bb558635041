//! One slot: a sequential loop that takes one invocation at a time and keeps one sandbox alive for them.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use rustix::process::Signal;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use crate::local::{
    failure::Failure,
    invocation::{Caller, Queued},
    log::Log,
    options::Function,
    protocol::Handover,
    report::{self, Phase, Report, Status},
    sandbox::{Event, Sandbox},
};

pub(crate) struct Slot {
    function: Function,
    log: Log,
    sandbox: Option<Sandbox>,
    /// Of a successful first init; reported with the first invocation.
    init_duration: Option<Duration>,
    /// Most memory of the present sandbox, in bytes.
    memory_used: u64,
}

/// Why an invocation has no answer of the function's.
enum Broken {
    TimedOut,
    Exited(ExitStatus),
    /// The sandbox could not be made ready: by the function's word, or because it cannot be started.
    Init(Failure),
}

impl Slot {
    pub(crate) fn new(function: Function, log: Log) -> Self {
        Self {
            function,
            log,
            sandbox: None,
            init_duration: None,
            memory_used: 0,
        }
    }

    /// Init, then one invocation after the other, until the queue ends. When the future is dropped, call
    /// [`Slot::stop`]; a sandbox that is being ended at that moment is killed there and then.
    pub(crate) async fn serve(&mut self, invocations: &mut mpsc::UnboundedReceiver<Queued>) {
        let begun = Instant::now();
        // A failure is in the log; the next invocation tries again and tells its caller.
        if self
            .init(begun + self.function.init_limit, Phase::Init)
            .await
            .is_ok()
        {
            self.init_duration = Some(begun.elapsed());
        }
        while let Some(queued) = self.next(invocations).await {
            // A browser whose user reloads has hung up on what still waits; Lambda, which queues nothing, never saw it.
            if !queued.caller.has_gone() {
                self.invoke(queued).await;
            }
        }
    }

    /// Ends the sandbox and all its processes.
    pub(crate) async fn stop(&mut self) {
        if let Some(sandbox) = self.sandbox.take() {
            sandbox.stop().await;
        }
    }

    /// Starts a sandbox and waits until it is ready; kills it when it is not in time.
    async fn init(&mut self, until: Instant, phase: Phase) -> Result<(), Broken> {
        let begun = Instant::now();
        self.memory_used = 0;
        let result = self.start(until).await;
        if let Err(broken) = &result {
            // Before the words on it: what the bootstrap wrote last is mostly the reason.
            match (broken, self.sandbox.take()) {
                (Broken::Init(_), Some(sandbox)) => sandbox.leave().await,
                (_, Some(sandbox)) => sandbox.kill(),
                (_, None) => {}
            }
            let status = match broken {
                Broken::TimedOut => {
                    self.log.note("init failed: the bootstrap did not ask for /runtime/invocation/next in time");
                    Status::Timeout
                }
                Broken::Exited(status) => {
                    self.log
                        .note(format_args!("init failed: the bootstrap ended ({status})"));
                    Status::Error {
                        error_type: "Runtime.ExitError".to_owned(),
                    }
                }
                Broken::Init(failure) => {
                    self.log
                        .note(format_args!("init failed: {}", failure.excerpt()));
                    Status::Error {
                        error_type: failure.error_type.clone(),
                    }
                }
            };
            self.log
                .line(report::init_report(begun.elapsed(), phase, &status));
        }
        result
    }

    async fn start(&mut self, until: Instant) -> Result<(), Broken> {
        let sandbox = Sandbox::start(&self.function, &self.log)
            .await
            .map_err(|error| self.not_started(&error))?;
        // In `self` from now on, so that `stop` finds it when this future is dropped.
        ready(self.sandbox.insert(sandbox), until).await
    }

    fn not_started(&self, error: &io::Error) -> Broken {
        let message = format!(
            "Error: fork/exec {}: {error}",
            self.function.bootstrap.display()
        );
        Broken::Init(Failure::new("Runtime.InvalidEntrypoint", &message))
    }

    /// The next invocation; what happens in the sandbox meanwhile is seen to.
    async fn next(&mut self, invocations: &mut mpsc::UnboundedReceiver<Queued>) -> Option<Queued> {
        loop {
            let Some(sandbox) = &mut self.sandbox else {
                return invocations.recv().await;
            };
            tokio::select! {
                // In this order: an invocation is not given to a bootstrap that is known to be dead.
                biased;
                event = sandbox.event() => if let Event::Exited(status) = event {
                    self.log.note(format_args!("the bootstrap ended between invocations ({status}); the next one starts it again"));
                    self.kill();
                },
                queued = invocations.recv() => return queued,
            }
        }
    }

    fn kill(&mut self) {
        if let Some(sandbox) = self.sandbox.take() {
            sandbox.kill();
        }
    }

    async fn invoke(&mut self, queued: Queued) {
        let Queued {
            invocation,
            mut caller,
        } = queued;
        let id = invocation.request_id.clone();
        let timeout = self.function.timeout;
        let begun = Instant::now();
        let deadline = begun + timeout;
        let unix = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let handover = Handover {
            invocation,
            deadline_ms: (unix + timeout).as_millis(),
        };
        self.log.line(report::start(&id));

        let result = match self.answer(handover, deadline, &mut caller).await {
            Ok(answer) => {
                if let (true, Err(failure)) = (caller.has_begun(), &answer) {
                    self.log.note(format_args!(
                        "{id}: the streamed answer broke off with {}: {}",
                        failure.error_type,
                        failure.excerpt()
                    ));
                }
                // As in Lambda the caller has its answer at once, and the invocation lasts until the runtime asks
                // for the next.
                caller.finish(answer);
                match &mut self.sandbox {
                    Some(sandbox) => ready(sandbox, deadline).await,
                    None => Ok(()),
                }
            }
            Err(broken) => {
                let failure = match &broken {
                    Broken::TimedOut => report::timed_out(&id, timeout),
                    Broken::Exited(status) => report::exited(&id, *status),
                    Broken::Init(failure) => failure.clone(),
                };
                caller.finish(Err(failure));
                Err(broken)
            }
        };

        let duration = begun.elapsed().min(timeout);
        if let Some(sandbox) = &mut self.sandbox {
            sandbox.drain_output();
            self.memory_used = self.memory_used.max(sandbox.memory());
        }
        let status = match result {
            Ok(()) => None,
            Err(broken) => {
                self.kill();
                Some(self.explain(&id, broken))
            }
        };
        self.log.line(report::end(&id));
        let report = Report {
            request_id: &id,
            duration,
            memory_size: self.function.memory,
            memory_used: self.memory_used,
            init_duration: self.init_duration.take(),
            status,
        };
        self.log.line(report.line());
    }

    /// Hands the invocation to the runtime and waits for its last word; of a stream the caller gets the begin.
    async fn answer(
        &mut self,
        mut handover: Handover,
        deadline: Instant,
        caller: &mut Caller,
    ) -> Result<Result<Bytes, Failure>, Broken> {
        if self.sandbox.is_none() {
            self.init(deadline, Phase::Invoke).await?;
        }
        let sandbox = self
            .sandbox
            .as_mut()
            .expect("init leaves a sandbox where it succeeds");
        loop {
            ready(sandbox, deadline).await?;
            match sandbox.hand_over(handover) {
                None => break,
                // It hung up at this very moment, and will ask again or end.
                Some(back) => handover = back,
            }
        }
        loop {
            match timeout_at(deadline, sandbox.event()).await {
                Ok(Event::Answered(result)) => return Ok(result),
                Ok(Event::Begun(begun)) => caller.begin(begun.streamed, begun.control),
                Ok(Event::Ready) => {}
                Ok(Event::InitFailed(failure)) => return Err(Broken::Init(failure)),
                Ok(Event::Exited(status)) => return Err(Broken::Exited(status)),
                Err(_) => return Err(Broken::TimedOut),
            }
        }
    }

    /// Says in the log why an invocation was broken off.
    fn explain(&self, id: &str, broken: Broken) -> Status {
        match broken {
            Broken::TimedOut => {
                self.log.line(report::timed_out_line(
                    SystemTime::now(),
                    id,
                    self.function.timeout,
                ));
                Status::Timeout
            }
            Broken::Exited(status) => {
                let failure = report::exited(id, status);
                let text =
                    serde_json::from_slice::<serde_json::Value>(&failure.body).unwrap_or_default();
                self.log
                    .line(text["errorMessage"].as_str().unwrap_or_default());
                self.log.line(failure.error_type.as_str());
                if status.signal() == Some(Signal::KILL.as_raw()) {
                    self.log.note("killed by SIGKILL, and not by lambda-local: look for the kernel's out-of-memory killer (dmesg)");
                }
                Status::Error {
                    error_type: failure.error_type,
                }
            }
            Broken::Init(failure) => Status::Error {
                error_type: failure.error_type,
            },
        }
    }
}

/// Waits until the runtime waits for an invocation.
async fn ready(sandbox: &mut Sandbox, until: Instant) -> Result<(), Broken> {
    while !sandbox.is_ready() {
        match timeout_at(until, sandbox.event()).await {
            Ok(Event::Ready | Event::Begun(_) | Event::Answered(_)) => {}
            Ok(Event::InitFailed(failure)) => return Err(Broken::Init(failure)),
            Ok(Event::Exited(status)) => return Err(Broken::Exited(status)),
            Err(_) => return Err(Broken::TimedOut),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::local::invocation::{Ids, Invocation, Outcome, Queue};

    #[derive(Clone)]
    struct Written(std::sync::mpsc::Sender<Vec<u8>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_started() {
        let (sender, written) = std::sync::mpsc::channel();
        let log = Log::new(Written(sender)).unwrap();
        let function = Function {
            root: PathBuf::from("/"),
            // Cannot be started, and an invocation comes to an end all the same.
            bootstrap: PathBuf::from("/dev/null"),
            handler: String::new(),
            timeout: Duration::from_secs(60),
            init_limit: Duration::from_secs(10),
            memory: 128,
            env: Vec::new(),
        };
        let mut slot = Slot::new(function, log);
        let (queue, mut invocations) = Queue::new();
        let invocation = || Invocation::new(Ids::new(None).unwrap(), "{}");
        let mut given_up = Box::pin(queue.invoke(invocation()));
        tokio::select! {
            biased;
            _ = &mut given_up => unreachable!("nothing takes it"),
            () = std::future::ready(()) => {}
        }
        drop(given_up);
        let outcome = tokio::select! {
            outcome = queue.invoke(invocation()) => outcome,
            () = slot.serve(&mut invocations) => None,
        };
        assert!(matches!(outcome, Some(Outcome::Failure(_))));
        drop(slot);
        let starts = written
            .iter()
            .filter(|line| line.starts_with(b"START "))
            .count();
        assert_eq!(starts, 1);
    }
}
