//! The life of the process: configure, start php-fpm, report ready, answer invocations until Lambda ends it.

mod secrets;

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};

use crate::cgi::params::{LambdaContext, Script, of_event};
use crate::config::{Config, Invalid};
use crate::console::{Console, program};
use crate::failure::Failure;
use crate::fpm::settings::Settings;
use crate::fpm::{Fpm, StartError};
use crate::invocation::{self, Deadline, Function, Handler};
use crate::log::{Context, Level, Log};
use crate::process::environment::Environment;
use crate::runtime_api::{Error, Invocation, RuntimeApi};
use crate::site::Site;
use crate::slot::{Slot, encode};

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
    set_limits(config.slots);
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

/// Calls of `/next` that failed in a row.
#[derive(Default)]
struct Failures(u32);

impl Failures {
    /// A Runtime API that cannot be reached so often is not there any more.
    const TOO_MANY: u32 = 5;

    /// Logs it and waits, longer each time: 10 ms to 1 s.
    async fn wait_after(&mut self, error: &Error, log: Log) {
        self.0 += 1;
        let is_last = match error {
            Error::Fatal(_) => true,
            Error::Unreachable(_) => self.are_too_many(),
            // of one slot: its neighbours may be at work
            Error::Refused(_) => false,
        };
        if is_last {
            return;
        }
        log.write(&Context::default(), Level::Error, &error.to_string());
        let pause = Duration::from_millis(10) * 2u32.pow(self.0.min(8) - 1);
        tokio::time::sleep(pause.min(Duration::from_secs(1))).await;
    }

    fn are_too_many(&self) -> bool {
        self.0 >= Self::TOO_MANY
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

/// What the configuration says of the scripts, of the request that warms a worker up, and of php-fpm.
fn function_of(
    config: &Config,
    log: Log,
) -> Result<(Function, Option<Vec<u8>>, Settings), Failure> {
    let handler = handler(config)?;
    let event_script = match &handler {
        Handler::Site(site) if config.event_handler == config.handler => {
            site.front_controller().map_err(unreadable)?
        }
        _ => Some(script(
            config,
            &config.event_handler,
            "PHP_LAMBDA_EVENT_HANDLER",
        )?),
    };
    let warmup = match &config.warmup {
        Some(warmup) => {
            let script = script(config, warmup, "PHP_LAMBDA_WARMUP")?;
            Some(encode(&of_event(b"", &script, &LambdaContext::default()))?)
        }
        None => None,
    };
    let settings = Settings {
        program: config.php_fpm.clone(),
        task_root: config.task_root.clone(),
        slots: config.slots,
        memory: config.memory,
        streams: config.streams,
        ini_scan_dir: config.ini_scan_dir.clone(),
        environment: Environment::default(),
    };
    let function = Function {
        handler,
        event_script,
        console: match &config.console {
            Some(path) => Some(console(config, path, &settings)?),
            None => None,
        },
        streams: config.streams,
        timeout_margin: config.timeout_margin,
        error_status_codes: config.error_status_codes.clone(),
        max_requests: config.max_requests,
        log,
    };
    Ok((function, warmup, settings))
}

/// What runs the commands of events.
fn console(config: &Config, path: &str, settings: &Settings) -> Result<Console, Failure> {
    let script = script(config, path, "PHP_LAMBDA_CONSOLE")?;
    let search = std::env::var_os("PATH").unwrap_or_default();
    let php_fpm = settings
        .find_program(&search)
        .map_err(Failure::PhpFpmStartFailed)?;
    Ok(Console {
        program: program::find(&php_fpm, &search).map_err(Failure::NoCommandLine)?,
        script: PathBuf::from(script.filename),
        task_root: config.task_root.clone(),
        environment: Environment::default(),
    })
}

/// A script, or a folder that is a site.
fn handler(config: &Config) -> Result<Handler, Failure> {
    let (path, metadata) = named(config, &config.handler, "The handler")?;
    if !metadata.is_dir() {
        return script(config, &config.handler, "The handler").map(Handler::Script);
    }
    let site = Site::new(
        &config.task_root,
        &path,
        config.base_path.clone(),
        config.static_cache_control.clone(),
    );
    site.map(Handler::Site).map_err(unreadable)
}

/// The script that the handler, or a variable, names: a file below the task root.
fn script(config: &Config, handler: &str, variable: &str) -> Result<Script, Failure> {
    let (relative, metadata) = named(config, handler, variable)?;
    if !metadata.is_file() {
        let root = config.task_root.display();
        return Err(no_handler(
            variable,
            handler,
            &format!("in {root} that is no file"),
        ));
    }
    let (Some(root), Some(relative)) = (config.task_root.to_str(), relative.to_str()) else {
        return Err(no_handler(variable, handler, "the path is not UTF-8"));
    };
    Ok(Script::new(root, relative, config.base_path.clone()))
}

/// The path of what the handler, or a variable, names, without dots, and what is there.
fn named(config: &Config, handler: &str, variable: &str) -> Result<(PathBuf, Metadata), Failure> {
    use std::path::Component;
    let root = config.task_root.display();
    let components = || {
        Path::new(handler)
            .components()
            .filter(|component| *component != Component::CurDir)
    };
    if !components().all(|component| matches!(component, Component::Normal(_))) {
        let what = format!(
            "it has to be a path below {root}, without .. and without a slash at its beginning"
        );
        return Err(no_handler(variable, handler, &what));
    }
    let relative: PathBuf = components().collect();
    match config.task_root.join(&relative).metadata() {
        Ok(metadata) => Ok((relative, metadata)),
        Err(error) => {
            let what = format!("{root} has no such file ({error})");
            Err(no_handler(variable, handler, &what))
        }
    }
}

fn no_handler(variable: &str, handler: &str, what: &str) -> Failure {
    let advice = "Set the function's handler to your script, such as index.php or public/index.php, or to the folder of \
        a site, such as public, and look whether it is in the deployed package.";
    Failure::NoSuchHandler(format!("{variable} is {handler:?}: {what}. {advice}"))
}

fn unreadable(error: std::io::Error) -> Failure {
    Failure::SiteUnreadable(error.to_string())
}

/// php-fpm inherits them.
fn set_limits(slots: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // a limit that cannot be changed is no reason not to start
    let set = |resource, limit| _ = setrlimit(resource, limit);
    // a crashing worker must not fill /tmp
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    set(Resource::Core, none);
    // a slot has about ten descriptors here, and php-fpm has some for each
    if slots > 1 {
        let maximum = getrlimit(Resource::Nofile).maximum;
        let all = Rlimit {
            current: maximum,
            maximum,
        };
        set(Resource::Nofile, all);
    }
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
