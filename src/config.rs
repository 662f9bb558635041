//! Every variable that the runtime reads, in one list, and the checked values.
//!
//! [`Config::read`] takes a lookup function instead of the environment, and reports all bad values at once.
//! `docs/configuration.md` repeats [`VARIABLES`]; a test compares the two.

mod reference;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

pub use self::reference::{Reference, Selector, SessionToken, Value};
use crate::http::cache_control;
use crate::log::{Format, Level};

/// One environment variable: what it is called, what holds without it, what it accepts and what it does.
pub struct Variable {
    /// The name as Lambda or the user sets it.
    pub name: &'static str,
    /// What holds when it is unset or empty.
    pub default: &'static str,
    /// Which values are allowed, with their unit.
    pub allowed: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

/// All variables: Lambda's own first, then those of this runtime.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "AWS_LAMBDA_RUNTIME_API",
        default: "none, Lambda sets it",
        allowed: "host:port",
        meaning: "where the Runtime API listens",
    },
    Variable {
        name: "_HANDLER",
        default: "index.php",
        allowed: "a PHP file below LAMBDA_TASK_ROOT, or a folder such as public (. is LAMBDA_TASK_ROOT itself)",
        meaning: "the script that answers every request, or the folder of a site, whose scripts are run by their paths and whose other files are sent; Lambda sets it from the function's handler. The bootstrap's argument, which is a container image's CMD, counts more",
    },
    Variable {
        name: "LAMBDA_TASK_ROOT",
        default: "/var/task",
        allowed: "a folder",
        meaning: "where the function's code is",
    },
    Variable {
        name: "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        default: "none, Lambda sets it",
        allowed: "a whole number of megabytes from 1 to 1000000",
        meaning: "the function's memory, of which PHP's memory_limit is made",
    },
    Variable {
        name: "AWS_LAMBDA_MAX_CONCURRENCY",
        default: "1",
        allowed: "a whole number from 1 to 1000",
        meaning: "how many invocations Lambda sends at once, and so how many workers there are",
    },
    Variable {
        name: "AWS_LAMBDA_INITIALIZATION_TYPE",
        default: "none, Lambda sets it",
        allowed: "any text",
        meaning: "snap-start: the sandbox is restored from a snapshot of what it is after its init",
    },
    Variable {
        name: "AWS_LAMBDA_LOG_FORMAT",
        default: "Text",
        allowed: "Text or JSON, in any case of letters",
        meaning: "how a log line is written",
    },
    Variable {
        name: "AWS_LAMBDA_LOG_LEVEL",
        default: "TRACE",
        allowed: "TRACE, DEBUG, INFO, WARN, ERROR or FATAL",
        meaning: "lines below this level are left out: the runtime's own, and with JSON PHP's too",
    },
    Variable {
        name: "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT",
        default: "2773",
        allowed: "a whole number from 1 to 65535",
        meaning: "where AWS's Parameters and Secrets extension listens: asked where a variable's value begins with ssm: or secretsmanager:, see [secrets.md](secrets.md)",
    },
    Variable {
        name: "AWS_SESSION_TOKEN",
        default: "none, Lambda sets it",
        allowed: "any text",
        meaning: "what that extension wants to see; it is asked for nothing without it",
    },
    Variable {
        name: "PHP_FPM",
        default: "/opt/bin/php-fpm, else php-fpm or the newest php-fpm8.* on PATH or in /usr/sbin",
        allowed: "the path of a php-fpm 8 program",
        meaning: "the php-fpm to start",
    },
    Variable {
        name: "PHP_INI_SCAN_DIR",
        default: "PHP's own folder, then LAMBDA_TASK_ROOT/php/conf.d",
        allowed: "folders, separated by colons",
        meaning: "PHP's own variable: where *.ini files are read. LAMBDA_TASK_ROOT/php.ini is read in any case where it exists",
    },
    Variable {
        name: "PHP_LAMBDA_INVOKE_MODE",
        default: "buffered",
        allowed: "buffered or response_stream",
        meaning: "how an answer reaches Lambda: as one JSON document when PHP has finished, or piece by piece. Set response_stream where the Function URL's invoke mode is RESPONSE_STREAM, or the REST API's response transfer mode STREAM; answers to all other events are buffered all the same",
    },
    Variable {
        name: "PHP_LAMBDA_EVENT_HANDLER",
        default: "the handler, or the index.php of a site",
        allowed: "a PHP file below LAMBDA_TASK_ROOT",
        meaning: "the script for events that are not HTTP requests",
    },
    Variable {
        name: "PHP_LAMBDA_CONSOLE",
        default: "none",
        allowed: "a PHP file below LAMBDA_TASK_ROOT",
        meaning: "the console script, such as artisan or bin/console, that an event such as {\"cli\": \"migrate --force\"} runs with its arguments; without it such an event is one like any other. See [console.md](console.md)",
    },
    Variable {
        name: "PHP_LAMBDA_BASE_PATH",
        default: "none",
        allowed: "a path that begins with /",
        meaning: "a prefix that is taken off the request's path, for an API behind a base path mapping",
    },
    Variable {
        name: "PHP_LAMBDA_STATIC_CACHE_CONTROL",
        default: "none",
        allowed: "directives of Cache-Control, such as public, max-age=3600",
        meaning: "the Cache-Control of the files that a site sends without PHP",
    },
    Variable {
        name: "PHP_LAMBDA_TIMEOUT_MARGIN_MS",
        default: "500",
        allowed: "a whole number of milliseconds from 1 to 60000",
        meaning: "how long before Lambda's deadline a script is stopped, so that its log and the error still get out",
    },
    Variable {
        name: "PHP_LAMBDA_ERROR_STATUS_CODES",
        default: "none",
        allowed: "HTTP status codes and ranges from 100 to 999, such as 500,502-504",
        meaning: "an answer with one of these fails the invocation",
    },
    Variable {
        name: "PHP_LAMBDA_MAX_REQUESTS",
        default: "0",
        allowed: "a whole number from 0 (never) to 1000000000",
        meaning: "the worker is replaced, between two invocations, after so many requests",
    },
    Variable {
        name: "PHP_LAMBDA_WARMUP",
        default: "none",
        allowed: "a PHP file below LAMBDA_TASK_ROOT",
        meaning: "a script that runs in each worker before its first event, to load code and open connections; what it prints is dropped",
    },
];

