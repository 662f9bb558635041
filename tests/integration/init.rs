//! The start: what makes it fail, in which words, and what does not.

use crate::lambda::{Function, bootstrap, forbid_writing, get};

fn message(function: Function, error_type: &str) -> String {
    let call = function.start().init_error();
    assert_eq!(call.error_type(), error_type);
    call.error_message()
}

#[test]
fn a_handler_that_is_no_file_below_the_task_root() {
    for handler in [
        "missing.php",
        "missing/",
        "../index.php",
        "sub/..",
        "/etc/passwd",
        "hello.handler",
        "index.php/x",
    ] {
        let function = Function::new("")
            .file("sub/a.php", "")
            .env("_HANDLER", handler);
        let text = message(function, "Runtime.NoSuchHandler");
        assert!(
            text.contains(handler) && text.contains("index.php"),
            "{text}"
        );
    }
    let function = Function::new("").env("PHP_LAMBDA_EVENT_HANDLER", "none.php");
    assert!(
        message(function, "Runtime.NoSuchHandler")
            .starts_with("PHP_LAMBDA_EVENT_HANDLER is \"none.php\"")
    );
    // a folder is a site, and no script
    for variable in ["PHP_LAMBDA_EVENT_HANDLER", "PHP_LAMBDA_WARMUP"] {
        let function = Function::new("").file("sub/a.php", "").env(variable, "sub");
        let text = message(function, "Runtime.NoSuchHandler");
        assert!(
            text.starts_with(&format!("{variable} is \"sub\"")),
            "{text}"
        );
        assert!(text.contains("that is no file"), "{text}");
    }
}

#[test]
fn a_handler_may_be_spelt_with_a_dot() {
    let mut lambda = Function::new("")
        .file("a/b.php", "<?php echo $_SERVER['SCRIPT_NAME'];")
        .env("_HANDLER", "./a/b.php")
        .start();
    assert_eq!(lambda.get("/"), "/b.php");
}

#[test]
fn the_argument_is_the_handler() {
    // a container image: ENTRYPOINT and CMD
    let mut lambda = Function::new("")
        .file("public/app.php", "<?php echo $_SERVER['SCRIPT_NAME'];")
        .arg("public/app.php")
        .start();
    assert_eq!(lambda.get("/"), "/app.php");
    let text = message(Function::new("").arg("none.php"), "Runtime.NoSuchHandler");
    assert!(text.starts_with("The handler is \"none.php\""), "{text}");
    let text = message(
        Function::new("").arg("php").arg("index.php"),
        "Runtime.InvalidConfiguration",
    );
    assert!(text.contains("[\"php\", \"index.php\"]"), "{text}");
}

