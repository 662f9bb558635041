//! What a recorded answer says: its status code, and its HTML.

use std::{cell::Cell, fmt};

use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// What ends the prelude of a streamed answer.
const END: [u8; 8] = [0; 8];

/// An answer's HTML.
pub(super) struct Html {
    /// As the function says it.
    pub(super) media_type: String,
    pub(super) bytes: Vec<u8>,
}

/// The answer's `statusCode`, which a buffered answer and a prelude have alike. Reads no further than to it, so that it is
/// found in the beginning of a large answer too.
pub(super) fn status_code(answer: &[u8]) -> Option<u16> {
    struct Search<'a>(&'a Cell<Option<u16>>);

    impl<'de> Visitor<'de> for Search<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
            while let Some(name) = map.next_key::<String>()? {
                if name == "statusCode" {
                    self.0.set(map.next_value()?);
                    return Err(M::Error::custom("found"));
                }
                map.next_value::<IgnoredAny>()?;
            }
            Ok(())
        }
    }

    let found = Cell::new(None);
    // Its error says nothing: the search ends in one when it has found something.
    let _ = serde_json::Deserializer::from_slice(answer).deserialize_map(Search(&found));
    found.get()
}

/// The HTML of an answer that is whole, where it is HTML.
pub(super) fn html(answer: &[u8], is_stream: bool) -> Option<Html> {
    let (json, streamed) = if is_stream {
        let end = answer.windows(END.len()).position(|window| window == END)?;
        (&answer[..end], Some(&answer[end + END.len()..]))
    } else {
        (answer, None)
    };
    let head: Value = serde_json::from_slice(json).ok()?;
    let media_type = media_type(&head)?;
    let is_html = ["text/html", "application/xhtml+xml"]
        .iter()
        .any(|html| media_type.trim().to_ascii_lowercase().starts_with(html));
    if !is_html {
        return None;
    }
    let bytes = match streamed {
        Some(body) => body.to_vec(),
        None => {
            let body = head["body"].as_str()?;
            if head["isBase64Encoded"] == true {
                base64_simd::STANDARD.decode_to_vec(body).ok()?
            } else {
                body.as_bytes().to_vec()
            }
        }
    };
    // Never XHTML, in which a style sheet's processing instruction has other rules; and a charset that a header can carry.
    let charset = media_type
        .split(';')
        .find_map(|part| part.trim().strip_prefix("charset="))
        .map(|charset| charset.trim_matches('"'))
        .filter(|charset| {
            charset
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        })
        .unwrap_or("utf-8");
    Some(Html {
        media_type: format!("text/html; charset={charset}"),
        bytes,
    })
}

fn media_type(head: &Value) -> Option<String> {
    let named = |headers: &'static str| {
        head[headers]
            .as_object()
            .into_iter()
            .flatten()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .map(|(_, value)| value.clone())
    };
    match named("multiValueHeaders").or_else(|| named("headers"))? {
        Value::String(text) => Some(text),
        Value::Array(values) => values.last()?.as_str().map(str::to_owned),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_code_is_found_in_the_beginning_too() {
        let whole = br#"{"headers":{"a":"statusCode"},"statusCode":404,"body":"text"}"#;
        let end = whole.len() - 12;
        for end in end..=whole.len() {
            assert_eq!(status_code(&whole[..end]), Some(404), "{end}");
        }
        for end in 0..42 {
            assert_eq!(status_code(&whole[..end]), None, "{end}");
        }
        assert_eq!(
            status_code(b"{\"statusCode\":418}\0\0\0\0\0\0\0\0body"),
            Some(418)
        );
        for other in [
            "",
            "[]",
            "\"x\"",
            "{\"statusCode\":\"200\"}",
            "{\"statusCode\":-1}",
            "{\"a\":{\"statusCode\":200}}",
        ] {
            assert_eq!(status_code(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn html_is_what_says_so() {
        let text = |answer: &str, is_stream| {
            html(answer.as_bytes(), is_stream)
                .map(|html| (html.media_type, String::from_utf8(html.bytes).unwrap()))
        };
        let found = |media_type: &str, body: &str| Some((media_type.to_owned(), body.to_owned()));
        let utf8 = "text/html; charset=utf-8";
        assert_eq!(
            text(
                r#"{"headers":{"Content-Type":"text/html"},"body":"<p>"}"#,
                false
            ),
            found(utf8, "<p>")
        );
        assert_eq!(
            text(
                r#"{"multiValueHeaders":{"content-type":["Text/HTML; charset=ISO-8859-1"]},"body":"PHA+","isBase64Encoded":true}"#,
                false
            ),
            found("text/html; charset=ISO-8859-1", "<p>")
        );
        assert_eq!(
            text(
                "{\"headers\":{\"content-type\":\"text/html; charset=a\\r\\nb\"}}\0\0\0\0\0\0\0\0<p>",
                true
            ),
            found(utf8, "<p>")
        );
        for other in [
            r#"{"headers":{"content-type":"text/plain"},"body":"<p>"}"#,
            r#"{"headers":{"content-type":"image/svg+xml"},"body":"<svg>"}"#,
            r#"{"headers":{"content-type":"text/html"},"body":5}"#,
            r#"{"headers":{"content-type":5},"body":"<p>"}"#,
            r#"{"body":"<p>"}"#,
            "<p>",
        ] {
            assert_eq!(text(other, false), None, "{other}");
            assert_eq!(text(other, true), None, "{other}");
        }
    }
}
