<?php
// of a FIFO queue nothing may overtake the message that failed
return fn (array $event) => PhpFpmLambda\BatchFailures::of($event, function (array $message) {
    if ($message['body'] !== 'first') {
        throw new RuntimeException($message['body']);
    }
});
