//! The test console: a page at `/_console` that sends events to the function, and shows how the runtime talks with Lambda.
//!
//! ```text
//! gateway, invoke_api, environment, log   tell what happens        tap   sees each call of the Runtime API
//!  → recorder    their one way in: takes the time, wakes who looks
//!   → history     what it means for which invocation or sandbox
//!    → records     the last of them, bounded in number and in bytes
//!     → record      one of them: its times, its calls (call, body), its log
//! page (HTML, CSS, JavaScript; embedded)
//!  → guard       only this page may ask
//!  → feed        what has changed, as server-sent events       answer   what a recorded answer says
//! ```
//!
//! Recording goes on whether somebody looks or not, since mostly one looks when something has gone wrong. What it keeps
//! becomes JSON only for those who look.

mod answer;
mod body;
mod call;
mod feed;
mod guard;
mod history;
mod log;
mod record;
pub(crate) mod recorder;
mod records;
pub(crate) mod tap;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Path, RawQuery, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use serde_json::json;
use tokio::sync::Notify;

use crate::local::{
    Front,
    console::{feed::Feed, record::Source},
    function::Function,
    invoke_api,
};

/// What the page is made of. It asks for nothing else: no build step, no other host.
const FILES: [(&str, &str, &str); 13] = [
    ("style.css", "text/css", include_str!("page/style.css")),
    ("main.js", JAVASCRIPT, include_str!("page/main.js")),
    ("answer.js", JAVASCRIPT, include_str!("page/answer.js")),
    ("bars.js", JAVASCRIPT, include_str!("page/bars.js")),
    (
        "conversation.js",
        JAVASCRIPT,
        include_str!("page/conversation.js"),
    ),
    ("dom.js", JAVASCRIPT, include_str!("page/dom.js")),
    ("editor.js", JAVASCRIPT, include_str!("page/editor.js")),
    ("feed.js", JAVASCRIPT, include_str!("page/feed.js")),
    ("list.js", JAVASCRIPT, include_str!("page/list.js")),
    ("result.js", JAVASCRIPT, include_str!("page/result.js")),
    (
        "templates.js",
        JAVASCRIPT,
        include_str!("page/templates.js"),
    ),
    ("texts.js", JAVASCRIPT, include_str!("page/texts.js")),
    ("icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];
/// How long a name in the query may be, percent-encoded.
const MOST_NAME: usize = 1000;

const JAVASCRIPT: &str = "text/javascript";
const PAGE: &str = include_str!("page/index.html");

/// The page runs its own files alone. Images of answers are `blob:`; an answer's HTML is in a frame that has a policy of
/// its own, [`PREVIEW_POLICY`].
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' blob:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// HTML of the function's: no script, no form, no request to anywhere, and an origin of its own.
const PREVIEW_POLICY: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// What the console needs besides the recorder.
#[derive(Clone)]
pub(crate) struct Console {
    /// What the page says about the function, as JSON.
    about: Arc<serde_json::Value>,
    restart: Arc<Notify>,
}

impl Console {
    pub(crate) fn new(function: &Function, restart: Arc<Notify>) -> Self {
        let about = json!({
            "folder": function.root.display().to_string(),
            "handler": function.handler,
            "memory": function.memory,
            "timeout": function.timeout.as_secs(),
            "initialization": function.initialization.name(),
            "concurrency": function.initialization.concurrency(),
            "version": env!("CARGO_PKG_VERSION"),
            "invokePath": invoke_api::PATH,
        });
        Self {
            about: Arc::new(about),
            restart,
        }
    }
}

/// Everything below `/_console`; none of it ever reaches the function.
pub(crate) fn router() -> Router<Front> {
    Router::new()
        .route("/_console", get(page))
        .route("/_console/", get(page))
        .route("/_console/api/events", get(events))
        .route("/_console/api/records/{number}", get(record))
        .route("/_console/api/records/{number}/html", get(html))
        .route("/_console/api/invoke", post(invoke))
        .route("/_console/api/restart", post(restart))
        .route("/_console/{*file}", any(file))
        .layer(middleware::from_fn(guard::guard))
        .layer(middleware::map_response(harden))
}

async fn page() -> Response {
    static_file("text/html", PAGE)
}

async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(file, ..)| *file == name) {
        Some((_, media_type, text)) => static_file(media_type, text),
        None => nothing().await.into_response(),
    }
}

fn static_file(media_type: &str, text: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, format!("{media_type}; charset=utf-8"))];
    (headers, text).into_response()
}

async fn nothing() -> impl IntoResponse {
    (
        StatusCode::NOT_FOUND,
        "/_console is lambda-local's own and never reaches the function; the console itself is at /_console\n",
    )
}

/// Headers that everything of the console carries, refusals included.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(POLICY));
    for (name, value) in [
        ("cache-control", "no-store"),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What changes, from the beginning or from where the page was: a browser that connects again names the last event that
/// it has got, and the page does so where it opens a new connection.
async fn events(
    State(front): State<Front>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .or(parameter(query.as_deref(), "after="));
    let about = (*front.console.about).clone();
    let feed = Feed::new(front.recorder, about, last);
    let media_type = [(header::CONTENT_TYPE, "text/event-stream")];
    (media_type, Body::new(feed.into_body())).into_response()
}

/// One record with all that is kept of it.
async fn record(State(front): State<Front>, Path(number): Path<u64>) -> Response {
    match front.recorder.detail(number) {
        Some(detail) => {
            let media_type = [(header::CONTENT_TYPE, "application/json")];
            (media_type, detail.to_string()).into_response()
        }
        None => gone(),
    }
}

/// The HTML of a recorded answer, for a frame of the page.
async fn html(State(front): State<Front>, Path(number): Path<u64>) -> Response {
    let Some(html) = front.recorder.html(number) else {
        return gone();
    };
    let headers = [
        (header::CONTENT_SECURITY_POLICY, PREVIEW_POLICY.to_owned()),
        (header::CONTENT_TYPE, html.media_type),
    ];
    (headers, html.bytes).into_response()
}

fn gone() -> Response {
    let why = "there is no such record, or it was dropped to make room for newer ones\n";
    (StatusCode::NOT_FOUND, why).into_response()
}

/// Invokes the function with the event that is the request's body; answers as Lambda's invoke API does. The name of the
/// event is percent-encoded, and stays so until the page shows it.
async fn invoke(
    State(front): State<Front>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let [name, test] = ["name=", "test="].map(|name| {
        let value = parameter(query.as_deref(), name).unwrap_or_default();
        let most = value.len().min(MOST_NAME);
        value.get(..most).unwrap_or_default().to_owned()
    });
    invoke_api::answer(&front, request, Source::Console { name, test }).await
}

/// The value of a parameter of the query, as it stands there.
fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    query?.split('&').find_map(|part| part.strip_prefix(name))
}

/// Ends the sandbox and starts another one, once no invocation is under way.
async fn restart(State(front): State<Front>) -> StatusCode {
    front.console.restart.notify_one();
    StatusCode::ACCEPTED
}
