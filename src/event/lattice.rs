//! VPC Lattice, event structure version 1 and 2.
//!
//! Source: "Lambda functions as targets in VPC Lattice" in AWS's documentation.

use std::borrow::Cow;

use super::head_writer::HeadWriter;
use super::http_request::{HttpRequest, body, joined_query, path};
use super::json::{Object, Text};
use crate::cgi::head::Head;

pub(super) fn decode_v1<'a>(event: &Object<'a>) -> HttpRequest<'a> {
    let (raw_path, raw_query) = split(event.text("raw_path").unwrap_or_default());
    let query =
        raw_query.unwrap_or_else(|| joined_query(&event.map("query_string_parameters")).into());
    request(event, "is_base64_encoded", raw_path, query)
}

pub(super) fn decode_v2<'a>(event: &Object<'a>) -> HttpRequest<'a> {
    // the path carries the query in some of AWS's examples
    let (raw_path, raw_query) = split(event.text("path").unwrap_or_default());
    let map = event.map("queryStringParameters");
    let query = if map.is_empty() {
        raw_query.unwrap_or_default()
    } else {
        joined_query(&map).into()
    };
    request(event, "isBase64Encoded", raw_path, query)
}

fn request<'a>(
    event: &Object<'a>,
    base64: &str,
    raw_path: Text<'a>,
    query: Text<'a>,
) -> HttpRequest<'a> {
    HttpRequest {
        method: event.text("method").unwrap_or_default(),
        path: path(raw_path),
        query,
        headers: event.map("headers"),
        cookies: Vec::new(),
        body: body(event, base64),
        source_ip: None,
        domain_name: None,
        protocol: None,
        https_by_default: false,
        request_context: event.raw("requestContext").filter(|json| *json != "null"),
    }
}

fn split(path: Text<'_>) -> (Text<'_>, Option<Text<'_>>) {
    match path.iter().position(|&byte| byte == b'?') {
        Some(mark) => (
            Cow::Owned(path[..mark].to_vec()),
            Some(Cow::Owned(path[mark + 1..].to_vec())),
        ),
        None => (path, None),
    }
}

/// `headers` with repeats joined; Lattice's answer has no place for several values.
pub(super) fn write_head(head: &Head, writer: &mut HeadWriter<'_>) {
    writer.status(head.status);
    writer.joined_headers(head.headers.iter());
}
