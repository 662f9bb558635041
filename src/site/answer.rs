//! What is sent for a file, and for what is none: a head, and a body that is read piece by piece.

use std::fs::File;
use std::hash::{BuildHasher as _, DefaultHasher, Hasher as _, RandomState};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::folder::{Entry, Found};
use super::{Site, Static, StaticFile};
use crate::cgi::head::Head;
use crate::event::http_request::HttpRequest;
use crate::http::accept_encoding::{Coding, choose};
use crate::http::conditional::{Validators, Verdict, judge};
use crate::http::media_type;
use crate::http::range::{Selection, select};

/// How much is read at once.
pub const PIECE: usize = 64 * 1024;

/// A file up to this size has an entity tag of its contents: reading them twice is little beside encoding and sending them.
const HASHED: u64 = 8 << 20;

/// The times that tools write in the place of real ones, so that the same files make the same archive: 0, and the beginning
/// of zip's calendar in any zone.
const LAST_MADE_UP_TIME: Duration = Duration::from_secs(315_532_800 + 2 * 86_400);

/// Every static resource takes these.
const METHODS: &str = "GET, HEAD, OPTIONS";

const TEXT: &str = "text/plain; charset=utf-8";

/// An answer that no script gives.
pub struct StaticAnswer {
    /// Status and headers.
    pub head: Head,
    /// What is sent, unless the request is HEAD or the status has no body.
    pub body: Body,
    /// What the function's log should say of it.
    pub complaint: Option<String>,
}

/// A body that is read when it is sent.
#[derive(Default)]
pub struct Body {
    file: Option<File>,
    /// In the order of sending, the last one first.
    parts: Vec<Part>,
}

enum Part {
    Bytes(Vec<u8>),
    OfFile(Range<u64>),
}

impl Site {
    /// The answer to a request whose path is no script's; `limit`, in bytes of the document that is posted, where it is sent
    /// whole. An error is no fault of the request.
    pub fn answer(
        &self,
        target: Static,
        request: &HttpRequest<'_>,
        limit: Option<usize>,
    ) -> io::Result<StaticAnswer> {
        let file = match target {
            Static::NotFound => return Ok(said(Head::new(404), "Not found.\n")),
            Static::Redirect(location) => {
                // a form that is sent again stays a form
                let status = if is_get(request) { 301 } else { 308 };
                return Ok(said(Head::new(status).with("Location", location), ""));
            }
            Static::File(file) => file,
        };
        if !is_get(request) {
            let (status, text) = match &*request.method {
                b"OPTIONS" => (204, ""),
                _ => (405, "This is a file: it takes GET and HEAD.\n"),
            };
            return Ok(said(Head::new(status).with("Allow", METHODS), text));
        }
        let path = file.path.clone();
        let media_type = media_type::of(&file.path);
        let (varies, coding, found) = self.coded(file, request)?;
        let source = match found.open() {
            Ok(source) => source,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let complaint = format!(
                    "{path} cannot be read ({error}): give the files of the package mode 644, and its folders 755."
                );
                return Ok(StaticAnswer {
                    complaint: Some(complaint),
                    ..said(Head::new(403), "Forbidden.\n")
                });
            }
            Err(error) => return Err(error),
        };
        let representation = Representation {
            len: found.metadata.len(),
            validators: validators(&source, &found, coding)?,
            path,
            media_type,
            source,
            coding,
            varies,
            cache_control: self.cache_control.as_deref(),
        };
        Ok(representation.answer(request, limit))
    }

    /// Whether there are codings to choose from, the chosen one, and the file that has it.
    fn coded(
        &self,
        file: StaticFile,
        request: &HttpRequest<'_>,
    ) -> io::Result<(bool, Option<Coding>, Found)> {
        let mut available = Vec::new();
        for coding in Coding::ALL {
            let path = format!("{}{}", file.path, coding.suffix());
            if let Entry::File(found) = self.folder.look(&path)? {
                if !found.is_source {
                    available.push((coding, found));
                }
            }
        }
        let codings: Vec<Coding> = available.iter().map(|(coding, _)| *coding).collect();
        let chosen = choose(request, &codings);
        let coded = available
            .into_iter()
            .find(|(coding, _)| Some(*coding) == chosen);
        let found = coded.map_or(file.found, |(_, found)| found);
        Ok((!codings.is_empty(), chosen, found))
    }
}

/// One form of a file, and what its answers need.
struct Representation<'s> {
    path: String,
    source: File,
    len: u64,
    media_type: String,
    coding: Option<Coding>,
    /// Another request may get another coding.
    varies: bool,
    validators: Validators,
    cache_control: Option<&'s str>,
}

