//! Everything that PHP and php-fpm write: read all the time, so that no writer ever waits, and put into the function's log.
//!
//! PHP's error log comes through a pipe of its own for each slot and is complete when a request ends. What a worker writes
//! to its stderr comes through the master and can be late, so a mark is sent the same way and waited for.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::rc::Rc;

use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;

use super::lines::Lines;
use super::master_line::{MasterLine, WorkerExit};
use crate::log::{Context, Level, Log};

/// The output of all slots and of the master.
pub(super) struct Output {
    log: Log,
    slots: Vec<SlotOutput>,
    /// What the master said since it was started, until it is ready.
    first_words: RefCell<Option<Vec<String>>>,
    /// Unknown to PHP, so that no script can forge a mark.
    nonce: String,
    last_mark: Cell<u64>,
}

struct SlotOutput {
    /// Whose lines they are at the moment.
    context: RefCell<Context>,
    error_log: Receiver,
    error_log_lines: RefCell<Lines>,
    error_log_writer: OwnedFd,
    /// The last mark that came out of the master.
    mark: watch::Sender<u64>,
    /// The last worker that ended, and how.
    exit: watch::Sender<Option<(i32, WorkerExit)>>,
    /// The worker whose end is no news.
    dismissed: Cell<Option<i32>>,
}

impl Output {
    pub(super) fn new(slots: usize, log: Log, nonce: String) -> io::Result<Output> {
        let slots = (0..slots)
            .map(|_| SlotOutput::new())
            .collect::<io::Result<_>>()?;
        Ok(Output {
            log,
            slots,
            first_words: RefCell::default(),
            nonce,
            last_mark: Cell::new(0),
        })
    }

    /// The descriptor that php-fpm inherits for a slot's error log.
    pub(super) fn error_log_fd(&self, slot: usize) -> RawFd {
        self.slots[slot].error_log_writer.as_raw_fd()
    }

    pub(super) fn set_context(&self, slot: usize, context: Context) {
        self.slots[slot].context.replace(context);
    }

    /// Reads a slot's error log for ever.
    pub(super) async fn pump_error_log(self: Rc<Self>, slot: usize) {
        let slot = &self.slots[slot];
        while slot.error_log.readable().await.is_ok() {
            slot.read_error_log(self.log);
        }
    }

    /// Puts what stands in a slot's error log at this moment into the log, to the last byte.
    pub(super) fn drain_error_log(&self, slot: usize) {
        let slot = &self.slots[slot];
        slot.read_error_log(self.log);
        let context = slot.context.borrow();
        slot.error_log_lines
            .borrow_mut()
            .take_rest(|entry| self.log.php(&context, entry));
    }

    /// A mark to write through a worker's stderr, and its number.
    pub(super) fn new_mark(&self) -> (u64, String) {
        let number = self.last_mark.get() + 1;
        self.last_mark.set(number);
        (number, format!("{}:{number}", self.nonce))
    }

    /// Waits until a mark came out of the master.
    pub(super) async fn mark_passed(&self, slot: usize, number: u64) {
        let mut mark = self.slots[slot].mark.subscribe();
        mark.wait_for(|passed| *passed >= number)
            .await
            .expect("the sender lives as long as self");
    }

    /// Waits until the master says how a worker ended.
    pub(super) async fn worker_exit(&self, slot: usize, pid: i32) -> WorkerExit {
        let mut exit = self.slots[slot].exit.subscribe();
        let is_it = |exit: &Option<(i32, WorkerExit)>| {
            exit.as_ref().is_some_and(|(ended, _)| *ended == pid)
        };
        let exit = exit
            .wait_for(is_it)
            .await
            .expect("the sender lives as long as self");
        exit.as_ref().expect("it was waited for").1.clone()
    }

    /// The end of this worker is not logged: it is killed on purpose, or told of in another place.
    pub(super) fn dismiss(&self, slot: usize, pid: i32) {
        self.slots[slot].dismissed.set(Some(pid));
    }

    /// From here on the master's words are kept for [`Output::take_first_words`].
    pub(super) fn keep_first_words(&self) {
        self.first_words.replace(Some(Vec::new()));
    }

    /// What the master said while it started; later words go to the log.
    pub(super) fn take_first_words(&self) -> Vec<String> {
        self.first_words.take().unwrap_or_default()
    }

