//! The Runtime API over HTTP: each request becomes a [`Call`] for the sandbox, its reply the response.

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response as HttpResponse},
    routing::{any, get, post},
};
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::local::{
    body::{self, Collected, Forwarded, PAYLOAD_LIMIT},
    calls::Calls,
    failure::Failure,
    invocation::Streamed,
    log::Log,
    protocol::call::{Begun, Call, Handover, Named},
    refusal::Refusal,
    stream,
};

/// Lambda's limit for a streamed answer, 200 MB (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const STREAM_LIMIT: usize = 200 << 20;

const ERROR_TYPE: HeaderName = HeaderName::from_static("lambda-runtime-function-error-type");
const ERROR_BODY: HeaderName = HeaderName::from_static("lambda-runtime-function-error-body");
const RESPONSE_MODE: HeaderName = HeaderName::from_static("lambda-runtime-function-response-mode");
const INVOCATION_ID: HeaderName = HeaderName::from_static("lambda-runtime-invocation-id");

#[derive(Clone)]
struct Api {
    calls: Calls,
    log: Log,
}

/// The routes of version 2018-06-01. Those of a restore are there only where there are snapshots.
pub(crate) fn router(calls: Calls, has_snapshots: bool, log: Log) -> Router {
    let restore = if has_snapshots {
        Router::new()
            .route("/restore/next", get(restore_next))
            .route("/restore/error", post(restore_error))
    } else {
        Router::new().route("/restore/{*call}", any(no_restore))
    };
    let runtime = Router::new()
        .route("/invocation/next", get(next))
        .route("/invocation/{id}/response", post(response))
        .route("/invocation/{id}/error", post(error))
        .route("/init/error", post(init_error))
        .merge(restore);
    Router::new()
        .nest("/2018-06-01/runtime", runtime)
        .with_state(Api { calls, log })
}

async fn next(State(api): State<Api>) -> HttpResponse {
    match api.calls.make(|reply| Call::Next { reply }).await {
        Ok(handover) => event(handover),
        Err(refusal) => refusal.into_response(),
    }
}

fn event(handover: Handover) -> HttpResponse {
    let Handover {
        invocation,
        deadline_ms,
    } = handover;
    let mut response = HttpResponse::new(Body::from(invocation.event));
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: HeaderValue| {
        headers.insert(HeaderName::from_static(name), value)
    };
    set("content-type", HeaderValue::from_static("application/json"));
    set(
        "lambda-runtime-aws-request-id",
        ascii(&invocation.request_id),
    );
    set(
        "lambda-runtime-invocation-id",
        ascii(&invocation.invocation_id),
    );
    set(
        "lambda-runtime-deadline-ms",
        ascii(&deadline_ms.to_string()),
    );
    set(
        "lambda-runtime-invoked-function-arn",
        HeaderValue::from_static("arn:aws:lambda:us-east-1:012345678912:function:function"),
    );
    set("lambda-runtime-trace-id", invocation.trace_id);
    if let Some(context) = invocation.client_context {
        set("lambda-runtime-client-context", context);
    }
    if let Some(tenant) = invocation.tenant_id {
        set("lambda-runtime-aws-tenant-id", tenant);
    }
    response
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("ids and numbers are ASCII")
}

async fn response(
    State(api): State<Api>,
    Path(id): Path<String>,
    request: Request,
) -> HttpResponse {
    let (parts, body) = request.into_parts();
    match parts.headers.get(RESPONSE_MODE).map(HeaderValue::as_bytes) {
        None => {}
        Some(b"streaming") => return api.stream(id, &parts.headers, body).await,
        Some(_) => {
            let failure = Failure::new("Runtime.InvalidResponseModeHeader", "");
            let refusal = Refusal {
                status: StatusCode::BAD_REQUEST,
                error_type: "InvalidFunctionResponseMode",
                message: "Invalid function response mode".to_owned(),
            };
            return api
                .answer(id, &parts.headers, Err(failure), Err(refusal))
                .await;
        }
    }
    match body::collect(body, PAYLOAD_LIMIT).await {
        // The runtime died or gave up in the middle; the sandbox learns of its end, or of the deadline's.
        Err(error) => {
            api.log
                .note(format_args!("the body of /response broke off: {error}"));
            Refusal::truncated().into_response()
        }
        Ok(Collected::TooLarge { size }) => {
            api.log.note(format_args!(
                "{id}: the answer has {size} bytes, and Lambda takes {PAYLOAD_LIMIT}: send less, or stream it"
            ));
            let (failure, refusal) = too_large(PAYLOAD_LIMIT);
            api.answer(id, &parts.headers, Err(failure), Err(refusal))
                .await
        }
        Ok(Collected::Whole(bytes)) => api.answer(id, &parts.headers, Ok(bytes), Ok(())).await,
    }
}

