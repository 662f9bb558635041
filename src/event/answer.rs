//! The buffered answer: PHP's output becomes the JSON document of the event's dialect, piece by piece in one buffer.
//!
//! A body that is UTF-8 and not compressed is text, any other base64. Which one it is shows while it comes: text is escaped
//! straight into the buffer, and the first byte that is no UTF-8 turns what is there into base64.

use std::borrow::Cow;

use serde::Serialize as _;
use serde_json::ser::{Formatter, Serializer};

use super::{Dialect, alb, api_gateway_v1, api_gateway_v2, lattice};
use crate::cgi::head::{Head, Header};

/// The largest answer that the Runtime API takes, in bytes (AWS Lambda quotas: 6 MB, and what the Runtime API adds).
pub const LIMIT: usize = 6_291_556;

/// The largest answer that an Application Load Balancer takes, in bytes.
const ALB_LIMIT: usize = 1024 * 1024;

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
    dialect: Option<Dialect>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Body {
    /// The answer has none: a HEAD request, 204, 304.
    None,
    /// Not in an envelope: posted as PHP printed it.
    Verbatim,
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
            Dialect::ApiGatewayV2 => api_gateway_v2::write_head(head, &mut writer),
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
            dialect: Some(dialect),
        }
    }

    /// An answer without an envelope, for events that are no HTTP requests.
    pub fn verbatim() -> Answer {
        Answer {
            document: Vec::new(),
            body_start: 0,
            body: Body::Verbatim,
            body_len: 0,
            dropped: 0,
            dialect: None,
        }
    }

    /// Adds a piece of the body.
    pub fn push(&mut self, piece: &[u8]) {
        self.body_len += piece.len();
        match &mut self.body {
            Body::None => {}
            Body::Verbatim => self.document.extend_from_slice(piece),
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
        if self.document.len() > LIMIT {
            // it is only counted from here on: memory does not grow with an answer that cannot be sent
            self.dropped += self.document.len();
            self.document = Vec::new();
            self.body_start = 0;
        }
    }

    fn push_text(&mut self, piece: &[u8]) {
        let (text, rest) = match std::str::from_utf8(piece) {
            Ok(text) => (text, &[][..]),
            Err(error) if error.error_len().is_none() => {
                let (text, rest) = piece.split_at(error.valid_up_to());
                (
                    std::str::from_utf8(text).expect("from_utf8 has just said so"),
                    rest,
                )
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
        if self.body != Body::Verbatim {
            self.document.extend_from_slice(b"\",\"isBase64Encoded\":");
            self.document
                .extend_from_slice(if is_base64 { b"true}" } else { b"false}" });
        }
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

    /// What the sender of the event will refuse although Lambda does not: texts for the log.
    pub fn warnings(&self, head: &Head) -> Vec<String> {
        let mut warnings = Vec::new();
        let size = |header: &Header| header.name.len() + header.value.len() + 4;
        let total: usize = head.headers.iter().map(size).sum();
        let (sender, limit) = match self.dialect {
            Some(Dialect::ApiGatewayV1 { .. } | Dialect::ApiGatewayV2) => ("API Gateway", 10_240),
            Some(Dialect::Alb { .. }) => ("a load balancer", 32_768),
            Some(Dialect::Lattice) | None => ("", usize::MAX),
        };
        if total > limit {
            let largest = head.headers.iter().max_by_key(|header| size(header));
            let largest =
                largest.map(|header| format!("{} with {} bytes", header.name, size(header)));
            warnings.push(format!(
                "the answer's headers have {total} bytes, and {sender} refuses more than {limit}; the largest is {}",
                largest.unwrap_or_default()
            ));
        }
        let cookies = head
            .headers
            .iter()
            .filter(|header| header.is("set-cookie"))
            .count();
        let loses_cookies = match self.dialect {
            Some(
                Dialect::Alb { multi_value: false } | Dialect::ApiGatewayV1 { multi_value: false },
            ) => Some("the last one arrives; turn multi-value headers on for the target group"),
            Some(Dialect::Lattice) => Some("they are joined into one header"),
            _ => None,
        };
        if let (2.., Some(loses_cookies)) = (cookies, loses_cookies) {
            warnings.push(format!(
                "the answer sets {cookies} cookies, but the event's sender takes one Set-Cookie header: {loses_cookies}"
            ));
        }
        if matches!(self.dialect, Some(Dialect::Alb { .. })) && self.document.len() > ALB_LIMIT {
            warnings.push(format!(
                "the answer has {} bytes, and a load balancer refuses more than {ALB_LIMIT}",
                self.document.len()
            ));
        }
        warnings
    }
}

/// Appends `text` as the content of a JSON string, without the quotation marks.
fn escape(text: &str, document: &mut Vec<u8>) {
    struct Content;
    impl Formatter for Content {
        fn begin_string<W: ?Sized + std::io::Write>(&mut self, _: &mut W) -> std::io::Result<()> {
            Ok(())
        }

        fn end_string<W: ?Sized + std::io::Write>(&mut self, _: &mut W) -> std::io::Result<()> {
            Ok(())
        }
    }
    text.serialize(&mut Serializer::with_formatter(document, Content))
        .expect("a Vec takes every write");
}

/// Writes the members of an answer that stand before its body.
pub(super) struct HeadWriter<'d> {
    document: &'d mut Vec<u8>,
}

impl HeadWriter<'_> {
    /// `statusCode`; it comes first.
    pub(super) fn status(&mut self, status: u16) {
        self.document
            .extend_from_slice(format!("{{\"statusCode\":{status}").as_bytes());
    }

    /// A member that is a string.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.member(name, &value);
    }

    /// A member that is a list of strings.
    pub(super) fn list<'v>(&mut self, name: &str, values: impl Iterator<Item = &'v str>) {
        self.member(name, &values.collect::<Vec<_>>());
    }

    /// `headers`, the values of a repeated name joined.
    pub(super) fn joined_headers<'h>(&mut self, headers: impl Iterator<Item = &'h Header>) {
        self.member(
            "headers",
            &Map(grouped(headers)
                .map(|(name, values)| (name, values.join(", ")))
                .collect()),
        );
    }

    /// `headers`, the last value of a repeated name.
    pub(super) fn last_headers(&mut self, headers: &[Header]) {
        let last =
            |(name, values): (_, Vec<&str>)| (name, values.last().map(|value| value.to_string()));
        self.member("headers", &Map(grouped(headers.iter()).map(last).collect()));
    }

    /// `multiValueHeaders`.
    pub(super) fn multi_value_headers(&mut self, headers: &[Header]) {
        self.member("multiValueHeaders", &Map(grouped(headers.iter()).collect()));
    }

    fn member(&mut self, name: &str, value: &impl serde::Serialize) {
        self.document
            .extend_from_slice(format!(",\"{name}\":").as_bytes());
        serde_json::to_writer(&mut *self.document, value).expect("strings always have a JSON form");
    }
}

