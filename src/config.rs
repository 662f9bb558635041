//! The checked values of all variables.
//!
//! [`Config::read`] takes a lookup function instead of the environment, and reports all bad values at once.

mod reader;
mod reference;
mod status_codes;
mod variables;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use self::reader::Reader;
pub use self::reference::{Reference, Selector, SessionToken, Value};
pub use self::status_codes::StatusCodes;
pub use self::variables::{VARIABLES, Variable};
use crate::http::cache_control;
use crate::log::{Format, Level};

/// The checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `host:port` of the Runtime API.
    pub runtime_api: String,
    /// The handler, relative to the task root; whether it exists is checked where it is opened.
    pub handler: String,
    /// The script for events that are not HTTP requests, relative to the task root.
    pub event_handler: String,
    /// Where the function's code is.
    pub task_root: PathBuf,
    /// The function's memory in megabytes.
    pub memory: Option<u64>,
    /// How many workers, at least 1.
    pub slots: usize,
    /// The sandbox is restored from a snapshot.
    pub is_snap_start: bool,
    /// How log lines are written.
    pub log_format: Format,
    /// Lines below it are left out.
    pub log_level: Level,
    /// Variables that PHP gets with another value than the process has, in the order of their names.
    pub replaced: Vec<(OsString, Value)>,
    /// The port of the extension that knows the secrets.
    pub secrets_port: u16,
    /// What it wants to see.
    pub session_token: Option<SessionToken>,
    /// Answers are streamed where the event's sender may have asked for it.
    pub streams: bool,
    /// The php-fpm to start; `None`: look for it.
    pub php_fpm: Option<PathBuf>,
    /// The user's own `PHP_INI_SCAN_DIR`.
    pub ini_scan_dir: Option<OsString>,
    /// The script that console events run, relative to the task root.
    pub console: Option<String>,
    /// Without a slash at its end.
    pub base_path: Option<String>,
    /// `Cache-Control` of a site's files.
    pub static_cache_control: Option<String>,
    /// How long before Lambda's deadline a script is stopped.
    pub timeout_margin: Duration,
    /// Answers with one of these fail the invocation.
    pub error_status_codes: StatusCodes,
    /// The worker is replaced after so many requests.
    pub max_requests: Option<u64>,
    /// Runs in each worker before its first event, relative to the task root.
    pub warmup: Option<String>,
}

/// Everything that is wrong with the configuration; its text names each variable, its value and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// `host:port` of the Runtime API where that much is known, to report the rest to.
    pub runtime_api: Option<String>,
    /// How the log is written, where that much is known.
    pub log_format: Format,
    /// One sentence for each bad value.
    pub problems: Vec<String>,
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}. Correct the function's environment variables, or the image's CMD.",
            self.problems.join("; ")
        )
    }
}

impl Config {
    /// Reads the configuration through `lookup`; `names` are all the names that are set, `arguments` those of the command line.
    ///
    /// An empty value counts as unset, as the Lambda console leaves empty fields behind.
    pub fn read(
        lookup: impl Fn(&str) -> Option<OsString>,
        names: impl Iterator<Item = OsString>,
        arguments: impl Iterator<Item = OsString>,
    ) -> Result<Config, Invalid> {
        let mut reader = Reader {
            lookup,
            problems: Vec::new(),
        };
        let names: Vec<OsString> = names.collect();
        let runtime_api = reader.text("AWS_LAMBDA_RUNTIME_API");
        if runtime_api.is_none() {
            reader.problems.push(
                "AWS_LAMBDA_RUNTIME_API is not set: this program is started by Lambda, or by lambda-local".into(),
            );
        }
        let handler = reader
            .argument(arguments)
            .or_else(|| reader.text("_HANDLER"))
            .unwrap_or_else(|| "index.php".into());
        let config = Config {
            event_handler: reader
                .text("PHP_LAMBDA_EVENT_HANDLER")
                .unwrap_or_else(|| handler.clone()),
            handler,
            task_root: reader
                .path("LAMBDA_TASK_ROOT")
                .unwrap_or_else(|| "/var/task".into()),
            memory: reader.parsed("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", |text| {
                number(text, 1, 1_000_000)
            }),
            slots: reader
                .parsed("AWS_LAMBDA_MAX_CONCURRENCY", |text| number(text, 1, 1000))
                .unwrap_or(1) as usize,
            is_snap_start: reader
                .text("AWS_LAMBDA_INITIALIZATION_TYPE")
                .is_some_and(|kind| kind == "snap-start"),
            log_format: reader
                .parsed("AWS_LAMBDA_LOG_FORMAT", Format::parse)
                .unwrap_or_default(),
            log_level: reader
                .parsed("AWS_LAMBDA_LOG_LEVEL", Level::parse)
                .unwrap_or(Level::Trace),
            streams: reader
                .parsed("PHP_LAMBDA_INVOKE_MODE", |text| match text {
                    "buffered" => Some(false),
                    "response_stream" => Some(true),
                    _ => None,
                })
                .unwrap_or(false),
            replaced: reader.replaced(&names),
            secrets_port: reader
                .parsed("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", |text| {
                    number(text, 1, 65_535)
                })
                .map_or(2773, |port| port as u16),
            session_token: reader.text("AWS_SESSION_TOKEN").map(SessionToken::new),
            php_fpm: reader.path("PHP_FPM"),
            // an empty PHP_INI_SCAN_DIR has a meaning of its own in PHP: scan nothing
            ini_scan_dir: (reader.lookup)("PHP_INI_SCAN_DIR"),
            console: reader.text("PHP_LAMBDA_CONSOLE"),
            base_path: reader.parsed("PHP_LAMBDA_BASE_PATH", base_path).flatten(),
            static_cache_control: reader
                .parsed("PHP_LAMBDA_STATIC_CACHE_CONTROL", cache_control::parse),
            timeout_margin: Duration::from_millis(
                reader
                    .parsed("PHP_LAMBDA_TIMEOUT_MARGIN_MS", |text| {
                        number(text, 1, 60_000)
                    })
                    .unwrap_or(500),
            ),
            error_status_codes: reader
                .parsed("PHP_LAMBDA_ERROR_STATUS_CODES", StatusCodes::parse)
                .unwrap_or_default(),
            max_requests: reader
                .parsed("PHP_LAMBDA_MAX_REQUESTS", |text| {
                    number(text, 0, 1_000_000_000)
                })
                .filter(|&requests| requests > 0),
            warmup: reader.text("PHP_LAMBDA_WARMUP"),
            runtime_api: runtime_api.clone().unwrap_or_default(),
        };
        reader.unknown_names(names.into_iter());
        match reader.problems {
            problems if problems.is_empty() => Ok(config),
            problems => Err(Invalid {
                runtime_api,
                log_format: config.log_format,
                problems,
            }),
        }
    }
}

