//! Why lambda-local cannot serve a function, in words that end in what to do.

use std::{error::Error, fmt, io, net::SocketAddr, path::PathBuf};

use rustix::process::getuid;

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
