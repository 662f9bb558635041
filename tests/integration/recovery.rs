//! Workers and masters that die, at every moment, and what the next invocation gets.

use rustix::process::Signal;

use crate::lambda::{Function, Lambda, PATIENCE, get};
use crate::process::kill;

/// `?signal=…` kills the script's own process.
const SCRIPT: &str = "<?php echo 'part '; flush(); \
    if (isset($_GET['signal'])) { file_put_contents('php://stderr', 'half a line'); error_log('last words'); exec('kill -' . $_GET['signal'] . ' ' . getmypid()); sleep(60); } echo getmypid();";

fn is_up(lambda: &mut Lambda) {
    let page = lambda.get("/");
    assert!(page.starts_with("part ") && page.len() > 5, "{page}");
}

#[test]
fn a_crashed_worker_is_named_by_its_signal_and_no_part_of_a_page_is_posted() {
    let mut lambda = Function::new(SCRIPT).start();
    for (signal, name) in [
        ("SEGV", "signal 11 (SIGSEGV)"),
        ("ABRT", "signal 6 (SIGABRT)"),
        ("TERM", "signal 15"),
    ] {
        let before = lambda.log().len();
        let call = lambda.invoke(get(&format!("/?signal={signal}")));
        assert_eq!(call.error_type(), "Runtime.WorkerCrashed");
        assert!(
            call.error_message().contains(name),
            "{}",
            call.error_message()
        );
        assert_eq!(
            call.log
                .matches(&format!(
                    "Runtime.WorkerCrashed: The PHP worker was ended by {name}"
                ))
                .count(),
            1
        );
        let log = &call.log[before..];
        assert!(
            log.contains("half a line\n") && log.contains("last words\n"),
            "{log}"
        );
        is_up(&mut lambda);
    }
}

#[test]
fn a_worker_killed_by_the_kernel_is_out_of_memory() {
    let mut lambda = Function::new(SCRIPT).start();
    let call = lambda.invoke(get("/?signal=KILL"));
    assert_eq!(call.error_type(), "Runtime.OutOfMemory");
    assert!(
        call.error_message().contains("more memory"),
        "{}",
        call.error_message()
    );
    is_up(&mut lambda);
}

#[test]
fn phps_own_memory_limit_is_the_applications_answer() {
    let script = "<?php ini_set('memory_limit', '4M'); if ($_GET['eat'] ?? 0) str_repeat('x', 8 << 20); echo 'up';";
    let mut lambda = Function::new(script).start();
    let call = lambda.invoke(get("/?eat=1"));
    assert_eq!(call.json()["statusCode"], 500);
    assert!(
        call.log
            .contains("Allowed memory size of 4194304 bytes exhausted"),
        "{}",
        call.log
    );
    assert_eq!(lambda.get("/"), "up");
}

#[test]
fn a_worker_that_dies_while_idle_costs_nobody_an_answer() {
    let mut lambda = Function::new("<?php echo getmypid();").start();
    let first = lambda.get("/");
    let worker = lambda
        .processes()
        .into_iter()
        .find(|process| process.pid.to_string() == first)
        .expect("the worker");
    kill(worker.pid, Signal::KILL).unwrap();
    assert!(worker.ends_within(PATIENCE));
    let second = lambda.get("/");
    assert_ne!(second, first);
}

#[test]
fn a_master_that_dies_in_mid_request_fails_that_request_alone() {
    let script = "<?php if (isset($_GET['master'])) { exec('kill -KILL ' . $_GET['master']); sleep(60); } echo 'up';";
    let mut lambda = Function::new(script).start();
    assert_eq!(lambda.get("/"), "up");
    let old = lambda.processes();
    let call = lambda.invoke(get(&format!("/?master={}", lambda.master())));
    assert_eq!(call.error_type(), "Runtime.PhpFpmExited");
    assert!(
        call.error_message().contains("was ended by signal 9"),
        "{}",
        call.error_message()
    );
    assert_eq!(lambda.get("/"), "up");
    assert!(
        old.iter().all(|process| process.ends_within(PATIENCE)),
        "an old worker lives on"
    );
}

#[test]
fn a_master_that_dies_while_idle_costs_nobody_an_answer() {
    let mut lambda = Function::new("<?php echo 'up';").start();
    for _ in 0..3 {
        assert_eq!(lambda.get("/"), "up");
        let old = lambda.processes();
        let master = lambda.master();
        kill(master, Signal::KILL).unwrap();
        let killed = old.iter().find(|process| process.pid == master).unwrap();
        assert!(killed.ends_within(PATIENCE));
        assert_eq!(lambda.get("/"), "up");
        assert!(
            old.iter().all(|process| process.ends_within(PATIENCE)),
            "an old worker lives on"
        );
    }
}

#[test]
fn a_worker_is_replaced_after_so_many_requests_and_never_inside_one() {
    let mut lambda = Function::new("<?php echo getmypid();")
        .env("PHP_LAMBDA_MAX_REQUESTS", "3")
        .start();
    let pids: Vec<String> = (0..7).map(|_| lambda.get("/")).collect();
    assert!(pids[0] == pids[1] && pids[1] == pids[2], "{pids:?}");
    assert!(
        pids[2] != pids[3] && pids[3] == pids[5] && pids[5] != pids[6],
        "{pids:?}"
    );
}

#[test]
fn a_bootstrap_starts_beside_what_a_killed_one_left_behind() {
    let mut lambda = Function::new("<?php echo 'old';").start();
    assert_eq!(lambda.get("/"), "old");
    let temp_dir = lambda.function.temp_dir();
    let old = lambda.processes();
    lambda.signal(Signal::KILL);
    lambda.wait();
    assert!(
        std::fs::read_dir(&temp_dir).unwrap().count() > 0,
        "its folder is left behind"
    );
    let mut second = Function::new("<?php echo 'new';")
        .env("TMPDIR", temp_dir.to_str().unwrap())
        .start();
    assert_eq!(second.get("/"), "new");
    assert!(old.iter().all(|process| process.ends_within(PATIENCE)));
}

