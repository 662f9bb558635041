//! Which event is it, what HTTP request does it describe, and in which shape does its sender want the answer?
//!
//! One file a dialect, with its decoding and the shape of its answer.

pub mod alb;
pub mod answer;
pub mod api_gateway_v1;
pub mod api_gateway_v2;
pub mod cli;
mod escape;
mod head_writer;
pub mod http_request;
mod json;
pub mod lattice;
pub mod limits;
pub mod outcome;
pub mod stream;

use cli::{Cli, InvalidCli};
use http_request::HttpRequest;
use json::Object;
use simdutf8::compat::from_utf8;

/// What an invocation brings.
#[allow(
    clippy::large_enum_variant,
    reason = "made once an invocation, and not moved"
)]
pub enum Event<'a> {
    /// A request for which the sender wants an answer in its dialect.
    Http(Dialect, HttpRequest<'a>),
    /// A command for the function's console, where it has one; else like any other.
    Cli(Result<Cli, InvalidCli>),
    /// Anything else: a queue's messages, a schedule, a direct invocation.
    Other,
}

/// Who sent the request, as far as the answer's shape depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// API Gateway's HTTP API, payload 2.0.
    ApiGatewayV2,
    /// A Function URL: the same payload, and its answer can be streamed.
    FunctionUrl,
    /// API Gateway's REST API, payload 1.0.
    ApiGatewayV1 {
        /// The event carried `multiValueHeaders`.
        multi_value: bool,
    },
    /// An Application Load Balancer.
    Alb {
        /// The event carried `multiValueHeaders`.
        multi_value: bool,
    },
    /// VPC Lattice, either version.
    Lattice,
}

impl Dialect {
    /// Whether the sender may have asked for a streamed answer. The Runtime API does not tell whether it has.
    pub fn can_stream(self) -> bool {
        matches!(self, Dialect::FunctionUrl | Dialect::ApiGatewayV1 { .. })
    }
}

/// The event is not JSON; the text says where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJson(pub String);

