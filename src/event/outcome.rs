//! What came of an event that is no HTTP request: what its script printed, what its handler returned, or why there is neither.
//!
//! A script's output goes through as it is. Where the script has returned a handler, or has failed, `php/functions.php` puts marks into
//! the output, each with a word behind it that says what follows:
//!
//! ```text
//! printed by the script MARK handler\n printed by the handler MARK result\n JSON MARK end\n printed later
//! printed by the script MARK error Function.Exception\n JSON MARK end\n printed later
//! ```
//!
//! An error can follow a result, when a shutdown function or a destructor fails.
//!
//! Marks and no headers, as a script may have sent its headers long before it fails. The first mark is missing where no headers were
//! sent yet: it would send them, and the handler's own would be a warning.

use memchr::memmem;
use serde::{Deserialize, Serialize};

use super::answer::{LIMIT, TooLarge};

/// How much a piece may have beyond [`LIMIT`] before it is cut: so rarely that cutting costs nothing.
const SLACK: usize = 65_536;

/// The output of one event's script, while it comes.
pub struct Output {
    mark: Vec<u8>,
    /// What stands between the marks; at least one.
    pieces: Vec<Piece>,
}

/// Up to [`LIMIT`] bytes and a little more are kept, as more cannot be sent.
#[derive(Default)]
struct Piece {
    bytes: Vec<u8>,
    /// How many bytes behind [`LIMIT`] were dropped.
    dropped: usize,
}

/// What the whole output means.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The document to post, or why there is none.
    pub document: Result<Vec<u8>, NoDocument>,
    /// Whether the document is what the script printed, so that its HTTP status counts.
    pub is_printed: bool,
    /// What was printed beside it: it belongs into the log.
    pub printed: Vec<Vec<u8>>,
}

/// Why there is no document.
#[derive(Debug, PartialEq, Eq)]
pub enum NoDocument {
    /// Lambda would not take it.
    TooLarge(TooLarge),
    /// The script's own failure.
    Error(ScriptError),
    /// The handler was called, and the request ended before it had returned.
    NoResult,
}

/// A failure as the script's side tells it: type of Lambda's header, and the body of `/error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    /// `Function.…` or `Runtime.…`.
    pub error_type: &'static str,
    /// An exception's class, or the same as `error_type`.
    pub thrown: Thrown,
    /// What `getPrevious()` gives, the last one first.
    pub previous: Vec<Thrown>,
}

/// One exception, or what comes near to one, with Lambda's names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Thrown {
    /// The class.
    #[serde(rename = "errorType")]
    pub class: String,
    /// As it was thrown.
    #[serde(rename = "errorMessage")]
    pub message: String,
    /// Where it was thrown, then the calls that led there.
    pub stack_trace: Vec<String>,
}

/// The types that a script's side can name.
const ERROR_TYPES: [&str; 5] = [
    "Function.Exception",
    "Function.FatalError",
    "Function.Exit",
    "Function.InvalidResult",
    "Runtime.InvalidEvent",
];

impl Output {
    /// Nothing yet. The mark has the invocation's id, which no output has by accident, a NUL before and a NUL behind it.
    pub fn new(request_id: &str) -> Output {
        Output {
            mark: format!("\0php-fpm-lambda {request_id}\0").into_bytes(),
            pieces: vec![Piece::default()],
        }
    }

    /// Adds what PHP has sent.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        let overlap = self.mark.len() - 1;
        loop {
            let piece = self.pieces.last_mut().expect("new() made one");
            let seen = piece.bytes.len();
            piece.bytes.extend_from_slice(rest);
            let from = seen.saturating_sub(overlap);
            let Some(found) = memmem::find(&piece.bytes[from..], &self.mark) else {
                return piece.cut(overlap);
            };
            let taken = from + found + self.mark.len() - seen;
            piece.bytes.truncate(from + found);
            rest = &rest[taken..];
            self.pieces.push(Piece::default());
        }
    }

    /// What it all means, now that PHP is done.
    pub fn finish(self) -> Outcome {
        let mut pieces = self.pieces.into_iter();
        let first = pieces.next().expect("new() made one");
        let mut document: Option<Result<_, NoDocument>> = None;
        let mut printed = vec![];
        let mut is_printed = true;
        for piece in pieces {
            is_printed = false;
            let line_end = memchr::memchr(b'\n', &piece.bytes).unwrap_or(piece.bytes.len());
            let word = String::from_utf8_lossy(&piece.bytes[..line_end]).into_owned();
            let content = piece.behind(line_end + 1);
            match word.split_once(' ') {
                None if word == "result" => {
                    document.get_or_insert(content.document());
                }
                Some(("error", error_type)) => {
                    // one behind a result counts, one behind another follows from it
                    if !matches!(document, Some(Err(NoDocument::Error(_)))) {
                        let error = ScriptError::read(error_type, &content.bytes);
                        document = Some(Err(NoDocument::Error(error)));
                    }
                }
                _ => printed.push(content.text()),
            }
        }
        let document = match is_printed {
            true => first.document(),
            false => {
                printed.insert(0, first.text());
                document.unwrap_or(Err(NoDocument::NoResult))
            }
        };
        printed.retain(|text| !text.is_empty());
        Outcome {
            document,
            is_printed,
            printed,
        }
    }
}

