//! The command line, and the function it describes once that was checked.

use std::{
    error::Error,
    fmt, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Parser;
use rustix::{
    fs::{Access, access},
    process::getuid,
};

use crate::local::deployment::entry::TASK_ROOT;

/// The second place where Lambda looks for a bootstrap.
const LAYER_BOOTSTRAP: &str = "/opt/bootstrap";

/// How long init may take where a person plays the runtime: for ever, as far as they can tell.
const BY_HAND: Duration = Duration::from_secs(365 * 24 * 3600);

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

/// A function whose folder and bootstrap exist.
#[derive(Clone, Debug)]
pub struct Function {
    /// `LAMBDA_TASK_ROOT`, absolute.
    pub root: PathBuf,
    /// The executable to start, absolute.
    pub bootstrap: PathBuf,
    /// Where somebody else plays the runtime, and no bootstrap is started.
    pub runtime_api: Option<Arc<TcpListener>>,
    /// `_HANDLER`.
    pub handler: String,
    /// How long one invocation may take.
    pub timeout: Duration,
    /// How long init may take before it is broken off.
    pub init_limit: Duration,
    /// How long a restore may take before it is broken off; Lambda gives 10 seconds
    /// (docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks.html).
    pub restore_limit: Duration,
    /// What kind of function it is.
    pub initialization: Initialization,
    /// Configured memory in MB.
    pub memory: u16,
    /// The user's environment variables.
    pub env: Vec<(String, String)>,
}

/// What Lambda calls the initialization type: how a sandbox comes about, and how many invocations it serves at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initialization {
    /// The default: init when an invocation needs it, one at a time.
    OnDemand,
    /// Init ahead of all invocations, a snapshot of what that left, and a restore of it where a sandbox is needed.
    SnapStart,
    /// Managed Instances: init ahead of all invocations, several at a time.
    ManagedInstances {
        /// `AWS_LAMBDA_MAX_CONCURRENCY`.
        concurrency: u16,
    },
}

impl Initialization {
    /// `AWS_LAMBDA_INITIALIZATION_TYPE`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::SnapStart => "snap-start",
            Self::ManagedInstances { .. } => "lambda-managed-instances",
        }
    }

    pub(crate) fn concurrency(self) -> usize {
        match self {
            Self::OnDemand | Self::SnapStart => 1,
            Self::ManagedInstances { concurrency } => concurrency.into(),
        }
    }

    /// How long Lambda lets an init take: 10 seconds on demand, else 130 seconds or the function's time-out, whichever
    /// is longer (docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html).
    fn init_limit(self, timeout: Duration) -> Duration {
        match self {
            Self::OnDemand => Duration::from_secs(10),
            Self::SnapStart | Self::ManagedInstances { .. } => {
                timeout.max(Duration::from_secs(130))
            }
        }
    }
}

impl TryFrom<Options> for Function {
    type Error = SetupError;

    fn try_from(options: Options) -> Result<Self, SetupError> {
        let mut runtime_api = None;
        let (root, bootstrap) = if let Some(address) = options.runtime_api {
            let listener = TcpListener::bind(address).map_err(|source| SetupError::Listen {
                option: "--runtime-api",
                address,
                source,
            })?;
            runtime_api = Some(Arc::new(listener));
            (PathBuf::from(TASK_ROOT), PathBuf::new())
        } else if options.is_deployed {
            let root = PathBuf::from(TASK_ROOT);
            // That it can be executed is looked at when it is, as in Lambda, and fails in the same words.
            let bootstrap = find_bootstrap(options.bootstrap, &root)?;
            (root, bootstrap)
        } else {
            let root = find_root(options.function.unwrap_or_default())?;
            let bootstrap = find_bootstrap(options.bootstrap, &root)?;
            if !is_executable(&bootstrap) {
                return Err(SetupError::NotExecutable { bootstrap });
            }
            (root, bootstrap)
        };
        let initialization = match options.concurrency {
            Some(concurrency) => Initialization::ManagedInstances { concurrency },
            None if options.snapstart => Initialization::SnapStart,
            None => Initialization::OnDemand,
        };
        // Whoever types has not done it in half a minute.
        let usual = if runtime_api.is_some() { 900 } else { 30 };
        let timeout = Duration::from_secs(options.timeout.unwrap_or(usual).into());
        let init_limit = match runtime_api {
            Some(_) => BY_HAND,
            None => initialization.init_limit(timeout),
        };
        Ok(Self {
            root,
            bootstrap,
            runtime_api,
            handler: options.handler,
            timeout,
            init_limit,
            restore_limit: Duration::from_secs(10),
            initialization,
            memory: options.memory,
            env: options.env,
        })
    }
}

