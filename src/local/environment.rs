//! An execution environment: one sandbox that is kept alive, and the invocations in flight in it.
//!
//! One loop waits for whatever happens first: the runtime's next call, the bootstrap's end, a deadline, another
//! invocation. Bodies do not come by here, so nothing else has to wait.

use std::{
    future::Future,
    mem,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, timeout_at},
};

use crate::local::{
    broken::Broken,
    console::recorder::Recorder,
    failure::Failure,
    function::Function,
    init,
    initialization::Initialization,
    invocation::{Caller, Queued},
    log::Log,
    protocol::{self, call::Handover},
    report::{self, Cold, Phase, Report, Status},
    sandbox::{Event, Sandbox},
};

pub(crate) struct Environment {
    function: Function,
    log: Log,
    recorder: Recorder,
    /// Somebody wants a new sandbox.
    restart: Arc<Notify>,
    sandbox: Option<Sandbox>,
    /// Oldest first; their deadlines are in the same order.
    flights: Vec<Flight>,
    /// Reported with the first invocation.
    cold: Option<Cold>,
    /// Most memory of the present sandbox, in bytes.
    memory_used: u64,
}

/// An invocation in flight.
struct Flight {
    request_id: String,
    caller: Caller,
    begun: Instant,
    /// The caller has its answer; the runtime has not asked for the next invocation yet.
    is_answered: bool,
}

/// What the loop waits for.
enum Next {
    Restart,
    Happened(Event),
    Queued(Option<Queued>),
}

impl Environment {
    pub(crate) fn new(
        function: Function,
        log: Log,
        recorder: Recorder,
        restart: Arc<Notify>,
    ) -> Self {
        Self {
            function,
            log,
            recorder,
            restart,
            sandbox: None,
            flights: Vec::new(),
            cold: None,
            memory_used: 0,
        }
    }

    /// Init, then invocations, until the queue ends. When the future is dropped, call [`Environment::stop`]; a sandbox
    /// that is being ended at that moment is killed there and then.
    pub(crate) async fn serve(&mut self, invocations: &mut mpsc::UnboundedReceiver<Queued>) {
        self.init_ahead().await;
        loop {
            let deadline = self
                .flights
                .first()
                .map(|flight| flight.begun + self.function.timeout);
            match before(deadline, self.next(invocations)).await {
                Some(Next::Happened(event)) => self.happened(event).await,
                // A browser whose user reloads has hung up on what still waits; Lambda, which queues nothing, never
                // saw it.
                Some(Next::Queued(Some(queued))) if queued.caller.has_gone() => {
                    self.recorder.gave_up(&queued.invocation.request_id);
                }
                Some(Next::Queued(Some(queued))) => self.begin(queued).await,
                Some(Next::Queued(None)) => return,
                Some(Next::Restart) => {
                    self.log
                        .note("the sandbox ends, and another one starts, as the console was told");
                    self.stop().await;
                    self.init_ahead().await;
                }
                None => self.time_out().await,
            }
        }
    }

    /// Ends the sandbox and all its processes.
    pub(crate) async fn stop(&mut self) {
        if let Some(sandbox) = self.sandbox.take() {
            sandbox.stop().await;
            self.recorder.sandbox_ended();
        }
    }