    /// A message of the master's own, for the log.
    pub(super) fn take_line(&self, message: &str) {
        self.log.write(
            &Context::default(),
            Level::Warn,
            &format!("php-fpm: {message}"),
        );
    }

    fn take_master_line(&self, line: &[u8]) {
        let (line, glued) = MasterLine::parse(line);
        self.take_parsed(line);
        glued.into_iter().for_each(|line| self.take_parsed(line));
    }

    fn take_parsed(&self, line: MasterLine<'_>) {
        match line {
            MasterLine::WorkerSaid { slot, text } if slot < self.slots.len() => {
                let slot = &self.slots[slot];
                match self.mark_in(text) {
                    Some(number) => _ = slot.mark.send_replace(number),
                    None => self.log.php(&slot.context.borrow(), text),
                }
            }
            MasterLine::WorkerExited { slot, pid, exit } if slot < self.slots.len() => {
                let slot = &self.slots[slot];
                if slot.dismissed.get() != Some(pid) && slot.context.borrow().request_id.is_none() {
                    let message =
                        format!("An idle PHP worker {exit}; another one takes its place.");
                    self.log.write(&Context::default(), Level::Warn, &message);
                }
                slot.exit.send_replace(Some((pid, exit)));
            }
            // the end of a line whose beginning was handed on already
            MasterLine::Message(b"" | b"\"") => {}
            MasterLine::Message(message) => {
                let message = String::from_utf8_lossy(message).into_owned();
                match &mut *self.first_words.borrow_mut() {
                    Some(words) => words.push(message),
                    None => self.take_line(&message),
                }
            }
            // a slot that this php-fpm was not started with
            MasterLine::WorkerSaid { .. } | MasterLine::WorkerExited { .. } => {}
        }
    }

    fn mark_in(&self, text: &[u8]) -> Option<u64> {
        let number = text
            .strip_prefix(self.nonce.as_bytes())?
            .strip_prefix(b":")?;
        std::str::from_utf8(number).ok()?.parse().ok()
    }
}

impl SlotOutput {
    fn new() -> io::Result<SlotOutput> {
        let (reader, writer) = pipe()?;
        Ok(SlotOutput {
            context: RefCell::default(),
            error_log: Receiver::from_owned_fd(reader)?,
            error_log_lines: RefCell::default(),
            error_log_writer: writer,
            mark: watch::Sender::new(0),
            exit: watch::Sender::new(None),
            dismissed: Cell::new(None),
        })
    }

    fn read_error_log(&self, log: Log) {
        let context = self.context.borrow();
        let mut lines = self.error_log_lines.borrow_mut();
        read_all(&self.error_log, |bytes| {
            lines.push(bytes);
            lines.take_entries(|entry| log.php(&context, entry));
        });
    }
}

/// The stderr of one master.
pub(super) struct MasterStderr {
    output: Rc<Output>,
    stderr: Receiver,
    lines: RefCell<Lines>,
}

impl MasterStderr {
    /// The stream, and the writing end for the master.
    pub(super) fn new(output: Rc<Output>) -> io::Result<(MasterStderr, OwnedFd)> {
        let (reader, writer) = pipe()?;
        let stderr = Receiver::from_owned_fd(reader)?;
        Ok((
            MasterStderr {
                output,
                stderr,
                lines: RefCell::default(),
            },
            writer,
        ))
    }

    /// Takes what stands in the pipe at this moment. False: nobody can write to it any more.
    pub(super) fn read(&self) -> bool {
        let mut lines = self.lines.borrow_mut();
        let is_open = read_all(&self.stderr, |bytes| {
            lines.push(bytes);
            lines.take_lines(|line| self.output.take_master_line(line));
        });
        if !is_open {
            lines.take_rest(|line| self.output.take_master_line(line));
        }
        is_open
    }

    /// Reads until nobody can write to it any more.
    pub(super) async fn pump(self: Rc<Self>) {
        while self.stderr.readable().await.is_ok() && self.read() {}
    }
}

/// The reading and the writing end; a child inherits neither unless it is told to.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}

/// Reads until a pipe is empty. False: it is at its end.
fn read_all(pipe: &Receiver, mut take: impl FnMut(&[u8])) -> bool {
    let mut buffer = [0; 16 * 1024];
    loop {
        match pipe.try_read(&mut buffer) {
            Ok(0) => return false,
            Ok(read) => take(&buffer[..read]),
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}
