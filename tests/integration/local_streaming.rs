//! Streamed answers through the local Lambda: each chunk when it comes, and never a part as if it were the whole.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use php_fpm_lambda::local::function::Function;
use reqwest::{Client, Response, StatusCode};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;

use crate::local::{Local, folder_with, last_number};
use crate::process::kilobytes;
use crate::program::{FREE_PORT, Program, lambda_local};

/// A bootstrap that streams: `begin(id)` opens an answer, with what the test asks for in the URL's query.
const STREAMS: &str = r#"
PRELUDE = b'{"statusCode":201,"headers":{"X-A":"b"},"cookies":["a=1"]}' + bytes(8)

class Stream:
    def __init__(self, id, media_type="application/vnd.awslambda.http-integration-response", headers={}):
        self.connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
        self.connection.putrequest("POST", f"/2018-06-01/runtime/invocation/{id}/response")
        self.connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
        if media_type: self.connection.putheader("Content-Type", media_type)
        self.connection.putheader("Transfer-Encoding", "chunked")
        self.connection.putheader("Trailer", "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body")
        self.connection.endheaders()

    def send(self, chunk):
        self.connection.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))

    def end(self, trailers=b""):
        self.connection.send(b"0\r\n" + trailers + b"\r\n")
        return self.connection.getresponse().status

BROKEN = b"Lambda-Runtime-Function-Error-Type: Function.Broken\r\nLambda-Runtime-Function-Error-Body: eyJlcnJvck1lc3NhZ2UiOiJzbyJ9\r\n"

def wait_for_test():
    open("go").read()

def invocation():
    id, headers, event = next()
    event = json.loads(event)
    return id, event.get("rawPath", "") if isinstance(event, dict) else event
"#;

impl Local {
    /// A local Lambda of a bootstrap that streams.
    pub async fn streaming(script: &str) -> Self {
        Self::streaming_with(script, |_| {}).await
    }

    async fn streaming_with(script: &str, configure: impl FnOnce(&mut Function)) -> Self {
        Self::start_with(&format!("{STREAMS}{script}"), |function| {
            make_fifo(&function.root);
            configure(function);
        })
        .await
    }

    pub async fn go(&self) {
        go(self.folder.path()).await;
    }
}

fn make_fifo(folder: &Path) {
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, folder.join("go"), FileType::Fifo, mode, 0).unwrap();
}

/// Waits until the bootstrap is in `wait_for_test`, and lets it go on.
async fn go(folder: &Path) {
    let path = folder.join("go");
    let open = move || File::options().write(true).open(path).unwrap();
    tokio::task::spawn_blocking(open).await.unwrap();
}

/// What a client gets until the end, and whether that was the true one.
async fn rest(mut response: Response) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return (body, true),
            Err(_) => return (body, false),
        }
    }
}

#[tokio::test]
async fn every_chunk_arrives_before_the_next_is_made() {
    let mut local = Local::streaming(
        r#"
while True:
    id, path = invocation()
    stream = Stream(id)
    stream.send(PRELUDE[:5])
    stream.send(PRELUDE[5:])
    wait_for_test()
    stream.send(b"one")
    wait_for_test()
    stream.send(b"two")
    print("status", stream.end(), flush=True)
"#,
    )
    .await;
    let mut response = local.get("/").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(response.headers()["x-a"], "b");
    assert_eq!(response.headers()["set-cookie"], "a=1");
    assert!(response.headers().get("content-length").is_none());
    local.go().await;
    assert_eq!(response.chunk().await.unwrap().unwrap(), "one");
    local.go().await;
    assert_eq!(rest(response).await, (b"two".to_vec(), true));
    assert_eq!(local.line("status ").await, "status 202");
    let report = local.line("REPORT").await;
    assert!(!report.contains("Status:"), "{report}");
    local.stop().await;
}

#[tokio::test]
async fn the_invoke_api_streams_the_bytes_as_they_are() {
    let local = Local::streaming(
        r#"
while True:
    id, what = invocation()
    stream = Stream(id)
    if what == "fail":
        stream.end(BROKEN)
        continue
    stream.send(PRELUDE)
    wait_for_test()
    stream.send(b"body")
    stream.end(BROKEN if what == "late" else b"")
"#,
    )
    .await;
    for (event, is_whole) in [("\"fine\"", true), ("\"late\"", false)] {
        let mut response = local.invoke(event).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.headers().get("x-amz-function-error").is_none());
        assert_eq!(
            response.headers()["content-type"],
            "application/vnd.awslambda.http-integration-response"
        );
        let first = response.chunk().await.unwrap().unwrap();
        assert!(first.starts_with(b"{\"statusCode\":201") && first.ends_with(&[0; 8]));
        local.go().await;
        assert_eq!(
            rest(response).await,
            (b"body".to_vec(), is_whole),
            "{event}"
        );
    }
    // Nothing was sent yet: the failure can be told.
    let error = local.invoke_error("\"fail\"").await;
    assert_eq!(error, json!({"errorMessage": "so"}));
    local.stop().await;
}

