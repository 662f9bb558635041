//! Variables whose values stand in Parameter Store or Secrets Manager, by way of AWS's extension.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use rustix::process::Signal;
use serde_json::json;

use crate::lambda::{Call, Function, Lambda, PATIENCE, get, serve};
use crate::local_cli::{LambdaLocal, cli};
use crate::process::kill;

const TOKEN: &str = "token-of-the-session";

/// What no log and no error may show.
const VALUE: &str = "s3cr3t-väl\"ue\nof two lines";

/// As AWS's extension does until Lambda has told it of the first invocation.
const NOT_READY: (u16, &str) = (400, "not ready to serve traffic, please wait");

/// In the place of AWS's extension: answers as it does.
struct Extension {
    port: u16,
    server: Arc<Server>,
}

#[derive(Default)]
struct Server {
    answers: BTreeMap<String, (u16, String)>,
    is_ready: AtomicBool,
    /// How many have to ask before anybody has an answer.
    crowd: usize,
    /// Paths with their queries.
    asked: Mutex<Vec<String>>,
    all_asked: tokio::sync::Notify,
}

impl Extension {
    fn ask(&self) -> Vec<String> {
        self.server.asked.lock().unwrap().clone()
    }
}

impl Server {
    /// With one parameter.
    fn new() -> Server {
        let server = Server {
            is_ready: true.into(),
            ..Server::default()
        };
        server.parameter("%2Fapp%2Fpassword", VALUE)
    }

    fn answer(mut self, query: &str, status: u16, body: &str) -> Server {
        self.answers
            .insert(query.to_owned(), (status, body.to_owned()));
        self
    }

    fn parameter(self, name: &str, value: &str) -> Server {
        let body = json!({
            "Parameter": {
                "ARN": "arn:aws:ssm:eu-central-1:123456789012:parameter/app/password", "DataType": "text",
                "LastModifiedDate": "2026-01-01T00:00:00.000Z", "Name": "/app/password", "Selector": null,
                "SourceResult": null, "Type": "SecureString", "Value": value, "Version": 1,
            },
            "ResultMetadata": {},
        });
        let query = format!("/systemsmanager/parameters/get?name={name}&withDecryption=true");
        self.answer(&query, 200, &body.to_string())
    }

    fn secret(self, query: &str, value: &str) -> Server {
        let body = json!({
            "ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-AbCdEf", "Name": "app",
            "CreatedDate": "2026-01-01T00:00:00Z", "SecretBinary": null, "SecretString": value,
            "VersionId": "a1b2c3d4", "VersionStages": ["AWSCURRENT"], "ResultMetadata": {},
        });
        self.answer(
            &format!("/secretsmanager/get?secretId={query}"),
            200,
            &body.to_string(),
        )
    }

    fn not_ready(self) -> Server {
        self.is_ready.store(false, Ordering::SeqCst);
        self
    }

