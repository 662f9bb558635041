//! Why a package is refused or cannot be put into its place.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

use crate::local::deployment::entry::Fault;

/// The caller prints it and exits; each message ends in what to do.
#[derive(Debug)]
pub struct DeploymentError(Reason);

#[derive(Debug)]
pub(crate) enum Reason {
    TooManyLayers {
        count: usize,
    },
    Unopened {
        package: PathBuf,
        source: io::Error,
    },
    NoZip {
        package: PathBuf,
        why: String,
    },
    Entry {
        package: PathBuf,
        entry: String,
        fault: Fault,
    },
    /// Lambda's limit, and the package with which it was passed.
    TooLarge {
        package: PathBuf,
    },
    Unwritten {
        path: PathBuf,
        source: io::Error,
    },
    /// The folders are another one's.
    Busy,
    NoPlace {
        /// Why the folders themselves cannot be taken.
        folders: String,
        /// Why they cannot be made for this process alone.
        namespace: String,
    },
}

impl DeploymentError {
    /// Why `package` is refused for one of its entries.
    pub(crate) fn of_entry(package: &Path, entry: &str, fault: Fault) -> Self {
        Self(Reason::Entry {
            package: package.to_owned(),
            entry: entry.to_owned(),
            fault,
        })
    }
}

impl From<Reason> for DeploymentError {
    fn from(reason: Reason) -> Self {
        Self(reason)
    }
}

impl fmt::Display for DeploymentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::TooManyLayers { count } => write!(
                f,
                "{count} layers, and Lambda takes five: put several into one zip"
            ),
            Reason::Unopened { package, source } => write!(
                f,
                "{} cannot be opened ({source}): give a zip or a folder",
                package.display()
            ),
            Reason::NoZip { package, why } => write!(
                f,
                "{} cannot be read as a zip ({why}): make it with `zip -r` or give a folder",
                package.display()
            ),
            Reason::Entry {
                package,
                entry,
                fault,
            } => write!(
                f,
                "{} is refused: its entry {entry:?} {fault}; nothing of it was run",
                package.display()
            ),
            Reason::TooLarge { package } => write!(
                f,
                "Unzipped size must be smaller than 262144000 bytes: with {} the layers and the function together are larger, \
                 and Lambda takes no more. Leave out what is not needed, or deploy a container image",
                package.display()
            ),
            Reason::Unwritten { path, source } => {
                write!(f, "cannot unpack {path:?} ({source})")
            }
            Reason::Busy => f.write_str(
                "another lambda-local has its function in /opt and /var/task, and here there is room for one: end that one \
                 first",
            ),
            Reason::NoPlace { folders, namespace } => write!(
                f,
                "cannot give the function its /opt and /var/task. The folders themselves cannot be taken: {folders}. A user and \
                 mount namespace cannot be had either: {namespace}. Where it is allowed (not in a container with Docker's \
                 usual seccomp profile, and on some distributions not without AppArmor's leave, \
                 kernel.apparmor_restrict_unprivileged_userns) nothing else is needed; otherwise use an image in which both \
                 folders are empty and this user's own, such as that of `make lab`"
            ),
        }
    }
}

impl Error for DeploymentError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Reason::Unopened { source, .. } | Reason::Unwritten { source, .. } => Some(source),
            _ => None,
        }
    }
}