#[tokio::test]
async fn a_stream_without_a_prelude_is_the_body_alone() {
    let local = Local::streaming(
        r#"
while True:
    id, path = invocation()
    stream = Stream(id, "text/csv; header=absent" if path == "/csv" else None)
    stream.send(PRELUDE)
    stream.end()
"#,
    )
    .await;
    for (path, content_type) in [
        ("/csv", "text/csv; header=absent"),
        ("/", "application/octet-stream"),
    ] {
        let response = local.get(path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], content_type);
        let (body, is_whole) = rest(response).await;
        assert!(is_whole && body.starts_with(b"{\"statusCode\":201"));
    }
    local.stop().await;
}

#[tokio::test]
async fn a_stream_that_fails_half_way_is_broken_off_and_the_log_says_why() {
    let mut local = Local::streaming(
        r#"
while True:
    id, path = invocation()
    stream = Stream(id)
    stream.send(PRELUDE + b"part")
    if path == "/trailers":
        print("status", stream.end(BROKEN), flush=True)
    if path == "/truncated":
        stream.connection.close()
        wait_for_test()
    if path == "/exit":
        sys.exit(3)
"#,
    )
    .await;
    for (path, words) in [
        (
            "/trailers",
            "broke off with Function.Broken: {\"errorMessage\":\"so\"}",
        ),
        ("/truncated", "broke off with Runtime.TruncatedResponse: "),
        ("/exit", "Runtime exited with error: exit status 3"),
        ("/trailers", "broke off with Function.Broken"),
    ] {
        let response = local.get(path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED, "{path}");
        assert_eq!(rest(response).await, (b"part".to_vec(), false), "{path}");
        if path == "/truncated" {
            local.go().await;
        }
        let lines = local.lines_until("REPORT").await;
        assert!(
            lines.iter().any(|line| line.contains(words)),
            "{path}: {lines:#?}"
        );
    }
    local.stop().await;
}

#[tokio::test]
async fn the_connection_of_a_broken_stream_ends_without_a_last_chunk() {
    let local = Local::streaming(
        r#"
while True:
    id, path = invocation()
    stream = Stream(id)
    stream.send(PRELUDE + b"part")
    stream.end(BROKEN)
"#,
    )
    .await;
    // It ends, although nobody asked for that, and without the last chunk.
    let answer = local.raw("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n4\r\npart\r\n"), "{answer}");
    local.stop().await;
}

/// Never ends; the path says when it stops.
const HANGS: &str = r#"
while True:
    id, path = invocation()
    stream = Stream(id)
    stream.send(PRELUDE[:-1] if path == "/prelude" else PRELUDE + b"part")
    time.sleep(1000)
"#;

#[tokio::test]
async fn a_time_out_breaks_a_stream_off() {
    let mut local =
        Local::streaming_with(HANGS, |function| function.timeout = Duration::from_secs(1)).await;
    let response = local.get("/").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(rest(response).await, (b"part".to_vec(), false));
    local.line(" Task timed out after 1.00 seconds").await;
    assert!(local.line("REPORT").await.ends_with("\tStatus: timeout"));
    local.stop().await;
}

#[tokio::test]
async fn a_time_out_before_the_end_of_the_prelude_is_a_bad_gateway() {
    let mut local =
        Local::streaming_with(HANGS, |function| function.timeout = Duration::from_secs(1)).await;
    let response = local.get("/prelude").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    let line = local.line("502 Bad Gateway").await;
    assert!(line.contains("failed with Sandbox.Timedout"), "{line}");
    local.stop().await;
}

#[tokio::test]
async fn the_beginning_of_a_stream_must_be_right() {
    let mut local = Local::streaming(
        r#"
while True:
    id, path = invocation()
    stream = Stream(id)
    if path == "/malformed": stream.send(b"<html>" + bytes(8) + b"x")
    if path == "/large": stream.send(b"x" * 16384)
    if path == "/never": stream.send(b'{"statusCode":200}')
    if path == "/fail":
        stream.send(b'{"statusCode":200}')
        stream.end(BROKEN)
    else:
        # More than any buffer has: what nobody reads is taken all the same.
        if path == "/malformed": stream.send(bytes(50_000_000))
        print("status", stream.end(), flush=True)
"#,
    )
    .await;
    for (path, words) in [
        (
            "/malformed",
            "the prelude of the stream is not a JSON object",
        ),
        ("/large", "does not end within 16384 bytes"),
        ("/never", "the stream has no prelude"),
        ("/fail", "failed with Function.Broken"),
    ] {
        let response = local.get(path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY, "{path}");
        let line = local.line("502 Bad Gateway").await;
        assert!(line.contains(words), "{path}: {line}");
        if path != "/fail" {
            assert_eq!(local.line("status ").await, "status 202");
        }
    }
    local.stop().await;
}

