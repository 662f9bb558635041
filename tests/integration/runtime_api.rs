//! The Runtime API: what is sent, and what the bootstrap does when Lambda says no.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use php_fpm_lambda::runtime_api::RuntimeApi;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::lambda::{Function, HANG_UP, get};

const UP: &str = "<?php echo 'up';";

#[test]
fn the_invocation_id_comes_back_and_the_user_agent_names_both_versions() {
    let mut lambda = Function::new("<?php echo PHP_VERSION;").start();
    let first = lambda.call();
    assert_eq!(
        (&first.method, &*first.path),
        (&Method::GET, "/2018-06-01/runtime/invocation/next")
    );
    let mut event = lambda.event(get("/"));
    event.headers = vec![("lambda-runtime-invocation-id", "invocation-7".into())];
    let call = lambda.invoke_event(event);
    assert_eq!(call.headers["lambda-runtime-invocation-id"], "invocation-7");
    let agent = format!(
        "php-fpm-lambda/{} (php/{})",
        env!("CARGO_PKG_VERSION"),
        call.page()
    );
    for headers in [&first.headers, &call.headers] {
        assert_eq!(headers["user-agent"], agent);
    }

    let mut event = lambda.event("{");
    event.headers = vec![("lambda-runtime-invocation-id", "invocation-8".into())];
    assert_eq!(
        lambda.invoke_event(event).headers["lambda-runtime-invocation-id"],
        "invocation-8"
    );
    let call = lambda.invoke(get("/"));
    assert!(!call.headers.contains_key("lambda-runtime-invocation-id"));
    // hidden before and after
    assert!(
        call.json()["headers"].get("X-Powered-By").is_none(),
        "{}",
        call.text()
    );
}

#[test]
fn a_refused_answer_is_logged_once_and_the_next_event_is_served() {
    let mut lambda = Function::new(UP).start();
    for status in [400, 403, 410, 413] {
        lambda.answer_posts_with(&[status]);
        let refused = lambda.invoke(get("/"));
        assert!(refused.path.ends_with("/response"));
        // no /error comes after it
        let next = lambda.invoke(get("/"));
        assert_eq!(next.page(), "up");
        let line = format!("was refused: {status}");
        assert_eq!(next.log.matches(&line).count(), 1, "{}", next.log);
    }
}

#[test]
fn a_refused_error_is_logged_and_the_next_event_is_served() {
    let mut lambda = Function::new(UP).start();
    lambda.answer_posts_with(&[410]);
    assert_eq!(
        lambda.invoke("no json").error_type(),
        "Runtime.InvalidEvent"
    );
    assert_eq!(lambda.get("/"), "up");
}

#[test]
fn a_broken_runtime_api_ends_the_process() {
    let mut lambda = Function::new(UP).start();
    lambda.answer_posts_with(&[500]);
    lambda.invoke(get("/"));
    assert_eq!(lambda.wait().code(), Some(1));
    assert!(
        lambda
            .log()
            .contains("FATAL\tPOST /invocation/request-1/response failed: 500"),
        "{}",
        lambda.log()
    );

    let mut lambda = Function::new(UP).start();
    lambda.answer_posts_with(&[500]);
    lambda.invoke("no json");
    assert_eq!(lambda.wait().code(), Some(1));

    let mut lambda = Function::new(UP).start();
    let mut event = lambda.event("");
    event.status = StatusCode::INTERNAL_SERVER_ERROR;
    lambda.send_event(event);
    assert_eq!(lambda.wait().code(), Some(1));
    assert!(
        lambda.log().contains("GET /invocation/next failed: 500"),
        "{}",
        lambda.log()
    );
}

#[test]
fn a_next_that_is_refused_is_asked_for_again_however_often() {
    let mut lambda = Function::new(UP).start();
    // more often than a Runtime API may be out of reach
    for status in [403, 400, 403, 403, 403, 403, 403] {
        let mut event = lambda.event("");
        event.status = StatusCode::from_u16(status).unwrap();
        lambda.send_event(event);
    }
    let next = lambda.invoke(get("/"));
    assert_eq!(next.page(), "up");
    // none in silence, as in a loop without a pause
    let refused = next
        .log
        .matches("GET /invocation/next was refused: 40")
        .count();
    assert_eq!(refused, 7, "{}", next.log);
}

