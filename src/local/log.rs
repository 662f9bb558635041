//! Where lines go: one writer, on a thread of its own.
//!
//! A terminal that is paused, or a pager that nobody scrolls, blocks whoever writes to it. Here that is the thread
//! alone: the function and its invocations go on, and lines beyond [`MOST_WAITING`] bytes are dropped and counted.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use crate::local::console::recorder::{Recorder, Writer};

/// How many bytes may wait for the writer: hours of a usual log, and far below what hurts.
const MOST_WAITING: usize = 64 << 20;

/// A handle on the log; clones write to the same place.
#[derive(Clone, Debug)]
pub struct Log {
    sender: mpsc::Sender<Entry>,
    counters: Arc<Counters>,
    /// Gets to know each line too.
    recorder: Option<Recorder>,
}

#[derive(Debug, Default)]
struct Counters {
    waiting: AtomicUsize,
    dropped: AtomicU64,
}

enum Entry {
    Line(Vec<u8>),
    Flush(mpsc::Sender<()>),
}

impl Log {
    /// A log that writes to `sink` and ends with the last handle.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn new(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, entries) = mpsc::channel();
        let counters = Arc::new(Counters::default());
        let log = Self {
            sender,
            counters: Arc::clone(&counters),
            recorder: None,
        };
        thread::Builder::new()
            .name("log".into())
            .spawn(move || write(sink, &entries, &counters))?;
        Ok(log)
    }

    /// The same log, each line of which `recorder` gets to know too.
    pub(crate) fn told_to(mut self, recorder: Recorder) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// Writes one line in Lambda's words; the newline is added here.
    pub fn line(&self, line: impl Into<Vec<u8>>) {
        self.write(Writer::Lambda, line.into());
    }

    /// Writes one line of the function's, whatever it says.
    pub(crate) fn output(&self, line: impl Into<Vec<u8>>) {
        self.write(Writer::Function, line.into());
    }

    fn write(&self, writer: Writer, mut line: Vec<u8>) {
        if let Some(recorder) = &self.recorder {
            recorder.line(writer, &line);
        }
        line.push(b'\n');
        if self
            .counters
            .waiting
            .fetch_add(line.len(), Ordering::Relaxed)
            + line.len()
            > MOST_WAITING
        {
            self.counters
                .waiting
                .fetch_sub(line.len(), Ordering::Relaxed);
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // It fails only when the thread is gone, and then there is nowhere left to say so.
        let _ = self.sender.send(Entry::Line(line));
    }

    /// Writes a line of lambda-local's own, told apart from the function's by its prefix. What it quotes of requests and
    /// answers can neither begin a line nor steer a terminal: control and bidi characters are escaped.
    pub fn note(&self, text: impl std::fmt::Display) {
        let mut line = String::from("lambda-local: ");
        for character in text.to_string().chars() {
            if is_steering(character) {
                line.extend(character.escape_default());
            } else {
                line.push(character);
            }
        }
        self.write(Writer::Note, line.into_bytes());
    }

    /// Waits until everything up to now is written, but at most a second: a paused terminal must not prevent the exit.
    pub fn flush(&self) {
        let (done, wait) = mpsc::channel();
        if self.sender.send(Entry::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(Duration::from_secs(1));
        }
    }
}

/// Controls, the two separators that some viewers break lines at, and what changes the direction of text.
fn is_steering(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn write(mut sink: impl Write, entries: &mpsc::Receiver<Entry>, counters: &Counters) {
    // Write errors are ignored: `lambda-local | head` goes on serving after head has left.
    while let Ok(entry) = entries.recv() {
        match entry {
            Entry::Line(line) => {
                let _ = sink.write_all(&line);
                counters.waiting.fetch_sub(line.len(), Ordering::Relaxed);
                let dropped = counters.dropped.swap(0, Ordering::Relaxed);
                if dropped > 0 {
                    let _ = writeln!(
                        sink,
                        "lambda-local: {dropped} lines dropped: nothing was reading this output"
                    );
                }
                let _ = sink.flush();
            }
            Entry::Flush(done) => {
                let _ = sink.flush();
                let _ = done.send(());
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// A log whose lines come out one at a time, up to its end.
    pub(crate) fn channel() -> (Log, mpsc::Receiver<Vec<u8>>) {
        let (sender, lines) = mpsc::channel();
        (Log::new(Sent(sender)).unwrap(), lines)
    }

    /// A sink, each write of which is one line.
    struct Sent(mpsc::Sender<Vec<u8>>);

    impl Write for Sent {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_arrive_in_order() {
        let kept = Kept::default();
        let log = Log::new(kept.clone()).unwrap();
        log.line("one");
        log.note("two");
        log.flush();
        assert_eq!(*kept.0.lock().unwrap(), b"one\nlambda-local: two\n");
    }

    #[test]
    fn what_a_note_quotes_cannot_steer() {
        let kept = Kept::default();
        let log = Log::new(kept.clone()).unwrap();
        log.note("é\u{9b}31m\x1b[0m\nSTART \u{202e}\u{2066}\u{2028}\t\x7f");
        log.flush();
        assert_eq!(
            String::from_utf8(kept.0.lock().unwrap().clone()).unwrap(),
            "lambda-local: é\\u{9b}31m\\u{1b}[0m\\nSTART \\u{202e}\\u{2066}\\u{2028}\\t\\u{7f}\n"
        );
    }

    /// A sink that nobody reads until the test says so.
    struct Paused(mpsc::Receiver<()>, Kept);

    impl Write for Paused {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_paused_reader_costs_lines_but_never_time() {
        let kept = Kept::default();
        let (go_on, paused) = mpsc::channel();
        let log = Log::new(Paused(paused, kept.clone())).unwrap();
        for _ in 0..80 {
            log.line(vec![b'x'; 1 << 20]);
        }
        drop(go_on);
        log.flush();
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("lines dropped: nothing was reading"));
        assert!(text.len() < 80 << 20);
    }
}