fn find_root(folder: PathBuf) -> Result<PathBuf, SetupError> {
    let root = match folder.canonicalize() {
        Ok(root) if root.is_dir() => root,
        Ok(_) => {
            return Err(SetupError::FunctionDir {
                folder,
                source: io::ErrorKind::NotADirectory.into(),
            });
        }
        Err(source) => return Err(SetupError::FunctionDir { folder, source }),
    };
    // Else the start of the bootstrap would fail, as if that were not allowed.
    if access(&root, Access::EXEC_OK).is_err() {
        return Err(SetupError::NoEntry { folder: root });
    }
    Ok(root)
}

fn find_bootstrap(named: Option<PathBuf>, root: &Path) -> Result<PathBuf, SetupError> {
    let candidates = match named {
        Some(path) if path.is_dir() => return Err(SetupError::BootstrapIsFolder { path }),
        Some(path) => vec![path],
        None => vec![root.join("bootstrap"), PathBuf::from(LAYER_BOOTSTRAP)],
    };
    let Some(found) = candidates.iter().find(|path| path.is_file()) else {
        return Err(SetupError::NoBootstrap {
            looked_in: candidates,
        });
    };
    // Not canonicalize: a program may tell by the name it is called by what it is to do, or where its files are.
    std::path::absolute(found).map_err(|_| SetupError::NotExecutable {
        bootstrap: found.clone(),
    })
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

/// Why nothing could be started. The caller prints it and exits; each message ends in what to do.
#[derive(Debug)]
pub enum SetupError {
    /// The function's folder is missing or is no folder.
    FunctionDir {
        /// As it was written on the command line.
        folder: PathBuf,
        /// Why it could not be used.
        source: io::Error,
    },
    /// The function's folder may not be entered by the user that this process runs as.
    NoEntry {
        /// Absolute.
        folder: PathBuf,
    },
    /// `--bootstrap` names a folder.
    BootstrapIsFolder {
        /// As it was written on the command line.
        path: PathBuf,
    },
    /// There is no bootstrap in any of the places.
    NoBootstrap {
        /// Every place, in order.
        looked_in: Vec<PathBuf>,
    },
    /// The bootstrap has no execute permission.
    NotExecutable {
        /// The file.
        bootstrap: PathBuf,
    },
    /// The address could not be opened.
    Listen {
        /// Where it was written.
        option: &'static str,
        /// What it said.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FunctionDir { folder, source } => write!(
                f,
                "{} cannot be used as the function's folder ({source}): give the folder that you would deploy",
                folder.display()
            ),
            Self::NoEntry { folder } => {
                let (path, user) = (folder.display(), getuid().as_raw());
                write!(
                    f,
                    "the function's folder {path} may not be entered by user {user}: run chmod o+rx {path}, or on the \
                     folder outside that is mounted there"
                )
            }
            Self::BootstrapIsFolder { path } => {
                write!(
                    f,
                    "--bootstrap {} is a folder: name the file in it",
                    path.display()
                )
            }
            Self::NoBootstrap { looked_in } => {
                let places: Vec<_> = looked_in
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect();
                match places.as_slice() {
                    // It was named.
                    [place] => write!(f, "no bootstrap at {place}: name one with --bootstrap PATH"),
                    _ => write!(
                        f,
                        "no bootstrap at {} (in Lambda: \"Couldn't find valid bootstrap(s): [{}]\"): put one into a layer or \
                         the function, or name it with --bootstrap PATH",
                        places.join(" or "),
                        places.join(" ")
                    ),
                }
            }
            Self::NotExecutable { bootstrap } => {
                let path = bootstrap.display();
                write!(
                    f,
                    "{path} is not executable, and Lambda would refuse it too: run chmod +x {path}"
                )
            }
            Self::Listen {
                option,
                address,
                source,
            } if source.kind() == io::ErrorKind::AddrInUse => {
                write!(
                    f,
                    "port {} is taken by another program: stop that, or choose a port with {option} {}:PORT",
                    address.port(),
                    address.ip()
                )
            }
            Self::Listen {
                option,
                address,
                source,
            } => {
                write!(
                    f,
                    "cannot listen on {address} ({source}): choose an address of this machine with {option}"
                )
            }
        }
    }
}