#[test]
fn a_master_that_ends_gracefully_is_started_again() {
    for signal in [Signal::TERM, Signal::QUIT, Signal::USR2] {
        let mut lambda = Function::new("<?php echo 'up';")
            .env("AWS_LAMBDA_MAX_CONCURRENCY", "3")
            .start();
        (0..3).for_each(|_| _ = lambda.get("/"));
        kill(lambda.master(), signal).unwrap();
        // each is answered, some with the error of a worker that was taken along
        for _ in 0..12 {
            let call = lambda.invoke(get("/"));
            if call.path.ends_with("/error") {
                let types = ["Runtime.PhpFpmExited", "Runtime.WorkerCrashed"];
                assert!(
                    types.contains(&call.error_type().as_str()),
                    "{}",
                    call.text()
                );
            }
        }
        assert_eq!(lambda.get("/"), "up", "{signal:?}");
    }
}

#[test]
fn a_script_that_empties_the_temporary_folder_costs_no_later_answer() {
    let script = "<?php if ($_GET['empty'] ?? 0) exec('rm -rf ' . sys_get_temp_dir() . '/php-fpm-lambda-* ' . getenv('TMPDIR') . '/*'); \
        if ($_GET['crash'] ?? 0) { exec('kill -SEGV ' . getmypid()); sleep(9); } echo 'up';";
    let mut lambda = Function::new(script).start();
    assert_eq!(lambda.get("/?empty=1"), "up");
    assert_eq!(
        std::fs::read_dir(lambda.function.temp_dir())
            .unwrap()
            .count(),
        0
    );
    let call = lambda.invoke(get("/?crash=1"));
    assert_eq!(call.error_type(), "Runtime.WorkerCrashed");
    assert_eq!(lambda.get("/"), "up");
    kill(lambda.master(), Signal::KILL).unwrap();
    lambda.invoke(get("/"));
    assert_eq!(lambda.get("/"), "up");
}

#[test]
fn a_stopped_master_is_replaced_when_it_is_needed() {
    let script = "<?php if ($_GET['crash'] ?? 0) { exec('kill -STOP ' . $_GET['crash']); exec('kill -SEGV ' . getmypid()); sleep(9); } echo 'up';";
    let mut lambda = Function::new(script).start();
    assert_eq!(lambda.get("/"), "up");
    let call = lambda.invoke(get(&format!("/?crash={}", lambda.master())));
    assert_eq!(call.error_type(), "Runtime.WorkerCrashed");
    assert_eq!(lambda.get("/"), "up");
}

#[test]
fn a_request_that_php_has_seen_is_never_sent_again() {
    let script = "<?php file_put_contents(getenv('TMPDIR') . '/runs', 'x', FILE_APPEND); \
        exec('kill -SEGV ' . getmypid()); sleep(9);";
    let mut lambda = Function::new(script).start();
    let runs = lambda.function.temp_dir().join("runs");
    // the second worker dies while most of the body is still to be written: PHP reads that of a PUT when it is asked for
    let large = vec![7; 3_000_000];
    let headers = [("content-type", "application/octet-stream")];
    let put = crate::lambda::request("PUT", "/", "", &headers, Some(&large));
    for (event, count) in [(get("/"), 1), (put, 2)] {
        assert_eq!(lambda.invoke(event).error_type(), "Runtime.WorkerCrashed");
        assert_eq!(std::fs::read_to_string(&runs).unwrap().len(), count);
    }
}

#[test]
fn a_master_that_died_is_replaced_before_the_next_event_is_asked_for() {
    let script = "<?php if (isset($_GET['master'])) { exec('kill -KILL ' . $_GET['master']); sleep(60); } echo 'up';";
    let mut lambda = Function::new(script).start();
    assert_eq!(lambda.get("/"), "up");
    let call = lambda.invoke(get(&format!("/?master={}", lambda.master())));
    assert_eq!(call.error_type(), "Runtime.PhpFpmExited");
    assert_eq!(lambda.call().path, "/2018-06-01/runtime/invocation/next");
    // no event has come since: this is not what an event has started
    let titles: Vec<String> = lambda
        .processes()
        .into_iter()
        .map(|process| process.title)
        .collect();
    assert!(
        titles
            .iter()
            .any(|title| title.starts_with("php-fpm: pool slot0")),
        "{titles:?}"
    );
}

#[test]
fn what_a_worker_in_the_place_of_a_dead_one_writes_to_stderr_is_in_the_log() {
    let script = "<?php if (isset($_GET['crash'])) { exec('kill -SEGV ' . getmypid()); sleep(9); } \
        usleep((int) $_GET['wait']); file_put_contents('php://stderr', \"it waited {$_GET['wait']}\\n\"); echo getmypid();";
    let mut lambda = Function::new(script).start();
    for _ in 0..2 {
        let crash = lambda.invoke(get("/?crash=1"));
        assert_eq!(crash.error_type(), "Runtime.WorkerCrashed");
        let worker = lambda.get("/?wait=0");
        // php-fpm lets go of a dead worker a second later
        let later = lambda.invoke(get("/?wait=1300000"));
        assert_eq!(later.page(), worker);
        let said = later.log.matches("it waited 1300000").count();
        assert!(said > 0, "{}", later.log);
        assert_eq!(lambda.get("/?wait=1"), worker);
        assert!(lambda.log().contains("it waited 1\n"), "{}", lambda.log());
    }
}
