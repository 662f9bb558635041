//! Application Load Balancer.
//!
//! Source: "Lambda functions as targets" in the Elastic Load Balancing documentation.

use super::api_gateway_v1;
use super::head_writer::HeadWriter;
use super::http_request::{HttpRequest, body, joined_query, multi_value_map, path};
use super::json::Object;
use crate::cgi::head::Head;

pub(super) fn decode<'a>(event: &Object<'a>) -> HttpRequest<'a> {
    let query = multi_value_map(
        event,
        "multiValueQueryStringParameters",
        "queryStringParameters",
    );
    HttpRequest {
        method: event.text("httpMethod").unwrap_or_default(),
        path: path(event.text("path").unwrap_or_default()),
        query: joined_query(&query).into(),
        headers: multi_value_map(event, "multiValueHeaders", "headers"),
        cookies: Vec::new(),
        body: body(event, "isBase64Encoded"),
        source_ip: None,
        domain_name: None,
        protocol: None,
        https_by_default: false,
        request_context: event.raw("requestContext").filter(|json| *json != "null"),
    }
}

/// As REST, and `statusDescription`.
pub(super) fn write_head(head: &Head, multi_value: bool, writer: &mut HeadWriter<'_>) {
    api_gateway_v1::write_head(head, multi_value, writer);
    writer.text(
        "statusDescription",
        &format!("{} {}", head.status, head.reason()),
    );
}
