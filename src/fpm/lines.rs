//! A stream of bytes cut into lines, and PHP's error log cut into entries.

use crate::log::date_len;

/// A line that does not end is handed out at this length, so that memory stays bounded; in bytes.
const LONGEST: usize = 8 * 1024 * 1024;

/// Collects the bytes of a log.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Adds bytes as they were read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Hands out each complete line, without its newline.
    pub(super) fn take_lines(&mut self, mut take: impl FnMut(&[u8])) {
        let end = self.complete_len();
        self.take(end, |bytes| {
            bytes.split(|&byte| byte == b'\n').for_each(&mut take)
        });
    }

    /// Hands out the entries of PHP's error log: a line that begins with PHP's date, and the lines behind it that do not.
    ///
    /// The last entry is held back while its last line is incomplete, for more lines of it follow.
    pub(super) fn take_entries(&mut self, mut take: impl FnMut(&[u8])) {
        let complete = self.complete_len();
        let is_whole = complete == self.pending.len();
        let end = if is_whole {
            complete
        } else {
            self.last_entry_start(complete)
        };
        self.take(end, |bytes| entries(bytes, &mut take));
    }

    /// Hands out all that is left, complete or not.
    pub(super) fn take_rest(&mut self, mut take: impl FnMut(&[u8])) {
        self.take(self.pending.len(), |bytes| entries(bytes, &mut take));
    }

    fn take(&mut self, end: usize, hand_out: impl FnOnce(&[u8])) {
        if end > 0 {
            let bytes = &self.pending[..end];
            hand_out(bytes.strip_suffix(b"\n").unwrap_or(bytes));
            self.pending.drain(..end);
        }
    }

    fn complete_len(&self) -> usize {
        match self.pending.iter().rposition(|&byte| byte == b'\n') {
            Some(newline) => newline + 1,
            None if self.pending.len() >= LONGEST => self.pending.len(),
            None => 0,
        }
    }

    fn last_entry_start(&self, complete: usize) -> usize {
        if self.pending.len() >= LONGEST {
            return complete;
        }
        let starts =
            line_starts(&self.pending).filter(|&start| date_len(&self.pending[start..]) > 0);
        starts.last().unwrap_or(complete)
    }
}

fn line_starts(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let newlines = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    std::iter::once(0).chain(newlines.map(|(at, _)| at + 1))
}

fn entries(bytes: &[u8], take: &mut impl FnMut(&[u8])) {
    let starts = line_starts(bytes)
        .skip(1)
        .filter(|&start| date_len(&bytes[start..]) > 0);
    let mut from = 0;
    for start in starts {
        take(&bytes[from..start - 1]);
        from = start;
    }
    take(&bytes[from..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "[22-Nov-2026 15:55:03 UTC] one\n[22-Nov-2026 15:55:03 UTC] two\n#0 trace\n#1 trace\n\
        [22-Nov-2026 15:55:03 UTC] three\n";

    fn entries_of(pieces: &[&str]) -> Vec<String> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.push(piece.as_bytes());
            lines.take_entries(|entry| found.push(String::from_utf8(entry.to_vec()).unwrap()));
        }
        lines.take_rest(|entry| found.push(String::from_utf8(entry.to_vec()).unwrap()));
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
    fn lines_wait_for_their_end() {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for piece in ["a", "b\n\nc", "\n", "rest"] {
            lines.push(piece.as_bytes());
            lines.take_lines(|line| found.push(line.to_vec()));
        }
        assert_eq!(found, [&b"ab"[..], b"", b"c"]);
        lines.take_rest(|line| found.push(line.to_vec()));
        assert_eq!(found[3], b"rest");
    }

    #[test]
    fn a_line_without_an_end_does_not_fill_memory() {
        let (mut lines, mut len) = (Lines::default(), 0);
        for _ in 0..20 {
            lines.push(&vec![b'x'; LONGEST / 4]);
            lines.take_entries(|entry| len += entry.len());
            assert!(lines.pending.len() <= LONGEST);
        }
        assert_eq!(len, 5 * LONGEST);
    }
}
