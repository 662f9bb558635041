//! As much HTTP/1.1 as the two ends of the Runtime API need, over blocking sockets: messages with a Content-Length, and chunked
//! ones that are looked at while they come.

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

    /// Reads one message in chunks, whose bytes go to `take` as they come; its first line and its headers. `Err`: it broke off.
    pub fn read_chunked(
        &mut self,
        stream: &mut impl Read,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<String> {
        let (mut start, mut end) = (0, 0);
        let mut head = None;
        // of the current chunk, what is still to come of its bytes, and of the line end behind them
        let (mut data, mut line_end, mut is_last) = (0, 0, false);
        loop {
            let taken = data.min(end - start);
            if taken > 0 {
                take(&self.buffer[start..start + taken]);
            }
            data -= taken;
            start += taken;
            let passed = line_end.min(end - start);
            line_end -= passed;
            start += passed;
            let unread = &self.buffer[start..end];
            if data + line_end == 0 {
                let delimiter: &[u8] = if head.is_none() { b"\r\n\r\n" } else { b"\r\n" };
                let found = unread
                    .windows(delimiter.len())
                    .position(|bytes| bytes == delimiter);
                if let Some(len) = found {
                    let text = std::str::from_utf8(&unread[..len]).map_err(io::Error::other)?;
                    start += len + delimiter.len();
                    match (&head, is_last) {
                        (None, _) => head = Some(text.to_owned()),
                        (Some(_), false) => {
                            data = usize::from_str_radix(text, 16).map_err(io::Error::other)?;
                            is_last = data == 0;
                            line_end = if is_last { 0 } else { 2 };
                        }
                        // trailers, and the empty line that ends the message
                        (Some(head), true) if text.is_empty() => return Ok(head.clone()),
                        (Some(_), true) => {}
                    }
                    continue;
                }
            }
            self.buffer.copy_within(start..end, 0);
            (start, end) = (0, end - start);
            let read = stream.read(&mut self.buffer[end..])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            end += read;
        }
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
