//! The life of the process: configure, start php-fpm, report ready, answer invocations until Lambda ends it.

mod backoff;
mod function;
mod resource_limits;
mod secrets;

use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};

use self::backoff::Failures;
use self::function::function_of;
use crate::config::{Config, Invalid};
use crate::failure::Failure;
use crate::fpm::{Fpm, StartError};
use crate::invocation::{self, Deadline, Function};
use crate::log::{Context, Level, Log};
use crate::runtime_api::{Error, Invocation, RuntimeApi};
use crate::slot::Slot;

/// Lambda gives 300 ms between SIGTERM and SIGKILL: what an invocation under way gets of them.
const SHUTDOWN_INVOCATION: Duration = Duration::from_millis(180);

/// What php-fpm gets of them.
const SHUTDOWN_FPM: Duration = Duration::from_millis(60);

/// Runs the bootstrap with what [`Config::read`] found, until Lambda ends it. Call it from the main thread.
pub fn run(config: Result<Config, Invalid>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime without threads needs an epoll descriptor alone");
    LocalSet::new().block_on(&runtime, async {
        // before anything is made that would have to be cleared away
        let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
        match config {
            Ok(config) => serve(config, &mut terminate).await,
            Err(invalid) => {
                let log = Log {
                    format: invalid.log_format,
                    level: Level::Trace,
                };
                let api = invalid.runtime_api.as_deref().map(RuntimeApi::new);
                let failure = Failure::InvalidConfiguration(invalid);
                fail_start(log, api.as_ref(), None, failure, &mut terminate).await
            }
        }
    })
}

async fn serve(config: Config, terminate: &mut Signal) -> ExitCode {
    let log = Log {
        format: config.log_format,
        level: config.log_level,
    };
    resource_limits::apply(config.slots);
    let (mut function, warmup, mut settings) = match function_of(&config, log) {
        Ok(all) => all,
        Err(failure) => {
            let api = RuntimeApi::new(&config.runtime_api);
            return fail_start(log, Some(&api), None, failure, terminate).await;
        }
    };
    let mut prelude = None;
    let environment = match secrets::literal(&config) {
        Some(environment) => environment,
        None => match secrets::fetch(&config, log, terminate).await {
            Ok(fetched) => prelude.insert(fetched).environment.clone(),
            Err(exit) => return exit,
        },
    };
    settings.environment = environment.clone();
    if let Some(console) = &mut function.console {
        console.environment = environment;
    }
    // php-fpm takes longest: it comes first, and the rest happens while it starts
    let started = Fpm::start(settings, log);
    let (mut api, registration, mut first_invocation) = match prelude {
        Some(prelude) => (prelude.api, Some(prelude.registration), prelude.invocation),
        None => (RuntimeApi::new(&config.runtime_api), None, None),
    };
    let fpm = match started {
        Ok(fpm) => Rc::new(fpm),
        Err(StartError(text)) => {
            let failure = Failure::PhpFpmStartFailed(text);
            let first = first_invocation.as_ref();
            return fail_start(log, Some(&api), first, failure, terminate).await;
        }
    };
    let mut slots: Vec<Slot> = (0..config.slots)
        .map(|index| Slot::new(fpm.clone(), index, warmup.clone()))
        .collect();

    let init = async {
        let first = &mut slots[0];
        // a poll from before a snapshot would be a connection that outlives it
        let register = async {
            match registration {
                Some(registered) => registered,
                None if config.is_snap_start => None,
                None => api.register_extension().await,
            }
        };
        let (extension, ready) = tokio::join!(register, first.ready());
        ready?;
        Ok((extension, first.php_version().await))
    };
    let deadline = first_invocation
        .as_ref()
        .map(|invocation| Deadline::of(invocation, config.timeout_margin));
    let passed = async {
        match &deadline {
            Some(deadline) => deadline.failed().await,
            None => std::future::pending().await,
        }
    };
    let initialized: Result<_, Failure> = tokio::select! {
        initialized = init => initialized,
        timeout = passed => Err(timeout),
        _ = terminate.recv() => {
            fpm.stop(SHUTDOWN_FPM).await;
            return ExitCode::SUCCESS;
        }
    };
    let extension = match initialized {
        Ok((extension, version)) => {
            version
                .iter()
                .for_each(|version| api.set_php_version(version));
            extension
        }
        Err(failure) => {
            let failure = match failure {
                Failure::WarmupFailed(_) if config.is_snap_start => {
                    Failure::BeforeSnapshot(failure.to_string())
                }
                other => other,
            };
            let first = first_invocation.as_ref();
            let exit = fail_start(log, Some(&api), first, failure, terminate).await;
            fpm.stop(SHUTDOWN_FPM).await;
            return exit;
        }
    };
    if config.is_snap_start {
        let restored = tokio::select! {
            restored = restore(&mut api, &mut slots, log) => restored,
            _ = terminate.recv() => Err(ExitCode::SUCCESS),
        };
        if let Err(exit) = restored {
            fpm.stop(SHUTDOWN_FPM).await;
            return exit;
        }
    }

    let function = Rc::new(function);
    let stopping = watch::Sender::new(false);
    let mut loops: JoinSet<Result<(), CannotGoOn>> = JoinSet::new();
    for slot in slots {
        loops.spawn_local(answer_invocations(
            function.clone(),
            slot,
            api.clone(),
            stopping.subscribe(),
            first_invocation.take(),
        ));
    }
    // for as long as the process lives
    let registered = async {
        if let Some(extension) = extension {
            extension.wait().await;
        }
        std::future::pending().await
    };
    let exit = tokio::select! {
        () = registered => unreachable!("it waits for ever"),
        ended = loops.join_next() => {
            let (text, is_at_once) = match ended {
                Some(Ok(Err(CannotGoOn::PhpFpm(failure)))) => (failure.to_string(), false),
                Some(Ok(Err(CannotGoOn::RuntimeApi(text)))) => (text, true),
                other => (format!("a slot ended: {other:?}"), true),
            };
            log.write(&Context::default(), Level::Fatal, &text);
            if !is_at_once {
                // the other slots end what they are at
                stopping.send_replace(true);
                let all_ended = async { while loops.join_next().await.is_some() {} };
                tokio::select! {
                    () = all_ended => {}
                    _ = terminate.recv() => {}
                }
            }
            ExitCode::FAILURE
        }
        _ = terminate.recv() => {
            stopping.send_replace(true);
            let all_ended = async { while loops.join_next().await.is_some() {} };
            // an invocation that takes longer is given up: Lambda would kill it anyway
            let _ = tokio::time::timeout(SHUTDOWN_INVOCATION, all_ended).await;
            ExitCode::SUCCESS
        }
    };
    loops.abort_all();
    fpm.stop(SHUTDOWN_FPM).await;
    exit
}

