//! A program as its user starts it: what it prints, line by line, and how it ends.

use std::io::{self, BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};

use rustix::process::Signal;

use crate::lambda::PATIENCE;
use crate::process;

/// `lambda-local` on a port that the kernel chooses.
pub const FREE_PORT: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// `lambda-local`, still without arguments.
pub fn lambda_local() -> Command {
    Command::new(env!("CARGO_BIN_EXE_lambda-local"))
}

/// A started program, which ends with the test.
pub struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    /// Its lines are those of its standard output, and of its standard error where the command has a pipe for that.
    pub fn start(command: &mut Command) -> io::Result<Program> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let (sender, lines) = channel();
        forward(child.stdout.take().unwrap(), sender.clone());
        if let Some(stderr) = child.stderr.take() {
            forward(stderr, sender);
        }
        Ok(Program { child, lines })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where `lambda-local` listens, which is the first that it says: `http://` and the address.
    pub fn url(&mut self) -> String {
        let line = self.line("");
        let url = line.strip_prefix("Listening on ");
        let url = url.and_then(|rest| rest.split(' ').next());
        url.unwrap_or_else(|| panic!("it says {line:?}")).to_owned()
    }

    /// Waits for a line that begins so; lines before it are gone then.
    pub fn line(&mut self, beginning: &str) -> String {
        self.first(beginning, |line| line.starts_with(beginning))
    }

    /// Waits for a line that has this text; lines before it are gone then.
    pub fn line_with(&mut self, text: &str) -> String {
        self.first(text, |line| line.contains(text))
    }

    fn first(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        let mut before = Vec::new();
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("no line with {what:?} after {before:#?}")
            };
            if is_it(&line) {
                return line;
            }
            before.push(line);
        }
    }

    pub fn signal(&self, signal: Signal) {
        process::kill(self.pid(), signal).unwrap();
    }

    /// How it ended, if it has.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        process::wait(&mut self.child, PATIENCE).unwrap_or_else(|| {
            let said: Vec<_> = self.lines.try_iter().collect();
            panic!("it goes on: {said:#?}")
        })
    }

    /// Ends it, and returns all lines that were not waited for.
    pub fn stop(mut self) -> Vec<String> {
        process::end(&mut self.child, PATIENCE);
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => return lines,
                Err(RecvTimeoutError::Timeout) => panic!("what it started outlives it: {lines:#?}"),
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        process::end(&mut self.child, PATIENCE);
    }
}

/// Reads a pipe to its end, so that the program is never blocked.
fn forward(pipe: impl Read + Send + 'static, lines: Sender<String>) {
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
            // a test that is over reads no more
            let _ = lines.send(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
            line.clear();
        }
    });
}
