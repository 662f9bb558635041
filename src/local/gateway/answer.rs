//! The function's answer, payload 2.0 → what goes out over HTTP; one that is streamed begins in `streamed`.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::local::stream::Stream;

/// Headers of one connection; that of the client is not the function's to speak about.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Content,
    /// What was left out, in words for the log.
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug)]
pub(crate) enum Content {
    Whole(Bytes),
    Stream(Stream),
}

/// Reads an answer that is whole; an error says what is wrong with it and what would be right.
pub(crate) fn decode(whole: &Bytes) -> Result<Answer, String> {
    let value: Value = serde_json::from_slice(whole).map_err(|error| {
        format!(
            "the answer is not JSON ({error}); it begins with {:?}",
            beginning(whole)
        )
    })?;
    match value {
        Value::Object(mut answer) if answer.contains_key("statusCode") => {
            let body = body(&mut answer)?;
            explicit(&answer, Content::Whole(body))
        }
        // No statusCode: the value itself is the content, a string without its quotes.
        Value::String(text) => Ok(inferred(Bytes::from(text))),
        _ => Ok(inferred(whole.clone())),
    }
}

fn inferred(body: Bytes) -> Answer {
    content(
        HeaderValue::from_static("application/json"),
        Content::Whole(body),
    )
}

/// An answer that is content alone.
pub(super) fn content(content_type: HeaderValue, body: Content) -> Answer {
    Answer {
        status: StatusCode::OK,
        headers: HeaderMap::from_iter([(header::CONTENT_TYPE, content_type)]),
        body,
        warnings: Vec::new(),
    }
}

fn body(answer: &mut Map<String, Value>) -> Result<Bytes, String> {
    let is_base64 = match answer.get("isBase64Encoded") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(other) => {
            return Err(format!(
                "isBase64Encoded is {other}; it must be true or false"
            ));
        }
    };
    let text = match answer.remove("body") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        Some(other) => {
            return Err(format!(
                "body is {}; it must be a string (encode it as JSON yourself)",
                kind(&other)
            ));
        }
    };
    if !is_base64 {
        return Ok(Bytes::from(text));
    }
    match base64_simd::STANDARD.decode_to_vec(text.as_bytes()) {
        Ok(bytes) => Ok(Bytes::from(bytes)),
        Err(_) => Err("isBase64Encoded is true, but body is not base64".to_owned()),
    }
}

/// An answer that says its status, headers and cookies itself.
pub(super) fn explicit(answer: &Map<String, Value>, body: Content) -> Result<Answer, String> {
    let mut warnings = Vec::new();
    let mut headers = HeaderMap::new();
    for (name, value) in object(answer, "headers")?.into_iter().flatten() {
        let name = HeaderName::try_from(name.as_str())
            .map_err(|_| format!("{name:?} is no legal header name"))?;
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            other => {
                return Err(format!(
                    "the header {name} is {}; it must be a string",
                    kind(other)
                ));
            }
        };
        if HOP_BY_HOP.contains(&name.as_str()) {
            warnings.push(format!("the header {name} is left out: it speaks of a connection that is not the function's"));
            continue;
        }
        headers.append(&name, header_value(name.as_str(), &text)?);
    }
    match answer.get("cookies") {
        None | Some(Value::Null) => {}
        Some(Value::Array(cookies)) => {
            for cookie in cookies {
                let text = cookie
                    .as_str()
                    .ok_or_else(|| format!("a cookie is {}; it must be a string", kind(cookie)))?;
                headers.append(header::SET_COOKIE, header_value("set-cookie", text)?);
            }
        }
        Some(other) => {
            return Err(format!(
                "cookies is {}; it must be a list of strings",
                kind(other)
            ));
        }
    }
    if answer
        .get("multiValueHeaders")
        .is_some_and(|value| !value.is_null())
    {
        warnings.push(
            "multiValueHeaders is ignored: payload 2.0 has none; join values with commas in headers, and use cookies".to_owned(),
        );
    }
    Ok(Answer {
        status: status(answer)?,
        headers,
        body,
        warnings,
    })
}

fn status(answer: &Map<String, Value>) -> Result<StatusCode, String> {
    let value = answer.get("statusCode").unwrap_or(&Value::Null);
    let Some(code) = value.as_u64() else {
        return Err(format!("statusCode is {value}; it must be a whole number"));
    };
    // 1xx announce an answer and are never one.
    u16::try_from(code)
        .ok()
        .filter(|code| (200..=999).contains(code))
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(|| format!("statusCode is {code}; it must be from 200 to 999"))
}

