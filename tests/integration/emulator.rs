//! AWS's Runtime Interface Emulator runs the bootstrap: what Lambda's own code makes of it, and what a caller sees.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Instant;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::lambda::{Function, PATIENCE, bootstrap, get};
use crate::program::Program;

const INSTALL: &str = "aws-lambda-rie is missing; it is inside the Python package aws-sam-cli: \
    pip download --no-deps aws-sam-cli && unzip -j aws_sam_cli-*.whl 'samcli/local/rapid/aws-lambda-rie-x86_64' \
    && install -m 0755 aws-lambda-rie-x86_64 /usr/local/bin/aws-lambda-rie";

/// Below the ports that the kernel hands out by itself.
static NEXT_PORT: AtomicU16 = AtomicU16::new(20_001);

/// An emulator with a function, not yet initialized: that comes with the first invocation.
struct Emulator {
    program: Program,
    client: reqwest::Client,
    address: SocketAddr,
    _function: Function,
}

impl Emulator {
    fn start(function: Function, handler: &str, environment: &[(&str, &str)]) -> Emulator {
        let (address, runtime_api) = (free_address(), free_address());
        let mut command = Command::new("aws-lambda-rie");
        command
            .args(["--log-level", "debug"])
            .args(["--runtime-interface-emulator-address", &address.to_string()])
            .args(["--runtime-api-address", &runtime_api.to_string()])
            .arg(bootstrap())
            .arg(handler)
            .current_dir(function.task_root())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("LAMBDA_TASK_ROOT", function.task_root())
            .env("TMPDIR", function.temp_dir())
            .envs(environment.iter().copied())
            .stderr(Stdio::piped());
        let program = Program::start(&mut command);
        let program = program.unwrap_or_else(|error| panic!("{error}: {INSTALL}"));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut emulator = Emulator {
            program,
            client,
            address,
            _function: function,
        };
        emulator.line("Runtime API Server listening on");
        emulator.wait_for_port();
        emulator
    }

    /// It opens its two ports at the same time and speaks of the other one alone, so this one may take a moment more; nothing
    /// tells that a port is open but a connection.
    fn wait_for_port(&mut self) {
        let begin = Instant::now();
        while let Err(error) = TcpStream::connect(self.address) {
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
            assert_eq!(self.program.status(), None, "it ended");
            assert!(begin.elapsed() < PATIENCE, "{} stays closed", self.address);
            std::thread::yield_now();
        }
    }

    async fn invoke(&self, event: impl Into<reqwest::Body>) -> (StatusCode, Value) {
        let url = format!(
            "http://{}/2015-03-31/functions/function/invocations",
            self.address
        );
        let request = self.client.post(url).body(event).timeout(PATIENCE);
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        let value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text:?}"));
        (status, value)
    }

    /// The whole answer to a GET.
    async fn answer(&self, path: &str) -> Value {
        let (status, answer) = self.invoke(get(path)).await;
        assert_eq!(status, StatusCode::OK);
        assert!(answer["errorType"].is_null(), "{answer}");
        answer
    }

    /// The type of the error that a GET ends in; the function then answers the next invocation as if nothing had been.
    async fn error(&self, path: &str) -> String {
        let (_, error) = self.invoke(get(path)).await;
        let error_type = error["errorType"].as_str();
        let error_type = error_type.unwrap_or_else(|| panic!("{path}: {error}"));
        assert!(error["errorMessage"].is_string(), "{error}");
        assert_eq!(error["stackTrace"], json!([]));
        assert_eq!(self.answer("/well").await["body"], "well: /well");
        error_type.to_owned()
    }

    /// Waits for a line of the emulator or of the function's log.
    fn line(&mut self, text: &str) -> String {
        self.program.line_with(text)
    }

    /// Ends the emulator, which ends the bootstrap, and returns all lines that were not waited for.
    fn stop(self) -> Vec<String> {
        self.program.stop()
    }
}

/// An address that no other process can have taken, nor take before the emulator does: this process's number makes the
/// host (all of 127.0.0.0/8 is the loopback interface), a counter the port.
fn free_address() -> SocketAddr {
    let [_, second, third, fourth] = std::process::id().to_be_bytes();
    let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
    ([127, second, third, fourth], port).into()
}

