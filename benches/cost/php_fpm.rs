//! The bootstrap's php-fpm without the bootstrap: the same program, the same configuration.

use std::fs::{self, File};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::bootstrap::Setup;
use crate::process::{Process, children_of};

/// What a bootstrap has started its php-fpm with.
#[derive(Default)]
pub struct Configuration {
    pub program: PathBuf,
    ini: String,
    configuration: String,
}

impl Configuration {
    /// Read from the run folder of a running bootstrap, the only one in `setup.temp`.
    pub fn of(master: u32, setup: &Setup) -> Configuration {
        let mut folders = fs::read_dir(&setup.temp)
            .expect("it is ours")
            .map(|entry| entry.expect("a name").path());
        let run_dir = folders.next().expect("a bootstrap makes a run folder");
        let read =
            |name: &str| fs::read_to_string(run_dir.join(name)).expect("a run folder has it");
        Configuration {
            program: fs::read_link(format!("/proc/{master}/exe")).expect("the master runs"),
            ini: read("php.ini"),
            configuration: read("php-fpm.conf"),
        }
    }
}

/// Everything but the process.
pub struct PhpFpm {
    folder: TempDir,
    /// Of its pools, of which each has one worker.
    pub sockets: Vec<PathBuf>,
    listeners: Vec<UnixListener>,
    /// The error log; a pipe, as the bootstrap's. Nothing is logged here that could fill it.
    _log_reader: OwnedFd,
    log: OwnedFd,
}

impl PhpFpm {
    pub fn prepare(setup: &Setup) -> PhpFpm {
        PhpFpm::prepare_as(setup, &setup.php_fpm)
    }

    /// The same with what another bootstrap has started its php-fpm with.
    pub fn prepare_as(setup: &Setup, configuration: &Configuration) -> PhpFpm {
        let folder = TempDir::new_in(&setup.temp).expect("it is ours");
        let (mut sockets, mut listeners) = (Vec::new(), Vec::new());
        let (log_reader, log) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
        let lines = configuration
            .configuration
            .lines()
            .map(|line| match line.split_once('=') {
                Some((name, _)) if name.trim() == "listen" => {
                    let socket = folder.path().join(format!("{}.sock", sockets.len()));
                    listeners.push(UnixListener::bind(&socket).expect("the folder is new"));
                    let line = format!("listen = {}\n", socket.display());
                    sockets.push(socket);
                    line
                }
                Some((name, _)) if name.trim() == "php_admin_value[error_log]" => {
                    format!("{name}= /proc/self/fd/{}\n", log.as_raw_fd())
                }
                _ => format!("{line}\n"),
            });
        let lines: String = lines.collect();
        fs::write(folder.path().join("php-fpm.conf"), lines).expect("the folder is ours");
        fs::write(folder.path().join("php.ini"), &configuration.ini).expect("the folder is ours");
        PhpFpm {
            sockets,
            listeners,
            folder,
            _log_reader: log_reader,
            log,
        }
    }

    /// The first socket, mostly the only one.
    pub fn socket(&self) -> &Path {
        &self.sockets[0]
    }

    /// Starts it; a client can connect at once.
    pub fn spawn(&self, setup: &Setup) -> Process {
        let path = |name: &str| self.folder.path().join(name);
        let mut command = Command::new(&setup.php_fpm.program);
        command
            .args(["-O", "-F", "-d", "log_errors=1", "-c"])
            .arg(path("php.ini"))
            .arg("-y")
            .arg(path("php-fpm.conf"));
        if rustix::process::geteuid().is_root() {
            command.arg("-R");
        }
        let stderr = File::create(path("stderr")).expect("the folder is ours");
        let sockets = self.sockets.iter().zip(&self.listeners);
        let sockets: Vec<String> = sockets
            .map(|(path, listener)| format!("{}={}", path.display(), listener.as_raw_fd()))
            .collect();
        command
            .env_clear()
            .envs(setup.environment("index.php", "127.0.0.1:9001"))
            .env("FPM_SOCKETS", sockets.join(","))
            .env(
                "PHP_INI_SCAN_DIR",
                format!(":{}", setup.task_root.join("php/conf.d").display()),
            )
            .current_dir(&setup.task_root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        let inherited = self.listeners.iter().map(|listener| listener.as_fd());
        let inherited: Vec<BorrowedFd<'_>> = inherited.chain([self.log.as_fd()]).collect();
        Process::spawn(&mut command, &inherited)
    }
}

/// The only worker of a php-fpm that has answered.
pub fn worker_of(master: &Process) -> u32 {
    let [worker] = children_of(master.pid())[..] else {
        panic!("php-fpm has one worker")
    };
    worker
}

/// `PHP 8.4.24`.
pub fn version(program: &Path) -> String {
    let output = Command::new(program)
        .arg("-v")
        .output()
        .expect("php-fpm has a version");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split(" (").next().unwrap_or_default().to_owned()
}
