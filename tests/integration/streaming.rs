//! Streamed answers, byte for byte as they cross the wire.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::lambda::{Function, Lambda, PATIENCE, split_stream};
use crate::process::kilobytes;

/// A Runtime API that hands out one event after the other and each answer as it comes in.
pub struct Wire {
    pub lambda: Lambda,
    events: std::sync::mpsc::Sender<(String, Duration)>,
    posts: Receiver<Post>,
}

/// A POST, read as far as its headers.
pub struct Post {
    path: String,
    /// In lower case.
    headers: Vec<String>,
    connection: BufReader<TcpStream>,
}

impl Wire {
    pub fn start(function: Function) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (events, queue) = channel::<(String, Duration)>();
        let (post, posts) = channel();
        let queue = std::sync::Arc::new(std::sync::Mutex::new(queue));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let connection = BufReader::new(connection.unwrap());
                let (queue, post) = (queue.clone(), post.clone());
                std::thread::spawn(move || serve(connection, &queue.lock().unwrap(), &post));
            }
        });
        let lambda = function
            .env("AWS_LAMBDA_RUNTIME_API", &address)
            .env("PHP_LAMBDA_INVOKE_MODE", "response_stream")
            .env("PHP_LAMBDA_TIMEOUT_MARGIN_MS", "100")
            .start();
        Wire {
            lambda,
            events,
            posts,
        }
    }

    pub fn send(&self, event: String) -> Post {
        self.send_with(event, Duration::from_secs(60))
    }

    fn send_with(&self, event: String, timeout: Duration) -> Post {
        self.events.send((event, timeout)).unwrap();
        self.post()
    }

    fn post(&self) -> Post {
        let post = self.posts.recv_timeout(PATIENCE);
        post.unwrap_or_else(|_| panic!("no call came; the log:\n{}", self.lambda.log()))
    }

    /// The head and the body of the answer to an event.
    pub fn answer(&self, event: String) -> (serde_json::Value, Vec<u8>) {
        let post = self.send(event);
        post.assert_is_stream();
        let (bytes, trailers) = post.rest();
        assert_eq!(trailers, [""; 0]);
        split_stream(&bytes)
    }
}

/// One connection; a `/next` holds the queue while it waits, so that events go to one at a time.
fn serve(
    mut connection: BufReader<TcpStream>,
    queue: &Receiver<(String, Duration)>,
    posts: &std::sync::mpsc::Sender<Post>,
) {
    while let Some(headers) = read_headers(&mut connection) {
        let mut line = headers[0].split(' ');
        let (method, path) = (line.next().unwrap(), line.next().unwrap().to_owned());
        if path.starts_with("/2020-01-01/") {
            let length: usize =
                value_of(&headers, "content-length").map_or(0, |len| len.parse().unwrap());
            connection.read_exact(&mut vec![0; length]).unwrap();
            write!(
                connection.get_ref(),
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
            )
            .unwrap();
            continue;
        }
        if method == "POST" {
            let headers = headers[1..].iter().map(|line| line.to_ascii_lowercase());
            let post = Post {
                path,
                headers: headers.collect(),
                connection,
            };
            // the test has the connection now, and its end closes it
            let _ = posts.send(post);
            return;
        }
        // the test is over
        let Ok((event, timeout)) = queue.recv() else {
            return;
        };
        let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + timeout;
        write!(
            connection.get_ref(),
            "HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: r\r\nlambda-runtime-deadline-ms: {}\r\n\
             content-length: {}\r\n\r\n{event}",
            deadline.as_millis(),
            event.len()
        )
        .unwrap();
    }
}

fn read_headers(connection: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Some(headers);
        }
        headers.push(line.to_owned());
    }
}

fn value_of<'h>(headers: &'h [String], name: &str) -> Option<&'h str> {
    headers
        .iter()
        .filter_map(|line| line.split_once(": "))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

impl Post {
    pub fn assert_is_stream(&self) {
        assert!(
            self.path.ends_with("/invocation/r/response"),
            "{}",
            self.path
        );
        for header in [
            "lambda-runtime-function-response-mode: streaming",
            "content-type: application/vnd.awslambda.http-integration-response",
            "transfer-encoding: chunked",
            "trailer: lambda-runtime-function-error-type",
            "trailer: lambda-runtime-function-error-body",
        ] {
            assert!(
                self.headers.iter().any(|found| found == header),
                "{header} is not in {:?}",
                self.headers
            );
        }
    }

