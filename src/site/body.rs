//! The body of an answer that no script gives: read from the file while it is sent, piece by piece.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

/// How much is read at once.
pub const PIECE: usize = 64 * 1024;

/// A body that is read when it is sent.
#[derive(Default)]
pub struct Body {
    file: Option<File>,
    /// In the order of sending, the last one first.
    parts: Vec<Part>,
}

/// What a body is made of.
pub(super) enum Part {
    Bytes(Vec<u8>),
    OfFile(Range<u64>),
}

impl Body {
    /// Of these parts, in the order of sending; those of a file are read from `file`.
    pub(super) fn new(file: Option<File>, parts: Vec<Part>) -> Body {
        Body {
            file,
            parts: parts.into_iter().rev().collect(),
        }
    }

    /// Puts the next piece into `piece`, which it clears; `false` at the end. A file that has become shorter is an error.
    pub fn next(&mut self, piece: &mut Vec<u8>) -> io::Result<bool> {
        piece.clear();
        match (self.parts.pop(), &self.file) {
            (Some(Part::Bytes(bytes)), _) => *piece = bytes,
            (Some(Part::OfFile(part)), Some(file)) => {
                let len = (part.end - part.start).min(PIECE as u64) as usize;
                piece.resize(len, 0);
                if fill(file, part.start, piece)? < len {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let rest = part.start + len as u64..part.end;
                if !rest.is_empty() {
                    self.parts.push(Part::OfFile(rest));
                }
            }
            (Some(Part::OfFile(_)), None) | (None, _) => return Ok(false),
        }
        Ok(true)
    }
}

impl Part {
    pub(super) fn len(&self) -> u64 {
        match self {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::OfFile(part) => part.end - part.start,
        }
    }
}

/// Reads as much as `piece` takes, or the file has.
pub(super) fn fill(source: &File, offset: u64, piece: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < piece.len() {
        match source.read_at(&mut piece[len..], offset + len as u64) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_in_pieces_and_never_past_its_parts() {
        let file = tempfile::tempfile().unwrap();
        let contents: Vec<u8> = (0..PIECE * 2 + 10).map(|n| n as u8).collect();
        file.write_all_at(&contents, 0).unwrap();
        let body = |parts: Vec<Part>| Body::new(Some(file.try_clone().unwrap()), parts);
        let read = |mut body: Body| {
            let (mut piece, mut pieces) = (Vec::new(), Vec::new());
            while body.next(&mut piece)? {
                pieces.push(piece.clone());
            }
            Ok::<_, io::Error>(pieces)
        };
        let pieces = read(body(vec![Part::OfFile(0..contents.len() as u64)])).unwrap();
        let lens: Vec<usize> = pieces.iter().map(Vec::len).collect();
        assert_eq!(lens, [PIECE, PIECE, 10]);
        assert_eq!(pieces.concat(), contents);

        let several = vec![
            Part::Bytes(b"a".to_vec()),
            Part::OfFile(1..3),
            Part::Bytes(b"b".to_vec()),
            Part::OfFile(300..301),
        ];
        assert_eq!(read(body(several)).unwrap().concat(), b"a\x01\x02b\x2c");

        // it has become shorter
        let longer = vec![Part::OfFile(0..contents.len() as u64 + 1)];
        let error = read(body(longer)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read(Body::default()).unwrap(), [b""; 0]);
    }
}