/// The test event "apigateway-aws-proxy" as Lambda's console offers it.
const CONSOLE_EVENT: &str = r#"{
  "body": "eyJ0ZXN0IjoiYm9keSJ9",
  "resource": "/{proxy+}",
  "path": "/path/to/resource",
  "httpMethod": "POST",
  "isBase64Encoded": true,
  "queryStringParameters": {
    "foo": "bar"
  },
  "multiValueQueryStringParameters": {
    "foo": [
      "bar"
    ]
  },
  "pathParameters": {
    "proxy": "/path/to/resource"
  },
  "stageVariables": {
    "baz": "qux"
  },
  "headers": {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, sdch",
    "Accept-Language": "en-US,en;q=0.8",
    "Cache-Control": "max-age=0",
    "CloudFront-Forwarded-Proto": "https",
    "CloudFront-Is-Desktop-Viewer": "true",
    "CloudFront-Is-Mobile-Viewer": "false",
    "CloudFront-Is-SmartTV-Viewer": "false",
    "CloudFront-Is-Tablet-Viewer": "false",
    "CloudFront-Viewer-Country": "US",
    "Host": "1234567890.execute-api.us-east-1.amazonaws.com",
    "Upgrade-Insecure-Requests": "1",
    "User-Agent": "Custom User Agent String",
    "Via": "1.1 08f323deadbeefa7af34d5feb414ce27.cloudfront.net (CloudFront)",
    "X-Amz-Cf-Id": "cDehVQoZnx43VYQb9j2-nvCh-9z396Uhbp027Y2JvkCPNLmGJHqlaA==",
    "X-Forwarded-For": "127.0.0.1, 127.0.0.2",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Proto": "https"
  },
  "multiValueHeaders": {
    "Accept": [
      "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"
    ],
    "Accept-Encoding": [
      "gzip, deflate, sdch"
    ],
    "Accept-Language": [
      "en-US,en;q=0.8"
    ],
    "Cache-Control": [
      "max-age=0"
    ],
    "CloudFront-Forwarded-Proto": [
      "https"
    ],
    "CloudFront-Is-Desktop-Viewer": [
      "true"
    ],
    "CloudFront-Is-Mobile-Viewer": [
      "false"
    ],
    "CloudFront-Is-SmartTV-Viewer": [
      "false"
    ],
    "CloudFront-Is-Tablet-Viewer": [
      "false"
    ],
    "CloudFront-Viewer-Country": [
      "US"
    ],
    "Host": [
      "0123456789.execute-api.us-east-1.amazonaws.com"
    ],
    "Upgrade-Insecure-Requests": [
      "1"
    ],
    "User-Agent": [
      "Custom User Agent String"
    ],
    "Via": [
      "1.1 08f323deadbeefa7af34d5feb414ce27.cloudfront.net (CloudFront)"
    ],
    "X-Amz-Cf-Id": [
      "cDehVQoZnx43VYQb9j2-nvCh-9z396Uhbp027Y2JvkCPNLmGJHqlaA=="
    ],
    "X-Forwarded-For": [
      "127.0.0.1, 127.0.0.2"
    ],
    "X-Forwarded-Port": [
      "443"
    ],
    "X-Forwarded-Proto": [
      "https"
    ]
  },
  "requestContext": {
    "accountId": "123456789012",
    "resourceId": "123456",
    "stage": "prod",
    "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
    "requestTime": "09/Apr/2015:12:34:56 +0000",
    "requestTimeEpoch": 1428582896000,
    "identity": {
      "cognitoIdentityPoolId": null,
      "accountId": null,
      "cognitoIdentityId": null,
      "caller": null,
      "accessKey": null,
      "sourceIp": "127.0.0.1",
      "cognitoAuthenticationType": null,
      "cognitoAuthenticationProvider": null,
      "userArn": null,
      "userAgent": "Custom User Agent String",
      "user": null
    },
    "path": "/prod/path/to/resource",
    "resourcePath": "/{proxy+}",
    "httpMethod": "POST",
    "apiId": "1234567890",
    "protocol": "HTTP/1.1"
  }
}"#;

#[tokio::test]
async fn the_tutorial_answers_the_consoles_test_event() {
    let hello = include_str!("../../examples/hello/index.php");
    let mut emulator = Emulator::start(Function::new(hello), "index.php", &[]);
    let (status, answer) = emulator.invoke(CONSOLE_EVENT).await;
    assert_eq!(status, StatusCode::OK);
    let expected = json!({
        "statusCode": 200,
        "multiValueHeaders": { "Content-type": ["text/html; charset=UTF-8"] },
        "body": "Hello World! You've reached /path/to/resource?foo=bar",
        "isBase64Encoded": false,
    });
    assert_eq!(answer, expected);
    emulator.line("INIT RTDONE(status: success)");
    emulator.line("INVOKE RTDONE(status: success, produced bytes: 0");
    emulator.stop();
}

