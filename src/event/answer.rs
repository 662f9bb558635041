//! The buffered answer: PHP's output becomes the JSON document of the event's dialect, piece by piece in one buffer.
//!
//! A body that is UTF-8 and not compressed is text, any other base64. Which one it is shows while it comes: text is escaped
//! straight into the buffer, and the first byte that is no UTF-8 turns what is there into base64.

use std::borrow::Cow;

use simdutf8::compat::from_utf8;

use super::escape::escape;
use super::head_writer::HeadWriter;
use super::{Dialect, alb, api_gateway_v1, api_gateway_v2, lattice};
use crate::cgi::head::Head;

/// The largest answer that the Runtime API takes, in bytes (AWS Lambda quotas: 6 MB, and what the Runtime API adds).
pub const LIMIT: usize = 6_291_556;

/// The largest answer that an Application Load Balancer takes, in bytes.
pub const ALB_LIMIT: usize = 1024 * 1024;

/// The largest answer that the sender of the event takes, in bytes of the document.
pub fn largest(dialect: Dialect) -> usize {
    match dialect {
        Dialect::Alb { .. } => ALB_LIMIT,
        _ => LIMIT,
    }
}

/// What stands behind the body, in its longer form.
const ENVELOPE_END: &str = "\",\"isBase64Encoded\":false}";

/// An answer that grows with PHP's output.
pub struct Answer {
    document: Vec<u8>,
    /// Where the body's content begins in `document`.
    body_start: usize,
    body: Body,
    /// All bytes of the body so far.
    body_len: usize,
    /// Bytes that were counted and dropped because the answer is too large already.
    dropped: usize,
    dialect: Dialect,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Body {
    /// The answer has none: a HEAD request, 204, 304.
    None,
    /// With the first bytes of a character whose end has not come yet.
    Text(Vec<u8>),
    /// With the bytes, two at the most, that wait for a third.
    Base64(Vec<u8>),
}

/// The answer does not fit; both sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLarge {
    /// What the answer would have had.
    pub size: usize,
    /// [`LIMIT`].
    pub limit: usize,
}

impl Answer {
    /// Begins an answer in `dialect`.
    pub fn new(dialect: Dialect, head: &Head, is_head_request: bool) -> Answer {
        let mut document = Vec::with_capacity(4096);
        let mut writer = HeadWriter {
            document: &mut document,
        };
        match dialect {
            Dialect::ApiGatewayV2 | Dialect::FunctionUrl => {
                api_gateway_v2::write_head(head, &mut writer)
            }
            Dialect::ApiGatewayV1 { multi_value } => {
                api_gateway_v1::write_head(head, multi_value, &mut writer)
            }
            Dialect::Alb { multi_value } => alb::write_head(head, multi_value, &mut writer),
            Dialect::Lattice => lattice::write_head(head, &mut writer),
        }
        document.extend_from_slice(b",\"body\":\"");
        let is_encoded = head
            .headers
            .iter()
            .any(|header| header.is("content-encoding"));
        let body = match (is_head_request || head.is_bodiless(), is_encoded) {
            (true, _) => Body::None,
            (false, true) => Body::Base64(Vec::new()),
            (false, false) => Body::Text(Vec::new()),
        };
        Answer {
            body_start: document.len(),
            document,
            body,
            body_len: 0,
            dropped: 0,
            dialect,
        }
    }

