<?php
// The PHP side of events that are no HTTP requests: Context and BatchFailures are the user's, the rest is the runtime's own.
// docs/functions.md is the guide. Written for every PHP 8.

declare(strict_types=1);

namespace PhpFpmLambda;

/** What Lambda says of an invocation beside its event; the second argument of a handler. */
final class Context implements \JsonSerializable
{
    /** @param array<string, mixed> $invocation what LAMBDA_INVOCATION_CONTEXT holds */
    public function __construct(private array $invocation)
    {
    }

    public function getAwsRequestId(): string
    {
        return $this->invocation['awsRequestId'] ?? '';
    }

    /** When Lambda gives the invocation up, in milliseconds since 1970; 0 where it has named no deadline. */
    public function getDeadlineMs(): int
    {
        return $this->invocation['deadlineMs'] ?? 0;
    }

    /**
     * How many milliseconds are left until then, at least 0. The runtime stops a script PHP_LAMBDA_TIMEOUT_MARGIN_MS earlier.
     * Without a deadline it is the largest integer.
     */
    public function getRemainingTimeInMillis(): int
    {
        $deadline = $this->getDeadlineMs();
        return $deadline === 0 ? PHP_INT_MAX : max(0, $deadline - (int) (microtime(true) * 1000));
    }

    /** With the version or alias that was invoked. */
    public function getInvokedFunctionArn(): string
    {
        return $this->invocation['invokedFunctionArn'] ?? '';
    }

    /** X-Ray's header; empty where there is none. */
    public function getTraceId(): string
    {
        return $this->invocation['traceId'] ?? '';
    }

    /** For which tenant of a multi-tenant function. */
    public function getTenantId(): ?string
    {
        return $this->invocation['tenantId'] ?? null;
    }

    /** @return array<string, mixed>|null what the caller has sent beside the event, such as AWS's mobile SDKs */
    public function getClientContext(): ?array
    {
        return $this->invocation['clientContext'] ?? null;
    }

    /** @return array<string, mixed>|null the Cognito identity of the caller */
    public function getIdentity(): ?array
    {
        return $this->invocation['identity'] ?? null;
    }

    public function getFunctionName(): string
    {
        return (string) getenv('AWS_LAMBDA_FUNCTION_NAME');
    }

    public function getFunctionVersion(): string
    {
        return (string) getenv('AWS_LAMBDA_FUNCTION_VERSION');
    }

    public function getMemoryLimitInMB(): int
    {
        return (int) getenv('AWS_LAMBDA_FUNCTION_MEMORY_SIZE');
    }

    public function getLogGroupName(): string
    {
        return (string) getenv('AWS_LAMBDA_LOG_GROUP_NAME');
    }

    public function getLogStreamName(): string
    {
        return (string) getenv('AWS_LAMBDA_LOG_STREAM_NAME');
    }

    /** @return array<string, mixed> */
    public function jsonSerialize(): array
    {
        return $this->invocation;
    }
}

/**
 * The records of a batch (SQS, Kinesis, DynamoDB) that have failed: as the result of a handler they are retried, and the others are not.
 * The event source mapping has to have ReportBatchItemFailures.
 */
final class BatchFailures implements \JsonSerializable
{
    /** @var array<string, true> */
    private array $identifiers = [];

    /**
     * Hands each record to $process, and takes a Throwable for its failure, which is logged.
     *
     * Where the order counts it stops there: the rest of a FIFO queue's batch fails with the record, and the shard of a stream is
     * retried from it on.
     *
     * @param array<string, mixed> $event
     * @param callable(array<string, mixed>): mixed $process
     */
    public static function of(array $event, callable $process): self
    {
        $failures = new self();
        $records = $event['Records'] ?? throw new \InvalidArgumentException('The event has no Records: it is no batch.');
        foreach ($records as $index => $record) {
            try {
                $process($record);
            } catch (\Throwable $reason) {
                $failures->add($record, $reason);
                if (self::isInOrder($record)) {
                    foreach (array_slice($records, $index + 1) as $later) {
                        $failures->add($later);
                    }
                    break;
                }
            }
        }
        return $failures;
    }

    /**
     * @param array<string, mixed>|string $record the record, or its identifier: an SQS message's messageId, a stream record's
     *     sequence number
     * @param \Throwable|null $reason is logged
     */
    public function add(array|string $record, ?\Throwable $reason = null): void
    {
        $identifier = is_string($record) ? $record : self::identifierOf($record);
        if ($identifier === '') {
            throw new \InvalidArgumentException('An empty identifier would fail the whole batch.');
        }
        $this->identifiers["id $identifier"] = true;
        if ($reason !== null) {
            error_log("The record $identifier failed: $reason");
        }
    }

