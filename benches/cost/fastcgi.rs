//! The floor of FastCGI: a blocking socket, a request that was encoded beforehand, and an answer that is only counted.

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use php_fpm_lambda::cgi::params::{Script, of_request};
use php_fpm_lambda::event::Event;
use php_fpm_lambda::fastcgi::record::{
    FIRST_REQUEST_ID, MAX_CONTENT, encode_request, stdin_header,
};
use php_fpm_lambda::fpm::settings::PING_PATH;
use php_fpm_lambda::slot::encode;

use crate::process::PATIENCE;
use crate::runtime_api::invocation;

const STDOUT: u8 = 6;
const END_REQUEST: u8 = 3;

/// A kept connection to a worker.
pub struct Client {
    stream: UnixStream,
    buffer: Box<[u8]>,
}

impl Client {
    /// Connects and waits until the worker has answered a ping: one that has been asked nothing hangs up after five seconds.
    pub fn ready(socket: &Path) -> Client {
        let mut client = Client::connect(socket);
        client.round_trip(&ping());
        client
    }

    pub fn connect(socket: &Path) -> Client {
        let stream = UnixStream::connect(socket).expect("the socket listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        Client {
            stream,
            buffer: vec![0; 64 * 1024].into_boxed_slice(),
        }
    }

    /// Sends a request and takes the whole answer: the bytes of its output.
    pub fn round_trip(&mut self, request: &[u8]) -> usize {
        self.send(request);
        let mut output_len = 0;
        self.receive(|output| output_len += output.len());
        output_len
    }

    pub fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).expect("the worker reads");
    }

    /// Takes the whole answer; `take` gets its output while it comes.
    pub fn receive(&mut self, mut take: impl FnMut(&[u8])) {
        let (mut start, mut end) = (0, 0);
        // of the current record, what is still to come of its output, and of all else
        let (mut output, mut rest, mut is_last) = (0, 0, false);
        loop {
            let taken = output.min(end - start);
            if taken > 0 {
                take(&self.buffer[start..start + taken]);
            }
            output -= taken;
            start += taken;
            let passed = rest.min(end - start);
            start += passed;
            rest -= passed;
            if output + rest == 0 && is_last {
                return;
            }
            if output + rest == 0 && end - start >= 8 {
                let header = &self.buffer[start..start + 8];
                let content_len = usize::from(u16::from_be_bytes([header[4], header[5]]));
                let padding_len = usize::from(header[6]);
                (output, rest) = match header[1] {
                    STDOUT => (content_len, padding_len),
                    _ => (0, content_len + padding_len),
                };
                is_last = header[1] == END_REQUEST;
                start += 8;
                continue;
            }
            self.buffer.copy_within(start..end, 0);
            (start, end) = (0, end - start);
            let read = self
                .stream
                .read(&mut self.buffer[end..])
                .expect("the worker answers");
            assert!(read > 0, "the worker closed the connection");
            end += read;
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// The bytes of the request that the bootstrap makes of an event.
pub fn request_of(event: &[u8], task_root: &Path) -> Vec<u8> {
    let Ok(Event::Http(_, request)) = Event::decode(event) else {
        panic!("not an HTTP event")
    };
    let invocation = invocation();
    let script = Script::new(task_root.to_str().expect("UTF-8"), "index.php", None);
    let mut bytes = encode(&of_request(&request, &script, &invocation.context()))
        .expect("no parameter is long");
    for record in request
        .body
        .as_deref()
        .unwrap_or_default()
        .chunks(MAX_CONTENT)
    {
        bytes.extend(stdin_header(FIRST_REQUEST_ID, record.len()));
        bytes.extend_from_slice(record);
    }
    bytes.extend(stdin_header(FIRST_REQUEST_ID, 0));
    bytes
}

/// The bytes of a request that a worker answers without PHP.
pub fn ping() -> Vec<u8> {
    let pairs = [
        ("SCRIPT_NAME", PING_PATH),
        ("SCRIPT_FILENAME", PING_PATH),
        ("REQUEST_METHOD", "GET"),
    ];
    let pairs = pairs
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let mut bytes = encode_request(pairs).expect("these are short");
    bytes.extend(stdin_header(FIRST_REQUEST_ID, 0));
    bytes
}
