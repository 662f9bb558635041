//! Events that are no HTTP requests: scripts that print, handlers that return, and how each of them fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::lambda::{Call, Function, Lambda, request};

/// The error of a failed invocation: Lambda's type, and the body.
fn error(call: &Call) -> (String, Value) {
    assert!(
        call.path.ends_with("/error"),
        "{} {}",
        call.path,
        call.text()
    );
    let header = &call.headers["lambda-runtime-function-error-type"];
    (header.to_str().unwrap().to_owned(), call.json())
}

/// What the handler of `script` answers to `event`, byte for byte.
fn answer(lambda: &mut Lambda, event: &str) -> String {
    let call = lambda.invoke(event);
    assert!(
        call.path.ends_with("/response"),
        "{} {}\n{}",
        call.path,
        call.text(),
        call.log
    );
    call.text()
}

// --- what goes wrong ---

#[test]
fn an_exception_is_an_error_with_class_message_trace_and_previous_ones() {
    let script = r#"<?php
namespace App;
class Broken extends \RuntimeException {}
class Work {
    public function do(string $password) {
        try { throw new \LogicException('the "cause"'); }
        catch (\LogicException $e) { throw new Broken("no luck \xff ☂", 7, $e); }
    }
}
return function ($event) { (new Work())->do('secret'); };
"#;
    let mut lambda = Function::new(script).start();
    let root = lambda.function.task_root().display().to_string();
    let call = lambda.invoke("{}");
    let (header, body) = error(&call);
    assert_eq!(header, "Function.Exception");
    let trace = |line: u32| {
        json!([
            format!("{root}/index.php({line})"),
            format!("#0 {root}/index.php(10): App\\Work->do()"),
        ])
    };
    let expected = json!({
        "errorType": "App\\Broken",
        "errorMessage": "no luck \u{fffd} ☂",
        "stackTrace": trace(7),
        "previous": [{
            "errorType": "LogicException",
            "errorMessage": "the \"cause\"",
            "stackTrace": trace(6),
        }],
    });
    assert_eq!(body, expected);
    // once, with the request id and everything that is known
    let log = format!(
        "\trequest-1\tERROR\tFunction.Exception: App\\Broken: no luck \u{fffd} ☂\n    {root}/index.php(7)\n    #0 {root}/index.php(10): \
         App\\Work->do()\nprevious: LogicException: the \"cause\"\n    {root}/index.php(6)\n"
    );
    assert!(call.log.contains(&log), "{}", call.log);
    assert_eq!(call.log.matches("no luck").count(), 1, "{}", call.log);
    assert!(!call.log.contains("secret"), "{}", call.log);
}

#[test]
fn each_way_to_fail_is_an_error_and_the_next_event_is_served() {
    let script = r#"<?php
if (!in_array($how = file_get_contents('php://input'), ['"print"', '"handler"'], true)) {
    echo 'a part of an answer';
    flush();
}
function recurse() { return recurse() . 'x'; }
$fail = [
    'memory' => fn () => str_repeat('x', 1 << 30),
    'undefined' => fn () => nope(),
    'type' => fn () => strlen([]),
    'time' => function () { set_time_limit(1); while (true); },
    'parse' => function () { file_put_contents($f = sys_get_temp_dir() . '/bad.php', '<?php function ('); require $f; },
    'compile' => function () { file_put_contents($f = sys_get_temp_dir() . '/bad.php', '<?php function strlen() {}'); require $f; },
    'user' => fn () => @trigger_error('my own', E_USER_ERROR),
    'anonymous' => fn () => throw new class('nameless') extends DomainException {},
    'abstract' => fn () => new FilterIterator(),
];
if (str_starts_with($how, '"script ')) {
    $fail[substr(json_decode($how), 7)]();
}
return function ($event) use ($fail) { ($fail[$event] ?? fn () => 'fine')(); return 'fine'; };
"#;
    let mut lambda = Function::new(script)
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .start();
    for (how, header, class, words) in [
        (
            "memory",
            "Function.FatalError",
            "Function.FatalError",
            "Allowed memory size of 83886080 bytes exhausted",
        ),
        (
            "undefined",
            "Function.Exception",
            "Error",
            "Call to undefined function nope()",
        ),
        (
            "type",
            "Function.Exception",
            "TypeError",
            "strlen(): Argument #1 ($string) must be of type string, array given",
        ),
        (
            "time",
            "Function.FatalError",
            "Function.FatalError",
            "Maximum execution time of 1 second exceeded",
        ),
        ("parse", "Function.Exception", "ParseError", "Unclosed '('"),
        (
            "compile",
            "Function.FatalError",
            "Function.FatalError",
            "Cannot redeclare function strlen()",
        ),
        (
            "user",
            "Function.FatalError",
            "Function.FatalError",
            "my own",
        ),
        (
            "anonymous",
            "Function.Exception",
            "DomainException@anonymous",
            "nameless",
        ),
        (
            "abstract",
            "Function.Exception",
            "Error",
            "Cannot instantiate abstract class FilterIterator",
        ),
    ] {
        for event in [format!("\"{how}\""), format!("\"script {how}\"")] {
            let call = lambda.invoke(event.as_str());
            let (found, body) = error(&call);
            assert_eq!(
                (found.as_str(), &body["errorType"]),
                (header, &class.into()),
                "{event} {body}"
            );
            let message = body["errorMessage"].as_str().unwrap();
            assert!(message.contains(words), "{event}: {message}");
            assert!(
                !body["stackTrace"].as_array().unwrap().is_empty(),
                "{event} {body}"
            );
            assert!(call.log.contains("a part of an answer"), "{}", call.log);
        }
        assert_eq!(answer(&mut lambda, "\"handler\""), "\"fine\"");
    }
}

