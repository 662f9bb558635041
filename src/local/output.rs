//! What the sandbox's processes write: one pipe for standard output and standard error, so that their order stays
//! true, handed on line by line.

use std::{io, os::fd::OwnedFd};

use bytes::BytesMut;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::net::unix::pipe::Receiver;

use crate::local::log::Log;

/// Lambda's log takes lines up to this size; a longer one is handed on in pieces.
const LONGEST_LINE: usize = 256 * 1024;

/// Linux's `pipe-max-size`; ours has the usual 64 KiB unless the function enlarges it.
const LARGEST_PIPE: usize = 1 << 20;

pub(crate) struct Output {
    pipe: Receiver,
    lines: Lines,
    log: Log,
    ended: bool,
}

impl Output {
    /// The reading end, and the end that the child writes to.
    pub(crate) fn new(log: Log) -> io::Result<(Self, OwnedFd)> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        let output = Self {
            pipe: Receiver::from_owned_fd(read)?,
            lines: Lines::default(),
            log,
            ended: false,
        };
        Ok((output, write))
    }

    /// Waits until something was written and hands it on; for ever, once the pipe has ended. Cancel-safe: what was
    /// read is kept.
    pub(crate) async fn forward(&mut self) {
        if self.ended || self.pipe.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.take(|pipe, chunk| pipe.try_read(chunk));
    }

    /// Hands on what is there now, without waiting for more; where that ends in the middle of a line, it is one.
    pub(crate) fn drain(&mut self) {
        // Not try_read, which knows only what the event loop has seen: of a process that wrote and ended at once that
        // is nothing yet.
        let is_empty = self.take(|pipe, chunk| Ok(rustix::io::read(pipe, chunk)?));
        if is_empty {
            self.lines.take_rest(|line| self.log.output(line));
        }
    }

    /// Hands on everything, a last line without its newline included.
    pub(crate) fn finish(&mut self) {
        self.drain();
        self.lines.take_rest(|line| self.log.output(line));
    }

    /// Reads until nothing is there, and tells whether it came that far. Not more than a pipe can hold, so that output
    /// without end cannot keep the event loop for itself.
    fn take(&mut self, read: impl Fn(&Receiver, &mut [u8]) -> io::Result<usize>) -> bool {
        let mut chunk = [0; 16 * 1024];
        for _ in 0..LARGEST_PIPE / chunk.len() {
            match read(&self.pipe, &mut chunk) {
                Ok(0) => {
                    self.ended = true;
                    return true;
                }
                Ok(length) => self
                    .lines
                    .take(&chunk[..length], |line| self.log.output(line)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = error.kind() != io::ErrorKind::WouldBlock;
                    return true;
                }
            }
        }
        false
    }
}

/// Cuts a stream of chunks into lines.
#[derive(Default)]
struct Lines {
    rest: BytesMut,
}

impl Lines {
    fn take(&mut self, chunk: &[u8], mut hand_on: impl FnMut(&[u8])) {
        let mut parts = chunk.split(|&byte| byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            self.rest.extend_from_slice(part);
            while self.rest.len() > LONGEST_LINE {
                hand_on(&self.rest.split_to(LONGEST_LINE));
            }
            // What follows the last newline is the beginning of a line.
            if parts.peek().is_some() {
                hand_on(&self.rest.split());
            }
        }
    }

    fn take_rest(&mut self, hand_on: impl FnOnce(&[u8])) {
        if !self.rest.is_empty() {
            hand_on(&self.rest.split());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::log;

    #[tokio::test]
    async fn what_the_event_loop_has_not_seen_yet_is_handed_on_too() {
        let (log, written) = log::tests::channel();
        let (mut output, write_end) = Output::new(log).unwrap();
        rustix::io::write(&write_end, b"one\ntw").unwrap();
        output.drain();
        rustix::io::write(&write_end, b"o").unwrap();
        drop(write_end);
        output.finish();
        // Ends with the log, whose last handle is the output's.
        drop(output);
        let lines: Vec<_> = written.iter().collect();
        assert_eq!(lines, [&b"one\n"[..], b"tw\n", b"o\n"]);
    }

    fn lines<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for chunk in chunks {
            lines.take(chunk, |line| found.push(line.to_vec()));
        }
        lines.take_rest(|line| found.push(line.to_vec()));
        found
    }

    #[test]
    fn cut_anywhere_the_lines_are_the_same() {
        let text = b"one\n\ntwo\r\nlast";
        let whole: [&[u8]; 4] = [b"one", b"", b"two\r", b"last"];
        for at in 0..=text.len() {
            let (left, right) = text.split_at(at);
            assert_eq!(lines([left, right]), whole);
        }
        assert_eq!(lines(text.chunks(1)), whole);
    }

    #[test]
    fn a_line_of_the_largest_size_stays_whole_and_a_longer_one_comes_in_pieces() {
        let mut text = vec![b'x'; LONGEST_LINE];
        text.push(b'\n');
        assert_eq!(lines(text.chunks(1000)), [vec![b'x'; LONGEST_LINE]]);
        let longer = vec![b'y'; LONGEST_LINE + 1];
        assert_eq!(
            lines(longer.chunks(1000)),
            [vec![b'y'; LONGEST_LINE], vec![b'y'; 1]]
        );
    }
}
