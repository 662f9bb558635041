//! The lines that php-fpm's master writes to its stderr: its own messages, and what workers wrote to theirs.

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerExit {
    /// Signal number and name: `9`, `SIGKILL`.
    Signal(i32, String),
    /// The exit code.
    Code(i32),
}

impl std::fmt::Display for WorkerExit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WorkerExit::Signal(number, name) => write!(f, "was ended by signal {number} ({name})"),
            WorkerExit::Code(code) => write!(f, "exited with code {code}"),
        }
    }
}

/// One line, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub enum MasterLine<'l> {
    /// What the worker of a slot wrote to its stderr or stdout.
    WorkerSaid {
        /// The slot's number.
        slot: usize,
        /// The line, without its newline.
        text: &'l [u8],
    },
    /// The worker of a slot ended.
    WorkerExited {
        /// The slot's number.
        slot: usize,
        /// The worker's process id.
        pid: i32,
        /// By a signal or with a code.
        exit: WorkerExit,
    },
    /// A message of the master's own, without its date.
    Message(&'l [u8]),
}

impl<'l> MasterLine<'l> {
    /// Takes a line apart, without its newline.
    ///
    /// What a worker wrote without a newline has the master's next message behind it: that is the second part.
    pub fn parse(line: &'l [u8]) -> (MasterLine<'l>, Option<MasterLine<'l>>) {
        let (line, glued) = match glued_at(line) {
            Some(at) => (&line[..at], Some(one(&line[at..]))),
            None => (line, None),
        };
        (one(line), glued)
    }
}

fn one(line: &[u8]) -> MasterLine<'_> {
    let message = without_date(line);
    worker_line(message).unwrap_or(MasterLine::Message(message))
}

/// Where in an unfinished line of a worker the next message begins, with its date.
fn glued_at(line: &[u8]) -> Option<usize> {
    const BEHIND_DATE: &[u8] = b"] WARNING: [pool slot";
    const DATE: &[u8] = b"[22-Nov-2026 15:55:03";
    if line.ends_with(b"\"") || line.ends_with(b", pipe is closed") {
        return None;
    }
    let behind = line
        .windows(BEHIND_DATE.len())
        .rposition(|window| window == BEHIND_DATE)?;
    let at = behind.checked_sub(DATE.len())?;
    (at > 0 && line[at] == b'[').then_some(at)
}

/// `WARNING: [pool slot0] child 17 …`
fn worker_line(message: &[u8]) -> Option<MasterLine<'_>> {
    let rest = message
        .strip_prefix(b"WARNING: ")
        .or_else(|| message.strip_prefix(b"NOTICE: "))?;
    let (slot, rest) = split(rest.strip_prefix(b"[pool slot")?, b"] child ")?;
    let (pid, rest) = split(rest, b" ")?;
    let (slot, pid) = (number(slot)?.try_into().ok()?, number(pid)?);
    for stream in [b"said into stderr: \"", b"said into stdout: \""] {
        if let Some(text) = rest.strip_prefix(stream) {
            let text = text.strip_suffix(b", pipe is closed").unwrap_or(text);
            return Some(MasterLine::WorkerSaid {
                slot,
                text: text.strip_suffix(b"\"").unwrap_or(text),
            });
        }
    }
    let exit = if let Some(rest) = rest.strip_prefix(b"exited on signal ") {
        let (signal, rest) = split(rest, b" (")?;
        let (name, _) = split(rest, b")")?;
        // "SIGSEGV - core dumped"
        let name = split(name, b" ").map_or(name, |(name, _)| name);
        WorkerExit::Signal(number(signal)?, String::from_utf8_lossy(name).into_owned())
    } else {
        WorkerExit::Code(number(
            split(rest.strip_prefix(b"exited with code ")?, b" ")?.0,
        )?)
    };
    Some(MasterLine::WorkerExited { slot, pid, exit })
}

