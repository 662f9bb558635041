//! Everything that PHP and php-fpm write: read all the time, so that no writer ever waits, and put into the function's log.
//!
//! PHP's error log comes through a pipe of its own for each slot and is complete when a request ends. The layer's php-fpm
//! gives its workers a pipe of ours as stderr and stdout, too. Under any other, what a worker writes there comes through the
//! master and can be late, so a mark is sent the same way and waited for.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::rc::Rc;

use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;

use super::entries::{Entries, Kind};
use super::master_line::{MasterLine, WorkerExit};
use crate::log::{Context, Format, Level, Log};
use crate::process::lines::Lines;
use crate::process::pipe::{Read, drain, pipe, read};

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
    /// The error log, and stderr too unless that has a pipe of its own.
    error_log: Stream,
    /// In JSON an entry is one object, and the lines of a stack trace look like those of stderr: two pipes tell them apart.
    /// In text it is the order that counts, which one pipe keeps.
    stderr: Option<Stream>,
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
            .map(|_| SlotOutput::new(log.format))
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
        self.slots[slot].error_log.writer.as_raw_fd()
    }

    /// The pipe that php-fpm inherits for its workers' stderr and stdout: perhaps the one of the error log.
    pub(super) fn stderr(&self, slot: usize) -> &OwnedFd {
        let slot = &self.slots[slot];
        &slot.stderr.as_ref().unwrap_or(&slot.error_log).writer
    }

    pub(super) fn set_context(&self, slot: usize, context: Context) {
        self.slots[slot].context.replace(context);
    }

    /// Reads a slot's pipes for ever.
    pub(super) async fn pump(self: Rc<Self>, slot: usize) {
        let slot = &self.slots[slot];
        loop {
            let stream = match &slot.stderr {
                None => slot.error_log.readable().await.map(|()| &slot.error_log),
                Some(stderr) => tokio::select! {
                    readable = slot.error_log.readable() => readable.map(|()| &slot.error_log),
                    readable = stderr.readable() => readable.map(|()| stderr),
                },
            };
            let Ok(stream) = stream else { return };
            stream.read_some(self.log, &slot.context.borrow());
            // a script that logs without end must not keep deadlines and other slots waiting
            tokio::task::yield_now().await;
        }
    }

    /// Puts what stands in a slot's pipes at this moment into the log, to the last byte.
    pub(super) fn drain_pipes(&self, slot: usize) {
        let slot = &self.slots[slot];
        let context = slot.context.borrow();
        for stream in std::iter::once(&slot.error_log).chain(&slot.stderr) {
            stream.drain(self.log, &context);
        }
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
    fn new(format: Format) -> io::Result<SlotOutput> {
        let (error_log, stderr) = match format {
            Format::Text => (Stream::new(Kind::Both)?, None),
            Format::Json => (
                Stream::new(Kind::ErrorLog)?,
                Some(Stream::new(Kind::Stderr)?),
            ),
        };
        Ok(SlotOutput {
            context: RefCell::default(),
            error_log,
            stderr,
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
}

/// A pipe that workers write to.
struct Stream {
    reader: Receiver,
    writer: OwnedFd,
    entries: RefCell<Entries>,
}

impl Stream {
    fn new(kind: Kind) -> io::Result<Stream> {
        let (reader, writer) = pipe()?;
        Ok(Stream {
            reader: Receiver::from_owned_fd(reader)?,
            writer,
            entries: RefCell::new(Entries::new(kind)),
        })
    }

    async fn readable(&self) -> io::Result<()> {
        self.reader.readable().await
    }

    fn read_some(&self, log: Log, context: &Context) {
        let mut entries = self.entries.borrow_mut();
        let mut take = |entry: &[u8]| log.php(context, entry);
        if read(&self.reader, |bytes| entries.push(bytes, &mut take)) == Read::All {
            entries.pause(take);
        }
    }

    fn drain(&self, log: Log, context: &Context) {
        let mut entries = self.entries.borrow_mut();
        let mut take = |entry: &[u8]| log.php(context, entry);
        drain(&self.reader, |bytes| entries.push(bytes, &mut take));
        entries.take_rest(take);
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
        self.take(|take| drain(&self.stderr, take));
    }

    /// Reads until nobody can write to it any more.
    pub(super) async fn pump(self: Rc<Self>) {
        let read_some = || self.take(|take| read(&self.stderr, take));
        while self.stderr.readable().await.is_ok() && read_some() != Read::End {
            tokio::task::yield_now().await;
        }
    }

    fn take(&self, read: impl FnOnce(&mut dyn FnMut(&[u8])) -> Read) -> Read {
        let mut lines = self.lines.borrow_mut();
        let mut take = |line: &[u8]| self.output.take_master_line(line);
        let read = read(&mut |bytes| lines.push(bytes, &mut take));
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
