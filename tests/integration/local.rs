//! The local Lambda with real bootstraps: small Python programs that each test writes.
#![allow(clippy::unwrap_used, reason = "in a test an unwrap is an assertion")]

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::{
        fs::PermissionsExt,
        process::{CommandExt, ExitStatusExt},
    },
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use php_fpm_lambda::local::{self, function::Function, log::Log, options::Options};
use reqwest::{Client, RequestBuilder, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

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
const ECHO: &str = r#"
while True:
    id, headers, event = next()
    respond(id, {"headers": headers, "event": event.decode(), "env": dict(os.environ), "cwd": os.getcwd()})
"#;

/// A local Lambda that runs inside the test, and its log.
pub(crate) struct Local {
    pub(crate) client: Client,
    pub(crate) address: SocketAddr,
    lines: mpsc::UnboundedReceiver<String>,
    shutdown: oneshot::Sender<()>,
    running: JoinHandle<io::Result<()>>,
    pub(crate) folder: TempDir,
}

impl Local {
    pub(crate) async fn start(script: &str) -> Self {
        Self::start_with(script, |_| {}).await
    }

    pub(crate) async fn start_with(script: &str, configure: impl FnOnce(&mut Function)) -> Self {
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

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("http://{}{path}", self.address))
    }

    pub(crate) fn invoke(&self, event: impl Into<reqwest::Body>) -> RequestBuilder {
        self.client
            .post(format!("http://{}/{INVOKE}", self.address))
            .body(event)
    }

    pub(crate) async fn invoke_json(&self, event: &'static str) -> Value {
        let response = self.invoke(event).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.headers().get("x-amz-function-error").is_none());
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    }

    /// Invokes and expects a function error.
    pub(crate) async fn invoke_error(&self, event: &'static str) -> Value {
        let response = self.invoke(event).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["x-amz-function-error"], "Unhandled");
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    }

    /// Waits for a line of the log that contains `text`; lines before it are gone then.
    pub(crate) async fn line(&mut self, text: &str) -> String {
        self.lines_until(text).await.pop().unwrap()
    }

    pub(crate) async fn lines_until(&mut self, text: &str) -> Vec<String> {
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
    pub(crate) async fn stop_with_log(mut self) -> Vec<String> {
        self.shutdown.send(()).unwrap();
        self.running.await.unwrap().unwrap();
        let mut lines = Vec::new();
        // It ends with the log.
        while let Some(line) = self.lines.recv().await {
            lines.push(line);
        }
        lines
    }

    pub(crate) async fn stop(self) {
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

pub(crate) fn folder_with(script: &str) -> TempDir {
    let python = Command::new("python3").arg("--version").output();
    assert!(
        python.is_ok(),
        "these tests need Python: apt-get install python3"
    );
    let folder = tempfile::tempdir().unwrap();
    let bootstrap = folder.path().join("bootstrap");
    fs::write(&bootstrap, format!("{PRELUDE}{script}")).unwrap();
    fs::set_permissions(&bootstrap, fs::Permissions::from_mode(0o755)).unwrap();
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

pub(crate) fn last_number(line: &str) -> i32 {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Whether a process is there and more than a zombie, which an orphan is until init has waited for it.
pub(crate) fn is_running(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|status| !status.contains("\nState:\tZ"))
}

#[tokio::test]
async fn the_function_has_lambdas_environment_and_none_of_ours() {
    let local = Local::start(ECHO).await;
    let answer = local.invoke_json("{}").await;
    let root = local.folder.path().canonicalize().unwrap();
    let env = &answer["env"];
    assert_eq!(answer["cwd"], json!(root));
    assert_eq!(env["LAMBDA_TASK_ROOT"], json!(root));
    assert_eq!(env["_HANDLER"], "public/index.php");
    assert_eq!(env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"], "512");
    assert_eq!(env["AWS_LAMBDA_INITIALIZATION_TYPE"], "on-demand");
    assert_eq!(env["TZ"], ":UTC");
    assert_eq!(env["MY_NAME"], "value");
    // Cargo sets this one for the test itself.
    assert_eq!(env["CARGO_MANIFEST_DIR"], Value::Null);
    assert_eq!(env["HOME"], Value::Null);
    local.stop().await;
}

#[tokio::test]
async fn next_carries_lambdas_headers() {
    let local = Local::start(ECHO).await;
    let request = local
        .invoke(r#"{ "a" : 1 }"#)
        .header("X-Amz-Client-Context", "eyJjdXN0b20iOnt9fQ==")
        .header("X-Amz-Tenant-Id", "blue");
    let response = request.send().await.unwrap();
    let request_id = response.headers()["x-amzn-requestid"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(response.headers()["x-amz-executed-version"], "$LATEST");
    let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(answer["event"], r#"{ "a" : 1 }"#);
    let headers = &answer["headers"];
    assert_eq!(headers["lambda-runtime-aws-request-id"], json!(request_id));
    assert_eq!(headers["lambda-runtime-client-context"], r#"{"custom":{}}"#);
    assert_eq!(headers["lambda-runtime-aws-tenant-id"], "blue");
    assert!(
        headers["lambda-runtime-trace-id"]
            .as_str()
            .unwrap()
            .starts_with("Root=1-")
    );
    assert!(
        headers["lambda-runtime-invoked-function-arn"]
            .as_str()
            .unwrap()
            .starts_with("arn:aws:lambda:")
    );
    assert!(headers["lambda-runtime-invocation-id"].is_string());
    assert!(
        headers["lambda-runtime-deadline-ms"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 1_700_000_000_000
    );
    local.stop().await;
}

#[tokio::test]
async fn http_becomes_an_event_and_the_answer_becomes_http() {
    let local = Local::start(
        r#"
while True:
    id, headers, event = next()
    event = json.loads(event)
    respond(id, {
        "statusCode": 404,
        "headers": {"Content-Type": "text/plain; charset=utf-8", "X-Path": event["rawPath"], "Content-Length": "7"},
        "cookies": ["a=1", "b=2"],
        "body": event["rawQueryString"] + " " + event["headers"]["x-forwarded-port"] + " " + event.get("body", ""),
    })
"#,
    )
    .await;
    let port = local.address.port();
    let request = local
        .client
        .post(format!("http://{}/a%2Fb//c?x=%20&y", local.address))
        .body("héllo");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.headers()["x-path"], "/a%2Fb//c");
    let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    let expected = format!("x=%20&y {port} héllo");
    assert_eq!(
        response.headers()["content-length"],
        expected.len().to_string().as_str()
    );
    assert_eq!(response.text().await.unwrap(), expected);

    let head = local
        .client
        .head(format!("http://{}/?x", local.address))
        .send()
        .await
        .unwrap();
    assert_eq!(
        head.headers()["content-length"],
        format!("x {port} ").len().to_string().as_str()
    );
    assert_eq!(head.text().await.unwrap(), "");
    local.stop().await;
}

#[tokio::test]
async fn invocations_wait_for_one_another() {
    let local = Local::start(
        r#"
count = 0
while True:
    id, headers, event = next()
    count += 1
    respond(id, count)
"#,
    )
    .await;
    let (one, two, three) = tokio::join!(
        local.invoke_json("{}"),
        local.invoke_json("{}"),
        local.invoke_json("{}")
    );
    let mut counts = [one, two, three].map(|count| count.as_u64().unwrap());
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 3]);
    local.stop().await;
}

#[tokio::test]
async fn every_invocation_is_reported_and_init_once() {
    let mut local = Local::start(
        r#"
print("cold", flush=True)
while True:
    id, headers, event = next()
    print("to stdout", flush=True)
    print("to stderr", file=sys.stderr)
    print("x" * 262144, flush=True)
    respond(id, None)
"#,
    )
    .await;
    local.invoke_json("{}").await;
    let lines = local.lines_until("REPORT").await;
    let kinds: Vec<_> = lines
        .iter()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let position = |kind| kinds.iter().position(|other| *other == kind).unwrap();
    assert!(position("cold") < position("END") && position("START") < position("to"));
    assert_eq!(
        lines[position("to")..position("to") + 2],
        ["to stdout", "to stderr"]
    );
    assert_eq!(lines[position("END") - 1].len(), 262_144);
    let report = lines.last().unwrap();
    assert!(
        report.contains("\tMemory Size: 512 MB\tMax Memory Used: "),
        "{report}"
    );
    assert!(!report.contains("Max Memory Used: 0 MB"), "{report}");
    assert!(report.contains("\tInit Duration: "), "{report}");
    local.invoke_json("{}").await;
    assert!(!local.line("REPORT").await.contains("Init Duration"));
    local.stop().await;
}

#[tokio::test]
async fn a_bootstrap_that_exits_is_an_exit_error_and_is_started_again() {
    let mut local = Local::start(
        r#"
id, headers, event = next()
if event == b'"exit"': sys.exit(3)
if event == b'"kill"': os.kill(os.getpid(), 9)
respond(id, os.getpid())
next()
"#,
    )
    .await;
    let exit = local.invoke_error("\"exit\"").await;
    assert_eq!(exit["errorType"], "Runtime.ExitError");
    let message = exit["errorMessage"].as_str().unwrap();
    assert!(message.starts_with("RequestId: "), "{message}");
    assert!(
        message.ends_with(" Error: Runtime exited with error: exit status 3"),
        "{message}"
    );
    let report = local.line("REPORT").await;
    assert!(
        report.ends_with("\tStatus: error\tError Type: Runtime.ExitError"),
        "{report}"
    );

    let kill = local.invoke_error("\"kill\"").await;
    assert!(
        kill["errorMessage"]
            .as_str()
            .unwrap()
            .ends_with("signal: killed"),
        "{kill}"
    );
    assert!(local.invoke_json("{}").await.is_number());
    local.stop().await;
}

#[tokio::test]
async fn a_bootstrap_that_exits_after_its_answer_costs_nobody_an_answer() {
    let mut local = Local::start(
        r#"
id, headers, event = next()
respond(id, "done")
sys.exit(4)
"#,
    )
    .await;
    assert_eq!(local.invoke_json("{}").await, "done");
    local
        .line("Error: Runtime exited with error: exit status 4")
        .await;
    assert_eq!(local.invoke_json("{}").await, "done");
    local.stop().await;
}

#[tokio::test]
async fn a_bootstrap_that_ends_between_invocations_is_started_again() {
    let mut local = Local::start(
        r#"
print("pid", os.getpid(), flush=True)
while True:
    id, headers, event = next()
    respond(id, os.getpid())
"#,
    )
    .await;
    let pid = local.invoke_json("{}").await;
    local.line("REPORT").await;
    let raw = i32::try_from(pid.as_i64().unwrap()).unwrap();
    kill_process(Pid::from_raw(raw).unwrap(), Signal::KILL).unwrap();
    local.line("ended between invocations").await;
    assert_ne!(local.invoke_json("{}").await, pid);
    local.stop().await;
}

#[tokio::test]
async fn a_time_out_kills_all_that_was_started() {
    let mut local = Local::start_with(
        r#"
while True:
    id, headers, event = next()
    if event == b'"hang"':
        # One that left the process group and the session, and one that lost its parent besides.
        print("child", subprocess.Popen(["setsid", "sleep", "1000"]).pid, flush=True)
        subprocess.run("sleep 1000 & echo orphan $!", shell=True, start_new_session=True)
        time.sleep(1000)
    respond(id, "fine")
"#,
        // Long enough for the init that comes with the invocation after it.
        |function| function.timeout = Duration::from_secs(5),
    )
    .await;
    let error = local.invoke_error("\"hang\"").await;
    assert_eq!(error["errorType"], "Sandbox.Timedout");
    let message = error["errorMessage"].as_str().unwrap();
    assert!(
        message.ends_with(" Error: Task timed out after 5.00 seconds"),
        "{message}"
    );
    let lines = local.lines_until("REPORT").await;
    assert!(
        lines
            .iter()
            .any(|line| line.ends_with(" Task timed out after 5.00 seconds")),
        "{lines:#?}"
    );
    assert!(lines.last().unwrap().contains("\tBilled Duration: "));
    assert!(lines.last().unwrap().ends_with("\tStatus: timeout"));
    for name in ["child ", "orphan "] {
        let line = lines.iter().find(|line| line.starts_with(name)).unwrap();
        assert!(!is_running(last_number(line)), "{line}");
    }
    assert_eq!(local.invoke_json("{}").await, "fine");
    assert!(!local.line("REPORT").await.contains("Init Duration"));

    let over_http = local.get("/").body("").send().await.unwrap();
    assert_eq!(over_http.status(), StatusCode::OK);
    local.stop().await;
}

#[tokio::test]
async fn calls_that_are_not_due_are_refused() {
    let mut local = Local::start(
        r#"
id, headers, event = next()
own = headers["lambda-runtime-invocation-id"]
print("codes",
    call("GET", "invocation/next")[0],
    respond("00000000-0000-4000-8000-000000000000", 1),
    respond(id, 1, {"Lambda-Runtime-Invocation-Id": "another"}),
    call("POST", "init/error", "{}")[0],
    call("GET", "restore/next")[0],
    call("GET", "nothing")[0],
    respond(id, 2, {"Lambda-Runtime-Invocation-Id": own}),
    respond(id, 3),
    call("POST", f"invocation/{id}/error", "{}")[0],
    flush=True)
next()
"#,
    )
    .await;
    assert_eq!(local.invoke_json("{}").await, 2);
    assert_eq!(
        local.line("codes ").await,
        "codes 403 400 410 403 404 404 202 403 403"
    );
    local.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_too_large_fails_the_invocation() {
    let mut local = Local::start(
        r#"
while True:
    id, headers, event = next()
    print("status", respond(id, "x" * json.loads(event)), flush=True)
"#,
    )
    .await;
    // Two quotes make it 6,291,556 bytes.
    let largest = local.invoke_json("6291554").await;
    assert_eq!(largest.as_str().unwrap().len(), 6_291_554);
    assert_eq!(local.line("status ").await, "status 202");
    for size in ["6291555", "7000000"] {
        let error = local.invoke_error(size).await;
        assert_eq!(error["errorType"], "Function.ResponseSizeTooLarge");
        assert_eq!(local.line("status ").await, "status 413");
    }
    local.stop().await;
}

#[tokio::test]
async fn errors_are_passed_on_as_they_are() {
    let mut local = Local::start(
        r#"
while True:
    id, headers, event = next()
    headers = {"Lambda-Runtime-Function-Error-Type": event.decode()}
    call("POST", f"invocation/{id}/error", '{"errorType":"MyException","errorMessage":"no","stackTrace":["a"]}', headers)
"#,
    )
    .await;
    let error = local.invoke_error("Function.Exception").await;
    assert_eq!(
        error,
        json!({"errorType": "MyException", "errorMessage": "no", "stackTrace": ["a"]})
    );
    local.invoke_error("my.type").await;
    local
        .line("\"my.type\" is reported as Runtime.Unknown")
        .await;

    let response = local.get("/").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(
        response.text().await.unwrap(),
        r#"{"message":"Internal Server Error"}"#
    );
    let line = local.line("502 Bad Gateway").await;
    assert!(
        line.contains("GET /") && line.contains("MyException"),
        "{line}"
    );
    local.stop().await;
}

#[tokio::test]
async fn a_bad_answer_is_a_502_and_the_log_says_why() {
    let mut local = Local::start(
        r#"
while True:
    id, headers, event = next()
    call("POST", f"invocation/{id}/response", '{"statusCode":"200"}')
"#,
    )
    .await;
    let response = local.get("/").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    local
        .line("statusCode is \"200\"; it must be a whole number")
        .await;
    local.stop().await;
}

#[tokio::test]
async fn a_failed_init_is_tried_again_and_its_error_is_the_answer() {
    let mut local = Local::start(
        r#"
headers = {"Lambda-Runtime-Function-Error-Type": "Runtime.NoSuchHandler"}
print("status", call("POST", "init/error", '{"errorType":"Runtime.NoSuchHandler","errorMessage":"no"}', headers)[0], flush=True)
sys.exit(1)
"#,
    )
    .await;
    assert_eq!(local.line("status ").await, "status 202");
    let report = local.line("INIT_REPORT").await;
    assert!(
        report.ends_with("\tPhase: init\tStatus: error\tError Type: Runtime.NoSuchHandler"),
        "{report}"
    );
    let error = local.invoke_error("{}").await;
    assert_eq!(
        error,
        json!({"errorType": "Runtime.NoSuchHandler", "errorMessage": "no"})
    );
    assert!(
        local
            .line("INIT_REPORT")
            .await
            .contains("\tPhase: invoke\t")
    );
    assert!(
        local
            .line("REPORT RequestId")
            .await
            .ends_with("\tError Type: Runtime.NoSuchHandler")
    );
    local.stop().await;
}

#[tokio::test]
async fn an_init_that_only_failed_once_costs_no_invocation() {
    let mut local = Local::start(
        r#"
if not os.path.exists("tried"):
    open("tried", "w").close()
    sys.exit(1)
while True:
    id, headers, event = next()
    respond(id, "fine")
"#,
    )
    .await;
    local.line("INIT_REPORT").await;
    assert_eq!(local.invoke_json("{}").await, "fine");
    local.stop().await;
}

#[tokio::test]
async fn a_bootstrap_that_never_asks_is_broken_off() {
    let mut local = Local::start_with("time.sleep(1000)", |function| {
        function.init_limit = Duration::from_millis(100);
        function.timeout = Duration::from_millis(100);
    })
    .await;
    assert!(
        local
            .line("INIT_REPORT")
            .await
            .ends_with("\tPhase: init\tStatus: timeout")
    );
    assert_eq!(
        local.invoke_error("{}").await["errorType"],
        "Sandbox.Timedout"
    );
    assert!(
        local
            .line("INIT_REPORT")
            .await
            .ends_with("\tPhase: invoke\tStatus: timeout")
    );
    local.stop().await;
}

#[tokio::test]
async fn a_bootstrap_that_cannot_be_started_is_an_invalid_entrypoint() {
    let local = Local::start_with("", |function| function.bootstrap = "/dev/null".into()).await;
    let error = local.invoke_error("{}").await;
    assert_eq!(error["errorType"], "Runtime.InvalidEntrypoint");
    assert!(
        error["errorMessage"]
            .as_str()
            .unwrap()
            .contains("/dev/null"),
        "{error}"
    );
    local.stop().await;
}

/// A call to a fixed Runtime API.
async fn call(
    local: &Local,
    address: SocketAddr,
    path: &str,
    body: Option<&'static str>,
) -> (StatusCode, String, Option<String>) {
    let url = format!("http://{address}/2018-06-01/runtime/{path}");
    let request = match body {
        Some(body) => local.client.post(url).body(body),
        None => local.client.get(url),
    };
    let response = request.send().await.unwrap();
    let id = response.headers().get("lambda-runtime-aws-request-id");
    let id = id.map(|id| id.to_str().unwrap().to_owned());
    (response.status(), response.text().await.unwrap(), id)
}

#[tokio::test]
async fn whoever_asks_for_next_is_the_runtime() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut local = Local::start_with("", |function| {
        function.runtime_api = Some(std::sync::Arc::new(listener));
        function.bootstrap = "/does/not/exist".into();
        function.timeout = Duration::from_millis(300);
    })
    .await;
    let invoke = |event: &'static str| tokio::spawn(local.invoke(event).send());

    let caller = invoke("1");
    let (_, event, id) = call(&local, address, "invocation/next", None).await;
    assert_eq!(event, "1");
    let path = format!("invocation/{}/response", id.unwrap());
    let (status, ..) = call(&local, address, &path, Some("one")).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(caller.await.unwrap().unwrap().text().await.unwrap(), "one");

    // Nobody is killed by a time-out: the late answer is refused, and the runtime goes on.
    let caller = invoke("2");
    let (_, event, id) = call(&local, address, "invocation/next", None).await;
    assert_eq!(event, "2");
    let answer = caller.await.unwrap().unwrap().text().await.unwrap();
    assert!(answer.contains("Sandbox.Timedout"), "{answer}");
    let path = format!("invocation/{}/response", id.unwrap());
    let (status, ..) = call(&local, address, &path, Some("late")).await;
    assert_eq!(status, StatusCode::GONE);

    let caller = invoke("3");
    let (_, event, id) = call(&local, address, "invocation/next", None).await;
    assert_eq!(event, "3");
    let path = format!("invocation/{}/response", id.unwrap());
    call(&local, address, &path, Some("three")).await;
    assert_eq!(
        caller.await.unwrap().unwrap().text().await.unwrap(),
        "three"
    );

    let (status, ..) = call(&local, address, "no/such/call", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    local
        .line("called: GET /2018-06-01/runtime/invocation/next, which waits for an event")
        .await;
    local
        .line("answered: POST /2018-06-01/runtime/invocation/")
        .await;
    local.stop().await;
}

#[tokio::test]
async fn requests_that_lambda_would_refuse() {
    let mut local = Local::start(ECHO).await;
    let large = local.invoke(vec![b' '; 6_291_557]).send().await.unwrap();
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    // As base64 it is over the limit.
    let post = local.client.post(format!("http://{}/", local.address));
    let binary = post.body(vec![0xff; 5_000_000]).send().await.unwrap();
    assert_eq!(binary.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(binary.text().await.unwrap().contains("base64"));
    let page = local
        .invoke("{}")
        .header("Origin", "http://example.org")
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), StatusCode::FORBIDDEN);
    let console = local.get("/_console/x").send().await.unwrap();
    assert_eq!(console.status(), StatusCode::NOT_FOUND);
    // None of them reached the function; this one does, though it is not JSON.
    assert_eq!(local.invoke_json("not json").await["event"], "not json");
    let lines = local.lines_until("REPORT").await;
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.starts_with("START"))
            .count(),
        1,
        "{lines:#?}"
    );
    local.stop().await;
}

#[tokio::test]
async fn a_flood_of_output_is_complete_and_blocks_nobody() {
    let mut local = Local::start(
        r#"
while True:
    id, headers, event = next()
    for number in range(100000):
        print("line", number)
    sys.stdout.flush()
    respond(id, "fine")
"#,
    )
    .await;
    assert_eq!(local.invoke_json("{}").await, "fine");
    let lines = local.lines_until("END").await;
    let numbers: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("line "))
        .map(|line| last_number(line))
        .collect();
    assert!(numbers.into_iter().eq(0..100_000));
    local.stop().await;
}

#[tokio::test]
async fn output_without_end_holds_nothing_up() {
    let local = Local::start_with(
        r#"
subprocess.Popen(["yes", "x" * 1000])
while True:
    id, headers, event = next()
    if event == b'"hang"': time.sleep(1000)
    respond(id, "fine")
"#,
        |function| function.timeout = Duration::from_secs(1),
    )
    .await;
    assert_eq!(local.invoke_json("{}").await, "fine");
    assert_eq!(
        local.invoke_error("\"hang\"").await["errorType"],
        "Sandbox.Timedout"
    );
    local.stop().await;
}

#[tokio::test]
async fn a_line_without_its_end_belongs_to_the_invocation_that_wrote_it() {
    let mut local = Local::start(
        r#"
while True:
    id, headers, event = next()
    print("half a line", end="", flush=True)
    respond(id, 1)
"#,
    )
    .await;
    local.invoke_json("{}").await;
    let lines = local.lines_until("REPORT").await;
    assert!(lines.iter().any(|line| line == "half a line"), "{lines:#?}");
    local.stop().await;
}

/// Sends `request` as it is and returns all that comes back.
pub(crate) async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn headers_of_the_connection_stay_with_it() {
    let local = Local::start(
        r#"
while True:
    id, headers, event = next()
    respond(id, json.loads(event)["headers"])
"#,
    )
    .await;
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nKeep-Alive: 5\r\nProxy-Authorization: x\r\n\
        TE: trailers\r\nTrailer: x\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let answer = raw(local.address, chunked).await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let headers: serde_json::Map<String, Value> = serde_json::from_str(body).unwrap();
    let names: Vec<_> = headers.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "content-length",
            "host",
            "x-amzn-trace-id",
            "x-forwarded-for",
            "x-forwarded-port",
            "x-forwarded-proto"
        ]
    );
    assert_eq!(headers["content-length"], "3");
    local.stop().await;
}

#[tokio::test]
async fn requests_that_no_gateway_passes_on() {
    let mut local = Local::start(ECHO).await;
    for (request, answer) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", "HTTP/1.1 400 "),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 405 "),
        ("GET /_console HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 403 "),
        ("GET /_console/ HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 403 "),
        (
            "POST /_console HTTP/1.1\r\nHost: [::1]\r\n",
            "HTTP/1.1 405 ",
        ),
        (
            "PUT /_console/x/y HTTP/1.1\r\nHost: localhost\r\n",
            "HTTP/1.1 404 ",
        ),
    ] {
        let got = raw(
            local.address,
            &format!("{request}Connection: close\r\n\r\n"),
        )
        .await;
        assert!(got.starts_with(answer), "{request}: {got}");
    }
    local.invoke_json("{}").await;
    let lines = local.lines_until("REPORT").await;
    let started = lines.iter().filter(|line| line.starts_with("START"));
    assert_eq!(started.count(), 1, "{lines:#?}");
    local.stop().await;
}

