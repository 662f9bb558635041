//! Lambda's Runtime API (2018-06-01), the client's side.
//!
//! Source: "Using the Lambda runtime API for custom runtimes" in AWS's documentation.

pub mod delivery;
pub mod extension;

use std::error::Error as _;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRAILER, USER_AGENT};
use reqwest::{Body, Response, StatusCode};

use crate::cgi::params::LambdaContext;
use crate::event::stream::PRELUDE_TYPE;
use crate::failure::Failure;
use crate::log::Context;

/// One event to answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Lambda's id of the invocation.
    pub request_id: String,
    /// Milliseconds since 1970.
    pub deadline_ms: Option<u64>,
    /// Which function, version or alias was invoked.
    pub function_arn: Option<String>,
    /// X-Ray's header.
    pub trace_id: Option<String>,
    /// JSON of the mobile SDKs.
    pub client_context: Option<String>,
    /// JSON of Cognito.
    pub identity: Option<String>,
    /// For which tenant of a multi-tenant function.
    pub tenant_id: Option<String>,
    /// Given back with the answer, so that a late one is not taken for the next invocation's.
    pub invocation_id: Option<String>,
    /// The event as it came.
    pub event: Vec<u8>,
}

impl Invocation {
    /// Whose lines of the log it is.
    pub fn log_context(&self) -> Context {
        Context {
            request_id: Some(self.request_id.clone()),
            tenant_id: self.tenant_id.clone(),
        }
    }

    /// What PHP gets to see beside the event.
    pub fn context(&self) -> LambdaContext<'_> {
        LambdaContext {
            request_id: &self.request_id,
            deadline_ms: self.deadline_ms,
            function_arn: self.function_arn.as_deref(),
            trace_id: self.trace_id.as_deref(),
            client_context: self.client_context.as_deref(),
            identity: self.identity.as_deref(),
            tenant_id: self.tenant_id.as_deref(),
        }
    }
}

/// A call that did not succeed.
#[derive(Debug)]
pub enum Error {
    /// Lambda does not want this call (400, 403, 410, 413): log it and go on to the next invocation.
    Refused(String),
    /// Lambda has hung up, or there is no Runtime API: log it and go on. When it does not come back, exit.
    Unreachable(String),
    /// The sandbox cannot go on (500): exit.
    Fatal(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Refused(text) | Error::Unreachable(text) | Error::Fatal(text) => {
                f.write_str(text)
            }
        }
    }
}

impl std::error::Error for Error {}

/// The client. It keeps one connection for each call under way.
#[derive(Clone)]
pub struct RuntimeApi {
    client: reqwest::Client,
    /// `http://` and the address.
    origin: String,
    user_agent: HeaderValue,
}

const ERROR_TYPE: HeaderName = HeaderName::from_static("lambda-runtime-function-error-type");
const ERROR_BODY: HeaderName = HeaderName::from_static("lambda-runtime-function-error-body");
const INVOCATION_ID: HeaderName = HeaderName::from_static("lambda-runtime-invocation-id");
const RESPONSE_MODE: HeaderName = HeaderName::from_static("lambda-runtime-function-response-mode");

impl RuntimeApi {
    /// `address` is `host:port`.
    pub fn new(address: &str) -> RuntimeApi {
        RuntimeApi {
            client: client(),
            origin: format!("http://{address}"),
            user_agent: user_agent(""),
        }
    }

    /// The same with connections of its own: those from before a snapshot are dead.
    pub fn reconnected(&self) -> RuntimeApi {
        RuntimeApi {
            client: client(),
            ..self.clone()
        }
    }

    /// Names PHP's version in the User-Agent from here on.
    pub fn set_php_version(&mut self, version: &str) {
        self.user_agent = user_agent(&format!(" (php/{version})"));
    }

