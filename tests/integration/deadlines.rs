//! Scripts that do not end in time.

use std::time::Duration;

use crate::lambda::{Function, Lambda, get};

/// An event whose deadline leaves the script `script_ms` before the margin of 100 ms begins.
fn invoke(lambda: &mut Lambda, path: &str, script_ms: u64) -> crate::lambda::Call {
    let mut event = lambda.event(get(path));
    event.timeout = Duration::from_millis(script_ms + 100);
    lambda.invoke_event(event)
}

fn function(script: &str) -> Function {
    Function::new(script).env("PHP_LAMBDA_TIMEOUT_MARGIN_MS", "100")
}

#[test]
fn sleeping_looping_and_blocked_scripts_are_stopped_and_their_log_is_kept() {
    let script = "<?php echo getmypid(); error_log('it begins'); file_put_contents('php://stderr', \"half a line\"); \
        switch ($_GET['what'] ?? '') { \
            case 'sleep': sleep(60); break; \
            case 'loop': while (true); \
            case 'exec': exec('sleep 60'); break; \
            case 'deaf': exec('trap : TERM INT HUP QUIT; sleep 60'); break; \
        } \
        error_log('AFTER');";
    for what in ["sleep", "loop", "exec", "deaf"] {
        // each with a php-fpm of its own: that of Debian can lose the stderr of a worker that replaces a killed one
        let mut lambda = function(script).start();
        let last = lambda.get("/");
        let old = lambda.processes();
        let call = invoke(&mut lambda, &format!("/?what={what}"), 1000);
        assert_eq!(call.error_type(), "Function.Timeout", "{what}");
        let message = call.error_message();
        // a second, less what the event takes to get here
        let had = message.split(' ').find_map(|word| word.parse::<f64>().ok());
        assert!(had.is_some_and(|had| had > 0. && had <= 1.), "{message}");
        assert!(message.contains("longer timeout"), "{message}");
        let of_this = &call.log[call.log.rfind("it begins").expect("its log")..];
        assert!(of_this.contains("half a line"), "{what}: {}", call.log);
        assert!(!of_this.contains("AFTER"), "{what}: {}", call.log);
        // the old worker is gone before the error is out
        let worker = old
            .iter()
            .find(|process| process.title.contains("pool"))
            .unwrap();
        assert!(worker.ends_within(Duration::ZERO), "{what}");
        assert_ne!(lambda.get("/"), last, "a new worker");
    }
}

#[test]
fn the_error_is_out_before_the_deadline() {
    let mut lambda = function("<?php sleep(60);")
        .env("PHP_LAMBDA_TIMEOUT_MARGIN_MS", "5000")
        .start();
    let mut event = lambda.event(get("/"));
    event.timeout = Duration::from_millis(5_200);
    let begun = std::time::SystemTime::now();
    let call = lambda.invoke_event(event);
    assert_eq!(call.error_type(), "Function.Timeout");
    // five seconds for what takes milliseconds
    assert!(begun.elapsed().unwrap() < Duration::from_millis(5_200));
}

#[test]
fn what_a_stopped_script_had_started_is_stopped_too() {
    let script = "<?php if ($_GET['start'] ?? 0) { \
        proc_open('sh -c \"echo child $$ >&2; sleep 60 & wait\"', [2 => ['file', 'php://stderr', 'w']], $pipes); \
        proc_open('sleep 61', [], $more); sleep(60); } echo 'up';";
    let mut lambda = function(script).start();
    assert_eq!(lambda.get("/"), "up");
    assert_eq!(
        invoke(&mut lambda, "/?start=1", 400).error_type(),
        "Function.Timeout"
    );
    assert_eq!(lambda.get("/"), "up");
    let left: Vec<String> = crate::process::all_titles();
    assert!(!left.iter().any(|title| title == "sleep 61"), "{left:?}");
}

#[test]
fn nothing_of_a_stopped_script_reaches_the_next_answer() {
    let script = "<?php if ($_GET['slow'] ?? 0) { echo str_repeat('old', 50000); flush(); sleep(60); } echo 'new';";
    let mut lambda = function(script).start();
    for _ in 0..3 {
        assert_eq!(
            invoke(&mut lambda, "/?slow=1", 200).error_type(),
            "Function.Timeout"
        );
        assert_eq!(lambda.get("/"), "new");
    }
}

#[test]
fn a_worker_that_goes_on_behind_its_answer_is_stopped_at_the_deadline() {
    let script = "<?php echo getmypid(); if ($_GET['more'] ?? 0) { fastcgi_finish_request(); sleep(60); error_log('AFTER'); }";
    let mut lambda = function(script).start();
    let first = lambda.get("/");
    assert_eq!(invoke(&mut lambda, "/?more=1", 300).page(), first);
    assert_ne!(lambda.get("/"), first);
    assert!(lambda.log().contains("it was replaced"), "{}", lambda.log());
    assert!(!lambda.log().contains("AFTER"));
}

#[test]
fn an_upload_whose_answer_comes_before_it_was_read() {
    let script = "<?php if ($_GET['early'] ?? 0) { echo 'early'; fastcgi_finish_request(); exit; } echo 'up';";
    let mut lambda = Function::new(script).start();
    let headers = [("content-type", "application/octet-stream")];
    let event = crate::lambda::request("POST", "/", "early=1", &headers, Some(&vec![7; 3_000_000]));
    for _ in 0..3 {
        assert_eq!(lambda.invoke(event.clone()).page(), "early");
        assert_eq!(lambda.get("/"), "up");
    }
}

#[test]
fn a_script_that_logs_without_end_is_stopped_and_its_neighbour_served() {
    let script = "<?php if ($_GET['log'] ?? 0) while (true) { error_log(str_repeat('x', 60000)); file_put_contents('php://stderr', str_repeat('y', 60000)); } echo 'up';";
    let mut lambda = function(script)
        .env("AWS_LAMBDA_MAX_CONCURRENCY", "2")
        .without_log()
        .start();
    assert_eq!(lambda.get("/"), "up");
    let mut endless = lambda.event(get("/?log=1"));
    endless.timeout = Duration::from_millis(1_100);
    lambda.send_event(endless);
    for _ in 0..5 {
        lambda.send(get("/"));
        assert_eq!(
            lambda.post().page(),
            "up",
            "before the other one is stopped"
        );
    }
    assert_eq!(lambda.post().error_type(), "Function.Timeout");
    assert_eq!(lambda.get("/"), "up");
}

#[test]
fn a_stopped_worker_leaves_no_noise_of_php_fpm_in_the_log() {
    let mut lambda = function("<?php if ($_GET['slow'] ?? 0) sleep(60); echo 'up';").start();
    for _ in 0..25 {
        assert_eq!(
            invoke(&mut lambda, "/?slow=1", 30).error_type(),
            "Function.Timeout"
        );
    }
    assert!(!lambda.log().contains("unable to"), "{}", lambda.log());
}
