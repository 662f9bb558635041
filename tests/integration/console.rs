//! Events that ask for a command: `{"cli": …}`.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::lambda::{Call, Function, Lambda, chmod, get};
use crate::process::{Process, all_titles, kill, kilobytes};

/// A script with a command for each thing that a command can do.
pub const CONSOLE: &str = r#"<?php
$arguments = array_slice($argv, 1);
$wait = function (string $file): void { while (!file_exists($file)) { usleep(1000); clearstatcache(); } };
switch ($arguments[0] ?? '') {
    case 'arguments': echo json_encode($arguments); break;
    case 'environment': echo json_encode([getenv($arguments[1]), $_SERVER[$arguments[1]] ?? null, $_ENV[$arguments[1]] ?? null]); break;
    case 'child': passthru('printf "%s" "$' . $arguments[1] . '"'); break;
    case 'where': echo json_encode([getcwd(), __FILE__, PHP_SAPI, PHP_BINARY, $argv[0]]); break;
    case 'ini': echo json_encode(array_map(ini_get(...), array_slice($arguments, 1))); break;
    case 'exit': echo "first\n", 'last'; exit((int) $arguments[1]);
    case 'both': foreach ([1, 2, 3] as $i) { fwrite(STDOUT, "out $i\n"); fwrite(STDERR, "err $i\n"); } break;
    case 'progress': echo "begun\n"; $wait($arguments[1]); echo "done\n"; break;
    case 'kill': echo "before\n"; exec('kill -' . $arguments[1] . ' ' . getmypid()); sleep(60); break;
    case 'read': echo 'read: ', var_export(stream_get_contents(STDIN), true); break;
    case 'background': proc_close(proc_open('(sleep 4711; echo late) &', [1 => STDOUT, 2 => STDERR], $pipes)); echo 'parent'; break;
    case 'holds': proc_open('exec sleep 4711', [1 => STDOUT, 2 => STDERR], $pipes); echo "parent\n"; posix_kill(getmypid(), 9);
    case 'noisy': proc_open('exec yes 4711', [1 => STDOUT, 2 => STDERR], $pipes); exit(0);
    case 'hang': echo "half a line"; passthru('echo a child; exec sleep 60'); break;
    case 'loop': while (true) echo "x\n";
    case 'much': for ($line = str_repeat('0123456789', 100) . "\n", $i = 0; $i < (int) $arguments[1]; $i++) echo $line; break;
    case 'bytes': echo "a\xff\x00b\n"; break;
    case 'warning': echo $undefined; break;
    case 'throw': throw new RuntimeException('no luck');
    case 'memory': $all = []; while (true) $all[] = str_repeat('x', 1 << 20);
    case '': echo 'the list of commands'; break;
}
"#;

fn function() -> Function {
    Function::new("<?php echo getmypid();")
        .file("bin/console", CONSOLE)
        .env("PHP_LAMBDA_CONSOLE", "bin/console")
}

fn event(cli: impl Into<Value>) -> String {
    json!({ "cli": cli.into() }).to_string()
}

fn answered(call: &Call) -> Value {
    assert!(call.path.ends_with("/response"), "{}", call.text());
    let answer = call.json();
    assert_eq!(answer["exitCode"], 0);
    answer["output"].clone()
}

/// What a command prints as JSON.
fn told(lambda: &mut Lambda, cli: impl Into<Value>) -> Value {
    let output = answered(&lambda.invoke(event(cli)));
    let output = output.as_str().unwrap();
    serde_json::from_str(output).unwrap_or_else(|_| panic!("{output}"))
}

fn failed(call: &Call) -> String {
    assert_eq!(call.error_type(), "Function.CommandFailed");
    call.error_message()
}

/// Below the bootstrap, but for php-fpm and its workers.
fn commands(lambda: &Lambda) -> Vec<Process> {
    let mut processes = lambda.processes();
    processes.retain(|process| !process.title.contains("php-fpm: "));
    processes
}