    fn start(self) -> Extension {
        self.serve(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn serve(self, listener: TcpListener) -> Extension {
        let port = listener.local_addr().unwrap().port();
        let server = Arc::new(self);
        let router = axum::Router::new().fallback(handle);
        serve(listener, router.with_state(server.clone()));
        Extension { port, server }
    }
}

async fn handle(State(server): State<Arc<Server>>, uri: Uri, headers: HeaderMap) -> Response {
    let token = headers.get("x-aws-parameters-secrets-token");
    if token.is_none_or(|token| token != TOKEN) {
        return (StatusCode::FORBIDDEN, "bad session token or header key").into_response();
    }
    let query = uri.path_and_query().unwrap().as_str().to_owned();
    let asked = {
        let mut asked = server.asked.lock().unwrap();
        asked.push(query.clone());
        asked.len()
    };
    if !server.is_ready.load(Ordering::SeqCst) {
        let (status, text) = NOT_READY;
        return (StatusCode::from_u16(status).unwrap(), text).into_response();
    }
    if asked >= server.crowd {
        server.all_asked.notify_waiters();
        for _ in 0..server.crowd {
            server.all_asked.notify_one();
        }
    } else {
        server.all_asked.notified().await;
    }
    match server.answers.get(&query) {
        Some((status, body)) => {
            (StatusCode::from_u16(*status).unwrap(), body.clone()).into_response()
        }
        None => (
            StatusCode::BAD_REQUEST,
            "an unexpected error occurred while executing request",
        )
            .into_response(),
    }
}

/// Shows where a variable is seen.
const SHOW: &str = "<?php $name = $_GET['name']; \
    echo json_encode([getenv($name), $_SERVER[$name] ?? null, $_ENV[$name] ?? null, shell_exec('printf %s \"$' . $name . '\"')]);";

fn function(port: u16) -> Function {
    Function::new(SHOW)
        .env("AWS_SESSION_TOKEN", TOKEN)
        .env("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", &port.to_string())
}

fn shown(lambda: &mut Lambda, name: &str) -> serde_json::Value {
    serde_json::from_str(&lambda.get(&format!("/?name={name}"))).unwrap()
}

fn init_error(function: Function) -> (Call, Lambda) {
    let mut lambda = function.start();
    let call = lambda.init_error();
    assert_eq!(call.error_type(), "Runtime.SecretsUnavailable");
    (call, lambda)
}

fn message(function: Function) -> String {
    init_error(function).0.error_message()
}

#[test]
fn php_and_its_children_get_the_values_and_the_bootstrap_does_not() {
    let extension = Server::new().start();
    let mut lambda = function(extension.port)
        .env("DB_PASSWORD", "ssm:/app/password")
        .start();
    assert_eq!(
        shown(&mut lambda, "DB_PASSWORD"),
        json!([VALUE, VALUE, VALUE, VALUE])
    );
    assert_eq!(
        extension.ask(),
        ["/systemsmanager/parameters/get?name=%2Fapp%2Fpassword&withDecryption=true"]
    );

    let first_line = VALUE.lines().next().unwrap().as_bytes();
    let holds = |bytes: &[u8]| {
        bytes
            .windows(first_line.len())
            .any(|window| window == first_line)
    };
    let of = |pid: u32, file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap();
    assert!(
        !holds(&of(lambda.pid(), "environ")),
        "the bootstrap does not"
    );
    for process in lambda.processes() {
        assert!(!holds(&of(process.pid, "cmdline")), "{}", process.title);
    }
    assert!(!holds(lambda.log().as_bytes()), "{}", lambda.log());
}

#[test]
fn a_php_fpm_that_is_started_again_and_the_warm_up_have_them_too() {
    let extension = Server::new().start();
    let mut lambda = function(extension.port)
        .env("DB_PASSWORD", "ssm:/app/password")
        .env("PHP_LAMBDA_WARMUP", "warmup.php")
        .file(
            "warmup.php",
            "<?php file_put_contents(getenv('TMPDIR') . '/warm', getenv('DB_PASSWORD'));",
        )
        .start();
    assert_eq!(shown(&mut lambda, "DB_PASSWORD")[0], VALUE);
    let warm = std::fs::read_to_string(lambda.function.temp_dir().join("warm"));
    assert_eq!(warm.unwrap(), VALUE);
    kill(lambda.master(), Signal::KILL).unwrap();
    let call = lambda.invoke(get("/?name=DB_PASSWORD"));
    let call = match call.path.ends_with("/error") {
        true => lambda.invoke(get("/?name=DB_PASSWORD")),
        false => call,
    };
    assert!(call.page().contains("s3cr3t"));
    assert_eq!(extension.ask().len(), 1);
}

#[test]
fn a_command_of_the_console_has_them() {
    let extension = Server::new().start();
    let mut lambda = function(extension.port)
        .file("console.php", "<?php echo getenv('DB_PASSWORD'), '|', shell_exec('printf %s \"$DB_PASSWORD\"'), '|', $argc;")
        .env("PHP_LAMBDA_CONSOLE", "console.php")
        .env("DB_PASSWORD", "ssm:/app/password")
        .start();
    let answer = lambda.invoke(r#"{"cli":""}"#).json();
    assert_eq!(answer["output"], format!("{VALUE}|{VALUE}|1"));
}

#[test]
fn every_form_of_a_reference_reaches_the_extension_as_aws_documents_it() {
    let arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-AbCdEf";
    let encoded = arn.replace(':', "%3A");
    let pair = r#"{"user":"u1","password":"p1","port":5432}"#;
    let extension = Server::new()
        .parameter("p&withDecryption=true&version=3", "")
        .answer(
            "/systemsmanager/parameters/get?name=p&withDecryption=true&version=3",
            200,
            r#"{"Parameter":{"Value":"v3"}}"#,
        )
        .answer(
            "/systemsmanager/parameters/get?name=p&withDecryption=true&label=live",
            200,
            r#"{"Parameter":{"Value":"live"}}"#,
        )
        .secret("app%2Fdb", pair)
        .secret("app&versionStage=AWSPREVIOUS", "previous")
        .secret(
            &format!("{encoded}&versionStage=AWSCURRENT&versionId=a1b2"),
            pair,
        )
        .start();
    let mut lambda = function(extension.port)
        .env("VERSION", "ssm:p:3")
        .env("LABEL", "ssm:p:live")
        .env("WHOLE", "secretsmanager:app/db")
        .env("USER_NAME", "secretsmanager:app/db:user")
        .env("PORT", "secretsmanager:app/db:port")
        .env("PREVIOUS", "secretsmanager:app::AWSPREVIOUS:")
        .env(
            "BY_ARN",
            &format!("secretsmanager:{arn}:password:AWSCURRENT:a1b2"),
        )
        .start();
    for (name, value) in [
        ("VERSION", "v3"),
        ("LABEL", "live"),
        ("WHOLE", pair),
        ("USER_NAME", "u1"),
        ("PORT", "5432"),
        ("PREVIOUS", "previous"),
        ("BY_ARN", "p1"),
    ] {
        assert_eq!(shown(&mut lambda, name)[0], value, "{name}");
    }
    assert_eq!(
        extension.ask().len(),
        5,
        "each place once: {:?}",
        extension.ask()
    );
}

#[test]
fn they_are_asked_for_at_once() {
    let mut server = Server::new();
    server.crowd = 10;
    for index in 0..10 {
        server = server.parameter(&format!("p{index}"), &format!("value {index}"));
    }
    let extension = server.start();
    let names: Vec<String> = (0..10).map(|index| format!("V{index}")).collect();
    let function = names
        .iter()
        .enumerate()
        .fold(function(extension.port), |function, (index, name)| {
            function.env(name, &format!("ssm:p{index}"))
        });
    let mut lambda = function.start();
    assert_eq!(shown(&mut lambda, "V7")[0], "value 7");
}

#[test]
fn where_the_extension_waits_for_the_first_invocation_it_is_asked_for_first() {
    let extension = Server::new().not_ready().start();
    let mut lambda = function(extension.port)
        .env("DB_PASSWORD", "ssm:/app/password")
        .start();
    let next = lambda.call();
    assert_eq!(next.path, "/2018-06-01/runtime/invocation/next");
    assert_eq!(
        lambda.extension_calls().first().unwrap(),
        "register {\"events\":[]}"
    );
    // else Lambda would hand out no invocation
    let begun = Instant::now();
    while !lambda
        .extension_calls()
        .iter()
        .any(|call| call == "event/next")
    {
        assert!(begun.elapsed() < PATIENCE, "{:?}", lambda.extension_calls());
        std::thread::yield_now();
    }
    assert!(
        lambda.processes().is_empty(),
        "no php-fpm without its variables"
    );
    let asked = extension.ask().len();
    assert!(asked >= 1);
    let sent = lambda.send(get("/?name=DB_PASSWORD"));
    // as Lambda's news of the invocation makes it
    while extension.ask().len() < asked + 2 {
        std::thread::yield_now();
    }
    extension.server.is_ready.store(true, Ordering::SeqCst);
    let call = lambda.post();
    assert!(
        call.path.contains(&sent.id) && call.page().contains("s3cr3t"),
        "{}",
        call.text()
    );
    assert_eq!(
        shown(&mut lambda, "DB_PASSWORD")[0],
        VALUE,
        "and the next one"
    );
    let nexts = lambda.calls_left();
    assert!(nexts.len() <= 1, "asked for one at a time");
}

#[test]
fn under_lambda_local_the_first_invocation_has_its_values() {
    let extension = Server::new().not_ready().start();
    let port = format!("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT={}", extension.port);
    let token = format!("AWS_SESSION_TOKEN={TOKEN}");
    let variables = [
        "PHP_LAMBDA_CONSOLE=artisan",
        "A=ssm:/app/password",
        &token,
        &port,
    ];
    let options: Vec<&str> = variables
        .into_iter()
        .flat_map(|variable| ["--env", variable])
        .collect();
    let mut local = LambdaLocal::start(&options);
    let address = local.address.clone();
    let command = std::thread::spawn(move || cli(&address, &["child", "A"]));
    local.program.line("START RequestId: ");
    extension.server.is_ready.store(true, Ordering::SeqCst);
    assert_eq!(
        command.join().unwrap(),
        (Some(0), VALUE.to_owned(), String::new())
    );
}

#[test]
fn what_fails_in_the_first_invocation_is_its_error() {
    let missing = "/systemsmanager/parameters/get?name=missing&withDecryption=true";
    let extension = Server::new()
        .answer(missing, 400, "ParameterNotFound")
        .not_ready()
        .start();
    let mut lambda = function(extension.port).env("A", "ssm:missing").start();
    assert!(lambda.call().path.ends_with("/next"));
    let sent = lambda.send(get("/"));
    extension.server.is_ready.store(true, Ordering::SeqCst);
    let call = lambda.post();
    assert_eq!(
        call.path,
        format!("/2018-06-01/runtime/invocation/{}/error", sent.id)
    );
    assert_eq!(call.error_type(), "Runtime.SecretsUnavailable");
    assert!(
        call.error_message()
            .contains("A: there is no such parameter"),
        "{}",
        call.text()
    );
    assert!(
        call.log.contains(&format!("\t{}\tFATAL\t", sent.id)),
        "{}",
        call.log
    );
    assert_eq!(lambda.wait().code(), Some(1));
}

#[test]
fn the_first_invocation_has_its_deadline_while_the_extension_is_waited_for() {
    let extension = Server::new().not_ready().start();
    let mut lambda = function(extension.port)
        .env("A", "ssm:/app/password")
        .env("PHP_LAMBDA_TIMEOUT_MARGIN_MS", "2500")
        .start();
    assert!(lambda.call().path.ends_with("/next"));
    let mut event = lambda.event(get("/"));
    event.timeout = Duration::from_millis(3500);
    let begun = Instant::now();
    let call = lambda.invoke_event(event);
    assert_eq!(call.error_type(), "Function.Timeout");
    assert!(begun.elapsed() < Duration::from_millis(3500));
    assert_eq!(lambda.wait().code(), Some(1));
}

#[test]
fn php_fpm_that_does_not_start_is_the_error_of_the_first_invocation() {
    let extension = Server::new().not_ready().start();
    let mut lambda = function(extension.port)
        .env("A", "ssm:/app/password")
        .env("PHP_FPM", "/etc/passwd")
        .start();
    assert!(lambda.call().path.ends_with("/next"));
    lambda.send(get("/"));
    extension.server.is_ready.store(true, Ordering::SeqCst);
    let call = lambda.post();
    assert!(
        call.path.ends_with("/error") && call.path.contains("/invocation/"),
        "{}",
        call.path
    );
    assert_eq!(call.error_type(), "Runtime.PhpFpmStartFailed");
    assert_eq!(lambda.wait().code(), Some(1));
}

#[test]
fn every_variable_without_a_value_is_named_with_what_to_do() {
    let parameter =
        |name: &str| format!("/systemsmanager/parameters/get?name={name}&withDecryption=true");
    let denied = "AccessDeniedException: User: arn:aws:sts::1:assumed-role/r/f is not authorized to perform: ssm:GetParameter";
    let extension = Server::new()
        .answer(&parameter("denied"), 400, denied)
        .answer(&parameter("absent"), 400, "ParameterNotFound")
        .answer(&parameter("odd"), 200, VALUE)
        .secret("plain", VALUE)
        .secret("pair", "{\"a\":\"s3cr3t\"}")
        .start();
    let (call, lambda) = init_error(
        function(extension.port)
            .env("GOOD", "ssm:/app/password")
            .env("DENIED", "ssm:denied")
            .env("ABSENT", "ssm:absent")
            .env("ODD", "ssm:odd")
            .env("UNKNOWN", "secretsmanager:unknown")
            .env("PLAIN", "secretsmanager:plain:key")
            .env("PAIR", "secretsmanager:pair:key"),
    );
    let message = call.error_message();
    for words in [
        "DENIED: the function's role may not read it. Allow it ssm:GetParameter",
        "ABSENT: there is no such parameter",
        "ODD: the extension's answer has no value",
        "UNKNOWN: the extension answered with the status 400",
        "PLAIN: a JSON key is asked for, and the secret is no JSON",
        "PAIR: the secret has no such JSON key",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert!(!message.contains("GOOD"), "{message}");
    for secret in ["s3cr3t", TOKEN] {
        assert!(
            !message.contains(secret) && !lambda.log().contains(secret),
            "{message}"
        );
    }
}

#[test]
fn where_nobody_listens_the_layer_is_missing() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let message = message(
        function(port)
            .env("A", "ssm:a")
            .env("B", "secretsmanager:b"),
    );
    for words in [
        "A: nothing listens",
        "B: nothing listens",
        "Add the layer",
        "lambda-local --env",
        &port.to_string(),
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
}

#[test]
fn an_extension_that_begins_to_listen_a_little_later_is_found() {
    use rustix::net::{AddressFamily, SocketAddrV4, SocketType, bind, listen, socket};
    // a socket that does not listen yet refuses connections, and the port is nobody else's
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddrV4::new([127, 0, 0, 1].into(), 0)).unwrap();
    let listener = TcpListener::from(socket);
    let port = listener.local_addr().unwrap().port();
    let mut lambda = function(port).env("A", "ssm:/app/password").start();
    while lambda.extension_calls().is_empty() {
        std::thread::yield_now();
    }
    listen(&listener, 16).unwrap();
    let _extension = Server::new().serve(listener);
    assert_eq!(shown(&mut lambda, "A")[0], VALUE);
}

#[test]
fn an_answer_that_breaks_off_is_none() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut lambda = function(port).env("A", "ssm:/app/password").start();
    let (connection, _) = listener.accept().unwrap();
    drop((connection, listener));
    let call = lambda.init_error();
    assert!(
        call.error_message().contains("broke its answer off"),
        "{}",
        call.text()
    );
}

#[test]
fn an_extension_that_does_not_answer_is_given_up() {
    let mut server = Server::new();
    server.crowd = 2;
    let extension = server.start();
    let begun = Instant::now();
    let message = message(function(extension.port).env("A", "ssm:/app/password"));
    assert!(
        message.contains("A: the extension did not answer in time"),
        "{message}"
    );
    assert!(begun.elapsed() < Duration::from_secs(8));
}

#[test]
fn outside_of_lambda_and_under_snap_start_there_are_none() {
    let outside = Function::new(SHOW)
        .env("DB_PASSWORD", "ssm:a")
        .env("OTHER", "ssm:b");
    let message_of_it = message(outside);
    assert!(
        message_of_it.contains("no value for DB_PASSWORD, OTHER: AWS_SESSION_TOKEN is not set"),
        "{message_of_it}"
    );
    assert!(message_of_it.contains("lambda-local --env"));
    let extension = Server::new().start();
    let restored = function(extension.port)
        .env("DB_PASSWORD", "ssm:/app/password")
        .env("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start");
    assert!(message(restored).contains("does not work under SnapStart"));
}

#[test]
fn a_token_that_the_extension_does_not_take() {
    let extension = Server::new().start();
    let function = function(extension.port)
        .env("A", "ssm:/app/password")
        .env("AWS_SESSION_TOKEN", "another");
    assert!(message(function).contains("does not take AWS_SESSION_TOKEN"));
}

#[test]
fn with_several_slots_the_extension_has_to_be_ready_at_the_start() {
    let extension = Server::new().start();
    let mut lambda = function(extension.port)
        .env("A", "ssm:/app/password")
        .env("AWS_LAMBDA_MAX_CONCURRENCY", "2")
        .start();
    assert_eq!(shown(&mut lambda, "A")[0], VALUE);
    let extension = Server::new().not_ready().start();
    let function = function(extension.port)
        .env("A", "ssm:/app/password")
        .env("AWS_LAMBDA_MAX_CONCURRENCY", "2");
    assert!(message(function).contains("was not ready within 4.5 s"));
}

#[test]
fn a_backslash_makes_a_value_literal_and_nobody_is_asked() {
    let extension = Server::new().start();
    let mut lambda = function(extension.port)
        .env("A", r"\ssm:/app/password")
        .env("B", r"\\secretsmanager:x")
        .env("C", "not ssm:/app/password")
        .start();
    assert_eq!(shown(&mut lambda, "A"), json!(vec!["ssm:/app/password"; 4]));
    assert_eq!(shown(&mut lambda, "B")[3], r"\secretsmanager:x");
    assert_eq!(shown(&mut lambda, "C")[0], "not ssm:/app/password");
    assert!(extension.ask().is_empty());
}

#[test]
fn a_bad_reference_is_a_bad_configuration_that_is_not_shown() {
    let mut lambda = Function::new(SHOW).env("A", "ssm:hunter 2").start();
    let call = lambda.call();
    assert_eq!(call.error_type(), "Runtime.InvalidConfiguration");
    assert!(call.error_message().contains("A begins with ssm:") && !call.text().contains("hunter"));
    lambda.wait();
    assert!(!lambda.log().contains("hunter"));
}

#[test]
fn sigterm_ends_the_waiting() {
    for is_ready in [false, true] {
        let mut server = Server::new();
        server.crowd = 2;
        let extension = if is_ready {
            server.start()
        } else {
            server.not_ready().start()
        };
        let mut lambda = function(extension.port)
            .env("A", "ssm:/app/password")
            .start();
        while extension.ask().is_empty() {
            std::thread::yield_now();
        }
        if !is_ready {
            assert!(lambda.call().path.ends_with("/next"));
        }
        lambda.signal(Signal::TERM);
        assert_eq!(lambda.wait().code(), Some(0));
    }
}
