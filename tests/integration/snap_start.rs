//! SnapStart: what is made anew when a sandbox was restored from a snapshot, and what happens when that fails.

use axum::http::Method;

use crate::lambda::{Function, get};

fn function(index_php: &str) -> Function {
    Function::new(index_php).env("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
}

#[test]
fn after_the_restore_the_worker_and_the_connections_are_new() {
    let warmup = "<?php file_put_contents(getenv('TMPDIR') . '/pids', getmypid() . \"\\n\", FILE_APPEND); mt_srand(1);";
    let mut lambda = function("<?php echo getmypid(), ' ', mt_rand();")
        .file("warmup.php", warmup)
        .env("PHP_LAMBDA_WARMUP", "warmup.php")
        .start();
    let restore = lambda.call();
    assert_eq!(
        (restore.method, &*restore.path),
        (Method::GET, "/2018-06-01/runtime/restore/next")
    );
    let file = lambda.function.temp_dir().join("pids");
    let pids = || std::fs::read_to_string(&file).unwrap();
    let before = pids().lines().next().unwrap().to_owned();
    let next = lambda.call();
    assert_eq!(next.path, "/2018-06-01/runtime/invocation/next");
    assert_ne!(next.peer, restore.peer, "a connection from before");
    let after = pids().lines().nth(1).expect("warmed up again").to_owned();
    assert_ne!(after, before);

    let answer = lambda.invoke(get("/"));
    assert_ne!(answer.peer, restore.peer);
    assert_eq!(answer.page().split(' ').next().unwrap(), after);
}

#[test]
fn it_is_no_extension_whose_poll_would_outlive_the_snapshot() {
    let mut lambda = function("<?php echo 'up';").start();
    assert_eq!(lambda.get("/"), "up");
    assert_eq!(lambda.extension_calls(), [""; 0]);
}

#[test]
fn a_warm_up_that_fails_prevents_the_snapshot() {
    let mut lambda = function("<?php echo 'up';")
        .file("warmup.php", "<?php http_response_code(500);")
        .env("PHP_LAMBDA_WARMUP", "warmup.php")
        .start();
    let call = lambda.init_error();
    assert_eq!(call.error_type(), "Runtime.BeforeSnapshotError");
    assert!(
        call.error_message().contains("PHP_LAMBDA_WARMUP"),
        "{}",
        call.error_message()
    );
}

#[test]
fn a_worker_that_cannot_start_after_the_restore_is_reported_as_that() {
    for fails in [
        "exec('kill -KILL ' . getmypid()); sleep(9);",
        "http_response_code(500);",
    ] {
        let warmup = format!(
            "<?php $flag = getenv('TMPDIR') . '/flag'; if (file_exists($flag)) {{ {fails} }} touch($flag);"
        );
        let mut lambda = function("<?php echo 'up';")
            .file("warmup.php", &warmup)
            .env("PHP_LAMBDA_WARMUP", "warmup.php")
            .start();
        assert_eq!(lambda.call().path, "/2018-06-01/runtime/restore/next");
        let call = lambda.call();
        assert_eq!(call.path, "/2018-06-01/runtime/restore/error");
        assert_eq!(call.error_type(), "Runtime.AfterRestoreError");
        assert_eq!(lambda.wait().code(), Some(1));
    }
}
