//! Conditional requests (RFC 9110 13): has the client what is there already?

use std::time::{SystemTime, UNIX_EPOCH};

use crate::event::http_request::HttpRequest;

/// What tells one state of a representation from another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// A strong entity tag, with its quotation marks.
    pub etag: Option<String>,
    /// In whole seconds, as HTTP tells it.
    pub last_modified: Option<SystemTime>,
}

/// What the conditions of a GET or HEAD request come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There are none, or they hold.
    Proceed,
    /// 304: the client has it.
    NotModified,
    /// 412: the client wants a state that is no more.
    Failed,
}

/// Judges in the order of RFC 9110 13.2.2.
pub fn judge(request: &HttpRequest<'_>, validators: &Validators) -> Verdict {
    let etag = validators.etag.as_deref();
    if has(request, "if-match") {
        if !is_listed(request, "if-match", etag, Comparison::Strong) {
            return Verdict::Failed;
        }
    } else if let Some((since, modified)) = dates(request, "if-unmodified-since", validators) {
        if modified > since {
            return Verdict::Failed;
        }
    }
    if has(request, "if-none-match") {
        // a date beside it does not count
        return match is_listed(request, "if-none-match", etag, Comparison::Weak) {
            true => Verdict::NotModified,
            false => Verdict::Proceed,
        };
    }
    match dates(request, "if-modified-since", validators) {
        Some((since, modified)) if modified <= since => Verdict::NotModified,
        _ => Verdict::Proceed,
    }
}

/// Whether the state that `If-Range` names, if it names one, is the present one (RFC 9110 13.1.5).
pub fn is_still(request: &HttpRequest<'_>, validators: &Validators) -> bool {
    let Some(value) = request.header("if-range").next() else {
        return true;
    };
    let value = value.trim_ascii();
    if value.starts_with(b"\"") || value.starts_with(b"W/") {
        // a weak tag is in no strong comparison
        return validators
            .etag
            .as_deref()
            .is_some_and(|etag| value == etag.as_bytes());
    }
    parsed(value).is_some_and(|date| validators.last_modified == Some(date))
}

/// How two entity tags compare (RFC 9110 8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

fn has(request: &HttpRequest<'_>, name: &str) -> bool {
    request.header(name).next().is_some()
}

/// Whether the header lists `etag`, or says `*`: any state at all.
fn is_listed(
    request: &HttpRequest<'_>,
    name: &str,
    etag: Option<&str>,
    comparison: Comparison,
) -> bool {
    request.header(name).any(|value| {
        value.trim_ascii() == b"*"
            || tags(value).any(|(is_weak, tag)| {
                etag.is_some_and(|etag| tag == etag.as_bytes())
                    && (!is_weak || comparison == Comparison::Weak)
            })
    })
}

/// Each tag of a list with its quotation marks, and whether it is weak. A comma within them separates nothing.
fn tags(list: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|&byte| byte == b'"')?;
        let len = rest[start + 1..].iter().position(|&byte| byte == b'"')? + 2;
        let is_weak = rest[..start].ends_with(b"W/");
        let tag = &rest[start..start + len];
        rest = &rest[start + len..];
        Some((is_weak, tag))
    })
}

/// The date that the header names and the one of the representation, where both are known.
fn dates(
    request: &HttpRequest<'_>,
    name: &str,
    validators: &Validators,
) -> Option<(SystemTime, SystemTime)> {
    let since = parsed(request.header(name).next()?)?;
    Some((since, validators.last_modified?))
}