fn number(text: &str, least: u64, most: u64) -> Option<u64> {
    text.parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
}

/// `/` alone is no prefix.
fn base_path(text: &str) -> Option<Option<String>> {
    let path = text.strip_prefix('/')?.trim_end_matches('/');
    Some((!path.is_empty()).then(|| format!("/{path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, Invalid> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found
                .map(|(_, value)| OsString::from(value))
                .or((name == "AWS_LAMBDA_RUNTIME_API").then(|| "a:1".into()))
        };
        let names = variables.iter().map(|(key, _)| OsString::from(key));
        Config::read(lookup, names, std::iter::empty())
    }

    fn with_arguments(arguments: &[&str]) -> Result<Config, Invalid> {
        let lookup = |name: &str| match name {
            "AWS_LAMBDA_RUNTIME_API" => Some("a:1".into()),
            "_HANDLER" => Some("from/variable.php".into()),
            _ => None,
        };
        let arguments = arguments.iter().map(OsString::from);
        Config::read(lookup, std::iter::empty(), arguments)
    }

    #[test]
    fn the_argument_is_the_handler() {
        let config = with_arguments(&["index.php"]).unwrap();
        assert_eq!(config.handler, "index.php");
        assert_eq!(config.event_handler, "index.php");
        for none in [&[][..], &[""]] {
            assert_eq!(with_arguments(none).unwrap().handler, "from/variable.php");
        }
    }

    #[test]
    fn more_than_one_argument_is_an_error() {
        let invalid = with_arguments(&["a.php", "b.php"]).unwrap_err();
        let text = invalid.to_string();
        assert!(
            text.contains("[\"a.php\", \"b.php\"]") && text.contains("the handler alone"),
            "{text}"
        );
    }

    #[test]
    fn defaults() {
        let config = read(&[]).unwrap();
        assert_eq!(config.handler, "index.php");
        assert_eq!(config.event_handler, "index.php");
        assert_eq!(config.task_root, PathBuf::from("/var/task"));
        assert_eq!(config.slots, 1);
        assert_eq!(config.memory, None);
        assert_eq!(config.log_format, Format::Text);
        assert_eq!(config.log_level, Level::Trace);
        assert_eq!(config.timeout_margin, Duration::from_millis(500));
        assert_eq!(config.max_requests, None);
        assert_eq!(config.base_path, None);
        assert_eq!(config.ini_scan_dir, None);
        assert_eq!(config.console, None);
        assert_eq!(config.secrets_port, 2773);
        assert!(config.replaced.is_empty());
        assert!(!config.is_snap_start && !config.streams);
    }

    #[test]
    fn values() {
        let config = read(&[
            ("_HANDLER", "public/index.php"),
            ("PHP_LAMBDA_EVENT_HANDLER", "worker.php"),
            ("AWS_LAMBDA_MAX_CONCURRENCY", "16"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769"),
            ("AWS_LAMBDA_LOG_FORMAT", "json"),
            ("AWS_LAMBDA_LOG_LEVEL", "warn"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start"),
            ("PHP_LAMBDA_INVOKE_MODE", "response_stream"),
            ("PHP_LAMBDA_BASE_PATH", "/v1/"),
            ("PHP_LAMBDA_STATIC_CACHE_CONTROL", "public, max-age=60"),
            ("PHP_LAMBDA_TIMEOUT_MARGIN_MS", "20"),
            ("PHP_LAMBDA_ERROR_STATUS_CODES", "500, 502-504"),
            ("PHP_LAMBDA_MAX_REQUESTS", "7"),
            ("PHP_LAMBDA_WARMUP", "warmup.php"),
            ("PHP_LAMBDA_CONSOLE", "bin/console"),
            ("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", "2774"),
            ("AWS_SESSION_TOKEN", "hunter2"),
        ])
        .unwrap();
        assert_eq!(config.event_handler, "worker.php");
        assert_eq!(config.slots, 16);
        assert_eq!(config.memory, Some(1769));
        assert_eq!(config.log_format, Format::Json);
        assert_eq!(config.log_level, Level::Warn);
        assert!(config.is_snap_start && config.streams);
        assert_eq!(config.base_path.as_deref(), Some("/v1"));
        assert_eq!(
            config.static_cache_control.as_deref(),
            Some("public, max-age=60")
        );
        assert_eq!(config.timeout_margin, Duration::from_millis(20));
        assert_eq!(config.max_requests, Some(7));
        assert_eq!(config.warmup.as_deref(), Some("warmup.php"));
        assert_eq!(config.console.as_deref(), Some("bin/console"));
        assert_eq!(config.secrets_port, 2774);
        assert_eq!(
            config.session_token,
            Some(SessionToken::new("hunter2".to_owned()))
        );
        assert!(!format!("{config:?}").contains("hunter2"));
        let failing = [499, 500, 501, 502, 503, 504, 505]
            .map(|status| config.error_status_codes.contains(status));
        assert_eq!(failing, [false, true, false, true, true, true, false]);
    }

    #[test]
    fn all_bad_values_are_named_at_once_with_what_is_allowed() {
        let bad = [
            ("AWS_LAMBDA_MAX_CONCURRENCY", "0"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128M"),
            ("AWS_LAMBDA_LOG_FORMAT", "xml"),
            ("AWS_LAMBDA_LOG_LEVEL", "loud"),
            ("PHP_LAMBDA_INVOKE_MODE", "stream"),
            ("PHP_LAMBDA_BASE_PATH", "v1"),
            ("PHP_LAMBDA_STATIC_CACHE_CONTROL", "3600"),
            ("PHP_LAMBDA_TIMEOUT_MARGIN_MS", "5s"),
            ("PHP_LAMBDA_ERROR_STATUS_CODES", "504-502"),
            ("PHP_LAMBDA_MAX_REQUESTS", "-1"),
            ("PHP_LAMBDA_TIMEUOT_MARGIN_MS", "3"),
            ("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", "65536"),
        ];
        let invalid = read(&bad).unwrap_err();
        assert_eq!(invalid.problems.len(), bad.len(), "{invalid}");
        for (name, value) in bad {
            let problem = invalid
                .problems
                .iter()
                .find(|problem| problem.starts_with(name))
                .unwrap();
            assert!(
                problem.contains(&format!("{value:?}")) && problem.contains("allowed"),
                "{problem}"
            );
        }
        assert!(invalid.to_string().contains("PHP_LAMBDA_TIMEOUT_MARGIN_MS"));
        assert_eq!(invalid.runtime_api.as_deref(), Some("a:1"));
    }

    #[test]
    fn values_that_php_gets_from_elsewhere() {
        let config = read(&[
            ("DB_PASSWORD", "ssm:/app/password"),
            ("API_KEY", "\\ssm:literal"),
            ("PLAIN", "x ssm:y"),
            ("AWS_X", "ssm:x"),
            ("PHP_LAMBDA_BASE_PATH", "/ssm:"),
        ])
        .unwrap();
        let names: Vec<&OsString> = config.replaced.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["API_KEY", "DB_PASSWORD"]);
        assert!(matches!(&config.replaced[0].1, Value::Literal(value) if value == "ssm:literal"));
        let debug = format!("{config:?}");
        assert!(
            !debug.contains("literal") && !debug.contains("/app"),
            "{debug}"
        );
    }

    #[test]
    fn a_bad_reference_is_named_and_not_shown() {
        let invalid = read(&[("A", "ssm:hunter 2"), ("B", "secretsmanager:")]).unwrap_err();
        assert_eq!(invalid.problems.len(), 2);
        let text = invalid.to_string();
        assert!(
            text.contains("A begins with ssm:") && !text.contains("hunter"),
            "{text}"
        );
        assert!(text.contains("B begins with secretsmanager:"), "{text}");
    }

    #[test]
    fn an_empty_value_counts_as_unset() {
        assert_eq!(
            read(&[("_HANDLER", ""), ("PHP_LAMBDA_MAX_REQUESTS", "")]).unwrap(),
            read(&[]).unwrap()
        );
    }
}
