//! API Gateway's REST API, payload format 1.0.
//!
//! Source: "Lambda proxy integrations in API Gateway" in AWS's documentation.

use super::head_writer::HeadWriter;
use super::http_request::{HttpRequest, body, encoded_query, multi_value_map, path};
use super::json::Object;
use crate::cgi::head::Head;

pub(super) fn decode<'a>(event: &Object<'a>, context: &Object<'a>) -> HttpRequest<'a> {
    let query = multi_value_map(
        event,
        "multiValueQueryStringParameters",
        "queryStringParameters",
    );
    HttpRequest {
        method: event.text("httpMethod").unwrap_or_default(),
        path: path(event.text("path").unwrap_or_default()),
        query: encoded_query(&query).into(),
        headers: multi_value_map(event, "multiValueHeaders", "headers"),
        cookies: Vec::new(),
        body: body(event, "isBase64Encoded"),
        source_ip: context.object("identity").text("sourceIp"),
        domain_name: context.text("domainName"),
        protocol: context.text("protocol"),
        https_by_default: true,
        request_context: event.raw("requestContext").filter(|json| *json != "null"),
    }
}

/// `multiValueHeaders` alone when the event had them, else `headers` alone with the last value of each name.
pub(super) fn write_head(head: &Head, multi_value: bool, writer: &mut HeadWriter<'_>) {
    writer.status(head.status);
    if multi_value {
        writer.multi_value_headers(&head.headers);
    } else {
        writer.last_headers(&head.headers);
    }
}