#[tokio::test]
async fn the_length_that_head_tells_is_the_functions_or_none() {
    let local = Local::start(
        r#"
while True:
    id, headers, event = next()
    given = json.loads(event)["rawQueryString"]
    respond(id, {"statusCode": 200, "headers": {"Content-Length": given} if given else {}})
"#,
    )
    .await;
    for (query, length) in [("5", Some("5")), ("0", Some("0")), ("", None)] {
        let url = format!("http://{}/?{query}", local.address);
        let head = local.client.head(url).send().await.unwrap();
        let told = head.headers().get("content-length");
        assert_eq!(told.map(|value| value.to_str().unwrap()), length, "{query}");
    }
    local.stop().await;
}

#[tokio::test]
async fn what_the_log_quotes_cannot_write_lines_of_its_own() {
    let mut local = Local::start(
        r#"
while True:
    id, headers, event = next()
    body = '{"errorMessage":"a\nREPORT forged \x1b[31m \u202e' + "x" * 100000 + '"}'
    call("POST", f"invocation/{id}/error", body.encode(), {"Lambda-Runtime-Function-Error-Type": "Function.Bad"})
"#,
    )
    .await;
    let response = local.get("/").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    let line = local.line("502 Bad Gateway").await;
    assert!(
        line.contains(r"a\nREPORT forged \u{1b}[31m \u{202e}xxx"),
        "{line}"
    );
    assert!(line.len() < 5000, "{} bytes", line.len());
    local.stop().await;
}

