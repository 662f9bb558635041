//! A bootstrap under test: its function in a folder, its Runtime API in this process, its log in a file.

use std::collections::VecDeque;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use crate::process::{self, Process};

/// No test waits longer than this for anything: it fails then, with the log.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// As the status of a POST: the connection is closed without an answer.
pub const HANG_UP: u16 = 599;

/// What `/next` hands out.
#[derive(Clone)]
pub struct Event {
    pub id: String,
    pub body: Vec<u8>,
    /// From now until the deadline.
    pub timeout: Duration,
    pub headers: Vec<(&'static str, String)>,
    /// The status of `/next`.
    pub status: StatusCode,
}

/// A call of the bootstrap, and the whole log at the moment when it came.
pub struct Call {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub log: String,
    /// The bootstrap's end of the connection.
    pub peer: SocketAddr,
}

impl Call {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body of an HTTP answer.
    pub fn page(&self) -> String {
        assert!(
            self.path.ends_with("/response"),
            "{} {}",
            self.path,
            self.text()
        );
        self.json()["body"]
            .as_str()
            .expect("an answer's body")
            .to_owned()
    }

    /// Whether it is an answer that comes in pieces.
    pub fn is_stream(&self) -> bool {
        self.headers
            .contains_key("lambda-runtime-function-response-mode")
    }

    /// The type of an `/error` or `/init/error`, the same in header and body.
    pub fn error_type(&self) -> String {
        assert!(
            self.path.ends_with("/error"),
            "{} {}",
            self.path,
            self.text()
        );
        let in_body = self.json()["errorType"]
            .as_str()
            .expect("an error's type")
            .to_owned();
        assert_eq!(self.headers["lambda-runtime-function-error-type"], in_body);
        in_body
    }

    pub fn error_message(&self) -> String {
        self.json()["errorMessage"]
            .as_str()
            .expect("an error's message")
            .to_owned()
    }
}

/// A function that is being written, before it is started.
pub struct Function {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    has_log: bool,
}

impl Function {
    /// With this `index.php`.
    pub fn new(index_php: &str) -> Function {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("task")).unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        Function {
            folder,
            environment: Vec::new(),
            arguments: Vec::new(),
            has_log: true,
        }
        .file("index.php", index_php)
    }

