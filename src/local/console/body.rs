//! What is kept of one body: its beginning, how large it was, and when each piece of it came.

use serde_json::{Value, json};

/// How much of a body is kept. Enough for pages and small pictures; what is larger the page says so.
pub(super) const LIMIT: usize = 256 << 10;

/// Of how many pieces the time is kept.
const MOST_PIECES: usize = 500;

/// Microseconds since the recorder began.
pub(super) type Micros = u64;

pub(super) fn milliseconds(time: Micros) -> f64 {
    time as f64 / 1000.0
}

#[derive(Debug, Default)]
pub(super) struct Kept {
    /// A copy: a part of what the server has read would keep all of that alive.
    bytes: Vec<u8>,
    size: u64,
    pieces: Vec<(Micros, usize)>,
    piece_count: u64,
    /// `name: value` lines.
    trailers: String,
    ended: Option<Micros>,
    is_broken: bool,
}

impl Kept {
    /// Takes the next piece; gives how many bytes of memory that took.
    pub(super) fn take(&mut self, now: Micros, piece: &[u8]) -> usize {
        let room = LIMIT - self.bytes.len();
        let kept = &piece[..piece.len().min(room)];
        self.bytes.extend_from_slice(kept);
        self.size += piece.len() as u64;
        self.piece_count += 1;
        if self.pieces.len() < MOST_PIECES {
            self.pieces.push((now, piece.len()));
        }
        kept.len()
    }

    pub(super) fn end(&mut self, now: Micros, trailers: String) {
        self.ended = Some(now);
        self.trailers = trailers;
    }

    /// It ends before it is whole.
    pub(super) fn break_off(&mut self, now: Micros) {
        if self.ended.is_none() {
            self.ended = Some(now);
            self.is_broken = true;
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn is_whole(&self) -> bool {
        self.ended.is_some() && !self.is_broken && self.size == self.bytes.len() as u64
    }

    /// Text where it is some, else base64.
    pub(super) fn json(&self) -> Value {
        let pieces: Vec<_> = self
            .pieces
            .iter()
            .map(|&(at, size)| json!([milliseconds(at), size]))
            .collect();
        let mut json = json!({
            "size": self.size,
            "kept": self.bytes.len(),
            "isWhole": self.is_whole(),
            "isBroken": self.is_broken,
            "ended": self.ended.map(milliseconds),
            "pieces": pieces,
            "pieceCount": self.piece_count,
            "trailers": self.trailers,
        });
        let (name, text) = match text(&self.bytes) {
            Some(text) => ("text", text.to_owned()),
            None => (
                "base64",
                base64_simd::STANDARD.encode_to_string(&self.bytes),
            ),
        };
        json[name] = Value::String(text);
        json
    }
}

/// `bytes` as text; cut in the middle of a character they are text up to there.
fn text(bytes: &[u8]) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_large_body_is_kept_and_its_size_counted() {
        let mut kept = Kept::default();
        let piece = vec![b'x'; 100_000];
        let taken: usize = (0..2000).map(|at| kept.take(at, &piece)).sum();
        kept.end(2000, String::new());
        assert_eq!((taken, kept.bytes.len()), (LIMIT, LIMIT));
        let json = kept.json();
        assert_eq!(json["size"], 200_000_000);
        assert_eq!(json["isWhole"], false);
        assert_eq!(json["pieceCount"], 2000);
        assert_eq!(json["pieces"].as_array().unwrap().len(), MOST_PIECES);
    }

    #[test]
    fn whole_is_what_has_ended_by_itself_and_was_kept() {
        let mut kept = Kept::default();
        kept.take(1, b"a");
        assert!(!kept.is_whole());
        kept.end(2, String::new());
        assert!(kept.is_whole());
        // What has ended does not break off any more.
        kept.break_off(3);
        assert!(kept.is_whole());
        let mut broken = Kept::default();
        broken.take(1, b"a");
        broken.break_off(2);
        assert!(!broken.is_whole());
        assert_eq!(broken.json()["isBroken"], true);
    }

    #[test]
    fn text_stays_text_wherever_it_is_cut() {
        let all = "aé漢🎉".as_bytes();
        for end in 0..=all.len() {
            let mut kept = Kept::default();
            kept.take(0, &all[..end]);
            let json = kept.json();
            assert!(
                "aé漢🎉".starts_with(json["text"].as_str().unwrap()),
                "{json}"
            );
        }
        let mut binary = Kept::default();
        binary.take(0, b"a\xffb");
        assert_eq!(binary.json()["base64"], "Yf9i");
        assert_eq!(binary.json()["text"], Value::Null);
    }
}