#[test]
fn a_line_is_split_and_a_list_is_not() {
    let mut lambda = function().start();
    for (cli, expected) in [
        (
            json!("arguments --name='a b' \"c d\" e\\ f $HOME *"),
            json!(["arguments", "--name=a b", "c d", "e f", "$HOME", "*"]),
        ),
        (
            json!(["arguments", "a b", "", "--version", "-h", "ü"]),
            json!(["arguments", "a b", "", "--version", "-h", "ü"]),
        ),
    ] {
        assert_eq!(told(&mut lambda, cli), expected);
    }
    for none in [json!(""), json!([])] {
        assert_eq!(
            answered(&lambda.invoke(event(none))),
            "the list of commands"
        );
    }
}

#[test]
fn it_runs_the_command_line_in_the_task_root() {
    let mut lambda = function().start();
    let root = lambda.function.task_root().canonicalize().unwrap();
    let told = told(&mut lambda, "where");
    let script = root.join("bin/console");
    assert_eq!(told[0], root.to_str().unwrap());
    assert_eq!(told[1], script.to_str().unwrap());
    assert_eq!(told[2], "cli");
    let name = PathBuf::from(told[3].as_str().unwrap());
    assert!(
        name.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("php"),
        "{name:?}"
    );
    assert!(!name.to_str().unwrap().contains("fpm"), "{name:?}");
}

#[test]
fn it_has_the_functions_variables_lambdas_context_and_those_of_the_event() {
    let mut lambda = function().env("OF_FUNCTION", "f").env("BOTH", "f").start();
    let mut ask = |name: &str| {
        let body = json!({"cli": ["environment", name], "env": {"OF_EVENT": "e", "BOTH": "e", "LAMBDA_REQUEST_ID": "forged"}});
        let mut event = lambda.event(body.to_string());
        event.headers = vec![("lambda-runtime-trace-id", "Root=1-2".to_owned())];
        let id = event.id.clone();
        let output = answered(&lambda.invoke_event(event));
        let told: Value = serde_json::from_str(output.as_str().unwrap()).unwrap();
        assert_eq!(told[0], told[1], "getenv and $_SERVER");
        assert_eq!(told[0], told[2], "getenv and $_ENV");
        (told[0].clone(), id)
    };
    assert_eq!(ask("OF_FUNCTION").0, "f");
    assert_eq!(ask("OF_EVENT").0, "e");
    assert_eq!(ask("BOTH").0, "e");
    assert_eq!(ask("_X_AMZN_TRACE_ID").0, "Root=1-2");
    let (told, id) = ask("LAMBDA_REQUEST_ID");
    assert_eq!(told, id);
    let (context, id) = ask("LAMBDA_INVOCATION_CONTEXT");
    let context: Value = serde_json::from_str(context.as_str().unwrap()).unwrap();
    assert_eq!(
        (&context["awsRequestId"], &context["traceId"]),
        (&id.into(), &"Root=1-2".into())
    );
    let output = lambda.invoke(event("child OF_FUNCTION"));
    assert_eq!(answered(&output), "f", "of a child process");
}

#[test]
fn it_has_the_settings_of_the_workers() {
    let names = "ini memory_limit precision user_agent display_errors log_errors zend.assertions";
    let mut lambda = function()
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .file("php.ini", "precision = 9\n")
        .file("php/conf.d/mine.ini", "user_agent = mine\n")
        .start();
    let expected = json!(["208M", "9", "mine", "", "1", "-1"]);
    let told_off = |value: Value| {
        value
            .to_string()
            .replace("\"0\"", "\"\"")
            .replace("Off", "")
    };
    assert_eq!(told_off(told(&mut lambda, names)), expected.to_string());
    // a script has emptied /tmp
    std::fs::remove_dir_all(lambda.function.temp_dir()).unwrap();
    std::fs::create_dir(lambda.function.temp_dir()).unwrap();
    assert_eq!(told_off(told(&mut lambda, names)), expected.to_string());
}