    public function isEmpty(): bool
    {
        return $this->identifiers === [];
    }

    /** @return array{batchItemFailures: list<array{itemIdentifier: string}>} */
    public function jsonSerialize(): array
    {
        // a key of digits alone would be an integer
        $item = static fn (string $key): array => ['itemIdentifier' => substr($key, 3)];
        return ['batchItemFailures' => array_map($item, array_keys($this->identifiers))];
    }

    /** @param array<string, mixed> $record */
    private static function identifierOf(array $record): string
    {
        return $record['messageId'] ?? $record['kinesis']['sequenceNumber'] ?? $record['dynamodb']['SequenceNumber']
            ?? throw new \InvalidArgumentException(
                'The record is of no batch: it has no messageId, kinesis.sequenceNumber or dynamodb.SequenceNumber.'
            );
    }

    /** @param array<string, mixed> $record */
    private static function isInOrder(array $record): bool
    {
        return !isset($record['messageId']) || str_ends_with($record['eventSourceARN'] ?? '', '.fifo');
    }
}

/**
 * What a script has returned, if it can be called.
 *
 * @internal
 */
final class Handler
{
    private \ReflectionFunction $reflection;

    private function __construct(private \Closure $closure)
    {
        $this->reflection = new \ReflectionFunction($closure);
    }

    /** `null`: the script has printed its answer. */
    public static function of(mixed $returned): ?self
    {
        if (is_object($returned) && method_exists($returned, 'handle') && is_callable([$returned, 'handle'])) {
            if ($returned instanceof \Psr\Http\Server\RequestHandlerInterface) {
                throw new InvalidResult('The script returned a PSR-15 request handler, and this event is no HTTP request. '
                    . 'Set PHP_LAMBDA_EVENT_HANDLER to a script that returns function ($event, $context) { … }.');
            }
            return new self(\Closure::fromCallable([$returned, 'handle']));
        }
        return is_callable($returned) ? new self(\Closure::fromCallable($returned)) : null;
    }

    /** A handler that asks for an object tells {} from []; to any other both are empty arrays. */
    public function wantsObjects(): bool
    {
        return array_intersect($this->typesOf(0), ['object', 'stdClass']) !== [];
    }

    public function call(mixed $event, Context $context): mixed
    {
        return ($this->closure)($event, $this->contextFor($context));
    }

    /** Another package's context, where the handler is declared with one, made of what it is known to ask for. */
    private function contextFor(Context $context): object
    {
        $known = [
            'awsRequestId' => $context->getAwsRequestId(),
            'requestId' => $context->getAwsRequestId(),
            'deadlineMs' => $context->getDeadlineMs(),
            'invokedFunctionArn' => $context->getInvokedFunctionArn(),
            'traceId' => $context->getTraceId(),
        ];
        foreach ($this->typesOf(1) as $class) {
            if ($context instanceof $class || !class_exists($class) || !(new \ReflectionClass($class))->isInstantiable()) {
                continue;
            }
            $arguments = [];
            foreach ((new \ReflectionClass($class))->getConstructor()?->getParameters() ?? [] as $parameter) {
                if (isset($known[$parameter->name])) {
                    $arguments[$parameter->name] = $known[$parameter->name];
                } elseif (!$parameter->isOptional()) {
                    continue 2;
                }
            }
            if ($arguments !== []) {
                return new $class(...$arguments);
            }
        }
        return $context;
    }

    /** @return list<string> the names in a parameter's type */
    private function typesOf(int $position): array
    {
        $type = ($this->reflection->getParameters()[$position] ?? null)?->getType();
        $types = $type instanceof \ReflectionUnionType ? $type->getTypes() : [$type];
        $named = array_filter($types, static fn ($type): bool => $type instanceof \ReflectionNamedType);
        return array_map(static fn (\ReflectionNamedType $type): string => $type->getName(), array_values($named));
    }
}

/**
 * The event as PHP values, and the result as JSON.
 *
 * @internal
 */
final class Json
{
    /** json_decode() and json_encode() take no larger one. */
    private const DEPTH = 0x7fffffff;

