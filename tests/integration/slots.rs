//! Several slots: each a sequential loop, none in the way of another.

use std::time::Duration;

use crate::lambda::{Function, get};

#[test]
fn slots_answer_at_the_same_time_and_one_that_fails_leaves_the_others() {
    let script = "<?php $folder = sys_get_temp_dir(); \
        switch ($_GET['what'] ?? '') { \
            case 'wait': while (!file_exists($_GET['until'])) usleep(1000); break; \
            case 'release': touch($_GET['until']); break; \
            case 'crash': exec('kill -SEGV ' . getmypid()); sleep(9); break; \
            case 'sleep': sleep(60); break; \
        } echo $_GET['n'], ' ', $_SERVER['LAMBDA_REQUEST_ID'];";
    let function = Function::new(script)
        .env("AWS_LAMBDA_MAX_CONCURRENCY", "3")
        .env("PHP_LAMBDA_TIMEOUT_MARGIN_MS", "100");
    let until = function.temp_dir().join("go").display().to_string();
    let mut lambda = function.start();
    // the first request ends only when another one has been answered
    let waiting = lambda.send(get(&format!("/?what=wait&n=1&until={until}")));
    for n in 2..4 {
        let call = lambda.invoke(get(&format!("/?n={n}")));
        assert_eq!(call.page(), format!("{n} request-{n}"));
    }
    assert_eq!(
        lambda.invoke(get("/?what=crash&n=4")).error_type(),
        "Runtime.WorkerCrashed"
    );
    let mut late = lambda.event(get("/?what=sleep&n=5"));
    late.timeout = Duration::from_millis(400);
    assert_eq!(lambda.invoke_event(late).error_type(), "Function.Timeout");
    assert_eq!(lambda.get("/?n=6"), "6 request-6");
    lambda.send(get(&format!("/?what=release&n=7&until={until}")));
    let mut pages = [lambda.post().page(), lambda.post().page()];
    pages.sort();
    assert_eq!(
        pages,
        [format!("1 {}", waiting.id), "7 request-7".to_owned()]
    );
}

#[test]
fn lines_of_all_slots_carry_their_own_request_id() {
    let script = "<?php for ($i = 0; $i < 20; $i++) { error_log($_SERVER['LAMBDA_REQUEST_ID'] . ' log'); \
        file_put_contents('php://stderr', $_SERVER['LAMBDA_REQUEST_ID'] . \" err\\n\"); usleep(500); }";
    let function = Function::new(script)
        .env("AWS_LAMBDA_MAX_CONCURRENCY", "4")
        .env("AWS_LAMBDA_LOG_FORMAT", "JSON");
    let mut lambda = function.start();
    (0..24).for_each(|_| _ = lambda.send(get("/")));
    (0..24).for_each(|_| _ = lambda.post());
    let log = lambda.log();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 24 * 40);
    for line in lines {
        let message = line["message"].as_str().unwrap();
        assert_eq!(
            message.split(' ').next(),
            line["requestId"].as_str(),
            "{line}"
        );
    }
}
