//! FastCGI records as bytes (FastCGI 1.0 specification, sections 3 to 5): no sockets here.

/// The longest content of a record that php-fpm takes, in bytes; a multiple of 8, so that it needs no padding.
pub const MAX_CONTENT: usize = 0xfff8;

/// The id that [`encode_request`] gives its records; [`number`] gives them another.
pub const FIRST_REQUEST_ID: u16 = 1;

const HEADER_LEN: usize = 8;
const VERSION: u8 = 1;
const BEGIN_REQUEST: u8 = 1;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;
const RESPONDER: u8 = 1;
const KEEP_CONN: u8 = 1;
const REQUEST_COMPLETE: u8 = 0;

fn header(kind: u8, request_id: u16, content_len: usize) -> [u8; HEADER_LEN] {
    let [id_high, id_low] = request_id.to_be_bytes();
    let [len_high, len_low] = u16::try_from(content_len)
        .expect("callers stay below MAX_CONTENT")
        .to_be_bytes();
    [VERSION, kind, id_high, id_low, len_high, len_low, 0, 0]
}

/// The header of a STDIN record; the length 0 ends the body.
pub fn stdin_header(request_id: u16, content_len: usize) -> [u8; HEADER_LEN] {
    header(STDIN, request_id, content_len)
}

/// Makes the records of [`encode_request`] those of a request with this id.
pub fn number(records: &mut [u8], request_id: u16) {
    let mut rest = records;
    while let Some((header, behind)) = rest.split_first_chunk_mut::<HEADER_LEN>() {
        [header[2], header[3]] = request_id.to_be_bytes();
        let content_len = usize::from(u16::from_be_bytes([header[4], header[5]]));
        rest = &mut behind[content_len..];
    }
}

/// One parameter is too long for a record, which php-fpm cannot take.
#[derive(Debug, PartialEq, Eq)]
pub struct ParamTooLong {
    /// The parameter's name.
    pub name: String,
    /// Bytes of its name and value.
    pub len: usize,
}

/// BEGIN_REQUEST and all PARAMS, up to where the body begins. The connection is to be kept.
///
/// php-fpm drops the connection when a name-value pair is cut in two, so a record ends where the next pair does not fit.
pub fn encode_request<'p>(
    params: impl Iterator<Item = (&'p [u8], &'p [u8])>,
) -> Result<Vec<u8>, ParamTooLong> {
    let mut bytes = Vec::with_capacity(4096);
    bytes.extend(header(BEGIN_REQUEST, FIRST_REQUEST_ID, 8));
    bytes.extend([0, RESPONDER, KEEP_CONN, 0, 0, 0, 0, 0]);
    let mut start = begin_params(&mut bytes);
    for (name, value) in params {
        let len = length_len(name.len()) + length_len(value.len()) + name.len() + value.len();
        if len > MAX_CONTENT {
            return Err(ParamTooLong {
                name: String::from_utf8_lossy(name).into_owned(),
                len,
            });
        }
        if bytes.len() - start + len > MAX_CONTENT {
            end_params(&mut bytes, start);
            start = begin_params(&mut bytes);
        }
        push_length(name.len(), &mut bytes);
        push_length(value.len(), &mut bytes);
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(value);
    }
    if bytes.len() > start {
        end_params(&mut bytes, start);
        begin_params(&mut bytes);
    }
    Ok(bytes)
}

/// Returns where the record's content begins; its length is still 0, which is how the stream of parameters ends.
fn begin_params(bytes: &mut Vec<u8>) -> usize {
    bytes.extend(header(PARAMS, FIRST_REQUEST_ID, 0));
    bytes.len()
}

fn end_params(bytes: &mut [u8], start: usize) {
    let content_len = bytes.len() - start;
    bytes[start - HEADER_LEN..start].copy_from_slice(&header(
        PARAMS,
        FIRST_REQUEST_ID,
        content_len,
    ));
}

fn length_len(len: usize) -> usize {
    if len < 0x80 { 1 } else { 4 }
}

fn push_length(len: usize, bytes: &mut Vec<u8>) {
    if len < 0x80 {
        bytes.push(len as u8);
    } else {
        bytes.extend((len as u32 | 0x8000_0000).to_be_bytes());
    }
}

