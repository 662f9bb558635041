<?php

declare(strict_types=1);

use PHPUnit\Framework\Attributes\DataProvider;
use PHPUnit\Framework\TestCase;
use PhpFpmLambda\Context;
use PhpFpmLambda\Handler;

final class HandlerTest extends TestCase
{
    private static function context(): Context
    {
        return new Context(['awsRequestId' => 'id-1', 'deadlineMs' => 5, 'invokedFunctionArn' => 'arn', 'traceId' => 'trace']);
    }

    public static function handle(mixed $event, Context $context): array
    {
        return [$event, $context->getAwsRequestId()];
    }

    /** @return array<string, array{mixed}> */
    public static function handlers(): array
    {
        return [
            'closure' => [static fn ($event, $context) => [$event, $context->getAwsRequestId()]],
            'first class callable' => [self::handle(...)],
            'class and method' => [[self::class, 'handle']],
            'text' => [self::class . '::handle'],
            'object' => [new class {
                public function handle(mixed $event, Context $context): array
                {
                    return [$event, $context->getAwsRequestId()];
                }
            }],
            'invokable' => [new class {
                public function __invoke(mixed $event, Context $context): array
                {
                    return [$event, $context->getAwsRequestId()];
                }
            }],
            'both' => [new class {
                public function handle(mixed $event, Context $context): array
                {
                    return [$event, $context->getAwsRequestId()];
                }

                public function __invoke(): never
                {
                    throw new LogicException();
                }
            }],
        ];
    }

    #[DataProvider('handlers')]
    public function testIsCalledWithEventAndContext(mixed $returned): void
    {
        $this->assertSame([['a' => 1], 'id-1'], Handler::of($returned)?->call(['a' => 1], self::context()));
    }

    /** @return array<string, array{mixed}> */
    public static function others(): array
    {
        return [
            'nothing' => [null],
            'what a script returns by itself' => [1],
            'false' => [false],
            'text' => ['no such function'],
            'array' => [['a' => 1]],
            'object' => [new stdClass()],
            'private' => [new class {
                private function handle(): void
                {
                }
            }],
        ];
    }

    #[DataProvider('others')]
    public function testAnythingElseIsNone(mixed $returned): void
    {
        $this->assertNull(Handler::of($returned));
    }

    /** @return array<string, array{callable, bool}> */
    public static function parameters(): array
    {
        return [
            'none' => [static fn () => 1, false],
            'untyped' => [static fn ($event) => 1, false],
            'array' => [static fn (array $event) => 1, false],
            'mixed' => [static fn (mixed $event) => 1, false],
            'stdClass' => [static fn (stdClass $event) => 1, true],
            'object' => [static fn (?object $event) => 1, true],
            'union' => [static fn (string|stdClass $event) => 1, true],
            'of the context' => [static fn ($event, object $context) => 1, false],
        ];
    }

    #[DataProvider('parameters')]
    public function testTheTypeOfTheEventTellsWhetherObjectsAreWanted(callable $handler, bool $expected): void
    {
        $this->assertSame($expected, Handler::of($handler)->wantsObjects());
    }

    public function testAnotherPackagesContextIsMade(): void
    {
        $made = Handler::of(static fn ($event, NamedAsInBref $context) => get_object_vars($context))->call(1, self::context());
        $this->assertSame(['awsRequestId' => 'id-1', 'deadlineMs' => 5, 'invokedFunctionArn' => 'arn', 'traceId' => 'trace'], $made);
        $made = Handler::of(static fn ($event, null|NamedOtherwise $context) => get_object_vars($context))->call(1, self::context());
        $this->assertSame(['traceId' => 'trace', 'requestId' => 'id-1', 'more' => 7], $made);
    }

    /** @return array<string, array{callable}> */
    public static function ours(): array
    {
        return [
            'untyped' => [static fn ($event, $context) => $context],
            'object' => [static fn ($event, object $context) => $context],
            'interface' => [static fn ($event, JsonSerializable $context) => $context],
            'class' => [static fn ($event, Context $context) => $context],
            'unknown before' => [static fn ($event, NoSuchClass|Context $context) => $context],
        ];
    }

    #[DataProvider('ours')]
    public function testOursIsGivenWhereItFits(callable $handler): void
    {
        $context = self::context();
        $this->assertSame($context, Handler::of($handler)->call(1, $context));
    }

    public function testWhatCannotBeMadeIsATypeError(): void
    {
        foreach (
            [
                static fn ($event, NamedInPart $context) => 1,
                static fn ($event, NotMade $context) => 1,
                static fn ($event, DateTimeImmutable $context) => 1,
            ] as $handler
        ) {
            try {
                Handler::of($handler)->call(1, self::context());
                $this->fail('no error');
            } catch (TypeError $error) {
                $this->assertStringContainsString('PhpFpmLambda\Context given', $error->getMessage());
            }
        }
    }
}

final class NamedAsInBref
{
    public function __construct(
        public string $awsRequestId,
        public int $deadlineMs,
        public string $invokedFunctionArn,
        public string $traceId
    ) {
    }
}

final class NamedOtherwise
{
    public function __construct(public string $traceId, public string $requestId, public int $more = 7)
    {
    }
}

final class NamedInPart
{
    public function __construct(public string $requestId, public PDO $database)
    {
    }
}

abstract class NotMade
{
    public function __construct(public string $requestId)
    {
    }
}