impl Error for SetupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::FunctionDir { source, .. } | Self::Listen { source, .. } => Some(source),
            Self::NoEntry { .. }
            | Self::BootstrapIsFolder { .. }
            | Self::NoBootstrap { .. }
            | Self::NotExecutable { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::CommandFactory;

    use super::*;

    fn function(arguments: &[&str]) -> Result<Function, SetupError> {
        Function::try_from(
            Options::try_parse_from([&["lambda-local"], arguments].concat()).unwrap(),
        )
    }

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
    fn init_takes_as_long_as_in_lambda() {
        let function = |arguments: &[&str]| {
            let bootstrap = ["--bootstrap", "/bin/sh", "/"];
            function(&[arguments, &bootstrap].concat()).unwrap()
        };
        let seconds = |arguments| function(arguments).init_limit.as_secs();
        assert_eq!(seconds(&["--timeout", "900"]), 10);
        assert_eq!(seconds(&["--concurrency", "2", "--timeout", "30"]), 130);
        assert_eq!(seconds(&["--concurrency", "2", "--timeout", "900"]), 900);
        assert_eq!(seconds(&["--snapstart"]), 130);
        let managed = function(&["--concurrency", "2"]).initialization;
        assert_eq!(
            (managed.concurrency(), managed.name()),
            (2, "lambda-managed-instances")
        );
        let both = ["lambda-local", "--concurrency", "2", "--snapstart", "."];
        assert!(Options::try_parse_from(both).is_err());
        for wrong in ["0", "1601"] {
            let arguments = ["lambda-local", "--concurrency", wrong, "."];
            assert!(Options::try_parse_from(arguments).is_err(), "{wrong}");
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

    #[test]
    fn the_bootstrap_is_started_by_the_name_it_was_given() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/bin/sh", &link).unwrap();
        let path = folder.path().to_str().unwrap();
        let function = function(&["--bootstrap", link.to_str().unwrap(), path]).unwrap();
        assert_eq!(function.bootstrap, link);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = function(&["/no/such/folder"]).unwrap_err().to_string();
        assert!(
            error.starts_with("/no/such/folder cannot be used"),
            "{error}"
        );
    }

    #[test]
    fn the_bootstrap_of_the_function_is_found_and_must_be_executable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let bootstrap = folder.path().join("bootstrap");
        let missing = function(&["--bootstrap", bootstrap.to_str().unwrap(), path]).unwrap_err();
        assert!(
            missing.to_string().contains("--bootstrap PATH"),
            "{missing}"
        );

        fs::write(&bootstrap, "#!/bin/sh\n").unwrap();
        let plain = function(&[path]).unwrap_err();
        assert!(plain.to_string().contains("chmod +x"), "{plain}");

        fs::set_permissions(&bootstrap, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(
            function(&[path]).unwrap().bootstrap,
            bootstrap.canonicalize().unwrap()
        );
    }
}