impl Representation<'_> {
    fn answer(self, request: &HttpRequest<'_>, limit: Option<usize>) -> StaticAnswer {
        match judge(request, &self.validators) {
            Verdict::NotModified => return said(self.validated(304), ""),
            Verdict::Failed => return said(Head::new(412), "It is another one by now.\n"),
            Verdict::Proceed => {}
        }
        if request.method.eq_ignore_ascii_case(b"HEAD") {
            return said(self.whole(), "");
        }
        let len = self.len;
        match (select(request, len, &self.validators), limit) {
            (Selection::Unsatisfiable, _) => {
                let range = format!("bytes */{len}");
                let head = Head::new(416).with("Content-Range", range);
                said(head, "It ends before this range.\n")
            }
            (Selection::Whole, Some(limit)) if len > limit as u64 => {
                too_large(&self.path, len, limit)
            }
            (Selection::Whole, _) => self.send(vec![0..len], None),
            (Selection::Parts(parts), limit) => {
                let parts = match limit {
                    Some(limit) => shortened(parts, limit),
                    None => parts,
                };
                let boundary = (parts.len() > 1).then(boundary);
                self.send(parts, boundary)
            }
        }
    }

    /// The head of an answer with these bytes and their length.
    fn send(self, parts: Vec<Range<u64>>, boundary: Option<String>) -> StaticAnswer {
        let range = |part: &Range<u64>| {
            let last = part.end.saturating_sub(1);
            format!("bytes {}-{last}/{}", part.start, self.len)
        };
        let (head, parts) = match (&parts[..], &boundary) {
            ([part], _) if *part == (0..self.len) => {
                (self.whole(), vec![Part::OfFile(part.clone())])
            }
            ([part], _) => {
                let head = self
                    .described(206, &self.media_type, part.end - part.start)
                    .with("Content-Range", range(part));
                (head, vec![Part::OfFile(part.clone())])
            }
            (several, boundary) => {
                // RFC 9110 14.6
                let boundary = boundary.as_deref().unwrap_or_default();
                let mut parts = Vec::new();
                for part in several {
                    let between = format!(
                        "\r\n--{boundary}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n",
                        self.media_type,
                        range(part)
                    );
                    parts.push(Part::Bytes(between.into_bytes()));
                    parts.push(Part::OfFile(part.clone()));
                }
                parts.push(Part::Bytes(format!("\r\n--{boundary}--\r\n").into_bytes()));
                let media_type = format!("multipart/byteranges; boundary={boundary}");
                let len = parts.iter().map(Part::len).sum();
                (self.described(206, &media_type, len), parts)
            }
        };
        StaticAnswer {
            head,
            body: Body {
                file: Some(self.source),
                parts: parts.into_iter().rev().collect(),
            },
            complaint: None,
        }
    }

    fn whole(&self) -> Head {
        self.described(200, &self.media_type, self.len)
    }

    fn described(&self, status: u16, media_type: &str, len: u64) -> Head {
        let head = self
            .validated(status)
            .with("Content-Type", media_type)
            .with("Content-Length", len.to_string())
            .with("Accept-Ranges", "bytes");
        match self.coding {
            Some(coding) => head.with("Content-Encoding", coding.name()),
            None => head,
        }
    }

    /// With what a cache keeps (RFC 9110 15.4.5).
    fn validated(&self, status: u16) -> Head {
        let last_modified = self.validators.last_modified.map(httpdate::fmt_http_date);
        let headers = [
            ("ETag", self.validators.etag.clone()),
            ("Last-Modified", last_modified),
            ("Cache-Control", self.cache_control.map(str::to_owned)),
            ("Vary", self.varies.then(|| "Accept-Encoding".to_owned())),
        ];
        headers
            .into_iter()
            .fold(Head::new(status), |head, (name, value)| match value {
                Some(value) => head.with(name, value),
                None => head,
            })
    }
}

/// The answer for a file of `len` bytes that does not fit into an answer that is sent whole.
pub fn too_large(path: &str, len: u64, limit: usize) -> StaticAnswer {
    let text = format!(
        "This file has {len} bytes, and an answer that is sent whole takes {limit} with its envelope. Stream it \
         (PHP_LAMBDA_INVOKE_MODE=response_stream), ask for parts of it (Range), or serve it from S3.\n"
    );
    StaticAnswer {
        complaint: Some(format!("{path}: {}", text.trim_end())),
        ..said(Head::new(413).with("Accept-Ranges", "bytes"), &text)
    }
}

fn is_get(request: &HttpRequest<'_>) -> bool {
    [&b"GET"[..], b"HEAD"]
        .iter()
        .any(|method| request.method.eq_ignore_ascii_case(method))
}