#[test]
fn a_parse_error_of_the_script_itself_is_an_error() {
    let mut lambda = Function::new("<?php echo 'up'; function (").start();
    let (header, body) = error(&lambda.invoke("{}"));
    assert_eq!(header, "Function.Exception");
    assert_eq!(body["errorType"], "ParseError");
    let place = format!("{}/index.php(1)", lambda.function.task_root().display());
    assert_eq!(body["stackTrace"], json!([place]));
}

#[test]
fn exit_in_a_handler_is_an_error_and_in_a_script_that_prints_the_end() {
    let script = r#"<?php
if (file_get_contents('php://input') === '"script"') { echo '"printed"'; exit(3); }
return function ($event) { echo "a word before\n"; exit($event); };
"#;
    let mut lambda = Function::new(script).start();
    assert_eq!(answer(&mut lambda, "\"script\""), "\"printed\"");
    for event in ["0", "1", "\"words\""] {
        let call = lambda.invoke(event);
        let (header, body) = error(&call);
        assert_eq!(header, "Function.Exit");
        assert_eq!(body["errorType"], "Function.Exit");
        assert!(body["errorMessage"].as_str().unwrap().contains("exit()"));
        assert!(call.log.contains("a word before\n"), "{}", call.log);
    }
}

#[test]
fn results_that_cannot_be_json_are_errors_that_say_where() {
    let script = r#"<?php
class Node { public $next; public $value = 1; }
return function ($event) {
    $circle = new Node();
    $circle->next = $circle;
    return [
        'utf8' => ['items' => [['name' => 'fine'], ['name' => "\xff"]]],
        'key' => ['items' => ["\xff" => 1]],
        'nan' => [1, NAN],
        'inf' => INF,
        'resource' => ['file' => fopen('php://memory', 'r')],
        'closure' => ['deep' => [fn () => 1]],
        'object' => ['node' => (function () { $n = new Node(); $n->value = strlen(...); return $n; })()],
        'generator' => (fn () => yield 1)(),
        'circle' => $circle,
    ][$event];
};
"#;
    let mut lambda = Function::new(script).start();
    for (event, words) in [
        (
            "utf8",
            "not UTF-8; encode binary data, for example with base64_encode(), at result['items'][1]['name'].",
        ),
        ("key", "at a key of result['items']."),
        ("nan", "(INF or NAN), at result[1]."),
        ("inf", "(INF or NAN), at result."),
        ("resource", "at result['file']."),
        (
            "closure",
            "a closure or a generator; iterator_to_array() makes an array of the latter, at result['deep'][0].",
        ),
        ("object", "at result['node']['value']."),
        ("generator", "at result."),
        ("circle", "contains itself."),
    ] {
        let call = lambda.invoke(format!("\"{event}\""));
        assert_eq!(call.error_type(), "Function.InvalidResult", "{event}");
        assert!(
            call.error_message().ends_with(words),
            "{event}: {}",
            call.error_message()
        );
    }
}

#[test]
fn a_script_that_returns_what_cannot_be_called_and_prints_nothing_is_an_error() {
    let script = r#"<?php
class Job { public function run() {} }
return ['array' => ['ok' => true], 'object' => new Job(), 'null' => null, 'text' => 'no function'][json_decode(file_get_contents('php://input'))];
"#;
    let mut lambda = Function::new(script).start();
    for (event, kind) in [("array", "array"), ("object", "Job")] {
        let call = lambda.invoke(format!("\"{event}\""));
        assert_eq!(call.error_type(), "Function.InvalidResult");
        let words = format!("The script printed nothing and returned {kind}, which can neither");
        assert!(
            call.error_message().starts_with(&words),
            "{}",
            call.error_message()
        );
    }
    for event in ["\"null\"", "\"text\""] {
        assert_eq!(answer(&mut lambda, event), "");
    }
}

#[test]
fn a_status_of_500_of_a_script_that_prints_is_an_error_and_its_page_is_in_the_log() {
    let script = r#"<?php
$status = json_decode(file_get_contents('php://input'));
http_response_code($status);
echo "the page of $status\n";
"#;
    let mut lambda = Function::new(script)
        .env("PHP_LAMBDA_ERROR_STATUS_CODES", "418")
        .start();
    for status in [500, 503, 418] {
        let call = lambda.invoke(status.to_string());
        assert_eq!(call.error_type(), "Function.HttpStatus");
        assert!(call.error_message().contains(&status.to_string()));
        assert!(
            call.log.contains(&format!("the page of {status}\n")),
            "{}",
            call.log
        );
    }
    for status in [200, 403, 404, 499] {
        assert_eq!(
            answer(&mut lambda, &status.to_string()),
            format!("the page of {status}\n")
        );
    }
}

#[test]
fn a_script_may_print_what_php_fpm_says_of_a_script_that_is_not_there() {
    let mut lambda =
        Function::new("<?php http_response_code(404); header_remove('X-Any'); echo \"No input file specified.\\n\";").start();
    assert_eq!(answer(&mut lambda, "1"), "No input file specified.\n");
}

#[test]
fn the_status_of_a_handler_means_nothing() {
    let mut lambda = Function::new(
        "<?php return function ($event) { http_response_code(500); return $event; };",
    )
    .start();
    assert_eq!(answer(&mut lambda, "1"), "1");
}

