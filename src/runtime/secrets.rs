//! The start of a function some of whose variables stand elsewhere: php-fpm waits for them.
//!
//! AWS's extension serves from the first invocation on, so that the start mostly goes like this: ask for the first
//! invocation, then for the values, and only then start php-fpm and answer.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::Instant;

use super::backoff::Failures;
use super::fail_start;
use crate::config::{Config, SessionToken, Value};
use crate::failure::Failure;
use crate::invocation::Deadline;
use crate::log::{Context, Level, Log};
use crate::process::environment::Environment;
use crate::runtime_api::extension::Extension as Registration;
use crate::runtime_api::{Error, Invocation, RuntimeApi};
use crate::secrets::{Extension, Patience, Unresolved};

/// How long all values may take: Lambda gives 10 s to all of a start.
const LIMIT: Duration = Duration::from_secs(5);

/// What of it is left for the answers when an extension has only just become ready.
const ANSWERS: Duration = Duration::from_millis(500);

/// An extension that is about to be ready is given this time of the start. One that waits for the first invocation never is.
const READY_SOON: Duration = Duration::from_millis(50);

/// What was done before php-fpm can start.
pub(super) struct Prelude {
    pub(super) api: RuntimeApi,
    /// What has not asked for an event yet.
    pub(super) registration: Option<Registration>,
    /// With the values.
    pub(super) environment: Environment,
    /// The first invocation, where the extension had to be told of it.
    pub(super) invocation: Option<Invocation>,
}

/// Literal values; `None`: some are to be fetched.
pub(super) fn literal(config: &Config) -> Option<Environment> {
    let mut environment = Environment::default();
    for (name, value) in &config.replaced {
        match value {
            Value::Literal(value) => environment.set(name, value),
            Value::Reference(_) => return None,
        }
    }
    Some(environment)
}

/// Gets the values; an error was reported already.
pub(super) async fn fetch(
    config: &Config,
    log: Log,
    terminate: &mut Signal,
) -> Result<Prelude, ExitCode> {
    let api = RuntimeApi::new(&config.runtime_api);
    let token = match usable_token(config) {
        Ok(token) => token,
        Err(text) => {
            let failure = Failure::SecretsUnavailable(text);
            return Err(fail_start(log, Some(&api), None, failure, terminate).await);
        }
    };
    let extension = Extension::new(config.secrets_port, token);
    let is_one = config.slots == 1;
    let mut patience = patience();
    // several slots are Managed Instances, where no extension is told of invocations
    if is_one {
        patience.until_ready = Instant::now() + READY_SOON;
    }
    let (registration, resolved) = tokio::select! {
        // before the first invocation is asked for
        both = async { tokio::join!(api.register_extension(), extension.resolve(&config.replaced, patience)) } => both,
        _ = terminate.recv() => return Err(ExitCode::SUCCESS),
    };
    match resolved {
        Ok(environment) => {
            return Ok(Prelude {
                api,
                registration,
                environment,
                invocation: None,
            });
        }
        Err(Unresolved::NotReady) if is_one => {}
        Err(unresolved) => {
            let failure = failure_of(unresolved);
            return Err(fail_start(log, Some(&api), None, failure, terminate).await);
        }
    }

    // Lambda hands nothing out before each extension has asked for an event, this one too; the task ends with the process
    if let Some(registration) = registration {
        tokio::task::spawn_local(registration.wait());
    }
    let invocation = tokio::select! {
        invocation = first_invocation(&api, log) => invocation?,
        _ = terminate.recv() => return Err(ExitCode::SUCCESS),
    };
    let deadline = Deadline::of(&invocation, config.timeout_margin);
    let resolved = tokio::select! {
        resolved = extension.resolve(&config.replaced, self::patience()) => resolved.map_err(failure_of),
        timeout = deadline.failed() => Err(timeout),
        _ = terminate.recv() => return Err(ExitCode::SUCCESS),
    };
    match resolved {
        Ok(environment) => Ok(Prelude {
            api,
            registration: None,
            environment,
            invocation: Some(invocation),
        }),
        Err(failure) => {
            Err(fail_start(log, Some(&api), Some(&invocation), failure, terminate).await)
        }
    }
}

/// From now on.
fn patience() -> Patience {
    let until = Instant::now() + LIMIT;
    Patience {
        until_ready: until - ANSWERS,
        until,
    }
}

/// An error says which variables cannot be had.
fn usable_token(config: &Config) -> Result<&SessionToken, String> {
    let references = config
        .replaced
        .iter()
        .filter(|(_, value)| matches!(value, Value::Reference(_)));
    let names: Vec<_> = references.map(|(name, _)| name.to_string_lossy()).collect();
    let names = names.join(", ");
    if config.is_snap_start {
        return Err(format!(
            "There is no value for {names}: AWS's Parameters and Secrets extension does not work under SnapStart, and a snapshot would keep old values. \
             Fetch them in your code, or turn SnapStart off."
        ));
    }
    config.session_token.as_ref().ok_or_else(|| {
        format!(
            "There is no value for {names}: AWS_SESSION_TOKEN is not set, so that this is not Lambda. \
             On your own machine give the values themselves, lambda-local --env NAME=VALUE."
        )
    })
}

fn failure_of(unresolved: Unresolved) -> Failure {
    Failure::SecretsUnavailable(match unresolved {
        Unresolved::Failed(text) => text,
        Unresolved::NotReady => format!(
            "AWS's Parameters and Secrets extension was not ready within {:.1} s. Its lines in the log say more.",
            (LIMIT - ANSWERS).as_secs_f64()
        ),
    })
}

async fn first_invocation(api: &RuntimeApi, log: Log) -> Result<Invocation, ExitCode> {
    let mut failures = Failures::default();
    loop {
        let error = match api.next().await {
            Ok(invocation) => return Ok(invocation),
            Err(error) => error,
        };
        failures.wait_after(&error, log).await;
        if matches!(error, Error::Fatal(_)) || failures.are_too_many() {
            log.write(&Context::default(), Level::Fatal, &error.to_string());
            return Err(ExitCode::FAILURE);
        }
    }
}