/// An answer of the runtime's own words.
fn said(head: Head, text: &str) -> StaticAnswer {
    let head = match text {
        "" => head,
        text => head
            .with("Content-Type", TEXT)
            .with("Content-Length", text.len().to_string()),
    };
    StaticAnswer {
        head,
        body: Body {
            file: None,
            parts: vec![Part::Bytes(text.as_bytes().to_vec())],
        },
        complaint: None,
    }
}

/// As much of the parts as fits; the client asks for the rest (RFC 9110 15.3.7 lets a server send less than was asked for).
fn shortened(parts: Vec<Range<u64>>, limit: usize) -> Vec<Range<u64>> {
    // base64 of so much, and some headers, fit for certain
    let limit = (limit.saturating_sub(16 * 1024) / 4 * 3) as u64;
    let total: u64 = parts.iter().map(|part| part.end - part.start).sum();
    match parts.first() {
        Some(first) if total > limit => {
            let end = first.end.min(first.start + limit);
            vec![first.start..end]
        }
        _ => parts,
    }
}

/// What a file's own bytes do not hold, as nobody could foresee it.
fn boundary() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// The tag is made of the contents, since their time says nothing in a deployed package: many tools set all times to the same
/// one. Of a large file it is made of its time where that is known.
fn validators(source: &File, found: &Found, coding: Option<Coding>) -> io::Result<Validators> {
    let len = found.metadata.len();
    let last_modified = known_time(found.metadata.modified()?, SystemTime::now());
    let state = match last_modified {
        _ if len <= HASHED => Some(hash(source)?),
        Some(modified) => modified
            .duration_since(UNIX_EPOCH)
            .ok()
            .map(|time| time.as_secs()),
        None => None,
    };
    let coding = coding.map_or("", |coding| coding.suffix());
    Ok(Validators {
        etag: state.map(|state| format!("\"{state:016x}-{len:x}{coding}\"")),
        last_modified,
    })
}

/// In whole seconds; `None` for a time that a tool has made up, and for one that is to come (RFC 9110 8.8.2.1).
fn known_time(modified: SystemTime, now: SystemTime) -> Option<SystemTime> {
    let since_epoch = modified.duration_since(UNIX_EPOCH).ok()?;
    let is_known = since_epoch > LAST_MADE_UP_TIME && modified <= now;
    is_known.then(|| UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs()))
}

/// The same in every sandbox: the hasher of the standard library has fixed keys.
fn hash(source: &File) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    let mut piece = vec![0; PIECE];
    let mut offset = 0;
    loop {
        // in whole pieces, since a hasher may tell one long write from two short ones
        let len = fill(source, offset, &mut piece)?;
        hasher.write(&piece[..len]);
        offset += len as u64;
        if len < PIECE {
            return Ok(hasher.finish());
        }
    }
}

fn fill(source: &File, offset: u64, piece: &mut [u8]) -> io::Result<usize> {
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

impl Body {
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
    fn len(&self) -> u64 {
        match self {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::OfFile(part) => part.end - part.start,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_say_something() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let now = at(1_700_000_000);
        for (seconds, is_known) in [
            (0, false),
            (1, false),
            // 1980-01-01 in Greenwich, and in the zones around it
            (315_532_800, false),
            (315_532_800 - 14 * 3600, false),
            (315_532_800 + 12 * 3600, false),
            (784_111_777, true),
            (1_700_000_000, true),
            (1_700_000_001, false),
            // what Terraform sets
            (2_493_072_000, false),
        ] {
            let expected = is_known.then(|| at(seconds));
            assert_eq!(known_time(at(seconds), now), expected, "{seconds}");
        }
        let precise = at(784_111_777) + Duration::from_millis(999);
        assert_eq!(known_time(precise, now), Some(at(784_111_777)));
        assert_eq!(known_time(UNIX_EPOCH - Duration::from_secs(1), now), None);
    }

    #[test]
    fn a_part_that_does_not_fit_is_cut_and_others_wait() {
        // 3 KB of 20 fit, as base64 and with headers
        let limit = 16 * 1024 + 4096;
        assert_eq!(shortened(vec![0..3072], limit), [0..3072]);
        assert_eq!(shortened(vec![10..5000], limit), [10..3082]);
        assert_eq!(shortened(vec![0..10, 20..30], limit), [0..10, 20..30]);
        assert_eq!(shortened(vec![0..10, 20..5000], limit), [0..10]);
    }

    #[test]
    fn a_body_is_read_in_pieces_and_never_past_its_parts() {
        let file = tempfile::tempfile().unwrap();
        let contents: Vec<u8> = (0..PIECE * 2 + 10).map(|n| n as u8).collect();
        file.write_all_at(&contents, 0).unwrap();
        let body = |parts: Vec<Part>| Body {
            file: Some(file.try_clone().unwrap()),
            parts: parts.into_iter().rev().collect(),
        };
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
