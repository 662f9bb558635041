//! Waiting until a descriptor is readable.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The descriptor, watched by the event loop.
pub fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[allow(
        unsafe_code,
        reason = "an OwnedFd is always the same open descriptor, which is all that is asked"
    )]
    let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    registered.map_err(|error| io::Error::other(error.to_string()))
}
