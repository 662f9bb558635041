//! The Runtime API for a runtime that is not ours: each call and its answer is a line of the log.

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode},
    middleware::{self, Next},
    response::Response,
};

use crate::local::log::Log;

/// Wraps what a sandbox serves.
pub(crate) fn watch(router: Router, log: Log) -> Router {
    let router = router.fallback(unknown);
    router.layer(middleware::from_fn_with_state(log, tell))
}

async fn tell(State(log): State<Log>, request: Request, next: Next) -> Response {
    let call = format!("{} {}", request.method(), request.uri().path());
    let waits = if call.ends_with("/next") {
        ", which waits for an event"
    } else {
        ""
    };
    log.note(format_args!("called: {call}{waits}"));
    let response = next.run(request).await;
    let header = |name| {
        let value: Option<&HeaderValue> = response.headers().get(name);
        value.and_then(|value| value.to_str().ok())
    };
    let id = match header("lambda-runtime-aws-request-id") {
        Some(id) => format!(", Lambda-Runtime-Aws-Request-Id {id}"),
        None => String::new(),
    };
    log.note(format_args!("answered: {call}: {}{id}", response.status()));
    response
}

async fn unknown() -> (StatusCode, &'static str) {
    let text = "no call of the Runtime API: its paths begin with /2018-06-01/runtime/\n";
    (StatusCode::NOT_FOUND, text)
}
