//! A local Lambda inside the test, whose bootstrap is a small Python program that each test writes.

use std::fmt::Debug;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use php_fpm_lambda::local;
use php_fpm_lambda::local::function::Function;
use php_fpm_lambda::local::log::Log;
use php_fpm_lambda::local::options::Options;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::lambda::chmod;

const INVOKE: &str = "2015-03-31/functions/function/invocations";

/// What every bootstrap of these tests begins with.
const PRELUDE: &str = r#"#!/usr/bin/env python3
import http.client, json, os, subprocess, sys, time

def call(method, path, body=None, headers={}):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    connection.request(method, "/2018-06-01/runtime/" + path, body, headers)
    response = connection.getresponse()
    return response.status, dict(response.headers), response.read()

def next():
    status, headers, event = call("GET", "invocation/next")
    return headers["lambda-runtime-aws-request-id"], headers, event

def respond(id, value, headers={}):
    return call("POST", f"invocation/{id}/response", json.dumps(value), headers)[0]
"#;

/// Answers each event with what the runtime knows of it.
pub const ECHO: &str = r#"
while True:
    id, headers, event = next()
    respond(id, {"headers": headers, "event": event.decode(), "env": dict(os.environ), "cwd": os.getcwd()})
"#;

/// A local Lambda that runs inside the test, and its log.
pub struct Local {
    pub client: Client,
    pub address: SocketAddr,
    lines: mpsc::UnboundedReceiver<String>,
    shutdown: oneshot::Sender<()>,
    running: JoinHandle<io::Result<()>>,
    pub folder: TempDir,
}

impl Local {
    pub async fn start(script: &str) -> Self {
        Self::start_with(script, |_| {}).await
    }

    pub async fn start_with(script: &str, configure: impl FnOnce(&mut Function)) -> Self {
        let folder = folder_with(script);
        let mut function = Function::try_from(options(folder.path())).unwrap();
        configure(&mut function);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, lines) = mpsc::unbounded_channel();
        let log = Log::new(Lines {
            sender,
            rest: Vec::new(),
        })
        .unwrap();
        let (shutdown, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(local::run(function, listener, log, async {
            let _ = stopped.await;
        }));
        let client = Client::builder().no_proxy().build().unwrap();
        Self {
            client,
            address,
            lines,
            shutdown,
            running,
            folder,
        }
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("http://{}{path}", self.address))
    }

    pub fn invoke(&self, event: impl Into<reqwest::Body>) -> RequestBuilder {
        self.client
            .post(format!("http://{}/{INVOKE}", self.address))
            .body(event)
    }

    pub async fn invoke_json(&self, event: &'static str) -> Value {
        let response = self.invoke(event).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.headers().get("x-amz-function-error").is_none());
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    }

    /// Invokes and expects a function error.
    pub async fn invoke_error(&self, event: &'static str) -> Value {
        let response = self.invoke(event).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["x-amz-function-error"], "Unhandled");
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    }

    /// Sends a request byte for byte, and returns all that comes back until the end of the connection.
    pub async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Waits for a line of the log that contains `text`; lines before it are gone then.
    pub async fn line(&mut self, text: &str) -> String {
        self.lines_until(text).await.pop().unwrap()
    }

    pub async fn lines_until(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let next = tokio::time::timeout(Duration::from_secs(60), self.lines.recv()).await;
            let Ok(Some(line)) = next else {
                panic!("no line with {text:?} in {lines:#?}")
            };
            let found = line.contains(text);
            lines.push(line);
            if found {
                return lines;
            }
        }
    }

    /// Stops it, and gives the rest of the log.
    pub async fn stop_with_log(mut self) -> Vec<String> {
        self.shutdown.send(()).unwrap();
        self.running.await.unwrap().unwrap();
        let mut lines = Vec::new();
        // It ends with the log.
        while let Some(line) = self.lines.recv().await {
            lines.push(line);
        }
        lines
    }

    pub async fn stop(self) {
        self.shutdown.send(()).unwrap();
        self.running.await.unwrap().unwrap();
    }
}

/// A sink that sends the log on, line by line.
struct Lines {
    sender: mpsc::UnboundedSender<String>,
    rest: Vec<u8>,
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let _ = self
                .sender
                .send(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub fn folder_with(script: &str) -> TempDir {
    let python = Command::new("python3").arg("--version").output();
    assert!(
        python.is_ok(),
        "these tests need Python: apt-get install python3"
    );
    let folder = tempfile::tempdir().unwrap();
    let bootstrap = folder.path().join("bootstrap");
    fs::write(&bootstrap, format!("{PRELUDE}{script}")).unwrap();
    chmod(&bootstrap, 0o755);
    folder
}

fn options(folder: &Path) -> Options {
    Options {
        listen: ([127, 0, 0, 1], 0).into(),
        bootstrap: None,
        handler: "public/index.php".into(),
        layers: Vec::new(),
        runtime_api: None,
        timeout: Some(60),
        memory: 512,
        concurrency: None,
        snapstart: false,
        env: vec![("MY_NAME".into(), "value".into())],
        function: Some(folder.into()),
        is_deployed: false,
    }
}

/// The number at the end of a line.
pub fn last_number<N: FromStr<Err: Debug>>(line: &str) -> N {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}
