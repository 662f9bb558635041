//! The beginning of a streamed answer → what goes out over HTTP before its body.

use axum::http::HeaderValue;
use serde_json::{Map, Value};

use crate::local::{
    failure::Failure,
    gateway::{
        answer::{Answer, Content, beginning, content, explicit},
        prelude::Prelude,
    },
    invocation::Streamed,
};

/// The media type of a stream that begins with a prelude.
const HTTP_INTEGRATION: &str = "application/vnd.awslambda.http-integration-response";

/// Waits for the beginning of a streamed answer and reads it: the prelude where there is one, and else the first chunk,
/// so that a failure before that can still be answered with a 502.
pub(crate) async fn open(streamed: Streamed) -> Result<Answer, String> {
    let Streamed {
        content_type,
        mut stream,
    } = streamed;
    let failed = |failure: Failure| {
        format!(
            "the function failed with {} before the beginning of its stream was complete: {}",
            failure.error_type,
            failure.excerpt()
        )
    };
    if !has_prelude(&content_type) {
        stream.begin().await.map_err(failed)?;
        return Ok(content(content_type, Content::Stream(stream)));
    }
    let mut prelude = Prelude::default();
    while let Some(chunk) = stream.next().await.transpose().map_err(failed)? {
        if let Some((json, rest)) = prelude.take(&chunk).map_err(|error| error.reason())? {
            stream.put_back(rest);
            return explicit(&object_of(&json)?, Content::Stream(stream));
        }
    }
    Err(format!(
        "the stream has no prelude: JSON with statusCode, then 8 NUL bytes, then the body; it begins with {:?}",
        beginning(prelude.beginning())
    ))
}

fn has_prelude(content_type: &HeaderValue) -> bool {
    let media_type = content_type
        .as_bytes()
        .split(|&byte| byte == b';')
        .next()
        .unwrap_or_default();
    media_type
        .trim_ascii()
        .eq_ignore_ascii_case(HTTP_INTEGRATION.as_bytes())
}

fn object_of(prelude: &[u8]) -> Result<Map<String, Value>, String> {
    serde_json::from_slice(prelude).map_err(|error| {
        format!(
            "the prelude of the stream is not a JSON object ({error}): {:?}",
            beginning(prelude)
        )
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::local::stream;

    /// What the gateway makes of a stream of these chunks, and the body that comes after.
    async fn opened(
        content_type: &'static str,
        chunks: &[&'static [u8]],
        end: Result<(), Failure>,
    ) -> Result<(Answer, Vec<u8>), String> {
        let (mut writer, control, stream) = stream::channel();
        let streamed = Streamed {
            content_type: HeaderValue::from_static(content_type),
            stream,
        };
        let write = async move {
            for chunk in chunks {
                writer.write(Bytes::from_static(chunk)).await;
            }
            control.end(end);
        };
        let read = async {
            let mut answer = open(streamed).await?;
            let mut body = Vec::new();
            if let Content::Stream(stream) = &mut answer.body {
                while let Some(Ok(chunk)) = stream.next().await {
                    body.extend_from_slice(&chunk);
                }
            }
            Ok((answer, body))
        };
        tokio::join!(write, read).1
    }

    #[tokio::test]
    async fn a_stream_has_its_prelude_first() {
        let media_type = "Application/vnd.awslambda.http-integration-response; charset=utf-8";
        let chunks: [&[u8]; 3] = [
            b"{\"statusCode\":418,\"cookies\":[\"a=1\"]}\0\0\0",
            b"\0\0\0\0\0\xff\0bo",
            b"dy",
        ];
        let (answer, body) = opened(media_type, &chunks, Ok(())).await.unwrap();
        assert_eq!(answer.status, 418);
        assert!(answer.headers.get_all("set-cookie").iter().eq(["a=1"]));
        assert_eq!(body, b"\xff\0body");

        let failure = || Err(Failure::new("Function.Broken", "so"));
        let cases: [(&[&[u8]], _, &str); 5] = [
            (&[b"{\"statusCode\":418}"], Ok(()), "8 NUL bytes"),
            (&[], Ok(()), "8 NUL bytes"),
            (&[b"<html>\0\0\0\0\0\0\0\0"], Ok(()), "not a JSON object"),
            (&[b"{}\0\0\0\0\0\0\0\0"], Ok(()), "statusCode is null"),
            (&[b"{"], failure(), "failed with Function.Broken"),
        ];
        for (chunks, end, reason) in cases {
            let error = opened(media_type, chunks, end).await.unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[tokio::test]
    async fn another_stream_is_nothing_but_the_body() {
        let (answer, body) = opened("text/csv", &[b"a", b"b"], Ok(())).await.unwrap();
        assert!(
            answer
                .headers
                .get_all("content-type")
                .iter()
                .eq(["text/csv"])
        );
        assert_eq!(body, b"ab");
        let failure = Failure::new("Function.Broken", "so");
        let error = opened("text/csv", &[], Err(failure)).await.unwrap_err();
        assert!(error.contains("failed with Function.Broken"), "{error}");
    }
}