/// What php-fpm sends.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'b> {
    /// A piece of the output.
    Stdout(&'b [u8]),
    /// A piece of an error message.
    Stderr(&'b [u8]),
    /// The request is complete.
    End,
}

/// php-fpm broke the protocol: the connection cannot be used any more.
#[derive(Debug, PartialEq, Eq)]
pub struct ProtocolError(pub &'static str);

/// Takes the bytes of a connection apart. Pieces of a record are handed out as they come, so that a record need not fit anywhere.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The request that is answered.
    request_id: u16,
    header: [u8; HEADER_LEN],
    header_len: usize,
    /// Of the current record, what has not come yet.
    content_left: usize,
    padding_left: usize,
    /// The content of an END_REQUEST.
    end: [u8; 8],
    end_len: usize,
}

impl Decoder {
    /// From here on a request with this id is answered, and records of any other are an error: a process that a script has
    /// left behind may have the connection.
    pub fn begin(&mut self, request_id: u16) {
        self.request_id = request_id;
    }

    /// Takes bytes from the beginning of `input` and says how many. `None`: all were taken, more are needed.
    pub fn decode<'b>(
        &mut self,
        input: &'b [u8],
    ) -> Result<(usize, Option<Part<'b>>), ProtocolError> {
        let mut taken = 0;
        loop {
            let rest = &input[taken..];
            if self.header_len < HEADER_LEN {
                let len = rest.len().min(HEADER_LEN - self.header_len);
                self.header[self.header_len..self.header_len + len].copy_from_slice(&rest[..len]);
                self.header_len += len;
                taken += len;
                if self.header_len < HEADER_LEN {
                    return Ok((taken, None));
                }
                self.begin_record()?;
                continue;
            }
            if self.content_left > 0 {
                let len = rest.len().min(self.content_left);
                if len == 0 {
                    return Ok((taken, None));
                }
                self.content_left -= len;
                taken += len;
                let content = &rest[..len];
                match self.header[1] {
                    STDOUT => return Ok((taken, Some(Part::Stdout(content)))),
                    STDERR => return Ok((taken, Some(Part::Stderr(content)))),
                    END_REQUEST => {
                        self.end[self.end_len..self.end_len + len].copy_from_slice(content);
                        self.end_len += len;
                    }
                    _ => {}
                }
                continue;
            }
            if self.padding_left > 0 {
                let len = rest.len().min(self.padding_left);
                if len == 0 {
                    return Ok((taken, None));
                }
                self.padding_left -= len;
                taken += len;
                continue;
            }
            self.header_len = 0;
            if self.header[1] == END_REQUEST {
                self.end_len = 0;
                return match self.end[4] {
                    REQUEST_COMPLETE => Ok((taken, Some(Part::End))),
                    _ => Err(ProtocolError(
                        "php-fpm refused the request (it is overloaded or does not know the role)",
                    )),
                };
            }
        }
    }

    fn begin_record(&mut self) -> Result<(), ProtocolError> {
        let [
            version,
            kind,
            id_high,
            id_low,
            len_high,
            len_low,
            padding,
            _,
        ] = self.header;
        self.content_left = usize::from(u16::from_be_bytes([len_high, len_low]));
        self.padding_left = usize::from(padding);
        if version != VERSION {
            return Err(ProtocolError("a record of an unknown version"));
        }
        if u16::from_be_bytes([id_high, id_low]) != self.request_id {
            return Err(ProtocolError("a record of another request"));
        }
        if kind == END_REQUEST && self.content_left != self.end.len() {
            return Err(ProtocolError("an END_REQUEST record of the wrong length"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records as php-fpm writes them, padded to a multiple of 8.
    fn record(kind: u8, content: &[u8]) -> Vec<u8> {
        let padding = content.len().next_multiple_of(8) - content.len();
        let mut bytes = header(kind, FIRST_REQUEST_ID, content.len()).to_vec();
        bytes[6] = padding as u8;
        bytes.extend_from_slice(content);
        bytes.extend(std::iter::repeat_n(0xee, padding));
        bytes
    }

    /// Output, errors and how many requests ended.
    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>, usize), ProtocolError> {
        let mut decoder = Decoder::default();
        decoder.begin(FIRST_REQUEST_ID);
        let (mut output, mut errors, mut ends) = (Vec::new(), Vec::new(), 0);
        for piece in pieces {
            let mut rest = *piece;
            loop {
                let (taken, part) = decoder.decode(rest)?;
                rest = &rest[taken..];
                match part {
                    Some(Part::Stdout(bytes)) => output.extend_from_slice(bytes),
                    Some(Part::Stderr(bytes)) => errors.extend_from_slice(bytes),
                    Some(Part::End) => ends += 1,
                    None => break assert!(rest.is_empty()),
                }
            }
        }
        Ok((output, errors, ends))
    }

    fn answer() -> Vec<u8> {
        let end = [0, 0, 0, 0, REQUEST_COMPLETE, 0, 0, 0];
        [
            record(STDOUT, b"X: y\r\n\r\nhello"),
            record(STDERR, b"oh"),
            record(99, b"of a later version"),
            record(STDOUT, b" world"),
            record(STDOUT, b""),
            record(END_REQUEST, &end),
        ]
        .concat()
    }

    #[test]
    fn cut_at_each_byte_and_joined_with_the_next_the_result_is_the_same() {
        let answer = answer();
        let expected = (b"X: y\r\n\r\nhello world".to_vec(), b"oh".to_vec(), 1);
        for cut in 0..=answer.len() {
            assert_eq!(
                decode(&[&answer[..cut], &answer[cut..]]).unwrap(),
                expected,
                "{cut}"
            );
        }
        let bytes: Vec<&[u8]> = answer.chunks(1).collect();
        assert_eq!(decode(&bytes).unwrap(), expected);
        let twice = [answer.clone(), answer].concat();
        assert_eq!(decode(&[&twice]).unwrap().2, 2);
    }

    #[test]
    fn broken_records_are_errors() {
        let broken: [&[u8]; 5] = [
            &[2, STDOUT, 0, 1, 0, 0, 0, 0],
            &[1, STDOUT, 0, 2, 0, 0, 0, 0],
            &record(END_REQUEST, &[0; 4]),
            &record(END_REQUEST, &[0; 16]),
            &record(END_REQUEST, &[0, 0, 0, 0, 2, 0, 0, 0]),
        ];
        for bytes in broken {
            assert!(decode(&[bytes]).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn random_bytes_do_not_panic() {
        let mut state = 1u64;
        for _ in 0..2_000 {
            let bytes: Vec<u8> = (0..200)
                .map(|index| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    // mostly plausible headers, so that the inner states are reached
                    match (index % 16, (state >> 33) as u8) {
                        (0, byte) if byte > 8 => VERSION,
                        (1, byte) => byte % 12,
                        (2, _) => 0,
                        (3, byte) if byte > 8 => 1,
                        (_, byte) => byte,
                    }
                })
                .collect();
            let _ = decode(&[&bytes]);
        }
    }

    /// Takes PARAMS apart by the specification, each record for itself as php-fpm does.
    fn pairs(mut bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut pairs = Vec::new();
        while !bytes.is_empty() {
            let (kind, len) = (
                bytes[1],
                usize::from(u16::from_be_bytes([bytes[4], bytes[5]])),
            );
            let mut content = &bytes[HEADER_LEN..HEADER_LEN + len];
            bytes = &bytes[HEADER_LEN + len..];
            if kind != PARAMS {
                continue;
            }
            assert_eq!(
                len == 0,
                bytes.is_empty(),
                "an empty record ends the parameters"
            );
            while !content.is_empty() {
                let mut length = || {
                    let short = usize::from(content[0]);
                    let (len, size) = match short < 0x80 {
                        true => (short, 1),
                        false => (
                            (u32::from_be_bytes(content[..4].try_into().unwrap()) & 0x7fff_ffff)
                                as usize,
                            4,
                        ),
                    };
                    content = &content[size..];
                    len
                };
                let (name, value) = (length(), length());
                pairs.push((
                    content[..name].to_vec(),
                    content[name..name + value].to_vec(),
                ));
                content = &content[name + value..];
            }
        }
        pairs
    }

    #[test]
    fn no_pair_is_cut_in_two() {
        for size in [0, 1, 127, 128, 32_000, 65_000, MAX_CONTENT - 6] {
            let params: Vec<(Vec<u8>, Vec<u8>)> = (0..9)
                .map(|index| {
                    (
                        vec![b'A' + index],
                        vec![index; size.saturating_sub(usize::from(index))],
                    )
                })
                .collect();
            let bytes =
                encode_request(params.iter().map(|(name, value)| (&name[..], &value[..]))).unwrap();
            assert_eq!(pairs(&bytes), params, "{size}");
        }
        assert_eq!(pairs(&encode_request(std::iter::empty()).unwrap()), []);
    }

    #[test]
    fn all_records_of_a_request_have_its_number() {
        let values = [vec![b'x'; 40_000], vec![b'y'; 40_000], Vec::new()];
        let params = values.iter().map(|value| (&b"A"[..], &value[..]));
        let mut bytes = encode_request(params.clone()).unwrap();
        let before = pairs(&bytes);
        number(&mut bytes, 0x1234);
        assert_eq!(pairs(&bytes), before);
        let mut rest = &bytes[..];
        let mut records = 0;
        while !rest.is_empty() {
            assert_eq!(rest[2..4], [0x12, 0x34]);
            rest = &rest[HEADER_LEN + usize::from(u16::from_be_bytes([rest[4], rest[5]]))..];
            records += 1;
        }
        assert_eq!(
            records, 4,
            "the beginning, two of parameters, and their end"
        );
    }

    #[test]
    fn a_parameter_that_fits_in_no_record_is_named() {
        let value = vec![b'x'; MAX_CONTENT - 5];
        let error = encode_request([(&b"A"[..], &value[..])].into_iter()).unwrap_err();
        assert_eq!(
            error,
            ParamTooLong {
                name: "A".into(),
                len: MAX_CONTENT + 1
            }
        );
    }
}
