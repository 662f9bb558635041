//! A stream of bytes cut into lines, and PHP's error log cut into entries. Every byte is looked at once.

use crate::log::date_len;

/// A line or an entry that does not end is handed out at this length, so that memory stays bounded; in bytes.
const LONGEST: usize = 8 * 1024 * 1024;

/// Collects bytes until a line is complete.
#[derive(Debug, Default)]
pub(super) struct Lines {
    unfinished: Vec<u8>,
}

impl Lines {
    /// Adds bytes as they were read, and hands out each complete line without its newline.
    pub(super) fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(end) if self.unfinished.is_empty() => take(end),
                Some(end) => {
                    self.unfinished.extend_from_slice(end);
                    take(&std::mem::take(&mut self.unfinished));
                }
                None => self.unfinished.extend_from_slice(piece),
            }
        }
        if self.unfinished.len() >= LONGEST {
            self.take_rest(take);
        }
    }

    /// Hands out a line that has no end yet.
    pub(super) fn take_rest(&mut self, mut take: impl FnMut(&[u8])) {
        if !self.unfinished.is_empty() {
            take(&std::mem::take(&mut self.unfinished));
        }
    }
}

/// Collects PHP's error log: a line that begins with PHP's date, and the lines behind it that do not, are one entry.
#[derive(Debug, Default)]
pub(super) struct Entries {
    lines: Lines,
    /// The complete lines of the last entry; more of it can follow.
    entry: Vec<u8>,
}

impl Entries {
    /// Adds bytes as they were read, and hands out each entry behind which another one has begun.
    pub(super) fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
        let entry = &mut self.entry;
        self.lines.push(bytes, |line| {
            if !entry.is_empty() && (date_len(line) > 0 || entry.len() >= LONGEST) {
                hand_out(entry, &mut take);
            }
            entry.extend_from_slice(line);
            entry.push(b'\n');
        });
    }

    /// The pipe is empty: hands out the last entry, unless the line behind it has begun already.
    pub(super) fn pause(&mut self, mut take: impl FnMut(&[u8])) {
        if self.lines.unfinished.is_empty() {
            hand_out(&mut self.entry, &mut take);
        }
    }

    /// Hands out all that is left, complete or not.
    pub(super) fn take_rest(&mut self, mut take: impl FnMut(&[u8])) {
        let entry = &mut self.entry;
        self.lines.take_rest(|line| {
            if date_len(line) > 0 {
                hand_out(entry, &mut take);
            }
            entry.extend_from_slice(line);
            entry.push(b'\n');
        });
        hand_out(&mut self.entry, &mut take);
    }
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
        let (mut entries, mut found) = (Entries::default(), Vec::new());
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
    fn lines_wait_for_their_end() {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for piece in ["a", "b\n\nc", "\n", "rest"] {
            lines.push(piece.as_bytes(), |line| found.push(line.to_vec()));
        }
        assert_eq!(found, [&b"ab"[..], b"", b"c"]);
        lines.take_rest(|line| found.push(line.to_vec()));
        assert_eq!(found[3], b"rest");
    }

    #[test]
    fn neither_a_line_nor_an_entry_without_an_end_fills_memory() {
        for piece in [vec![b'x'; LONGEST / 4], b"no date\n".repeat(LONGEST / 32)] {
            let (mut entries, mut len) = (Entries::default(), 0);
            for _ in 0..20 {
                entries.push(&piece, |entry| len += entry.len());
                assert!(entries.entry.len() + entries.lines.unfinished.len() <= 2 * LONGEST + 8);
            }
            entries.take_rest(|entry| len += entry.len());
            assert!(len >= 20 * piece.len() - 20, "{len}");
        }
    }
}
