//! Our FastCGI client and an independent one, the crate `fastcgi-client`, ask the same php-fpm the same: the same bytes come.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use fastcgi_client::{Client, Params, Request};
use php_fpm_lambda::fastcgi::connection::Connection;
use php_fpm_lambda::fastcgi::record::{Part, encode_request};
use php_fpm_lambda::fpm::Fpm;
use php_fpm_lambda::fpm::settings::Settings;
use php_fpm_lambda::log::{Format, Level, Log};
use tokio::net::UnixStream;
use tokio::task::LocalSet;

use crate::lambda::PATIENCE;

/// What a client got: the output, and what came as an error message.
#[derive(PartialEq, Eq)]
struct Output {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// One request: a script, and what it is given.
struct Case {
    name: String,
    script: &'static str,
    params: Vec<(String, String)>,
    body: Vec<u8>,
    /// What the output must be, so that two equal mistakes do not pass.
    expected: fn(&Case, &[u8]) -> bool,
}

impl Case {
    fn new(name: &str, script: &'static str, expected: fn(&Case, &[u8]) -> bool) -> Case {
        Case {
            name: name.to_owned(),
            script,
            params: Vec::new(),
            body: Vec::new(),
            expected,
        }
    }

    fn body(mut self, body: Vec<u8>) -> Case {
        write!(self.name, " with {} bytes", body.len()).unwrap();
        self.body = body;
        self
    }

    fn params(mut self, params: impl IntoIterator<Item = (String, String)>) -> Case {
        self.params.extend(params);
        self
    }

