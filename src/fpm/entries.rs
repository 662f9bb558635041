//! What a worker writes, cut into entries of the log.

use crate::log::date_len;
use crate::process::lines::{LONGEST, Lines};

/// Where the lines behind an entry may be somebody else's, they are not collected for longer; in bytes.
const LONGEST_OF_BOTH: usize = 64 * 1024;

/// What comes through a pipe, and so what an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// PHP's error log: a line that begins with PHP's date, and the lines behind it that do not.
    ErrorLog,
    /// What workers write to stderr: each line.
    Stderr,
    /// Both in the order in which they were written: as in the error log, but what has no date may be a line of stderr, and
    /// PHP's date ends a line of stderr that has no newline.
    Both,
}

/// Cuts the output of a worker into entries of the log.
#[derive(Debug)]
pub(super) struct Entries {
    kind: Kind,
    lines: Lines,
    /// The complete lines of the last entry; more of it can follow.
    entry: Vec<u8>,
}

impl Entries {
    pub(super) fn new(kind: Kind) -> Entries {
        Entries {
            kind,
            lines: Lines::default(),
            entry: Vec::new(),
        }
    }

    /// Adds bytes as they were read, and hands out each entry behind which another one has begun.
    pub(super) fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
        let (kind, entry) = (self.kind, &mut self.entry);
        self.lines
            .push(bytes, |line| add(kind, entry, line, &mut take));
    }

    /// The pipe is empty: hands out the last entry, unless the line behind it has begun already.
    pub(super) fn pause(&mut self, mut take: impl FnMut(&[u8])) {
        if self.lines.unfinished_len() == 0 {
            hand_out(&mut self.entry, &mut take);
        }
    }

    /// Hands out all that is left, complete or not.
    pub(super) fn take_rest(&mut self, mut take: impl FnMut(&[u8])) {
        let (kind, entry) = (self.kind, &mut self.entry);
        self.lines
            .take_rest(|line| add(kind, entry, line, &mut take));
        hand_out(&mut self.entry, &mut take);
    }
}

/// Adds a line to the entry, or hands the entry out and begins another one.
fn add(kind: Kind, entry: &mut Vec<u8>, line: &[u8], take: &mut impl FnMut(&[u8])) {
    if kind == Kind::Both {
        if let Some(at) = date_inside(line) {
            add(kind, entry, &line[..at], take);
            return add(kind, entry, &line[at..], take);
        }
    }
    let is_another = match kind {
        Kind::ErrorLog => date_len(line) > 0 || entry.len() >= LONGEST,
        Kind::Stderr => true,
        // what follows a line of stderr is no part of it
        Kind::Both => date_len(line) > 0 || date_len(entry) == 0 || entry.len() >= LONGEST_OF_BOTH,
    };
    if is_another {
        hand_out(entry, take);
    }
    entry.extend_from_slice(line);
    entry.push(b'\n');
}

/// Where in a line that has no date at its beginning PHP's date stands: PHP wrote it in one piece with its newline, so that
/// what is before it was written by somebody else.
fn date_inside(line: &[u8]) -> Option<usize> {
    if date_len(line) > 0 {
        return None;
    }
    let brackets = line.iter().enumerate().skip(1);
    brackets
        .filter(|(_, byte)| **byte == b'[')
        .map(|(at, _)| at)
        .find(|&at| date_len(&line[at..]) > 0)
}

/// Without its last newline.
fn hand_out(entry: &mut Vec<u8>, take: &mut impl FnMut(&[u8])) {
    if let Some((_, text)) = entry.split_last() {
        take(text);
        entry.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "[22-Nov-2026 15:55:03 UTC] one\n[22-Nov-2026 15:55:03 UTC] two\n#0 trace\n#1 trace\n\
        [22-Nov-2026 15:55:03 UTC] three\n";

    fn entries_of(pieces: &[&str]) -> Vec<String> {
        entries_in(Kind::ErrorLog, pieces)
    }

    fn entries_in(kind: Kind, pieces: &[&str]) -> Vec<String> {
        let (mut entries, mut found) = (Entries::new(kind), Vec::new());
        let mut take = |entry: &[u8]| found.push(String::from_utf8(entry.to_vec()).unwrap());
        for piece in pieces {
            entries.push(piece.as_bytes(), &mut take);
            entries.pause(&mut take);
        }
        entries.take_rest(&mut take);
        found
    }

    #[test]
    fn a_stack_trace_stays_with_its_entry() {
        let found = entries_of(&[LOG]);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[1].ends_with("two\n#0 trace\n#1 trace"));
    }

    #[test]
    fn cut_at_each_byte_no_byte_is_lost() {
        for cut in 0..=LOG.len() {
            let found = entries_of(&[&LOG[..cut], &LOG[cut..]]);
            assert_eq!(found.join("\n") + "\n", LOG, "{cut}");
        }
    }

    #[test]
    fn an_entry_whose_next_line_has_begun_waits_for_it() {
        let cut = LOG.find("#1").unwrap() + 1;
        assert_eq!(entries_of(&[&LOG[..cut], &LOG[cut..]]).len(), 3);
    }

    #[test]
    fn each_line_of_stderr_is_an_entry() {
        let found = entries_in(Kind::Stderr, &["a\n\n", "#0 b\nc"]);
        assert_eq!(found, ["a", "", "#0 b", "c"]);
    }

    #[test]
    fn stderr_among_the_error_log_keeps_its_place_and_its_lines() {
        const BOTH: &str = "plain\n{\"a\":1}\n[22-Nov-2026 15:55:03 UTC] one\n#0 trace\nhalf [22\n\
            half a line[22-Nov-2026 15:55:03 UTC] two\n[1]";
        let expected = [
            "plain",
            "{\"a\":1}",
            "[22-Nov-2026 15:55:03 UTC] one\n#0 trace\nhalf [22\nhalf a line",
            "[22-Nov-2026 15:55:03 UTC] two\n[1]",
        ];
        assert_eq!(entries_in(Kind::Both, &[BOTH]), expected);
        for cut in 0..=BOTH.len() {
            let found = entries_in(Kind::Both, &[&BOTH[..cut], &BOTH[cut..]]);
            assert_eq!(found.join("\n"), expected.join("\n"), "{cut}");
        }
    }

    #[test]
    fn lines_behind_an_entry_are_not_collected_for_long() {
        let mut entries = Entries::new(Kind::Both);
        let mut handed_out = 0;
        entries.push(b"[22-Nov-2026 15:55:03 UTC] one\n", |_| ());
        for _ in 0..LONGEST_OF_BOTH / 16 {
            entries.push(b"a line of stderr\n", |entry| handed_out += entry.len());
        }
        assert!(handed_out >= LONGEST_OF_BOTH);
    }

    #[test]
    fn neither_a_line_nor_an_entry_without_an_end_fills_memory() {
        for piece in [vec![b'x'; LONGEST / 4], b"no date\n".repeat(LONGEST / 32)] {
            for kind in [Kind::ErrorLog, Kind::Stderr, Kind::Both] {
                let (mut entries, mut len, mut count) = (Entries::new(kind), 0, 0);
                let mut take = |entry: &[u8]| {
                    len += entry.len();
                    count += 1;
                };
                for _ in 0..20 {
                    entries.push(&piece, &mut take);
                    assert!(
                        entries.entry.len() + entries.lines.unfinished_len() <= 2 * LONGEST + 8
                    );
                }
                entries.take_rest(&mut take);
                assert!(len + count >= 20 * piece.len(), "{kind:?}: {len}");
            }
        }
    }
}