    /// What happens next in the sandbox, or the next invocation where there is room for it. Cancel-safe, as each branch
    /// is.
    async fn next(&mut self, invocations: &mut mpsc::UnboundedReceiver<Queued>) -> Next {
        let has_room = self.has_room();
        let happened = async {
            match &mut self.sandbox {
                Some(sandbox) => sandbox.event().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // In this order: an invocation is not given to a bootstrap that is known to be dead.
            biased;
            event = happened => Next::Happened(event),
            () = self.restart.notified(), if self.flights.is_empty() => Next::Restart,
            queued = invocations.recv(), if has_room => Next::Queued(queued),
        }
    }

    /// Whether the next invocation may begin. Lambda turns away what a runtime has no free loop for; here it waits in
    /// the queue.
    fn has_room(&self) -> bool {
        let is_awaited = self.sandbox.as_ref().is_some_and(Sandbox::is_ready);
        self.flights.is_empty()
            || self.flights.len() < self.function.initialization.concurrency() && is_awaited
    }

    async fn happened(&mut self, event: Event) {
        match event {
            // Whichever loop asks, the one that was answered first is over. Managed Instances have none of these: there
            // an invocation is over with its answer, as it is not known whose loop asks.
            Event::Called(protocol::Event::Ready) => {
                let answered = |flight: &Flight| flight.is_answered;
                if let Some(position) = self.flights.iter().position(answered) {
                    self.land(position);
                }
            }
            // Of init, which is over.
            Event::Called(protocol::Event::Snapshot | protocol::Event::ExtensionStarted) => {}
            Event::Called(protocol::Event::Begun { request_id, begun }) => {
                if let Some(position) = self.position(&request_id) {
                    self.recorder.streams(&request_id);
                    let caller = &mut self.flights[position].caller;
                    caller.begin(begun.streamed, begun.control);
                }
            }
            Event::Called(protocol::Event::Answered { request_id, result }) => {
                if let Some(position) = self.position(&request_id) {
                    self.answered(position, result);
                }
            }
            Event::Called(protocol::Event::InitFailed(failure)) => {
                self.crash(&Broken::Init(failure)).await;
            }
            Event::Exited(status) if self.flights.is_empty() => {
                self.log.note(format_args!("the bootstrap ended between invocations ({status}); the next one starts it again"));
                self.stop().await;
            }
            Event::Exited(status) => self.crash(&Broken::Exited(status)).await,
        }
    }

    fn is_managed(&self) -> bool {
        let initialization = self.function.initialization;
        matches!(initialization, Initialization::ManagedInstances { .. })
    }

    fn position(&self, request_id: &str) -> Option<usize> {
        self.flights
            .iter()
            .position(|flight| flight.request_id == request_id)
    }

    async fn begin(&mut self, queued: Queued) {
        let Queued { invocation, caller } = queued;
        let request_id = invocation.request_id.clone();
        let mut is_ready = Ok(());
        // Whose init is no part of an invocation.
        if self.sandbox.is_none() && self.function.initialization != Initialization::OnDemand {
            let until = Instant::now() + self.function.init_limit;
            is_ready = self
                .init(until, Phase::Init)
                .await
                .map(|cold| self.cold = cold);
        }
        // What was written up to now belongs to what came before.
        if let Some(sandbox) = &mut self.sandbox {
            sandbox.drain_output();
        }
        self.recorder.begun(&request_id);
        self.log.line(report::start(&request_id));
        let begun = Instant::now();
        let unix = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        if self.sandbox.is_none() && self.function.initialization == Initialization::OnDemand {
            let deadline = begun + self.function.timeout;
            is_ready = self.init(deadline, Phase::Invoke).await.map(drop);
        }
        self.flights.push(Flight {
            request_id,
            caller,
            begun,
            is_answered: false,
        });
        match (is_ready, &mut self.sandbox) {
            (Ok(()), Some(sandbox)) => sandbox.hand_over(Handover {
                invocation,
                deadline_ms: (unix + self.function.timeout).as_millis(),
            }),
            (Ok(()), None) => {}
            (Err(broken), _) => self.crash(&broken).await,
        }
    }

    /// Makes a sandbox ready that no invocation waits for. A failure is in the log; the next invocation tries again and
    /// tells its caller.
    async fn init_ahead(&mut self) {
        let until = Instant::now() + self.function.init_limit;
        self.cold = self.init(until, Phase::Init).await.ok().flatten();
    }

    /// Makes the sandbox ready.
    async fn init(&mut self, until: Instant, phase: Phase) -> Result<Option<Cold>, Broken> {
        self.memory_used = 0;
        self.recorder.sandbox_began();
        let Self {
            sandbox,
            function,
            log,
            recorder,
            ..
        } = self;
        let result = init::init(sandbox, function, log, recorder, until, phase).await;
        self.recorder.sandbox_ready(match &result {
            Ok(_) => Ok(()),
            Err(broken) => Err(broken.status().name().to_owned()),
        });
        if result.is_err() {
            self.recorder.sandbox_ended();
        }
        result
    }

    fn answered(&mut self, position: usize, result: Result<Bytes, Failure>) {
        let flight = &mut self.flights[position];
        if let (true, Err(failure)) = (flight.caller.has_begun(), &result) {
            self.log.note(format_args!(
                "{}: the streamed answer broke off with {}: {}",
                flight.request_id,
                failure.error_type,
                failure.excerpt()
            ));
        }
        self.recorder
            .answered(&flight.request_id, result.as_ref().err());
        // As in Lambda the caller has its answer at once, and the invocation lasts until the runtime asks for the next.
        flight.caller.finish(result);
        flight.is_answered = true;
        if self.is_managed() {
            self.land(position);
        }
    }

    /// The oldest invocation has had its time, which ends the sandbox. Only Managed Instances do not enforce it: the
    /// caller gets the error, the code runs on beside the others, and its late answer is refused
    /// (docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-execution-environment.html). The same goes for a
    /// runtime that is not ours to kill.
    async fn time_out(&mut self) {
        if !self.is_managed() && self.function.runtime_api.is_none() {
            return self.crash(&Broken::TimedOut).await;
        }
        let mut flight = self.flights.remove(0);
        if let Some(sandbox) = &mut self.sandbox {
            sandbox.time_out(&flight.request_id);
        }
        self.fail(&mut flight, &Broken::TimedOut);
        let duration = self.function.timeout;
        self.measure();
        let status = Broken::TimedOut.explain(&self.log, &flight.request_id, duration);
        self.report(&flight.request_id, duration, Some(status));
    }

    /// An invocation ends well.
    fn land(&mut self, position: usize) {
        let flight = self.flights.remove(position);
        let duration = flight.begun.elapsed().min(self.function.timeout);
        self.measure();
        self.report(&flight.request_id, duration, None);
    }

    /// The sandbox ends, and all invocations in flight with it.
    async fn crash(&mut self, broken: &Broken) {
        let mut flights = mem::take(&mut self.flights);
        for flight in &mut flights {
            self.fail(flight, broken);
        }
        let now = Instant::now();
        self.measure();
        self.stop().await;
        for flight in flights {
            let duration = (now - flight.begun).min(self.function.timeout);
            let status = broken.explain(&self.log, &flight.request_id, self.function.timeout);
            self.report(&flight.request_id, duration, Some(status));
        }
    }

    /// Tells the caller, unless the answer is out already.
    fn fail(&self, flight: &mut Flight, broken: &Broken) {
        let failure = broken.failure(&flight.request_id, self.function.timeout);
        if !flight.is_answered {
            self.recorder.answered(&flight.request_id, Some(&failure));
        }
        flight.caller.finish(Err(failure));
    }

    /// Before an invocation is reported: what it wrote comes first, and counts are taken.
    fn measure(&mut self) {
        if let Some(sandbox) = &mut self.sandbox {
            sandbox.drain_output();
            self.memory_used = self.memory_used.max(sandbox.memory());
        }
    }

    fn report(&mut self, request_id: &str, duration: Duration, status: Option<Status>) {
        self.log.line(report::end(request_id));
        let report = Report {
            request_id,
            duration,
            memory_size: self.function.memory,
            memory_used: self.memory_used,
            cold: self.cold.take(),
            status,
        };
        self.log.line(report.line());
        self.recorder.landed(&report);
    }
}

/// What the future comes to, unless the deadline is over before.
async fn before<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::local::{
        invocation::{Ids, Invocation, Outcome, Queue},
        log,
    };

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_started() {
        let (log, written) = log::tests::channel();
        let function = Function {
            root: PathBuf::from("/"),
            // Cannot be started, and an invocation comes to an end all the same.
            bootstrap: PathBuf::from("/dev/null"),
            runtime_api: None,
            handler: String::new(),
            timeout: Duration::from_secs(60),
            init_limit: Duration::from_secs(10),
            restore_limit: Duration::from_secs(10),
            initialization: Initialization::OnDemand,
            memory: 128,
            env: Vec::new(),
        };
        let recorder = Recorder::new().unwrap();
        let mut environment = Environment::new(function, log, recorder, Arc::default());
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
            () = environment.serve(&mut invocations) => None,
        };
        assert!(matches!(outcome, Some(Outcome::Failure(_))));
        drop(environment);
        let starts = written
            .iter()
            .filter(|line| line.starts_with(b"START "))
            .count();
        assert_eq!(starts, 1);
    }
}
