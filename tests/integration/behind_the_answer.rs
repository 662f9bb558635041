//! What a script does behind its answer: the next event waits for it.

use std::path::Path;

use rustix::process::Signal;

use crate::lambda::{Function, Lambda, PATIENCE, get};
use crate::process::{Process, kill};

#[test]
fn the_worker_is_waited_for_behind_its_answer() {
    let script = "<?php echo 'answered'; if ($_GET['more'] ?? 0) { fastcgi_finish_request(); usleep(200000); error_log('done behind'); }";
    let mut lambda = Function::new(script).start();
    lambda.get("/");
    let event = lambda.event(get("/?more=1"));
    lambda.send_event(event);
    let answer = lambda.post();
    assert_eq!(answer.page(), "answered");
    let next = lambda.next_poll();
    assert!(next.log.contains("done behind"), "{}", next.log);
}

#[test]
fn the_worker_is_waited_for_behind_an_error_too() {
    let script = "<?php http_response_code(500); echo getmypid(); \
        if ($_GET['more'] ?? 0) { fastcgi_finish_request(); usleep(200000); error_log('done behind'); }";
    let mut lambda = Function::new(script)
        .env("PHP_LAMBDA_ERROR_STATUS_CODES", "500")
        .start();
    lambda.invoke(get("/"));
    let event = lambda.event(get("/?more=1"));
    lambda.send_event(event);
    assert_eq!(lambda.post().error_type(), "Function.HttpStatus");
    let next = lambda.next_poll();
    assert!(next.log.contains("done behind"), "{}", next.log);
}

#[test]
fn a_worker_that_dies_behind_its_answer_is_replaced() {
    let script = "<?php echo 'answered'; if ($_GET['die'] ?? 0) { fastcgi_finish_request(); exec('kill -SEGV ' . getmypid()); sleep(60); }";
    let mut lambda = Function::new(script).start();
    for _ in 0..3 {
        assert_eq!(lambda.get("/?die=1"), "answered");
        let log = lambda.next_poll().log;
        assert!(log.contains("or died, after the answer"), "{log}");
        assert_eq!(lambda.get("/"), "answered");
    }
}

/// `?more=1` goes on behind its answer.
const SCRIPT: &str = "<?php $what = $_GET['what'] ?? ''; \
    if ($what === 'crash') { exec('kill -SEGV ' . getmypid()); sleep(60); } \
    if ($what === 'sleep') sleep(60); \
    echo getmypid(); \
    if ($what === 'more') { fastcgi_finish_request(); usleep(100000); error_log('done behind'); }";

fn assert_is_waited_for(lambda: &mut Lambda, after: &str) {
    for _ in 0..2 {
        let before = lambda.log().len();
        lambda.get("/?what=more");
        let log = &lambda.next_poll().log[before..];
        assert!(log.contains("done behind"), "after {after}: {log}");
    }
}

fn worker(lambda: &mut Lambda) -> Process {
    let pid = lambda.get("/");
    let mut processes = lambda.processes().into_iter();
    processes
        .find(|process| process.pid.to_string() == pid)
        .expect("the worker")
}

#[test]
fn it_is_waited_for_whatever_became_of_the_worker_before() {
    let mut lambda = Function::new(SCRIPT)
        .env("PHP_LAMBDA_TIMEOUT_MARGIN_MS", "100")
        .env("PHP_LAMBDA_WARMUP", "index.php")
        .start();
    assert_is_waited_for(&mut lambda, "the start");

    assert_eq!(
        lambda.invoke(get("/?what=crash")).error_type(),
        "Runtime.WorkerCrashed"
    );
    assert_is_waited_for(&mut lambda, "a crash");

    let mut late = lambda.event(get("/?what=sleep"));
    late.timeout = std::time::Duration::from_millis(400);
    assert_eq!(lambda.invoke_event(late).error_type(), "Function.Timeout");
    assert_is_waited_for(&mut lambda, "a time-out");

    let idle = worker(&mut lambda);
    lambda.next_poll();
    kill(idle.pid, Signal::KILL).unwrap();
    assert!(idle.ends_within(PATIENCE));
    assert_is_waited_for(&mut lambda, "the end of an idle worker");

    let master = Process::read(lambda.master()).expect("the master");
    kill(master.pid, Signal::KILL).unwrap();
    assert!(master.ends_within(PATIENCE));
    assert_is_waited_for(&mut lambda, "the end of the master");
}