/// The prefix of this runtime's own variables; an unknown name behind it is an error, so that a misspelling is not silent.
const OWN_PREFIX: &str = "PHP_LAMBDA_";

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

/// A set of HTTP status codes as inclusive ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusCodes(Vec<(u16, u16)>);

impl StatusCodes {
    /// Whether `status` is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0
            .iter()
            .any(|&(first, last)| (first..=last).contains(&status))
    }

    fn parse(text: &str) -> Option<StatusCodes> {
        let code = |text: &str| {
            text.trim()
                .parse::<u16>()
                .ok()
                .filter(|code| (100..=999).contains(code))
        };
        let range = |item: &str| match item.split_once('-') {
            Some((first, last)) => {
                Some((code(first)?, code(last)?)).filter(|(first, last)| first <= last)
            }
            None => code(item).map(|code| (code, code)),
        };
        text.split(',')
            .map(range)
            .collect::<Option<Vec<_>>>()
            .map(StatusCodes)
    }
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

struct Reader<L> {
    lookup: L,
    problems: Vec<String>,
}

impl<L: Fn(&str) -> Option<OsString>> Reader<L> {
    fn path(&self, name: &str) -> Option<PathBuf> {
        (self.lookup)(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.parsed(name, |text| Some(text.to_owned()))
    }

    /// Lambda starts a container image's ENTRYPOINT with its CMD, which is the handler.
    fn argument(&mut self, arguments: impl Iterator<Item = OsString>) -> Option<String> {
        let arguments: Vec<OsString> = arguments.collect();
        match &arguments[..] {
            [] => None,
            [handler] if handler.is_empty() => None,
            [handler] if handler.to_str().is_some() => handler.to_str().map(str::to_owned),
            _ => {
                self.problems.push(format!(
                    "the bootstrap's arguments are {arguments:?}, allowed: the handler alone, such as index.php"
                ));
                None
            }
        }
    }

    fn parsed<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let value = (self.lookup)(name).filter(|value| !value.is_empty())?;
        let parsed = value.to_str().and_then(parse);
        if parsed.is_none() {
            let variable = VARIABLES.iter().find(|variable| variable.name == name);
            let allowed = variable.map_or("UTF-8 text", |variable| variable.allowed);
            self.problems
                .push(format!("{name} is {value:?}, allowed: {allowed}"));
        }
        parsed
    }

    /// The user's own variables alone: Lambda's and the runtime's are read before there could be any other value.
    fn replaced(&mut self, names: &[OsString]) -> Vec<(OsString, Value)> {
        let is_known = |name: &OsStr| VARIABLES.iter().any(|variable| name == variable.name);
        let is_users =
            |name: &OsStr| !name.as_encoded_bytes().starts_with(b"AWS_") && !is_known(name);
        let mut found = Vec::new();
        for name in names.iter().filter(|name| is_users(name)) {
            let value = name.to_str().and_then(|name| (self.lookup)(name));
            match value.as_deref().and_then(Value::parse) {
                Some(Ok(value)) => found.push((name.clone(), value)),
                // without the value, which may be a secret that begins so by chance
                Some(Err(problem)) => self
                    .problems
                    .push(format!("{} {problem}", name.to_string_lossy())),
                None => {}
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found
    }

    fn unknown_names(&mut self, names: impl Iterator<Item = OsString>) {
        let own = || {
            VARIABLES
                .iter()
                .map(|variable| variable.name)
                .filter(|name| name.starts_with(OWN_PREFIX))
        };
        let mut unknown: Vec<OsString> = names
            .filter(|name| name.as_encoded_bytes().starts_with(OWN_PREFIX.as_bytes()))
            .filter(|name| !own().any(|known| name == known))
            .collect();
        unknown.sort();
        for name in unknown {
            let shown = name.to_string_lossy();
            let value = (self.lookup)(&shown).unwrap_or_default();
            let known = own().collect::<Vec<_>>().join(", ");
            self.problems.push(format!(
                "{shown} is {value:?}, but there is no such variable, allowed: {known}"
            ));
        }
    }
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
    fn each_form_of_a_bad_status_list() {
        for text in ["500,", "50", "1000", "a", "500-", "-500", "500--502"] {
            assert_eq!(StatusCodes::parse(text), None, "{text}");
        }
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
