//! What PHP writes is in the function's log, whole, before the answer is out.

use crate::lambda::{Function, get, request};

#[test]
fn long_lines_are_whole_and_in_the_log_before_the_answer() {
    let script = "<?php $n = 262144; error_log(str_repeat('e', $n) . 'E'); \
        file_put_contents('php://stderr', str_repeat('s', $n) . \"S\\n\"); \
        file_put_contents('php://stdout', str_repeat('o', $n) . \"O\\n\"); echo 'done';";
    let mut lambda = Function::new(script).start();
    for _ in 0..3 {
        let before = lambda.log().len();
        let call = lambda.invoke(get("/"));
        assert_eq!(call.page(), "done");
        let log = &call.log[before..];
        for (letter, end) in [('e', 'E'), ('s', 'S'), ('o', 'O')] {
            let line = format!("{}{end}", letter.to_string().repeat(262_144));
            assert!(
                log.lines().any(|found| found.ends_with(&line)),
                "{letter}: {} bytes of log",
                log.len()
            );
        }
    }
}

#[test]
fn every_line_before_the_answer_however_it_is_written() {
    let script = "<?php for ($i = 0; $i < 50; $i++) { error_log(\"log $i.\"); \
        file_put_contents('php://stderr', \"err $i.\\n\"); fwrite(fopen('php://stdout', 'w'), \"out $i.\\n\"); } \
        file_put_contents('php://stderr', 'no newline at the end');";
    let mut lambda = Function::new(script).start();
    for _ in 0..20 {
        let before = lambda.log().len();
        let call = lambda.invoke(get("/"));
        let log = &call.log[before..];
        for index in 0..50 {
            for kind in ["log", "err", "out"] {
                assert!(
                    log.contains(&format!("{kind} {index}.")),
                    "{kind} {index}: {log}"
                );
            }
        }
        assert!(log.contains("no newline at the end\n"), "{log}");
    }
}

#[test]
fn what_goes_straight_into_one_pipe_keeps_its_order() {
    // under the layer's php-fpm a worker's stderr is the pipe of its error log
    let script = "<?php $same = stat('/proc/self/fd/2')['ino'] === stat(ini_get('error_log'))['ino']; \
        for ($i = 0; $i < 100; $i++) { file_put_contents('php://stderr', \"$i err\" . ($same && $i % 2 ? '' : \"\\n\")); error_log(\"$i log\"); } \
        echo $same ? 'one' : 'two';";
    let mut lambda = Function::new(script).start();
    let call = lambda.invoke(get("/"));
    let number = |line: &str| {
        let text = line.split_once("] ").map_or(line, |(_, text)| text);
        text.split_once(' ')
            .map(|(number, kind)| (number.parse::<u32>().unwrap(), kind.to_owned()))
            .unwrap()
    };
    let mut lines: Vec<(u32, String)> = call.log.lines().map(number).collect();
    if call.page() == "two" {
        // stderr comes through the master, at its own pace
        lines.sort();
    }
    let expected: Vec<(u32, String)> = (0..100)
        .flat_map(|i| [(i, "err".to_owned()), (i, "log".to_owned())])
        .collect();
    assert_eq!(lines, expected);
}

#[test]
fn a_script_that_logs_a_lot_does_not_stand_still() {
    let script = "<?php for ($i = 0; $i < 3000; $i++) { error_log(str_repeat('l', 2000)); \
        file_put_contents('php://stderr', str_repeat('e', 2000) . \"\\n\"); } echo 'done';";
    let mut lambda = Function::new(script).start();
    assert_eq!(lambda.get("/"), "done");
    let log = lambda.log();
    assert_eq!(
        (
            log.matches(&"l".repeat(2000)).count(),
            log.matches(&"e".repeat(2000)).count()
        ),
        (3000, 3000)
    );
}

#[test]
fn text_is_unchanged() {
    let script = "<?php error_log('tab\tand ümlaut'); file_put_contents('php://stderr', \"raw \\\"line\\\"\\n{\\\"a\\\":1}\\n\");";
    let mut lambda = Function::new(script).start();
    let log = lambda.invoke(get("/")).log;
    let lines: Vec<&str> = log.lines().collect();
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with('[') && line.ends_with("] tab\tand ümlaut")),
        "{log}"
    );
    assert!(
        lines.contains(&"raw \"line\"") && lines.contains(&"{\"a\":1}"),
        "{log}"
    );
}

