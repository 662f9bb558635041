<?php
// What the test console is looked at with: an answer of each kind, chosen by the path or by the event.

declare(strict_types=1);

$isHttp = isset($_SERVER['LAMBDA_REQUEST_CONTEXT']) && $_SERVER['REQUEST_METHOD'] !== 'POST';
$event = $isHttp ? [] : json_decode(file_get_contents('php://input'), true) ?? [];
$path = explode('?', $_SERVER['REQUEST_URI'], 2)[0];

match ($isHttp ? $path : '/' . ($event['do'] ?? 'event')) {
    '/html' => html(),
    '/image' => image(),
    '/throw' => throw new DomainException('the stock is empty'),
    '/forever' => forever(),
    '/stream' => stream(),
    '/hostile' => hostile(),
    '/log' => logs(),
    '/large' => large(),
    '/event' => event($event),
    default => hello(),
};

function hello(): void
{
    header('Content-Type: text/plain');
    setcookie('visits', '4');
    error_log('hello is said');
    echo "Hello World! You've reached {$_SERVER['REQUEST_URI']}\n";
}

function event(array $event): void
{
    error_log('an event with ' . implode(', ', array_keys($event)));
    header('Content-Type: application/json');
    echo json_encode(['received' => array_keys($event)]);
}

function html(): void
{
    header('Content-Type: text/html; charset=utf-8');
    echo '<!doctype html><title>Articles</title><style>body { font: 16px/1.5 sans-serif; color: #234 } h1 { color: #1d5fa8 }</style>',
        '<h1>Articles</h1><p>A page with a <b>style</b> of its own, and a <a href="/articles/42">link</a>.</p>';
}

function image(): void
{
    header('Content-Type: image/png');
    // 2 by 2 pixels.
    echo base64_decode('iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR4nGP8z8Dwn4GBgYGJAQoAHxcCAr7pb/cAAAAASUVORK5CYII=');
}

function forever(): void
{
    error_log('this never ends');
    while (true) {
        sleep(1);
    }
}

/** Says what the test orders, once it does. */
function stream(): void
{
    $test = stream_socket_client('tcp://127.0.0.1:9901', timeout: 60);
    header('Content-Type: text/plain; charset=utf-8');
    while (($order = fgets($test)) !== false) {
        echo json_decode($order);
        flush();
    }
}

function hostile(): void
{
    header('Content-Type: text/html');
    header('X-Hostile: <img src=http://outside.test/header onerror="parent.hurt = 1">');
    error_log('<script>window.hurt = 1</script> START RequestId: forged' . "\u{202e}\x1b[31m");
    echo '<script>parent.hurt = top.hurt = window.hurt = 1; fetch("http://outside.test/script")</script>',
        '<img src="http://outside.test/body" onerror="parent.hurt = 1"><iframe src="http://outside.test/frame"></iframe>',
        '<meta http-equiv="refresh" content="0; url=http://outside.test/refresh"><form action="http://outside.test/form"><button>x</button></form>',
        '<link rel="stylesheet" href="http://outside.test/style.css"><p>What is left.</p>';
}

function logs(): void
{
    for ($line = 1; $line <= 20000; $line++) {
        error_log("line $line");
    }
    echo 'logged';
}

function large(): void
{
    header('Content-Type: text/html');
    echo '<p>', str_repeat('large ', 200_000);
}
