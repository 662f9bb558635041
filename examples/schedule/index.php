<?php
// Deletes what is older than the days in the event: {"keepDays": 30}. The schedule in template.yaml runs it each night.

declare(strict_types=1);

use PhpFpmLambda\Context;

return function (array $event, Context $context): array {
    $days = $event['keepDays'] ?? throw new InvalidArgumentException('The event has no keepDays.');
    $before = new DateTimeImmutable("-$days days");
    $deleted = 0;
    foreach (older($before) as $name) {
        // what is left is for the next night
        if ($context->getRemainingTimeInMillis() < 5_000) {
            break;
        }
        echo "deleted $name\n";
        $deleted++;
    }
    return ['deleted' => $deleted, 'before' => $before->format(DATE_ATOM)];
};

/**
 * In the place of your database.
 *
 * @return iterable<string>
 */
function older(DateTimeImmutable $before): iterable
{
    for ($month = 1; $month <= 3; $month++) {
        yield 'report-of-' . $before->modify("-$month months")->format('Y-m');
    }
}
