//! A local Lambda for any `bootstrap`: what `lambda-local` runs.
//!
//! The path of one request, from door to door:
//!
//! ```text
//! deployment   before all requests: zips and layers into the places that Lambda has for them
//!
//! gateway      HTTP request → payload 2.0 event            invoke_api   the event as it is
//!  → invocation   an event with its ids, put into the queue
//!   → environment  takes as many at a time as the function may have: init, deadline, START … REPORT
//!    → init         a sandbox from its start until the runtime waits; with SnapStart the restore as well
//!    → sandbox      one bootstrap with a Runtime API of its own, from start to kill
//!     → runtime_api  /next, /response, /error over HTTP      extensions_api  /register, /event/next
//!      → protocol     which call is allowed when (no sockets, no clock)
//!     → stream       a streamed answer, chunk by chunk past all of these
//!     → process      the child: start, wait, memory, kill of all that it started
//!     → output       its stdout and stderr, line by line
//!  console      beside all of these: told what happens, and shows it at /_console
//!  ← gateway      the function's answer → HTTP response     ← invoke_api   the answer as it is
//! ```
//!
//! Nothing is imported from the runtime, so that this stays an honest double of Lambda: a mistake in the
//! runtime's view of the Runtime API cannot hide in code that both use.

mod body;
mod broken;
mod calls;
pub mod cli;
mod console;
pub mod deployment;
mod environment;
mod extensions;
mod extensions_api;
mod failure;
pub mod function;
mod gateway;
mod init;
pub mod initialization;
mod invocation;
mod invoke_api;
pub mod log;
pub mod options;
mod output;
mod process;
mod protocol;
mod refusal;
mod report;
mod runtime_api;
mod sandbox;
pub mod setup_error;
mod stream;
mod watched;

use std::{future::Future, io, net::SocketAddr, sync::Arc};

use axum::{
    Router, extract::connect_info::IntoMakeServiceWithConnectInfo, routing::post,
    serve::ListenerExt,
};
use tokio::{net::TcpListener, sync::Notify};

use crate::local::{
    console::{Console, recorder::Recorder},
    environment::Environment,
    function::Function,
    invocation::Queue,
    log::Log,
    setup_error::SetupError,
};

/// Opens the address people connect to; the error says what to do when the port is taken.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, SetupError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| SetupError::Listen {
            option: "--listen",
            address,
            source,
        })
}

/// Serves `function` on `listener` until `shutdown` completes, then ends every process that was started.
///
/// # Errors
/// Only when the listener itself fails; whatever the function does is answered and logged.
pub async fn run(
    function: Function,
    listener: TcpListener,
    log: Log,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    // An unspecified address is none that one could open.
    let place = if address.ip().is_unspecified() {
        format!("port {} of all interfaces", address.port())
    } else {
        format!("http://{address}")
    };
    log.line(format!(
        "Listening on {place} ({}, Ctrl-C to stop); the test console is at /_console",
        subject(&function)
    ));
    let (queue, mut invocations) = Queue::new();
    let recorder = Recorder::new()?;
    let log = log.told_to(recorder.clone());
    let restart = Arc::new(Notify::new());
    let front = Front {
        queue,
        log: log.clone(),
        port: address.port(),
        recorder: recorder.clone(),
        console: Console::new(&function, Arc::clone(&restart)),
    };
    let mut environment = Environment::new(function, log, recorder, restart);
    let listener = listener.tap_io(|stream| {
        // Best effort: without it an answer is only later, not wrong.
        let _ = stream.set_nodelay(true);
    });
    let result = tokio::select! {
        result = axum::serve(listener, service(front)) => result,
        () = environment.serve(&mut invocations) => Ok(()),
        () = shutdown => Ok(()),
    };
    environment.stop().await;
    result
}

fn subject(function: &Function) -> String {
    match function.runtime_api.as_ref().map(|api| api.local_addr()) {
        Some(Ok(address)) => format!("Runtime API at http://{address} for a runtime of yours"),
        Some(Err(error)) => format!("Runtime API for a runtime of yours ({error})"),
        None => format!("function {}", function.root.display()),
    }
}

/// What the HTTP side needs of the rest: where invocations go, and what port this is.
#[derive(Clone)]
struct Front {
    queue: Queue,
    log: Log,
    port: u16,
    recorder: Recorder,
    console: Console,
}

fn service(front: Front) -> IntoMakeServiceWithConnectInfo<Router, SocketAddr> {
    Router::new()
        .route(invoke_api::PATH, post(invoke_api::handle))
        .merge(console::router())
        .fallback(gateway::handle)
        .with_state(front)
        .into_make_service_with_connect_info()
}
