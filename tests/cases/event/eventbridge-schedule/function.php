<?php
return function (array $event, PhpFpmLambda\Context $context) {
    return ['job' => basename($event['resources'][0]), 'day' => (new DateTimeImmutable($event['time']))->format('l'), 'detail' => $event['detail']];
};
