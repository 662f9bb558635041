//! HTTP request → payload 2.0 event.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr, time::SystemTime};

use axum::http::{HeaderMap, HeaderValue, header, request::Parts};
use serde::Serialize;

use crate::local::invocation::Ids;

/// The function's domain name, in the form that Function URLs have: a bootstrap may stream only to these. It leads to this
/// machine (RFC 6761 section 6.3).
const DOMAIN_NAME: &str = "local.lambda-url.localhost";

/// The first label of [`DOMAIN_NAME`].
const API_ID: &str = "local";

/// Headers of the connection between client and gateway, which ends here; those that begin with `proxy-` are as well.
const HOP_BY_HOP: [&str; 7] = [
    "connection",
    "expect",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Everything an event is made of.
pub(crate) struct Source<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) body: &'a [u8],
    pub(crate) client: IpAddr,
    /// Of the listener; what the client called it by is in its Host header.
    pub(crate) port: u16,
    pub(crate) ids: &'a Ids,
    pub(crate) now: SystemTime,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    version: &'static str,
    route_key: &'static str,
    raw_path: &'a str,
    raw_query_string: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    headers: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<String, String>,
    request_context: RequestContext<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    account_id: &'static str,
    api_id: &'static str,
    domain_name: &'static str,
    domain_prefix: &'static str,
    http: Http<'a>,
    request_id: &'a str,
    route_key: &'static str,
    stage: &'static str,
    time: String,
    time_epoch: u128,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'a> {
    method: &'a str,
    path: &'a str,
    protocol: String,
    source_ip: String,
    user_agent: String,
}

/// The event as JSON. Path and query stay as they came, percent-encoding and all.
pub(crate) fn encode(source: &Source<'_>) -> Vec<u8> {
    let Parts {
        method,
        uri,
        version,
        headers,
        ..
    } = source.parts;
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let query = uri.query().unwrap_or_default();
    let body = match source.body {
        [] => None,
        bytes => Some(match std::str::from_utf8(bytes) {
            Ok(text) => (Cow::Borrowed(text), false),
            Err(_) => (
                Cow::Owned(base64_simd::STANDARD.encode_to_string(bytes)),
                true,
            ),
        }),
    };
    let is_base64_encoded = body.as_ref().is_some_and(|(_, is_base64)| *is_base64);
    let event = Event {
        version: "2.0",
        route_key: "$default",
        raw_path: uri.path(),
        raw_query_string: query,
        cookies: cookies(headers),
        headers: joined_headers(source, host),
        query_string_parameters: parameters(query),
        request_context: RequestContext {
            account_id: "anonymous",
            api_id: API_ID,
            domain_name: DOMAIN_NAME,
            domain_prefix: API_ID,
            http: Http {
                method: method.as_str(),
                path: uri.path(),
                protocol: format!("{version:?}"),
                source_ip: source.client.to_string(),
                user_agent: headers
                    .get(header::USER_AGENT)
                    .map(text)
                    .unwrap_or_default(),
            },
            request_id: &source.ids.request_id,
            route_key: "$default",
            stage: "$default",
            time: common_log_time(source.now),
            time_epoch: source
                .now
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default()
                .as_millis(),
        },
        body: body.map(|(body, _)| body),
        is_base64_encoded,
    };
    serde_json::to_vec(&event).expect("strings, numbers and maps with string keys are always JSON")
}

/// Header names in lower case, repeated ones joined by commas, and those a gateway adds.
fn joined_headers<'a>(source: &Source<'a>, host: Option<&str>) -> BTreeMap<&'a str, String> {
    let received = &source.parts.headers;
    let mut headers = BTreeMap::new();
    for name in received.keys().filter(|name| {
        let of_connection =
            HOP_BY_HOP.contains(&name.as_str()) || name.as_str().starts_with("proxy-");
        **name != header::COOKIE && !of_connection
    }) {
        let values: Vec<_> = received.get_all(name).iter().map(text).collect();
        headers.insert(name.as_str(), values.join(","));
    }
    // A chunked body came without a length.
    if !source.body.is_empty() {
        headers.insert("content-length", source.body.len().to_string());
    }
    let client = source.client.to_string();
    headers
        .entry("x-forwarded-for")
        .and_modify(|earlier| *earlier = format!("{earlier}, {client}"))
        .or_insert(client);
    headers.insert("x-forwarded-proto", "http".to_owned());
    headers.insert(
        "x-forwarded-port",
        public_port(host, source.port).to_string(),
    );
    headers.insert("x-amzn-trace-id", text(&source.ids.trace_id));
    headers
}

/// The port under which the client reached us, from its Host header, which names none when it is 80. It differs from
/// the listener's where a container's port is mapped.
fn public_port(host: Option<&str>, listener: u16) -> u16 {
    match host.map(split_port) {
        Some((_, Some(port))) => port.parse().unwrap_or(listener),
        Some((_, None)) => 80,
        None => listener,
    }
}

/// `name:port`, where an IPv6 address stands in brackets.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    }
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::COOKIE).iter().map(text);
    values
        .flat_map(|value| {
            value
                .split(';')
                .map(|cookie| cookie.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .filter(|cookie| !cookie.is_empty())
        .collect()
}

/// Header bytes as text: UTF-8 where they are, else each byte as the character of that number (ISO 8859-1).
fn text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value
            .as_bytes()
            .iter()
            .map(|&byte| char::from(byte))
            .collect(),
    }
}

