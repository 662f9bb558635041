<?php
return function (array $event) {
    $failures = new PhpFpmLambda\BatchFailures();
    foreach ($event['Records'] as $record) {
        if (base64_decode($record['kinesis']['data']) === 'Hello, this is a test.' && is_float($record['kinesis']['approximateArrivalTimestamp'])) {
            $failures->add($record);
        }
    }
    return $failures;
};
