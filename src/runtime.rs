//! The life of the process: configure, start php-fpm, report ready, answer invocations until Lambda ends it.

use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};

use crate::cgi::params::{LambdaContext, Script, of_event};
use crate::config::{Config, Invalid};
use crate::failure::Failure;
use crate::fpm::settings::Settings;
use crate::fpm::{Fpm, StartError};
use crate::invocation::{self, Function};
use crate::log::{Context, Format, Level, Log};
use crate::runtime_api::{Error, RuntimeApi};
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
                    format: Format::Text,
                    level: Level::Trace,
                };
                let api = invalid.runtime_api.as_deref().map(RuntimeApi::new);
                let failure = Failure::InvalidConfiguration(invalid);
                fail_init(log, api.as_ref(), failure, &mut terminate).await
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
    let (function, warmup, settings) = match function_of(&config, log) {
        Ok(all) => all,
        Err(failure) => {
            let api = RuntimeApi::new(&config.runtime_api);
            return fail_init(log, Some(&api), failure, terminate).await;
        }
    };
    // php-fpm takes longest: it comes first, and the rest happens while it starts
    let started = Fpm::start(settings, log);
    let mut api = RuntimeApi::new(&config.runtime_api);
    let fpm = match started {
        Ok(fpm) => Rc::new(fpm),
        Err(StartError(text)) => {
            let failure = Failure::PhpFpmStartFailed(text);
            return fail_init(log, Some(&api), failure, terminate).await;
        }
    };
    let mut slots: Vec<Slot> = (0..config.slots)
        .map(|index| Slot::new(fpm.clone(), index, warmup.clone()))
        .collect();

    let init = async {
        slots[0].ready().await?;
        Ok(slots[0].php_version().await)
    };
    let initialized: Result<Option<String>, Failure> = tokio::select! {
        initialized = init => initialized,
        _ = terminate.recv() => {
            fpm.stop(SHUTDOWN_FPM).await;
            return ExitCode::SUCCESS;
        }
    };
    match initialized {
        Ok(version) => version
            .iter()
            .for_each(|version| api.set_php_version(version)),
        Err(failure) => {
            let exit = fail_init(log, Some(&api), failure, terminate).await;
            fpm.stop(SHUTDOWN_FPM).await;
            return exit;
        }
    }

    let function = Rc::new(function);
    let stopping = watch::Sender::new(false);
    let mut loops: JoinSet<Result<(), String>> = JoinSet::new();
    for slot in slots {
        loops.spawn_local(answer_invocations(
            function.clone(),
            slot,
            api.clone(),
            stopping.subscribe(),
        ));
    }
    let exit = tokio::select! {
        ended = loops.join_next() => {
            let text = match ended {
                Some(Ok(Err(text))) => text,
                other => format!("a slot ended: {other:?}"),
            };
            log.write(&Context::default(), Level::Fatal, &text);
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

/// One slot: a sequential loop. It ends when the process is to stop, or with the reason why it cannot go on.
async fn answer_invocations(
    function: Rc<Function>,
    mut slot: Slot,
    api: RuntimeApi,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), String> {
    loop {
        slot.ready().await.map_err(|failure| failure.to_string())?;
        let invocation = tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
            invocation = api.next() => invocation.map_err(|error| error.to_string())?,
        };
        match invocation::run(&function, &mut slot, &api, &invocation).await {
            Ok(()) => {}
            Err(Error::Refused(text) | Error::Fatal(text)) => return Err(text),
        }
    }
}

/// Reports to the log and to Lambda, each once.
async fn fail_init(
    log: Log,
    api: Option<&RuntimeApi>,
    failure: Failure,
    terminate: &mut Signal,
) -> ExitCode {
    let text = format!("{}: {failure}", failure.error_type());
    log.write(&Context::default(), Level::Fatal, &text);
    let Some(api) = api else {
        return ExitCode::FAILURE;
    };
    tokio::select! {
        reported = api.fail_init(&failure) => {
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
    let handler = script(config, &config.handler, "The handler")?;
    let event_script = script(config, &config.event_handler, "PHP_LAMBDA_EVENT_HANDLER")?;
    let warmup = match &config.warmup {
        Some(warmup) => {
            let script = script(config, warmup, "PHP_LAMBDA_WARMUP")?;
            Some(encode(&of_event(b"", &script, &LambdaContext::default()))?)
        }
        None => None,
    };
    let function = Function {
        script: handler,
        event_script,
        timeout_margin: config.timeout_margin,
        error_status_codes: config.error_status_codes.clone(),
        max_requests: config.max_requests,
        log,
    };
    let settings = Settings {
        program: config.php_fpm.clone(),
        task_root: config.task_root.clone(),
        slots: config.slots,
        memory: config.memory,
        ini_scan_dir: config.ini_scan_dir.clone(),
    };
    Ok((function, warmup, settings))
}

/// The script that the handler, or a variable, names: a file below the task root.
fn script(config: &Config, handler: &str, variable: &str) -> Result<Script, Failure> {
    use std::path::Component;
    let root = config.task_root.display();
    let refuse = |what: &str| {
        let advice = "Set the function's handler to your script, such as index.php or public/index.php, \
            and look whether the file is in the deployed package.";
        Failure::NoSuchHandler(format!("{variable} is {handler:?}: {what}. {advice}"))
    };
    let components = || {
        Path::new(handler)
            .components()
            .filter(|component| *component != Component::CurDir)
    };
    if !components().all(|component| matches!(component, Component::Normal(_))) {
        return Err(refuse(&format!(
            "it has to be a path below {root}, without .. and without a slash at its beginning"
        )));
    }
    let relative: std::path::PathBuf = components().collect();
    match config.task_root.join(&relative).metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(refuse(&format!("in {root} that is no file"))),
        Err(error) => return Err(refuse(&format!("{root} has no such file ({error})"))),
    }
    let (Some(root), Some(relative)) = (config.task_root.to_str(), relative.to_str()) else {
        return Err(refuse("the path is not UTF-8"));
    };
    Ok(Script::new(root, relative, config.base_path.clone()))
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
