//! Where the prelude of a streamed answer ends and its body begins.

use bytes::{Bytes, BytesMut};

/// What separates the two.
const END: [u8; 8] = [0; 8];

/// API Gateway wants the separator within the first 16 KB of the stream
/// (docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html).
const LIMIT: usize = 16 * 1024;

/// Collects the beginning of a stream until its prelude is whole.
#[derive(Debug, Default)]
pub(crate) struct Prelude {
    bytes: BytesMut,
}

/// The stream has no end of a prelude where it must have one.
#[derive(Debug, PartialEq)]
pub(crate) struct TooLarge;

impl Prelude {
    /// Takes the next chunk; gives the prelude's JSON and what came of the body once the separator is there.
    pub(crate) fn take(&mut self, chunk: &[u8]) -> Result<Option<(Bytes, Bytes)>, TooLarge> {
        // The separator may have begun before this chunk.
        let from = self.bytes.len().saturating_sub(END.len() - 1);
        self.bytes.extend_from_slice(chunk);
        let position = self.bytes[from..]
            .windows(END.len())
            .position(|window| window == END);
        match position {
            Some(position) if from + position + END.len() <= LIMIT => {
                let json = self.bytes.split_to(from + position).freeze();
                let rest = self.bytes.split_off(END.len()).freeze();
                Ok(Some((json, rest)))
            }
            None if self.bytes.len() < LIMIT => Ok(None),
            _ => Err(TooLarge),
        }
    }

    /// What there is of it.
    pub(crate) fn beginning(&self) -> &[u8] {
        &self.bytes
    }
}

impl TooLarge {
    /// In words for the log.
    pub(crate) fn reason(&self) -> String {
        format!(
            "the prelude of the stream does not end within {LIMIT} bytes, the most that API Gateway takes: send JSON \
             with statusCode and headers, then 8 NUL bytes, then the body"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Option<(Bytes, Vec<u8>)> {
        let mut prelude = Prelude::default();
        let mut found: Option<(Bytes, Vec<u8>)> = None;
        for chunk in chunks {
            match &mut found {
                Some((_, body)) => body.extend_from_slice(chunk),
                None => {
                    found = prelude
                        .take(chunk)
                        .unwrap()
                        .map(|(json, rest)| (json, rest.to_vec()));
                }
            }
        }
        found
    }

    #[test]
    fn cut_anywhere_the_parts_are_the_same() {
        // Nine and more NUL bytes: those behind the eighth are the body's.
        for text in [
            b"{\"a\":1}\0\0\0\0\0\0\0\0body".as_slice(),
            b"{}\0\0\0\0\0\0\0\0\0\0\0body",
            b"{}\0\0\0\0\0\0\0\0",
        ] {
            let end = text.iter().position(|&byte| byte == 0).unwrap();
            let expected = Some((
                Bytes::copy_from_slice(&text[..end]),
                text[end + END.len()..].to_vec(),
            ));
            for at in 0..=text.len() {
                let (left, right) = text.split_at(at);
                assert_eq!(parts([left, right]), expected, "cut at {at}");
            }
            assert_eq!(parts(text.chunks(1)), expected);
        }
    }

    #[test]
    fn seven_nul_bytes_separate_nothing() {
        assert_eq!(
            parts([b"{}\0\0\0\0\0\0\0x\0\0\0\0\0\0\0y".as_slice()]),
            None
        );
    }

    #[test]
    fn the_separator_must_come_within_the_limit() {
        let stream = |json: usize| [vec![b' '; json], vec![0; 8], vec![b'x'; 100]].concat();
        let largest = stream(LIMIT - 8);
        for size in [1, 1000, largest.len()] {
            let (json, body) = parts(largest.chunks(size)).unwrap();
            assert_eq!((json.len(), body.len()), (LIMIT - 8, 100));
        }
        let larger = stream(LIMIT - 7);
        for size in [1, 1000, larger.len()] {
            let mut prelude = Prelude::default();
            let result: Result<Vec<_>, _> = larger
                .chunks(size)
                .map(|chunk| prelude.take(chunk))
                .collect();
            assert_eq!(result, Err(TooLarge), "in chunks of {size}");
        }
    }
}