#[test]
fn warnings_go_to_the_log_and_never_into_an_answer() {
    let script = "<?php if (file_get_contents('php://input') === '1') { echo $nothing, 'printed'; return; } \
        return fn () => $nothing . 'returned';";
    let mut lambda = Function::new(script)
        .file("php.ini", "display_errors = On\nhtml_errors = Off\n")
        .start();
    for (event, expected) in [("1", "printed"), ("2", "\"returned\"")] {
        let call = lambda.invoke(event);
        assert_eq!(call.text(), expected);
        assert!(
            call.log
                .contains("PHP Warning:  Undefined variable $nothing"),
            "{}",
            call.log
        );
    }
}

#[test]
fn the_users_own_exception_handler_is_asked_and_the_invocation_fails_all_the_same() {
    let script = r#"<?php
set_exception_handler(function ($e) {
    echo "page of {$e->getMessage()}\n";
    error_log("reported {$e->getMessage()}");
    if ($e->getMessage() === 'exit') exit(1);
    if ($e->getMessage() === 'again') throw $e;
    if ($e->getMessage() === 'worse') throw new LogicException('cannot report');
});
$how = json_decode(file_get_contents('php://input'));
if (str_starts_with($how, 'script ')) throw new Exception(substr($how, 7));
return function ($event) { throw new Exception($event); };
"#;
    let mut lambda = Function::new(script).start();
    for how in ["plain", "exit", "again", "worse"] {
        for event in [format!("\"{how}\""), format!("\"script {how}\"")] {
            let call = lambda.invoke(event.as_str());
            let (header, body) = error(&call);
            assert_eq!(header, "Function.Exception", "{event}");
            assert_eq!(
                (&body["errorType"], &body["errorMessage"]),
                (&"Exception".into(), &how.into())
            );
            for words in [format!("page of {how}"), format!("reported {how}")] {
                assert!(call.log.contains(&words), "{}", call.log);
            }
        }
    }
    assert!(
        lambda
            .log()
            .contains("exception handler failed: LogicException: cannot report")
    );
}

#[test]
fn a_handler_that_ends_the_request_itself_is_an_error() {
    let script = "<?php return function ($event) { fastcgi_finish_request(); return $event; };";
    let mut lambda = Function::new(script).start();
    let call = lambda.invoke("1");
    assert_eq!(call.error_type(), "Function.NoResult");
    assert!(call.error_message().contains("fastcgi_finish_request()"));
}

#[test]
fn a_handler_that_is_too_slow_is_stopped_and_what_it_printed_is_in_the_log() {
    let script =
        "<?php return function ($event) { echo \"begun\\n\"; sleep($event); return 'up'; };";
    let mut lambda = Function::new(script).start();
    let mut event = lambda.event("60");
    event.timeout = Duration::from_millis(1500);
    let call = lambda.invoke_event(event);
    assert_eq!(call.error_type(), "Function.Timeout");
    assert!(call.log.contains("begun\n"), "{}", call.log);
    assert_eq!(answer(&mut lambda, "0"), "\"up\"");
}

#[test]
fn a_result_past_the_limit_is_reported_with_both_sizes() {
    let script = "<?php return fn ($event) => str_repeat('x', $event);";
    let mut lambda = Function::new(script).start();
    let fits = 6_291_556 - 2;
    assert_eq!(answer(&mut lambda, &fits.to_string()).len(), 6_291_556);
    let call = lambda.invoke((fits + 1).to_string());
    assert_eq!(call.error_type(), "Function.ResponseTooLarge");
    let message = call.error_message();
    assert!(
        message.contains("6291557") && message.contains("6291556"),
        "{message}"
    );
}

#[test]
fn open_basedir_without_the_runtimes_file_is_an_error_that_says_so() {
    let function = Function::new("<?php echo 'printed';");
    let ini = format!("open_basedir = {}\n", function.task_root().display());
    let mut lambda = function.file("php.ini", &ini).start();
    assert_eq!(lambda.get("/"), "printed", "HTTP requests need nothing");
    let call = lambda.invoke("{}");
    assert_eq!(call.error_type(), "Runtime.EventRunnerUnavailable");
    assert!(
        call.error_message().contains("open_basedir"),
        "{}",
        call.text()
    );

    let function = Function::new("<?php return fn ($event) => getcwd() === __DIR__;");
    let (root, temp) = (function.task_root(), function.temp_dir());
    let ini = format!("open_basedir = {}:{}\n", root.display(), temp.display());
    let mut lambda = function.file("php.ini", &ini).start();
    assert_eq!(answer(&mut lambda, "{}"), "true");
}

#[test]
fn a_script_that_empties_the_temporary_folder_costs_no_later_event() {
    let script = "<?php return function ($event) { \
        if ($event === 'empty') exec('rm -rf ' . escapeshellarg(sys_get_temp_dir()) . '/*'); return getmypid(); };";
    let mut function = Function::new(script);
    let temp = function.temp_dir().display().to_string();
    function = function.file("php.ini", &format!("sys_temp_dir = {temp}\n"));
    let mut lambda = function.start();
    for _ in 0..2 {
        let worker = answer(&mut lambda, "1");
        answer(&mut lambda, "\"empty\"");
        assert!(fs::read_dir(&temp).unwrap().next().is_none());
        assert_eq!(answer(&mut lambda, "1"), worker, "the same worker goes on");
    }
}

