//! Handlers: what is one, what it is called with, and which values come through.

use serde_json::json;

use crate::functions::{answer, error};
use crate::lambda::Function;

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
        assert!(!call.is_stream());
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