#[test]
fn the_version_is_told() {
    let output = std::process::Command::new(bootstrap())
        .arg("--version")
        .output()
        .unwrap();
    let expected = format!("php-fpm-lambda {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    assert!(output.status.success());
}

#[test]
fn all_bad_values_at_once() {
    let function = Function::new("")
        .env("PHP_LAMBDA_MAX_REQUESTS", "many")
        .env("PHP_LAMBDA_TYPO", "1");
    let text = message(
        function.env("AWS_LAMBDA_MAX_CONCURRENCY", "0"),
        "Runtime.InvalidConfiguration",
    );
    for part in [
        "PHP_LAMBDA_MAX_REQUESTS is \"many\"",
        "PHP_LAMBDA_TYPO is \"1\"",
        "AWS_LAMBDA_MAX_CONCURRENCY is \"0\"",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn with_json_a_failed_start_is_an_object_in_the_log_too() {
    for (name, value) in [("_HANDLER", "none.php"), ("PHP_LAMBDA_TYPO", "1")] {
        let mut lambda = Function::new("")
            .env(name, value)
            .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .start();
        let error_type = lambda.call().error_type();
        lambda.wait();
        let log = lambda.log();
        let line: serde_json::Value =
            serde_json::from_str(&log).unwrap_or_else(|_| panic!("no JSON: {log}"));
        assert_eq!(line["level"], "FATAL");
        let message = line["message"].as_str().unwrap();
        assert!(message.starts_with(&error_type), "{message}");
    }
}

#[test]
fn a_missing_extension_is_an_error_with_phps_own_words() {
    let text = message(
        Function::new("").file("php/conf.d/x.ini", "extension=nope\n"),
        "Runtime.PhpFpmStartFailed",
    );
    assert!(
        text.contains("Unable to load dynamic library 'nope'"),
        "{text}"
    );
}

#[test]
fn a_broken_ini_file_is_an_error_with_file_and_line() {
    for name in ["php.ini", "php/conf.d/x.ini"] {
        let text = message(
            Function::new("").file(name, "precision = 3\nfoo = (\nserialize_precision = 5\n"),
            "Runtime.PhpFpmStartFailed",
        );
        assert!(
            text.contains("syntax error")
                && text.contains(" on line ")
                && text.contains(&format!("/task/{name}")),
            "{name}: {text}"
        );
    }
}

#[test]
fn a_php_fpm_that_cannot_be_run() {
    let text = message(
        Function::new("").env("PHP_FPM", "/nowhere/php-fpm"),
        "Runtime.PhpFpmStartFailed",
    );
    assert!(text.contains("/nowhere/php-fpm"), "{text}");
    // a program, but no php-fpm
    let text = message(
        Function::new("").env("PHP_FPM", "/bin/false"),
        "Runtime.PhpFpmStartFailed",
    );
    assert!(text.contains("exited with code 1"), "{text}");
}

#[test]
fn a_temporary_folder_that_cannot_be_written() {
    let function = Function::new("");
    forbid_writing(&function.temp_dir());
    let folder = function.temp_dir().display().to_string();
    let text = message(function, "Runtime.PhpFpmStartFailed");
    assert!(
        text.contains(&folder) && text.contains("ermission denied"),
        "{text}"
    );
}

#[test]
fn the_functions_own_settings_count() {
    let script = "<?php foreach (['precision', 'serialize_precision', 'memory_limit', 'expose_php'] as $n) echo ini_get($n), ' ';";
    let function = Function::new(script)
        .file(
            "php.ini",
            "precision = 5\nserialize_precision = 6\nexpose_php = On\n",
        )
        .file(
            "php/conf.d/own.ini",
            "serialize_precision = 7\nmemory_limit = 77M\n",
        );
    let mut lambda = function.start();
    let call = lambda.invoke(get("/"));
    assert_eq!(call.page(), "5 7 77M 1 ");
    assert!(
        call.json()["headers"]["X-Powered-By"]
            .as_str()
            .unwrap()
            .starts_with("PHP/8.")
    );
}

#[test]
fn folders_of_the_users_own_replace_the_functions_conf_d() {
    let script =
        "<?php foreach (['precision', 'serialize_precision'] as $n) echo ini_get($n), ' ';";
    let function = Function::new(script)
        .file("php.ini", "precision = 5\nserialize_precision = 6\n")
        .file("php/conf.d/x.ini", "precision = 7\n")
        .file("own/x.ini", "serialize_precision = 8\n");
    let own = function.task_root().join("own").display().to_string();
    let mut lambda = function.env("PHP_INI_SCAN_DIR", &own).start();
    assert_eq!(lambda.get("/"), "5 6 ");
}

#[test]
fn a_harmless_word_of_php_at_the_start_is_logged() {
    let mut lambda = Function::new("<?php echo 'up';")
        .file("php.ini", "allow_url_include = On\n")
        .start();
    let call = lambda.invoke(get("/"));
    assert_eq!(call.page(), "up");
    assert!(
        call.log
            .contains("Directive 'allow_url_include' is deprecated"),
        "{}",
        call.log
    );
}

#[test]
fn no_code_of_the_user_runs_before_the_first_event() {
    let script = "<?php error_log('the script runs'); echo 'up';";
    let function = Function::new(script)
        .file("prepend.php", "<?php error_log('the prepended file runs');")
        .file("php/conf.d/p.ini", "");
    let path = function
        .task_root()
        .join("prepend.php")
        .display()
        .to_string();
    let mut lambda = function
        .file("php/conf.d/p.ini", &format!("auto_prepend_file = {path}\n"))
        .start();
    let next = lambda.call();
    assert!(
        next.path.ends_with("/next") && next.log.is_empty(),
        "{}: {}",
        next.path,
        next.log
    );
    let call = lambda.invoke(get("/"));
    assert!(call.log.contains("the prepended file runs"), "{}", call.log);
}

#[test]
fn a_warm_up_runs_in_each_worker_before_its_first_event() {
    let warmup = "<?php error_log('warm ' . getmypid()); echo 'dropped';";
    let script = "<?php echo getmypid(); if ($_GET['crash'] ?? 0) { exec('kill -SEGV ' . getmypid()); sleep(9); }";
    let function = Function::new(script).file("warmup.php", warmup);
    let mut lambda = function.env("PHP_LAMBDA_WARMUP", "warmup.php").start();
    let next = lambda.call();
    assert!(next.path.ends_with("/next"), "{}", next.path);
    let pid = lambda.get("/");
    assert!(next.log.contains(&format!("warm {pid}\n")), "{}", next.log);
    assert_eq!(
        lambda.invoke(get("/?crash=1")).error_type(),
        "Runtime.WorkerCrashed"
    );
    let call = lambda.invoke(get("/"));
    assert!(
        call.log.contains(&format!("warm {}\n", call.page())),
        "{}",
        call.log
    );
}

#[test]
fn a_warm_up_that_fails_is_an_error_of_the_start() {
    for (script, words) in [
        ("<?php nope();", "status 500"),
        (
            "<?php exec('kill -SEGV ' . getmypid()); sleep(9);",
            "SIGSEGV",
        ),
        (
            "<?php fastcgi_finish_request(); usleep(50000); exec('kill -SEGV ' . getmypid()); sleep(60);",
            "did not end behind its answer: The PHP worker was ended by signal 11 (SIGSEGV)",
        ),
    ] {
        let function = Function::new("").file("warmup.php", script);
        let text = message(
            function.env("PHP_LAMBDA_WARMUP", "warmup.php"),
            "Runtime.WarmupFailed",
        );
        assert!(text.contains(words), "{text}");
    }
    let text = message(
        Function::new("").env("PHP_LAMBDA_WARMUP", "no.php"),
        "Runtime.NoSuchHandler",
    );
    assert!(text.starts_with("PHP_LAMBDA_WARMUP is"), "{text}");
}

#[test]
fn nobody_else_can_enter_the_run_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut lambda = Function::new("<?php echo 'up';").start();
    lambda.get("/");
    let folders: Vec<_> = std::fs::read_dir(lambda.function.temp_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let [folder] = &folders[..] else {
        panic!("{folders:?}")
    };
    assert_eq!(
        folder.metadata().unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn no_core_file_is_written() {
    let mut lambda = Function::new("<?php echo trim(shell_exec('ulimit -c; ulimit -Hc'));").start();
    assert_eq!(lambda.get("/"), "0\n0");
}

#[test]
fn a_temporary_folder_whose_name_php_fpm_cannot_read() {
    let function = Function::new("");
    let folder = function.temp_dir().join("a;b");
    std::fs::create_dir(&folder).unwrap();
    let text = message(
        function.env("TMPDIR", folder.to_str().unwrap()),
        "Runtime.PhpFpmStartFailed",
    );
    assert!(
        text.contains("set TMPDIR") && text.contains("';'"),
        "{text}"
    );
}

#[test]
fn there_are_as_many_workers_and_polls_as_lambda_sends_at_once() {
    for (concurrency, count) in [("", 1), ("1", 1), ("3", 3)] {
        let mut lambda = Function::new("<?php echo 'up';")
            .env("AWS_LAMBDA_MAX_CONCURRENCY", concurrency)
            .start();
        for _ in 0..count {
            assert_eq!(lambda.call().path, "/2018-06-01/runtime/invocation/next");
        }
        let processes = lambda.processes();
        let workers = processes
            .iter()
            .filter(|process| process.title.starts_with("php-fpm: pool "));
        assert_eq!(workers.count(), count, "{concurrency:?}");
    }
}

#[test]
fn no_file_holds_a_process_id() {
    let mut lambda = Function::new("<?php echo 'up';").start();
    lambda.get("/");
    let mut names: Vec<_> = std::fs::read_dir(lambda.run_folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["0-0.sock", "php-fpm.conf", "php.ini"]);
}
