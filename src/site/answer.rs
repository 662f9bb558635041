//! What is sent for a file, and for what is none: a head, and a body that is read piece by piece.

use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::ops::Range;

use super::body::{Body, Part};
use super::folder::{Entry, Found};
use super::validators::validators;
use super::{Site, Static, StaticFile};
use crate::cgi::head::Head;
use crate::event::http_request::HttpRequest;
use crate::http::accept_encoding::{Coding, choose};
use crate::http::conditional::{Validators, Verdict, judge};
use crate::http::media_type;
use crate::http::range::{Selection, select};

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
                let suffix = coding.map_or("", Coding::suffix);
                let complaint = format!(
                    "{path}{suffix} cannot be read ({error}): give the files of the package mode 644, and its folders 755."
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
            body: Body::new(Some(self.source), parts),
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
        body: Body::new(None, vec![Part::Bytes(text.as_bytes().to_vec())]),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_does_not_fit_is_cut_and_others_wait() {
        // 3 KB of 20 fit, as base64 and with headers
        let limit = 16 * 1024 + 4096;
        assert_eq!(shortened(vec![0..3072], limit), [0..3072]);
        assert_eq!(shortened(vec![10..5000], limit), [10..3082]);
        assert_eq!(shortened(vec![0..10, 20..30], limit), [0..10, 20..30]);
        assert_eq!(shortened(vec![0..10, 20..5000], limit), [0..10]);
    }
}