#[test]
fn a_full_temporary_folder_is_an_error_that_says_so() {
    let mut lambda = Function::new("<?php echo 'up';").start();
    assert_eq!(lambda.get("/"), "up");
    let run = fs::read_dir(lambda.function.temp_dir())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    crate::lambda::forbid_writing(&run);
    let call = lambda.invoke("1");
    assert_eq!(call.error_type(), "Runtime.EventRunnerUnavailable");
    assert!(
        call.error_message().contains("Permission denied"),
        "{}",
        call.text()
    );
    assert_eq!(lambda.get("/"), "up");
    fs::set_permissions(&run, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!(answer(&mut lambda, "1"), "up");
}

// --- what a script finds ---

#[test]
fn a_script_that_prints_finds_what_it_would_find_without_the_runtimes_file() {
    // the same as an HTTP request shows it
    let script = r#"<?php
$global = 'seen';
function from_outside() { return $GLOBALS['global'] ?? 'not seen'; }
header('X-Any: 1');
$names = ['SCRIPT_FILENAME', 'SCRIPT_NAME', 'PHP_SELF', 'DOCUMENT_ROOT', 'DOCUMENT_URI'];
echo json_encode([
    array_map(fn ($name) => $_SERVER[$name], $names), __FILE__, __DIR__, getcwd(), from_outside(), array_diff(array_keys(get_defined_vars()),
    array_keys($GLOBALS)), array_values(array_diff(array_keys($GLOBALS), ['_GET', '_POST', '_COOKIE', '_FILES', '_SERVER', '_ENV', '_REQUEST'])),
    ob_get_level(), require 'beside.php', realpath($_SERVER['SCRIPT_FILENAME']) === __FILE__, defined('STDERR'), $_ENV['SCRIPT_FILENAME'] ?? null,
]);
"#;
    for handler in ["index.php", "src/worker.php"] {
        let function = Function::new(script).env("_HANDLER", handler);
        let beside = Path::new(handler).with_file_name("beside.php");
        let mut lambda = function
            .file(handler, script)
            .file(beside.to_str().unwrap(), "<?php return basename(__DIR__);")
            .start();
        let page: Value = serde_json::from_str(&lambda.get("/")).unwrap();
        let printed: Value = serde_json::from_str(&answer(&mut lambda, "{}")).unwrap();
        assert_eq!(printed, page);
        assert_eq!(page[4], "seen");
    }
}

#[test]
fn what_a_script_prints_is_posted_verbatim_whatever_it_does_with_buffers() {
    for (script, expected) in [
        ("<?php echo \"\\x00\\xff\\r\\n\";", &b"\0\xff\r\n"[..]),
        (
            "<?php echo 1; while (ob_get_level()) ob_end_clean(); echo 2;",
            b"12",
        ),
        ("<?php ob_start(); echo 'kept';", b"kept"),
        (
            "<?php ob_start(fn (\\$text) => strrev(\\$text)); echo 'abc';",
            b"cba",
        ),
        (
            "<?php echo 'before'; register_shutdown_function(fn () => print 'behind');",
            b"beforebehind",
        ),
        (
            "<?php class D { function __destruct() { echo 'destroyed'; } } $d = new D(); echo 'x';",
            b"xdestroyed",
        ),
        (
            "<?php echo 'sent'; fastcgi_finish_request(); echo 'dropped';",
            b"sent",
        ),
        ("printed without any PHP", b"printed without any PHP"),
        ("<?php return 5;", b""),
    ] {
        let script = script.replace("\\$", "$");
        let mut lambda = Function::new(&script).start();
        let call = lambda.invoke("{}");
        assert!(
            call.path.ends_with("/response"),
            "{} {}",
            call.path,
            call.text()
        );
        assert_eq!(&call.body[..], expected, "{script}");
    }
}

#[test]
fn the_event_is_in_the_input_byte_for_byte_for_handlers_too() {
    let script = "<?php return fn () => base64_encode(file_get_contents('php://input'));";
    let mut lambda = Function::new(script).start();
    for event in ["{ \"a\" : 1.50,\r\n\"a\":\t2 }", "12345678901234567890.10"] {
        let encoded: String = serde_json::from_str(&answer(&mut lambda, event)).unwrap();
        let decoded = base64_simd::STANDARD.decode_to_vec(encoded).unwrap();
        assert_eq!(decoded, event.as_bytes());
    }
}

#[test]
fn what_a_handler_prints_is_in_the_log_in_its_place() {
    let script = r#"<?php
class D { function __destruct() { echo "destroyed\n"; } }
$d = new D();
echo "loaded\n";
register_shutdown_function(function () { echo "shut down\n"; });
return function ($event) {
    echo "one\n";
    error_log('two');
    print("three\n");
    fclose(STDERR);
    fclose(STDOUT);
    ob_start();
    echo "four\n";
    if ($event === 'clean') while (ob_get_level()) ob_end_flush();
    echo "five\n";
    return $event;
};
"#;
    let mut lambda = Function::new(script).start();
    for event in ["\"plain\"", "\"clean\""] {
        let before = lambda.log().len();
        let call = lambda.invoke(event);
        assert_eq!(call.text(), event);
        let log = &call.log[before..];
        for words in [
            "loaded\n",
            "one\n",
            "two\n",
            "three\n",
            "four\n",
            "five\n",
            "shut down\n",
            "destroyed\n",
        ] {
            assert_eq!(log.matches(words).count(), 1, "{words} in {log}");
        }
        assert!(log.find("one\n") < log.find("three\n"), "{log}");
    }
}

#[test]
fn printed_lines_are_objects_where_the_log_is_json() {
    let script = "<?php echo \"loaded\\nand ready\\n\"; return function ($event) { echo \"at work\\n\"; throw new Exception('no'); };";
    let mut lambda = Function::new(script)
        .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
        .start();
    let call = lambda.invoke("1");
    let lines: Vec<Value> = call
        .log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (message, level) in [
        ("loaded", "INFO"),
        ("and ready", "INFO"),
        ("at work", "INFO"),
    ] {
        let found = lines.iter().filter(|line| line["message"] == message);
        let found: Vec<_> = found
            .map(|line| (line["level"].as_str(), line["requestId"].as_str()))
            .collect();
        assert_eq!(found, [(Some(level), Some("request-1"))], "{}", call.log);
    }
    let failure = lines.iter().find(|line| line["level"] == "ERROR").unwrap();
    assert!(
        failure["message"]
            .as_str()
            .unwrap()
            .starts_with("Function.Exception: Exception: no\n")
    );
}

// --- events of each source ---

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

// --- handlers ---

#[test]
fn everything_that_can_be_called_is_a_handler() {
    for script in [
        "<?php return function ($event, $context) { return [$event, $context->getAwsRequestId()]; };",
        "<?php return fn ($event, $context) => [$event, $context->getAwsRequestId()];",
        "<?php return new class { public function handle($event, $context) { return [$event, $context->getAwsRequestId()]; } };",
        "<?php return new class { public function __invoke($event, $context) { return [$event, $context->getAwsRequestId()]; } };",
        "<?php class H { public static function run($event, $context) { return [$event, $context->getAwsRequestId()]; } } return ['H', 'run'];",
        "<?php class H { public function run($event, $context) { return [$event, $context->getAwsRequestId()]; } } return [new H(), 'run'];",
        "<?php function run($event, $context) { return [$event, $context->getAwsRequestId()]; } return 'run';",
        "<?php return function (array $event, PhpFpmLambda\\Context $context) { return [$event, $context->getAwsRequestId()]; };",
        "<?php return function (...$all) { return [$all[0], $all[1]->getAwsRequestId()]; };",
    ] {
        let mut lambda = Function::new(script).start();
        assert_eq!(
            answer(&mut lambda, "{\"a\":[1]}"),
            "[{\"a\":[1]},\"request-1\"]",
            "{script}"
        );
    }
    let mut lambda = Function::new("<?php return function () {};").start();
    assert_eq!(answer(&mut lambda, "{}"), "null");
}

#[test]
fn the_context_says_what_lambda_says() {
    let script = r#"<?php return function ($event, $context) {
        $left = $context->getRemainingTimeInMillis();
        return [
            $context->getAwsRequestId(), $context->getInvokedFunctionArn(), $context->getTraceId(), $context->getTenantId(),
            $context->getClientContext(), $context->getIdentity(), $context->getFunctionName(), $context->getFunctionVersion(),
            $context->getMemoryLimitInMB(), $context->getLogGroupName(), $context->getLogStreamName(),
            $left > 50000 && $left <= 60000, $context->getDeadlineMs() - 1000 * time() > 50000,
        ];
    };"#;
    let mut lambda = Function::new(script)
        .env("AWS_LAMBDA_FUNCTION_NAME", "shop")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/shop")
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/22/[1]abc")
        .start();
    let same = [
        "shop",
        "$LATEST",
        "512",
        "/aws/lambda/shop",
        "2026/11/22/[1]abc",
    ];
    let mut event = lambda.event("{}");
    event.headers = vec![
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:x:1:function:shop:live".into(),
        ),
        ("lambda-runtime-trace-id", "Root=1-a".into()),
        ("lambda-runtime-aws-tenant-id", "blue".into()),
        (
            "lambda-runtime-client-context",
            r#"{"custom":{"a":[1.0,{}]}}"#.into(),
        ),
        (
            "lambda-runtime-cognito-identity",
            r#"{"cognitoIdentityId":"i"}"#.into(),
        ),
    ];
    let answered = lambda.invoke_event(event).json();
    let expected = json!([
        "request-1", "arn:aws:lambda:x:1:function:shop:live", "Root=1-a", "blue", {"custom": {"a": [1.0, []]}},
        {"cognitoIdentityId": "i"}, same[0], same[1], 512, same[3], same[4], true, true,
    ]);
    assert_eq!(answered, expected);

    let answered = lambda.invoke("{}").json();
    let expected = json!([
        "request-2",
        "",
        "",
        null,
        null,
        null,
        same[0],
        same[1],
        512,
        same[3],
        same[4],
        true,
        true
    ]);
    assert_eq!(answered, expected);
}

