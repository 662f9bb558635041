//! The header block that begins PHP's output (RFC 3875 6.2 and 6.3).

/// Status and headers of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// From `Status`; without one 200, or 302 with a `Location`.
    pub status: u16,
    /// The words behind the status code, when PHP gave any.
    reason: Option<String>,
    /// In PHP's order, without `Status`, `Connection` and `Transfer-Encoding`.
    pub headers: Vec<Header>,
}

/// One header line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// As PHP spells it.
    pub name: String,
    /// Without the white space around it; text as UTF-8, bytes that are none as ISO 8859-1, so that each can be told again.
    pub value: String,
}

impl Header {
    /// Compares the name in any case of letters.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// PHP's output does not begin with a header block; the text says what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidHead(pub String);

/// Takes PHP's output piece by piece until the header block is complete.
#[derive(Debug, Default)]
pub struct Parser {
    block: Vec<u8>,
    /// Everything before it was searched for the block's end.
    searched: usize,
}

impl Parser {
    /// Adds a piece. `Ok(None)`: more is needed. Else the head, and where in `piece` the body begins.
    pub fn push(&mut self, piece: &[u8]) -> Result<Option<(Head, usize)>, InvalidHead> {
        let before = self.block.len();
        self.block.extend_from_slice(piece);
        let Some((head_len, body_start)) = self.end() else {
            return Ok(None);
        };
        let head = parse(&self.block[..head_len])?;
        // the block's last byte came with this piece, or the end would have been found earlier
        Ok(Some((head, body_start - before)))
    }

    /// Whether nothing was taken so far.
    pub fn is_empty(&self) -> bool {
        self.block.is_empty()
    }

    /// The end of the header lines and the start of the body: an empty line, ended by `\n` or `\r\n`.
    fn end(&mut self) -> Option<(usize, usize)> {
        while let Some(found) = self.block[self.searched..]
            .iter()
            .position(|&byte| byte == b'\n')
        {
            let newline = self.searched + found;
            let line_start = self.block[..newline]
                .iter()
                .rposition(|&byte| byte == b'\n')
                .map_or(0, |at| at + 1);
            self.searched = newline + 1;
            if matches!(&self.block[line_start..newline], b"" | b"\r") {
                return Some((line_start, newline + 1));
            }
        }
        // the unfinished line has no newline: nothing of it needs to be searched again
        self.searched = self.block.len();
        None
    }
}

fn parse(block: &[u8]) -> Result<Head, InvalidHead> {
    let mut head = Head::new(200);
    let mut has_status = false;
    for line in block.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let (name, value) = split(line).ok_or_else(|| InvalidHead(shown(line)))?;
        if name.eq_ignore_ascii_case("status") {
            (head.status, head.reason) = status(value).ok_or_else(|| InvalidHead(shown(line)))?;
            has_status = true;
        } else if !["connection", "transfer-encoding"]
            .iter()
            .any(|hop| name.eq_ignore_ascii_case(hop))
        {
            head.headers.push(Header {
                name: name.to_owned(),
                value: telling(value),
            });
        }
    }
    if !has_status && head.headers.iter().any(|header| header.is("location")) {
        head.status = 302;
    }
    Ok(head)
}

/// RFC 9110 5.1: a name is a token.
fn split(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = std::str::from_utf8(&line[..colon]).ok()?.trim_end();
    let is_token = !name.is_empty() && name.bytes().all(is_token_byte);
    is_token.then(|| (name, line[colon + 1..].trim_ascii()))
}

/// RFC 9110 5.6.2.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn status(value: &[u8]) -> Option<(u16, Option<String>)> {
    let text = String::from_utf8_lossy(value);
    let (code, reason) = text.split_once(' ').unwrap_or((&text, ""));
    let code = code
        .parse()
        .ok()
        .filter(|code| (100..=999).contains(code) && text.as_bytes()[0] != b'+')?;
    let reason = reason.trim();
    Some((code, (!reason.is_empty()).then(|| reason.to_owned())))
}

fn telling(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().map(|&byte| char::from(byte)).collect(),
    }
}

fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned()
}

impl Head {
    /// An answer of the runtime's own.
    pub fn new(status: u16) -> Head {
        Head {
            status,
            reason: None,
            headers: Vec::new(),
        }
    }

