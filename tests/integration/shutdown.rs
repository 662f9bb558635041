//! The end of the bootstrap takes php-fpm with it.

use std::time::Duration;

use rustix::process::Signal;

use crate::lambda::{Function, Lambda, chmod, get};
use crate::process::{Process, all_titles};

/// php-fpm and its worker, once a request was answered.
fn processes(lambda: &mut Lambda) -> Vec<Process> {
    lambda.invoke(get("/"));
    let processes = lambda.processes();
    assert!(processes.len() >= 2, "a master and a worker");
    processes
}

fn assert_ended(processes: &[Process], patience: Duration) {
    for process in processes {
        assert!(process.ends_within(patience), "{} lives on", process.title);
    }
}

#[test]
fn killed_by_any_signal_it_leaves_nothing_within_a_second() {
    for signal in [Signal::KILL, Signal::INT, Signal::HUP, Signal::ABORT] {
        let mut lambda = Function::new("<?php echo 'up';").start();
        let processes = processes(&mut lambda);
        lambda.signal(signal);
        lambda.wait();
        assert_ended(&processes, Duration::from_secs(1));
    }
}

#[test]
fn killed_in_mid_request_it_leaves_nothing() {
    let script =
        "<?php if ($_GET['loop'] ?? 0) { exec('kill -KILL ' . $_GET['loop']); while (true); }";
    let mut lambda = Function::new(script).start();
    let processes = processes(&mut lambda);
    let event = lambda.event(get(&format!("/?loop={}", lambda.pid())));
    lambda.send_event(event);
    lambda.wait();
    assert_ended(&processes, Duration::from_secs(2));
}

#[test]
fn sigterm_while_idle_ends_with_success() {
    let mut lambda = Function::new("<?php echo 'up';").start();
    let processes = processes(&mut lambda);
    // the next poll is under way
    lambda.next_poll();
    lambda.signal(Signal::TERM);
    assert_eq!(lambda.wait().code(), Some(0));
    assert_ended(&processes, Duration::ZERO);
    assert_eq!(
        std::fs::read_dir(lambda.function.temp_dir())
            .unwrap()
            .count(),
        0,
        "the run folder is removed"
    );
}

#[test]
fn lambda_is_made_to_send_sigterm() {
    let mut lambda = Function::new("<?php echo 'up';").start();
    lambda.invoke(get("/"));
    // without an extension it would be SIGKILL; one that wants events would be waited for
    assert_eq!(
        lambda.extension_calls(),
        ["register {\"events\":[]}", "event/next"]
    );
}

#[test]
fn sigterm_in_mid_request_lets_a_short_one_end() {
    let script = "<?php if ($_GET['term'] ?? 0) { exec('kill -TERM ' . $_GET['term']); usleep(20000); } echo 'whole';";
    let mut lambda = Function::new(script).start();
    let processes = processes(&mut lambda);
    let event = lambda.event(get(&format!("/?term={}", lambda.pid())));
    lambda.send_event(event);
    assert_eq!(lambda.post().page(), "whole");
    assert_eq!(lambda.wait().code(), Some(0));
    assert_ended(&processes, Duration::ZERO);
}

#[test]
fn sigterm_in_mid_request_lets_no_other_event_in() {
    let script = "<?php if ($_GET['term'] ?? 0) exec('kill -TERM ' . $_GET['term']); echo 'whole';";
    let mut lambda = Function::new(script).start();
    lambda.get("/");
    // the poll that gets the first of two events
    lambda.next_poll();
    let event = lambda.event(get(&format!("/?term={}", lambda.pid())));
    lambda.send_event(event);
    lambda.send(get("/"));
    assert_eq!(lambda.post().page(), "whole");
    assert_eq!(lambda.wait().code(), Some(0));
    let left: Vec<String> = lambda
        .calls_left()
        .into_iter()
        .map(|call| call.path)
        .collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn sigterm_in_mid_request_stops_a_long_one() {
    let script =
        "<?php if ($_GET['term'] ?? 0) { exec('kill -TERM ' . $_GET['term']); while (true); }";
    let mut lambda = Function::new(script).start();
    let processes = processes(&mut lambda);
    let event = lambda.event(get(&format!("/?term={}", lambda.pid())));
    lambda.send_event(event);
    assert_eq!(lambda.wait().code(), Some(0));
    assert_ended(&processes, Duration::ZERO);
}

#[test]
fn sigterm_during_the_start_ends_with_success() {
    let mut lambda = Function::new("<?php echo 'up';").file(
        "slow-php-fpm",
        "#!/bin/sh\nkill -TERM $PPID\nexec sleep 60\n",
    );
    let program = lambda.task_root().join("slow-php-fpm");
    chmod(&program, 0o755);
    lambda = lambda.env("PHP_FPM", program.to_str().unwrap());
    let mut lambda = lambda.start();
    assert_eq!(lambda.wait().code(), Some(0));
    assert!(
        !all_titles()
            .iter()
            .any(|title| title == &program.display().to_string())
    );
}

#[test]
fn sigterm_while_lambda_does_not_take_the_error_of_the_start() {
    let mut lambda = Function::new("")
        .env("_HANDLER", "none.php")
        .env("AWS_LAMBDA_RUNTIME_API", &silent())
        .start();
    // the report is under way when it is in the log
    lambda.wait_for_log("Runtime.NoSuchHandler");
    lambda.signal(Signal::TERM);
    assert_eq!(lambda.wait().code(), Some(1));
}

/// An address that takes connections and never answers.
fn silent() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // for as long as the tests run
    std::mem::forget(listener);
    address
}