impl Piece {
    /// Keeps the last `overlap` bytes: a mark may have begun in them.
    fn cut(&mut self, overlap: usize) {
        if self.bytes.len() > LIMIT + overlap + SLACK {
            let end = self.bytes.len() - overlap;
            self.dropped += end - LIMIT;
            self.bytes.drain(LIMIT..end);
        }
    }

    fn behind(mut self, start: usize) -> Piece {
        self.bytes.drain(..start.min(self.bytes.len()));
        self
    }

    fn document(self) -> Result<Vec<u8>, NoDocument> {
        match self.bytes.len() + self.dropped {
            size if size > LIMIT => Err(NoDocument::TooLarge(TooLarge { size, limit: LIMIT })),
            _ => Ok(self.bytes),
        }
    }

    /// For the log.
    fn text(mut self) -> Vec<u8> {
        let more = self.dropped + self.bytes.len().saturating_sub(LIMIT);
        if more > 0 {
            self.bytes.truncate(LIMIT);
            let more = format!("\n[{more} bytes more]");
            self.bytes.extend_from_slice(more.as_bytes());
        }
        self.bytes
    }
}

impl ScriptError {
    fn read(error_type: &str, json: &[u8]) -> ScriptError {
        #[derive(Deserialize)]
        struct Json {
            #[serde(flatten)]
            thrown: Thrown,
            #[serde(default)]
            previous: Vec<Thrown>,
        }
        let known = ERROR_TYPES.into_iter().find(|known| *known == error_type);
        let error_type = known.unwrap_or("Function.Exception");
        match serde_json::from_slice(json) {
            Ok(Json { thrown, previous }) => ScriptError {
                error_type,
                thrown,
                previous,
            },
            // too long for Lambda, or memory was too short to write it
            Err(_) => ScriptError {
                error_type,
                thrown: Thrown {
                    class: error_type.to_owned(),
                    message: "The script failed, and the error could not be told; PHP's own log lines may say more."
                        .to_owned(),
                    stack_trace: vec![],
                },
                previous: vec![],
            },
        }
    }

    /// The body of `/error`.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Json<'e> {
            #[serde(flatten)]
            thrown: &'e Thrown,
            #[serde(skip_serializing_if = "<[Thrown]>::is_empty")]
            previous: &'e [Thrown],
        }
        let json = Json {
            thrown: &self.thrown,
            previous: &self.previous,
        };
        serde_json::to_vec(&json).expect("strings always have a JSON form")
    }
}

