//! A request's headers as `HTTP_*` variables (RFC 3875 4.1.18).

use std::borrow::Cow;
use std::collections::HashMap;

use super::head::is_token_byte;
use super::params::Params;
use crate::event::http_request::HttpRequest;

/// Left out: what has a variable of its own, `Proxy` (httpoxy), and names with an underscore, which could forge another header.
const LEFT_OUT: [&str; 3] = ["content-type", "content-length", "proxy"];

const COOKIE: &[u8] = b"HTTP_COOKIE";

/// The variables in the order of the headers. Spelled in two ways it is still one header.
pub(super) fn variables<'a>(request: &'a HttpRequest<'a>) -> Params<'a> {
    let mut variables: Vec<(Vec<u8>, Vec<&'a [u8]>)> = Vec::with_capacity(request.headers.len());
    let mut places = HashMap::new();
    let mut add = |name: Vec<u8>, values: &'a [Cow<'a, [u8]>]| {
        let place = *places.entry(name.clone()).or_insert(variables.len());
        if place == variables.len() {
            variables.push((name, Vec::new()));
        }
        variables[place]
            .1
            .extend(values.iter().map(|value| &**value));
    };
    for (name, values) in &request.headers {
        if let Some(variable) = variable_of(name) {
            add(variable, values);
        }
    }
    if !request.cookies.is_empty() {
        add(COOKIE.to_vec(), &request.cookies);
    }
    let joined = variables.into_iter().map(|(name, values)| {
        let separator: &[u8] = if name == COOKIE { b"; " } else { b", " };
        let value = match values[..] {
            [value] => Cow::Borrowed(value),
            _ => Cow::Owned(values.join(separator)),
        };
        (Cow::Owned(name), value)
    });
    joined.collect()
}

fn variable_of(name: &[u8]) -> Option<Vec<u8>> {
    let is_name = !name.is_empty() && name.iter().all(|&byte| is_token_byte(byte) && byte != b'_');
    let is_left_out = LEFT_OUT
        .iter()
        .any(|left_out| name.eq_ignore_ascii_case(left_out.as_bytes()));
    if !is_name || is_left_out {
        return None;
    }
    let upper = name.iter().map(|byte| match byte {
        b'-' => b'_',
        byte => byte.to_ascii_uppercase(),
    });
    Some(b"HTTP_".iter().copied().chain(upper).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(
            variable_of(b"X-Forwarded-For").as_deref(),
            Some(&b"HTTP_X_FORWARDED_FOR"[..])
        );
        for name in [
            &b"X_A"[..],
            b"",
            b"a b",
            b"a:b",
            b"\xc3\xa9",
            b"Proxy",
            b"content-TYPE",
        ] {
            assert_eq!(variable_of(name), None, "{name:?}");
        }
    }
}
