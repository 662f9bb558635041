//! The HTTP request that an event describes, whatever its dialect, and the rules for paths and queries that dialects share.

use std::borrow::Cow;

use super::json::{Object, Text};

/// What the gateway received. Bytes are as the client sent them, but for what a dialect had decoded already.
pub struct HttpRequest<'a> {
    /// `GET`.
    pub method: Text<'a>,
    /// Percent-encoded, begins with a slash, without a query.
    pub path: Cow<'a, [u8]>,
    /// Percent-encoded, without the question mark; empty when there is none.
    pub query: Cow<'a, [u8]>,
    /// Each name as the event spells it, with all its values.
    pub headers: Vec<(Text<'a>, Vec<Text<'a>>)>,
    /// Cookies that the event carries beside the headers.
    pub cookies: Vec<Text<'a>>,
    /// `None` when the event has no body; decoded from base64.
    pub body: Option<Cow<'a, [u8]>>,
    /// The client, where the event names it beside the headers.
    pub source_ip: Option<Text<'a>>,
    /// The domain that was asked, where the event names it beside the headers.
    pub domain_name: Option<Text<'a>>,
    /// `HTTP/1.1`, where the event names it.
    pub protocol: Option<Text<'a>>,
    /// Whether this kind of gateway speaks https when no header says so.
    pub https_by_default: bool,
    /// The event's `requestContext` as JSON.
    pub request_context: Option<&'a str>,
}

impl HttpRequest<'_> {
    /// All values of a header, in any case of letters.
    pub fn header<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s [u8]> {
        let same = move |(key, _): &&(Text<'_>, _)| key.eq_ignore_ascii_case(name.as_bytes());
        self.headers
            .iter()
            .filter(same)
            .flat_map(|(_, values)| values.iter().map(|value| &**value))
    }
}

/// The event's `body`, decoded when `flag` says that it is base64.
///
/// Text that claims to be base64 and is not is kept as it is: nothing that a client sent gets lost.
pub(super) fn body<'a>(event: &Object<'a>, flag: &str) -> Option<Cow<'a, [u8]>> {
    let body = event.text("body")?;
    if !event.flag(flag) {
        return Some(body);
    }
    Some(match base64_simd::STANDARD.decode_to_vec(&body) {
        Ok(bytes) => Cow::Owned(bytes),
        Err(_) => body,
    })
}

/// A path as it goes on: bytes that are illegal in a URI's path percent-encoded, everything else untouched.
///
/// RFC 3986 3.3: unreserved, sub-delims, `:`, `@`, `/`, and `%` before two hexadecimal digits.
pub(super) fn path(bytes: Text<'_>) -> Cow<'_, [u8]> {
    let legal = |index: usize| match bytes[index] {
        b'%' => bytes
            .get(index + 1..index + 3)
            .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
        byte => is_unreserved(byte) || b"!$&'()*+,;=:@/".contains(&byte),
    };
    if bytes.first() == Some(&b'/') && (0..bytes.len()).all(legal) {
        return bytes;
    }
    let mut path = Vec::with_capacity(bytes.len() + 16);
    if bytes.first() != Some(&b'/') {
        path.push(b'/');
    }
    for (index, &byte) in bytes.iter().enumerate() {
        if legal(index) {
            path.push(byte);
        } else {
            percent_encode(byte, &mut path);
        }
    }
    Cow::Owned(path)
}

/// A query from a map whose names and values are decoded: each percent-encoded, in the map's order.
pub(super) fn encoded_query(parameters: &[(Text<'_>, Vec<Text<'_>>)]) -> Vec<u8> {
    join_query(parameters, |bytes, query| {
        for &byte in bytes {
            if is_unreserved(byte) {
                query.push(byte);
            } else {
                percent_encode(byte, query);
            }
        }
    })
}

/// A query from a map whose names and values are still encoded: joined untouched.
pub(super) fn joined_query(parameters: &[(Text<'_>, Vec<Text<'_>>)]) -> Vec<u8> {
    join_query(parameters, |bytes, query| query.extend_from_slice(bytes))
}

fn join_query(
    parameters: &[(Text<'_>, Vec<Text<'_>>)],
    write: impl Fn(&[u8], &mut Vec<u8>),
) -> Vec<u8> {
    let mut query = Vec::new();
    for (name, values) in parameters {
        for value in values {
            if !query.is_empty() {
                query.push(b'&');
            }
            write(name, &mut query);
            query.push(b'=');
            write(value, &mut query);
        }
    }
    query
}

/// The member `multi` where it maps anything, else `single`.
pub(super) fn multi_value_map<'a>(
    event: &Object<'a>,
    multi: &str,
    single: &str,
) -> Vec<(Text<'a>, Vec<Text<'a>>)> {
    match event.map(multi) {
        map if map.is_empty() => event.map(single),
        map => map,
    }
}

/// RFC 3986 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn percent_encode(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.extend([
        b'%',
        HEX[usize::from(byte >> 4)],
        HEX[usize::from(byte & 15)],
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_keep_what_is_legal() {
        for (given, expected) in [
            ("/a%2Fb/c;d=e,f+g", "/a%2Fb/c;d=e,f+g"),
            ("", "/"),
            ("a", "/a"),
            ("/a b\"?#[é]", "/a%20b%22%3F%23%5B%C3%A9%5D"),
            ("/100%/%zz/%4", "/100%25/%25zz/%254"),
            ("/../x//y", "/../x//y"),
        ] {
            assert_eq!(
                path(Cow::Borrowed(given.as_bytes())),
                expected.as_bytes(),
                "{given}"
            );
        }
    }
}