#[test]
fn an_exit_code_other_than_0_fails_the_invocation_with_the_end_of_the_output() {
    let mut lambda = function().start();
    for code in [1, 3, 255] {
        let call = lambda.invoke(event(format!("exit {code}")));
        let expected =
            format!("The command exited with code {code}. Its output ends with:\nfirst\nlast");
        assert_eq!(failed(&call), expected);
        assert_eq!(
            (&call.json()["exitCode"], &call.json()["output"]),
            (&code.into(), &"first\nlast".into())
        );
        assert_eq!(call.log.matches("first").count(), 1, "once: {}", call.log);
        let line =
            format!("\tERROR\tFunction.CommandFailed: The command exited with code {code}.\n");
        assert_eq!(call.log.matches(&line).count(), 1, "{}", call.log);
        lambda = function().start();
    }
    let call = lambda.invoke(event("throw"));
    assert!(failed(&call).contains("no luck"), "{}", call.text());
}

#[test]
fn stdout_and_stderr_keep_their_order() {
    let mut lambda = function().start();
    let call = lambda.invoke(event("both"));
    let expected = "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n";
    assert_eq!(answered(&call), expected);
    assert!(call.log.contains(expected), "{}", call.log);
    let call = lambda.invoke(event("warning"));
    let warnings = call.log.matches("Undefined variable $undefined").count();
    assert_eq!(warnings, 1, "{}", call.log);
}

#[test]
fn a_line_is_in_the_log_while_the_command_runs() {
    let mut lambda = function().start();
    let file = lambda.function.temp_dir().join("go on");
    let sent = lambda.send(event(json!(["progress", file])));
    lambda.wait_for_log("begun\n");
    assert!(!lambda.log().contains("done"));
    std::fs::write(&file, "").unwrap();
    let call = lambda.post();
    assert!(call.path.contains(&sent.id));
    assert_eq!(answered(&call), "begun\ndone\n");
    assert!(call.log.contains("begun\ndone\n"), "{}", call.log);
}

#[test]
fn in_json_each_line_is_an_object_with_the_request_id() {
    let mut lambda = function().env("AWS_LAMBDA_LOG_FORMAT", "JSON").start();
    let call = lambda.invoke(event("exit 4"));
    let objects: Vec<Value> = call
        .log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let messages: Vec<&str> = objects
        .iter()
        .map(|object| object["message"].as_str().unwrap())
        .collect();
    assert_eq!(
        messages,
        [
            "first",
            "last",
            "Function.CommandFailed: The command exited with code 4."
        ]
    );
    assert!(
        objects
            .iter()
            .all(|object| object["requestId"] == "request-1"),
        "{}",
        call.log
    );
}

#[test]
fn a_command_that_a_signal_ends_says_which() {
    let mut lambda = function().start();
    let call = lambda.invoke(event("kill SEGV"));
    assert!(
        failed(&call)
            .starts_with("The command was ended by signal 11. Its output ends with:\nbefore")
    );
    assert_eq!(call.json()["exitCode"], Value::Null);
    let call = lambda.invoke(event("kill KILL"));
    assert!(failed(&call).contains("SIGKILL") && failed(&call).contains("out of memory"));
}

#[test]
fn php_says_where_memory_is_short() {
    let mut lambda = function()
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .start();
    let call = lambda.invoke(event("memory"));
    assert!(failed(&call).contains(&format!("Allowed memory size of {} bytes", 80 << 20)));
}

#[test]
fn stdin_is_empty_or_the_events() {
    let mut lambda = function().start();
    assert_eq!(answered(&lambda.invoke(event("read"))), "read: ''");
    let body = json!({"cli": "read", "stdin": "one\ntwo"}).to_string();
    assert_eq!(answered(&lambda.invoke(body)), "read: 'one\ntwo'");
    // more than a pipe holds, which the command never reads
    let body = json!({"cli": "exit 0", "stdin": "x".repeat(1 << 20)}).to_string();
    assert_eq!(answered(&lambda.invoke(body)), "first\nlast");
}

