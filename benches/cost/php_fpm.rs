//! The bootstrap's php-fpm without the bootstrap: the same program, the same configuration.

use std::fs::{self, File};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
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
    pub socket: PathBuf,
    listener: UnixListener,
    /// The error log; a pipe, as the bootstrap's. Nothing is logged here that could fill it.
    _log_reader: OwnedFd,
    log: OwnedFd,
}

impl PhpFpm {
    pub fn prepare(setup: &Setup) -> PhpFpm {
        let folder = TempDir::new_in(&setup.temp).expect("it is ours");
        let socket = folder.path().join("php-fpm.sock");
        let listener = UnixListener::bind(&socket).expect("the folder is new");
        let (log_reader, log) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
        let lines = setup
            .php_fpm
            .configuration
            .lines()
            .map(|line| match line.split_once('=') {
                Some((name, _)) if name.trim() == "listen" => {
                    format!("listen = {}\n", socket.display())
                }
                Some((name, _)) if name.trim() == "php_admin_value[error_log]" => {
                    format!("{name}= /proc/self/fd/{}\n", log.as_raw_fd())
                }
                _ => format!("{line}\n"),
            });
        fs::write(
            folder.path().join("php-fpm.conf"),
            lines.collect::<String>(),
        )
        .expect("the folder is ours");
        fs::write(folder.path().join("php.ini"), &setup.php_fpm.ini).expect("the folder is ours");
        PhpFpm {
            socket,
            listener,
            folder,
            _log_reader: log_reader,
            log,
        }
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
        command
            .env_clear()
            .envs(setup.environment("index.php", "127.0.0.1:9001"))
            .env(
                "FPM_SOCKETS",
                format!("{}={}", self.socket.display(), self.listener.as_raw_fd()),
            )
            .env(
                "PHP_INI_SCAN_DIR",
                format!(":{}", setup.task_root.join("php/conf.d").display()),
            )
            .current_dir(&setup.task_root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        Process::spawn(&mut command, &[self.listener.as_fd(), self.log.as_fd()])
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
