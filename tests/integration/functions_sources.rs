//! An event of each source, `tests/cases/event`, through the bootstrap and php-fpm.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::lambda::{Call, Function, Lambda};

/// The cases of `tests/cases/event`: name and folder.
fn cases() -> Vec<(String, PathBuf)> {
    let folders = crate::mapping::folders().into_iter();
    let of_events = folders.filter(|folder| {
        folder
            .parent()
            .is_some_and(|parent| parent.ends_with("event"))
    });
    let named = of_events.map(|folder| {
        (
            folder.file_name().unwrap().to_string_lossy().into_owned(),
            folder,
        )
    });
    named.collect()
}

fn invoke_case(lambda: &mut Lambda, folder: &Path) -> Call {
    let mut event = lambda.event(fs::read(folder.join("event.json")).unwrap());
    let context = fs::read(folder.join("context.json")).unwrap_or(b"{}".to_vec());
    let context: Value = serde_json::from_slice(&context).unwrap();
    for (member, header) in [
        ("clientContext", "lambda-runtime-client-context"),
        ("identity", "lambda-runtime-cognito-identity"),
        ("tenantId", "lambda-runtime-aws-tenant-id"),
    ] {
        if let Some(text) = context[member].as_str() {
            event.headers.push((header, text.to_owned()));
        }
    }
    lambda.invoke_event(event)
}

#[test]
fn an_event_of_each_source_arrives_whole() {
    let mut printing = Function::new("<?php echo file_get_contents('php://input');").start();
    let any = "<?php return fn (stdClass|array|string|int|float|bool|null $event) => $event;";
    let mut returning = Function::new(any).start();
    for (name, folder) in cases() {
        let event = fs::read(folder.join("event.json")).unwrap();
        assert!(invoke_case(&mut printing, &folder).body == event, "{name}");
        let event: Value = serde_json::from_slice(&event).unwrap();
        let call = invoke_case(&mut returning, &folder);
        assert_eq!(
            (call.json(), call.path.ends_with("/response")),
            (event, true),
            "{name}"
        );
    }
}

#[test]
fn a_handler_for_each_source_answers_as_its_folder_says() {
    let mut tried = Vec::new();
    for (name, folder) in cases() {
        let Ok(script) = fs::read_to_string(folder.join("function.php")) else {
            continue;
        };
        let expected = fs::read(folder.join("result.json")).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        let mut lambda = Function::new(&script).start();
        let call = invoke_case(&mut lambda, &folder);
        assert!(call.path.ends_with("/response"), "{name}: {}", call.text());
        assert_eq!(call.json(), expected, "{name}");
        tried.push(name);
    }
    for source in [
        "sqs",
        "sqs-fifo",
        "sns",
        "s3",
        "eventbridge",
        "eventbridge-schedule",
        "kinesis",
        "dynamodb",
        "cognito-pre-sign-up",
        "authorizer-token",
        "websocket-connect",
        "websocket-message",
        "direct-empty-object",
        "direct-list",
        "direct-string",
        "direct-number",
        "direct-true",
        "direct-null",
    ] {
        assert!(
            tried.iter().any(|name| name == source),
            "{source} has no function.php"
        );
    }
}

#[test]
fn a_record_that_fails_is_in_the_log_with_its_reason() {
    let folder = cases()
        .into_iter()
        .find(|(name, _)| name == "sqs")
        .unwrap()
        .1;
    let script = fs::read_to_string(folder.join("function.php")).unwrap();
    let mut lambda = Function::new(&script).start();
    let log = invoke_case(&mut lambda, &folder).log;
    let words = "The record 059f36b4-87a3-44ab-83d2-661975830a7d failed: RuntimeException: not Test message. in ";
    assert!(log.contains(words), "{log}");
}