impl<'a> Event<'a> {
    /// Decides by shape (AWS's documentation of each event source).
    pub fn decode(event: &'a [u8]) -> Result<Event<'a>, NotJson> {
        let json = from_utf8(event).map_err(|error| NotJson(error.to_string()))?;
        if !json
            .trim_start_matches([' ', '\t', '\r', '\n'])
            .starts_with('{')
        {
            let checked = serde_json::from_str::<serde::de::IgnoredAny>(json);
            return checked
                .map(|_| Event::Other)
                .map_err(|error| NotJson(error.to_string()));
        }
        let event: Object<'a> =
            serde_json::from_str(json).map_err(|error| NotJson(error.to_string()))?;
        Ok(Event::of(&event))
    }

    fn of(event: &Object<'a>) -> Event<'a> {
        // the question of a Lambda authorizer has a request's shape, but wants a policy and no page
        if event.has("methodArn") || event.has("routeArn") {
            return Event::Other;
        }
        let context = event.object("requestContext");
        let version_2 = event
            .text("version")
            .is_some_and(|version| &*version == b"2.0");
        if version_2 && !context.object("http").is_empty() {
            let dialect = match api_gateway_v2::is_function_url(&context) {
                true => Dialect::FunctionUrl,
                false => Dialect::ApiGatewayV2,
            };
            return Event::Http(dialect, api_gateway_v2::decode(event, &context));
        }
        if version_2 && context.text("serviceArn").is_some() && event.text("method").is_some() {
            return Event::Http(Dialect::Lattice, lattice::decode_v2(event));
        }
        if event.text("raw_path").is_some() && event.text("method").is_some() {
            return Event::Http(Dialect::Lattice, lattice::decode_v1(event));
        }
        if event.text("httpMethod").is_some() && event.text("path").is_some() {
            let multi_value = event.has("multiValueHeaders");
            if context.has("elb") {
                return Event::Http(Dialect::Alb { multi_value }, alb::decode(event));
            }
            return Event::Http(
                Dialect::ApiGatewayV1 { multi_value },
                api_gateway_v1::decode(event, &context),
            );
        }
        cli::decode(event).map_or(Event::Other, Event::Cli)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(json: &str) -> Option<Dialect> {
        match Event::decode(json.as_bytes()).unwrap() {
            Event::Http(dialect, _) => Some(dialect),
            Event::Cli(_) | Event::Other => None,
        }
    }

    #[test]
    fn each_dialect_is_known_by_its_shape() {
        let v1 = |multi_value| Some(Dialect::ApiGatewayV1 { multi_value });
        let alb = |multi_value| Some(Dialect::Alb { multi_value });
        for (json, expected) in [
            (
                r#"{"version":"2.0","requestContext":{"http":{"method":"GET"}}}"#,
                Some(Dialect::ApiGatewayV2),
            ),
            (
                r#"{"version":"2.0","requestContext":{"http":{"method":"GET"},"domainName":"abc.lambda-url.eu-west-1.on.aws"}}"#,
                Some(Dialect::FunctionUrl),
            ),
            (
                r#"{"version":"2.0","requestContext":{"serviceArn":"a"},"method":"GET"}"#,
                Some(Dialect::Lattice),
            ),
            (r#"{"raw_path":"/","method":"GET"}"#, Some(Dialect::Lattice)),
            // of two shapes the first counts
            (
                r#"{"version":"2.0","requestContext":{"http":{"method":"GET"},"serviceArn":"a","elb":{}},"method":"GET","httpMethod":"GET","path":"/","raw_path":"/"}"#,
                Some(Dialect::ApiGatewayV2),
            ),
            (
                r#"{"raw_path":"/","method":"GET","httpMethod":"GET","path":"/","requestContext":{"elb":{}}}"#,
                Some(Dialect::Lattice),
            ),
            (
                r#"{"httpMethod":"GET","path":"/","requestContext":{"elb":{}}}"#,
                alb(false),
            ),
            (
                r#"{"httpMethod":"GET","path":"/","requestContext":{"elb":{}},"multiValueHeaders":{}}"#,
                alb(true),
            ),
            (
                r#"{"httpMethod":"GET","path":"/","requestContext":null}"#,
                v1(false),
            ),
            (
                r#"{"httpMethod":"GET","path":"/","multiValueHeaders":null}"#,
                v1(true),
            ),
        ] {
            assert_eq!(dialect(json), expected, "{json}");
        }
    }

    #[test]
    fn everything_else_is_no_http_event() {
        for json in [
            "1",
            " \"text\"",
            "null",
            "[1]",
            "\n{}",
            r#"{"version":2.0,"requestContext":{"http":{"method":"GET"}}}"#,
            r#"{"version":"2.0","requestContext":{"http":"GET"}}"#,
            r#"{"version":"2.0"}"#,
            r#"{"httpMethod":1,"path":"/"}"#,
            r#"{"method":"GET","path":"/"}"#,
            r#"{"Records":[{"eventSource":"aws:sqs"}]}"#,
            r#"{"type":"REQUEST","methodArn":"a","httpMethod":"GET","path":"/"}"#,
            r#"{"version":"2.0","type":"REQUEST","routeArn":"a","requestContext":{"http":{"method":"GET"}}}"#,
            r#"{"requestContext":{"eventType":"CONNECT","connectionId":"c"}}"#,
        ] {
            assert_eq!(dialect(json), None, "{json}");
        }
    }

    #[test]
    fn what_is_not_json_is_an_error_that_says_where() {
        for bytes in [
            b"".as_slice(),
            b"  ",
            b"{",
            b"{\"a\":1,}",
            b"hello",
            b"{}{}",
            b"\"\xff\"",
            b"[1",
            b"\x00",
        ] {
            assert!(Event::decode(bytes).is_err(), "{bytes:?}");
        }
        let Err(NotJson(text)) = Event::decode(b"{\"a\" 1}") else {
            panic!()
        };
        assert!(text.contains("line 1 column 6"), "{text}");
    }

    #[test]
    fn cut_at_any_byte_an_event_is_an_error_and_no_panic() {
        let event = r#"{"version":"2.0","rawPath":"/ü","headers":{"a":"\u00e9"},"requestContext":{"http":{"method":"GET"}}}"#;
        for end in 0..event.len() {
            assert!(Event::decode(&event.as_bytes()[..end]).is_err(), "{end}");
        }
        assert!(Event::decode(event.as_bytes()).is_ok());
    }
}
