//! Everything that can fail an invocation or the start, as Lambda gets to see it: one table.
//!
//! The type names are stable, so that alarms can be set on them. A message says what to do where the user can do something.

use std::time::Duration;

use crate::config;
use crate::event::NotJson;
use crate::event::answer::TooLarge;
use crate::event::outcome::ScriptError;

/// Why an invocation has no answer, or why the function cannot start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Init: bad values in the environment.
    InvalidConfiguration(config::Invalid),
    /// Init: the handler is no file; the text says what was looked for.
    NoSuchHandler(String),
    /// Init, or a restart: php-fpm does not start; the text is php-fpm's own.
    PhpFpmStartFailed(String),
    /// Init, or a new worker: the warm-up script failed; how.
    WarmupFailed(String),
    /// Init under SnapStart: the warm-up script failed; how.
    BeforeSnapshot(String),
    /// The sandbox cannot go on after it was restored from a snapshot; why.
    AfterRestore(String),
    /// The event is not JSON.
    InvalidEvent(NotJson),
    /// The request does not fit into FastCGI; the text says what.
    InvalidRequest(String),
    /// The files of a site cannot be read, through no fault of the request; which, and why.
    SiteUnreadable(String),
    /// A file was not taken whole by the deadline; the time that there was.
    FileTimeout(Duration),
    /// The script was stopped before Lambda's deadline; the time that it had.
    Timeout(Duration),
    /// The worker died; how.
    WorkerCrashed(String),
    /// The worker was killed by a SIGKILL that was not ours.
    OutOfMemory,
    /// php-fpm's master ended; how.
    PhpFpmExited(String),
    /// The answer does not fit into Lambda's limit.
    ResponseTooLarge(TooLarge),
    /// PHP's output has no readable header block; what stands there.
    InvalidHeaders(String),
    /// Init, or the first invocation: variables have no value; which, and why.
    SecretsUnavailable(String),
    /// Init: there is no command line for the console; what was looked for.
    NoCommandLine(String),
    /// The event asks for a command that cannot be made of it; why.
    InvalidCommand(String),
    /// The console's command did not succeed.
    CommandFailed(CommandFailure),
    /// An HTTP status that the configuration, or the kind of event, makes a failure.
    HttpStatus(u16),
    /// The script for an event that is no HTTP request failed, and has said how.
    Script(ScriptError),
    /// Its handler was called, and the request ended before there was a result.
    NoResult,
    /// The file of ours that runs it cannot be written or read; why.
    EventRunnerUnavailable(String),
}

/// A command that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandFailure {
    /// `exited with code 1` and its like, as the rest of a sentence.
    pub how: String,
    /// `None`: it did not come to that.
    pub exit_code: Option<i32>,
    /// The end of what it printed.
    pub output: String,
}

/// How much of a failed command's output its message has, in bytes.
const IN_MESSAGE: usize = 1000;

