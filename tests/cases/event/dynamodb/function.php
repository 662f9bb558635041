<?php
return fn (array $event) => PhpFpmLambda\BatchFailures::of($event, function (array $record) {
    if ($record['dynamodb']['NewImage']['Id']['N'] !== '101') {
        throw new RuntimeException('another item');
    }
});