/// Headers by name, in any case of letters; the first spelling and the first place count.
fn grouped<'h>(
    headers: impl Iterator<Item = &'h Header>,
) -> impl Iterator<Item = (&'h str, Vec<&'h str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for header in headers {
        match groups.iter_mut().find(|(name, _)| header.is(name)) {
            Some((_, values)) => values.push(&header.value),
            None => groups.push((&header.name, vec![&header.value])),
        }
    }
    groups.into_iter()
}

/// A JSON object in the order of its members.
struct Map<'h, V>(Vec<(&'h str, V)>);

impl<V: serde::Serialize> serde::Serialize for Map<'_, V> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
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
            assert!(answer.document.capacity() <= 2 * LIMIT);
        }
        assert_eq!(
            answer.finish(),
            Err(TooLarge {
                size: envelope + 300 * 65_536 * 2,
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
    fn verbatim_answers_have_the_same_limit() {
        let mut answer = Answer::verbatim();
        answer.push(b"{\"a\":");
        answer.push(b"\xff}");
        assert_eq!(answer.finish().unwrap(), b"{\"a\":\xff}");
        let mut answer = Answer::verbatim();
        answer.push(&vec![b' '; LIMIT + 5]);
        assert_eq!(
            answer.finish(),
            Err(TooLarge {
                size: LIMIT + 5,
                limit: LIMIT
            })
        );
    }

    #[test]
    fn warnings_name_what_the_sender_will_not_take() {
        let large = head(&format!("Small: a\nLarge: {}\n\n", "x".repeat(11_000)));
        let api = Answer::new(V2, &large, false).warnings(&large);
        assert!(
            api[0].contains("11019 bytes") && api[0].contains("Large with 11009 bytes"),
            "{api:?}"
        );
        assert_eq!(
            Answer::new(Dialect::Alb { multi_value: true }, &large, false).warnings(&large),
            [""; 0]
        );
        let huge = head(&format!("Large: {}\n\n", "x".repeat(33_000)));
        assert_eq!(
            Answer::new(Dialect::Alb { multi_value: true }, &huge, false)
                .warnings(&huge)
                .len(),
            1
        );

        let cookies = head("Set-Cookie: a=1\nSet-Cookie: b=2\n\n");
        for (dialect, warned) in [
            (V2, 0),
            (Dialect::ApiGatewayV1 { multi_value: true }, 0),
            (Dialect::Alb { multi_value: false }, 1),
            (Dialect::Lattice, 1),
        ] {
            assert_eq!(
                Answer::new(dialect, &cookies, false)
                    .warnings(&cookies)
                    .len(),
                warned,
                "{dialect:?}"
            );
        }

        let mut big = Answer::new(Dialect::Alb { multi_value: true }, &cookies, false);
        big.push(&vec![b'x'; ALB_LIMIT]);
        assert!(big.warnings(&cookies)[0].contains("1048576"));
    }
}
