<?php
/**
 * What the clients have in common: the function beside them in AWS's emulator, the calls of it, and one line for each check.
 */
declare(strict_types=1);

const ADDRESS = '127.0.0.1:8080';
const LOG = '/tmp/emulator.log';

$first_failure = in_array('--first-failure', $argv, true);
$failures = 0;

/** Starts it with its log going to $output; its ports are open then. Returns proc_open()'s pipes. */
function start(string $program, array $output): array
{
    global $emulator;
    $emulator = proc_open(
        [$program, '--log-level', 'debug', '--runtime-interface-emulator-address', ADDRESS, '--runtime-api-address', '127.0.0.1:9001',
            '/opt/bootstrap', 'index.php'],
        [['file', '/dev/null', 'r'], $output, ['redirect', 1]],
        $pipes,
    );
    register_shutdown_function(function () use ($emulator): void {
        proc_terminate($emulator);
        proc_close($emulator);
    });
    wait_until(fn () => @stream_socket_client('tcp://' . ADDRESS) !== false, 'its port is open');
    return $pipes;
}

/** For what the emulator does not tell: ends with the event, or with the emulator. */
function wait_until(callable $event, string $what): void
{
    global $emulator;
    $patience = hrtime(true) + 60_000_000_000;
    while (!$event()) {
        if (!proc_get_status($emulator)['running'] || hrtime(true) > $patience) {
            report('the emulator', "not so far that $what:\n" . file_get_contents(LOG));
        }
    }
}

function invoke(array $request): array
{
    return receive(send($request));
}

/**
 * `lambda` are headers for Lambda; the others are the caller's.
 *
 * @return resource
 */
function send(array $request)
{
    $event = json_encode([
        'version' => '2.0',
        'rawPath' => $request['path'],
        'rawQueryString' => $request['query'] ?? '',
        'cookies' => $request['cookies'] ?? [],
        'headers' => ['host' => 'localhost', 'content-type' => $request['type'] ?? 'text/plain'],
        'requestContext' => ['http' => [
            'method' => $request['method'] ?? 'GET',
            'path' => $request['path'],
            'protocol' => 'HTTP/1.1',
            'sourceIp' => '127.0.0.1',
        ]],
        'body' => base64_encode($request['body'] ?? ''),
        'isBase64Encoded' => true,
    ]);
    $connection = stream_socket_client('tcp://' . ADDRESS);
    stream_set_timeout($connection, 120);
    fwrite($connection, "POST /2015-03-31/functions/function/invocations HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . implode('', array_map(fn ($name, $value) => "$name: $value\r\n", array_keys($request['lambda'] ?? []), $request['lambda'] ?? []))
        . 'Content-Length: ' . strlen($event) . "\r\n\r\n$event");
    return $connection;
}

function receive($connection): array
{
    return document(stream_get_contents($connection));
}

/** What the function has posted, of the emulator's whole answer. */
function document(string $answer): array
{
    [$head, $body] = explode("\r\n\r\n", $answer, 2) + ['', ''];
    if (stripos($head, "\r\nTransfer-Encoding: chunked") !== false) {
        $rest = $body;
        for ($body = ''; ($size = (int) hexdec(strtok($rest, "\r\n"))) > 0;) {
            $begin = strpos($rest, "\r\n") + 2;
            $body .= substr($rest, $begin, $size);
            $rest = substr($rest, $begin + $size + 2);
        }
    }
    return json_decode($body, true) ?? ['body' => null, 'raw' => $answer];
}

function check(string $name, callable $check): void
{
    try {
        $check();
        $result = true;
    } catch (Throwable $wrong) {
        $result = $wrong->getMessage();
    }
    report($name, $result);
}

function same(mixed $wanted, mixed $got): void
{
    if ($wanted !== $got) {
        throw new RuntimeException('wanted ' . json_encode($wanted) . ', got ' . json_encode($got));
    }
}

function report(string $name, string|bool $result): void
{
    global $failures, $first_failure;
    if ($result === true) {
        echo "ok: $name\n";
        return;
    }
    $failures++;
    echo "FAILED: $name: $result\n";
    if ($first_failure || $name === 'the emulator') {
        exit(1);
    }
}

/** The end of a client. */
function finish(): never
{
    global $failures;
    if ($failures > 0) {
        echo "the emulator's log ends:\n";
        echo implode('', array_slice(file(LOG), -20));
    }
    exit($failures > 0 ? 1 : 0);
}
