//! One sandbox: a bootstrap, what it writes, and a Runtime API that is its alone.
//!
//! Each sandbox has a port of its own. What a killed one still had on its way can therefore never be taken for a
//! call of the next one.

use std::{
    io,
    net::Ipv4Addr,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use axum::serve::ListenerExt;
use tokio::{net::TcpListener, sync::mpsc, task::AbortHandle, time::timeout};

use crate::local::{
    calls::Calls,
    console::{recorder::Recorder, tap::tap},
    extensions_api,
    failure::Failure,
    function::Function,
    initialization::Initialization,
    invocation,
    log::Log,
    output::Output,
    process::Process,
    protocol::{
        self, Protocol,
        call::{Call, Handover},
    },
    runtime_api, watched,
};

/// How long the bootstrap may take to end by itself before it is killed. Lambda gives a runtime with an internal extension
/// 500 ms, and one without any extension no time and no signal
/// (docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html, shutdown phase).
const SHUTDOWN: Duration = Duration::from_millis(500);

pub(crate) struct Sandbox {
    /// None where somebody else plays the runtime.
    process: Option<Process>,
    output: Output,
    protocol: Protocol,
    calls: mpsc::UnboundedReceiver<Call>,
    server: AbortHandle,
}

/// What happens in a sandbox.
#[derive(Debug)]
pub(crate) enum Event {
    /// The runtime made a call.
    Called(protocol::Event),
    /// The bootstrap ended.
    Exited(ExitStatus),
}

impl Sandbox {
    /// Starts the bootstrap.
    pub(crate) async fn start(
        function: &Function,
        log: &Log,
        recorder: &Recorder,
    ) -> io::Result<Self> {
        let listener = match &function.runtime_api {
            Some(listener) => {
                let listener = listener.try_clone()?;
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener)?
            }
            None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
        };
        let address = listener.local_addr()?;
        let log_stream = format!("[$LATEST]{}", invocation::random_hex()?);
        let (output, write_end) = Output::new(log.clone())?;
        let mut command = Command::new(&function.bootstrap);
        command
            .current_dir(&function.root)
            .env_clear()
            .envs(environment(function))
            // Not the user's to choose: what the runtime talks to, and what its processes are recognised by.
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_LOG_STREAM_NAME", &log_stream)
            .stdin(Stdio::null())
            .stdout(write_end.try_clone()?)
            .stderr(write_end);
        let process = match function.runtime_api {
            Some(_) => None,
            None => Some(Process::start(
                &mut command,
                format!("AWS_LAMBDA_LOG_STREAM_NAME={log_stream}"),
            )?),
        };
        let has_snapshots = function.initialization == Initialization::SnapStart;
        let (caller, calls) = Calls::new();
        let handler = function.handler.clone();
        let mut router = runtime_api::router(caller.clone(), has_snapshots, log.clone())
            .merge(extensions_api::router(caller, handler, log.clone()));
        router = tap(router, recorder);
        if function.runtime_api.is_some() {
            router = watched::watch(router, log.clone());
        }
        let listener = listener.tap_io(|stream| {
            // Best effort: without it an answer is only later, not wrong.
            let _ = stream.set_nodelay(true);
        });
        let server =
            tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Ok(Self {
            process,
            output,
            protocol: Protocol::new(function.initialization.concurrency()),
            calls,
            server,
        })
    }

    /// Waits for the next event; the output is handed on meanwhile. Cancel-safe, as each branch is.
    pub(crate) async fn event(&mut self) -> Event {
        let Self {
            process,
            output,
            protocol,
            calls,
            ..
        } = self;
        loop {
            let call = tokio::select! {
                // Each of the two has its turn, so that output without end delays no call.
                () = output.forward() => continue,
                call_or_end = call_or_end(calls, process) => match call_or_end {
                    Ok(call) => call,
                    Err(end) => return end,
                },
            };
            if let Some(event) = protocol.take(call) {
                return Event::Called(event);
            }
        }
    }

    /// Whether init is complete.
    pub(crate) fn is_initialized(&self) -> bool {
        self.protocol.is_initialized()
    }

    /// Whether the runtime waits for an invocation.
    pub(crate) fn is_ready(&self) -> bool {
        self.protocol.is_ready()
    }

    /// Tells a runtime that waits for it that it was restored.
    pub(crate) fn restore(&mut self) {
        self.protocol.restore();
    }

    /// Gives the runtime an invocation, now or with its next call of `/next`.
    pub(crate) fn hand_over(&mut self, handover: Handover) {
        self.protocol.hand_over(handover);
    }

    /// The deadline of an invocation is over: an answer that still comes is refused.
    pub(crate) fn time_out(&mut self, request_id: &str) {
        self.protocol.time_out(request_id);
    }

    /// Hands on what was written up to now, so that it stands before the lines that end an invocation.
    pub(crate) fn drain_output(&mut self) {
        self.output.drain();
    }

    /// Estimated peak of the memory of all processes, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.process.as_ref().map_or(0, Process::memory)
    }

    /// Ends everything as Lambda does: the bootstrap is asked to end where an extension has registered, and all that is
    /// left is killed. What it still calls is refused.
    pub(crate) async fn stop(mut self) {
        self.calls.close();
        while self.calls.try_recv().is_ok() {}
        if self.protocol.has_extensions() {
            if let Some(process) = &self.process {
                process.terminate();
            }
            self.leave().await;
        }
    }

    /// Lets the bootstrap end by itself for a moment (it has said that it will), then kills what is left.
    pub(crate) async fn leave(mut self) {
        let exited = async { while !matches!(self.event().await, Event::Exited(_)) {} };
        // Being late is no error: the kill follows either way.
        let _ = timeout(SHUTDOWN, exited).await;
    }
}

