//! A pipe that other processes write to, read so that no byte is lost and nobody is kept waiting.

use std::io;
use std::os::fd::OwnedFd;

use tokio::net::unix::pipe::Receiver;

/// The reading and the writing end; a child inherits neither unless it is told to.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}

/// How a pipe was left.
#[derive(PartialEq, Eq)]
pub enum Read {
    /// Something was read; there may be more.
    Some,
    /// It is empty.
    All,
    /// Nobody can write to it any more.
    End,
}

/// Bytes that are read at once. Small, since writing them to a slow log takes its time.
const BUFFER: usize = 16 * 1024;

/// Reads once what a pipe has that is readable.
pub fn read(pipe: &Receiver, mut take: impl FnMut(&[u8])) -> Read {
    let mut buffer = [0; BUFFER];
    match pipe.try_read(&mut buffer) {
        Ok(0) => Read::End,
        Ok(read) => {
            take(&buffer[..read]);
            Read::Some
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Read::All,
        Err(_) => Read::End,
    }
}

/// Reads what stands in a pipe at this moment, and no more: its writer may never stop.
///
/// Not through tokio, which takes a pipe for empty until it has polled it again.
pub fn drain(pipe: &Receiver, mut take: impl FnMut(&[u8])) -> Read {
    let mut buffer = [0; BUFFER];
    let unread = rustix::io::ioctl_fionread(pipe).unwrap_or_default();
    let mut left = usize::try_from(unread).unwrap_or(usize::MAX);
    while left > 0 {
        match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => return Read::End,
            Ok(read) => {
                take(&buffer[..read]);
                left = left.saturating_sub(read);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return Read::All,
            Err(_) => return Read::End,
        }
    }
    Read::Some
}
