<?php
return function (array $event) {
    return PhpFpmLambda\BatchFailures::of($event, function (array $message) {
        if ($message['body'] !== 'Good message.') {
            throw new RuntimeException("not {$message['body']}");
        }
    });
};
