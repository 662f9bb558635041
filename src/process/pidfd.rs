//! A process by its pidfd: unlike a process id it never comes to mean another process.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::io::unix::AsyncFd;

use super::watched::watched;

/// A process that can be signalled and whose end can be waited for.
pub struct PidFd(AsyncFd<OwnedFd>);

impl PidFd {
    /// Opens the process that `pid` names at this moment.
    pub fn open(pid: Pid) -> io::Result<PidFd> {
        let fd = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK)?;
        Ok(PidFd(watched(fd)?))
    }

    /// A process that has ended already is no error: that is what signals are for here.
    pub fn signal(&self, signal: Signal) {
        let _ = rustix::process::pidfd_send_signal(self.0.get_ref().as_fd(), signal);
    }

    /// Waits until the process has ended. Any number of tasks can wait.
    pub async fn exited(&self) {
        // readiness is never cleared: an ended process stays ended. An error cannot be waited for, and counts as ended.
        let _ = self.0.readable().await;
    }
}
