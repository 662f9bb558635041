//! The lines that Lambda itself writes into a function's log, in its text format.

use std::{
    fmt::Write,
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    time::{Duration, SystemTime},
};

use crate::local::failure::Failure;

/// How an invocation or an init ended, where that was not well.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Status {
    Timeout,
    Error { error_type: String },
}

impl Status {
    /// An error type, or one in the shape of one.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Timeout => "Sandbox.Timedout",
            Self::Error { error_type } => error_type,
        }
    }

    fn append_to(&self, line: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Timeout => write!(line, "\tStatus: timeout"),
            Self::Error { error_type } => write!(line, "\tStatus: error\tError Type: {error_type}"),
        };
    }
}

/// What came before the first invocation of a sandbox, and is billed with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cold {
    /// Billed since August 2025 for every kind of function.
    Init(Duration),
    /// From a snapshot, the init before which is reported by itself.
    Restore(Duration),
}

impl Cold {
    pub(crate) fn duration(self) -> Duration {
        match self {
            Self::Init(duration) | Self::Restore(duration) => duration,
        }
    }
}

/// Whether the init was the first one, or came with an invocation because that had failed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    Init,
    Invoke,
}

pub(crate) fn start(request_id: &str) -> String {
    format!("START RequestId: {request_id} Version: $LATEST")
}

pub(crate) fn end(request_id: &str) -> String {
    format!("END RequestId: {request_id}")
}

/// What a REPORT line tells of one invocation.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) duration: Duration,
    /// Configured, in MB.
    pub(crate) memory_size: u16,
    /// Most memory used, in bytes.
    pub(crate) memory_used: u64,
    pub(crate) cold: Option<Cold>,
    pub(crate) status: Option<Status>,
}

impl Report<'_> {
    /// In whole milliseconds, with what came before it.
    pub(crate) fn billed(&self) -> u128 {
        let cold = self.cold.map_or(Duration::ZERO, Cold::duration);
        whole_milliseconds(self.duration + cold)
    }

    pub(crate) fn memory_used_mb(&self) -> u64 {
        self.memory_used.div_ceil(1 << 20)
    }

    pub(crate) fn line(&self) -> String {
        let billed = self.billed();
        let mut line = format!(
            "REPORT RequestId: {}\tDuration: {:.2} ms\tBilled Duration: {billed} ms\tMemory Size: {} MB\tMax Memory Used: {} MB",
            self.request_id,
            milliseconds(self.duration),
            self.memory_size,
            self.memory_used_mb(),
        );
        // Writing to a String cannot fail.
        let _ = match self.cold {
            Some(Cold::Init(init)) => {
                write!(line, "\tInit Duration: {:.2} ms", milliseconds(init))
            }
            Some(Cold::Restore(restore)) => write!(
                line,
                "\tRestore Duration: {:.2} ms\tBilled Restore Duration: {} ms",
                milliseconds(restore),
                whole_milliseconds(restore)
            ),
            None => Ok(()),
        };
        if let Some(status) = &self.status {
            status.append_to(&mut line);
        }
        line
    }
}

/// Where an init is part of an invocation and went well Lambda has no such line.
pub(crate) fn init_report(duration: Duration, phase: Phase, status: Option<&Status>) -> String {
    let phase = match phase {
        Phase::Init => "init",
        Phase::Invoke => "invoke",
    };
    let mut line = format!(
        "INIT_REPORT Init Duration: {:.2} ms\tPhase: {phase}",
        milliseconds(duration)
    );
    if let Some(status) = status {
        status.append_to(&mut line);
    }
    line
}

/// Lambda names the version of its managed runtime here, and of that there is none.
pub(crate) fn restore_start() -> String {
    "RESTORE_START Runtime Version: lambda-local".to_owned()
}

pub(crate) fn restore_report(duration: Duration, status: Option<&Status>) -> String {
    let mut line = format!(
        "RESTORE_REPORT Restore Duration: {:.2} ms",
        milliseconds(duration)
    );
    if let Some(status) = status {
        status.append_to(&mut line);
    }
    line
}

/// The line in the log; the caller gets [`timed_out`].
pub(crate) fn timed_out_line(now: SystemTime, request_id: &str, timeout: Duration) -> String {
    let now = humantime::format_rfc3339_millis(now);
    format!(
        "{now} {request_id} Task timed out after {:.2} seconds",
        timeout.as_secs_f64()
    )
}

pub(crate) fn timed_out(request_id: &str, timeout: Duration) -> Failure {
    let message = format!(
        "RequestId: {request_id} Error: Task timed out after {:.2} seconds",
        timeout.as_secs_f64()
    );
    Failure::new("Sandbox.Timedout", &message)
}

