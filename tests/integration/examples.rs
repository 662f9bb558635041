//! The examples that are more than a page.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::functions::error;
use crate::lambda::{Function, request};

fn example(name: &str) -> Function {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name);
    Function::new(&fs::read_to_string(folder.join("index.php")).unwrap())
}

#[test]
fn the_queue_worker_reports_what_has_failed_and_prints_into_the_log() {
    let event = json!({"Records": [
        {"messageId": "1", "body": r#"{"to":"ann@example.com","subject":"Hello"}"#},
        {"messageId": "2", "body": "no JSON"},
        {"messageId": "3", "body": r#"{"to":"nobody"}"#},
    ]});
    let call = example("queue-worker").start().invoke(event.to_string());
    assert_eq!(
        call.json(),
        json!({"batchItemFailures": [{"itemIdentifier": "2"}, {"itemIdentifier": "3"}]})
    );
    for words in [
        "sent to ann@example.com: Hello\n",
        "The record 2 failed: JsonException: Syntax error",
        "The record 3 failed: UnexpectedValueException: no address in message 3",
    ] {
        assert!(call.log.contains(words), "{}", call.log);
    }
}

#[test]
fn the_nightly_job_stops_when_time_is_short() {
    let mut lambda = example("schedule").start();
    assert_eq!(lambda.invoke(r#"{"keepDays":30}"#).json()["deleted"], 3);
    let mut event = lambda.event(r#"{"keepDays":30}"#);
    event.timeout = Duration::from_millis(4_900);
    assert_eq!(lambda.invoke_event(event).json()["deleted"], 0);
    let (_, body) = error(&lambda.invoke("{}"));
    assert_eq!(body["errorMessage"], "The event has no keepDays.");
}

#[test]
fn the_api_answers_its_routes_and_says_what_is_wrong() {
    let mut lambda = example("api").start();
    for (method, path, body, status, expected) in [
        (
            "GET",
            "/",
            None,
            200,
            json!({"routes": ["GET /", "GET /words/{word}", "POST /sums"]}),
        ),
        (
            "GET",
            "/words/Stra%C3%9Fe",
            None,
            200,
            json!({"word": "Straße", "length": 6, "backwards": "eßartS"}),
        ),
        (
            "POST",
            "/sums",
            Some(r#"{"numbers":[1,2.5]}"#),
            200,
            json!({"sum": 3.5}),
        ),
        (
            "POST",
            "/sums",
            Some("{"),
            400,
            json!({"error": "The body is not JSON: Syntax error."}),
        ),
        (
            "POST",
            "/sums",
            Some(r#"{"numbers":["x"]}"#),
            422,
            json!({"error": "numbers has to be a list of numbers."}),
        ),
        (
            "GET",
            "/sums",
            None,
            405,
            json!({"error": "/sums takes POST."}),
        ),
        (
            "GET",
            "/words/",
            None,
            404,
            json!({"error": "There is no /words/."}),
        ),
    ] {
        let event = request(
            method,
            path,
            "a=1",
            &[("content-type", "application/json")],
            body.map(str::as_bytes),
        );
        let call = lambda.invoke(event);
        assert_eq!(call.json()["statusCode"], status, "{path}");
        let page: Value = serde_json::from_str(&call.page()).unwrap();
        assert_eq!(page, expected, "{method} {path}");
        assert_eq!(
            call.json()["headers"]["Allow"].as_str(),
            (status == 405).then_some("POST")
        );
    }
}