fn parsed(date: &[u8]) -> Option<SystemTime> {
    let date = std::str::from_utf8(date).ok()?;
    httpdate::parse_http_date(date.trim())
        .ok()
        .filter(|date| *date >= UNIX_EPOCH)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::borrow::Cow;
    use std::time::Duration;

    use super::*;

    /// A GET request with these headers.
    pub(crate) fn request<'a>(headers: &[(&'a str, &'a str)]) -> HttpRequest<'a> {
        let bytes = |text: &'a str| Cow::Borrowed(text.as_bytes());
        HttpRequest {
            method: bytes("GET"),
            path: Cow::Borrowed(b"/"),
            query: Cow::Borrowed(b""),
            headers: headers
                .iter()
                .map(|(name, value)| (bytes(name), vec![bytes(value)]))
                .collect(),
            cookies: Vec::new(),
            body: None,
            source_ip: None,
            domain_name: None,
            protocol: None,
            https_by_default: true,
            request_context: None,
        }
    }

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    pub(crate) fn validators() -> Validators {
        Validators {
            etag: Some("\"a,b\"".to_owned()),
            last_modified: Some(UNIX_EPOCH + Duration::from_secs(784_111_777)),
        }
    }

    #[test]
    fn verdicts() {
        use Verdict::{Failed, NotModified, Proceed};
        let cases: &[(&[(&str, &str)], Verdict)] = &[
            (&[], Proceed),
            (&[("If-None-Match", "\"a,b\"")], NotModified),
            (&[("If-None-Match", "W/\"a,b\"")], NotModified),
            (&[("If-None-Match", "\"x\", \"a,b\" ,\"y\"")], NotModified),
            (
                &[("If-None-Match", "\"x\""), ("if-none-match", "\"a,b\"")],
                NotModified,
            ),
            (&[("If-None-Match", "*")], NotModified),
            (&[("If-None-Match", "\"x\"")], Proceed),
            (&[("If-None-Match", "a,b")], Proceed),
            (&[("If-None-Match", "\"a,b")], Proceed),
            (&[("If-None-Match", "\"a\",\"b\"")], Proceed),
            (&[("If-None-Match", "")], Proceed),
            (&[("If-Modified-Since", THEN)], NotModified),
            (&[("If-Modified-Since", AFTER)], NotModified),
            (&[("If-Modified-Since", BEFORE)], Proceed),
            (
                &[("If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT")],
                NotModified,
            ),
            (
                &[("If-Modified-Since", "Sun Nov  6 08:49:37 1994")],
                NotModified,
            ),
            (&[("If-Modified-Since", "yesterday")], Proceed),
            (&[("If-Modified-Since", "784111777")], Proceed),
            // the tag counts, not the date beside it
            (
                &[("If-None-Match", "\"x\""), ("If-Modified-Since", AFTER)],
                Proceed,
            ),
            (
                &[("If-None-Match", "\"a,b\""), ("If-Modified-Since", BEFORE)],
                NotModified,
            ),
            (&[("If-Match", "\"a,b\"")], Proceed),
            (&[("If-Match", "*")], Proceed),
            (&[("If-Match", "W/\"a,b\"")], Failed),
            (&[("If-Match", "\"x\"")], Failed),
            (
                &[("If-Match", "\"a,b\""), ("If-None-Match", "\"a,b\"")],
                NotModified,
            ),
            (
                &[("If-Match", "\"x\""), ("If-None-Match", "\"a,b\"")],
                Failed,
            ),
            (&[("If-Unmodified-Since", THEN)], Proceed),
            (&[("If-Unmodified-Since", BEFORE)], Failed),
            (&[("If-Unmodified-Since", "never")], Proceed),
            (
                &[("If-Match", "\"a,b\""), ("If-Unmodified-Since", BEFORE)],
                Proceed,
            ),
        ];
        for (headers, verdict) in cases {
            let request = request(headers);
            assert_eq!(judge(&request, &validators()), *verdict, "{headers:?}");
        }
    }

    #[test]
    fn without_validators_no_tag_and_no_date_matches() {
        let none = Validators::default();
        for (name, value, verdict) in [
            ("If-None-Match", "\"a,b\"", Verdict::Proceed),
            ("If-None-Match", "*", Verdict::NotModified),
            ("If-Modified-Since", AFTER, Verdict::Proceed),
            ("If-Unmodified-Since", BEFORE, Verdict::Proceed),
            ("If-Match", "\"a,b\"", Verdict::Failed),
        ] {
            assert_eq!(judge(&request(&[(name, value)]), &none), verdict, "{name}");
        }
        assert!(!is_still(&request(&[("If-Range", THEN)]), &none));
        assert!(!is_still(&request(&[("If-Range", "\"a,b\"")]), &none));
    }

    #[test]
    fn if_range() {
        assert!(is_still(&request(&[]), &validators()));
        for (value, holds) in [
            ("\"a,b\"", true),
            (" \"a,b\" ", true),
            ("W/\"a,b\"", false),
            ("\"x\"", false),
            (THEN, true),
            (BEFORE, false),
            (AFTER, false),
            ("a,b", false),
            ("", false),
        ] {
            let request = request(&[("If-Range", value)]);
            assert_eq!(is_still(&request, &validators()), holds, "{value:?}");
        }
    }
}
