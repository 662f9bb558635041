//! A kept connection to one worker: one request at a time, written and read at the same time.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::Path;

use tokio::io::Interest;
use tokio::net::UnixStream;

use super::record::{Decoder, MAX_CONTENT, Part, ProtocolError, number, stdin_header};

/// Bytes that are read at once: a whole record.
const BUFFER_LEN: usize = 64 * 1024;

/// Up to this length a body is copied behind the parameters, to go out with them in one write.
const SMALL_BODY: usize = 16 * 1024;

/// A connection to a worker; [`Connection::request`] begins a request on it.
pub struct Connection {
    stream: UnixStream,
    decoder: Decoder,
    buffer: Box<[u8]>,
    /// `buffer[start..end]` was read and is not decoded yet.
    start: usize,
    end: usize,
    is_reusable: bool,
    /// Of the last request. Each has another, so that what belongs to an earlier one is never taken for its answer.
    request_id: u16,
}

/// Why a request has no answer. The connection must be given up in each case.
#[derive(Debug)]
pub enum Error {
    /// Nothing was written: the worker cannot have seen the request, which may be sent once more on a new connection.
    NotSent(io::Error),
    /// The worker went away in mid-request, without the record that ends an answer: it died.
    Closed,
    /// Not FastCGI.
    Protocol(ProtocolError),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::NotSent(error) => write!(f, "the worker cannot be reached: {error}"),
            Error::Closed => f.write_str("the worker closed the connection in mid-request"),
            Error::Protocol(ProtocolError(text)) => {
                write!(f, "php-fpm broke the FastCGI protocol: {text}")
            }
        }
    }
}

impl std::error::Error for Error {}

impl Connection {
    /// Connects to the socket of a pool. A socket that listens accepts at once, also before php-fpm is up.
    pub async fn open(socket: &Path) -> Result<Connection, Error> {
        let stream = UnixStream::connect(socket).await.map_err(Error::NotSent)?;
        let buffer = vec![0; BUFFER_LEN].into_boxed_slice();
        Ok(Connection {
            stream,
            decoder: Decoder::default(),
            buffer,
            start: 0,
            end: 0,
            is_reusable: true,
            request_id: 0,
        })
    }

    /// Whether another request may follow: the last one ended, and both sides said all they had to say.
    pub fn is_reusable(&self) -> bool {
        self.is_reusable
    }

    /// Begins a request: `head` from [`encode_request`](super::record::encode_request), and the body.
    pub fn request<'c>(&'c mut self, mut head: Vec<u8>, body: &'c [u8]) -> Exchange<'c> {
        self.is_reusable = false;
        // 0 is for records that belong to no request
        self.request_id = self.request_id.checked_add(1).unwrap_or(1);
        number(&mut head, self.request_id);
        self.decoder.begin(self.request_id);
        Exchange {
            outgoing: Outgoing::new(head, self.request_id, body),
            connection: self,
            is_begun: false,
        }
    }

    /// The next part that was read already, as its kind and its place in the buffer.
    fn decode(&mut self) -> Result<Option<(Kind, Range<usize>)>, Error> {
        let (taken, part) = self
            .decoder
            .decode(&self.buffer[self.start..self.end])
            .map_err(Error::Protocol)?;
        self.start += taken;
        let (kind, len) = match part {
            None => return Ok(None),
            Some(Part::Stdout(bytes)) => (Kind::Stdout, bytes.len()),
            Some(Part::Stderr(bytes)) => (Kind::Stderr, bytes.len()),
            Some(Part::End) => (Kind::End, 0),
        };
        // a part is the last that decode() took
        Ok(Some((kind, self.start - len..self.start)))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stdout,
    Stderr,
    End,
}

/// A request under way. Dropped before [`Part::End`], it leaves the connection unusable.
pub struct Exchange<'c> {
    connection: &'c mut Connection,
    outgoing: Outgoing<'c>,
    /// Whether any byte was written.
    is_begun: bool,
}

