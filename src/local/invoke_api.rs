//! Lambda's invoke API: any event in, the function's answer out, neither of them touched.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use crate::local::{
    Front,
    body::{self, Collected, PAYLOAD_LIMIT},
    console::recorder::Source,
    failure::Failure,
    invocation::{Ids, Invocation, Outcome, Streamed},
};

/// The path of AWS's runtime interface emulator, so that its clients work here too.
pub(crate) const PATH: &str = "/2015-03-31/functions/function/invocations";

const CLIENT_CONTEXT: HeaderName = HeaderName::from_static("x-amz-client-context");
pub(crate) const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
const EXECUTED_VERSION: HeaderName = HeaderName::from_static("x-amz-executed-version");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const TENANT_ID: HeaderName = HeaderName::from_static("x-amz-tenant-id");
const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// A refusal in the shape of Lambda's API.
struct Refused(StatusCode, &'static str, String);

pub(crate) async fn handle(State(front): State<Front>, request: Request) -> Response {
    if let Some(origin) = foreign_origin(request.headers()) {
        let why = format!("a web page of {origin:?} may not invoke the function");
        return refuse(
            &front,
            Refused(StatusCode::FORBIDDEN, "AccessDeniedException", why),
        );
    }
    answer(&front, request, Source::InvokeApi).await
}

/// Invokes the function with the request's body, for whoever was let in.
pub(crate) async fn answer(front: &Front, request: Request, source: Source) -> Response {
    match invoke(front, request, source).await {
        Ok(response) => response,
        Err(refused) => refuse(front, refused),
    }
}

fn refuse(front: &Front, refused: Refused) -> Response {
    let Refused(status, _, why) = &refused;
    front.log.note(format_args!("POST {PATH}: {status}: {why}"));
    refused.into_response()
}

async fn invoke(front: &Front, request: Request, source: Source) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let client_context = parts
        .headers
        .get(CLIENT_CONTEXT)
        .map(client_context)
        .transpose()?;
    let event = match body::collect(body, PAYLOAD_LIMIT).await {
        Ok(Collected::Whole(bytes)) => bytes,
        Ok(Collected::TooLarge { size }) => {
            let why = format!("the event has {size} bytes, and Lambda takes {PAYLOAD_LIMIT}");
            return Err(Refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestTooLargeException",
                why,
            ));
        }
        Err(error) => {
            let why = format!("the event broke off: {error}");
            return Err(Refused(
                StatusCode::BAD_REQUEST,
                "InvalidRequestContentException",
                why,
            ));
        }
    };
    // The emulator hands it on, and a runtime's answer to it can be tested that way.
    if serde_json::from_slice::<&serde_json::value::RawValue>(&event).is_err() {
        front
            .log
            .note("this event is not JSON: Lambda itself would refuse it");
    }
    let ids = Ids::new(parts.headers.get(TRACE_ID)).map_err(|error| {
        Refused(
            StatusCode::INTERNAL_SERVER_ERROR,
            "ServiceException",
            format!("no random numbers: {error}"),
        )
    })?;
    let mut invocation = Invocation::new(ids, event);
    invocation.client_context = client_context;
    invocation.tenant_id = parts.headers.get(TENANT_ID).cloned();
    let request_id = HeaderValue::try_from(&invocation.request_id).expect("a UUID is ASCII");

    let mut headers = HeaderMap::from_iter([
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
        (EXECUTED_VERSION, HeaderValue::from_static("$LATEST")),
        (REQUEST_ID, request_id),
    ]);
    front.recorder.queued(&invocation.request_id, source);
    match front.queue.invoke(invocation).await {
        Some(Outcome::Response(body)) => Ok((headers, body).into_response()),
        // The emulator collects a stream for its caller; here it arrives as the runtime sends it, prelude and all.
        Some(Outcome::Stream(Streamed {
            content_type,
            mut stream,
        })) => match stream.begin().await {
            Ok(()) => {
                headers.insert(header::CONTENT_TYPE, content_type);
                Ok((headers, Body::new(stream)).into_response())
            }
            Err(failure) => Ok(function_error(headers, failure)),
        },
        Some(Outcome::Failure(failure)) => Ok(function_error(headers, failure)),
        None => {
            let why = "lambda-local is shutting down".to_owned();
            Err(Refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceException",
                why,
            ))
        }
    }
}

fn function_error(mut headers: HeaderMap, failure: Failure) -> Response {
    headers.insert(FUNCTION_ERROR, HeaderValue::from_static("Unhandled"));
    (headers, failure.body).into_response()
}

/// The context that the caller's SDK sends in base64 reaches the runtime decoded.
fn client_context(value: &HeaderValue) -> Result<HeaderValue, Refused> {
    base64_simd::STANDARD
        .decode_to_vec(value.as_bytes())
        .ok()
        .and_then(|context| HeaderValue::from_bytes(&context).ok())
        .ok_or_else(|| {
            let why = format!("{CLIENT_CONTEXT} must be one line of JSON in base64");
            Refused(
                StatusCode::BAD_REQUEST,
                "InvalidRequestContentException",
                why,
            )
        })
}

/// The origin of a web page that has no business here. A browser names the page's origin with each POST; command line
/// tools and SDKs name none. A page served under a name that was rebound to 127.0.0.1 does not pass either: its origin is
/// that name.
fn foreign_origin(headers: &HeaderMap) -> Option<String> {
    let origin = headers.get(header::ORIGIN)?;
    let host = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.parse::<Uri>().ok())
        .and_then(|uri| uri.host().map(str::to_owned));
    match host.as_deref() {
        Some("localhost" | "127.0.0.1" | "[::1]") => None,
        _ => Some(String::from_utf8_lossy(origin.as_bytes()).into_owned()),
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(status, error_type, why) = self;
        let body = serde_json::json!({ "Type": "User", "Message": why }).to_string();
        (
            status,
            [
                (header::CONTENT_TYPE, "application/json"),
                (ERROR_TYPE, error_type),
            ],
            body,
        )
            .into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_sites_are_foreign() {
        let is_foreign = |origin: &'static str| {
            let headers =
                HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static(origin))]);
            foreign_origin(&headers).is_some()
        };
        for own in [
            "http://localhost:8080",
            "http://127.0.0.1:8080",
            "http://[::1]:8080",
            "http://localhost",
        ] {
            assert!(!is_foreign(own), "{own}");
        }
        for foreign in [
            "http://example.org",
            "null",
            "",
            "http://localhost.example.org",
            "http://127.0.0.1.example.org",
        ] {
            assert!(is_foreign(foreign), "{foreign}");
        }
        assert!(foreign_origin(&HeaderMap::new()).is_none());
    }

    #[test]
    fn the_client_context_is_decoded() {
        let decoded = client_context(&HeaderValue::from_static("eyJhIjoxfQ==")).ok();
        assert_eq!(decoded, Some(HeaderValue::from_static(r#"{"a":1}"#)));
        assert!(client_context(&HeaderValue::from_static("?")).is_err());
        assert!(client_context(&HeaderValue::from_static("Cg==")).is_err());
    }
}
