//! An invocation that runs a command of the console instead of a request: its output goes to the log while it comes, and into
//! the answer.

use std::io;

use super::Deadline;
use crate::cgi::params::{LambdaContext, context_variables};
use crate::console::output::Output;
use crate::console::{Console, Exit, Ini, Running};
use crate::event::cli::{Cli, InvalidCli};
use crate::failure::{CommandFailure, Failure};
use crate::log::{Context, Level, Log};
use crate::process::lines::Lines;

/// What a command runs with.
pub(super) struct Command<'i> {
    pub(super) console: &'i Console,
    pub(super) log: Log,
    pub(super) context: &'i Context,
    pub(super) deadline: &'i Deadline,
}

impl Command<'_> {
    /// From what the event says to the document that is posted.
    pub(super) async fn run(
        &self,
        cli: &Result<Cli, InvalidCli>,
        ini: io::Result<Ini>,
        lambda: &LambdaContext<'_>,
    ) -> Result<Vec<u8>, Failure> {
        let cli = match cli {
            Ok(cli) => cli,
            Err(InvalidCli(text)) => return Err(Failure::InvalidCommand(text.clone())),
        };
        let variables: Vec<_> = context_variables(lambda).collect();
        let variables = variables.iter().map(|(name, value)| (*name, &**value));
        let started = ini.and_then(|ini| self.console.start(cli, &ini, variables));
        match started {
            Ok(running) => self.wait(running).await,
            Err(error) => Err(failure(
                format!("could not be started ({error})"),
                None,
                Output::default(),
            )),
        }
    }

    async fn wait(&self, mut running: Running) -> Result<Vec<u8>, Failure> {
        let (mut lines, mut output) = (Lines::default(), Output::default());
        let log = |line: &[u8]| self.log.php(self.context, line);
        let mut take = |bytes: &[u8]| {
            lines.push(bytes, log);
            output.push(bytes);
        };
        let timeout = loop {
            tokio::select! {
                // a command that always prints does not outrun its deadline
                biased;
                timeout = self.deadline.failed() => break Some(timeout),
                has_ended = running.next(&mut take) => if has_ended { break None },
            }
        };
        let ended = match timeout {
            None => Ok(running.end()),
            Some(timeout) => {
                running.kill(&mut take).await;
                Err(timeout)
            }
        };
        lines.take_rest(log);
        let (exit, left) = match ended? {
            Ok(ended) => ended,
            Err(error) => return Err(failure(format!("is lost ({error})"), None, output)),
        };
        if left > 0 {
            let message = format!(
                "The command left {left} {} in the background, which {} ended with it: nothing goes on behind an answer in Lambda.",
                if left == 1 { "process" } else { "processes" },
                if left == 1 { "was" } else { "were" },
            );
            self.log.write(self.context, Level::Warn, &message);
        }
        match exit {
            Exit::Code(0) => Ok(output.answer()),
            Exit::Code(code) => Err(failure(format!("exited with code {code}"), Some(code), output)),
            Exit::Signal(9) => Err(failure(
                "was killed (SIGKILL), most likely because the function is out of memory: give it more".to_owned(),
                None,
                output,
            )),
            Exit::Signal(signal) => {
                Err(failure(format!("was ended by signal {signal}"), None, output))
            }
        }
    }
}

fn failure(how: String, exit_code: Option<i32>, output: Output) -> Failure {
    Failure::CommandFailed(CommandFailure {
        how,
        exit_code,
        output: output.end(),
    })
}