    pub fn file(self, name: &str, content: &str) -> Function {
        let path = self.task_root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// A file of this length that takes no room.
    pub fn sparse_file(self, name: &str, len: u64) -> Function {
        let function = self.file(name, "");
        let file = fs::File::create(function.task_root().join(name)).unwrap();
        file.set_len(len).unwrap();
        function
    }

    /// With everything that is in a folder of this repository.
    pub fn folder(self, name: &str) -> Function {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let there = self.task_root().join(path.strip_prefix(&root).unwrap());
                fs::create_dir_all(there.parent().unwrap()).unwrap();
                fs::copy(path, there).unwrap();
            }
        }
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Function {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// An argument of the bootstrap.
    pub fn arg(mut self, argument: &str) -> Function {
        self.arguments.push(argument.to_owned());
        self
    }

    /// What it logs is dropped: for scripts that log gigabytes.
    pub fn without_log(mut self) -> Function {
        self.has_log = false;
        self
    }

    pub fn task_root(&self) -> PathBuf {
        self.folder.path().join("task")
    }

    pub fn temp_dir(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    pub fn start(self) -> Lambda {
        Lambda::start(self)
    }
}

/// A started bootstrap.
pub struct Lambda {
    pub function: Function,
    child: Child,
    events: Sender<Event>,
    calls: Receiver<Call>,
    statuses: Arc<Mutex<VecDeque<StatusCode>>>,
    extension_calls: Arc<Mutex<Vec<String>>>,
    invocations: usize,
}

struct Server {
    /// Shared by the polls of all slots.
    events: tokio::sync::Mutex<tokio::sync::mpsc::UnboundedReceiver<Event>>,
    calls: Mutex<Sender<Call>>,
    statuses: Arc<Mutex<VecDeque<StatusCode>>>,
    extension_calls: Arc<Mutex<Vec<String>>>,
    log: PathBuf,
}

impl Lambda {
    fn start(function: Function) -> Lambda {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let log = function.folder.path().join("log");
        let (events, queue) = channel::<Event>();
        let (call, calls) = channel();
        let statuses = Arc::new(Mutex::new(VecDeque::new()));
        let extension_calls = Arc::new(Mutex::new(Vec::new()));
        let (forward, received) = tokio::sync::mpsc::unbounded_channel();
        let server = Server {
            events: received.into(),
            calls: call.into(),
            statuses: statuses.clone(),
            extension_calls: extension_calls.clone(),
            log: log.clone(),
        };
        let router = axum::Router::new()
            .fallback(answer)
            .layer(DefaultBodyLimit::max(64 << 20))
            .with_state(Arc::new(server));
        serve(listener, router);
        std::thread::spawn(move || queue.into_iter().all(|event| forward.send(event).is_ok()));

        let stderr = match function.has_log {
            true => fs::File::create(&log).unwrap().into(),
            false => Stdio::null(),
        };
        let mut command = Command::new(bootstrap());
        command
            .args(&function.arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("LAMBDA_TASK_ROOT", function.task_root())
            .env("_HANDLER", "index.php")
            .env("TMPDIR", function.temp_dir())
            .envs(
                function
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        let child = command.spawn().expect("the bootstrap can be started");
        Lambda {
            function,
            child,
            events,
            calls,
            statuses,
            extension_calls,
            invocations: 0,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        read_log(&self.function.folder.path().join("log"))
    }

    /// The bootstrap's run folder.
    pub fn run_folder(&self) -> PathBuf {
        let mut entries = fs::read_dir(self.function.temp_dir()).unwrap();
        entries.next().expect("a run folder").unwrap().path()
    }

    /// Waits until the log has this text.
    pub fn wait_for_log(&self, text: &str) {
        let begun = std::time::Instant::now();
        while !self.log().contains(text) {
            assert!(begun.elapsed() < PATIENCE, "no {text:?}:\n{}", self.log());
            std::thread::yield_now();
        }
    }

    /// The statuses of the next POSTs; 202 for all others.
    pub fn answer_posts_with(&self, statuses: &[u16]) {
        let statuses = statuses
            .iter()
            .map(|status| StatusCode::from_u16(*status).unwrap());
        self.statuses.lock().unwrap().extend(statuses);
    }

    /// The calls of the Extensions API so far, with the bodies of those that have one.
    pub fn extension_calls(&self) -> Vec<String> {
        self.extension_calls.lock().unwrap().clone()
    }

    /// Hands out an event; its answer comes with [`Lambda::post`].
    pub fn send(&mut self, body: impl Into<Vec<u8>>) -> Event {
        let event = self.event(body);
        self.send_event(event)
    }

    pub fn send_event(&mut self, event: Event) -> Event {
        self.events.send(event.clone()).unwrap();
        event
    }

    /// An event with a new id.
    pub fn event(&mut self, body: impl Into<Vec<u8>>) -> Event {
        self.invocations += 1;
        Event {
            id: format!("request-{}", self.invocations),
            body: body.into(),
            timeout: Duration::from_secs(60),
            headers: Vec::new(),
            status: StatusCode::OK,
        }
    }

    /// Waits for the next call of any kind.
    pub fn call(&mut self) -> Call {
        self.calls.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            panic!(
                "no call came; exit status {:?}; the log:\n{}",
                self.child.try_wait(),
                self.log()
            );
        })
    }

    /// Waits for the one report that the start has failed, and for the end that comes with it.
    pub fn init_error(&mut self) -> Call {
        let call = self.call();
        assert_eq!(call.path, "/2018-06-01/runtime/init/error", "{}", call.log);
        assert_eq!(call.json()["stackTrace"], serde_json::json!([]));
        assert_eq!(self.wait().code(), Some(1));
        assert!(self.calls_left().is_empty(), "it ends at once");
        let log = self.log();
        let count = log.matches(&call.error_type()).count();
        assert_eq!(count, 1, "logged once: {log}");
        call
    }

    /// Waits for the next POST.
    pub fn post(&mut self) -> Call {
        loop {
            let call = self.call();
            if call.method == Method::POST {
                return call;
            }
        }
    }

    /// Waits until the bootstrap asks for the next event: what the script has done behind its answer is over and logged.
    pub fn next_poll(&mut self) -> Call {
        loop {
            let call = self.call();
            if call.path.ends_with("/next") {
                return call;
            }
        }
    }

    /// One event and its answer or error.
    pub fn invoke(&mut self, body: impl Into<Vec<u8>>) -> Call {
        let event = self.event(body);
        self.invoke_event(event)
    }

    pub fn invoke_event(&mut self, event: Event) -> Call {
        let event = self.send_event(event);
        let call = self.post();
        assert!(
            call.path.contains(&event.id),
            "{} for {}: {}",
            call.path,
            event.id,
            call.text()
        );
        call
    }

    /// The page at a path.
    pub fn get(&mut self, path: &str) -> String {
        self.invoke(get(path)).page()
    }

    /// The calls that nobody has asked for.
    pub fn calls_left(&self) -> Vec<Call> {
        self.calls.try_iter().collect()
    }

    /// Waits until the bootstrap has ended.
    pub fn wait(&mut self) -> ExitStatus {
        process::wait(&mut self.child, PATIENCE)
            .unwrap_or_else(|| panic!("it goes on; the log:\n{}", self.log()))
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        process::kill(self.pid(), signal).unwrap();
    }

    /// The processes below the bootstrap: php-fpm's master and its workers.
    pub fn processes(&self) -> Vec<Process> {
        Process::below(self.pid())
    }

    /// The process id of php-fpm's master.
    pub fn master(&self) -> u32 {
        let is_child = |process: &Process| process.parent == self.pid();
        self.processes()
            .into_iter()
            .find(is_child)
            .expect("a master")
            .pid
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        // php-fpm shall not outlive a test
        process::end(&mut self.child, Duration::from_secs(5));
    }
}

/// An API Gateway request, payload 2.0.
pub fn get(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    request("GET", path, query, &[], None)
}

/// A request with a body, which goes as base64.
pub fn post(path: &str, body: &[u8]) -> String {
    request(
        "POST",
        path,
        "",
        &[("content-type", "application/octet-stream")],
        Some(body),
    )
}

pub fn request(
    method: &str,
    path: &str,
    query: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> String {
    let headers: serde_json::Map<String, serde_json::Value> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).into()))
        .collect();
    let mut event = serde_json::json!({
        "version": "2.0", "rawPath": path, "rawQueryString": query, "headers": headers,
        "requestContext": {
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1" },
            "stage": "$default", "domainName": "example.com",
        },
    });
    if let Some(body) = body {
        event["body"] = base64_simd::STANDARD.encode_to_string(body).into();
        event["isBase64Encoded"] = true.into();
    }
    event.to_string()
}

/// The prelude of a streamed answer, and what comes behind it.
pub fn split_stream(bytes: &[u8]) -> (serde_json::Value, Vec<u8>) {
    const NULS: [u8; 8] = [0; 8];
    let end = bytes
        .windows(NULS.len())
        .position(|window| window == NULS)
        .expect("eight NULs");
    let prelude = serde_json::from_slice(&bytes[..end]).expect("JSON before them");
    (prelude, bytes[end + NULS.len()..].to_vec())
}

/// The program under test, where a user who is not its owner can run it.
pub fn bootstrap() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_bootstrap"))
}

