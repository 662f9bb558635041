//! One worker process: found below the master, written to, and killed with everything that it started.

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};

use crate::process::family::{Frozen, children_of};
use crate::process::pidfd::PidFd;

/// A worker that has answered at least once.
pub(super) struct Worker {
    pid: Pid,
    pidfd: PidFd,
    /// `None`: the worker writes into a pipe of ours, and nothing comes through the master.
    through_master: Option<ThroughMaster>,
}

/// The pipes that are a worker's stderr and stdout, and that the master reads.
///
/// Not opened: while somebody else can write to them the master sees no end of a worker that has died, and php-fpm then closes
/// their descriptors twice, the second time when they are those of another worker.
pub(super) struct ThroughMaster {
    stderr: OwnedFd,
    stdout: OwnedFd,
}

/// What ends an unfinished line in the master's buffer (php-fpm's own workers send it after each request).
const FLUSH: &[u8] = b"\0fscf\0";

impl Worker {
    /// The worker of `pool`, a child of `master`; `None` where /proc cannot be read. `ours` is the pipe that the layer's
    /// php-fpm gives it as its stderr.
    pub(super) fn find(master: Pid, pool: &str, ours: impl AsFd) -> Option<Worker> {
        let title = format!("php-fpm: pool {pool}");
        let is_it = |pid: &Pid| {
            let title_of =
                fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
            title_of
                .split(|byte| matches!(byte, 0 | b'\n'))
                .next()
                .is_some_and(|t| t.trim_ascii() == title.as_bytes())
        };
        let pid = children_of(master).into_iter().find(is_it)?;
        let pidfd = PidFd::open(pid).ok()?;
        let path = |fd: u32| format!("/proc/{}/fd/{fd}", pid.as_raw_nonzero());
        let name = |fd: u32| {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            rustix::fs::open(path(fd), flags, Mode::empty()).ok()
        };
        let is_ours = match (rustix::fs::stat(path(2)), rustix::fs::fstat(ours)) {
            (Ok(its), Ok(ours)) => (its.st_dev, its.st_ino) == (ours.st_dev, ours.st_ino),
            _ => false,
        };
        let through_master = match is_ours {
            true => None,
            false => Some(ThroughMaster {
                stdout: name(1)?,
                stderr: name(2)?,
            }),
        };
        let worker = Worker {
            pid,
            pidfd,
            through_master,
        };
        // still the same process: the pipes are its own
        is_it(&pid).then_some(worker)
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// How it writes to its stderr, where that comes through the master.
    pub(super) fn through_master(&self) -> Option<&ThroughMaster> {
        self.through_master.as_ref()
    }

    /// Waits until it has ended.
    pub(super) async fn exited(&self) {
        self.pidfd.exited().await;
    }

    /// Stops it where it is, with everything that it started: what they have written can still be read, and nothing more
    /// comes. A process that has left its parents (a daemon) is not found.
    pub(super) fn freeze(&self) -> Frozen {
        Frozen::with_descendants(self.pid, &self.pidfd)
    }

    /// Kills it and what was frozen with it.
    pub(super) fn kill(&self, frozen: Frozen) {
        self.pidfd.signal(Signal::KILL);
        frozen.kill();
    }
}

impl ThroughMaster {
    /// Writes a line that comes out of the master behind everything that the worker wrote. `Err`: nothing will come.
    pub(super) fn write_mark(&self, mark: &str) -> io::Result<()> {
        let line = [FLUSH, mark.as_bytes(), b"\n"].concat();
        let mut stdout = open_for_writing(&self.stdout)?;
        // what is no longer in stdout's pipe was read by the master before this mark
        if rustix::io::ioctl_fionread(&stdout).is_ok_and(|unread| unread > 0) {
            stdout.write_all(&line)?;
        }
        open_for_writing(&self.stderr)?.write_all(&line)
    }
}

/// Fails where nobody reads the pipe any more.
fn open_for_writing(pipe: &OwnedFd) -> io::Result<fs::File> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}