    /// The next chunk as it stands on the wire; `None`: the last one.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut line = String::new();
        self.connection.read_line(&mut line).unwrap();
        let length = usize::from_str_radix(line.trim_end(), 16)
            .unwrap_or_else(|_| panic!("no chunk: {line:?}"));
        if length == 0 {
            return None;
        }
        let mut chunk = vec![0; length + 2];
        self.connection.read_exact(&mut chunk).unwrap();
        assert!(chunk.ends_with(b"\r\n"));
        chunk.truncate(length);
        Some(chunk)
    }

    /// Takes chunks until the body has grown by these bytes; what is left is not made yet.
    pub fn expect_body(&mut self, expected: &str) {
        let mut body = Vec::new();
        while body.len() < expected.len() {
            let chunk = self.chunk();
            body.extend(chunk.unwrap_or_else(|| panic!("it ends after {}", text(&body))));
        }
        assert_eq!(text(&body), expected);
    }

    /// All chunks that are left, and the trailers; takes the answer.
    fn rest(mut self) -> (Vec<u8>, Vec<String>) {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk() {
            bytes.extend(chunk);
        }
        let trailers = read_headers(&mut self.connection).expect("the end of the trailers");
        self.accept();
        (bytes, trailers)
    }

    /// The body of a call that has a length.
    fn whole(mut self) -> serde_json::Value {
        let length = value_of(&self.headers, "content-length").expect("it is buffered");
        let mut body = vec![0; length.parse().unwrap()];
        self.connection.read_exact(&mut body).unwrap();
        self.accept();
        serde_json::from_slice(&body).unwrap()
    }

    fn accept(&mut self) {
        let accepted = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        self.connection
            .get_ref()
            .write_all(accepted.as_bytes())
            .unwrap();
    }
}

pub fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn event(method: &str, path: &str, domain: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    serde_json::json!({
        "version": "2.0", "rawPath": path, "rawQueryString": query, "headers": {},
        "requestContext": { "http": { "method": method, "path": path }, "domainName": domain },
    })
    .to_string()
}

pub fn get(path: &str) -> String {
    event("GET", path, "abc.lambda-url.eu-west-1.on.aws")
}

/// A script's way to wait for the test: `wait('name')` until the test calls [`go_on`].
const WAIT: &str = "function wait($name) { while (!file_exists(getenv('TMPDIR') . \"/$name\")) { usleep(500); clearstatcache(); } } ";

pub fn go_on(wire: &Wire, name: &str) {
    fs::write(wire.lambda.function.temp_dir().join(name), "").unwrap();
}

pub fn php(code: &str) -> Function {
    Function::new(&format!("<?php {WAIT}{code}"))
}

#[test]
fn each_piece_is_on_the_wire_before_php_prints_the_next() {
    let wire = Wire::start(php(
        "header('X-A: b'); setcookie('a', '1'); setcookie('b', '2'); \
         flush(); wait('1'); echo 'one'; wait('2'); echo 'two'; wait('3'); print(\"\\0\\xff\");",
    ));
    let mut post = wire.send(get("/"));
    post.assert_is_stream();
    let (prelude, body) = split_stream(&post.chunk().unwrap());
    assert_eq!(prelude["statusCode"], 200);
    assert_eq!(prelude["headers"]["X-A"], "b");
    assert_eq!(prelude["cookies"], serde_json::json!(["a=1", "b=2"]));
    assert_eq!(body, b"");
    for (name, piece) in [("1", &b"one"[..]), ("2", b"two"), ("3", b"\0\xff")] {
        go_on(&wire, name);
        assert_eq!(post.chunk().as_deref(), Some(piece));
    }
    assert_eq!(post.chunk(), None);
}

#[test]
fn a_worker_that_dies_in_mid_stream_ends_it_with_trailers() {
    let wire = Wire::start(php(
        "if (isset($_GET['ok'])) exit('fine'); echo 'half'; wait('1'); exec('kill -SEGV ' . getmypid()); sleep(9);",
    ));
    let mut post = wire.send(get("/"));
    assert_eq!(split_stream(&post.chunk().unwrap()).1, b"half");
    go_on(&wire, "1");
    let (bytes, trailers) = post.rest();
    assert_eq!(bytes, b"", "no text of ours in the body");
    assert_failure(&trailers, "Runtime.WorkerCrashed", "SIGSEGV");
    assert_eq!(wire.answer(get("/?ok")).1, b"fine");
    let log = wire.lambda.log();
    assert_eq!(log.matches("Runtime.WorkerCrashed").count(), 1, "{log}");
}