#[test]
fn the_functions_autoloader_is_there_before_the_script() {
    let function = Function::new("<?php return new App\\Work();")
        .file("vendor/autoload.php", "<?php spl_autoload_register(function ($class) { require __DIR__ . '/../src/' . basename(strtr($class, '\\\\', '/')) . '.php'; }); return 1;")
        .file("src/Work.php", "<?php namespace App; class Work { function handle($event, $context) { return self::class; } }")
        .file("printing.php", "<?php require __DIR__ . '/vendor/autoload.php'; echo (new App\\Work())->handle(1, 2);");
    let mut lambda = function.start();
    assert_eq!(answer(&mut lambda, "1"), "\"App\\\\Work\"");
    let function = Function::new("<?php return fn () => 1;").file(
        "vendor/autoload.php",
        "<?php throw new RuntimeException('needs another PHP');",
    );
    let (_, body) = error(&function.start().invoke("1"));
    assert_eq!(body["errorMessage"], "needs another PHP");
}

#[test]
fn each_event_is_a_request_of_its_own_beside_http_requests() {
    let script = r#"<?php
if ($_SERVER['REQUEST_METHOD'] === 'GET') { echo class_exists('PhpFpmLambda\Invocation', false) ? 'there' : 'not there'; return; }
return function ($event) { static $count = 0; return [++$count, ini_get('display_errors')]; };
"#;
    let mut lambda = Function::new(script).start();
    assert_eq!(lambda.get("/"), "not there");
    for _ in 0..2 {
        assert_eq!(answer(&mut lambda, "1"), "[1,\"0\"]");
        assert_eq!(lambda.get("/"), "not there");
    }
}

