//! The floor of FastCGI: a blocking socket, a request that was encoded beforehand, and an answer that is only counted.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use php_fpm_lambda::cgi::params::{Script, of_request};
use php_fpm_lambda::event::Event;
use php_fpm_lambda::fastcgi::record::{MAX_CONTENT, encode_request, stdin_header};
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
        self.stream.write_all(request).expect("the worker reads");
        let (mut start, mut end, mut output_len) = (0, 0, 0);
        // of the current record, what is still to pass by; and whether it is the last
        let (mut rest, mut is_last) = (0, false);
        loop {
            let passed = rest.min(end - start);
            start += passed;
            rest -= passed;
            if rest == 0 && is_last {
                return output_len;
            }
            if rest == 0 && end - start >= 8 {
                let header = &self.buffer[start..start + 8];
                let content_len = usize::from(u16::from_be_bytes([header[4], header[5]]));
                output_len += if header[1] == STDOUT { content_len } else { 0 };
                is_last = header[1] == END_REQUEST;
                rest = content_len + usize::from(header[6]);
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
        bytes.extend(stdin_header(record.len()));
        bytes.extend_from_slice(record);
    }
    bytes.extend(stdin_header(0));
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
    bytes.extend(stdin_header(0));
    bytes
}
