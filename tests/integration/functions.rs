//! Events that are no HTTP requests: how scripts and handlers fail, what they find, and what becomes of what they print.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::lambda::{Call, Function, Lambda, chmod, forbid_writing};

/// The error of a failed invocation: Lambda's type, and the body.
pub fn error(call: &Call) -> (String, Value) {
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
pub fn answer(lambda: &mut Lambda, event: &str) -> String {
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
class Hog { public static $all; }
$fail = [
    'memory' => fn () => str_repeat('x', 1 << 30),
    'exhausted' => function () { Hog::$all = array_fill(0, 1 << 20, null); for ($i = 0; true; $i++) { Hog::$all[$i] = [$i, mt_rand()]; } },
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
            "exhausted",
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
fn a_result_that_can_be_serialized_but_once_is_one() {
    let script = r#"<?php
final class Once implements JsonSerializable
{
    public function __construct(private Generator $items) {}
    public function jsonSerialize(): mixed { return ['items' => iterator_to_array($this->items), 'none' => new stdClass()]; }
}
return fn ($event) => new Once((fn () => yield 1)());
"#;
    let mut lambda = Function::new(script).start();
    assert_eq!(answer(&mut lambda, "{}"), r#"{"items":[1],"none":{}}"#);
    let not_finite = script.replace("yield 1", "yield NAN");
    let call = Function::new(&not_finite).start().invoke("{}");
    assert_eq!(call.error_type(), "Function.InvalidResult");
    let message = call.error_message();
    assert!(message.contains("(INF or NAN)"), "{message}");
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
fn what_is_thrown_behind_a_result_fails_the_invocation() {
    let script = r#"<?php
class Thrower { function __destruct() { throw new DomainException('destroyed'); } }
class Holder { public $held; function handle($event) { return $event; } }
[$ending, $how] = json_decode(file_get_contents('php://input'));
if (str_contains($how, 'asked')) set_exception_handler(function ($e) { error_log("asked of {$e->getMessage()}"); });
if (str_contains($how, 'shutdown')) register_shutdown_function(function () use ($how) {
    if (str_contains($how, 'unbuffered')) while (ob_get_level() > 0) ob_end_clean();
    throw new LengthException('shut down', 0, new LogicException('first'));
});
if (str_contains($how, 'destructor')) $global = new Thrower();
if ($ending === 'exit') { echo 'printed'; exit; }
if ($ending === 'print') { echo 'printed'; return; }
if ($ending === 'flush') { echo 'printed'; flush(); return; }
$holder = new Holder();
if (str_contains($how, 'held')) $holder->held = new Thrower();
return $ending === 'object' ? $holder : fn ($event) => $event;
"#;
    let mut lambda = Function::new(script).start();
    for ending in ["function", "object", "exit", "print", "flush"] {
        for how in [
            "shutdown",
            "shutdown asked",
            "shutdown unbuffered",
            "shutdown asked destructor",
            "destructor",
            "destructor asked",
            "held",
        ] {
            let before = lambda.log().len();
            let call = lambda.invoke(format!("[\"{ending}\",\"{how}\"]").as_str());
            if how == "held" && !["object", "function"].contains(&ending) {
                assert_eq!(call.text(), "printed", "{ending} {how}");
                continue;
            }
            let (header, body) = error(&call);
            let (class, message) = match how.contains("shutdown") {
                true => ("LengthException", "shut down"),
                false => ("DomainException", "destroyed"),
            };
            assert_eq!(header, "Function.Exception", "{ending} {how}");
            assert_eq!(body["errorType"], class, "{ending} {how}");
            assert_eq!(body["errorMessage"], message, "{ending} {how}");
            let previous = how.contains("shutdown").then_some("first");
            assert_eq!(body["previous"][0]["errorMessage"].as_str(), previous);
            let asked = format!("asked of {message}");
            let log = &call.log[before..];
            assert_eq!(log.contains(&asked), how.contains("asked"), "{log}");
        }
    }
    assert_eq!(
        answer(&mut lambda, r#"["function",""]"#),
        r#"["function",""]"#
    );
}

#[test]
fn what_is_thrown_last_is_never_lost() {
    let script = r#"<?php
$how = json_decode(file_get_contents('php://input'));
$behind = function (callable $work) { register_shutdown_function($work); return fn () => 'result'; };
class Late { function __destruct() { throw new Exception('second'); } }
switch ($how) {
    case 'finished':
        return $behind(function () { fastcgi_finish_request(); usleep(50000); throw new Exception('first'); });
    case 'swallowed':
        return $behind(function () { ob_start(fn () => '', 0, 0); throw new Exception('first'); });
    case 'swallowed in the handler':
        return function () { ob_start(fn () => '', 0, 0); throw new Exception('first'); };
    case 'exit':
        set_exception_handler(function () { exit; });
        return $behind(function () { throw new Exception('first'); });
    case 'two':
        $late = new Late();
        return $behind(function () { register_shutdown_function(function () { echo 'printed'; }); throw new Exception('first'); });
    case 'header callback':
        header_register_callback(function () { throw new Exception('second'); });
        return function () { throw new Exception('first'); };
    case 'nameless':
        $thrower = new class { function now() { throw new Exception('first'); } };
        return fn () => $thrower->now();
}
"#;
    let mut lambda = Function::new(script).start();
    for (how, is_error) in [
        ("finished", false),
        ("swallowed", false),
        ("swallowed in the handler", true),
        ("exit", true),
        ("two", true),
        ("header callback", true),
        ("nameless", true),
    ] {
        let before = lambda.log().len();
        let call = lambda.invoke(format!("\"{how}\"").as_str());
        let log = &lambda.next_poll().log[before..];
        assert_eq!(
            call.path.ends_with("/error"),
            is_error,
            "{how}: {}",
            call.text()
        );
        assert!(log.contains("first"), "{how}: {log}");
        assert!(!log.contains('\0'), "{how}: {log:?}");
        match how {
            "exit" | "two" | "nameless" => assert_eq!(call.error_message(), "first", "{how}"),
            _ => {}
        }
        let tells_both = ["two", "header callback"].contains(&how);
        assert_eq!(log.contains("second"), tells_both, "{how}: {log}");
    }
}

#[test]
fn a_handler_that_ends_the_request_itself_is_an_error() {
    let script = r#"<?php
$input = file_get_contents('php://input');
if ($input === '1') { echo "loaded\n"; flush(); }
if ($input === '4') header_register_callback(function () { header_remove(); });
return function ($event) {
    echo "at work\n";
    if ($event >= 3) header_remove();
    fastcgi_finish_request();
    return $event;
};
"#;
    let mut lambda = Function::new(script).start();
    for (event, is_loud) in [("1", true), ("2", false), ("3", false), ("4", false)] {
        let call = lambda.invoke(event);
        assert_eq!(call.error_type(), "Function.NoResult");
        assert!(call.error_message().contains("fastcgi_finish_request()"));
        assert!(call.log.contains("at work\n"), "{}", call.log);
        assert!(!is_loud || call.log.contains("loaded\n"), "{}", call.log);
    }
}

#[test]
fn a_handler_may_send_headers_as_on_a_command_line() {
    let script = r#"<?php
set_error_handler(function ($level, $words) { throw new ErrorException($words); });
return function ($event) { echo "printed\n"; header('X-A: b'); setcookie('a', 'b'); session_start(); return headers_sent(); };
"#;
    let call = Function::new(script).start().invoke("1");
    assert_eq!(call.text(), "false", "{}", call.log);
}

#[test]
fn a_buffer_that_nobody_can_end_swallows_no_result() {
    let script = r#"<?php
set_error_handler(function ($level, $words) { throw new ErrorException($words); });
return function ($event) {
    echo "before\n";
    ob_start(null, 0, $event['flags']);
    echo "kept\n";
    return $event['fail'] ? throw new DomainException('failed') : 'returned';
};
"#;
    let mut lambda = Function::new(script).start();
    // nothing is allowed, and all but its end
    for flags in [0, 16 | 32] {
        for fail in [false, true] {
            let before = lambda.log().len();
            let call = lambda.invoke(json!({"flags": flags, "fail": fail}).to_string());
            match fail {
                false => assert_eq!(call.text(), "\"returned\"", "{flags}"),
                true => assert_eq!(error(&call).1["errorType"], "DomainException", "{flags}"),
            }
            let log = &call.log[before..];
            for words in ["before\n", "kept\n"] {
                assert_eq!(log.matches(words).count(), 1, "{words} in {log}");
            }
        }
    }
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
fn an_error_of_any_length_has_its_class_its_place_and_how_it_begins() {
    let script = r#"<?php
return function ($event) {
    $text = str_repeat("\xff\0", $event['length'] / 2);
    $previous = null;
    for ($count = $event['previous']; $count > 0; $count--) {
        $previous = new LogicException("$count $text", 0, $previous);
    }
    throw new DomainException("It begins: $text", 0, $previous);
};
"#;
    let mut lambda = Function::new(script).start();
    for (length, previous, more, previous_more) in [
        (8000, 20, None, None),
        (
            65_536,
            21,
            Some("… (11 bytes more)"),
            Some("… (57346 bytes more)"),
        ),
        (20_000_000, 1, Some(" bytes more)"), Some(" bytes more)")),
        (10, 10_000, None, None),
    ] {
        let call = lambda.invoke(json!({"length": length, "previous": previous}).to_string());
        let (_, body) = error(&call);
        assert_eq!(body["errorType"], "DomainException", "{length} {previous}");
        let place = body["stackTrace"][0].as_str().unwrap();
        assert!(place.ends_with("index.php(8)"), "{place}");
        let all = body["previous"].as_array().unwrap();
        assert_eq!(all.len(), previous.min(20));
        for (thrown, begins, more) in [
            (&body, "It begins: \u{fffd}\0", more),
            (&all[0], "1 \u{fffd}\0", previous_more),
        ] {
            let message = thrown["errorMessage"].as_str().unwrap();
            assert!(message.starts_with(begins), "{length} {previous}");
            assert!(
                message.ends_with(more.unwrap_or("\u{fffd}\0")),
                "{length} {previous}"
            );
        }
    }
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
    let run = lambda.run_folder();
    forbid_writing(&run);
    let call = lambda.invoke("1");
    assert_eq!(call.error_type(), "Runtime.EventRunnerUnavailable");
    assert!(
        call.error_message().contains("Permission denied"),
        "{}",
        call.text()
    );
    assert_eq!(lambda.get("/"), "up");
    chmod(&run, 0o700);
    assert_eq!(answer(&mut lambda, "1"), "up");
}

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
