//! The command line.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use clap::Parser;

/// Run a Lambda function on this machine, behind HTTP and behind Lambda's invoke API.
///
/// Every HTTP request becomes a payload 2.0 event (API Gateway HTTP API, Function URL) and the function's answer
/// becomes the HTTP response. Raw events of any kind can be posted to
/// /2015-03-31/functions/function/invocations, which answers as Lambda's invoke API does. A test console is at
/// /_console, a path that never reaches the function.
///
/// The function runs as in Lambda: one event at a time, 10 seconds for init, killed with all that it started when
/// it times out (but for a daemon that left its parent and cleared its environment), started again with the next
/// event. It gets Lambda's environment variables and those of --env, and none of yours. Streamed answers arrive as
/// they are made.
///
/// With --layer, or with a zip as FUNCTION, everything is deployed as in Lambda: the layers are unpacked over one
/// another at /opt, the function at /var/task, both read-only, and /tmp is empty. In a container both folders have to be
/// empty and this user's own; elsewhere it takes a user namespace, and nothing of this machine's folders is touched.
///
/// With --runtime-api no bootstrap is started: whoever asks for /next at that address is the runtime, you with curl,
/// say, or a program in a debugger. Every call is printed.
///
/// `lambda-local cli -- COMMAND` runs a command of the function's console in a lambda-local that runs already; see its
/// --help.
#[derive(Debug, Parser)]
#[command(name = "lambda-local", version)]
pub struct Options {
    /// Address to serve HTTP on, of 127.0.0.1 where it is a port alone; anything but a loopback address lets your
    /// network call the function and see in the console what it is sent
    #[arg(long, value_name = "IP:PORT", env = "LAMBDA_LOCAL_LISTEN", default_value = "127.0.0.1:8080", value_parser = address)]
    pub listen: SocketAddr,

    /// The runtime to start [default: bootstrap in FUNCTION, else /opt/bootstrap: Lambda's order]
    #[arg(long, value_name = "PATH")]
    pub bootstrap: Option<PathBuf>,

    /// A layer, as a zip or a folder; may be repeated, five times at the most, and a later one wins
    #[arg(long = "layer", value_name = "ZIP_OR_DIR")]
    pub layers: Vec<PathBuf>,

    /// Start no bootstrap, and serve the Runtime API at this address; of 127.0.0.1 where it is a port alone
    #[arg(long, value_name = "IP:PORT", value_parser = address, conflicts_with_all = ["bootstrap", "layers", "concurrency", "snapstart"])]
    pub runtime_api: Option<SocketAddr>,

    /// What the function is configured to run (_HANDLER)
    #[arg(long, default_value = "index.php")]
    pub handler: String,

    /// Seconds that one invocation may take, 1 to 900 [default: 30; with --runtime-api 900]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..=900))]
    pub timeout: Option<u16>,

    /// Memory in MB that the function is told it has, 128 to 10240; it is reported, not enforced
    #[arg(long, value_name = "MB", default_value_t = 1024, value_parser = clap::value_parser!(u16).range(128..=10240))]
    pub memory: u16,

    /// Run as on Lambda Managed Instances: up to N events at once in one runtime, 1 to 1600, and no kill on a time-out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1600))]
    pub concurrency: Option<u16>,

    /// Run as with SnapStart: init, /runtime/restore/next where Lambda would take the snapshot, restore, invocations
    #[arg(long, conflicts_with = "concurrency")]
    pub snapstart: bool,

    /// Environment variable of the function; may be repeated, and wins over most of Lambda's own
    #[arg(long, value_name = "KEY=VALUE", value_parser = function_variable)]
    pub env: Vec<(String, String)>,

    /// The function, what Lambda has in /var/task: a folder, or a zip of what is in one
    #[arg(
        required_unless_present = "runtime_api",
        conflicts_with = "runtime_api"
    )]
    pub function: Option<PathBuf>,

    /// What [`Options::packages`] has named is in its places.
    #[arg(skip)]
    pub is_deployed: bool,
}

impl Options {
    /// The layers and the function, where they are to be deployed as in Lambda. A folder without layers is served where
    /// it is.
    #[must_use]
    pub fn packages(&self) -> Option<(&[PathBuf], &Path)> {
        let function = self.function.as_deref()?;
        let is_package = !self.layers.is_empty() || function.is_file();
        is_package.then_some((&self.layers, function))
    }
}

/// `IP:PORT`; `PORT`, `:PORT` and `localhost:PORT` mean this machine alone.
pub(crate) fn address(argument: &str) -> Result<SocketAddr, String> {
    let port = argument
        .strip_prefix("localhost")
        .unwrap_or(argument)
        .strip_prefix(':')
        .unwrap_or(argument);
    match port.parse::<u16>() {
        Ok(port) => Ok((Ipv4Addr::LOCALHOST, port).into()),
        Err(_) => argument
            .parse()
            .map_err(|_| "write an address and a port, such as 127.0.0.1:8080".to_owned()),
    }
}

fn function_variable(argument: &str) -> Result<(String, String), String> {
    let (key, value) = key_value(argument)?;
    let why = match &*key {
        "AWS_LAMBDA_RUNTIME_API" => {
            "the Runtime API is lambda-local's own, on a new port for each sandbox"
        }
        "AWS_LAMBDA_LOG_STREAM_NAME" => {
            "it is lambda-local's own, which recognises the function's processes by it"
        }
        "AWS_LAMBDA_MAX_CONCURRENCY" => "choose it with --concurrency",
        "AWS_LAMBDA_INITIALIZATION_TYPE" => "it follows from --concurrency and --snapstart",
        _ => return Ok((key, value)),
    };
    Err(format!("{key} cannot be set: {why}"))
}

/// `KEY=VALUE`.
pub(crate) fn key_value(argument: &str) -> Result<(String, String), String> {
    let pair = argument.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or("write it as KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn env_may_be_repeated_and_values_may_hold_equal_signs() {
        let options =
            Options::try_parse_from(["lambda-local", "--env", "A=b=c", "--env", "D=", "."])
                .unwrap();
        assert_eq!(
            options.env,
            [("A".into(), "b=c".into()), ("D".into(), String::new())]
        );
        assert!(Options::try_parse_from(["lambda-local", "--env", "A", "."]).is_err());
        assert!(Options::try_parse_from(["lambda-local", "--env", "=A", "."]).is_err());
    }

    #[test]
    fn a_port_alone_is_this_machines() {
        for (argument, expected) in [
            ("8080", "127.0.0.1:8080"),
            (":8080", "127.0.0.1:8080"),
            ("localhost:8080", "127.0.0.1:8080"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:0", "[::1]:0"),
        ] {
            assert_eq!(address(argument).unwrap().to_string(), expected);
        }
        for wrong in [
            "",
            ":",
            "localhost",
            "localhost8080",
            "127.0.0.1",
            "99999",
            "a:1",
        ] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_lambda_locals_own_cannot_be_set() {
        for name in [
            "AWS_LAMBDA_RUNTIME_API",
            "AWS_LAMBDA_LOG_STREAM_NAME",
            "AWS_LAMBDA_MAX_CONCURRENCY",
            "AWS_LAMBDA_INITIALIZATION_TYPE",
        ] {
            let error = function_variable(&format!("{name}=1")).unwrap_err();
            assert!(error.starts_with(name), "{error}");
        }
    }
}
