//! The floor of the Runtime API: the least that a client can do.
//!
//! It takes the event whole and posts an answer of the length that the bootstrap's has, written in one go; it looks at
//! nothing but the request id. It is a process of its own, as the bootstrap is, with blocking sockets.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;

use crate::http::{Reader, header};
use crate::process::Process;
use crate::runtime_api::RuntimeApi;

/// By which this program knows that it is the client.
const ARGUMENT: &str = "--runtime-api-client";

/// The client, in its own process.
pub struct Client {
    address: String,
    answer_len: usize,
}

impl Client {
    /// Starts one against `api`.
    pub fn spawn(api: &RuntimeApi, answer_len: usize) -> Process {
        let own = std::env::current_exe().expect("this program has a path");
        Process::spawn(
            Command::new(own).args([ARGUMENT, &api.address(), &answer_len.to_string()]),
            &[],
        )
    }

    pub fn from_arguments() -> Option<Client> {
        let mut arguments = std::env::args().skip(1);
        if arguments.next()? != ARGUMENT {
            return None;
        }
        let answer_len = arguments.nth(1).and_then(|len| len.parse().ok());
        let address = std::env::args().nth(2);
        Some(Client {
            address: address.expect("an address"),
            answer_len: answer_len.expect("a length"),
        })
    }

    /// Answers until it is ended.
    pub fn run(self) {
        let mut stream = TcpStream::connect(&self.address).expect("the Runtime API listens");
        stream.set_nodelay(true).expect("TCP has it");
        let next = format!(
            "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: {}\r\n\r\n",
            self.address
        );
        let (mut reader, mut outgoing) = (Reader::new(), Vec::new());
        loop {
            stream
                .write_all(next.as_bytes())
                .expect("the Runtime API reads");
            let Ok(Some(invocation)) = reader.read(&mut stream) else {
                return;
            };
            let id = header(reader.head(&invocation), "lambda-runtime-aws-request-id")
                .expect("a request id");
            outgoing.clear();
            write!(
                outgoing,
                "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: {}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                self.address, self.answer_len,
            )
            .expect("a Vec takes every write");
            outgoing.resize(outgoing.len() + self.answer_len, b'x');
            stream.write_all(&outgoing).expect("the Runtime API reads");
            let Ok(Some(_accepted)) = reader.read(&mut stream) else {
                return;
            };
        }
    }
}
