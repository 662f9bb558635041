<?php
// Sends a mail for each message of a queue: {"to": "ann@example.com", "subject": "Hello"}. A message that fails comes again, and the others
// do not; after five times it is in the dead-letter queue.

declare(strict_types=1);

use PhpFpmLambda\BatchFailures;

return fn (array $event): BatchFailures => BatchFailures::of($event, function (array $message): void {
    $mail = json_decode($message['body'], true, flags: JSON_THROW_ON_ERROR);
    if (filter_var($mail['to'] ?? '', FILTER_VALIDATE_EMAIL) === false) {
        throw new UnexpectedValueException("no address in message $message[messageId]");
    }
    send($mail['to'], $mail['subject'] ?? '');
});

/** In the place of your mailer. What is printed is in the function's log. */
function send(string $to, string $subject): void
{
    echo "sent to $to: $subject\n";
}
