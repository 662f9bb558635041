//! Whether a worker is done with what it was asked, which the layer's php-fpm says through an eventfd.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};

use rustix::event::{EventfdFlags, eventfd};
use tokio::io::unix::AsyncFd;

use crate::process::watched::watched;

/// A slot's eventfd. Its workers add one for each request that they are done with.
pub(super) struct Idle {
    eventfd: AsyncFd<OwnedFd>,
    /// Requests that were answered, and that the worker has not said to be done with.
    at_work: Cell<u64>,
}

impl Idle {
    pub(super) fn new() -> io::Result<Idle> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Idle {
            eventfd: watched(fd)?,
            at_work: Cell::new(0),
        })
    }

    /// The descriptor that php-fpm inherits.
    pub(super) fn fd(&self) -> RawFd {
        self.eventfd.as_raw_fd()
    }

    /// The worker has answered a request, or its answer is taken no longer.
    pub(super) fn answered(&self) {
        self.at_work.set(self.at_work.get() + 1);
    }

    /// The worker has ended.
    pub(super) fn forget(&self) {
        let _ = self.read();
        self.at_work.set(0);
    }

    /// Another worker is in the place of the last one, and has answered a ping. What the last one did not say is not awaited.
    pub(super) fn only_one_answered(&self) {
        self.at_work.set(1);
    }

    /// Waits until the worker is done with everything that it has answered.
    ///
    /// Cancel-safe: what was read is remembered.
    pub(super) async fn wait(&self) {
        loop {
            // mostly it is done already, and the event loop does not have to be asked
            let _ = self.read();
            if self.at_work.get() == 0 {
                return;
            }
            let Ok(mut ready) = self.eventfd.readable().await else {
                return;
            };
            let _ = ready.try_io(|_| self.read());
        }
    }

    /// Takes note of what the worker has said.
    fn read(&self) -> io::Result<()> {
        let mut count = [0; 8];
        rustix::io::read(self.eventfd.get_ref().as_fd(), &mut count)?;
        let done = u64::from_ne_bytes(count);
        self.at_work.set(self.at_work.get().saturating_sub(done));
        Ok(())
    }
}