    /// Everything that goes out, the same for both clients.
    fn all_params(&self, folder: &Path) -> Vec<(String, String)> {
        let script = folder.join("script.php");
        let common = [
            // the other client would add these three with values of its own
            ("GATEWAY_INTERFACE", "CGI/1.1".to_owned()),
            ("SERVER_SOFTWARE", "test".to_owned()),
            ("SERVER_PROTOCOL", "HTTP/1.1".to_owned()),
            ("SCRIPT_FILENAME", script.to_str().unwrap().to_owned()),
            ("SCRIPT_NAME", "/script.php".to_owned()),
            ("REQUEST_METHOD", "POST".to_owned()),
            ("CONTENT_TYPE", "application/octet-stream".to_owned()),
            ("CONTENT_LENGTH", self.body.len().to_string()),
        ];
        let common = common
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        common.chain(self.params.iter().cloned()).collect()
    }
}

/// Every byte value, in no short rhythm.
pub fn binary(len: usize) -> Vec<u8> {
    (0..len as u64)
        .map(|index| (index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}

fn body_of(output: &[u8]) -> &[u8] {
    let end = output
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap_or_else(|| panic!("no end of the headers in {} bytes", output.len()));
    &output[end + 4..]
}

const ECHO: &str = "<?php header('Content-Type: application/octet-stream'); print file_get_contents('php://input');";

/// The variables of a case, in order and one a line.
const VARIABLES: &str = "<?php
    ksort($_SERVER);
    foreach ($_SERVER as $name => $value) { if (str_starts_with($name, 'T_')) { print \"$name=$value\\n\"; } }";

fn variables_are_there(case: &Case, output: &[u8]) -> bool {
    let mut params = case.params.clone();
    params.sort();
    let lines: String = params
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    body_of(output) == lines.as_bytes()
}

fn body_is_echoed(case: &Case, output: &[u8]) -> bool {
    body_of(output) == case.body
}

fn cases() -> Vec<Case> {
    let variable = |name: &str, value: &str| [(format!("T_{name}"), value.to_owned())];
    let mut cases = vec![
        Case::new("no output", "<?php", |_, output| {
            output == b"Content-type: text/html; charset=UTF-8\r\n\r\n"
        }),
        Case::new("an empty file", "", |_, output| body_of(output).is_empty()),
        Case::new(
            "no headers at all",
            "<?php header_remove(); ini_set('default_mimetype', '');",
            |_, output| output == b"\r\n",
        ),
        Case::new(
            "headers only",
            "<?php http_response_code(204); header('X-A: b'); header('Set-Cookie: a=1'); header('Set-Cookie: b=2', false);",
            |_, output| {
                output.starts_with(
                    b"Status: 204 No Content\r\nX-A: b\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n",
                )
            },
        ),
        Case::new(
            "a long header",
            "<?php header('X-Long: ' . str_repeat('0123456789', 20_000)); print 'body';",
            |_, output| output.len() > 200_000 && output.ends_with(b"\r\n\r\nbody"),
        ),
        Case::new(
            "many pieces",
            "<?php for ($i = 0; $i < 2_000; $i++) { print $i; flush(); }",
            |_, output| {
                let numbers: String = (0..2_000).map(|number| number.to_string()).collect();
                body_of(output) == numbers.as_bytes()
            },
        ),
        Case::new(
            "exit in mid-page",
            "<?php print 'half'; exit(3); print 'not this';",
            |_, output| body_of(output) == b"half",
        ),
        Case::new(
            "a fatal error before any output",
            "<?php nothing_of_this_name();",
            |_, output| output.starts_with(b"Status: 500 Internal Server Error\r\n"),
        ),
        Case::new(
            "a fatal error after output",
            "<?php print 'half'; flush(); nothing_of_this_name();",
            |_, output| body_of(output) == b"half",
        ),
        Case::new(
            "1 MB printed",
            "<?php print str_repeat(\"\\0\\xff\\r\\n\", 1 << 18);",
            |_, output| body_of(output) == b"\0\xff\r\n".repeat(1 << 18),
        ),
        Case::new(
            "a body that nobody reads",
            "<?php print 'done';",
            |_, output| body_of(output) == b"done",
        )
        .body(binary(300_000)),
        Case::new(
            "a parameter without a value",
            VARIABLES,
            variables_are_there,
        )
        .params(variable("EMPTY", "")),
        Case::new("unicode", VARIABLES, variables_are_there)
            .params(variable("ŻÓŁĆ", "zażółć gęślą jaźń 日本語 🐘"))
            .params(variable("LINES", "a\r\nb\tc")),
        Case::new("many parameters", VARIABLES, variables_are_there)
            .params((0..1_500).map(|index| (format!("T_{index:05}"), format!("value {index}")))),
    ];
    // where a length takes four bytes instead of one
    for len in [127, 128, 129, 60_000] {
        let value = "v".repeat(len);
        cases.push(
            Case::new(
                &format!("a value of {len} bytes"),
                VARIABLES,
                variables_are_there,
            )
            .params(variable("LONG", &value)),
        );
        let name = "N".repeat(len);
        cases.push(
            Case::new(
                &format!("a name of {len} bytes"),
                VARIABLES,
                variables_are_there,
            )
            .params(variable(&name, "v")),
        );
    }
    // around the length of a record, ours and the protocol's
    for len in [
        0, 1, 7, 8, 65_527, 65_528, 65_529, 65_535, 65_536, 65_537, 300_000, 1_048_576,
    ] {
        cases.push(Case::new("an echo", ECHO, body_is_echoed).body(binary(len)));
    }
    cases
}

async fn ask_ours(connection: &mut Connection, params: &[(String, String)], body: &[u8]) -> Output {
    let pairs = params
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let mut exchange = connection.request(encode_request(pairs).unwrap(), body);
    let mut output = Output {
        stdout: Vec::new(),
        stderr: Vec::new(),
    };
    loop {
        match exchange.next().await.unwrap() {
            Part::Stdout(bytes) => output.stdout.extend_from_slice(bytes),
            Part::Stderr(bytes) => output.stderr.extend_from_slice(bytes),
            Part::End => return output,
        }
    }
}

async fn ask_theirs(stream: UnixStream, params: &[(String, String)], body: &[u8]) -> Output {
    let params = params
        .iter()
        .fold(Params::default(), |params, (name, value)| {
            params.custom(name.as_str(), value.as_str())
        });
    // a new connection each time: this client loses its place on a kept one
    let response = Client::new_tokio(stream)
        .execute_once(Request::new(params, body))
        .await
        .unwrap();
    Output {
        stdout: response.stdout.unwrap_or_default(),
        stderr: response.stderr.unwrap_or_default(),
    }
}

/// Runs a test with php-fpm, which has one worker for each client: a kept connection occupies its worker.
fn with_php_fpm(test: impl AsyncFnOnce(&Fpm, &Path)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            program: None,
            task_root: folder.path().to_owned(),
            slots: 2,
            memory: None,
            streams: false,
            // each case writes its script anew
            ini_scan_dir: Some(format!(":{}", folder.path().display()).into()),
            environment: Default::default(),
        };
        fs::write(folder.path().join("opcache.ini"), "opcache.enable = 0\n").unwrap();
        let log = Log {
            format: Format::Text,
            level: Level::Fatal,
        };
        let fpm = Fpm::start(settings, log)
            .expect("php-fpm starts; where it is missing: apt-get install php8.4-fpm");
        test(&fpm, folder.path()).await;
        fpm.stop(Duration::from_secs(5)).await;
    });
}

#[test]
fn both_clients_get_the_same_bytes() {
    with_php_fpm(async |fpm: &Fpm, folder: &Path| {
        let mut connection = Connection::open(&fpm.socket(0)).await.unwrap();
        for case in cases() {
            fs::write(folder.join("script.php"), case.script).unwrap();
            let params = case.all_params(folder);
            let both = async {
                let ours = ask_ours(&mut connection, &params, &case.body).await;
                let stream = UnixStream::connect(fpm.socket(1)).await.unwrap();
                (ours, ask_theirs(stream, &params, &case.body).await)
            };
            let (ours, theirs) = tokio::time::timeout(PATIENCE, both)
                .await
                .unwrap_or_else(|_| panic!("{}: one of them waits", case.name));
            // no assert_eq: it would print a megabyte
            assert!(
                ours == theirs,
                "{}: ours {} + {} bytes, theirs {} + {} bytes",
                case.name,
                ours.stdout.len(),
                ours.stderr.len(),
                theirs.stdout.len(),
                theirs.stderr.len()
            );
            assert!(
                (case.expected)(&case, &ours.stdout),
                "{}: {}",
                case.name,
                String::from_utf8_lossy(&ours.stdout[..ours.stdout.len().min(1000)]).escape_debug()
            );
            assert!(connection.is_reusable(), "{}", case.name);
        }
    });
}