/// For the log: the message, the stack trace and the previous ones, each on lines of its own.
impl std::fmt::Display for ScriptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.thrown.class != self.error_type {
            write!(f, "{}: ", self.thrown.class)?;
        }
        f.write_str(&self.thrown.message)?;
        let trace = |f: &mut std::fmt::Formatter<'_>, thrown: &Thrown| {
            let mut lines = thrown.stack_trace.iter();
            lines.try_for_each(|line| write!(f, "\n    {line}"))
        };
        trace(f, &self.thrown)?;
        for previous in &self.previous {
            write!(f, "\nprevious: {}: {}", previous.class, previous.message)?;
            trace(f, previous)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: &str = "\0php-fpm-lambda id-1\0";

    fn outcome(output: &str) -> Outcome {
        let mut read = Output::new("id-1");
        read.push(output.replace("MARK", MARK).as_bytes());
        read.finish()
    }

    fn printed(outcome: &Outcome) -> Vec<&str> {
        let texts = outcome.printed.iter();
        texts
            .map(|text| std::str::from_utf8(text).unwrap())
            .collect()
    }

    fn error(outcome: Outcome) -> ScriptError {
        match outcome.document {
            Err(NoDocument::Error(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_printed_without_a_mark_is_the_document() {
        for text in [
            "",
            "null",
            "\0php-fpm-lambda id-2\0result\n1",
            "php-fpm-lambda id-1",
            "{\"a\":\u{e9}}",
        ] {
            let outcome = outcome(text);
            assert_eq!(outcome.document, Ok(text.as_bytes().to_vec()));
            assert!(outcome.is_printed && outcome.printed.is_empty(), "{text}");
        }
    }

    #[test]
    fn a_result_is_the_document_and_the_rest_is_for_the_log() {
        let outcome =
            outcome("beforeMARKhandler\nwithinMARKresult\n{\"a\":\"x\\ny\"}MARKend\nbehind\n");
        assert_eq!(outcome.document, Ok(b"{\"a\":\"x\\ny\"}".to_vec()));
        assert_eq!(printed(&outcome), ["before", "within", "behind\n"]);
        assert!(!outcome.is_printed);
    }

    #[test]
    fn an_error_has_type_class_message_trace_and_previous_ones() {
        let json = r#"{"errorType":"App\\Broken","errorMessage":"no ☂","stackTrace":["/a.php(1)","{main}"],
            "previous":[{"errorType":"Error","errorMessage":"first","stackTrace":["/b.php(2)"]}]}"#;
        let outcome = outcome(&format!(
            "lostMARKerror Function.Exception\n{json}MARKend\n"
        ));
        assert_eq!(printed(&outcome), ["lost"]);
        let error = error(outcome);
        assert_eq!(error.error_type, "Function.Exception");
        let same: serde_json::Value = serde_json::from_slice(&error.to_json()).unwrap();
        assert_eq!(
            same,
            serde_json::from_str::<serde_json::Value>(json).unwrap()
        );
        assert_eq!(
            error.to_string(),
            "App\\Broken: no ☂\n    /a.php(1)\n    {main}\nprevious: Error: first\n    /b.php(2)"
        );
    }

    #[test]
    fn the_class_is_not_said_twice_and_no_previous_one_is_no_member() {
        let error = error(outcome(
            r#"MARKerror Function.Exit
{"errorType":"Function.Exit","errorMessage":"ended","stackTrace":[]}MARKend
"#,
        ));
        assert_eq!(error.to_string(), "ended");
        let json = String::from_utf8(error.to_json()).unwrap();
        assert_eq!(
            json,
            r#"{"errorType":"Function.Exit","errorMessage":"ended","stackTrace":[]}"#
        );
    }

    #[test]
    fn an_error_takes_the_place_of_a_result_and_the_first_of_two_counts() {
        let failed = |class: &str| {
            let json = format!(r#"{{"errorType":"{class}","errorMessage":"","stackTrace":[]}}"#);
            format!("MARKerror Function.Exception\n{json}MARKend\n")
        };
        let result = "MARKresult\n1MARKend\n".to_owned();
        for output in [
            result.clone() + &failed("First"),
            result.clone() + &failed("First") + &failed("Second"),
            failed("First") + &failed("Second") + &result,
        ] {
            assert_eq!(error(outcome(&output)).thrown.class, "First", "{output}");
        }
        assert_eq!(
            outcome(&(result.clone() + &result)).document,
            Ok(b"1".to_vec())
        );
    }

    #[test]
    fn a_handler_without_a_result_and_an_error_that_cannot_be_read_are_failures() {
        assert_eq!(
            outcome("aMARKhandler\nb").document,
            Err(NoDocument::NoResult)
        );
        for cut in [
            "MARKerror Function.FatalError\n{\"err",
            "MARKerror Function.FatalError",
        ] {
            let error = error(outcome(cut));
            assert_eq!(error.error_type, "Function.FatalError", "{cut}");
        }
        let unknown = error(outcome("MARKerror no type\r\n: at all\n{}"));
        assert_eq!(unknown.error_type, "Function.Exception");
    }

    #[test]
    fn cut_at_each_byte_the_outcome_is_the_same() {
        let output = "beforeMARKhandler\nwithinMARKresult\n{}MARKend\nbehind".replace("MARK", MARK);
        let whole = outcome(&output);
        for cut in 0..=output.len() {
            let mut read = Output::new("id-1");
            read.push(&output.as_bytes()[..cut]);
            read.push(&output.as_bytes()[cut..]);
            assert_eq!(read.finish(), whole, "{cut}");
        }
        let mut read = Output::new("id-1");
        output.bytes().for_each(|byte| read.push(&[byte]));
        assert_eq!(read.finish(), whole);
    }

    #[test]
    fn what_is_too_large_is_counted_and_not_kept() {
        for size in [LIMIT, LIMIT + 1, LIMIT + 2 * SLACK, 5 * LIMIT] {
            let mut read = Output::new("id-1");
            let piece = [b'x'; 10_000];
            let mut left = size;
            while left > 0 {
                read.push(&piece[..left.min(piece.len())]);
                left = left.saturating_sub(piece.len());
            }
            assert!(read.pieces[0].bytes.capacity() < 3 * LIMIT);
            let document = read.finish().document;
            match size {
                LIMIT => assert_eq!(document.unwrap().len(), LIMIT),
                _ => assert_eq!(
                    document,
                    Err(NoDocument::TooLarge(TooLarge { size, limit: LIMIT }))
                ),
            }
        }
    }

    #[test]
    fn behind_what_is_too_large_a_result_is_found() {
        let mut read = Output::new("id-1");
        read.push(&vec![b'x'; 2 * LIMIT]);
        let result = format!("{MARK}handler\n{MARK}result\n7{MARK}end\n");
        result.bytes().for_each(|byte| read.push(&[byte]));
        let outcome = read.finish();
        assert_eq!(outcome.document, Ok(b"7".to_vec()));
        let log = String::from_utf8(outcome.printed[0].clone()).unwrap();
        assert!(
            log.ends_with(&format!("x\n[{LIMIT} bytes more]")),
            "{}",
            &log[LIMIT - 1..]
        );
    }
}