    /** The runtime knows already that it is JSON. */
    public static function decode(string $json, bool $withObjects): mixed
    {
        try {
            // of an integer beyond 64 bits a string keeps every digit, a float about 16
            return json_decode($json, !$withObjects, self::DEPTH, JSON_THROW_ON_ERROR | JSON_BIGINT_AS_STRING);
        } catch (\JsonException $reason) {
            $words = $reason->getCode() === JSON_ERROR_SYNTAX
                ? 'it is nested too deep, and json_decode() takes 1,600 levels of objects or 4,900 of lists' : $reason->getMessage();
            throw new InvalidEvent("PHP cannot decode the event: $words. "
                . 'Let the script read php://input, which is the event byte for byte, and print its answer.', 0, $reason);
        }
    }

    public static function encode(mixed $result): string
    {
        $flags = JSON_THROW_ON_ERROR | JSON_PRESERVE_ZERO_FRACTION | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE;
        try {
            $json = json_encode($result, $flags, self::DEPTH);
        } catch (\JsonException $reason) {
            $words = match ($reason->getCode()) {
                JSON_ERROR_UTF8 => 'a string that is not UTF-8; encode binary data, for example with base64_encode()',
                JSON_ERROR_INF_OR_NAN => 'a number that JSON does not have (INF or NAN)',
                JSON_ERROR_UNSUPPORTED_TYPE => 'a value of a type that JSON does not have',
                JSON_ERROR_RECURSION => 'a value that contains itself',
                default => $reason->getMessage(),
            };
            $recursive = in_array($reason->getCode(), [JSON_ERROR_RECURSION, JSON_ERROR_DEPTH], true);
            throw new InvalidResult(self::sentence($words, $recursive ? null : self::search($result, 'result')), 0, $reason);
        }
        // closures and generators are {} to json_encode()
        $place = str_contains($json, '{}') ? self::search($result, 'result') : null;
        if ($place !== null) {
            throw new InvalidResult(self::sentence('a closure or a generator; iterator_to_array() makes an array of the latter', $place));
        }
        return $json;
    }

    private static function sentence(string $words, ?string $place): string
    {
        return 'The handler returned what cannot be JSON: ' . $words . ($place === null ? '' : ", at $place") . '.';
    }

    /** Where in a value without circles that is which JSON cannot hold. */
    private static function search(mixed $value, string $place): ?string
    {
        if (is_string($value)) {
            return preg_match('//u', $value) === 1 ? null : $place;
        }
        if (is_float($value)) {
            return is_finite($value) ? null : $place;
        }
        if ($value instanceof \Closure || $value instanceof \Generator) {
            return $place;
        }
        if ($value instanceof \JsonSerializable) {
            try {
                $inner = $value->jsonSerialize();
            } catch (\Throwable) {
                // it was encoded already, and some can be asked but once
                return null;
            }
            if ($inner !== $value) {
                return self::search($inner, $place);
            }
        }
        if (!is_array($value) && !is_object($value)) {
            return is_scalar($value) || $value === null ? null : $place;
        }
        foreach (is_array($value) ? $value : get_object_vars($value) as $key => $item) {
            if (is_string($key) && preg_match('//u', $key) !== 1) {
                return "a key of $place";
            }
            $found = self::search($item, $place . '[' . (is_int($key) ? $key : "'$key'") . ']');
            if ($found !== null) {
                return $found;
            }
        }
        return null;
    }
}

/** @internal */
final class InvalidEvent extends \Exception
{
}

/** @internal */
final class InvalidResult extends \Exception
{
}

/**
 * The one invocation that this request is: what the script prints goes as it is, and what a handler returns, or why there is none, stands
 * between marks that the bootstrap knows (src/event/outcome.rs).
 *
 * @internal
 */
final class Invocation
{
    /** Lines of a stack trace. */
    private const FRAMES = 100;

    /** Bytes of a message: Lambda takes 6 MB of an error, and one byte can be six in JSON. */
    private const MESSAGE = 65_536;

    /** Bytes of a previous one's. */
    private const PREVIOUS_MESSAGE = 8192;

    /** How many previous ones. */
    private const PREVIOUS = 20;

    private const FATAL = E_ERROR | E_PARSE | E_CORE_ERROR | E_COMPILE_ERROR | E_USER_ERROR | E_RECOVERABLE_ERROR;

    private static string $mark;

    private static bool $calls = false;

    private static bool $isOver = false;

    /** A shutdown function has ended the request, or at least the output's buffers. */
    private static bool $mayBeFinished = false;

    /** An error was told. */
    private static bool $hasFailed = false;

    /** What comes is no print of the handler's any more. */
    private static bool $isTold = false;

    private static ?\Throwable $uncaught = null;