impl Exchange<'_> {
    /// Writes what the worker takes and returns the next part of its answer as soon as there is one.
    ///
    /// Cancel-safe: what was read or written is remembered.
    pub async fn next(&mut self) -> Result<Part<'_>, Error> {
        let (kind, range) = loop {
            match self.connection.decode()? {
                Some(found) => break found,
                None => self.transfer().await?,
            }
        };
        Ok(self.part(kind, range))
    }

    /// The next part if it was read already; `None`: [`Exchange::next`] would wait for it.
    pub fn next_read(&mut self) -> Result<Option<Part<'_>>, Error> {
        let found = self.connection.decode()?;
        Ok(found.map(|(kind, range)| self.part(kind, range)))
    }

    fn part(&mut self, kind: Kind, range: Range<usize>) -> Part<'_> {
        match kind {
            Kind::Stdout => Part::Stdout(&self.connection.buffer[range]),
            Kind::Stderr => Part::Stderr(&self.connection.buffer[range]),
            Kind::End => {
                // fastcgi_finish_request() ends a request before its body was read
                let is_all_said =
                    self.outgoing.is_done() && self.connection.start == self.connection.end;
                self.connection.is_reusable = is_all_said;
                Part::End
            }
        }
    }

    /// Waits until the socket takes or has bytes, and moves them.
    async fn transfer(&mut self) -> Result<(), Error> {
        let connection = &mut *self.connection;
        let is_writing = !self.outgoing.is_done();
        let interest = if is_writing {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        let ready = connection
            .stream
            .ready(interest)
            .await
            .map_err(|_| Error::Closed)?;
        if is_writing && ready.is_writable() {
            match connection
                .stream
                .try_write_vectored(&self.outgoing.slices())
            {
                Ok(written) => {
                    self.is_begun = true;
                    self.outgoing.advance(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if !self.is_begun => return Err(Error::NotSent(error)),
                // the worker reads no more: what it has written may still be a whole answer
                Err(_) => self.outgoing.give_up(),
            }
        }
        if ready.is_readable() {
            // everything was decoded, or transfer() would not have been called
            match connection.stream.try_read(&mut connection.buffer) {
                Ok(0) => return Err(Error::Closed),
                Ok(read) => (connection.start, connection.end) = (0, read),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(Error::Closed),
            }
        }
        Ok(())
    }
}

/// What is still to be written: bytes of our own, then the body in records.
struct Outgoing<'c> {
    request_id: u16,
    /// The parameters, later the header of the current record.
    own: Vec<u8>,
    own_sent: usize,
    /// The rest of the current record's content.
    content: &'c [u8],
    /// What follows the current record.
    body: &'c [u8],
    /// Whether the record that ends the body is in `own`.
    is_ended: bool,
}

impl<'c> Outgoing<'c> {
    fn new(mut head: Vec<u8>, request_id: u16, body: &'c [u8]) -> Outgoing<'c> {
        let is_small = body.len() <= SMALL_BODY;
        if is_small {
            if !body.is_empty() {
                head.extend(stdin_header(request_id, body.len()));
                head.extend_from_slice(body);
            }
            head.extend(stdin_header(request_id, 0));
        }
        let body = if is_small { &[] } else { body };
        Outgoing {
            request_id,
            own: head,
            own_sent: 0,
            content: &[],
            body,
            is_ended: is_small,
        }
    }

    fn is_done(&self) -> bool {
        self.is_ended && self.own_sent == self.own.len()
    }

    fn slices(&self) -> [IoSlice<'_>; 2] {
        [
            IoSlice::new(&self.own[self.own_sent..]),
            IoSlice::new(self.content),
        ]
    }

    fn advance(&mut self, written: usize) {
        let own = written.min(self.own.len() - self.own_sent);
        self.own_sent += own;
        self.content = &self.content[written - own..];
        if self.own_sent == self.own.len() && self.content.is_empty() && !self.is_ended {
            (self.content, self.body) = self.body.split_at(self.body.len().min(MAX_CONTENT));
            self.own.clear();
            self.own
                .extend(stdin_header(self.request_id, self.content.len()));
            self.own_sent = 0;
            self.is_ended = self.content.is_empty();
        }
    }

    /// Forgets the rest, which nobody will read; the connection does not become reusable by that.
    fn give_up(&mut self) {
        self.is_ended = true;
        self.own_sent = self.own.len();
        self.content = &[];
        self.body = &[];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fastcgi::record::encode_request;

    /// All bytes of a request when each write takes at most `step`.
    fn written(head: &[u8], body: &[u8], step: usize) -> Vec<u8> {
        let mut outgoing = Outgoing::new(head.to_vec(), 7, body);
        let mut bytes = Vec::new();
        while !outgoing.is_done() {
            let [own, content] = outgoing.slices();
            let next: Vec<u8> = own
                .iter()
                .chain(content.iter())
                .copied()
                .take(step)
                .collect();
            assert!(!next.is_empty());
            outgoing.advance(next.len());
            bytes.extend(next);
        }
        bytes
    }

    #[test]
    fn a_body_goes_out_in_whole_records_whatever_a_write_takes() {
        for len in [
            0,
            1,
            SMALL_BODY,
            SMALL_BODY + 1,
            MAX_CONTENT,
            MAX_CONTENT + 1,
            3 * MAX_CONTENT,
        ] {
            let body: Vec<u8> = (0..len).map(|index| index as u8).collect();
            let mut expected = b"head".to_vec();
            for record in body.chunks(MAX_CONTENT) {
                expected.extend(stdin_header(7, record.len()));
                expected.extend_from_slice(record);
            }
            expected.extend(stdin_header(7, 0));
            for step in [7, 65_536, usize::MAX] {
                assert_eq!(written(b"head", &body, step), expected, "{len} {step}");
            }
        }
    }

    /// What is left of an answer, such as a process writes that a script has forked, is never taken for that of the next request.
    #[tokio::test]
    async fn what_comes_late_is_an_error_and_not_the_next_answer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let mut connection = Connection::open(&path).await.unwrap();
        let (worker, _) = listener.accept().await.unwrap();
        let answer = |id: u8| {
            let output = [
                &[1, 6, 0, id, 0, 8, 0, 0],
                format!("answer {id}").as_bytes(),
            ]
            .concat();
            let end = [1, 3, 0, id, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            [&output, &end[..]].concat()
        };
        let head = || encode_request(std::iter::empty()).unwrap();

        worker.try_write(&answer(1)).unwrap();
        let mut exchange = connection.request(head(), b"");
        assert_eq!(exchange.next().await.unwrap(), Part::Stdout(b"answer 1"));
        assert_eq!(exchange.next().await.unwrap(), Part::End);
        assert!(connection.is_reusable());

        worker.try_write(&answer(1)).unwrap();
        let mut exchange = connection.request(head(), b"");
        assert!(matches!(exchange.next().await, Err(Error::Protocol(_))));
        assert!(!connection.is_reusable());
    }
}
