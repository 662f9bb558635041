<?php

declare(strict_types=1);

use PHPUnit\Framework\Attributes\DataProvider;
use PHPUnit\Framework\TestCase;
use PhpFpmLambda\InvalidEvent;
use PhpFpmLambda\InvalidResult;
use PhpFpmLambda\Json;

final class JsonTest extends TestCase
{
    /** @return array<string, array{string, mixed}> */
    public static function events(): array
    {
        return [
            'largest integer' => ['9223372036854775807', PHP_INT_MAX],
            'past 64 bits' => ['18446744073709551615', '18446744073709551615'],
            'decimal' => ['1.0', 1.0],
            'too large a number' => ['1e400', INF],
            'object' => ['{"a":{}}', ['a' => []]],
            'null' => ['null', null],
        ];
    }

    #[DataProvider('events')]
    public function testEvents(string $json, mixed $expected): void
    {
        $this->assertSame($expected, Json::decode($json, false));
    }

    public function testObjects(): void
    {
        $this->assertEquals((object) ['a' => new stdClass(), 'b' => []], Json::decode('{"a":{},"b":[]}', true));
    }

    public function testHalfASurrogatePairIsAnErrorWithAdvice(): void
    {
        $this->expectException(InvalidEvent::class);
        $this->expectExceptionMessageMatches('/Single unpaired UTF-16 surrogate.*php:\/\/input/');
        Json::decode('"\ud800"', false);
    }

    public function testDepth(): void
    {
        $deep = str_repeat('[', 3000) . str_repeat(']', 3000);
        $this->assertTrue(Json::encode(Json::decode($deep, false)) === $deep);
        $this->expectException(InvalidEvent::class);
        $this->expectExceptionMessageMatches('/nested too deep.*php:\/\/input/');
        Json::decode(str_repeat('[', 5000) . str_repeat(']', 5000), false);
    }

    /** @return array<string, array{mixed, string}> */
    public static function results(): array
    {
        return [
            'null' => [null, 'null'],
            'decimal' => [[1.0, 0.1, -0.0], '[1.0,0.1,-0.0]'],
            'unescaped' => ['é/☂', '"é/☂"'],
            'empty ones' => [[[], new stdClass()], '[[],{}]'],
            'object that is empty to JSON' => [new ArrayObject(), '{}'],
        ];
    }

    #[DataProvider('results')]
    public function testResults(mixed $result, string $expected): void
    {
        $this->assertSame($expected, Json::encode($result));
    }

    /** @return array<string, array{mixed, string}> */
    public static function notJson(): array
    {
        $circle = new stdClass();
        $circle->self = $circle;
        $nested = new class implements JsonSerializable {
            public function jsonSerialize(): mixed
            {
                return ['inner' => ["\xff"]];
            }
        };
        $loop = new class implements JsonSerializable {
            public $value = NAN;

            public function jsonSerialize(): mixed
            {
                return $this;
            }
        };
        return [
            'bytes' => [['a' => [1, "\xff"]], "base64_encode(), at result['a'][1]."],
            'key' => [['a' => ["\xff" => 1]], "at a key of result['a']."],
            'number' => [NAN, '(INF or NAN), at result.'],
            'property' => [(object) ['x' => INF], "(INF or NAN), at result['x']."],
            'resource' => [[STDERR], 'a type that JSON does not have, at result[0].'],
            'closure' => [['empty' => new stdClass(), 'call' => static fn () => 1], "a closure or a generator; iterator_to_array() makes an array of the latter, at result['call']."],
            'generator' => [(static fn () => yield 1)(), 'at result.'],
            'circle' => [$circle, 'contains itself.'],
            'serializable' => [[$nested], "at result[0]['inner'][0]."],
            'serializable as itself' => [$loop, "(INF or NAN), at result['value']."],
            'pure enumeration' => [Suit::Hearts, 'Non-backed enums have no default serialization.'],
        ];
    }

    #[DataProvider('notJson')]
    public function testWhatCannotBeJsonIsAnErrorThatSaysWhere(mixed $result, string $end): void
    {
        try {
            Json::encode($result);
            $this->fail('no error');
        } catch (InvalidResult $error) {
            $this->assertStringStartsWith('The handler returned what cannot be JSON: ', $error->getMessage());
            $this->assertStringEndsWith($end, $error->getMessage());
        }
    }

    public function testAnExceptionOfTheResultIsItsOwn(): void
    {
        $this->expectException(DomainException::class);
        Json::encode(new class implements JsonSerializable {
            public function jsonSerialize(): mixed
            {
                throw new DomainException('not now');
            }
        });
    }
}

enum Suit
{
    case Hearts;
}
