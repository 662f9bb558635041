<?php
// The front controller of a page that streams: the page is at /, an answer at /stream?question=….

declare(strict_types=1);

require __DIR__ . '/model.php';

match (explode('?', $_SERVER['REQUEST_URI'], 2)[0]) {
    '/' => page(),
    '/stream' => stream($_GET['question'] ?? ''),
    default => refuse(404, 'There is nothing at this address.'),
};

function page(): void
{
    header('Content-Type: text/html; charset=utf-8');
    header("Content-Security-Policy: default-src 'none'; connect-src 'self'; img-src data:; "
        . "script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'");
    readfile(__DIR__ . '/page.html');
}

/** The answer as server-sent events, one for each word, and one that says how it ended. */
function stream(mixed $question): void
{
    if (!is_string($question) || trim($question) === '' || strlen($question) > 2000) {
        refuse(400, 'A question has from 1 to 2,000 bytes.');
        return;
    }
    header('Content-Type: text/event-stream');
    header('Cache-Control: no-store');
    try {
        foreach (answer(trim($question)) as $piece) {
            send('piece', $piece);
        }
        send('done', '');
    } catch (Throwable $error) {
        // The status has been sent, so the stream itself has to tell. Details are for the log.
        error_log((string) $error);
        send('failure', 'The model failed half-way.');
    }
}

/** JSON, since an event's data must have no line breaks. */
function send(string $event, string $text): void
{
    $json = json_encode($text, JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_UNICODE);
    echo "event: $event\ndata: $json\n\n";
    // Behind the runtime's response_stream echo is enough; behind other servers it is not.
    flush();
}

function refuse(int $status, string $reason): void
{
    http_response_code($status);
    header('Content-Type: text/plain; charset=utf-8');
    echo $reason, "\n";
}
