//! The function that the configuration describes: its scripts, looked for where they have to be, and the php-fpm for them.

use std::fs::Metadata;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::cgi::params::{LambdaContext, Script, of_event};
use crate::config::Config;
use crate::console::{Console, program};
use crate::failure::Failure;
use crate::fpm::settings::Settings;
use crate::invocation::{Function, Handler};
use crate::log::Log;
use crate::process::environment::Environment;
use crate::site::Site;
use crate::slot::encode;

/// What the configuration says of the scripts, of the request that warms a worker up, and of php-fpm.
pub(super) fn function_of(
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

fn unreadable(error: io::Error) -> Failure {
    Failure::SiteUnreadable(error.to_string())
}