pub(crate) fn exited(request_id: &str, exit: ExitStatus) -> Failure {
    let how = match (exit.code(), exit.signal()) {
        (Some(0), _) => "Runtime exited without providing a reason".to_owned(),
        (Some(code), _) => format!("Runtime exited with error: exit status {code}"),
        (None, Some(signal)) => {
            format!("Runtime exited with error: signal: {}", signal_name(signal))
        }
        (None, None) => format!("Runtime exited with error: {exit}"),
    };
    Failure::new(
        "Runtime.ExitError",
        &format!("RequestId: {request_id} Error: {how}"),
    )
}

/// The words that Lambda uses, those of the Go runtime.
fn signal_name(signal: i32) -> String {
    match signal {
        1 => "hangup".into(),
        2 => "interrupt".into(),
        3 => "quit".into(),
        4 => "illegal instruction".into(),
        6 => "aborted".into(),
        7 => "bus error".into(),
        8 => "floating point exception".into(),
        9 => "killed".into(),
        11 => "segmentation fault".into(),
        13 => "broken pipe".into(),
        14 => "alarm clock".into(),
        15 => "terminated".into(),
        other => format!("signal {other}"),
    }
}

/// As billed: rounded up.
fn whole_milliseconds(duration: Duration) -> u128 {
    duration.as_nanos().div_ceil(1_000_000)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report<'static> {
        Report {
            request_id: "id",
            duration: Duration::from_micros(1234),
            memory_size: 1024,
            memory_used: 31 * (1 << 20) - 5,
            cold: None,
            status: None,
        }
    }

    #[test]
    fn report_lines() {
        assert_eq!(
            report().line(),
            "REPORT RequestId: id\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 1024 MB\tMax Memory Used: 31 MB"
        );
        let first = Report {
            cold: Some(Cold::Init(Duration::from_millis(100))),
            ..report()
        };
        assert!(
            first.line().contains("\tBilled Duration: 102 ms\t"),
            "{}",
            first.line()
        );
        assert!(
            first
                .line()
                .ends_with("\tMax Memory Used: 31 MB\tInit Duration: 100.00 ms"),
            "{}",
            first.line()
        );
        let restored = Report {
            cold: Some(Cold::Restore(Duration::from_micros(100_500))),
            ..report()
        };
        assert!(
            restored.line().contains("\tBilled Duration: 102 ms\t"),
            "{}",
            restored.line()
        );
        assert!(
            restored
                .line()
                .ends_with("\tRestore Duration: 100.50 ms\tBilled Restore Duration: 101 ms"),
            "{}",
            restored.line()
        );
        let late = Report {
            status: Some(Status::Timeout),
            ..report()
        };
        assert!(
            late.line()
                .ends_with("\tMax Memory Used: 31 MB\tStatus: timeout"),
            "{}",
            late.line()
        );
    }

    #[test]
    fn init_report_lines() {
        let status = Status::Error {
            error_type: "Runtime.ExitError".into(),
        };
        assert_eq!(
            init_report(Duration::from_millis(10), Phase::Init, Some(&status)),
            "INIT_REPORT Init Duration: 10.00 ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError"
        );
        assert_eq!(
            restore_report(Duration::from_millis(10), Some(&status)),
            "RESTORE_REPORT Restore Duration: 10.00 ms\tStatus: error\tError Type: Runtime.ExitError"
        );
        assert_eq!(
            restore_report(Duration::from_millis(10), None),
            "RESTORE_REPORT Restore Duration: 10.00 ms"
        );
    }

    #[test]
    fn exits_in_the_words_of_lambda() {
        let message =
            |raw| String::from_utf8(exited("id", ExitStatus::from_raw(raw)).body.to_vec()).unwrap();
        assert!(
            message(3 << 8)
                .contains("RequestId: id Error: Runtime exited with error: exit status 3\"")
        );
        assert!(message(9).contains("Runtime exited with error: signal: killed\""));
        assert!(message(0).contains("Runtime exited without providing a reason\""));
    }

    #[test]
    fn time_outs_in_the_words_of_lambda() {
        let three = Duration::from_secs(3);
        assert_eq!(
            timed_out("id", three).body,
            r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: id Error: Task timed out after 3.00 seconds"}"#
        );
        assert_eq!(
            timed_out_line(SystemTime::UNIX_EPOCH, "id", three),
            "1970-01-01T00:00:00.000Z id Task timed out after 3.00 seconds"
        );
    }
}