#[tokio::test]
async fn the_events_body_and_client_reach_php() {
    let function = Function::new(
        "<?php print json_encode([$_SERVER['REQUEST_METHOD'], file_get_contents('php://input'), $_SERVER['REMOTE_ADDR'],
            $_SERVER['HTTPS'], $_SERVER['SERVER_NAME'], getenv('LAMBDA_REQUEST_ID'), getenv('AWS_LAMBDA_FUNCTION_NAME')]);",
    );
    let environment = [("AWS_LAMBDA_FUNCTION_NAME", "shop")];
    let mut emulator = Emulator::start(function, "index.php", &environment);
    let (_, answer) = emulator.invoke(CONSOLE_EVENT).await;
    let start = emulator.line("START RequestId: ");
    let request_id = start.split(' ').nth(2).unwrap();
    let seen: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    let host = "0123456789.execute-api.us-east-1.amazonaws.com";
    let expected = json!([
        "POST",
        r#"{"test":"body"}"#,
        "127.0.0.1",
        "on",
        host,
        request_id,
        "shop"
    ]);
    assert_eq!(seen, expected);
    emulator.stop();
}

#[tokio::test]
async fn payload_2_0_and_other_events_are_answered() {
    let function = Function::new(
        "<?php if ($_SERVER['REQUEST_METHOD'] === 'GET') { setcookie('a', 'b'); http_response_code(201); print 'h€llo'; }
            else { print '[' . file_get_contents('php://input') . ' ]'; }",
    );
    let emulator = Emulator::start(function, "index.php", &[]);
    let expected = json!({
        "statusCode": 201,
        "headers": { "Content-type": "text/html; charset=UTF-8" },
        "cookies": ["a=b"],
        "body": "h€llo",
        "isBase64Encoded": false,
    });
    assert_eq!(emulator.answer("/x?y=z").await, expected);
    // no HTTP: what the script prints is the answer
    assert_eq!(
        emulator.invoke("{\"a\": 1}").await,
        (StatusCode::OK, json!([{ "a": 1 }]))
    );
    assert_eq!(
        emulator.invoke("{\"a\" 1}").await.1["errorType"],
        "Runtime.InvalidEvent"
    );
    emulator.stop();
}

/// Fails in the way that its path names.
const FAILING: &str = r#"<?php
switch ($_SERVER['REQUEST_URI']) {
    case '/exception': throw new LogicException('thrown');
    case '/fatal': print 'half a page'; nothing_of_this_name();
    case '/killed': posix_kill(getmypid(), 9); break;
    case '/segfault': posix_kill(getmypid(), 11); break;
    case '/endless': for (;;);
    case '/blocked': $pair = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0); fgets($pair[0]); break;
    case '/header': header('no name and no value'); break;
    case '/large': print str_repeat("\0", 5_000_000); exit;
    case '/exit': exit(3);
}
print 'well: ' . $_SERVER['REQUEST_URI'];
"#;

#[tokio::test]
async fn failures_reach_the_caller_and_the_next_invocation_works() {
    let mut emulator = Emulator::start(Function::new(FAILING), "index.php", &[]);
    for (path, error_type) in [
        ("/killed", "Runtime.OutOfMemory"),
        ("/segfault", "Runtime.WorkerCrashed"),
        ("/header", "Function.InvalidHeaders"),
        ("/large", "Function.ResponseTooLarge"),
    ] {
        assert_eq!(emulator.error(path).await, error_type, "{path}");
    }
    // these are the application's own answers
    for (path, status, body) in [
        ("/exception", 500, ""),
        ("/fatal", 200, "half a page"),
        ("/exit", 200, ""),
        ("/well", 200, "well: /well"),
    ] {
        let answer = emulator.answer(path).await;
        assert_eq!(
            (&answer["statusCode"], &answer["body"]),
            (&json!(status), &json!(body))
        );
    }
    emulator.line("PHP Fatal error:  Uncaught LogicException: thrown");
    emulator.stop();
}

#[tokio::test]
async fn chosen_statuses_fail_the_invocation() {
    let environment = [("PHP_LAMBDA_ERROR_STATUS_CODES", "500")];
    let emulator = Emulator::start(Function::new(FAILING), "index.php", &environment);
    assert_eq!(emulator.error("/exception").await, "Function.HttpStatus");
    emulator.stop();
}