/// Fails, with the line that installs it, where a file of one of Debian's packages is missing.
pub fn needs(file: &str, package: &str) {
    assert!(
        Path::new(file).is_file(),
        "there is no {file}: apt-get install {package}"
    );
}

pub fn chmod(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Makes a folder that nobody can write to.
pub fn forbid_writing(folder: &Path) {
    chmod(folder, 0o500);
}

fn read_log(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Serves on a thread of its own, which ends with the test process.
pub fn serve(listener: TcpListener, router: axum::Router) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let router = router.into_make_service_with_connect_info::<SocketAddr>();
            let _ = axum::serve(listener, router).await;
        });
    });
}

async fn answer(
    State(server): State<Arc<Server>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(call) = uri.path().strip_prefix("/2020-01-01/extension/") {
        let said = format!("{call} {}", String::from_utf8_lossy(&body));
        server
            .extension_calls
            .lock()
            .unwrap()
            .push(said.trim().to_owned());
        return match call {
            "register" => [("lambda-extension-identifier", "extension-1")].into_response(),
            _ => std::future::pending().await,
        };
    }
    let is_next = method == Method::GET && uri.path() == "/2018-06-01/runtime/invocation/next";
    let call = Call {
        method,
        path: uri.path().to_owned(),
        headers,
        body,
        log: read_log(&server.log),
        peer,
    };
    let is_restore = call.path == "/2018-06-01/runtime/restore/next";
    // a test that is over listens no more
    let _ = server.calls.lock().unwrap().send(call);
    if is_restore {
        return StatusCode::OK.into_response();
    }
    if !is_next {
        let status = server
            .statuses
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or(StatusCode::ACCEPTED);
        assert_ne!(status, HANG_UP, "hang up, as the test wants it");
        return (status, "{\"status\":\"said by the test\"}").into_response();
    }
    let Some(event) = server.events.lock().await.recv().await else {
        return std::future::pending().await;
    };
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + event.timeout;
    let mut headers = HeaderMap::new();
    headers.insert("lambda-runtime-aws-request-id", event.id.parse().unwrap());
    headers.insert(
        "lambda-runtime-deadline-ms",
        deadline.as_millis().to_string().parse().unwrap(),
    );
    for (name, value) in event.headers {
        headers.insert(name, value.parse().unwrap());
    }
    (event.status, headers, event.body).into_response()
}
