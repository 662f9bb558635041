//! The Extensions API over HTTP, as far as an internal extension of the runtime needs it
//! (docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html).

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;

use crate::local::{
    body::{self, Collected, PAYLOAD_LIMIT},
    calls::Calls,
    invocation,
    log::Log,
    protocol::call::Call,
    refusal::Refusal,
};

const NAME: HeaderName = HeaderName::from_static("lambda-extension-name");
const IDENTIFIER: HeaderName = HeaderName::from_static("lambda-extension-identifier");

#[derive(Clone)]
struct Api {
    calls: Calls,
    handler: String,
    log: Log,
}

/// The routes of version 2020-01-01, for a function with this handler.
pub(crate) fn router(calls: Calls, handler: String, log: Log) -> Router {
    let extension = Router::new()
        .route("/register", post(register))
        .route("/event/next", get(next));
    Router::new()
        .nest("/2020-01-01/extension", extension)
        .with_state(Api {
            calls,
            handler,
            log,
        })
}

#[derive(Deserialize)]
struct Registration {
    events: Option<Vec<String>>,
}

async fn register(State(api): State<Api>, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let name = text(&parts.headers, NAME).unwrap_or_default();
    let result = match registration(body::collect(body, PAYLOAD_LIMIT).await) {
        Ok(_) if name.is_empty() => Err(Refusal::extension(
            "Extension.InvalidExtensionName",
            "Empty extension name",
        )),
        Ok(events) => api.register(name.clone(), events).await,
        Err(refusal) => Err(refusal),
    };
    let identifier = result.inspect_err(|refusal| {
        api.log.note(format_args!(
            "the extension {name:?} may not register: {}: {}",
            refusal.error_type, refusal.message
        ));
    })?;
    let registered = serde_json::json!({
        "functionName": "function",
        "functionVersion": "$LATEST",
        "handler": api.handler,
    });
    let headers = [
        (IDENTIFIER, identifier.as_str()),
        (CONTENT_TYPE, "application/json"),
    ];
    Ok((headers, registered.to_string()).into_response())
}

/// The events that are asked for.
fn registration(body: Result<Collected, axum::Error>) -> Result<Vec<String>, Refusal> {
    let refused = |why: &str| Refusal::extension("InvalidRequestFormat", why);
    match body {
        Ok(Collected::Whole(bytes)) => serde_json::from_slice::<Registration>(&bytes)
            .map(|registration| registration.events.unwrap_or_default())
            .map_err(|error| refused(&error.to_string())),
        Ok(Collected::TooLarge { .. }) => Err(refused("too large")),
        Err(_) => Err(Refusal::truncated()),
    }
}

/// Never answers an extension that is known: there are no events for it.
async fn next(State(api): State<Api>, headers: HeaderMap) -> Result<Response, Refusal> {
    let Some(identifier) = text(&headers, IDENTIFIER) else {
        return Err(Refusal::extension(
            "Extension.MissingExtensionIdentifier",
            "Missing Lambda-Extension-Identifier header",
        ));
    };
    let call = |reply| Call::NextEvent { identifier, reply };
    match api.calls.make(call).await {
        Ok(never) => match never {},
        Err(refusal) => Err(refusal),
    }
}

impl Api {
    /// Gives the extension's identifier.
    async fn register(&self, name: String, events: Vec<String>) -> Result<String, Refusal> {
        let Ok(identifier) = invocation::uuid() else {
            return Err(Refusal::extension(
                "Extension.InvalidExtensionState",
                "no random numbers",
            ));
        };
        let call = |reply| Call::Register {
            name,
            events,
            identifier: identifier.clone(),
            reply,
        };
        self.calls.make(call).await?;
        Ok(identifier)
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}
