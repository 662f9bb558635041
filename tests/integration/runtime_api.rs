//! The Runtime API: what is sent, and what the bootstrap does when Lambda says no.

use axum::http::StatusCode;

use crate::lambda::{Function, HANG_UP, get};

const UP: &str = "<?php echo 'up';";

#[test]
fn the_invocation_id_comes_back_and_the_user_agent_names_both_versions() {
    let mut lambda = Function::new(UP).start();
    let mut event = lambda.event(get("/"));
    event.headers = vec![("lambda-runtime-invocation-id", "invocation-7".into())];
    let call = lambda.invoke_event(event);
    assert_eq!(call.headers["lambda-runtime-invocation-id"], "invocation-7");
    let agent = call.headers["user-agent"].to_str().unwrap();
    let expected = format!("php-fpm-lambda/{} (php/8.", env!("CARGO_PKG_VERSION"));
    assert!(
        agent.starts_with(&expected) && agent.ends_with(')'),
        "{agent}"
    );

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
fn a_next_that_is_refused_is_asked_for_again() {
    let mut lambda = Function::new(UP).start();
    for status in [StatusCode::FORBIDDEN, StatusCode::BAD_REQUEST] {
        let mut event = lambda.event("");
        event.status = status;
        lambda.send_event(event);
    }
    let next = lambda.invoke(get("/"));
    assert_eq!(next.page(), "up");
    let refused = next
        .log
        .matches("GET /invocation/next was refused: 40")
        .count();
    assert_eq!(refused, 2, "{}", next.log);
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