impl Failure {
    /// `Runtime.…` or `Function.…`, as Lambda demands of the header `Lambda-Runtime-Function-Error-Type`.
    pub fn error_type(&self) -> &'static str {
        match self {
            Failure::InvalidConfiguration(_) => "Runtime.InvalidConfiguration",
            Failure::NoSuchHandler(_) => "Runtime.NoSuchHandler",
            Failure::PhpFpmStartFailed(_) => "Runtime.PhpFpmStartFailed",
            Failure::WarmupFailed(_) => "Runtime.WarmupFailed",
            Failure::BeforeSnapshot(_) => "Runtime.BeforeSnapshotError",
            Failure::AfterRestore(_) => "Runtime.AfterRestoreError",
            Failure::InvalidEvent(_) => "Runtime.InvalidEvent",
            Failure::InvalidRequest(_) => "Runtime.InvalidRequest",
            Failure::SiteUnreadable(_) => "Runtime.SiteUnreadable",
            Failure::Timeout(_) | Failure::FileTimeout(_) => "Function.Timeout",
            Failure::WorkerCrashed(_) => "Runtime.WorkerCrashed",
            Failure::OutOfMemory => "Runtime.OutOfMemory",
            Failure::PhpFpmExited(_) => "Runtime.PhpFpmExited",
            Failure::ResponseTooLarge(_) => "Function.ResponseTooLarge",
            Failure::InvalidHeaders(_) => "Function.InvalidHeaders",
            Failure::SecretsUnavailable(_) => "Runtime.SecretsUnavailable",
            Failure::NoCommandLine(_) => "Runtime.NoCommandLine",
            Failure::InvalidCommand(_) => "Runtime.InvalidCommand",
            Failure::CommandFailed(_) => "Function.CommandFailed",
            Failure::HttpStatus(_) => "Function.HttpStatus",
            Failure::Script(error) => error.error_type,
            Failure::NoResult => "Function.NoResult",
            Failure::EventRunnerUnavailable(_) => "Runtime.EventRunnerUnavailable",
        }
    }

    /// For the log, where what a command printed stands already.
    pub fn for_log(&self) -> String {
        match self {
            Failure::CommandFailed(failure) => {
                format!("{}: The command {}.", self.error_type(), failure.how)
            }
            other => format!("{}: {other}", self.error_type()),
        }
    }

    /// The body of `/error` and `/init/error`: `{"errorType":…,"errorMessage":…,"stackTrace":[]}`.
    ///
    /// That of a failed command has `exitCode` and `output` as well. An uncaught exception has its class as `errorType`, and
    /// `previous` where there are such.
    pub fn to_json(&self) -> Vec<u8> {
        if let Failure::Script(error) = self {
            return error.to_json();
        }
        let mut json = serde_json::json!({
            "errorType": self.error_type(),
            "errorMessage": self.to_string(),
            "stackTrace": [],
        });
        if let Failure::CommandFailed(failure) = self {
            json["exitCode"] = failure.exit_code.into();
            json["output"] = failure.output.as_str().into();
        }
        json.to_string().into_bytes()
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::InvalidConfiguration(invalid) => invalid.fmt(f),
            Failure::NoSuchHandler(text) => f.write_str(text),
            Failure::PhpFpmStartFailed(text) => write!(f, "php-fpm cannot start: {text}"),
            Failure::WarmupFailed(how) => {
                write!(f, "The script of PHP_LAMBDA_WARMUP {how}. Its own log lines say why.")
            }
            Failure::BeforeSnapshot(text) => write!(f, "No snapshot can be taken: {text}"),
            Failure::AfterRestore(text) => write!(f, "After the restore from the snapshot: {text}"),
            Failure::InvalidEvent(NotJson(text)) => {
                write!(f, "The event is not JSON: {text}. Invoke the function with a JSON document.")
            }
            Failure::InvalidRequest(text) => f.write_str(text),
            Failure::SiteUnreadable(text) => write!(
                f,
                "A file of the site cannot be read: {text}. Look whether it changes while it is served, and whether files are left open."
            ),
            Failure::FileTimeout(had) => write!(
                f,
                "A file was not taken whole within {:.3} s, just before Lambda's deadline. Give the function a longer timeout, or serve large files from S3.",
                had.as_secs_f64()
            ),
            Failure::Timeout(had) => write!(
                f,
                "The script was stopped after {:.3} s, just before Lambda's deadline. Make it faster, or give the function a longer timeout.",
                had.as_secs_f64()
            ),
            Failure::WorkerCrashed(how) => write!(
                f,
                "The PHP worker {how} before it had answered. Look for a crashing extension, or for a script that kills its own process."
            ),
            Failure::OutOfMemory => f.write_str(
                "The PHP worker was killed (SIGKILL), most likely because the function is out of memory. \
                 Give the function more memory, or set memory_limit below it to see where PHP needs it.",
            ),
            Failure::PhpFpmExited(how) => {
                write!(f, "php-fpm {how} while it ran the script; it is started again for the next invocation.")
            }
            Failure::ResponseTooLarge(TooLarge { size, limit }) => write!(
                f,
                "The answer has {size} bytes as Lambda's response, and Lambda takes {limit} at the most. \
                 Send large files from S3 by a redirect, or in several parts, or stream the response."
            ),
            Failure::InvalidHeaders(line) => {
                write!(f, "PHP's output has no readable header block; found {line:?}. Look at the script's header() calls.")
            }
            Failure::SecretsUnavailable(text) | Failure::NoCommandLine(text) => f.write_str(text),
            Failure::InvalidCommand(text) => {
                write!(f, "The event asks for no command that can be run: {text}. An event is {{\"cli\": \"migrate --force\"}} or {{\"cli\": [\"migrate\", \"--force\"]}}.")
            }
            Failure::CommandFailed(CommandFailure { how, output, .. }) => {
                write!(f, "The command {how}.")?;
                match last_lines(output.trim_end()) {
                    "" => f.write_str(" It printed nothing."),
                    lines => write!(f, " Its output ends with:\n{lines}"),
                }
            }
            Failure::HttpStatus(status) => write!(f, "The script answered with the HTTP status {status}; its log says why."),
            Failure::Script(error) => error.fmt(f),
            Failure::NoResult => f.write_str(
                "The request ended before the handler had returned. A handler cannot call fastcgi_finish_request().",
            ),
            Failure::EventRunnerUnavailable(why) => {
                write!(f, "The runtime's own PHP file for events that are no HTTP requests cannot be used: {why}.")
            }
        }
    }
}