#[test]
fn a_time_out_in_mid_stream_ends_it_with_trailers() {
    let wire = Wire::start(php(
        "if (isset($_GET['ok'])) exit('fine'); echo 'half'; error_log('last words'); while (true);",
    ));
    let post = wire.send_with(get("/"), Duration::from_millis(600));
    let (bytes, trailers) = post.rest();
    assert_eq!(split_stream(&bytes).1, b"half");
    assert_failure(&trailers, "Function.Timeout", "deadline");
    assert!(wire.lambda.log().contains("last words"));
    assert_eq!(wire.answer(get("/?ok")).1, b"fine");
}

fn assert_failure(trailers: &[String], error_type: &str, message: &str) {
    assert_eq!(
        value_of(trailers, "lambda-runtime-function-error-type"),
        Some(error_type),
        "{trailers:?}"
    );
    let body = value_of(trailers, "lambda-runtime-function-error-body").unwrap();
    let body = base64_simd::STANDARD.decode_to_vec(body).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(json["errorType"], error_type);
    let text = json["errorMessage"].as_str().unwrap();
    assert!(text.contains(message), "{text}");
}

#[test]
fn what_fails_before_the_head_is_an_ordinary_error() {
    let wire = Wire::start(php(
        "match ($_GET['what']) { 'crash' => exec('kill -SEGV ' . getmypid()) . sleep(9), 'sleep' => sleep(60), 'head' => header('No Header: 1') };",
    ));
    for (what, timeout, error_type) in [
        ("crash", 60_000, "Runtime.WorkerCrashed"),
        ("sleep", 400, "Function.Timeout"),
        ("head", 60_000, "Function.InvalidHeaders"),
    ] {
        let event = get(&format!("/?what={what}"));
        let post = wire.send_with(event, Duration::from_millis(timeout));
        assert!(post.path.ends_with("/invocation/r/error"), "{}", post.path);
        assert_eq!(post.whole()["errorType"], error_type);
    }
}

#[test]
fn bytes_of_every_value_pass_unchanged() {
    let wire = Wire::start(php("$all = implode('', array_map('chr', range(0, 255))); \
         if (isset($_GET['size'])) { echo str_repeat($all, (int) $_GET['size'] / 256); exit; } \
         foreach (str_split($all) as $byte) { echo $byte; }"));
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(wire.answer(get("/")).1, all);
    let large = wire.answer(get("/?size=8388608")).1;
    assert!(large == all.repeat(8_388_608 / 256), "8 MB");
}

#[test]
fn answers_without_a_body() {
    let wire = Wire::start(php("match ($_GET['what'] ?? '') { \
            'empty' => null, \
            '204' => http_response_code(204), \
            '304' => header('ETag: \"a\"', true, 304), \
            'redirect' => header('Location: /there'), \
            default => print('body'), };"));
    for (method, path, status) in [
        ("GET", "/?what=empty", 200),
        ("GET", "/?what=204", 204),
        ("GET", "/?what=304", 304),
        ("GET", "/?what=redirect", 302),
        ("HEAD", "/", 200),
    ] {
        let event = event(method, path, "abc.lambda-url.eu-west-1.on.aws");
        let (prelude, body) = wire.answer(event);
        assert_eq!(prelude["statusCode"], status, "{method} {path}");
        assert_eq!(body, b"", "{method} {path}");
        if status == 302 {
            assert_eq!(prelude["headers"]["Location"], "/there");
        }
    }
}

