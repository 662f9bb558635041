<?php

declare(strict_types=1);

use PHPUnit\Framework\Attributes\DataProvider;
use PHPUnit\Framework\TestCase;
use PhpFpmLambda\BatchFailures;

final class BatchFailuresTest extends TestCase
{
    private string $log;

    protected function setUp(): void
    {
        $this->log = tempnam(sys_get_temp_dir(), 'log');
        ini_set('error_log', $this->log);
    }

    protected function tearDown(): void
    {
        ini_restore('error_log');
        unlink($this->log);
    }

    public function testNoneIsASuccess(): void
    {
        $failures = new BatchFailures();
        $this->assertTrue($failures->isEmpty());
        $this->assertSame('{"batchItemFailures":[]}', json_encode($failures));
    }

    public function testRecordsOfEachSourceAndIdentifiers(): void
    {
        $failures = new BatchFailures();
        $failures->add(['messageId' => 'm', 'eventSourceARN' => 'arn:aws:sqs:x:1:q']);
        $failures->add(['kinesis' => ['sequenceNumber' => '49590338271490256608559692538361571095921575989136588898']]);
        $failures->add(['dynamodb' => ['SequenceNumber' => '111']]);
        $failures->add('own');
        // once is enough
        $failures->add(['messageId' => 'm']);
        $this->assertFalse($failures->isEmpty());
        $items = array_column($failures->jsonSerialize()['batchItemFailures'], 'itemIdentifier');
        $this->assertSame(['m', '49590338271490256608559692538361571095921575989136588898', '111', 'own'], $items);
        $this->assertSame('', file_get_contents($this->log));
    }

    public function testReasonsAreLogged(): void
    {
        $failures = new BatchFailures();
        $failures->add('a', new RuntimeException('no luck', 0, new LogicException('the cause')));
        $log = file_get_contents($this->log);
        $this->assertStringContainsString('The record a failed: LogicException: the cause in ', $log);
        $this->assertStringContainsString('Next RuntimeException: no luck in ', $log);
    }

    /** @return array<string, array{mixed}> */
    public static function noRecords(): array
    {
        return ['nothing' => [[]], 'empty' => [''], 'empty id' => [['messageId' => '']], 'SNS' => [['Sns' => ['MessageId' => 'x']]]];
    }

    #[DataProvider('noRecords')]
    public function testWhatIsNoRecordIsAnError(array|string $record): void
    {
        $this->expectException(InvalidArgumentException::class);
        (new BatchFailures())->add($record);
    }

    public function testAnEventWithoutRecordsIsAnError(): void
    {
        $this->expectExceptionMessage('The event has no Records');
        BatchFailures::of(['detail' => []], static fn () => null);
    }

    /** @return array<string, array{callable(string): array<string, mixed>, list<string>, list<string>}> */
    public static function batches(): array
    {
        return [
            'a queue goes on' => [static fn ($id) => ['messageId' => $id, 'eventSourceARN' => 'arn:aws:sqs:x:1:fifo'], ['b', 'c'], ['a', 'b', 'c', 'd']],
            'a FIFO queue stops, and the rest fails' => [
                static fn ($id) => ['messageId' => $id, 'eventSourceARN' => 'arn:aws:sqs:x:1:q.fifo'], ['b', 'c', 'd'], ['a', 'b'],
            ],
            'Kinesis stops' => [static fn ($id) => ['kinesis' => ['sequenceNumber' => $id]], ['b', 'c', 'd'], ['a', 'b']],
            'DynamoDB stops' => [static fn ($id) => ['dynamodb' => ['SequenceNumber' => $id]], ['b', 'c', 'd'], ['a', 'b']],
        ];
    }

    #[DataProvider('batches')]
    public function testABatch(callable $record, array $failed, array $processed): void
    {
        $seen = [];
        $records = array_map($record, ['a', 'b', 'c', 'd']);
        $failures = BatchFailures::of(['Records' => $records], static function (array $record) use (&$seen): void {
            $seen[] = $id = $record['messageId'] ?? $record['kinesis']['sequenceNumber'] ?? $record['dynamodb']['SequenceNumber'];
            if ($id === 'b' || $id === 'c') {
                throw $id === 'b' ? new Error("failed $id") : new RuntimeException("failed $id");
            }
        });
        $this->assertSame($failed, array_column($failures->jsonSerialize()['batchItemFailures'], 'itemIdentifier'));
        $this->assertSame($processed, $seen);
        $this->assertStringContainsString('The record b failed: Error: failed b in ', file_get_contents($this->log));
    }
}
