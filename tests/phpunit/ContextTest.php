<?php

declare(strict_types=1);

use PHPUnit\Framework\TestCase;
use PhpFpmLambda\Context;

final class ContextTest extends TestCase
{
    public function testSaysWhatLambdaSays(): void
    {
        $invocation = [
            'awsRequestId' => 'id-1',
            'deadlineMs' => 1893456000000,
            'invokedFunctionArn' => 'arn:aws:lambda:us-east-1:123456789012:function:shop',
            'traceId' => 'Root=1-a',
            'tenantId' => 'blue',
            'clientContext' => ['custom' => ['a' => 1]],
            'identity' => ['cognitoIdentityId' => 'i'],
        ];
        $context = new Context($invocation);
        $this->assertSame('id-1', $context->getAwsRequestId());
        $this->assertSame(1893456000000, $context->getDeadlineMs());
        $this->assertSame($invocation['invokedFunctionArn'], $context->getInvokedFunctionArn());
        $this->assertSame('Root=1-a', $context->getTraceId());
        $this->assertSame('blue', $context->getTenantId());
        $this->assertSame(['custom' => ['a' => 1]], $context->getClientContext());
        $this->assertSame(['cognitoIdentityId' => 'i'], $context->getIdentity());
        $this->assertSame(json_encode($invocation), json_encode($context));
    }

    public function testWhatLambdaHasNotSaid(): void
    {
        $context = new Context([]);
        $this->assertSame(['', 0, '', ''], [
            $context->getAwsRequestId(), $context->getDeadlineMs(), $context->getInvokedFunctionArn(), $context->getTraceId(),
        ]);
        $this->assertNull($context->getTenantId());
        $this->assertNull($context->getClientContext());
        $this->assertNull($context->getIdentity());
        $this->assertSame(PHP_INT_MAX, $context->getRemainingTimeInMillis());
    }

    public function testTheRemainingTimeShrinksAndIsNeverNegative(): void
    {
        $now = (int) (microtime(true) * 1000);
        $left = (new Context(['deadlineMs' => $now + 10_000]))->getRemainingTimeInMillis();
        $this->assertLessThanOrEqual(10_000, $left);
        $this->assertGreaterThan(5_000, $left);
        $this->assertSame(0, (new Context(['deadlineMs' => $now - 1]))->getRemainingTimeInMillis());
    }

    public function testTheFunctionIsTheEnvironments(): void
    {
        $names = ['FUNCTION_NAME', 'FUNCTION_VERSION', 'FUNCTION_MEMORY_SIZE', 'LOG_GROUP_NAME', 'LOG_STREAM_NAME'];
        foreach ($names as $index => $name) {
            putenv("AWS_LAMBDA_$name=$index");
        }
        $context = new Context([]);
        $this->assertSame(['0', '1', 2, '3', '4'], [
            $context->getFunctionName(), $context->getFunctionVersion(), $context->getMemoryLimitInMB(), $context->getLogGroupName(),
            $context->getLogStreamName(),
        ]);
        array_map(static fn (string $name): bool => putenv("AWS_LAMBDA_$name"), $names);
        $this->assertSame(['', 0], [$context->getFunctionName(), $context->getMemoryLimitInMB()]);
    }
}