#[test]
fn events_are_answered_buffered_in_streaming_mode() {
    let script = "<?php if (file_get_contents('php://input') === '1') { echo 1; flush(); echo 2; flush(); return; } return fn ($event) => [$event];";
    let mut lambda = Function::new(script)
        .env("PHP_LAMBDA_INVOKE_MODE", "response_stream")
        .start();
    for (event, expected) in [("1", "12"), ("2", "[2]")] {
        let call = lambda.invoke(event);
        assert_eq!(call.text(), expected);
        assert!(
            !call
                .headers
                .contains_key("lambda-runtime-function-response-mode")
        );
    }
}

#[test]
fn several_slots_answer_events_at_once() {
    let script = r#"<?php return function ($event) {
        touch(sys_get_temp_dir() . "/here-$event");
        while (count(glob(sys_get_temp_dir() . '/here-*')) < 3) usleep(1000);
        return $event;
    };"#;
    let function = Function::new(script).env("AWS_LAMBDA_MAX_CONCURRENCY", "3");
    let ini = format!("sys_temp_dir = {}\n", function.temp_dir().display());
    let mut lambda = function.file("php.ini", &ini).start();
    for event in ["1", "2", "3"] {
        lambda.send(event);
    }
    let mut answers: Vec<String> = (0..3).map(|_| lambda.post().text()).collect();
    answers.sort();
    assert_eq!(answers, ["1", "2", "3"]);
}

// --- values ---

#[test]
fn values_come_through_as_far_as_phps_types_can_carry_them() {
    let mut lambda = Function::new("<?php return fn ($event) => $event;").start();
    for same in [
        "null",
        "true",
        "0",
        "-1",
        "9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "1.0",
        "0.1",
        "-0.5",
        "1.7976931348623157e+308",
        "5.0e-324",
        "\"\"",
        "\"ü☂🐘\"",
        "\"a/b\"",
        "\"\\u0000\\u001f\\\"\\\\\\n\"",
        "[]",
        "[[],[1],[[1.0]]]",
        "{\"a\":{\"b\":null}}",
        "{\"\":1}",
        "{\"1\":\"x\",\"0\":\"y\"}",
        "[1,[2,{\"x\":[3]}]]",
    ] {
        assert_eq!(answer(&mut lambda, same), same);
    }
    for (event, answered) in [
        // arrays are what PHP has for both
        ("{}", "[]"),
        ("{\"a\":{}}", "{\"a\":[]}"),
        ("{\"0\":\"x\",\"1\":\"y\"}", "[\"x\",\"y\"]"),
        // digits rather than a rounded number
        ("18446744073709551615", "\"18446744073709551615\""),
        ("-9223372036854775809", "\"-9223372036854775809\""),
        // the same number
        ("1e2", "100.0"),
        ("0.10", "0.1"),
        ("12345678901234567890.125", "1.2345678901234567e+19"),
        ("-0", "0"),
        ("-0.0", "-0.0"),
        ("\"\\u00e9\\/\"", "\"é/\""),
        ("{\"a\":1,\"a\":2}", "{\"a\":2}"),
    ] {
        assert_eq!(answer(&mut lambda, event), answered, "{event}");
    }
    let too_deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for (event, words) in [
        ("\"\\ud800\"", "Single unpaired UTF-16 surrogate"),
        (&*too_deep, "nested too deep"),
    ] {
        let call = lambda.invoke(event);
        assert_eq!(call.error_type(), "Runtime.InvalidEvent");
        assert!(
            call.error_message().contains(words) && call.error_message().contains("php://input"),
            "{}",
            call.text()
        );
    }
}

#[test]
fn a_handler_that_asks_for_objects_tells_empty_ones_from_empty_lists() {
    for parameter in [
        "stdClass $event",
        "object $event",
        "?stdClass $event",
        "stdClass|array|null $event",
    ] {
        let mut lambda =
            Function::new(&format!("<?php return fn ({parameter}) => $event;")).start();
        for same in [
            "{}",
            "{\"a\":{},\"b\":[],\"c\":[{}]}",
            "{\"0\":\"x\",\"1\":\"y\"}",
            "{\"\":{}}",
        ] {
            assert_eq!(answer(&mut lambda, same), same, "{parameter}");
        }
    }
    let mut lambda = Function::new("<?php return fn (stdClass $event) => $event;").start();
    let (_, body) = error(&lambda.invoke("[1]"));
    assert_eq!(body["errorType"], "TypeError");
}

#[test]
fn three_thousand_levels_and_six_megabytes_come_through() {
    let mut lambda = Function::new("<?php return fn ($event) => $event;")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
        .start();
    let deep = format!("{}1.0{}", "[".repeat(3000), "]".repeat(3000));
    assert_eq!(answer(&mut lambda, &deep), deep);
    let deep = format!("{}1.0{}", "{\"a\":".repeat(2000), "}".repeat(2000));
    assert_eq!(answer(&mut lambda, &deep), deep);
    let large = format!(
        "[{}\"é\"]",
        "\"0123456789\",9007199254740993,".repeat(6_200_000 / 30)
    );
    assert!(answer(&mut lambda, &large) == large);
}