    /// Adds a piece of the body.
    pub fn push(&mut self, piece: &[u8]) {
        self.body_len += piece.len();
        match &mut self.body {
            Body::None => {}
            Body::Text(unfinished) => {
                let unfinished = std::mem::take(unfinished);
                let piece: Cow<'_, [u8]> = if unfinished.is_empty() {
                    piece.into()
                } else {
                    [&unfinished, piece].concat().into()
                };
                self.push_text(&piece);
            }
            Body::Base64(_) => self.push_base64(piece),
        }
        self.shrink();
        if self.document.len() > LIMIT {
            // it is only counted from here on: memory does not grow with an answer that cannot be sent
            self.dropped += self.document.len();
            self.document = Vec::new();
            self.body_start = 0;
        }
    }

    /// Text of many control characters is longer than its base64: a sparse archive is text of NULs.
    fn shrink(&mut self) {
        let limit = largest(self.dialect);
        let as_base64 = self.body_start + self.body_len.div_ceil(3) * 4 + ENVELOPE_END.len();
        let is_too_long = self.document.len() + ENVELOPE_END.len() > limit;
        if is_too_long && as_base64 <= limit && self.dropped == 0 {
            if let Body::Text(unfinished) = &mut self.body {
                let unfinished = std::mem::take(unfinished);
                self.become_base64();
                self.push_base64(&unfinished);
            }
        }
    }

    fn push_text(&mut self, piece: &[u8]) {
        let (text, rest) = match from_utf8(piece) {
            Ok(text) => (text, &[][..]),
            Err(error) if error.error_len().is_none() => {
                let (text, rest) = piece.split_at(error.valid_up_to());
                (from_utf8(text).expect("it has just said so"), rest)
            }
            Err(_) => {
                self.become_base64();
                return self.push_base64(piece);
            }
        };
        escape(text, &mut self.document);
        self.body = Body::Text(rest.to_vec());
    }

    fn become_base64(&mut self) {
        self.body = Body::Base64(Vec::new());
        if self.dropped > 0 {
            return;
        }
        // what was escaped so far is read back; mostly that is nothing, a binary file shows itself in its first bytes
        self.document.push(b'"');
        let literal = &self.document[self.body_start - 1..];
        let text: String = serde_json::from_slice(literal).expect("escape() wrote a JSON string");
        self.document.truncate(self.body_start);
        self.push_base64(text.as_bytes());
    }

    fn push_base64(&mut self, piece: &[u8]) {
        let Body::Base64(waiting) = &mut self.body else {
            return;
        };
        let needed = if waiting.is_empty() {
            0
        } else {
            (3 - waiting.len()).min(piece.len())
        };
        let (head, tail) = piece.split_at(needed);
        waiting.extend_from_slice(head);
        if waiting.len() == 3 {
            base64_simd::STANDARD.encode_append(&*waiting, &mut self.document);
            waiting.clear();
        }
        let whole = tail.len() / 3 * 3;
        waiting.extend_from_slice(&tail[whole..]);
        // encode_append reserves to the byte, which would copy everything for each piece
        self.document.reserve(whole / 3 * 4);
        base64_simd::STANDARD.encode_append(&tail[..whole], &mut self.document);
    }

    /// The document, ready to be posted.
    pub fn finish(mut self) -> Result<Vec<u8>, TooLarge> {
        if matches!(&self.body, Body::Text(unfinished) if !unfinished.is_empty()) {
            let Body::Text(unfinished) = std::mem::replace(&mut self.body, Body::None) else {
                unreachable!()
            };
            self.become_base64();
            self.push_base64(&unfinished);
        }
        let is_base64 = matches!(self.body, Body::Base64(_));
        if let Body::Base64(waiting) = &self.body {
            base64_simd::STANDARD.encode_append(waiting, &mut self.document);
        }
        let end = match is_base64 {
            true => "\",\"isBase64Encoded\":true}",
            false => ENVELOPE_END,
        };
        self.document.extend_from_slice(end.as_bytes());
        let size = match is_base64 && self.dropped > 0 {
            // text that turned out to be binary after it was dropped: what it would have been as base64
            true => self.body_len.div_ceil(3) * 4,
            false => self.dropped + self.document.len(),
        };
        if size > LIMIT {
            return Err(TooLarge { size, limit: LIMIT });
        }
        Ok(self.document)
    }

    /// Whether the document will have more than `limit` bytes.
    pub fn exceeds(&self, limit: usize) -> bool {
        // what waits for more to be encoded, four bytes at the most, is on the safe side of any real limit
        self.dropped + self.document.len() + ENVELOPE_END.len() + 4 > limit
    }

    /// The dialect and the bytes of the document so far.
    pub fn dialect(&self) -> (Dialect, usize) {
        (self.dialect, self.document.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgi::head;

    const V2: Dialect = Dialect::ApiGatewayV2;

    fn head(block: &str) -> Head {
        head::Parser::default()
            .push(block.as_bytes())
            .unwrap()
            .unwrap()
            .0
    }

    /// The decoded body and whether it came as base64.
    fn body_of(document: &[u8]) -> (Vec<u8>, bool) {
        let json: serde_json::Value = serde_json::from_slice(document).unwrap();
        let body = json["body"].as_str().unwrap();
        match json["isBase64Encoded"].as_bool().unwrap() {
            true => (base64_simd::STANDARD.decode_to_vec(body).unwrap(), true),
            false => (body.as_bytes().to_vec(), false),
        }
    }

    fn answer(block: &str, pieces: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut answer = Answer::new(V2, &head(block), false);
        pieces.iter().for_each(|piece| answer.push(piece));
        body_of(&answer.finish().unwrap())
    }

    #[test]
    fn no_byte_is_changed_wherever_the_body_is_cut() {
        let bodies: [(&[u8], bool); 6] = [
            (b"", false),
            (
                "text \"\\ \u{0}\u{1f} \u{2028} \u{1f600} é\r\n".as_bytes(),
                false,
            ),
            (b"\x89PNG\r\n\x1a\n\x00\x00", true),
            (b"late \xe9 \"latin\"", true),
            (
                "cut at the end \u{1f600}"
                    .as_bytes()
                    .split_last()
                    .unwrap()
                    .1,
                true,
            ),
            (&[0xff; 7], true),
        ];
        for (body, is_base64) in bodies {
            for first in 0..=body.len() {
                for second in first..=body.len() {
                    let pieces = [&body[..first], &body[first..second], &body[second..]];
                    assert_eq!(
                        answer("\n", &pieces),
                        (body.to_vec(), is_base64),
                        "{body:?} {first} {second}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_compressed_body_is_base64_even_when_it_could_be_text() {
        assert_eq!(
            answer("Content-Encoding: br\n\n", &[b"a"]),
            (b"a".to_vec(), true)
        );
    }

    #[test]
    fn bodiless_answers() {
        for (block, is_head_request) in [
            ("Status: 204\n\n", false),
            ("Status: 304\n\n", false),
            ("\n", true),
        ] {
            let mut answer = Answer::new(V2, &head(block), is_head_request);
            answer.push(b"\xffdropped");
            assert_eq!(
                body_of(&answer.finish().unwrap()),
                (Vec::new(), false),
                "{block:?}"
            );
        }
    }

    #[test]
    fn the_limit_is_exact_and_memory_does_not_grow_past_it() {
        let envelope = Answer::new(V2, &head("\n"), false).finish().unwrap().len();
        let mut answer = Answer::new(V2, &head("\n"), false);
        answer.push(&vec![b'x'; LIMIT - envelope]);
        assert_eq!(answer.finish().unwrap().len(), LIMIT);

        let mut answer = Answer::new(V2, &head("\n"), false);
        answer.push(&vec![b'x'; LIMIT - envelope]);
        answer.push(b"x");
        assert_eq!(
            answer.finish(),
            Err(TooLarge {
                size: LIMIT + 1,
                limit: LIMIT
            })
        );

        let mut answer = Answer::new(V2, &head("\n"), false);
        for _ in 0..300 {
            answer.push(&[b'"'; 65_536]);
            // what there is and what the next piece may need, each doubled once at most
            assert!(answer.document.capacity() <= 2 * (LIMIT + 7 * 65_536));
        }
        assert_eq!(
            answer.finish(),
            Err(TooLarge {
                // shorter than as escaped text
                size: (300usize * 65_536).div_ceil(3) * 4,
                limit: LIMIT
            })
        );
    }

    #[test]
    fn a_large_answer_that_turns_out_to_be_binary_reports_its_size_as_base64() {
        let mut answer = Answer::new(V2, &head("\n"), false);
        answer.push(&vec![b'x'; LIMIT]);
        answer.push(b"\xff");
        answer.push(b"\xff\xfe");
        let TooLarge { size, .. } = answer.finish().unwrap_err();
        assert!(size.abs_diff((LIMIT + 3).div_ceil(3) * 4) < 200, "{size}");
    }

    #[test]
    fn text_that_is_shorter_as_base64_goes_as_base64_when_it_has_to() {
        for len in [1_100_000, LIMIT / 6, LIMIT / 6 - 30] {
            let mut answer = Answer::new(V2, &head("\n"), false);
            vec![0; len]
                .chunks(65_536)
                .for_each(|piece| answer.push(piece));
            let (body, _) = body_of(&answer.finish().unwrap());
            assert!(body == vec![0; len], "{len}");
        }
        // 200 KB are six times as much as escaped text
        let alb = Dialect::Alb { multi_value: true };
        let mut answer_to_alb = Answer::new(alb, &head("\n"), false);
        answer_to_alb.push(&[0; 200_000]);
        assert!(!answer_to_alb.exceeds(ALB_LIMIT));
        assert!(
            !answer("\n", &[&[0; 1000]]).1,
            "where it fits it stays text"
        );
    }
}
