//! Lambda's side of the Runtime API: it hands out an invocation and takes the time until the answer is there.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use php_fpm_lambda::runtime_api::Invocation;
use rustix::event::{PollFd, PollFlags};

use crate::http::{Message, Reader};
use crate::process::{PATIENCE, is_readable_in};

const REQUEST_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
const FUNCTION_ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:bench";
const TRACE_ID: &str = "Root=1-67b9c6e5-0123456789abcdef01234567;Parent=53995c3f42cd8ad8;Sampled=0";

/// A Runtime API for one client, which works on one invocation at a time.
pub struct RuntimeApi {
    listener: TcpListener,
    connections: Vec<TcpStream>,
    reader: Reader,
    /// The connection on which the client waits for its next invocation.
    waiting: Option<usize>,
    outgoing: Vec<u8>,
}

/// The times of one invocation, each from the moment before its first byte was written.
pub struct Invoked {
    /// Until the answer was here as a whole.
    pub answered: Duration,
    /// Until the client asked for the next one. Lambda charges for this time.
    pub asked: Duration,
    answer: Message,
}

impl RuntimeApi {
    pub fn new() -> RuntimeApi {
        RuntimeApi {
            listener: TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port"),
            connections: Vec::new(),
            reader: Reader::new(),
            waiting: None,
            outgoing: Vec::new(),
        }
    }

    /// `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> String {
        self.listener.local_addr().expect("it listens").to_string()
    }

    /// Waits until the client has begun and asks for its first invocation.
    pub fn wait_for_next(&mut self) {
        while self.waiting.is_none() {
            let (connection, call) = self.call();
            let head = self.reader.head(&call);
            assert!(is_next(head), "{head}{}", String::from_utf8_lossy(self.reader.body(&call)));
            self.waiting = Some(connection);
        }
    }

    /// Waits until the client has reported that it cannot start.
    pub fn wait_for_init_error(&mut self) {
        let (connection, call) = self.call();
        let head = self.reader.head(&call);
        assert!(head.starts_with("POST /2018-06-01/runtime/init/error "), "{head}");
        self.accepted(connection);
    }

    /// One invocation, from its event to the call for the next one.
    pub fn invoke(&mut self, event: &[u8]) -> Invoked {
        self.wait_for_next();
        let connection = self.waiting.take().expect("it was waited for");
        self.write_invocation(event);

        let begin = Instant::now();
        self.connections[connection].write_all(&self.outgoing).expect("the client reads");
        let (connection, answer) = self.call();
        let answered = begin.elapsed();

        let head = self.reader.head(&answer);
        let is_response = head.split(' ').nth(1).is_some_and(|path| path.ends_with("/response"));
        assert!(is_response, "{head}{}", String::from_utf8_lossy(self.reader.body(&answer)));
        self.accepted(connection);
        // on the connection of the answer or on a new one
        let (connection, next) = self.call_after(&answer);
        let asked = begin.elapsed();
        assert!(is_next(self.reader.head(&next)), "{}", self.reader.head(&next));
        self.waiting = Some(connection);
        Invoked { answered, asked, answer }
    }
}