#[test]
fn what_the_handler_makes_of_its_result_is_posted_as_json() {
    let script = r#"<?php
class Money implements JsonSerializable { function __construct(public $cents) {} function jsonSerialize(): mixed { return ['eur' => $this->cents / 100]; } }
class Point { public $x = 1.0; protected $hidden = 1; public $at; }
enum Suit: string { case Hearts = 'H'; }
return fn ($event) => ['empty' => new stdClass(), 'list' => [], 'gap' => [1 => 'a'], 'money' => new Money(250), 'point' => new Point(), 'suit' => Suit::Hearts,
    'url' => 'https://example.com/ü', 'deep' => json_decode(str_repeat('[', 700) . str_repeat(']', 700), true, 1000)];
"#;
    let mut lambda = Function::new(script).start();
    let deep = format!("{}{}", "[".repeat(700), "]".repeat(700));
    let expected = format!(
        r#"{{"empty":{{}},"list":[],"gap":{{"1":"a"}},"money":{{"eur":2.5}},"point":{{"x":1.0,"at":null}},"suit":"H","url":"https://example.com/ü","deep":{deep}}}"#
    );
    assert_eq!(answer(&mut lambda, "1"), expected);
}

// --- functions written for Bref, with stand-ins of its classes ---

/// As that package's own, with nothing but what a function sees of them.
fn bref(function: Function) -> Function {
    function
        .file(
            "vendor/autoload.php",
            r#"<?php spl_autoload_register(function ($class) {
                is_file($file = __DIR__ . '/' . strtr($class, '\\', '/') . '.php') && require $file;
            });"#,
        )
        .file(
            "vendor/Bref/Context/Context.php",
            r#"<?php namespace Bref\Context;
            final class Context implements \JsonSerializable {
                public function __construct(private string $awsRequestId, private int $deadlineMs, private string $invokedFunctionArn, private string $traceId) {}
                public function getAwsRequestId(): string { return $this->awsRequestId; }
                public function getRemainingTimeInMillis(): int { return $this->deadlineMs - (int) (microtime(true) * 1000); }
                public function getInvokedFunctionArn(): string { return $this->invokedFunctionArn; }
                public function getTraceId(): string { return $this->traceId; }
                public function jsonSerialize(): array { return get_object_vars($this); }
            }"#,
        )
        .file(
            "vendor/Bref/Event/Handler.php",
            "<?php namespace Bref\\Event; use Bref\\Context\\Context; interface Handler { public function handle(mixed $event, Context $context); }",
        )
        .file(
            "vendor/Bref/Event/Sqs/SqsHandler.php",
            r#"<?php namespace Bref\Event\Sqs;
            use Bref\Context\Context;
            abstract class SqsHandler implements \Bref\Event\Handler {
                private array $failed = [];
                abstract public function handleSqs(array $records, Context $context): void;
                public function handle($event, Context $context): array {
                    $this->handleSqs($event['Records'], $context);
                    return $this->failed === [] ? [] : ['batchItemFailures' => array_map(fn ($record) => ['itemIdentifier' => $record['messageId']], $this->failed)];
                }
                final protected function markAsFailed(array $record): void { $this->failed[] = $record; }
            }"#,
        )
}

#[test]
fn closures_and_handlers_written_for_bref_run_unchanged() {
    let says = "[$context::class, $context->getAwsRequestId(), $context->getInvokedFunctionArn(), $context->getTraceId(), \
        $context->getRemainingTimeInMillis() > 50000, $event]";
    let ours = "PhpFpmLambda\\Context";
    let theirs = "Bref\\Context\\Context";
    for (script, class) in [
        (
            format!(
                "<?php require __DIR__ . '/vendor/autoload.php'; return function ($event, $context) {{ return {says}; }};"
            ),
            ours,
        ),
        (
            format!(
                "<?php return function ($event, Bref\\Context\\Context $context) {{ return {says}; }};"
            ),
            theirs,
        ),
        (
            format!(
                "<?php return fn (array $event, ?\\Bref\\Context\\Context $context = null) => {says};"
            ),
            theirs,
        ),
        (
            format!(
                "<?php use Bref\\Context\\Context; class H implements Bref\\Event\\Handler {{ \
            public function handle(mixed $event, Context $context) {{ return {says}; }} }} return new H();"
            ),
            theirs,
        ),
        (
            format!(
                "<?php use Bref\\Context\\Context; class H {{ \
            public function __invoke(mixed $event, Context|string $context) {{ return {says}; }} }} return new H();"
            ),
            theirs,
        ),
    ] {
        let mut lambda = bref(Function::new(&script)).start();
        let mut event = lambda.event("{\"a\":1}");
        event.headers = vec![
            (
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:x:1:function:f".into(),
            ),
            ("lambda-runtime-trace-id", "Root=1-a".into()),
        ];
        let answered = lambda.invoke_event(event).json();
        assert_eq!(
            answered,
            json!([class, "request-1", "arn:aws:lambda:x:1:function:f", "Root=1-a", true, {"a": 1}]),
            "{script}"
        );
        // without an ARN and a trace
        let answered = lambda.invoke("1");
        assert!(
            script.contains("array $event") || answered.json()[0] == class,
            "{}",
            answered.text()
        );
    }
}

