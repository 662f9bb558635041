//! Everything that PHP and php-fpm write: read all the time, so that no writer ever waits, and put into the function's log.
//!
//! PHP's error log comes through a pipe of its own for each slot and is complete when a request ends. What a worker writes
//! to its stderr comes through the master and can be late, so a mark is sent the same way and waited for.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::rc::Rc;

use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;

use super::lines::{Entries, Lines};
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
}

struct SlotOutput {
    /// Whose lines they are at the moment.
    context: RefCell<Context>,
    error_log: Receiver,
    entries: RefCell<Entries>,
    error_log_writer: OwnedFd,
    /// The last mark that was written.
    sent_mark: Cell<u64>,
    /// The last mark that came out of the master.
    mark: watch::Sender<u64>,
    /// The last worker that ended, and how.
    exit: watch::Sender<Option<(i32, WorkerExit)>>,
    /// The worker whose end is no news.
    dismissed: Cell<Option<i32>>,
}

impl Output {
    pub(super) fn new(slots: usize, log: Log) -> io::Result<Output> {
        let slots = (0..slots)
            .map(|_| SlotOutput::new())
            .collect::<io::Result<_>>()?;
        Ok(Output {
            log,
            slots,
            first_words: RefCell::default(),
            nonce: nonce(),
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
            if slot.read_error_log(self.log, BUFFER) == Read::All {
                let context = slot.context.borrow();
                let mut entries = slot.entries.borrow_mut();
                entries.pause(|entry| self.log.php(&context, entry));
            }
            // a script that logs without end must not keep deadlines and other slots waiting
            tokio::task::yield_now().await;
        }
    }

    /// Puts what stands in a slot's error log at this moment into the log, to the last byte.
    pub(super) fn drain_error_log(&self, slot: usize) {
        let slot = &self.slots[slot];
        slot.read_error_log(self.log, unread(&slot.error_log));
        let context = slot.context.borrow();
        let mut entries = slot.entries.borrow_mut();
        entries.take_rest(|entry| self.log.php(&context, entry));
    }

    /// Whether the last mark of a slot did not come out yet: the master is stopped, or has too much to do.
    pub(super) fn awaits_mark(&self, slot: usize) -> bool {
        let slot = &self.slots[slot];
        slot.sent_mark.get() > *slot.mark.borrow()
    }

    /// A mark to write through a worker's stderr, and its number.
    pub(super) fn new_mark(&self, slot: usize) -> (u64, String) {
        let number = self.slots[slot].sent_mark.get() + 1;
        self.slots[slot].sent_mark.set(number);
        (number, format!("{}:{number}", self.nonce))
    }

    /// A mark that will not come out: the worker it was written through is gone.
    pub(super) fn give_mark_up(&self, slot: usize) {
        let slot = &self.slots[slot];
        slot.pass_mark(slot.sent_mark.get());
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

    /// A line that belongs to no invocation.
    pub(super) fn warn(&self, message: &str) {
        self.log.write(&Context::default(), Level::Warn, message);
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
                    Some(number) => slot.pass_mark(number),
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
            // the master has closed a dead worker's pipes and then looks at them once more
            MasterLine::Message(message) if is_noise(message) => {}
            MasterLine::Message(message) => {
                let message = String::from_utf8_lossy(message).into_owned();
                match &mut *self.first_words.borrow_mut() {
                    Some(words) => words.push(message),
                    None => self.warn(&format!("php-fpm: {message}")),
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
            entries: RefCell::default(),
            error_log_writer: writer,
            sent_mark: Cell::new(0),
            mark: watch::Sender::new(0),
            exit: watch::Sender::new(None),
            dismissed: Cell::new(None),
        })
    }

    /// A mark can come late, when a later one was given up already.
    fn pass_mark(&self, number: u64) {
        self.mark.send_if_modified(|passed| {
            let is_news = number > *passed;
            *passed = number.max(*passed);
            is_news
        });
    }

    fn read_error_log(&self, log: Log, most: usize) -> Read {
        let context = self.context.borrow();
        let mut entries = self.entries.borrow_mut();
        read(&self.error_log, most, |bytes| {
            entries.push(bytes, |entry| log.php(&context, entry));
        })
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

    /// Takes what stands in the pipe at this moment.
    pub(super) fn drain(&self) {
        self.read(unread(&self.stderr));
    }

    /// Reads until nobody can write to it any more.
    pub(super) async fn pump(self: Rc<Self>) {
        while self.stderr.readable().await.is_ok() && self.read(BUFFER) != Read::End {
            tokio::task::yield_now().await;
        }
    }

    fn read(&self, most: usize) -> Read {
        let mut lines = self.lines.borrow_mut();
        let mut take = |line: &[u8]| self.output.take_master_line(line);
        let read = read(&self.stderr, most, |bytes| lines.push(bytes, &mut take));
        if read == Read::End {
            lines.take_rest(&mut take);
        }
        read
    }
}

fn is_noise(message: &[u8]) -> bool {
    let message = String::from_utf8_lossy(message);
    message.starts_with("ERROR: epoll: unable to remove fd ")
        || message.starts_with("ERROR: unable to read what child ")
}

/// Random: the standard library seeds its hashers from the system.
fn nonce() -> String {
    let random = || std::hash::RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// The reading and the writing end; a child inherits neither unless it is told to.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}

/// How a pipe was left.
#[derive(PartialEq, Eq)]
enum Read {
    /// As much as was wanted was read; there may be more.
    Enough,
    /// It is empty.
    All,
    /// Nobody can write to it any more.
    End,
}

/// Bytes that are read at once. Small, since writing them to a slow log takes its time.
const BUFFER: usize = 16 * 1024;

/// Bytes that stand in a pipe.
fn unread(pipe: &Receiver) -> usize {
    let unread = rustix::io::ioctl_fionread(pipe).unwrap_or_default();
    usize::try_from(unread).unwrap_or(usize::MAX)
}

/// Reads about `most` bytes.
fn read(pipe: &Receiver, most: usize, mut take: impl FnMut(&[u8])) -> Read {
    let mut buffer = [0; BUFFER];
    let mut total = 0;
    while total < most {
        match pipe.try_read(&mut buffer) {
            Ok(0) => return Read::End,
            Ok(read) => {
                take(&buffer[..read]);
                total += read;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Read::All,
            Err(_) => return Read::End,
        }
    }
    Read::Enough
}
