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

/// A Runtime API for one client.
pub struct RuntimeApi {
    listener: TcpListener,
    connections: Vec<TcpStream>,
    reader: Reader,
    /// The connections on which the client waits for an invocation.
    waiting: Vec<usize>,
    outgoing: Vec<u8>,
}

/// The times of one invocation, each from the moment before its first byte was written.
pub struct Invoked {
    /// Until the answer was here as a whole.
    pub answered: Duration,
    /// Until the client asked for the next one. Lambda charges for this time.
    pub asked: Duration,
}

impl RuntimeApi {
    pub fn new() -> RuntimeApi {
        RuntimeApi {
            listener: TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port"),
            connections: Vec::new(),
            reader: Reader::new(),
            waiting: Vec::new(),
            outgoing: Vec::new(),
        }
    }

    /// `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> String {
        self.listener.local_addr().expect("it listens").to_string()
    }

    /// Waits until the client asks for an invocation.
    pub fn wait_for_next(&mut self) {
        self.wait_for_all(1);
    }

    /// Waits until the client asks for so many.
    pub fn wait_for_all(&mut self, slots: usize) {
        while self.waiting.len() < slots {
            let (connection, call) = self.call();
            let head = self.reader.head(&call);
            assert!(
                is_next(head),
                "{head}{}",
                String::from_utf8_lossy(self.reader.body(&call))
            );
            self.waiting.push(connection);
        }
    }

    /// Waits until the client reports that it cannot start.
    pub fn wait_for_init_error(&mut self) {
        let (connection, call) = self.call();
        let head = self.reader.head(&call);
        assert!(
            head.starts_with("POST /2018-06-01/runtime/init/error "),
            "{head}"
        );
        self.accept_call(connection);
    }

    /// One invocation, from its event to the call for the next one.
    pub fn invoke(&mut self, event: &[u8]) -> Invoked {
        self.invoke_and_look(event, |_| ())
    }

    /// The same, and `look` at the answer.
    pub fn invoke_and_look(&mut self, event: &[u8], look: impl FnOnce(&[u8])) -> Invoked {
        self.wait_for_next();
        self.write_invocation(event);

        let begin = Instant::now();
        self.hand_out();
        let (connection, answer) = self.call();
        let answered = begin.elapsed();

        let (head, body) = (self.reader.head(&answer), self.reader.body(&answer));
        assert!(is_response(head), "{head}{}", String::from_utf8_lossy(body));
        look(body);
        self.accept_call(connection);
        self.wait_for_next();
        Invoked {
            answered,
            asked: begin.elapsed(),
        }
    }

    /// One invocation whose answer is streamed: `take` gets it as it comes, the prelude first. The time until its end.
    pub fn invoke_streamed(&mut self, event: &[u8], take: impl FnMut(&[u8])) -> Duration {
        self.wait_for_next();
        self.write_invocation(event);

        let begin = Instant::now();
        self.hand_out();
        let connection = self.readable();
        let stream = &mut self.connections[connection];
        let head = self
            .reader
            .read_chunked(stream, take)
            .expect("an answer in chunks");
        let answered = begin.elapsed();

        assert!(is_response(&head), "{head}");
        self.accept_call(connection);
        self.wait_for_next();
        answered
    }

    /// So many invocations, one to whichever slot asks, until all are answered and all slots wait again.
    pub fn serve(&mut self, event: &[u8], count: usize) {
        let slots = self.waiting.len();
        let (mut handed_out, mut answered) = (0, 0);
        while answered < count {
            while handed_out < count && !self.waiting.is_empty() {
                // each with a deadline of its own
                self.write_invocation(event);
                self.hand_out();
                handed_out += 1;
            }
            let (connection, call) = self.call();
            let head = self.reader.head(&call);
            if is_next(head) {
                self.waiting.push(connection);
                continue;
            }
            assert!(is_response(head), "{head}");
            self.accept_call(connection);
            answered += 1;
        }
        self.wait_for_all(slots);
    }

    /// The invocation that was written goes to who waits.
    fn hand_out(&mut self) {
        let connection = self.waiting.pop().expect("it was waited for");
        self.connections[connection]
            .write_all(&self.outgoing)
            .expect("the client reads");
    }

    /// The next call, on whichever connection it comes.
    fn call(&mut self) -> (usize, Message) {
        loop {
            let connection = self.readable();
            match self.reader.read(&mut self.connections[connection]) {
                Ok(Some(call)) if self.is_of_extension(connection, &call) => continue,
                Ok(Some(call)) => return (connection, call),
                // indices stay: nothing is removed while a call is under way
                Ok(None) | Err(_) => panic!("the client closed a connection"),
            }
        }
    }

    /// The next connection on which something comes.
    fn readable(&mut self) -> usize {
        loop {
            let mut fds: Vec<PollFd<'_>> = vec![PollFd::new(&self.listener, PollFlags::IN)];
            fds.extend(
                self.connections
                    .iter()
                    .map(|connection| PollFd::new(connection, PollFlags::IN)),
            );
            assert!(
                is_readable_in(&mut fds, PATIENCE),
                "the client neither calls nor answers"
            );
            let ready = fds
                .iter()
                .position(|fd| !fd.revents().is_empty())
                .expect("poll() said so");
            if let Some(connection) = ready.checked_sub(1) {
                return connection;
            }
            let (connection, _) = self.listener.accept().expect("a client connects");
            connection.set_nodelay(true).expect("TCP has it");
            self.connections.push(connection);
        }
    }

    /// Answers what the client says as an extension: a registration at once, and the poll for its events never.
    fn is_of_extension(&mut self, connection: usize, call: &Message) -> bool {
        let head = self.reader.head(call);
        if head.starts_with("POST /2020-01-01/extension/register ") {
            let registered = b"HTTP/1.1 200 OK\r\nLambda-Extension-Identifier: bench\r\nContent-Length: 2\r\n\r\n{}";
            self.connections[connection]
                .write_all(registered)
                .expect("the client reads");
            return true;
        }
        head.starts_with("GET /2020-01-01/extension/event/next ")
    }

    /// 202, as Lambda says it.
    fn accept_call(&mut self, connection: usize) {
        let accepted = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n";
        self.connections[connection]
            .write_all(accepted)
            .expect("the client reads");
    }

    fn write_invocation(&mut self, event: &[u8]) {
        self.outgoing.clear();
        let invocation = invocation();
        write!(
            self.outgoing,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: {REQUEST_ID}\r\n\
             Lambda-Runtime-Deadline-Ms: {}\r\nLambda-Runtime-Invoked-Function-Arn: {FUNCTION_ARN}\r\n\
             Lambda-Runtime-Trace-Id: {TRACE_ID}\r\nContent-Length: {}\r\n\r\n",
            invocation.deadline_ms.expect("invocation() sets one"),
            event.len(),
        )
        .expect("a Vec takes every write");
        self.outgoing.extend_from_slice(event);
    }
}

fn is_next(head: &str) -> bool {
    head.starts_with("GET /2018-06-01/runtime/invocation/next ")
}

fn is_response(head: &str) -> bool {
    let path = head.split(' ').nth(1);
    path.is_some_and(|path| path.ends_with("/response"))
}

/// What every invocation is handed out with, its event aside.
pub fn invocation() -> Invocation {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is later than 1970")
        .as_millis() as u64;
    Invocation {
        request_id: REQUEST_ID.into(),
        deadline_ms: Some(now + 30_000),
        function_arn: Some(FUNCTION_ARN.into()),
        trace_id: Some(TRACE_ID.into()),
        ..Invocation::default()
    }
}