/// The decoded query, values of a repeated key joined by commas.
fn parameters(query: &str) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::<String, String>::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decoded(value);
        parameters
            .entry(percent_decoded(key))
            .and_modify(|earlier| *earlier = format!("{earlier},{value}"))
            .or_insert(value);
    }
    parameters
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let decoded = match (byte, after) {
            (b'+', _) => Some((b' ', after)),
            (b'%', [high, low, after @ ..]) => hex(*high)
                .zip(hex(*low))
                .map(|(high, low)| ((high << 4) | low, after)),
            _ => None,
        };
        let (byte, after) = decoded.unwrap_or((byte, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// `05/Aug/2022:08:14:39 +0000`
fn common_log_time(time: SystemTime) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    // 2022-08-05T08:14:39Z
    let time = humantime::format_rfc3339_seconds(time).to_string();
    let month = time[5..7]
        .parse::<usize>()
        .ok()
        .and_then(|month| MONTHS.get(month - 1))
        .unwrap_or(&"Jan");
    format!(
        "{}/{month}/{}:{} +0000",
        &time[8..10],
        &time[..4],
        &time[11..19]
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::Request;
    use serde_json::{Value, json};

    use super::*;

    fn event(request: axum::http::request::Builder, body: &[u8]) -> Value {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let ids = Ids {
            request_id: "id".into(),
            invocation_id: "attempt".into(),
            trace_id: HeaderValue::from_static("Root=1-2-3"),
        };
        let client = [127, 0, 0, 1].into();
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_659_687_279_885);
        let source = Source {
            parts: &parts,
            body,
            client,
            port: 8080,
            ids: &ids,
            now,
        };
        serde_json::from_slice(&encode(&source)).unwrap()
    }

    #[test]
    fn a_whole_event() {
        let request = Request::get("/a%2Fb/%C3%A9?x=1&y=a%20b+c&x=2&flag")
            .header("Host", "localhost:9000")
            .header("User-Agent", "test")
            .header("Accept", "a")
            .header("Accept", "b")
            .header("Cookie", "a=1; b=2;")
            .header("Cookie", "c=3");
        let expected = json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/a%2Fb/%C3%A9",
            "rawQueryString": "x=1&y=a%20b+c&x=2&flag",
            "cookies": ["a=1", "b=2", "c=3"],
            "headers": {
                "accept": "a,b",
                "host": "localhost:9000",
                "user-agent": "test",
                "x-amzn-trace-id": "Root=1-2-3",
                "x-forwarded-for": "127.0.0.1",
                "x-forwarded-port": "9000",
                "x-forwarded-proto": "http",
            },
            "queryStringParameters": { "x": "1,2", "y": "a b c", "flag": "" },
            "requestContext": {
                "accountId": "anonymous",
                "apiId": "local",
                "domainName": "local.lambda-url.localhost",
                "domainPrefix": "local",
                "http": {
                    "method": "GET",
                    "path": "/a%2Fb/%C3%A9",
                    "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1",
                    "userAgent": "test",
                },
                "requestId": "id",
                "routeKey": "$default",
                "stage": "$default",
                "time": "05/Aug/2022:08:14:39 +0000",
                "timeEpoch": 1_659_687_279_885_u64,
            },
            "isBase64Encoded": false,
        });
        assert_eq!(event(request, b""), expected);
    }

    #[test]
    fn a_body_is_text_where_it_is_and_base64_elsewhere() {
        let text = event(Request::post("/"), "é\0".as_bytes());
        assert_eq!(
            (&text["body"], &text["isBase64Encoded"]),
            (&json!("é\0"), &json!(false))
        );
        let binary = event(Request::post("/"), b"\xff\x00");
        assert_eq!(
            (&binary["body"], &binary["isBase64Encoded"]),
            (&json!("/wA="), &json!(true))
        );
    }

    #[test]
    fn the_port_is_the_one_the_client_used() {
        for (host, port) in [
            ("a:81", "81"),
            ("a", "80"),
            ("[::1]:82", "82"),
            ("[::1]", "80"),
            ("a:x", "8080"),
        ] {
            assert_eq!(
                event(Request::get("/").header("Host", host), b"")["headers"]["x-forwarded-port"],
                port,
                "{host}"
            );
        }
        assert_eq!(
            event(Request::get("/"), b"")["headers"]["x-forwarded-port"],
            "8080"
        );
    }

    #[test]
    fn forwarded_headers_cannot_be_forged() {
        let request = Request::get("/")
            .header("X-Forwarded-For", "1.2.3.4")
            .header("X-Forwarded-Proto", "https")
            .header("X-Forwarded-Port", "443");
        let headers = &event(request, b"")["headers"];
        assert_eq!(headers["x-forwarded-for"], "1.2.3.4, 127.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-port"], "8080");
    }

    #[test]
    fn header_bytes_that_are_not_utf8_are_latin_1() {
        let request =
            Request::get("/").header("X-Name", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        assert_eq!(event(request, b"")["headers"]["x-name"], "café");
    }

    #[test]
    fn percent_signs_that_encode_nothing_stay() {
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(percent_decoded("%zz%4"), "%zz%4");
        assert_eq!(percent_decoded("%41%e9"), "A\u{fffd}");
    }
}
