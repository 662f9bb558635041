//! What is kept of the log of one record: its beginning and its end.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::local::console::body::{Micros, milliseconds};

/// How many bytes of a log are kept from its beginning, and how many from its end.
const LOG_HEAD: usize = 192 << 10;
const LOG_TAIL: usize = 64 << 10;

/// Who wrote a line of the log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Writer {
    /// START, END, REPORT and the like.
    Lambda,
    /// lambda-local's own words on what happens.
    Note,
    Function,
}

/// The lines of a log: the first ones, and the last ones where they are many, since there stands what it came to.
#[derive(Debug, Default)]
pub(super) struct Lines {
    head: Vec<Line>,
    head_size: usize,
    tail: VecDeque<Line>,
    tail_size: usize,
    left_out: u64,
    /// The most that it has weighed so far.
    weight: usize,
}

#[derive(Debug)]
struct Line {
    at: Micros,
    writer: Writer,
    text: Box<[u8]>,
}

impl Line {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.text.len()
    }

    fn json(&self) -> Value {
        let writer = match self.writer {
            Writer::Lambda => "lambda",
            Writer::Note => "note",
            Writer::Function => "function",
        };
        json!([
            milliseconds(self.at),
            writer,
            String::from_utf8_lossy(&self.text)
        ])
    }
}

impl Lines {
    /// Takes a line; gives by how much heavier it is now.
    pub(super) fn take(&mut self, now: Micros, writer: Writer, text: &[u8]) -> usize {
        // One line alone must not be larger than all that there is room for.
        let text = &text[..text.len().min(LOG_TAIL / 2)];
        let line = Line {
            at: now,
            writer,
            text: text.into(),
        };
        let weight = line.weight();
        if self.tail.is_empty() && self.head_size + weight <= LOG_HEAD {
            self.head_size += weight;
            self.head.push(line);
        } else {
            self.tail_size += weight;
            self.tail.push_back(line);
            while self.tail_size > LOG_TAIL {
                let Some(oldest) = self.tail.pop_front() else {
                    break;
                };
                self.tail_size -= oldest.weight();
                self.left_out += 1;
            }
        }
        let before = self.weight;
        self.weight = before.max(self.head_size + self.tail_size);
        self.weight - before
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "lines": self.head.iter().map(Line::json).collect::<Vec<_>>(),
            "leftOut": self.left_out,
            "lastLines": self.tail.iter().map(Line::json).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_log_the_beginning_and_the_end_are_kept() {
        let mut lines = Lines::default();
        let mut weight = 0;
        for number in 0..100_000 {
            let line = format!("line {number}");
            weight += lines.take(number, Writer::Function, line.as_bytes());
        }
        lines.take(100_000, Writer::Lambda, b"REPORT");
        assert!(weight <= LOG_HEAD + LOG_TAIL, "{weight}");
        let json = lines.json();
        let [first, last] = ["lines", "lastLines"].map(|name| json[name].as_array().unwrap());
        assert_eq!(first[0], json!([0.0, "function", "line 0"]));
        assert_eq!(last.last(), Some(&json!([100.0, "lambda", "REPORT"])));
        let left_out = json["leftOut"].as_u64().unwrap();
        assert_eq!(first.len() + last.len() + left_out as usize, 100_001);
    }

    #[test]
    fn one_endless_line_leaves_room_for_others() {
        let mut lines = Lines::default();
        let long = vec![b'x'; 256 << 10];
        for _ in 0..20 {
            lines.take(0, Writer::Function, &long);
        }
        lines.take(0, Writer::Lambda, b"END");
        let json = lines.json();
        assert_eq!(
            json["lastLines"].as_array().unwrap().last().unwrap()[2],
            "END"
        );
        assert!(lines.head_size + lines.tail_size <= LOG_HEAD + LOG_TAIL);
    }
}
