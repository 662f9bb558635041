//! What a command printed, as far as Lambda takes it: the end, in the shape of the answer.

use std::collections::VecDeque;

use crate::event::answer::LIMIT;

/// How much of the output an error carries, in bytes.
const IN_ERROR: usize = 64 * 1024;

/// The end of an output, in bounded memory.
#[derive(Default)]
pub struct Output {
    end: VecDeque<u8>,
    /// How many bytes there were in all.
    len: u64,
}

impl Output {
    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        let bytes = &bytes[bytes.len().saturating_sub(LIMIT)..];
        let too_many = (self.end.len() + bytes.len()).saturating_sub(LIMIT);
        self.end.drain(..too_many);
        self.end.extend(bytes);
    }

    /// `{"exitCode":0,"output":"…"}`, not longer than Lambda takes.
    pub fn answer(self) -> Vec<u8> {
        let head = br#"{"exitCode":0,"output":"#;
        let output = self.into_json(LIMIT - head.len() - 1);
        [head, output.as_bytes(), b"}"].concat()
    }

    /// The end of the output as text, for an error.
    pub fn end(self) -> String {
        let text = self.into_json(IN_ERROR);
        serde_json::from_str(&text).expect("it was made of a string")
    }

    /// A JSON string of at most `limit` bytes. What is left out is said in its first line; what is not UTF-8 is replaced.
    fn into_json(self, limit: usize) -> String {
        let len = self.len;
        let bytes = Vec::from(self.end);
        let text = String::from_utf8_lossy(&bytes);
        let is_whole = len == bytes.len() as u64;
        if is_whole && json_len(&text) <= limit {
            return json(&text);
        }
        let note = format!("[the end of {len} bytes; all of them are in the log]\n");
        let mut left = limit - json_len(&note);
        let mut start = text.len();
        for (at, character) in text.char_indices().rev() {
            let size = json_len_of(character);
            if size > left {
                break;
            }
            left -= size;
            start = at;
        }
        // a line that is cut off is worth less than none, but for the only one
        let end = &text[start..];
        let end = match end.split_once('\n') {
            Some((_, lines)) if !lines.is_empty() => lines,
            _ => end,
        };
        json(&(note + end))
    }
}

fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a string always has a JSON form")
}

/// The length of a text as a JSON string, with its quotes.
fn json_len(text: &str) -> usize {
    2 + text.chars().map(json_len_of).sum::<usize>()
}

/// As serde_json writes it.
fn json_len_of(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(pieces: &[&[u8]]) -> Output {
        let mut output = Output::default();
        pieces.iter().for_each(|piece| output.push(piece));
        output
    }

    fn text(answer: &[u8]) -> String {
        let answer: serde_json::Value = serde_json::from_slice(answer).unwrap();
        assert_eq!(answer["exitCode"], 0);
        answer["output"].as_str().unwrap().to_owned()
    }

    #[test]
    fn lengths_are_those_of_serde_json() {
        for character in ('\0'..='\u{200}').chain(['\u{2028}', '€', '\u{fffd}', '😀']) {
            let text = character.to_string();
            assert_eq!(json_len(&text), json(&text).len(), "{character:?}");
        }
    }

    #[test]
    fn a_short_output_is_whole() {
        let answer = output(&[b"a \"b\"\n", b"\xc3", b"\xbc\0\n"]).answer();
        assert_eq!(text(&answer), "a \"b\"\nü\0\n");
        assert_eq!(output(&[]).answer(), br#"{"exitCode":0,"output":""}"#);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(
            text(&output(&[b"a\xffb\xe2\x82"]).answer()),
            "a\u{fffd}b\u{fffd}"
        );
    }

    #[test]
    fn of_a_long_output_the_end_is_kept_and_said_so() {
        let line = b"a line of an output\n";
        let count = LIMIT / line.len() + 1000;
        let mut long = Output::default();
        for _ in 0..count {
            long.push(line);
            assert!(long.end.len() <= LIMIT);
        }
        long.push(b"the last line");
        let answer = long.answer();
        assert!(
            answer.len() <= LIMIT && answer.len() > LIMIT - 100,
            "{}",
            answer.len()
        );
        let text = text(&answer);
        let len = count * line.len() + 13;
        let note = format!("[the end of {len} bytes; all of them are in the log]\na line of");
        assert!(text.starts_with(&note), "{}", &text[..100]);
        assert!(text.ends_with("output\nthe last line"));
    }

    #[test]
    fn what_becomes_longer_into_json_fits_too() {
        for piece in [&b"\xff"[..], b"\0", b"\"", b"\n"] {
            for len in [LIMIT / 6, LIMIT / 2, LIMIT + 1] {
                let answer = output(&[&piece.repeat(len)]).answer();
                assert!(answer.len() <= LIMIT, "{piece:?}");
                text(&answer);
            }
        }
    }

    #[test]
    fn exactly_what_fits_is_whole() {
        let envelope = br#"{"exitCode":0,"output":""}"#.len();
        let fits = vec![b'x'; LIMIT - envelope];
        assert_eq!(output(&[&fits]).answer().len(), LIMIT);
        let answer = output(&[&fits, b"x"]).answer();
        assert!(text(&answer).starts_with("[the end of"));
        assert!(answer.len() <= LIMIT);
    }

    #[test]
    fn an_error_has_less() {
        let end = output(&[&b"line\n".repeat(100_000)]).end();
        assert!(end.len() <= IN_ERROR && end.len() > IN_ERROR / 2);
        assert_eq!(output(&[b"short"]).end(), "short");
    }
}
