//! HTTP in front of the function, as a Function URL or an HTTP API has it: payload 2.0 in both directions.

mod answer;
mod event;
mod prelude;
mod streamed;

use std::{net::SocketAddr, time::SystemTime};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;

use crate::local::{
    Front,
    body::{self, Collected, PAYLOAD_LIMIT},
    console::recorder::Source,
    gateway::answer::{Answer, Content},
    invocation::{Ids, Invocation, Outcome},
};

const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// Answers every request that is not lambda-local's own.
pub(crate) async fn handle(
    State(front): State<Front>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    if parts.method == Method::CONNECT {
        let allow = [(
            header::ALLOW,
            "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        )];
        let answer = message(StatusCode::METHOD_NOT_ALLOWED, "this is no proxy");
        return (allow, answer).into_response();
    }
    // RFC 9112 section 3.2: which of them is meant would be a guess.
    if parts.headers.get_all(header::HOST).iter().count() > 1 {
        return message(StatusCode::BAD_REQUEST, "more than one Host header");
    }
    let bytes = match body::collect(body, PAYLOAD_LIMIT).await {
        Ok(Collected::Whole(bytes)) => bytes,
        Ok(Collected::TooLarge { size }) => return too_large(&front, size),
        // The client broke off; there is nobody to read this.
        Err(_) => return message(StatusCode::BAD_REQUEST, "the request's body broke off"),
    };
    let ids = match Ids::new(parts.headers.get(TRACE_ID)) {
        Ok(ids) => ids,
        Err(error) => {
            front
                .log
                .note(format_args!("no random numbers from /dev/urandom: {error}"));
            return message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
        }
    };
    let event = event::encode(&event::Source {
        parts: &parts,
        body: &bytes,
        client: client.ip().to_canonical(),
        port: front.port,
        ids: &ids,
        now: SystemTime::now(),
    });
    if event.len() > PAYLOAD_LIMIT {
        return too_large(&front, event.len());
    }
    let request_id = ids.request_id.clone();
    let what = format!("{} {}: {request_id}", parts.method, parts.uri);
    front.recorder.queued(
        &request_id,
        Source::Http {
            method: parts.method.to_string(),
            uri: parts.uri.to_string(),
        },
    );
    let result = match front.queue.invoke(Invocation::new(ids, event)).await {
        None => {
            return message(
                StatusCode::SERVICE_UNAVAILABLE,
                "lambda-local is shutting down",
            );
        }
        Some(Outcome::Failure(failure)) => Err(format!(
            "the function failed with {}: {}",
            failure.error_type,
            failure.excerpt()
        )),
        Some(Outcome::Response(whole)) => answer::decode(&whole),
        Some(Outcome::Stream(streamed)) => streamed::open(streamed).await,
    };
    match result {
        Ok(answer) => {
            for warning in &answer.warnings {
                front.log.note(format_args!("{what}: {warning}"));
            }
            front.recorder.replied(&request_id, answer.status.as_u16());
            respond(&parts.method, answer)
        }
        Err(reason) => {
            front
                .log
                .note(format_args!("{what}: 502 Bad Gateway: {reason}"));
            front
                .recorder
                .replied(&request_id, StatusCode::BAD_GATEWAY.as_u16());
            message(StatusCode::BAD_GATEWAY, "Internal Server Error")
        }
    }
}

fn respond(method: &Method, answer: Answer) -> Response {
    let Answer {
        status,
        mut headers,
        body: content,
        ..
    } = answer;
    // The server sets Content-Length from the body that is really sent. The function's own word is kept only where it
    // speaks of a body that is not sent.
    let length = headers.remove(header::CONTENT_LENGTH);
    let has_body = *method != Method::HEAD
        && status != StatusCode::NO_CONTENT
        && status != StatusCode::NOT_MODIFIED;
    let (bytes, stream) = match content {
        Content::Whole(bytes) => (bytes, None),
        // Where it is not sent it is dropped, and the function's chunks go nowhere.
        Content::Stream(stream) => (Bytes::new(), has_body.then_some(stream)),
    };
    if !bytes.is_empty() || stream.is_some() {
        headers
            .entry(header::CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("application/json"));
    }
    let mut body = Body::empty();
    if let Some(stream) = stream {
        body = Body::new(stream);
    } else if *method == Method::HEAD && bytes.is_empty() {
        if let Some(length) = length.filter(is_number) {
            headers.insert(header::CONTENT_LENGTH, length);
        }
        // Of a size that nobody knows, as the length that GET has is not known here.
        body = Body::from_stream(Body::empty().into_data_stream());
    } else if has_body || *method == Method::HEAD {
        // With HEAD the server sends only the length of this.
        body = Body::from(bytes);
    }
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn is_number(value: &HeaderValue) -> bool {
    !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit)
}

fn too_large(front: &Front, size: usize) -> Response {
    let text = format!(
        "Request Too Long: the event has {size} bytes, and Lambda takes {PAYLOAD_LIMIT} (a body that is not UTF-8 grows \
         by a third, as base64). Upload large files to S3 instead."
    );
    front.log.note(&text);
    message(StatusCode::PAYLOAD_TOO_LARGE, &text)
}

/// The shape of a gateway's own answers.
fn message(status: StatusCode, text: &str) -> Response {
    let body = serde_json::json!({ "message": text }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