    /** Makes all as if php-fpm ran the script itself. Returns its path. */
    public static function begin(): string
    {
        self::$mark = "\0php-fpm-lambda " . getenv('LAMBDA_REQUEST_ID') . "\0";
        // so that the bootstrap knows a 404 of the script from one of php-fpm
        headers_sent() || header('Php-Fpm-Lambda: event');
        // should the script remove it
        header_register_callback(static fn () => header('Php-Fpm-Lambda: ' . (self::$calls ? 'handler' : 'event')));
        register_shutdown_function([self::class, 'shutDown']);
        // nobody sees the page
        ini_set('display_errors', '0');
        $script = getenv('DOCUMENT_ROOT') . getenv('SCRIPT_NAME');
        $_SERVER['SCRIPT_FILENAME'] = $script;
        if (isset($_ENV['SCRIPT_FILENAME'])) {
            $_ENV['SCRIPT_FILENAME'] = $script;
        }
        chdir(dirname($script));
        $autoload = (getenv('LAMBDA_TASK_ROOT') ?: '/var/task') . '/vendor/autoload.php';
        if (is_file($autoload)) {
            require_once $autoload;
        }
        return $script;
    }

    /** Calls what the script has returned, if it can be called. */
    public static function end(mixed $returned): void
    {
        $handler = Handler::of($returned);
        if ($handler === null) {
            $hasPrinted = headers_sent() || ob_get_length() > 0;
            if (!$hasPrinted && (is_array($returned) || is_object($returned))) {
                throw new InvalidResult('The script printed nothing and returned ' . get_debug_type($returned)
                    . ', which can neither be called nor has a method handle($event, $context).');
            }
            self::$isOver = true;
            return;
        }
        self::$calls = true;
        // should the request end without a result; the handler may send headers of its own, which nobody reads, as on a command line
        headers_sent() ? self::mark('handler') : header('Php-Fpm-Lambda: handler');
        $log = fopen('php://stderr', 'w');
        // at once, in its place between the other lines, and before a time-out
        ob_start(static function (string $printed) use ($log): string {
            if (self::$isTold) {
                // a buffer on top of this one could not be ended, and has the result in it
                return $printed;
            }
            fwrite($log, $printed);
            return '';
        }, 1);
        // what a command line has; functions that were written for one may close them
        defined('STDOUT') || define('STDOUT', fopen('php://stderr', 'w'));
        defined('STDERR') || define('STDERR', fopen('php://stderr', 'w'));

        $event = Json::decode(file_get_contents('php://input'), $handler->wantsObjects());
        $invocation = Json::decode(getenv('LAMBDA_INVOCATION_CONTEXT'), false);
        $json = Json::encode($handler->call($event, new Context($invocation)));
        self::mark('result', $json);
        self::$isOver = true;
    }

    /** Reports what nobody has caught, after the user's own handler for that has had it. */
    public static function fail(\Throwable $uncaught): void
    {
        self::$uncaught = $uncaught;
        self::ask(set_exception_handler(null), $uncaught);
        self::report($uncaught);
    }

    private static function ask(?callable $users, \Throwable $uncaught): void
    {
        if ($users !== null) {
            try {
                $users($uncaught);
            } catch (\Throwable $another) {
                if ($another !== $uncaught) {
                    error_log("The function's exception handler failed: $another");
                }
            }
        }
    }

    public static function shutDown(): void
    {
        if (!self::$isOver) {
            self::tellWhyItEnded();
        }
        // behind an error there may be no memory left, and it is the invocation's
        if (!self::$hasFailed) {
            self::watchTheEnd();
        }
    }

    private static function tellWhyItEnded(): void
    {
        $last = error_get_last();
        if (self::$uncaught !== null) {
            // the user's exception handler has called exit(), or failed itself
            self::report(self::$uncaught);
        } elseif ($last !== null && ($last['type'] & self::FATAL) !== 0) {
            $trace = isset($last['trace']) ? self::lines($last['trace']) : [];
            self::reportAs('Function.FatalError', [
                'errorType' => 'Function.FatalError',
                'errorMessage' => self::beginning($last['message'], self::MESSAGE),
                'stackTrace' => ["$last[file]($last[line])", ...$trace],
            ]);
        } elseif (self::$calls) {
            self::reportAs('Function.Exit', [
                'errorType' => 'Function.Exit',
                'errorMessage' => 'The handler called exit() or die(), so it has no result. Let it return, or throw an exception.',
                'stackTrace' => [],
            ]);
        }
    }