#[test]
fn a_queues_handler_written_for_bref_reports_what_has_failed() {
    let script = r#"<?php
class Worker extends Bref\Event\Sqs\SqsHandler {
    public function handleSqs(array $records, Bref\Context\Context $context): void {
        foreach ($records as $record) {
            fwrite(STDERR, "at {$record['messageId']}\n");
            echo "printed of {$record['messageId']}\n";
            if ($record['body'] === 'bad') $this->markAsFailed($record);
        }
    }
}
return new Worker();
"#;
    let mut lambda = bref(Function::new(script)).start();
    let event = r#"{"Records":[{"messageId":"a","body":"good"},{"messageId":"b","body":"bad"}]}"#;
    let call = lambda.invoke(event);
    assert_eq!(
        call.json(),
        json!({"batchItemFailures": [{"itemIdentifier": "b"}]})
    );
    for words in ["at a\n", "printed of a\n", "at b\n", "printed of b\n"] {
        assert!(call.log.contains(words), "{}", call.log);
    }
    let call = lambda.invoke(r#"{"Records":[]}"#);
    assert_eq!(call.text(), "[]");
}

#[test]
fn a_context_of_another_shape_is_not_guessed() {
    let script = "<?php class Context { function __construct(public string $requestId, public Database $database) {} } \
        return fn ($event, Context $context) => 1;";
    let (_, body) = error(&Function::new(script).start().invoke("1"));
    assert_eq!(body["errorType"], "TypeError");
    assert!(
        body["errorMessage"]
            .as_str()
            .unwrap()
            .contains("must be of type Context, PhpFpmLambda\\Context given")
    );
    let script = "<?php class Context { public $more = 2; function __construct(public string $requestId, public int $timeout = 3) {} } \
        return fn ($event, Context $context) => $context;";
    let mut lambda = Function::new(script).start();
    assert_eq!(
        answer(&mut lambda, "1"),
        "{\"more\":2,\"requestId\":\"request-1\",\"timeout\":3}"
    );
}

#[test]
fn a_psr_15_handler_is_refused_with_advice() {
    let script = r#"<?php
namespace Psr\Http\Server { interface RequestHandlerInterface { public function handle($request); } }
namespace { return new class implements Psr\Http\Server\RequestHandlerInterface { public function handle($request) {} }; }
"#;
    let call = Function::new(script).start().invoke("{}");
    assert_eq!(call.error_type(), "Function.InvalidResult");
    assert!(
        call.error_message().contains("PSR-15")
            && call.error_message().contains("PHP_LAMBDA_EVENT_HANDLER")
    );
}

// --- the examples ---

fn example(name: &str) -> Function {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name);
    Function::new(&fs::read_to_string(folder.join("index.php")).unwrap())
}

#[test]
fn the_queue_worker_reports_what_has_failed_and_prints_into_the_log() {
    let event = json!({"Records": [
        {"messageId": "1", "body": r#"{"to":"ann@example.com","subject":"Hello"}"#},
        {"messageId": "2", "body": "no JSON"},
        {"messageId": "3", "body": r#"{"to":"nobody"}"#},
    ]});
    let call = example("queue-worker").start().invoke(event.to_string());
    assert_eq!(
        call.json(),
        json!({"batchItemFailures": [{"itemIdentifier": "2"}, {"itemIdentifier": "3"}]})
    );
    for words in [
        "sent to ann@example.com: Hello\n",
        "The record 2 failed: JsonException: Syntax error",
        "The record 3 failed: UnexpectedValueException: no address in message 3",
    ] {
        assert!(call.log.contains(words), "{}", call.log);
    }
}

#[test]
fn the_nightly_job_stops_when_time_is_short() {
    let mut lambda = example("schedule").start();
    assert_eq!(lambda.invoke(r#"{"keepDays":30}"#).json()["deleted"], 3);
    let mut event = lambda.event(r#"{"keepDays":30}"#);
    event.timeout = Duration::from_millis(4_900);
    assert_eq!(lambda.invoke_event(event).json()["deleted"], 0);
    let (_, body) = error(&lambda.invoke("{}"));
    assert_eq!(body["errorMessage"], "The event has no keepDays.");
}

#[test]
fn the_api_answers_its_routes_and_says_what_is_wrong() {
    let mut lambda = example("api").start();
    for (method, path, body, status, expected) in [
        (
            "GET",
            "/",
            None,
            200,
            json!({"routes": ["GET /", "GET /words/{word}", "POST /sums"]}),
        ),
        (
            "GET",
            "/words/Stra%C3%9Fe",
            None,
            200,
            json!({"word": "Straße", "length": 6, "backwards": "eßartS"}),
        ),
        (
            "POST",
            "/sums",
            Some(r#"{"numbers":[1,2.5]}"#),
            200,
            json!({"sum": 3.5}),
        ),
        (
            "POST",
            "/sums",
            Some("{"),
            400,
            json!({"error": "The body is not JSON: Syntax error."}),
        ),
        (
            "POST",
            "/sums",
            Some(r#"{"numbers":["x"]}"#),
            422,
            json!({"error": "numbers has to be a list of numbers."}),
        ),
        (
            "GET",
            "/sums",
            None,
            405,
            json!({"error": "/sums takes POST."}),
        ),
        (
            "GET",
            "/words/",
            None,
            404,
            json!({"error": "There is no /words/."}),
        ),
    ] {
        let event = request(
            method,
            path,
            "a=1",
            &[("content-type", "application/json")],
            body.map(str::as_bytes),
        );
        let call = lambda.invoke(event);
        assert_eq!(call.json()["statusCode"], status, "{path}");
        let page: Value = serde_json::from_str(&call.page()).unwrap();
        assert_eq!(page, expected, "{method} {path}");
        assert_eq!(
            call.json()["headers"]["Allow"].as_str(),
            (status == 405).then_some("POST")
        );
    }
}