    /// Waits for the next invocation, however long it takes.
    pub async fn next(&self) -> Result<Invocation, Error> {
        let mut response = self.get("/invocation/next").await?;
        let headers = response.headers();
        let text = |name: &str| -> Option<String> {
            let value = String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned();
            (!value.is_empty()).then_some(value)
        };
        let mut invocation = Invocation {
            request_id: text("Lambda-Runtime-Aws-Request-Id").ok_or_else(|| {
                Error::Fatal("GET /invocation/next came back without a request id".into())
            })?,
            deadline_ms: text("Lambda-Runtime-Deadline-Ms")
                .and_then(|deadline| deadline.parse().ok()),
            function_arn: text("Lambda-Runtime-Invoked-Function-Arn"),
            trace_id: text("Lambda-Runtime-Trace-Id"),
            client_context: text("Lambda-Runtime-Client-Context"),
            identity: text("Lambda-Runtime-Cognito-Identity"),
            tenant_id: text("Lambda-Runtime-Aws-Tenant-Id"),
            invocation_id: text(INVOCATION_ID.as_str()),
            // read into one buffer of the right size: an event has up to 6 MB
            event: Vec::with_capacity(response.content_length().unwrap_or(0).min(8 << 20) as usize),
        };
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| unreachable("GET /invocation/next", &error))?
        {
            invocation.event.extend_from_slice(&chunk);
        }
        Ok(invocation)
    }

    /// Posts an answer as it is.
    pub async fn respond(&self, invocation: &Invocation, answer: Vec<u8>) -> Result<(), Error> {
        self.post(
            &self.path_of(invocation, "response"),
            invocation_id(invocation),
            answer.into(),
        )
        .await
    }

    /// Posts an answer while it is made: its head as [`PRELUDE_TYPE`] demands, then the body, and after a failure trailers.
    async fn respond_stream(&self, invocation: &Invocation, body: Body) -> Result<(), Error> {
        let mut headers = invocation_id(invocation);
        headers.insert(RESPONSE_MODE, HeaderValue::from_static("streaming"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PRELUDE_TYPE));
        // without this header trailers are not sent
        for trailer in [ERROR_TYPE, ERROR_BODY] {
            headers.append(TRAILER, trailer.into());
        }
        let path = self.path_of(invocation, "response");
        self.post(&path, headers, body).await
    }

    /// Reports that an invocation failed.
    pub async fn fail(&self, invocation: &Invocation, failure: &Failure) -> Result<(), Error> {
        let path = self.path_of(invocation, "error");
        self.fail_at(&path, invocation_id(invocation), failure)
            .await
    }

    /// Reports that the function cannot start; the process has to exit then.
    pub async fn fail_init(&self, failure: &Failure) -> Result<(), Error> {
        self.fail_at("/init/error", HeaderMap::new(), failure).await
    }

    /// Under SnapStart: says that the snapshot can be taken, and waits until a sandbox is restored from it.
    pub async fn restored(&self) -> Result<(), Error> {
        let response = self.get("/restore/next").await?;
        told(response).await;
        Ok(())
    }

    /// Reports that the function cannot go on after a restore; the process has to exit then.
    pub async fn fail_restore(&self, failure: &Failure) -> Result<(), Error> {
        self.fail_at("/restore/error", HeaderMap::new(), failure)
            .await
    }

    /// A long poll.
    async fn get(&self, path: &str) -> Result<Response, Error> {
        let request = self.client.get(self.url(path));
        let sent = request.header(USER_AGENT, &self.user_agent).send().await;
        let response = sent.map_err(|error| unreachable(&format!("GET {path}"), &error))?;
        match response.status() {
            StatusCode::OK => Ok(response),
            status if status.is_client_error() => {
                let text = told(response).await;
                Err(Error::Refused(format!("GET {path} was refused: {text}")))
            }
            _ => {
                let text = told(response).await;
                Err(Error::Fatal(format!("GET {path} failed: {text}")))
            }
        }
    }

    async fn fail_at(
        &self,
        path: &str,
        mut headers: HeaderMap,
        failure: &Failure,
    ) -> Result<(), Error> {
        headers.insert(ERROR_TYPE, HeaderValue::from_static(failure.error_type()));
        self.post(path, headers, failure.to_json().into()).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}/2018-06-01/runtime{path}", self.origin)
    }

    fn path_of(&self, invocation: &Invocation, call: &str) -> String {
        format!("/invocation/{}/{call}", invocation.request_id)
    }

    async fn post(&self, path: &str, mut headers: HeaderMap, body: Body) -> Result<(), Error> {
        headers.insert(USER_AGENT, self.user_agent.clone());
        headers
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("application/json"));
        let request = self.client.post(self.url(path)).headers(headers).body(body);
        let response = request
            .send()
            .await
            .map_err(|error| unreachable(&format!("POST {path}"), &error))?;
        let status = response.status();
        let text = told(response).await;
        match status {
            status if status.is_success() => Ok(()),
            status if status.is_client_error() => {
                Err(Error::Refused(format!("POST {path} was refused: {text}")))
            }
            _ => Err(Error::Fatal(format!("POST {path} failed: {text}"))),
        }
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        // an http_proxy in the function's environment is for the function's own calls
        .no_proxy()
        .tcp_nodelay(true)
        // the sandbox can be frozen for hours between two calls
        .pool_idle_timeout(None)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("the client has no TLS and no resolver that could fail")
}

fn user_agent(php: &str) -> HeaderValue {
    let text = format!("php-fpm-lambda/{}{php}", env!("CARGO_PKG_VERSION"));
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("php-fpm-lambda"))
}

fn invocation_id(invocation: &Invocation) -> HeaderMap {
    let id = invocation
        .invocation_id
        .as_deref()
        .and_then(|id| HeaderValue::from_str(id).ok());
    id.map(|id| (INVOCATION_ID, id)).into_iter().collect()
}

/// The status and what Lambda says; reading it also frees the connection for the next call.
async fn told(response: Response) -> String {
    let status = response.status();
    let body = response.bytes().await.unwrap_or_default();
    format!(
        "{status} {}",
        String::from_utf8_lossy(&body[..body.len().min(1000)]).trim()
    )
}

fn unreachable(call: &str, error: &reqwest::Error) -> Error {
    let cause = error
        .source()
        .map(|cause| format!(" ({cause})"))
        .unwrap_or_default();
    Error::Unreachable(format!(
        "{call}: the Runtime API cannot be reached: {error}{cause}"
    ))
}