#[test]
fn a_runtime_api_that_is_gone_ends_the_process() {
    let free = || std::net::TcpListener::bind("127.0.0.1:0")?.local_addr();
    // nothing listens there any more
    let address = free().unwrap().to_string();
    let mut lambda = Function::new(UP)
        .env("AWS_LAMBDA_RUNTIME_API", &address)
        .start();
    assert_eq!(lambda.wait().code(), Some(1));
    let log = lambda.log();
    assert_eq!(log.matches("cannot be reached").count(), 5, "{log}");
    assert!(log.contains("FATAL\tGET /invocation/next"), "{log}");
}

#[test]
fn a_lambda_that_hangs_up_is_asked_for_the_next_event() {
    let mut lambda = Function::new(UP).start();
    lambda.answer_posts_with(&[HANG_UP]);
    lambda.invoke(get("/"));
    let next = lambda.invoke(get("/"));
    assert_eq!(next.page(), "up");
    assert!(
        next.log.contains("the Runtime API cannot be reached"),
        "{}",
        next.log
    );
}

#[test]
fn a_proxy_of_the_function_is_not_asked() {
    let function =
        Function::new("<?php echo getenv('http_proxy');").env("http_proxy", "http://127.0.0.1:9");
    let mut lambda = function.env("HTTP_PROXY", "http://127.0.0.1:9").start();
    assert_eq!(lambda.get("/"), "http://127.0.0.1:9");
}

#[test]
fn an_optional_header_with_an_empty_value_is_absent() {
    let script = "<?php error_log('a line'); \
        echo json_encode([json_decode($_SERVER['LAMBDA_INVOCATION_CONTEXT']), isset($_SERVER['_X_AMZN_TRACE_ID'])]);";
    let mut lambda = Function::new(script)
        .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
        .start();
    let mut event = lambda.event(get("/"));
    let optional = [
        "lambda-runtime-trace-id",
        "lambda-runtime-client-context",
        "lambda-runtime-cognito-identity",
        "lambda-runtime-aws-tenant-id",
        "lambda-runtime-invocation-id",
    ];
    event.headers = optional.map(|name| (name, String::new())).into();
    let call = lambda.invoke_event(event);
    let [context, has_trace]: [serde_json::Value; 2] = serde_json::from_str(&call.page()).unwrap();
    let names: Vec<&String> = context.as_object().unwrap().keys().collect();
    let always = [
        "awsRequestId",
        "deadlineMs",
        "invokedFunctionArn",
        "traceId",
    ];
    assert_eq!(names, always);
    assert_eq!((&context["traceId"], has_trace), (&"".into(), false.into()));
    assert!(!call.headers.contains_key("lambda-runtime-invocation-id"));
    assert!(
        call.log.contains("a line") && !call.log.contains("tenantId"),
        "{}",
        call.log
    );
}

#[test]
fn a_streamed_answer_carries_the_same_headers_and_other_events_have_a_plain_one() {
    let mut lambda = Function::new("<?php echo '[', PHP_VERSION, ']';")
        .env("PHP_LAMBDA_INVOKE_MODE", "response_stream")
        .start();
    let url = get("/").replace("example.com", "abc.lambda-url.eu-west-1.on.aws");
    for (body, mode) in [(url.as_str(), Some("streaming")), ("{\"a\":1}", None)] {
        let mut event = lambda.event(body);
        event.headers = vec![("lambda-runtime-invocation-id", "invocation-9".into())];
        let call = lambda.invoke_event(event);
        let header = |name| Some(call.headers.get(name)?.to_str().unwrap());
        assert_eq!(header("lambda-runtime-function-response-mode"), mode);
        assert_eq!(header("lambda-runtime-invocation-id"), Some("invocation-9"));
        let agent = header("user-agent").unwrap();
        assert!(agent.contains(" (php/8."), "{agent}");
        assert_eq!(call.text().starts_with("[8."), mode.is_none(), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_event_is_waited_for_however_long_it_takes() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let lambda = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        assert!(connection.read(&mut [0; 1024]).await.unwrap() > 0);
        // the time passes at once, and with it every time-out
        tokio::time::sleep(Duration::from_secs(14 * 24 * 3600)).await;
        let answer =
            "HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: late\r\ncontent-length: 2\r\n\r\n{}";
        connection.write_all(answer.as_bytes()).await.unwrap();
    };
    let api = RuntimeApi::new(&address);
    let (next, ()) = tokio::join!(api.next(), lambda);
    assert_eq!(next.unwrap().request_id, "late");
}