#[test]
fn what_is_left_in_the_background_is_not_waited_for_and_ends() {
    let mut lambda = function().start();
    for (command, warned) in [
        ("holds", true),
        ("noisy", true),
        ("background", true),
        ("exit 0", false),
    ] {
        let call = lambda.invoke(event(command));
        match command {
            "holds" => assert!(failed(&call).contains("parent"), "{}", call.text()),
            _ => _ = answered(&call),
        }
        let warning = format!(
            "\trequest-{}\tWARN\tThe command left ",
            &call
                .path
                .split("request-")
                .nth(1)
                .unwrap()
                .split('/')
                .next()
                .unwrap()
        );
        assert_eq!(
            call.log.contains(&warning),
            warned,
            "{command}: {}",
            tail(&call.log)
        );
        let titles = all_titles();
        let left = titles
            .iter()
            .filter(|title| ["sleep 4711", "yes 4711"].contains(&title.as_str()));
        assert_eq!(left.count(), 0, "{command}: {titles:?}");
    }
}

fn tail(log: &str) -> &str {
    &log[log.len().saturating_sub(2000)..]
}

#[test]
fn past_the_deadline_it_is_killed_with_its_children_and_its_log_is_kept() {
    let mut lambda = function()
        .env("PHP_LAMBDA_TIMEOUT_MARGIN_MS", "2500")
        .start();
    let worker = lambda.get("/");
    for command in ["hang", "loop"] {
        let mut event = lambda.event(event(command));
        event.timeout = Duration::from_millis(6000);
        let begun = std::time::Instant::now();
        lambda.send_event(event);
        if command == "hang" {
            lambda.wait_for_log("a child");
            assert!(commands(&lambda).len() > 1, "the command and its child");
        }
        let call = lambda.post();
        assert!(
            begun.elapsed() < Duration::from_millis(6000),
            "before the deadline"
        );
        assert_eq!(call.error_type(), "Function.Timeout");
        assert!(commands(&lambda).is_empty(), "nothing is left of it");
        if command == "hang" {
            assert!(call.log.contains("half a linea child\n"), "{}", call.log);
            assert_eq!(call.log.matches("ERROR").count(), 1, "{}", call.log);
        }
        assert!(!call.log.contains("WARN"), "{}", tail(&call.log));
    }
    assert_eq!(lambda.get("/"), worker, "the same worker");
}

#[test]
fn of_much_output_the_log_has_all_and_the_answer_the_end_and_memory_stays_flat() {
    let mut lambda = function().start();
    lambda.invoke(event("exit 0"));
    let lines = 60_000;
    let call = lambda.invoke(event(format!("much {lines}")));
    let output = answered(&call);
    let output = output.as_str().unwrap();
    assert!(
        call.body.len() <= 6_291_556 && call.body.len() > 6_000_000,
        "{}",
        call.body.len()
    );
    let note = format!(
        "[the end of {} bytes; all of them are in the log]\n0123456789",
        lines * 1001
    );
    assert!(output.starts_with(&note), "{}", &output[..100]);
    let line = "0123456789".repeat(100);
    assert_eq!(call.log.matches(&line).count(), lines);
    let peak = kilobytes(lambda.pid(), "VmHWM");
    assert!(peak < 40_000, "{peak} kB for 60 MB");
}

#[test]
fn bytes_that_are_no_text_are_in_the_log_as_they_are() {
    let mut lambda = function().start();
    let call = lambda.invoke(event("bytes"));
    assert_eq!(answered(&call), "a\u{fffd}\0b\n");
}

#[test]
fn slots_run_commands_and_requests_side_by_side() {
    let mut lambda = function().env("AWS_LAMBDA_MAX_CONCURRENCY", "3").start();
    let file = lambda.function.temp_dir().join("go on");
    let waiting: Vec<String> = (0..2)
        .map(|_| lambda.send(event(json!(["progress", file]))).id)
        .collect();
    while lambda.log().matches("begun\n").count() < 2 {
        std::thread::yield_now();
    }
    // the third slot answers meanwhile
    assert_ne!(lambda.get("/"), "");
    std::fs::write(&file, "").unwrap();
    for _ in 0..2 {
        let call = lambda.post();
        assert_eq!(answered(&call), "begun\ndone\n");
        assert!(waiting.iter().any(|id| call.path.contains(id)));
    }
}