#[tokio::test]
async fn a_trace_id_is_taken_over_where_it_is_one() {
    let local = Local::start(ECHO).await;
    for (given, kept) in [
        ("Root=1-2-3;Sampled=1", true),
        ("Self=1;Root=1-2-3", true),
        ("", false),
        ("anything", false),
        ("Root=1-2-3;caf\u{e9}", false),
    ] {
        let request = local
            .invoke("{}")
            .header("X-Amzn-Trace-Id", given.as_bytes());
        let answer = request.send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let trace_id = &answer["headers"]["lambda-runtime-trace-id"];
        assert_eq!(trace_id == given, kept, "{trace_id}");
        assert!(trace_id.as_str().unwrap().contains("Root=1-"), "{trace_id}");
    }
    local.stop().await;
}

/// The program itself; its own standard output tells when it is ready.
mod program {
    use std::io::{BufRead, BufReader};

    use super::*;

    const PRINTS_ITS_PID: &str = r#"
print("bootstrap", os.getpid(), flush=True)
print("child", subprocess.Popen(["setsid", "sleep", "1000"]).pid, flush=True)
next()
"#;

    fn start(arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lambda-local"));
        command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts the program and returns it with its output and the processes it printed.
    fn started(
        folder: &Path,
    ) -> (
        std::process::Child,
        BufReader<std::process::ChildStdout>,
        [i32; 2],
    ) {
        let mut program = start(&["--listen", "127.0.0.1:0", folder.to_str().unwrap()])
            .spawn()
            .unwrap();
        let mut output = BufReader::new(program.stdout.take().unwrap());
        let mut pids = ["bootstrap ", "child "].map(|name| number_behind(name, &mut output));
        pids.sort_unstable();
        (program, output, pids)
    }

    /// The number at the end of the next line that begins with `name`.
    fn number_behind(name: &str, output: &mut impl BufRead) -> i32 {
        let mut line = String::new();
        while !line.starts_with(name) {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0);
        }
        last_number(line.trim_end())
    }

