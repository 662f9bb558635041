<?php
/**
 * Lambda's Runtime API for a function in another container, whose memory is limited: no emulator takes a share of it.
 *
 *     php memory.php MEGABYTES
 *
 * Hands out three invocations; the second one takes more memory than there is. One line for each check.
 */
declare(strict_types=1);

$megabytes = (int) $argv[1];
$failures = 0;
$server = stream_socket_server('tcp://127.0.0.1:9001');
echo "listening\n";

$limit = invocation($server, '/limits');
$limit = ini_parse_quantity((string) (json_decode($limit['body'] ?? '', true)['memory_limit'] ?? '0'));
report("memory_limit is below the function's memory and above half of it", $limit < $megabytes << 20 && $limit > $megabytes << 19, (string) $limit);
$exhausted = invocation($server, '/exhaust');
report('a script that takes more fails as PHP lets it fail', ($exhausted['statusCode'] ?? null) === 500, json_encode($exhausted));
$next = invocation($server, '/hello');
report('the next one is answered', ($next['body'] ?? null) === '{"path":"\/hello"}', json_encode($next));
exit($failures > 0 ? 1 : 0);

function report(string $name, bool $passed, string $got): void
{
    global $failures;
    echo $passed ? "ok: $name\n" : "FAILED: $name: $got\n";
    $failures += $passed ? 0 : 1;
}

/** One turn of the Runtime API: the event goes out with /next, and what is posted for it comes back. */
function invocation($server, string $path): ?array
{
    for (;;) {
        [$connection, $request, $body] = request($server);
        if (str_starts_with($request, 'GET /2018-06-01/runtime/invocation/next')) {
            $event = json_encode([
                'version' => '2.0',
                'rawPath' => $path,
                'rawQueryString' => '',
                'headers' => ['host' => 'localhost'],
                'requestContext' => ['http' => ['method' => 'GET', 'path' => $path, 'protocol' => 'HTTP/1.1', 'sourceIp' => '127.0.0.1']],
                'isBase64Encoded' => false,
            ]);
            $deadline = (int) (microtime(true) * 1000) + 60_000;
            answer($connection, '200 OK', "Lambda-Runtime-Aws-Request-Id: id-1\r\nLambda-Runtime-Deadline-Ms: $deadline\r\n"
                . "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:1:function:f\r\nContent-Type: application/json\r\n", $event);
            continue;
        }
        if (str_starts_with($request, 'POST /2020-01-01/extension/register')) {
            answer($connection, '404 Not Found', '', '{}');
            continue;
        }
        answer($connection, '202 Accepted', '', '{}');
        if (!str_contains($request, '/invocation/id-1/response ')) {
            echo 'FAILED: the function answers: ', trim($request), " $body\n";
            exit(1);
        }
        return json_decode($body, true);
    }
}

function answer($connection, string $status, string $headers, string $body): void
{
    fwrite($connection, "HTTP/1.1 $status\r\n{$headers}Connection: close\r\nContent-Length: " . strlen($body) . "\r\n\r\n$body");
    fclose($connection);
}

function request($server): array
{
    $connection = stream_socket_accept($server, 60);
    if ($connection === false) {
        echo "FAILED: the function asks for an invocation: it does not\n";
        exit(1);
    }
    $request = (string) fgets($connection);
    $length = 0;
    while (($line = fgets($connection)) !== false && trim($line) !== '') {
        if (preg_match('/^content-length: *(\d+)/i', $line, $found)) {
            $length = (int) $found[1];
        }
    }
    return [$connection, $request, $length > 0 ? stream_get_contents($connection, $length) : ''];
}