impl Drop for Sandbox {
    /// Kills everything. Whoever has the sandbox answers for its end, a future that is dropped in the middle of
    /// [`Sandbox::leave`] too.
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill_all();
        }
        // Only now has everybody written what they will.
        self.output.finish();
        self.server.abort();
    }
}

/// The next call, else the bootstrap's end: what it called before that counts.
async fn call_or_end(
    calls: &mut mpsc::UnboundedReceiver<Call>,
    process: &mut Option<Process>,
) -> Result<Call, Event> {
    let end = async {
        match process {
            Some(process) => process.wait().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        Some(call) = calls.recv() => Ok(call),
        exit = end => Err(match exit {
            Ok(status) => Event::Exited(status),
            // waitpid fails for a child that somebody else has waited for, and nothing here does.
            Err(error) => {
                let message = format!("cannot wait for the bootstrap: {error}");
                let failure = Failure::new("Runtime.Unknown", &message);
                Event::Called(protocol::Event::InitFailed(failure))
            }
        }),
    }
}

/// Lambda's environment variables, then the user's. Nothing of lambda-local's own environment is inherited: a function
/// that works here only because of the developer's shell would fail in Lambda.
fn environment(function: &Function) -> Vec<(String, String)> {
    let root = function.root.display();
    let lambda = [
        ("_HANDLER", function.handler.clone()),
        ("LAMBDA_TASK_ROOT", root.to_string()),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime".to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", "function".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        (
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            function.memory.to_string(),
        ),
        (
            "AWS_LAMBDA_LOG_GROUP_NAME",
            "/aws/lambda/function".to_owned(),
        ),
        (
            "AWS_LAMBDA_INITIALIZATION_TYPE",
            function.initialization.name().to_owned(),
        ),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
        ("TZ", ":UTC".to_owned()),
        ("LANG", "en_US.UTF-8".to_owned()),
        ("PATH", "/usr/local/bin:/usr/bin/:/bin:/opt/bin".to_owned()),
        (
            "LD_LIBRARY_PATH",
            format!(
                "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:{root}:{}:/opt/lib",
                Path::new(&function.root).join("lib").display()
            ),
        ),
    ];
    let managed = match function.initialization {
        Initialization::ManagedInstances { concurrency } => vec![
            ("AWS_LAMBDA_MAX_CONCURRENCY", concurrency.to_string()),
            // The only log format that they have
            // (docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html).
            ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
        ],
        Initialization::OnDemand | Initialization::SnapStart => Vec::new(),
    };
    lambda
        .into_iter()
        .chain(managed)
        .map(|(key, value)| (key.to_owned(), value))
        .chain(function.env.iter().cloned())
        .collect()
}