#[tokio::test]
async fn a_script_that_takes_too_long_is_stopped_before_the_emulator_would_do_it() {
    let environment = [("AWS_LAMBDA_FUNCTION_TIMEOUT", "2")];
    let emulator = Emulator::start(Function::new(FAILING), "index.php", &environment);
    for path in ["/blocked", "/endless"] {
        assert_eq!(emulator.error(path).await, "Function.Timeout", "{path}");
    }
    // the emulator's own time-out ends the sandbox
    let lines = emulator.stop();
    let inits = lines.iter().filter(|line| line.contains("INIT START"));
    assert_eq!(inits.count(), 1, "{lines:#?}");
}

#[tokio::test]
async fn a_handler_that_is_not_there_is_an_init_error_for_the_caller() {
    let function = Function::new("<?php print 'well: ' . $_SERVER['REQUEST_URI'];");
    let root = function.task_root();
    let mut emulator = Emulator::start(function, "publik/index.php", &[]);
    // the second time it is another attempt at init
    for _ in 0..2 {
        let (status, error) = emulator.invoke(get("/")).await;
        assert_eq!(status, StatusCode::BAD_GATEWAY);
        assert_eq!(error["errorType"], "Runtime.NoSuchHandler");
        let message = error["errorMessage"].as_str().unwrap();
        assert!(message.contains("publik/index.php"), "{message}");
        emulator.line("FATAL\tRuntime.NoSuchHandler: ");
    }
    std::fs::create_dir(root.join("publik")).unwrap();
    std::fs::copy(root.join("index.php"), root.join("publik/index.php")).unwrap();
    assert_eq!(emulator.answer("/late").await["body"], "well: /late");
    emulator.stop();
}

#[tokio::test]
async fn a_bad_value_is_an_init_error_for_the_caller() {
    let environment = [
        ("PHP_LAMBDA_TIMEOUT_MARGIN_MS", "soon"),
        ("PHP_LAMBDA_MAX_REQUEST", "5"),
    ];
    let emulator = Emulator::start(Function::new(""), "index.php", &environment);
    let (status, error) = emulator.invoke(get("/")).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert_eq!(error["errorType"], "Runtime.InvalidConfiguration");
    let message = error["errorMessage"].as_str().unwrap();
    for (name, value) in environment {
        assert!(message.contains(name), "{name} {value}: {message}");
    }
    emulator.stop();
}

const TALKING: &str = r#"<?php
error_log("one\ntwo");
file_put_contents('php://stderr', "from stderr\n");
error_log('{"level":"INFO","message":"its own"}');
print $undefined;
throw new LogicException('the last');
"#;

#[tokio::test]
async fn with_json_every_line_of_the_log_is_an_object_with_the_request_id() {
    // Lambda's spelling, and the one that the emulator uses for itself
    for format in ["JSON", "json"] {
        let function = Function::new(TALKING);
        let environment = [("AWS_LAMBDA_LOG_FORMAT", format)];
        let mut emulator = Emulator::start(function, "index.php", &environment);
        emulator.answer("/").await;
        let start = emulator.line("START RequestId: ");
        let request_id = start.split(' ').nth(2).unwrap();
        let lines = emulator.stop();
        let objects: Vec<Value> = lines
            .iter()
            .filter(|line| line.starts_with('{'))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let logged = |text: &str| {
            let is_it = |object: &&Value| object["message"].as_str().unwrap().contains(text);
            objects
                .iter()
                .find(is_it)
                .unwrap_or_else(|| panic!("{text}: {lines:#?}"))
        };
        for (text, level) in [
            ("one\ntwo", "INFO"),
            ("from stderr", "INFO"),
            ("Undefined variable $undefined", "WARN"),
            ("Uncaught LogicException: the last", "ERROR"),
        ] {
            let object = logged(text);
            assert_eq!(object["requestId"], request_id, "{object}");
            assert_eq!(object["level"], level, "{object}");
            assert!(object["timestamp"].as_str().unwrap().ends_with('Z'));
        }
        assert_eq!(
            logged("its own"),
            &json!({"level": "INFO", "message": "its own"})
        );
        // nothing of PHP's is beside the objects
        let is_plain = |line: &&String| line.contains("PHP ") && !line.starts_with('{');
        assert_eq!(lines.iter().find(is_plain), None);
    }
}