/// Waits until the sandbox is one that was restored from the snapshot, and makes anew what many of them must not share:
/// workers, with what they hold open and the randomness they have drawn, and connections.
async fn restore(api: &mut RuntimeApi, slots: &mut [Slot], log: Log) -> Result<(), ExitCode> {
    let report = |error: &Error| {
        log.write(&Context::default(), Level::Fatal, &error.to_string());
        ExitCode::FAILURE
    };
    api.restored().await.map_err(|error| report(&error))?;
    *api = api.reconnected();
    for slot in slots {
        if let Err(failure) = slot.renew().await {
            let failure = Failure::AfterRestore(failure.to_string());
            let text = format!("{}: {failure}", failure.error_type());
            log.write(&Context::default(), Level::Fatal, &text);
            if let Err(error) = api.fail_restore(&failure).await {
                report(&error);
            }
            return Err(ExitCode::FAILURE);
        }
    }
    Ok(())
}

/// Why a slot, and with it the process, ends.
#[derive(Debug)]
enum CannotGoOn {
    /// What the other slots are at can still be answered.
    PhpFpm(Failure),
    /// Nothing can be answered any more.
    RuntimeApi(String),
}

/// One slot: a sequential loop. It ends when the process is to stop, or with the reason why it cannot go on.
async fn answer_invocations(
    function: Rc<Function>,
    mut slot: Slot,
    api: RuntimeApi,
    mut stopping: watch::Receiver<bool>,
    mut first: Option<Invocation>,
) -> Result<(), CannotGoOn> {
    let mut failures = Failures::default();
    loop {
        slot.ready().await.map_err(CannotGoOn::PhpFpm)?;
        let next = async {
            if let Some(invocation) = first.take() {
                return Ok(invocation);
            }
            let invocation = api.next().await;
            if let Err(error) = &invocation {
                failures.wait_after(error, function.log).await;
            }
            invocation
        };
        let invocation = tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
            invocation = next => invocation,
        };
        let invocation = match invocation {
            Ok(invocation) => invocation,
            Err(Error::Fatal(text)) => return Err(CannotGoOn::RuntimeApi(text)),
            Err(Error::Unreachable(text)) if failures.are_too_many() => {
                return Err(CannotGoOn::RuntimeApi(text));
            }
            Err(_) => continue,
        };
        failures = Failures::default();
        slot.begin();
        let answered = invocation::run(&function, &mut slot, &api, &invocation).await;
        slot.end();
        match answered {
            Err(Error::Fatal(text)) => return Err(CannotGoOn::RuntimeApi(text)),
            // it is in the log
            Ok(()) | Err(Error::Refused(_) | Error::Unreachable(_)) => {}
        }
    }
}

/// Reports to the log and to Lambda, each once: as the failure of the init, or of the `first` invocation where that is under
/// way already.
async fn fail_start(
    log: Log,
    api: Option<&RuntimeApi>,
    first: Option<&Invocation>,
    failure: Failure,
    terminate: &mut Signal,
) -> ExitCode {
    let context = first.map(Invocation::log_context).unwrap_or_default();
    log.write(&context, Level::Fatal, &failure.for_log());
    let Some(api) = api else {
        return ExitCode::FAILURE;
    };
    let report = async {
        match first {
            Some(invocation) => api.fail(invocation, &failure).await,
            None => api.fail_init(&failure).await,
        }
    };
    tokio::select! {
        reported = report => {
            if let Err(error) = reported {
                log.write(&Context::default(), Level::Error, &error.to_string());
            }
        }
        _ = terminate.recv() => {}
    }
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_fits_into_the_time_before_sigkill() {
        let taken = SHUTDOWN_INVOCATION + SHUTDOWN_FPM;
        assert!(taken <= Duration::from_millis(250), "{taken:?} of 300 ms");
    }
}
