//! The list of all variables that the runtime reads; `docs/configuration.md` repeats it, and a test compares the two.

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
pub(super) const OWN_PREFIX: &str = "PHP_LAMBDA_";