fn object<'a>(
    answer: &'a Map<String, Value>,
    name: &str,
) -> Result<Option<&'a Map<String, Value>>, String> {
    match answer.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(other) => Err(format!(
            "{name} is {}; it must be an object of strings",
            kind(other)
        )),
    }
}

fn header_value(name: &str, text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| {
        format!(
            "the value of the header {name} has control characters: {:?}",
            beginning(text.as_bytes())
        )
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// For a message.
pub(super) fn beginning(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(json: &str) -> Result<Answer, String> {
        decode(&Bytes::copy_from_slice(json.as_bytes()))
    }

    fn whole(answer: &Answer) -> &[u8] {
        match &answer.body {
            Content::Whole(bytes) => bytes,
            Content::Stream(_) => panic!("a stream"),
        }
    }

    fn all<'a>(answer: &'a Answer, name: &str) -> Vec<&'a [u8]> {
        answer
            .headers
            .get_all(name)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect()
    }

    #[test]
    fn a_whole_answer() {
        let json = r#"{"statusCode":201,"headers":{"X-A":"b, c","Content-Type":"text/html","X-N":5},
            "cookies":["a=1; Path=/","b=2"],"body":"aMOp","isBase64Encoded":true}"#;
        let answer = answer(json).unwrap();
        assert_eq!(answer.status, 201);
        assert_eq!(all(&answer, "x-a"), [b"b, c"]);
        assert_eq!(all(&answer, "x-n"), [b"5"]);
        assert_eq!(
            all(&answer, "set-cookie"),
            [b"a=1; Path=/".as_slice(), b"b=2"]
        );
        assert_eq!(whole(&answer), "hé".as_bytes());
        assert!(answer.warnings.is_empty());
    }

    #[test]
    fn without_a_status_the_value_is_the_content() {
        for (json, content) in [
            (r#"{"a":1}"#, r#"{"a":1}"#),
            ("[1]", "[1]"),
            ("null", "null"),
            (r#""h\u00e9""#, "hé"),
        ] {
            let answer = answer(json).unwrap();
            assert_eq!(
                (answer.status, whole(&answer)),
                (StatusCode::OK, content.as_bytes())
            );
            assert_eq!(all(&answer, "content-type"), [b"application/json"]);
        }
    }

    #[test]
    fn nulls_and_absent_parts_are_fine() {
        let json = r#"{"statusCode":204,"headers":null,"cookies":null,"body":null,"isBase64Encoded":null}"#;
        for json in [json, r#"{"statusCode":204}"#] {
            let answer = answer(json).unwrap();
            assert!(
                answer.headers.is_empty()
                    && whole(&answer).is_empty()
                    && answer.warnings.is_empty()
            );
        }
    }

    #[test]
    fn bad_answers_say_what_is_wrong() {
        let cases = [
            ("", "not JSON"),
            ("<html>", "it begins with \"<html>\""),
            (r#"{"statusCode":"200"}"#, "must be a whole number"),
            (r#"{"statusCode":20.5}"#, "must be a whole number"),
            (r#"{"statusCode":null}"#, "must be a whole number"),
            (r#"{"statusCode":99}"#, "from 200 to 999"),
            (r#"{"statusCode":101}"#, "from 200 to 999"),
            (r#"{"statusCode":1000}"#, "from 200 to 999"),
            (r#"{"statusCode":200,"body":{}}"#, "body is an object"),
            (
                r#"{"statusCode":200,"body":"?","isBase64Encoded":true}"#,
                "not base64",
            ),
            (
                r#"{"statusCode":200,"isBase64Encoded":"yes"}"#,
                "true or false",
            ),
            (r#"{"statusCode":200,"headers":[]}"#, "headers is a list"),
            (
                r#"{"statusCode":200,"headers":{"a":["b"]}}"#,
                "the header a is a list",
            ),
            (
                r#"{"statusCode":200,"headers":{"a b":"c"}}"#,
                "no legal header name",
            ),
            (
                r#"{"statusCode":200,"headers":{"a":"b\nc"}}"#,
                "control characters",
            ),
            (
                r#"{"statusCode":200,"cookies":"a=1"}"#,
                "cookies is a string",
            ),
            (
                r#"{"statusCode":200,"cookies":[1]}"#,
                "a cookie is a number",
            ),
        ];
        for (json, reason) in cases {
            let error = answer(json).unwrap_err();
            assert!(error.contains(reason), "{json}: {error}");
        }
    }

    #[test]
    fn what_is_left_out_is_said() {
        let json = r#"{"statusCode":200,"headers":{"Connection":"close","Transfer-Encoding":"chunked"},"multiValueHeaders":{"a":["b"]}}"#;
        let answer = answer(json).unwrap();
        assert!(answer.headers.is_empty());
        assert_eq!(answer.warnings.len(), 3);
    }
}