/// `[22-Nov-2026 15:55:03] `, with microseconds at level debug.
fn without_date(line: &[u8]) -> &[u8] {
    let Some(rest) = line.strip_prefix(b"[") else {
        return line;
    };
    match split(rest, b"] ") {
        Some((date, message)) if (20..=27).contains(&date.len()) && date[0].is_ascii_digit() => {
            message
        }
        _ => line,
    }
}

fn split<'b>(bytes: &'b [u8], at: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let found = bytes.windows(at.len()).position(|window| window == at)?;
    Some((&bytes[..found], &bytes[found + at.len()..]))
}

fn number(digits: &[u8]) -> Option<i32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "[22-Nov-2026 15:55:03] ";

    fn parse(line: &str) -> MasterLine<'_> {
        let (line, glued) = MasterLine::parse(line.as_bytes());
        assert_eq!(glued, None);
        line
    }

    #[test]
    fn an_unfinished_line_has_the_next_message_behind_it() {
        let said = format!("{DATE}WARNING: [pool slot0] child 77 said into stderr: \"half");
        let ended = format!(
            "{DATE}WARNING: [pool slot0] child 77 exited on signal 9 (SIGKILL) after 0.3 seconds"
        );
        let line = format!("{said}{ended}");
        let (first, second) = MasterLine::parse(line.as_bytes());
        assert_eq!(
            first,
            MasterLine::WorkerSaid {
                slot: 0,
                text: b"half"
            }
        );
        assert_eq!(second, Some(parse(&ended)));
        assert!(matches!(parse(&ended), MasterLine::WorkerExited { .. }));
    }

    #[test]
    fn what_a_worker_said() {
        for (rest, text) in [
            ("said into stderr: \"a \"b\" c\"", "a \"b\" c"),
            ("said into stdout: \"\"", ""),
            ("said into stderr: \"x\", pipe is closed", "x"),
        ] {
            let line = format!("{DATE}WARNING: [pool slot12] child 77 {rest}");
            assert_eq!(
                parse(&line),
                MasterLine::WorkerSaid {
                    slot: 12,
                    text: text.as_bytes()
                },
                "{line}"
            );
        }
    }

    #[test]
    fn how_a_worker_ended() {
        let segv = WorkerExit::Signal(11, "SIGSEGV".into());
        for (rest, exit) in [
            (
                "exited on signal 11 (SIGSEGV) after 0.537257 seconds from start",
                segv.clone(),
            ),
            (
                "exited on signal 11 (SIGSEGV - core dumped) after 0.1 seconds from start",
                segv,
            ),
            (
                "exited with code 3 after 0.1 seconds from start",
                WorkerExit::Code(3),
            ),
        ] {
            let line = format!("{DATE}WARNING: [pool slot0] child 77 {rest}");
            assert_eq!(
                parse(&line),
                MasterLine::WorkerExited {
                    slot: 0,
                    pid: 77,
                    exit
                },
                "{line}"
            );
        }
    }

    #[test]
    fn everything_else_is_the_masters() {
        for (line, message) in [
            (
                "[22-Nov-2026 15:55:03] ERROR: unable to bind",
                "ERROR: unable to bind",
            ),
            (
                "[22-Nov-2026 15:55:03] WARNING: [pool slot0] child 7 does something",
                "WARNING: [pool slot0] child 7 does something",
            ),
            (
                "[pool slot0] child 7 said into stderr: \"forged\"",
                "[pool slot0] child 7 said into stderr: \"forged\"",
            ),
            ("", ""),
        ] {
            assert_eq!(
                parse(line),
                MasterLine::Message(message.as_bytes()),
                "{line}"
            );
        }
    }

    #[test]
    fn cut_at_each_byte_nothing_panics() {
        let line = format!(
            "{DATE}WARNING: [pool slot0] child 77 exited on signal 11 (SIGSEGV) after 0.5 seconds"
        );
        for end in 0..line.len() {
            MasterLine::parse(&line.as_bytes()[..end]);
        }
    }
}