    /** The user's shutdown functions and destructors come now, and what they throw is a failure as well, behind a result, too. */
    private static function watchTheEnd(): void
    {
        $users = set_exception_handler(null);
        set_exception_handler(static function (\Throwable $uncaught) use ($users): void {
            // before the user's handler, as nothing comes behind one that calls exit()
            if (self::$mayBeFinished && !self::$hasFailed) {
                error_log("Uncaught $uncaught");
            }
            self::report($uncaught);
            self::ask($users, $uncaught);
        });
        // fastcgi_finish_request() ends all buffers, and nobody reads what is said behind it
        ob_start(static function (string $printed, int $phase): string {
            self::$mayBeFinished = self::$mayBeFinished || ($phase & PHP_OUTPUT_HANDLER_FINAL) !== 0;
            return $printed;
        }, 1);
    }

    private static function report(\Throwable $uncaught): void
    {
        if (self::$hasFailed) {
            // the first one is the invocation's
            error_log("Uncaught $uncaught");
            return;
        }
        $type = match (true) {
            $uncaught instanceof InvalidEvent => 'Runtime.InvalidEvent',
            $uncaught instanceof InvalidResult => 'Function.InvalidResult',
            default => 'Function.Exception',
        };
        $error = self::described($uncaught);
        if ($type !== 'Function.Exception') {
            self::reportAs($type, ['errorType' => $type, 'stackTrace' => []] + $error);
            return;
        }
        $previous = $uncaught->getPrevious();
        for ($left = self::PREVIOUS; $left > 0 && $previous !== null; $left--) {
            $error['previous'][] = self::described($previous, self::PREVIOUS_MESSAGE);
            $previous = $previous->getPrevious();
        }
        self::reportAs($type, $error);
    }

    /** @param array<string, mixed> $error */
    private static function reportAs(string $type, array $error): void
    {
        $flags = JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE;
        self::mark("error $type", (string) json_encode($error, $flags));
        self::$hasFailed = true;
        self::$isOver = true;
        if (ob_get_level() > 0) {
            // a buffer of the user's, which cannot be removed, may keep it
            error_log("$error[errorType]: $error[errorMessage]\n" . implode("\n", $error['stackTrace']));
        }
    }

    /** @return array{errorType: string, errorMessage: string, stackTrace: list<string>} */
    private static function described(\Throwable $thrown, int $length = self::MESSAGE): array
    {
        return [
            'errorType' => self::name($thrown::class),
            'errorMessage' => self::beginning($thrown->getMessage(), $length),
            'stackTrace' => [$thrown->getFile() . '(' . $thrown->getLine() . ')', ...self::lines($thrown->getTrace())],
        ];
    }

    /** Of an anonymous class only what it extends: behind a NUL stands where it is declared. */
    private static function name(string $class): string
    {
        return strstr($class, "\0", true) ?: $class;
    }

    private static function beginning(string $text, int $length): string
    {
        $more = strlen($text) - $length;
        return $more > 0 ? substr($text, 0, $length) . "… ($more bytes more)" : $text;
    }

    /**
     * Without arguments, which can be passwords, and without the runtime's own part.
     *
     * @param list<array<string, mixed>> $trace
     * @return list<string>
     */
    private static function lines(array $trace): array
    {
        $isOurs = static fn (array $frame): bool => str_starts_with($frame['file'] ?? '', __DIR__ . '/');
        while ($trace !== [] && $isOurs(end($trace))) {
            array_pop($trace);
        }
        $lines = [];
        foreach (array_slice($trace, 0, self::FRAMES) as $number => $frame) {
            $place = isset($frame['file']) ? "$frame[file]($frame[line])" : '[internal function]';
            $lines[] = "#$number $place: " . self::name($frame['class'] ?? '') . ($frame['type'] ?? '') . $frame['function'] . '()';
        }
        $more = count($trace) - count($lines);
        return $more > 0 ? [...$lines, "… and $more more"] : $lines;
    }

    /** Behind what was printed so far: from here on it is something else. */
    private static function mark(string $kind, string $content = ''): void
    {
        // asked before, since a handler of errors that throws would hear of each attempt
        do {
            $flags = ob_get_status()['flags'] ?? 0;
        } while (($flags & PHP_OUTPUT_HANDLER_REMOVABLE) !== 0 && ob_end_flush());
        self::$isTold = $kind !== 'handler';
        echo self::$mark, $kind, "\n", $content, $content === '' ? '' : self::$mark . "end\n";
    }
}