/// A request more takes as long as an empty script, and has PHP give memory back that the next script needs.
#[test]
fn the_layers_worker_gets_no_requests_but_the_events() {
    let script = "<?php echo fpm_get_status()['procs'][0]['requests'];";
    let mut lambda = Function::new(script).start();
    let requests: Vec<u32> = (0..4).map(|_| lambda.get("/").parse().unwrap()).collect();
    // any other php-fpm is pinged
    let step = if is_the_layers() { 1 } else { 2 };
    let steps: Vec<u32> = requests.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(steps, [step; 3], "{requests:?}");
}

fn is_the_layers() -> bool {
    Path::new("/opt/bin/php-fpm").exists()
}

/// PHP has pcntl in the layer's php-fpm; Debian has it on the command line alone.
#[test]
fn a_process_that_a_script_forks_has_no_part_in_the_request() {
    let script = r#"<?php
$what = $_GET['what'] ?? '';
$id = $_SERVER['LAMBDA_REQUEST_ID'];
if ($what !== '' && function_exists('pcntl_fork')) {
    echo "before $id, ";
    if (pcntl_fork() === 0) {
        if ($what === 'late') usleep(100000);
        if ($what === 'finish') fastcgi_finish_request();
        echo "child of $id";
        if ($what === 'throw') throw new Exception("thrown in $id");
        if ($what === 'read') error_log('read: ' . strlen(file_get_contents('php://input')));
        flush();
        exit(3);
    }
    if ($what === 'reap') { pcntl_wait($status); echo 'status ', pcntl_wexitstatus($status), ', '; }
    if ($what === 'read') { pcntl_wait($status); }
}
echo $id;
if ($what === 'behind' || isset($_GET['more'])) { fastcgi_finish_request(); usleep(100000); error_log("done behind $id"); }
"#;
    let mut lambda = Function::new(script).start();
    for what in ["exit", "late", "finish", "throw", "reap", "read", "behind"] {
        let call = match what {
            "read" => {
                let body = vec![b'b'; 300_000];
                let headers = [("content-type", "application/octet-stream")];
                let query = format!("what={what}");
                lambda.invoke(crate::lambda::request(
                    "POST",
                    "/",
                    &query,
                    &headers,
                    Some(&body),
                ))
            }
            _ => lambda.invoke(get(&format!("/?what={what}"))),
        };
        let id = call.path.split('/').nth(4).unwrap().to_owned();
        let page = call.page();
        match (is_the_layers(), what) {
            (false, _) => assert_eq!(page, id),
            (true, "reap") => assert_eq!(page, format!("before {id}, status 3, {id}")),
            (true, _) => assert_eq!(page, format!("before {id}, {id}"), "{what}"),
        }
        for _ in 0..3 {
            let before = lambda.log().len();
            let call = lambda.invoke(get("/?more=1"));
            let id = call.path.split('/').nth(4).unwrap().to_owned();
            assert_eq!(call.page(), id, "after {what}");
            let log = &lambda.next_poll().log[before..];
            assert!(
                log.contains(&format!("done behind {id}")),
                "after {what}: {log}"
            );
        }
    }
}

#[test]
fn programs_that_a_script_runs_get_no_descriptors_of_the_runtimes() {
    let script = "<?php echo shell_exec('ls -l /proc/self/fd');";
    let mut lambda = Function::new(script)
        .env("AWS_LAMBDA_MAX_CONCURRENCY", "3")
        .start();
    let page = lambda.get("/");
    let is_ours = |line: &&str| {
        ["pipe:", "socket:", "anon_inode:"]
            .iter()
            .any(|kind| line.contains(kind))
    };
    let descriptors = page.lines().filter(is_ours).count();
    if is_the_layers() {
        // shell_exec()'s pipe, the log, and the master's stderr, which php-fpm keeps
        assert_eq!(descriptors, 3, "{page}");
    } else {
        assert!(descriptors > 3, "{page}");
    }
}
