//! The streamed answer: a prelude with status, headers and cookies, then the body as it is.
//!
//! Source: "Response streaming for Lambda functions" and "Set up a Lambda proxy integration with payload response streaming in
//! API Gateway" in AWS's documentation.

use super::api_gateway_v2;
use super::head_writer::HeadWriter;
use crate::cgi::head::Head;

/// The media type that tells Lambda of the prelude.
pub const PRELUDE_TYPE: &str = "application/vnd.awslambda.http-integration-response";

/// What stands between the prelude and the body.
const PRELUDE_END: [u8; 8] = [0; 8];

/// Everything that comes before the body. Function URLs and REST APIs take the same.
pub fn prelude(head: &Head) -> Vec<u8> {
    let mut prelude = Vec::with_capacity(1024);
    api_gateway_v2::write_head(
        head,
        &mut HeadWriter {
            document: &mut prelude,
        },
    );
    prelude.push(b'}');
    prelude.extend_from_slice(&PRELUDE_END);
    prelude
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgi::head::Parser;

    #[test]
    fn json_and_eight_nuls() {
        let block = b"Status: 201\nX-A: 1\nX-A: 2\nSet-Cookie: a=1\nSet-Cookie: b=2\nEmpty:\n\n";
        let (head, _) = Parser::default().push(block).unwrap().unwrap();
        assert_eq!(
            String::from_utf8(prelude(&head)).unwrap(),
            "{\"statusCode\":201,\"headers\":{\"X-A\":\"1, 2\",\"Empty\":\"\"},\"cookies\":[\"a=1\",\"b=2\"]}\
             \0\0\0\0\0\0\0\0"
        );
        let (head, _) = Parser::default().push(b"\n").unwrap().unwrap();
        assert_eq!(
            prelude(&head),
            b"{\"statusCode\":200,\"headers\":{}}\0\0\0\0\0\0\0\0"
        );
    }
}
