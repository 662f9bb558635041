//! The bootstrap under test: its files, its environment and its processes.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::php_fpm::Configuration;
use crate::process::{Process, children_of};
use crate::runtime_api::RuntimeApi;
use crate::workload::Workload;

/// What all measurements share.
pub struct Setup {
    functions: TempDir,
    _temp: TempDir,
    pub task_root: PathBuf,
    /// For run folders.
    pub temp: PathBuf,
    pub program: PathBuf,
    /// What the bootstrap starts its php-fpm with.
    pub php_fpm: Configuration,
}

impl Setup {
    pub fn new() -> Setup {
        let functions = std::env::var_os("BENCH_FOLDER")
            .map_or_else(tempfile::tempdir, tempfile::tempdir_in)
            .expect("a folder for functions");
        let temp = tempfile::tempdir().expect("a folder for temporary files");
        let task_root = functions.path().join("task");
        fs::create_dir(&task_root).expect("the folder is new");
        for folder in [functions.path(), &task_root, temp.path()] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        let program = std::env::var_os("BENCH_BOOTSTRAP")
            .map_or(env!("CARGO_BIN_EXE_bootstrap").into(), PathBuf::from);
        Workload::hello().install(&task_root);
        let mut setup = Setup {
            functions,
            temp: temp.path().to_owned(),
            _temp: temp,
            task_root,
            program,
            php_fpm: Configuration::default(),
        };
        let bootstrap = Bootstrap::ready(&setup);
        setup.php_fpm = Configuration::of(bootstrap.master, &setup);
        setup
    }

    /// For further functions beside `task_root`.
    pub fn folder(&self) -> &Path {
        self.functions.path()
    }

    /// The environment of the bootstrap, and so of its php-fpm, which hands it on to each request.
    pub fn environment(&self, handler: &str, runtime_api: &str) -> Vec<(&'static str, OsString)> {
        let passed_on = ["PATH", "PHP_FPM"]
            .into_iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let own = [
            ("AWS_LAMBDA_RUNTIME_API", runtime_api.into()),
            ("_HANDLER", handler.into()),
            ("LAMBDA_TASK_ROOT", self.task_root.clone().into()),
            ("TMPDIR", self.temp.clone().into()),
        ];
        passed_on.chain(own).collect()
    }
}

/// A bootstrap that waits for invocations, with its php-fpm.
pub struct Bootstrap {
    process: Process,
    pub api: RuntimeApi,
    pub master: u32,
    /// Of the first slot.
    pub worker: u32,
}

impl Bootstrap {
    /// Starts one with the script that is installed.
    pub fn ready(setup: &Setup) -> Bootstrap {
        Bootstrap::ready_with(setup, 1, &[])
    }

    /// The same with so many slots, all of which wait, and further variables.
    pub fn ready_with(setup: &Setup, slots: usize, environment: &[(&str, &str)]) -> Bootstrap {
        let mut api = RuntimeApi::new();
        let mut command = Bootstrap::command(setup, "index.php", &api);
        command
            .env("AWS_LAMBDA_MAX_CONCURRENCY", slots.to_string())
            .envs(environment.iter().copied());
        let process = Process::spawn(&mut command, &[]);
        api.wait_for_all(slots);
        let [master] = children_of(process.pid())[..] else {
            panic!("the bootstrap has one child")
        };
        let workers = children_of(master);
        assert_eq!(workers.len(), slots, "php-fpm has a worker for each slot");
        Bootstrap {
            process,
            api,
            master,
            worker: workers[0],
        }
    }

    /// What starts one.
    pub fn command(setup: &Setup, handler: &str, api: &RuntimeApi) -> Command {
        let mut command = Command::new(&setup.program);
        command
            .env_clear()
            .envs(setup.environment(handler, &api.address()))
            .current_dir(Path::new("/"));
        command
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}