    #[test]
    fn sigterm_ends_everything() {
        for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
            let folder = folder_with(PRINTS_ITS_PID);
            let (mut program, _output, pids) = started(folder.path());
            kill_process(Pid::from_child(&program), signal).unwrap();
            assert_eq!(program.wait().unwrap().code(), Some(0));
            assert!(!pids.into_iter().any(is_running));
        }
    }

    #[test]
    fn sigterm_while_a_failed_init_ends_leaves_nothing_behind() {
        let folder = folder_with(
            r#"
print("bootstrap", os.getpid(), flush=True)
print("child", subprocess.Popen(["setsid", "sleep", "1000"]).pid, flush=True)
call("POST", "init/error", "{}")
print("reported 0", flush=True)
time.sleep(1000)
"#,
        );
        let (mut program, mut output, pids) = started(folder.path());
        number_behind("reported ", &mut output);
        kill_process(Pid::from_child(&program), Signal::TERM).unwrap();
        assert_eq!(program.wait().unwrap().code(), Some(0));
        assert!(!pids.into_iter().any(is_running));
    }

    #[test]
    fn nohup_is_respected() {
        let folder = folder_with(PRINTS_ITS_PID);
        let mut program = Command::new("nohup")
            .arg(env!("CARGO_BIN_EXE_lambda-local"))
            .args(["--listen", "127.0.0.1:0", folder.path().to_str().unwrap()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(program.stdout.take().unwrap());
        let child = number_behind("child ", &mut output);
        kill_process(Pid::from_child(&program), Signal::HUP).unwrap();
        let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
        assert!(
            status.lines().any(|line| line
                .strip_prefix("SigIgn:\t")
                .is_some_and(|mask| u64::from_str_radix(mask, 16).unwrap() & 1 == 1)),
            "{status}"
        );
        assert!(is_running(child));
        kill_process(Pid::from_child(&program), Signal::TERM).unwrap();
        assert_eq!(program.wait().unwrap().code(), Some(0));
    }

    #[test]
    fn a_folder_that_may_not_be_entered_is_named() {
        let folder = folder_with("next()");
        let path = folder.path().to_str().unwrap();
        let bootstrap = ["--listen", "127.0.0.1:0", "--bootstrap", "/bin/true"];
        let mut command = start(&[&bootstrap[..], &[path]].concat());
        // Root may enter any folder, so as root the program is another user's.
        if rustix::process::getuid().is_root() {
            command.uid(993).gid(990);
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
        } else {
            fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
        }
        let output = ended(&mut command);
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            error.contains("may not be entered by user")
                && error.contains(&format!("chmod o+rx {path}")),
            "{error}"
        );
    }

    /// Its output, also when against all expectation it starts to serve.
    fn ended(command: &mut Command) -> std::process::Output {
        let mut program = command.spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(program.stdout.take().unwrap());
        if output.read_line(&mut line).unwrap() > 0 {
            program.kill().unwrap();
        }
        program.wait_with_output().unwrap()
    }

    #[test]
    fn an_address_for_all_interfaces_is_no_url() {
        let folder = folder_with("next()");
        let mut program = start(&["--listen", "0.0.0.0:0", folder.path().to_str().unwrap()])
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(program.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        kill_process(Pid::from_child(&program), Signal::TERM).unwrap();
        assert_eq!(program.wait().unwrap().code(), Some(0));
        assert!(
            line.starts_with("Listening on port ") && line.contains(" of all interfaces "),
            "{line}"
        );
    }

    #[test]
    fn the_bootstrap_does_not_outlive_a_program_that_was_killed() {
        let folder = folder_with("print('bootstrap', os.getpid(), flush=True)\nnext()");
        let mut program = start(&["--listen", "127.0.0.1:0", folder.path().to_str().unwrap()])
            .spawn()
            .unwrap();
        let mut output = BufReader::new(program.stdout.take().unwrap());
        let bootstrap = rustix::process::pidfd_open(
            Pid::from_raw(number_behind("bootstrap ", &mut output)).unwrap(),
            rustix::process::PidfdFlags::empty(),
        )
        .unwrap();
        program.kill().unwrap();
        assert_eq!(program.wait().unwrap().signal(), Some(9));
        // Readable when that process has ended.
        let mut fds = [rustix::event::PollFd::new(
            &bootstrap,
            rustix::event::PollFlags::IN,
        )];
        assert_eq!(rustix::event::poll(&mut fds, None).unwrap(), 1);
    }

    #[test]
    fn what_cannot_work_is_said_with_what_to_do() {
        let folder = folder_with("");
        let path = folder.path().to_str().unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let cases: [(&[&str], &str); 9] = [
            (&["--listen", &address, path], "is taken by another program"),
            (
                &["--listen", "127.0.0.1:0", "/no/such/folder"],
                "give the folder that you would deploy",
            ),
            (
                &[
                    "--listen",
                    "127.0.0.1:0",
                    "--bootstrap",
                    "/no/such/file",
                    path,
                ],
                "name one with --bootstrap PATH",
            ),
            (
                &["--listen", "127.0.0.1:0", "--timeout", "0", path],
                "0 is not in 1..=900",
            ),
            (
                &["--listen", "127.0.0.1:0", "--bootstrap", path, path],
                "is a folder: name the file in it",
            ),
            (&["--listen", "here", path], "such as 127.0.0.1:8080"),
            (&["--listen", "localhost:x", path], "such as 127.0.0.1:8080"),
            (
                &["--env", "AWS_LAMBDA_RUNTIME_API=x", path],
                "the Runtime API is lambda-local's own",
            ),
            (
                &["--env", "AWS_LAMBDA_MAX_CONCURRENCY=2", path],
                "choose it with --concurrency",
            ),
        ];
        for (arguments, message) in cases {
            let output = ended(&mut start(arguments));
            let error = String::from_utf8(output.stderr).unwrap();
            assert!(
                !output.status.success() && error.contains(message),
                "{arguments:?}: {error}"
            );
        }
    }
}
