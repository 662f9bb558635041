//! The function that the command line describes, once that was checked: where its code and its bootstrap are.

use std::{
    io,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::fs::{Access, access};

use crate::local::{
    deployment::entry::TASK_ROOT, initialization::Initialization, options::Options,
    setup_error::SetupError,
};

/// The second place where Lambda looks for a bootstrap.
const LAYER_BOOTSTRAP: &str = "/opt/bootstrap";

/// How long init may take where a person plays the runtime: for ever, as far as they can tell.
const BY_HAND: Duration = Duration::from_secs(365 * 24 * 3600);

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

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;

    fn function(arguments: &[&str]) -> Result<Function, SetupError> {
        Function::try_from(
            Options::try_parse_from([&["lambda-local"], arguments].concat()).unwrap(),
        )
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