/// What the caller and the runtime are told of an answer that is larger than `limit`.
fn too_large(limit: usize) -> (Failure, Refusal) {
    let message =
        format!("Response payload size exceeded maximum allowed payload size ({limit} bytes).");
    let refusal = Refusal {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        error_type: "RequestEntityTooLarge",
        message: format!("Exceeded maximum allowed payload size ({limit} bytes)."),
    };
    (
        Failure::new("Function.ResponseSizeTooLarge", &message),
        refusal,
    )
}

/// What a stream has come to whose connection ends before it does.
fn truncated() -> Failure {
    Failure::new(
        "Runtime.TruncatedResponse",
        "the connection ended before the streamed answer did",
    )
}

async fn error(State(api): State<Api>, Path(id): Path<String>, request: Request) -> HttpResponse {
    let (parts, body) = request.into_parts();
    match api.failure(&parts.headers, body).await {
        Ok(failure) => api.answer(id, &parts.headers, Err(failure), Ok(())).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn init_error(State(api): State<Api>, request: Request) -> HttpResponse {
    api.give_up(request, |failure, reply| Call::InitError { failure, reply })
        .await
}

async fn restore_next(State(api): State<Api>) -> HttpResponse {
    match api.calls.make(|reply| Call::RestoreNext { reply }).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn restore_error(State(api): State<Api>, request: Request) -> HttpResponse {
    api.give_up(request, |failure, reply| Call::RestoreError {
        failure,
        reply,
    })
    .await
}

async fn no_restore() -> HttpResponse {
    let message =
        "there is no snapshot: AWS_LAMBDA_INITIALIZATION_TYPE is not snap-start".to_owned();
    Refusal {
        status: StatusCode::NOT_FOUND,
        error_type: "NotSupported",
        message,
    }
    .into_response()
}

impl Api {
    async fn answer(
        &self,
        request_id: String,
        headers: &HeaderMap,
        result: Result<Bytes, Failure>,
        verdict: Result<(), Refusal>,
    ) -> HttpResponse {
        let call = |reply| Call::Answer {
            invocation: named(&request_id, headers),
            result,
            verdict,
            reply,
        };
        self.answered(&request_id, self.calls.make(call).await)
    }

    /// Takes a streamed answer: begun with its headers, ended with its body.
    async fn stream(
        &self,
        request_id: String,
        headers: &HeaderMap,
        mut body: Body,
    ) -> HttpResponse {
        let (mut writer, control, stream) = stream::channel();
        let content_type = headers
            .get(CONTENT_TYPE)
            .cloned()
            .unwrap_or(HeaderValue::from_static("application/octet-stream"));
        let streamed = Streamed {
            content_type,
            stream,
        };
        let call = |reply| Call::Begin {
            invocation: named(&request_id, headers),
            begun: Box::new(Begun { streamed, control }),
            reply,
        };
        if let Err(refusal) = self.calls.make(call).await {
            body::drain(body).await;
            return self.answered(&request_id, Err(refusal));
        }
        let mut open = Open {
            api: self,
            request_id: Some(request_id.clone()),
        };
        let (result, verdict) = match body::forward(&mut body, STREAM_LIMIT, &mut writer).await {
            Ok(Forwarded::Whole { trailers }) => match trailers.get(ERROR_TYPE) {
                Some(error_type) => (Err(self.broken_stream(error_type, &trailers)), Ok(())),
                None => (Ok(()), Ok(())),
            },
            Ok(Forwarded::TooLarge) => {
                let (failure, refusal) = too_large(STREAM_LIMIT);
                (Err(failure), Err(refusal))
            }
            Err(_) => (Err(truncated()), Err(Refusal::truncated())),
        };
        let verdict = open.end(result, verdict).await;
        body::drain(body).await;
        self.answered(&request_id, verdict)
    }

    fn answered(&self, request_id: &str, result: Result<(), Refusal>) -> HttpResponse {
        if let Err(refusal) = &result {
            self.log.note(format_args!(
                "{request_id}: answer refused with {}: {}",
                refusal.status, refusal.message
            ));
        }
        accepted(result)
    }

    /// The runtime reports that it cannot go on.
    async fn give_up(
        &self,
        request: Request,
        call: impl FnOnce(Failure, oneshot::Sender<Result<(), Refusal>>) -> Call,
    ) -> HttpResponse {
        let (parts, body) = request.into_parts();
        let failure = match self.failure(&parts.headers, body).await {
            Ok(failure) => failure,
            Err(refusal) => return refusal.into_response(),
        };
        accepted(self.calls.make(|reply| call(failure, reply)).await)
    }

    async fn failure(&self, headers: &HeaderMap, body: Body) -> Result<Failure, Refusal> {
        let error_type = self.error_type(headers.get(ERROR_TYPE));
        match body::collect(body, PAYLOAD_LIMIT).await {
            Ok(Collected::Whole(bytes)) if bytes.is_empty() => Ok(Failure::new(&error_type, "")),
            Ok(Collected::Whole(bytes)) => Ok(Failure {
                error_type,
                body: bytes,
            }),
            Ok(Collected::TooLarge { size }) => {
                self.log.note(format_args!(
                    "an error of {size} bytes was cut: Lambda takes {PAYLOAD_LIMIT}"
                ));
                Ok(Failure::new(&error_type, "the error itself was too large"))
            }
            Err(error) => {
                self.log
                    .note(format_args!("the body of an error broke off: {error}"));
                Err(Refusal::truncated())
            }
        }
    }

    /// The error of a stream that failed half-way, from its trailers; the body is base64 there.
    fn broken_stream(&self, error_type: &HeaderValue, trailers: &HeaderMap) -> Failure {
        let error_type = self.error_type(Some(error_type));
        let body = trailers
            .get(ERROR_BODY)
            .and_then(|body| base64_simd::STANDARD.decode_to_vec(body.as_bytes()).ok());
        match body {
            Some(body) => Failure {
                error_type,
                body: Bytes::from(body),
            },
            None => Failure::new(
                &error_type,
                "the stream was broken off without a readable error body",
            ),
        }
    }

    /// Lambda passes `Runtime.Name` and `Function.Name` on and calls everything else `Runtime.Unknown`.
    fn error_type(&self, header: Option<&HeaderValue>) -> String {
        let given = header
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .unwrap_or_default();
        if is_error_type(&given) {
            return given;
        }
        self.log.note(format_args!(
            "the error type {given:?} is reported as Runtime.Unknown: send {ERROR_TYPE}: Runtime.Name or Function.Name"
        ));
        "Runtime.Unknown".to_owned()
    }
}

/// A stream that has begun. The server gives a request up when its connection ends: the invocation must hear of that
/// too, or its caller would wait until the deadline.
struct Open<'a> {
    api: &'a Api,
    /// Until the end was told.
    request_id: Option<String>,
}

impl Open<'_> {
    async fn end(
        &mut self,
        result: Result<(), Failure>,
        verdict: Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let Some(request_id) = self.request_id.take() else {
            return Ok(());
        };
        let call = |reply| Call::End {
            request_id,
            result,
            verdict,
            reply,
        };
        self.api.calls.make(call).await
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(request_id) = self.request_id.take() {
            let call = Call::End {
                request_id,
                result: Err(truncated()),
                verdict: Ok(()),
                reply: oneshot::channel().0,
            };
            self.api.calls.tell(call);
        }
    }
}

fn named(request_id: &str, headers: &HeaderMap) -> Named {
    Named {
        request_id: request_id.to_owned(),
        invocation_id: headers
            .get(INVOCATION_ID)
            .map(|echo| String::from_utf8_lossy(echo.as_bytes()).into_owned()),
    }
}

/// `(Runtime|Function)\.[A-Z][A-Za-z]+`
fn is_error_type(text: &str) -> bool {
    let name = text
        .strip_prefix("Runtime.")
        .or_else(|| text.strip_prefix("Function."))
        .unwrap_or_default();
    name.len() > 1
        && name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn accepted(result: Result<(), Refusal>) -> HttpResponse {
    match result {
        Ok(()) => {
            let json = [(CONTENT_TYPE, "application/json")];
            (StatusCode::ACCEPTED, json, r#"{"status":"OK"}"#).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_types() {
        for valid in ["Runtime.ExitError", "Function.Exception", "Runtime.Ab"] {
            assert!(is_error_type(valid), "{valid}");
        }
        for invalid in [
            "",
            "Runtime.",
            "Runtime.A",
            "Runtime.exit",
            "Function.A1",
            "App.Error",
            "Runtime.A.B",
            "RuntimeException",
        ] {
            assert!(!is_error_type(invalid), "{invalid}");
        }
    }
}