#[test]
fn sigterm_and_sigkill_of_the_bootstrap_end_a_command() {
    for signal in [Signal::TERM, Signal::KILL] {
        let mut lambda = function().start();
        lambda.send(event("hang"));
        lambda.wait_for_log("a child");
        let running = commands(&lambda);
        assert!(running.len() >= 2, "php and its child");
        lambda.signal(signal);
        let status = lambda.wait();
        if signal == Signal::TERM {
            assert_eq!(status.code(), Some(0));
        }
        let php = running
            .iter()
            .filter(|process| signal == Signal::TERM || !process.title.ends_with("sleep 60"));
        for process in php {
            assert!(
                process.ends_within(Duration::from_secs(1)),
                "{}",
                process.title
            );
        }
        // the child of a command alone outlives the bootstrap's SIGKILL
        for process in running {
            let _ = kill(process.pid, Signal::KILL);
        }
    }
}

#[test]
fn an_event_that_cannot_be_understood_says_how_it_is_written() {
    let mut lambda = function().start();
    for (body, words) in [
        (r#"{"cli":"a 'b"}"#, "a quote without its end"),
        (
            r#"{"cli":"a","enviroment":{}}"#,
            "\"enviroment\" is not known, allowed: cli, env, stdin",
        ),
        (r#"{"cli":["a",1]}"#, "no string"),
    ] {
        let call = lambda.invoke(body);
        assert_eq!(call.error_type(), "Runtime.InvalidCommand");
        let message = call.error_message();
        assert!(
            message.contains(words) && message.contains("migrate --force"),
            "{message}"
        );
    }
    let long = json!({"cli": ["exit", "x".repeat(3 << 20)]}).to_string();
    let call = lambda.invoke(long);
    assert!(
        failed(&call).contains("could not be started"),
        "{}",
        call.text()
    );
}

#[test]
fn without_a_console_such_an_event_is_like_any_other() {
    let script = "<?php echo 'event: ', file_get_contents('php://input');";
    let mut lambda = Function::new(script).start();
    assert_eq!(lambda.invoke(event("x")).text(), r#"event: {"cli":"x"}"#);
    let mut lambda = function().file("index.php", script).start();
    for body in [r#"{"cli":5}"#, r#"{"cli":{"a":"b"}}"#, r#"["cli"]"#, "{}"] {
        assert_eq!(lambda.invoke(body).text(), format!("event: {body}"));
    }
}

#[test]
fn a_request_with_a_member_cli_is_a_request() {
    let mut lambda = function().start();
    let mut request: Value = serde_json::from_str(&get("/")).unwrap();
    request["cli"] = "exit 1".into();
    lambda.invoke(request.to_string()).page();
}

#[test]
fn the_script_and_the_command_line_are_looked_for_at_the_start() {
    let init_error = |function: Function| function.start().init_error();
    let call = init_error(Function::new("").env("PHP_LAMBDA_CONSOLE", "artisan"));
    assert_eq!(call.error_type(), "Runtime.NoSuchHandler");
    assert!(
        call.error_message()
            .starts_with("PHP_LAMBDA_CONSOLE is \"artisan\"")
    );

    // a php-fpm without its command line
    let function = function();
    let alone = function.temp_dir().join("php-fpm8.99");
    std::fs::write(&alone, "#!/bin/sh\n").unwrap();
    chmod(&alone, 0o755);
    let call = init_error(function.env("PHP_FPM", alone.to_str().unwrap()));
    assert_eq!(call.error_type(), "Runtime.NoCommandLine");
    assert!(
        call.error_message().contains("no php8.99"),
        "{}",
        call.text()
    );
}

#[test]
fn a_command_counts_as_no_request_of_the_worker() {
    let mut lambda = function().env("PHP_LAMBDA_MAX_REQUESTS", "2").start();
    let worker = lambda.get("/");
    for _ in 0..3 {
        answered(&lambda.invoke(event("exit 0")));
    }
    assert_eq!(lambda.get("/"), worker);
    assert_ne!(lambda.get("/"), worker);
}
