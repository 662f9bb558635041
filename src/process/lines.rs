//! A stream of bytes cut into lines.

/// A line that does not end is handed out at this length, so that memory stays bounded; in bytes.
pub const LONGEST: usize = 8 * 1024 * 1024;

/// Collects bytes until a line is complete.
#[derive(Debug, Default)]
pub struct Lines {
    unfinished: Vec<u8>,
}

impl Lines {
    /// Adds bytes as they were read, and hands out each complete line without its newline.
    pub fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
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
    pub fn take_rest(&mut self, mut take: impl FnMut(&[u8])) {
        if !self.unfinished.is_empty() {
            take(&std::mem::take(&mut self.unfinished));
        }
    }

    /// How many bytes the line has that has no end yet.
    pub fn unfinished_len(&self) -> usize {
        self.unfinished.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
