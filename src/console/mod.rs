//! The function's console: runs its script with PHP's command line, beside php-fpm and its workers.
//!
//! A command leads a session of its own, so that everything it starts is found and ends with it.

pub mod output;
pub mod program;

use std::ffi::{OsStr, OsString};
use std::io::{self, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal};
use tokio::net::unix::pipe::Receiver;

use crate::event::cli::Cli;
use crate::process::environment::Environment;
use crate::process::family::Frozen;
use crate::process::pidfd::PidFd;
use crate::process::pipe::{self, Read};

/// What is the same for each command of a function.
pub struct Console {
    /// PHP's command line.
    pub program: PathBuf,
    /// The console script.
    pub script: PathBuf,
    /// Where commands run.
    pub task_root: PathBuf,
    /// What PHP gets beside the process's own variables.
    pub environment: Environment,
}

/// PHP's settings for a command.
pub struct Ini {
    /// The php.ini.
    pub file: PathBuf,
    /// `PHP_INI_SCAN_DIR`.
    pub scan_dir: OsString,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// A command that was started. Dropped, it is killed with everything that it started.
pub struct Running {
    child: Child,
    pid: Pid,
    pidfd: PidFd,
    output: Receiver,
    has_ended: bool,
}

impl Console {
    /// Starts the command of an event; `context` are Lambda's variables. Call it from the process's main thread: the death
    /// signal follows the thread that spawns.
    pub fn start<'v>(
        &self,
        cli: &Cli,
        ini: &Ini,
        context: impl IntoIterator<Item = (&'v str, &'v [u8])>,
    ) -> io::Result<Running> {
        let (reader, writer) = pipe::pipe()?;
        let output = Receiver::from_owned_fd(reader)?;
        let mut command = Command::new(&self.program);
        command
            .arg("-c")
            .arg(&ini.file)
            .arg(&self.script)
            .args(cli.arguments.iter().map(|word| OsStr::from_bytes(word)))
            .current_dir(&self.task_root);
        self.environment.apply(&mut command);
        let variables = cli.variables.iter();
        command.envs(variables.map(|(name, value)| (os(name), os(value))));
        command.env("PHP_INI_SCAN_DIR", &ini.scan_dir);
        // of another invocation, should the event's sender have none
        command.env_remove("_X_AMZN_TRACE_ID");
        command.envs(context.into_iter().map(|(name, value)| (name, os(value))));
        // one pipe: the order is the one in which it was written
        command
            .stdin(stdin(&cli.stdin)?)
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let bootstrap = rustix::process::getpid();
        #[allow(
            unsafe_code,
            reason = "what runs between fork and exec: system calls alone, nothing is allocated"
        )]
        unsafe {
            command.pre_exec(move || {
                rustix::process::setsid()?;
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                if rustix::process::getppid() != Some(bootstrap) {
                    return Err(io::Error::from_raw_os_error(
                        rustix::io::Errno::SRCH.raw_os_error(),
                    ));
                }
                Ok(())
            });
        }
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        // the writing ends that are left are the command's
        drop(command);
        match PidFd::open(pid) {
            Ok(pidfd) => Ok(Running {
                child,
                pid,
                pidfd,
                output,
                has_ended: false,
            }),
            Err(error) => {
                // nobody could watch over it
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }
}

impl Running {
    /// Waits for more of the output, or for the end of the command, and hands out what was read; `true`: it has ended, and
    /// all that it has written was handed out. Cancel-safe.
    ///
    /// Its end counts and not that of the output: something may run on behind it and hold the pipe.
    pub async fn next(&mut self, mut take: impl FnMut(&[u8])) -> bool {
        let is_readable = tokio::select! {
            // its end first: what it has left behind may print for ever
            biased;
            () = self.pidfd.exited() => false,
            readable = self.output.readable() => readable.is_ok(),
        };
        if is_readable && pipe::read(&self.output, &mut take) != Read::End {
            // a command that prints without end must not keep deadlines and other slots waiting
            tokio::task::yield_now().await;
            return false;
        }
        // nobody can write any more, or it has ended
        self.pidfd.exited().await;
        pipe::drain(&self.output, take);
        true
    }

    /// Ends what the command has left behind; call it when the command has ended. How it ended, and how many processes
    /// there were.
    pub fn end(mut self) -> io::Result<(Exit, usize)> {
        // not waited for yet, so that its process id is still the session's
        let left = Frozen::with_session(self.pid, &self.pidfd);
        let count = left.len();
        left.kill();
        self.has_ended = true;
        Ok((exit(self.child.wait()?), count))
    }

    /// Stops it with everything that it has started, hands out what was written, and kills all of it.
    pub async fn kill(mut self, take: impl FnMut(&[u8])) {
        let frozen = Frozen::with_session(self.pid, &self.pidfd);
        pipe::drain(&self.output, take);
        self.pidfd.signal(Signal::KILL);
        frozen.kill();
        self.pidfd.exited().await;
        self.has_ended = true;
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended {
            let frozen = Frozen::with_session(self.pid, &self.pidfd);
            self.pidfd.signal(Signal::KILL);
            frozen.kill();
            // not waited for: the process ends as well
            let _ = self.child.try_wait();
        }
    }
}

fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

/// A file in memory: a pipe would have to be written to while the output is read.
fn stdin(bytes: &[u8]) -> io::Result<Stdio> {
    if bytes.is_empty() {
        return Ok(Stdio::null());
    }
    let fd: OwnedFd = rustix::fs::memfd_create("stdin", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(fd);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

fn exit(status: ExitStatus) -> Exit {
    match status.signal() {
        Some(signal) => Exit::Signal(signal),
        None => Exit::Code(status.code().unwrap_or_default()),
    }
}