#[test]
fn what_cannot_take_a_stream_gets_a_document() {
    let wire = Wire::start(php("echo 'text';"));
    let rest_api = |extra: &str| {
        format!(r#"{{"httpMethod":"GET","path":"/","headers":{{}},"requestContext":{{{extra}}}}}"#)
    };
    let buffered = [
        event("GET", "/", "abc.execute-api.eu-west-1.amazonaws.com"),
        rest_api(r#""elb":{}"#),
        r#"{"raw_path":"/","method":"GET"}"#.to_owned(),
    ];
    for event in buffered {
        let document = wire.send(event).whole();
        assert_eq!(document["body"], "text", "{document}");
    }
    assert_eq!(wire.answer(rest_api(r#""stage":"prod""#)).1, b"text");
}

#[test]
fn a_status_that_fails_the_invocation_does_so_in_a_stream_too() {
    let function = php("http_response_code(503); echo 'sorry';");
    let wire = Wire::start(function.env("PHP_LAMBDA_ERROR_STATUS_CODES", "503"));
    let post = wire.send(get("/"));
    assert!(post.path.ends_with("/error"), "{}", post.path);
    assert_eq!(post.whole()["errorType"], "Function.HttpStatus");
}

#[test]
fn php_waits_for_what_lambda_has_not_taken_and_memory_stays_flat() {
    const MB: usize = 1 << 20;
    let wire = Wire::start(php(
        "$printed = fopen(getenv('TMPDIR') . '/printed', 'w'); \
         for ($i = 0; $i < 200; $i++) { ftruncate($printed, $i); echo str_repeat('x', 1 << 20); }",
    ));
    let mut post = wire.send(get("/"));
    let mut taken = split_stream(&post.chunk().unwrap()).1.len();
    let printed = wire.lambda.function.temp_dir().join("printed");
    while let Some(chunk) = post.chunk() {
        taken += chunk.len();
        // what the sockets hold, of which TCP's grow to some megabytes
        let printed = fs::metadata(&printed).unwrap().len() as usize;
        assert!(
            printed * MB < taken + 24 * MB,
            "{printed} MB, {taken} bytes taken"
        );
    }
    assert_eq!(taken, 200 * MB);
    let kib = kilobytes(wire.lambda.pid(), "VmHWM");
    assert!(kib < 24 * 1024, "{kib} KiB");
}

#[test]
fn a_lambda_that_hangs_up_ends_the_script_and_the_next_event_is_served() {
    let wire = Wire::start(php(
        "if (isset($_GET['ok'])) exit('fine'); while (true) { echo str_repeat('x', 4096); }",
    ));
    let mut post = wire.send(get("/"));
    post.chunk().unwrap();
    drop(post);
    assert_eq!(wire.answer(get("/?ok")).1, b"fine");
    let log = wire.lambda.log();
    assert!(log.contains("the Runtime API cannot be reached"), "{log}");
}

/// Its worker is its own slot's affair: neither php-fpm nor another slot's script ends with it.
#[test]
fn a_script_that_outlives_a_lambda_that_hung_up_has_until_the_deadline() {
    let wire = Wire::start(php(
        "if (isset($_GET['ok'])) exit('fine'); ignore_user_abort(true); echo 'half'; wait('1'); \
         while (true) { echo 'x'; if (isset($_GET['end']) && connection_aborted()) { error_log('the end'); exit; } }",
    ));
    assert_eq!(wire.answer(get("/?ok")).1, b"fine");
    let master = wire.lambda.master();
    for (path, timeout, said) in [
        ("/?end", 60_000, "the end"),
        ("/", 1000, "was not done at the deadline"),
    ] {
        let mut post = wire.send_with(get(path), Duration::from_millis(timeout));
        post.chunk().unwrap();
        drop(post);
        go_on(&wire, "1");
        assert_eq!(wire.answer(get("/?ok")).1, b"fine");
        let log = wire.lambda.log();
        assert!(log.contains(said), "{log}");
        assert_eq!(wire.lambda.master(), master, "{log}");
    }
}

#[test]
fn a_worker_that_dies_when_lambda_has_hung_up_is_replaced_by_a_warm_one() {
    let function = php(
        "$warm = fopen(getenv('TMPDIR') . '/warm', 'r'); if (isset($_GET['ok'])) exit((string) (fgets($warm) == getmypid())); \
         ignore_user_abort(true); \
         while (!connection_aborted()) { echo str_repeat('x', 4096); flush(); } exec('kill -SEGV ' . getmypid()); sleep(60);",
    );
    let warmup = "<?php file_put_contents(getenv('TMPDIR') . '/warm', getmypid());";
    let wire = Wire::start(
        function
            .file("warmup.php", warmup)
            .env("PHP_LAMBDA_WARMUP", "warmup.php"),
    );
    assert_eq!(wire.answer(get("/?ok")).1, b"1");
    let mut post = wire.send(get("/"));
    post.chunk().unwrap();
    drop(post);
    assert_eq!(wire.answer(get("/?ok")).1, b"1", "the new worker is warm");
    let log = wire.lambda.log();
    assert!(log.contains("or died, after the answer"), "{log}");
}

#[test]
fn a_stream_that_is_refused_is_broken_off_though_the_connection_stays_open() {
    let wire = Wire::start(php(
        "if (isset($_GET['ok'])) exit('fine'); while (true) { echo str_repeat('x', 65536); }",
    ));
    for status in [403, 410, 413] {
        let mut post = wire.send(get("/"));
        post.chunk().unwrap();
        // and reads no more
        write!(
            post.connection.get_ref(),
            "HTTP/1.1 {status} Refused\r\ncontent-length: 0\r\n\r\n"
        )
        .unwrap();
        assert_eq!(wire.answer(get("/?ok")).1, b"fine");
        let log = wire.lambda.log();
        assert!(log.contains(&format!("was refused: {status}")), "{log}");
        assert!(!log.contains("Function.Timeout"), "{log}");
    }
}

#[test]
fn a_stream_that_lambda_does_not_take_ends_at_lambdas_deadline() {
    let wire = Wire::start(php(
        "if (isset($_GET['ok'])) exit('fine'); while (true) { echo str_repeat('x', 65536); }",
    ));
    let mut post = wire.send_with(get("/"), Duration::from_millis(1000));
    post.chunk().unwrap();
    // and stays connected
    assert_eq!(wire.answer(get("/?ok")).1, b"fine");
    let log = wire.lambda.log();
    assert!(log.contains("Function.Timeout"), "{log}");
    assert!(log.contains("did not take the whole stream"), "{log}");
    let mut rest = Vec::new();
    post.connection.read_to_end(&mut rest).unwrap_or_default();
    assert!(!rest.ends_with(b"\r\n\r\n"), "no last chunk");
}

/// A site with a file that no buffer holds, and a small one.
fn film() -> Function {
    Function::new("")
        .file("public/ok.txt", "fine")
        .sparse_file("public/film.mp4", 100_000_000)
        .env("_HANDLER", "public")
}

#[test]
fn a_file_that_lambda_does_not_take_ends_at_the_deadline() {
    let wire = Wire::start(film());
    let mut post = wire.send_with(get("/film.mp4"), Duration::from_millis(1000));
    post.chunk().unwrap();
    // and stays connected
    assert_eq!(wire.answer(get("/ok.txt")).1, b"fine");
    let log = wire.lambda.log();
    assert!(log.contains("A file was not taken whole within"), "{log}");
    let mut rest = Vec::new();
    post.connection.read_to_end(&mut rest).unwrap_or_default();
    assert!(!rest.ends_with(b"\r\n\r\n"), "no last chunk");
}

#[test]
fn a_file_that_becomes_shorter_in_mid_stream_ends_it_with_trailers() {
    let function = film();
    let path = function.task_root().join("public/film.mp4");
    let film = fs::File::options().write(true).open(path).unwrap();
    let wire = Wire::start(function);
    let mut post = wire.send(get("/film.mp4"));
    post.chunk().unwrap();
    film.set_len(1000).unwrap();
    let (_, trailers) = post.rest();
    assert_failure(
        &trailers,
        "Runtime.SiteUnreadable",
        "changes while it is served",
    );
    assert_eq!(wire.answer(get("/ok.txt")).1, b"fine");
}

#[test]
fn a_lambda_that_hangs_up_on_a_file_gets_the_next_event_served() {
    let wire = Wire::start(film());
    let mut post = wire.send(get("/film.mp4"));
    post.chunk().unwrap();
    drop(post);
    assert_eq!(wire.answer(get("/ok.txt")).1, b"fine");
    let log = wire.lambda.log();
    assert!(!log.contains("Function.Timeout"), "{log}");
}

#[test]
fn a_stream_that_is_given_up_at_the_end_of_the_process_is_never_taken_for_whole() {
    let wire = Wire::start(php("echo 'half'; while (true) usleep(1000);"));
    let mut post = wire.send(get("/"));
    assert_eq!(split_stream(&post.chunk().unwrap()).1, b"half");
    wire.lambda.signal(rustix::process::Signal::TERM);
    let mut rest = Vec::new();
    post.connection.read_to_end(&mut rest).unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(&rest), "", "no last chunk");
}