#[tokio::test]
async fn an_error_after_the_beginning_is_refused() {
    let mut local = Local::streaming(
        r#"
while True:
    id, path = invocation()
    stream = Stream(id)
    stream.send(PRELUDE + b"fine")
    wait_for_test()
    print("codes", call("POST", f"invocation/{id}/error", "{}")[0], respond(id, 1), Stream(id).end(), flush=True)
    stream.end()
"#,
    )
    .await;
    let response = local.get("/").send().await.unwrap();
    local.go().await;
    assert_eq!(local.line("codes ").await, "codes 403 403 403");
    assert_eq!(rest(response).await, (b"fine".to_vec(), true));
    local.stop().await;
}

/// Streams megabytes, and says how many it could send.
const MEGABYTES: &str = r#"
while True:
    id, path = invocation()
    stream = Stream(id)
    stream.send(PRELUDE)
    wait_for_test()
    stream.connection.sock.setblocking(False)
    sent = 0
    # As long as the other end takes something within a second.
    import select
    chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
    while sent < 200_000_000 and select.select([], [stream.connection.sock], [], 1)[1]:
        sent += stream.connection.sock.send(chunk[sent % len(chunk):])
    print("sent", sent, flush=True)
    stream.connection.sock.setblocking(True)
    stream.connection.sock.sendall(chunk[sent % len(chunk):])
    left = 200 * 1048576 - len(PRELUDE) - (sent // len(chunk) + 1) * 65536
    while left > 0:
        stream.send(bytes(min(left, 65536)))
        left -= 65536
    if path == "/over": stream.send(b"x")
    print("status", stream.end(), flush=True)
"#;

#[tokio::test]
async fn a_reader_that_pauses_stops_the_function_and_200_megabytes_leave_no_trace() {
    // In a process of its own, so that its memory is not the test's.
    let folder = folder_with(&format!("{STREAMS}{MEGABYTES}"));
    make_fifo(folder.path());
    let mut program = Program::start(lambda_local().args(FREE_PORT).arg(folder.path())).unwrap();
    let url = program.url();
    let client = Client::builder().no_proxy().build().unwrap();
    let mut response = client.get(url).send().await.unwrap();
    go(folder.path()).await;
    // The response is not read meanwhile: what was sent is in the buffers of the two connections.
    let sent: u64 = last_number(&program.line("sent "));
    assert!(sent < 50_000_000, "{sent} bytes went into buffers");
    let mut size = 0;
    while let Some(chunk) = response.chunk().await.unwrap() {
        size += chunk.len();
    }
    let prelude = r#"{"statusCode":201,"headers":{"X-A":"b"},"cookies":["a=1"]}"#.len() + 8;
    assert_eq!(size, 200 * 1_048_576 - prelude);
    assert_eq!(program.line("status "), "status 202");
    let most = kilobytes(program.pid(), "VmHWM");
    assert!(most < 64 << 10, "{most} kB of memory");
}

#[tokio::test]
async fn more_than_200_megabytes_are_a_failure() {
    let mut local = Local::streaming(MEGABYTES).await;
    let response = local.get("/over").send().await.unwrap();
    local.go().await;
    let (_, is_whole) = rest(response).await;
    assert!(!is_whole);
    local
        .line("broke off with Function.ResponseSizeTooLarge")
        .await;
    assert_eq!(local.line("status ").await, "status 413");
    local.stop().await;
}

#[tokio::test]
async fn a_function_whose_browser_has_gone_runs_on() {
    let mut local = Local::streaming(
        r#"
while True:
    id, path = invocation()
    stream = Stream(id)
    stream.send(PRELUDE + b"part")
    wait_for_test()
    # Far more than all buffers have.
    for _ in range(1000): stream.send(bytes(65536))
    print("status", stream.end(), flush=True)
"#,
    )
    .await;
    let response = local.get("/").send().await.unwrap();
    drop(response);
    local.go().await;
    assert_eq!(local.line("status ").await, "status 202");
    let report = local.line("REPORT").await;
    assert!(!report.contains("Status:"), "{report}");
    local.stop().await;
}

#[tokio::test]
async fn an_answer_without_a_body_is_one_however_much_is_streamed() {
    let mut local = Local::streaming(
        r#"
while True:
    id, path = invocation()
    stream = Stream(id)
    stream.send(PRELUDE.replace(b"201", b"204" if path == "/204" else b"201"))
    for _ in range(1000): stream.send(bytes(65536))
    print("status", stream.end(), flush=True)
"#,
    )
    .await;
    let head = local.client.head(format!("http://{}/", local.address));
    let head = head.send().await.unwrap();
    assert_eq!(head.status(), StatusCode::CREATED);
    assert_eq!(rest(head).await, (Vec::new(), true));
    assert_eq!(local.line("status ").await, "status 202");
    let none = local.get("/204").send().await.unwrap();
    assert_eq!(none.status(), StatusCode::NO_CONTENT);
    assert_eq!(rest(none).await, (Vec::new(), true));
    assert_eq!(local.line("status ").await, "status 202");
    local.stop().await;
}
