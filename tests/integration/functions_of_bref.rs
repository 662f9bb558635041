//! Functions as they are written for Bref run unchanged: with stand-ins of that package's classes.

use serde_json::json;

use crate::functions::{answer, error};
use crate::lambda::Function;

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
