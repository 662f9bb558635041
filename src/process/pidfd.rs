//! A process by its pidfd: unlike a process id it never comes to mean another process.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A process that can be signalled and whose end can be waited for.
pub struct PidFd(AsyncFd<OwnedFd>);

impl PidFd {
    /// Opens the process that `pid` names at this moment.
    pub fn open(pid: Pid) -> io::Result<PidFd> {
        let fd = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK)?;
        #[allow(
            unsafe_code,
            reason = "an OwnedFd is always the same open descriptor, which is all that is asked"
        )]
        let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        Ok(PidFd(
            registered.map_err(|error| io::Error::other(error.to_string()))?,
        ))
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