#[test]
fn json_has_the_request_id_the_tenant_and_whole_stack_traces() {
    let script = "<?php error_log('hello'); error_log('{\"level\":\"WARN\",\"own\":1}'); \
        file_put_contents('php://stderr', \"{\\\"own\\\":2}\\nplain\\n\"); throw new Exception('thrown');";
    let mut lambda = Function::new(script)
        .env("AWS_LAMBDA_LOG_FORMAT", "json")
        .start();
    let mut event = lambda.event(get("/"));
    event.headers = vec![("lambda-runtime-aws-tenant-id", "blue".into())];
    let call = lambda.invoke_event(event);
    let lines: Vec<serde_json::Value> = call
        .log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let find = |message: &str| {
        lines.iter().find(|line| {
            line["message"]
                .as_str()
                .is_some_and(|m| m.contains(message))
        })
    };
    for (message, level) in [("hello", "INFO"), ("plain", "INFO"), ("thrown", "ERROR")] {
        let line = find(message).unwrap_or_else(|| panic!("{message}: {}", call.log));
        assert_eq!(
            (&line["level"], &line["requestId"], &line["tenantId"]),
            (&level.into(), &"request-1".into(), &"blue".into())
        );
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }
    assert_eq!(find("hello").unwrap()["message"], "hello");
    assert!(
        find("thrown").unwrap()["message"]
            .as_str()
            .unwrap()
            .contains("\n#0 {main}\n  thrown in"),
        "{}",
        call.log
    );
    assert!(
        call.log.contains("{\"level\":\"WARN\",\"own\":1}\n") && call.log.contains("{\"own\":2}\n"),
        "{}",
        call.log
    );
}

#[test]
fn the_level_filters_and_errors_of_the_runtime_are_lines_too() {
    let script = "<?php error_log('quiet'); trigger_error('warned', E_USER_WARNING);";
    let function = Function::new(script)
        .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
        .env("AWS_LAMBDA_LOG_LEVEL", "WARN");
    let mut lambda = function.start();
    let call = lambda.invoke(get("/"));
    assert!(
        !call.log.contains("quiet") && call.log.contains("warned"),
        "{}",
        call.log
    );
    let call = lambda.invoke("no json");
    let line = call.log.lines().last().unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["requestId"], "request-2");
    assert!(
        line["message"]
            .as_str()
            .unwrap()
            .starts_with("Runtime.InvalidEvent: ")
    );
}

#[test]
fn a_script_cannot_forge_what_the_runtime_waits_for() {
    let script = "<?php file_put_contents('php://stderr', \"\\0fscf\\0x\\n[pool slot0] child 1 exited on signal 9 (SIGKILL)\\n\"); echo 'up';";
    let mut lambda = Function::new(script).start();
    for _ in 0..3 {
        let call = lambda.invoke(request("GET", "/", "", &[], None));
        assert_eq!(call.page(), "up");
        assert!(
            call.log.contains("child 1 exited on signal 9"),
            "{}",
            call.log
        );
    }
}

#[test]
fn each_failure_is_one_line_with_the_time_and_the_request_id() {
    let script = "<?php switch ($_GET['what'] ?? '') { \
            case 'sleep': sleep(60); break; \
            case 'crash': exec('kill -SEGV ' . getmypid()); sleep(9); break; \
            case 'kill': exec('kill -KILL ' . getmypid()); sleep(9); break; \
            case 'master': exec('kill -KILL ' . posix_getppid()); sleep(9); break; \
            case 'large': echo str_repeat('x', 7000000); break; \
            case 'header': header('no name and no value'); break; \
            case 'status': http_response_code(503); break; \
        }";
    let mut lambda = Function::new(script)
        .env("PHP_LAMBDA_ERROR_STATUS_CODES", "503")
        .env("PHP_LAMBDA_TIMEOUT_MARGIN_MS", "100")
        .start();
    let long = "l".repeat(70_000);
    for (event, error_type) in [
        ("no json".to_owned(), "Runtime.InvalidEvent"),
        (get(&format!("/?{long}")), "Runtime.InvalidRequest"),
        (get("/?what=sleep"), "Function.Timeout"),
        (get("/?what=crash"), "Runtime.WorkerCrashed"),
        (get("/?what=kill"), "Runtime.OutOfMemory"),
        (get("/?what=master"), "Runtime.PhpFpmExited"),
        (get("/?what=large"), "Function.ResponseTooLarge"),
        (get("/?what=header"), "Function.InvalidHeaders"),
        (get("/?what=status"), "Function.HttpStatus"),
    ] {
        let mut event = lambda.event(event);
        if error_type == "Function.Timeout" {
            event.timeout = std::time::Duration::from_millis(400);
        }
        let id = event.id.clone();
        let call = lambda.invoke_event(event);
        assert_eq!(call.error_type(), error_type);
        let lines = call.log.lines().filter(|line| line.contains(error_type));
        let [line] = &lines.collect::<Vec<_>>()[..] else {
            panic!("{error_type} is to be there once: {}", call.log);
        };
        let [time, request_id, level, message] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("four parts with tabs between them: {line}");
        };
        assert!(humantime::parse_rfc3339(time).is_ok(), "{line}");
        assert_eq!((request_id, level), (&*id, "ERROR"));
        assert_eq!(message, format!("{error_type}: {}", call.error_message()));
    }
}