impl std::error::Error for Failure {}

fn last_lines(output: &str) -> &str {
    let mut start = output.len().saturating_sub(IN_MESSAGE);
    while !output.is_char_boundary(start) {
        start += 1;
    }
    let end = &output[start..];
    match end.split_once('\n') {
        Some((_, lines)) if start > 0 => lines,
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_the_shape_that_lambda_documents() {
        let failure = Failure::ResponseTooLarge(TooLarge {
            size: 7_000_000,
            limit: 6_291_556,
        });
        let json: serde_json::Value = serde_json::from_slice(&failure.to_json()).unwrap();
        assert_eq!(json["errorType"], "Function.ResponseTooLarge");
        assert_eq!(json["stackTrace"], serde_json::json!([]));
        let message = json["errorMessage"].as_str().unwrap();
        assert!(
            message.contains("7000000")
                && message.contains("6291556")
                && message.contains("stream"),
            "{message}"
        );
    }

    fn command_failure(output: &str) -> Failure {
        Failure::CommandFailed(CommandFailure {
            how: "exited with code 3".to_owned(),
            exit_code: Some(3),
            output: output.to_owned(),
        })
    }

    #[test]
    fn a_command_tells_its_exit_code_and_the_end_of_its_output() {
        let failure = command_failure("one\ntwo\n");
        let json: serde_json::Value = serde_json::from_slice(&failure.to_json()).unwrap();
        assert_eq!(json["errorType"], "Function.CommandFailed");
        assert_eq!(
            json["errorMessage"],
            "The command exited with code 3. Its output ends with:\none\ntwo"
        );
        assert_eq!(
            (&json["exitCode"], &json["output"]),
            (&3.into(), &"one\ntwo\n".into())
        );
        assert_eq!(
            failure.for_log(),
            "Function.CommandFailed: The command exited with code 3."
        );
        let silent = command_failure("\n").to_string();
        assert!(silent.ends_with("It printed nothing."), "{silent}");
    }

    #[test]
    fn a_message_has_whole_lines_and_not_many() {
        let long = command_failure(&"a line with an ü\n".repeat(200)).to_string();
        let (_, lines) = long.split_once(":\n").unwrap();
        assert!(
            lines.len() < IN_MESSAGE && lines.starts_with("a line"),
            "{lines}"
        );
        let one = command_failure(&"ü".repeat(IN_MESSAGE)).to_string();
        assert!(one.ends_with("üü") && one.len() < IN_MESSAGE + 100);
    }
}
