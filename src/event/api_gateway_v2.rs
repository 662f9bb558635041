//! API Gateway's HTTP API and Lambda Function URLs, payload format 2.0.
//!
//! Source: "Create AWS Lambda proxy integrations for HTTP APIs" and "Invoking Lambda function URLs" in AWS's documentation.

use std::borrow::Cow;

use super::head_writer::HeadWriter;
use super::http_request::{HttpRequest, body, path};
use super::json::{Object, Text};
use crate::cgi::head::Head;

/// What only the domain names of Function URLs have in them.
const FUNCTION_URL: &[u8] = b".lambda-url.";

pub(super) fn decode<'a>(event: &Object<'a>, context: &Object<'a>) -> HttpRequest<'a> {
    let http = context.object("http");
    let domain_name = context.text("domainName");
    let stage = context
        .text("stage")
        .filter(|stage| &**stage != b"$default");
    let raw_path = event
        .text("rawPath")
        .or_else(|| http.text("path"))
        .unwrap_or_default();
    let raw_path = match stage.filter(|_| domain_name.as_deref().is_some_and(is_execute_api)) {
        Some(stage) => without_stage(raw_path, &stage),
        None => raw_path,
    };
    HttpRequest {
        method: http.text("method").unwrap_or(Cow::Borrowed(b"GET")),
        path: path(raw_path),
        query: event.text("rawQueryString").unwrap_or_default(),
        headers: event.map("headers"),
        cookies: event.texts("cookies"),
        body: body(event, "isBase64Encoded"),
        source_ip: http.text("sourceIp"),
        domain_name,
        protocol: http.text("protocol"),
        https_by_default: true,
        request_context: event.raw("requestContext").filter(|json| *json != "null"),
    }
}

/// Function URLs have a domain of their own, `<id>.lambda-url.<region>.on.aws`.
pub(super) fn is_function_url(context: &Object<'_>) -> bool {
    let domain = context.text("domainName").unwrap_or_default();
    domain
        .to_ascii_lowercase()
        .windows(FUNCTION_URL.len())
        .any(|window| window == FUNCTION_URL)
}

/// API Gateway's own domains have the stage in the path; a custom domain has not.
fn is_execute_api(domain: &[u8]) -> bool {
    let domain = domain.to_ascii_lowercase();
    let amazons = domain.ends_with(b".amazonaws.com") || domain.ends_with(b".amazonaws.com.cn");
    amazons
        && domain
            .split(|&byte| byte == b'.')
            .any(|label| label == b"execute-api")
}

fn without_stage<'a>(path: Text<'a>, stage: &[u8]) -> Text<'a> {
    let rest = path
        .strip_prefix(b"/")
        .and_then(|path| path.strip_prefix(stage));
    match rest {
        Some(rest) if rest.is_empty() || rest[0] == b'/' => Cow::Owned(rest.to_vec()),
        _ => path,
    }
}

/// `headers` with repeats joined, `Set-Cookie` in `cookies` alone.
pub(super) fn write_head(head: &Head, writer: &mut HeadWriter<'_>) {
    writer.status(head.status);
    writer.joined_headers(
        head.headers
            .iter()
            .filter(|header| !header.is("set-cookie")),
    );
    let cookies: Vec<_> = head
        .headers
        .iter()
        .filter(|header| header.is("set-cookie"))
        .collect();
    if !cookies.is_empty() {
        writer.list(
            "cookies",
            cookies.iter().map(|header| header.value.as_str()),
        );
    }
}
