//! As much HTTP/1.1 as the two ends of the Runtime API need: messages with a Content-Length, over blocking sockets.

use std::io::{self, Read};
use std::ops::Range;

/// Reads messages into one buffer that is kept.
pub struct Reader {
    buffer: Vec<u8>,
}

/// Where a message lies in the buffer.
pub struct Message {
    head: Range<usize>,
    body: Range<usize>,
}

impl Reader {
    pub fn new() -> Reader {
        Reader {
            buffer: vec![0; 256 * 1024],
        }
    }

    /// Reads one message; `None`: the other side has closed the connection. Nothing may follow the message unasked.
    pub fn read(&mut self, stream: &mut impl Read) -> io::Result<Option<Message>> {
        let mut filled = 0;
        let head_end = loop {
            let read = stream.read(&mut self.buffer[filled..])?;
            if read == 0 {
                return Ok(None);
            }
            filled += read;
            if let Some(end) = self.buffer[..filled]
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n")
            {
                break end + 4;
            }
        };
        let head = std::str::from_utf8(&self.buffer[..head_end]).map_err(io::Error::other)?;
        let end = head_end
            + header(head, "content-length")
                .and_then(|len| len.parse().ok())
                .unwrap_or(0);
        if end > self.buffer.len() {
            self.buffer.resize(end, 0);
        }
        stream.read_exact(&mut self.buffer[filled..end.max(filled)])?;
        assert!(filled <= end, "a message came unasked");
        Ok(Some(Message {
            head: 0..head_end,
            body: head_end..end,
        }))
    }

    /// The first line and the headers of a message that was just read.
    pub fn head(&self, message: &Message) -> &str {
        std::str::from_utf8(&self.buffer[message.head.clone()]).expect("read() has looked")
    }

    pub fn body(&self, message: &Message) -> &[u8] {
        &self.buffer[message.body.clone()]
    }
}

/// The value of a header.
pub fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    headers
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}
