//! How a sandbox comes about: init, and with SnapStart the restore that follows.

use std::{io, time::Duration};

use rustix::io::Errno;
use tokio::time::{Instant, timeout_at};

use crate::local::{
    broken::Broken,
    console::recorder::Recorder,
    failure::Failure,
    function::Function,
    initialization::Initialization,
    log::Log,
    protocol,
    report::{self, Cold, Phase},
    sandbox::{Event, Sandbox},
};

/// Starts a sandbox and waits until the runtime waits for an invocation; ends it when that is not before `until`. It is
/// in `place` from its start on, so that it can be ended when this future is dropped.
pub(crate) async fn init(
    place: &mut Option<Sandbox>,
    function: &Function,
    log: &Log,
    recorder: &Recorder,
    until: Instant,
    phase: Phase,
) -> Result<Option<Cold>, Broken> {
    let begun = Instant::now();
    if let Err(broken) = start(place, function, log, recorder, until).await {
        // Before the words on it: what the bootstrap wrote last is mostly the reason.
        end(place, &broken).await;
        let late =
            "the bootstrap, or an extension that it registered, did not ask for /next in time";
        log.note(failed("init", late, &broken));
        let status = broken.status();
        log.line(report::init_report(begun.elapsed(), phase, Some(&status)));
        return Err(match phase {
            Phase::Init => not_in_time(broken, "Init", function.init_limit),
            Phase::Invoke => broken,
        });
    }
    let duration = begun.elapsed();
    if function.initialization == Initialization::OnDemand {
        return Ok(matches!(phase, Phase::Init).then_some(Cold::Init(duration)));
    }
    log.line(report::init_report(duration, phase, None));
    if function.initialization == Initialization::SnapStart {
        return restore(place, function, log).await.map(Some);
    }
    Ok(None)
}

async fn start(
    place: &mut Option<Sandbox>,
    function: &Function,
    log: &Log,
    recorder: &Recorder,
    until: Instant,
) -> Result<(), Broken> {
    let sandbox = Sandbox::start(function, log, recorder)
        .await
        .map_err(|error| {
            if let Some(advice) = advice(&error) {
                log.note(advice);
            }
            not_started(function, &error)
        })?;
    wait_for(place.insert(sandbox), Sandbox::is_initialized, until).await
}

/// Plays the other half of SnapStart's life cycle. A snapshot of processes is not to be had here, so the very ones that
/// were initialised go on: what must not be shared between sandboxes is not found out this way, the rest is.
async fn restore(
    place: &mut Option<Sandbox>,
    function: &Function,
    log: &Log,
) -> Result<Cold, Broken> {
    log.note("init is complete: Lambda would take the snapshot now; here the same processes go on, as if restored");
    log.line(report::restore_start());
    let begun = Instant::now();
    let result = match place {
        Some(sandbox) => {
            sandbox.restore();
            wait_for(sandbox, Sandbox::is_ready, begun + function.restore_limit).await
        }
        None => Ok(()),
    };
    let Err(broken) = result else {
        let duration = begun.elapsed();
        log.line(report::restore_report(duration, None));
        return Ok(Cold::Restore(duration));
    };
    end(place, &broken).await;
    let late = "the bootstrap did not ask for /runtime/invocation/next in time";
    log.note(failed("restore", late, &broken));
    let status = broken.status();
    log.line(report::restore_report(begun.elapsed(), Some(&status)));
    Err(not_in_time(broken, "Restore", function.restore_limit))
}

/// The note on an init or a restore; `late` is what is wrong where its time was over.
fn failed(what: &str, late: &str, broken: &Broken) -> String {
    match broken {
        Broken::TimedOut => format!("{what} failed: {late}"),
        Broken::Exited(status) => format!("{what} failed: the bootstrap ended ({status})"),
        Broken::Init(failure) => format!("{what} failed: {}", failure.excerpt()),
    }
}

/// Ends what is not ready. A bootstrap that said so itself has a moment to exit.
async fn end(place: &mut Option<Sandbox>, broken: &Broken) {
    match (broken, place.take()) {
        (Broken::Init(_), Some(sandbox)) => sandbox.leave().await,
        (_, Some(sandbox)) => sandbox.stop().await,
        (_, None) => {}
    }
}

async fn wait_for(
    sandbox: &mut Sandbox,
    is_there: impl Fn(&Sandbox) -> bool,
    until: Instant,
) -> Result<(), Broken> {
    while !is_there(sandbox) {
        match timeout_at(until, sandbox.event()).await {
            Ok(Event::Called(protocol::Event::InitFailed(failure))) => {
                return Err(Broken::Init(failure));
            }
            Ok(Event::Called(_)) => {}
            Ok(Event::Exited(status)) => return Err(Broken::Exited(status)),
            Err(_) => return Err(Broken::TimedOut),
        }
    }
    Ok(())
}

/// A time-out of its own is told as such: that of an invocation is another.
fn not_in_time(broken: Broken, what: &str, limit: Duration) -> Broken {
    match broken {
        Broken::TimedOut => {
            let seconds = limit.as_secs_f64();
            let message = format!("Error: {what} timed out after {seconds:.2} seconds");
            Broken::Init(Failure::new("Sandbox.Timedout", &message))
        }
        other => other,
    }
}

/// In the words of Lambda, which are those of the Go runtime.
fn not_started(function: &Function, error: &io::Error) -> Broken {
    let words = error.to_string();
    let words = words.split(" (os error").next().unwrap_or_default();
    let message = format!(
        "Error: fork/exec {}: {}",
        function.bootstrap.display(),
        words.to_lowercase()
    );
    Broken::Init(Failure::new("Runtime.InvalidEntrypoint", &message))
}

/// What to do about it, where it is known.
fn advice(error: &io::Error) -> Option<&'static str> {
    if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) {
        return Some(
            "the kernel cannot run the bootstrap: a script has to begin with a #! line, such as #!/bin/sh, and a program \
             has to be one for this machine's processor",
        );
    }
    match error.kind() {
        io::ErrorKind::PermissionDenied => Some(
            "the bootstrap lacks its run bit for everybody: chmod 0755 bootstrap, then zip again",
        ),
        io::ErrorKind::NotFound => Some(
            "what the bootstrap's #! line names is not there; with line ends of Windows its name ends in a carriage return",
        ),
        _ => None,
    }
}