    /// Adds a header.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Head {
        self.headers.push(Header {
            name: name.to_owned(),
            value: value.into(),
        });
        self
    }

    /// The words for the status code: PHP's own, else those of the IANA registry, else `Unknown`.
    pub fn reason(&self) -> &str {
        if let Some(reason) = &self.reason {
            return reason;
        }
        let code = reqwest::StatusCode::from_u16(self.status).ok();
        code.and_then(|code| code.canonical_reason())
            .unwrap_or("Unknown")
    }

    /// Whether an answer with this status has no body (RFC 9110 6.4.1).
    pub fn is_bodiless(&self) -> bool {
        matches!(self.status, 100..=199 | 204 | 304)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head, and the output's bytes behind it.
    fn read(output: &[u8]) -> Result<Option<(Head, Vec<u8>)>, InvalidHead> {
        let found = Parser::default().push(output)?;
        Ok(found.map(|(head, body)| (head, output[body..].to_vec())))
    }

    fn head(output: &str) -> Head {
        read(output.as_bytes()).unwrap().unwrap().0
    }

    #[test]
    fn the_status() {
        for (block, status, reason) in [
            ("A: b\r\n\r\n", 200, "OK"),
            ("Status: 404 Not Found\r\n\r\n", 404, "Not Found"),
            ("Status: 202\r\n\r\n", 202, "Accepted"),
            ("status:999 Very Own\n\n", 999, "Very Own"),
            ("Status: 799\n\n", 799, "Unknown"),
            ("Location: /x\r\n\r\n", 302, "Found"),
            (
                "Status: 201 Created\r\nLocation: /x\r\n\r\n",
                201,
                "Created",
            ),
            ("Location: /x\r\nStatus: 303\r\n\r\n", 303, "See Other"),
            ("\r\n", 200, "OK"),
            ("\n", 200, "OK"),
        ] {
            let head = head(block);
            assert_eq!((head.status, head.reason()), (status, reason), "{block:?}");
        }
    }

    #[test]
    fn headers_keep_order_spelling_and_bytes() {
        let block = b"X-A:  1 \r\nx-a: 2\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nEmpty:\r\nZero: 0\r\n\
            Utf8: \xc3\xa9\r\nLatin: \xe9\r\n\r\nbody\r\n\r\n";
        let (head, body) = read(block).unwrap().unwrap();
        let headers: Vec<(&str, &str)> = head
            .headers
            .iter()
            .map(|h| (h.name.as_str(), h.value.as_str()))
            .collect();
        assert_eq!(
            headers,
            [
                ("X-A", "1"),
                ("x-a", "2"),
                ("Empty", ""),
                ("Zero", "0"),
                ("Utf8", "é"),
                ("Latin", "é")
            ]
        );
        assert_eq!(body, b"body\r\n\r\n");
    }

    #[test]
    fn what_is_no_head_is_an_error() {
        for block in [
            "no colon\r\n\r\n",
            ": empty\r\n\r\n",
            "a b: c\r\n\r\n",
            "Status: abc\r\n\r\n",
            "Status: 99\n\n",
            "Status: +200\n\n",
            "Status:\n\n",
            "\u{e9}: x\n\n",
        ] {
            assert!(read(block.as_bytes()).is_err(), "{block:?}");
        }
    }

    #[test]
    fn cut_at_each_byte_the_result_is_the_same() {
        let output = b"Status: 404 Not Found\r\nX-A: b\nX-C: \xff\r\n\r\n\r\nbody\n\n";
        let whole = read(output).unwrap().unwrap();
        for cut in 0..=output.len() {
            let mut parser = Parser::default();
            let (head, body) = match parser.push(&output[..cut]).unwrap() {
                Some((head, body)) => (head, body),
                None => {
                    let (head, body) = parser.push(&output[cut..]).unwrap().unwrap();
                    (head, cut + body)
                }
            };
            assert_eq!((head, output[body..].to_vec()), whole, "{cut}");
        }
        let mut parser = Parser::default();
        let bytewise = output
            .iter()
            .position(|byte| parser.push(&[*byte]).unwrap().is_some())
            .unwrap();
        assert_eq!(output[bytewise + 1..], whole.1);
    }

    #[test]
    fn random_bytes_do_not_panic() {
        let alphabet = b"Status: 20\r\n\r\n\xff\0Location:x ";
        let mut state = 7u64;
        for _ in 0..5_000 {
            let mut parser = Parser::default();
            for _ in 0..4 {
                let piece: Vec<u8> = (0..12)
                    .map(|_| {
                        state = state
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1);
                        alphabet[(state >> 33) as usize % alphabet.len()]
                    })
                    .collect();
                match parser.push(&piece) {
                    Ok(None) => {}
                    Ok(Some((head, body))) => {
                        assert!((100..=999).contains(&head.status) && body <= piece.len());
                        break;
                    }
                    Err(_) => break,
                }
            }
        }
    }

    #[test]
    fn without_an_empty_line_more_is_needed() {
        assert_eq!(read(b"A: b\r\nC: d\r\n").unwrap(), None);
        assert_eq!(read(b"").unwrap(), None);
    }
}
