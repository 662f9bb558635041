//! Why an invocation has no answer of the function's.

use std::{
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    time::{Duration, SystemTime},
};

use rustix::process::Signal;

use crate::local::{
    failure::Failure,
    log::Log,
    report::{self, Status},
};

#[derive(Debug)]
pub(crate) enum Broken {
    TimedOut,
    Exited(ExitStatus),
    /// The sandbox could not be made ready: by the function's word, or because it cannot be started.
    Init(Failure),
}

impl Broken {
    /// What the caller of an invocation is told.
    pub(crate) fn failure(&self, id: &str, timeout: Duration) -> Failure {
        match self {
            Self::TimedOut => report::timed_out(id, timeout),
            Self::Exited(status) => report::exited(id, *status),
            Self::Init(failure) => failure.clone(),
        }
    }

    /// What the report of a sandbox that never was ready says.
    pub(crate) fn status(&self) -> Status {
        let error_type = match self {
            Self::TimedOut => return Status::Timeout,
            Self::Exited(_) => "Runtime.ExitError".to_owned(),
            Self::Init(failure) => failure.error_type.clone(),
        };
        Status::Error { error_type }
    }

    /// Says in the log why an invocation was broken off; gives what its report says.
    pub(crate) fn explain(&self, log: &Log, id: &str, timeout: Duration) -> Status {
        match self {
            Self::TimedOut => log.line(report::timed_out_line(SystemTime::now(), id, timeout)),
            Self::Exited(status) => {
                let failure = report::exited(id, *status);
                let text =
                    serde_json::from_slice::<serde_json::Value>(&failure.body).unwrap_or_default();
                log.line(text["errorMessage"].as_str().unwrap_or_default());
                log.line(failure.error_type.as_str());
                if status.signal() == Some(Signal::KILL.as_raw()) {
                    log.note("killed by SIGKILL, and not by lambda-local: look for the kernel's out-of-memory killer (dmesg)");
                }
            }
            Self::Init(_) => {}
        }
        self.status()
    }
}
