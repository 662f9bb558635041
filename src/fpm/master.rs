//! php-fpm's master process: started so that it ends with the bootstrap, and watched.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal};

use crate::process::environment::Environment;
use crate::process::pidfd::PidFd;

/// What a master is started with.
pub(super) struct Launch<'l> {
    pub(super) program: &'l Path,
    pub(super) ini: &'l Path,
    pub(super) configuration: &'l Path,
    pub(super) task_root: &'l Path,
    pub(super) environment: &'l Environment,
    pub(super) is_root: bool,
    /// `FPM_SOCKETS`: the listening sockets, by path and descriptor.
    pub(super) sockets: String,
    /// `PHP_INI_SCAN_DIR`.
    pub(super) scan_dir: OsString,
    /// Variables that name a descriptor for the workers of a pool.
    pub(super) for_workers: Vec<(String, RawFd)>,
    /// Descriptors that php-fpm gets under their own numbers.
    pub(super) inherited: Vec<RawFd>,
    pub(super) stderr: OwnedFd,
}

/// A running, or just ended, master.
pub(super) struct Master {
    child: RefCell<Child>,
    pid: Pid,
    pidfd: PidFd,
}

impl Master {
    /// Starts php-fpm. Call it from the process's main thread: the death signal follows the thread that spawns.
    pub(super) fn spawn(launch: Launch<'_>) -> io::Result<Master> {
        let mut command = Command::new(launch.program);
        // -d: a missing extension is only told where errors are logged
        command
            .args(["-O", "-F", "-d", "log_errors=1", "-c"])
            .arg(launch.ini)
            .arg("-y")
            .arg(launch.configuration);
        if launch.is_root {
            command.arg("-R");
        }
        launch.environment.apply(&mut command);
        command
            .env("FPM_SOCKETS", launch.sockets)
            .env("PHP_INI_SCAN_DIR", launch.scan_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(launch.stderr);
        // the layer's php-fpm understands them, any other does not look at them
        for (variable, fd) in launch.for_workers {
            command.env(variable, fd.to_string());
        }
        if launch.task_root.is_dir() {
            command.current_dir(launch.task_root);
        }
        let bootstrap = rustix::process::getpid();
        let inherited = launch.inherited;
        #[allow(
            unsafe_code,
            reason = "what runs between fork and exec: system calls alone, nothing is allocated"
        )]
        unsafe {
            command.pre_exec(move || {
                // php-fpm makes itself a session: only this signal takes it along when the bootstrap is killed.
                // SIGKILL would leave its workers alive.
                rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
                if rustix::process::getppid() != Some(bootstrap) {
                    return Err(io::Error::from_raw_os_error(
                        rustix::io::Errno::SRCH.raw_os_error(),
                    ));
                }
                for &fd in &inherited {
                    let fd = rustix::fd::BorrowedFd::borrow_raw(fd);
                    rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
                }
                Ok(())
            });
        }
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        Ok(Master {
            child: RefCell::new(child),
            pid,
            pidfd: PidFd::open(pid)?,
        })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// How it ended; `None` while it runs.
    pub(super) fn exit(&self) -> Option<String> {
        match self.child.borrow_mut().try_wait() {
            Ok(status) => status.map(told),
            Err(error) => Some(format!("is lost ({error})")),
        }
    }

    /// Waits until it has ended, and says how.
    pub(super) async fn exited(&self) -> String {
        loop {
            if let Some(exit) = self.exit() {
                return exit;
            }
            self.pidfd.exited().await;
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        if self.exit().is_none() {
            self.pidfd.signal(signal);
        }
    }
}

fn told(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "ended".to_owned(),
    }
}

/// `FPM_SOCKETS`, by which php-fpm takes sockets that listen already.
pub(super) fn sockets<'s>(
    sockets: impl Iterator<Item = (&'s Path, &'s std::os::unix::net::UnixListener)>,
) -> String {
    let entries: Vec<String> = sockets
        .map(|(path, listener)| format!("{}={}", path.display(), listener.as_raw_fd()))
        .collect();
    entries.join(",")
}
