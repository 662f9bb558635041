<?php
/**
 * Runs the function beside it in AWS's emulator, inside the container, and asks it for everything:
 *
 *     php client.php EMULATOR [base|extensions] [plain|instances] [--first-failure]
 *
 * One line for each check: "ok: …" or "FAILED: …".
 */
declare(strict_types=1);

const ADDRESS = '127.0.0.1:8080';
const EXTENSIONS = [
    'base' => [
        'Core', 'PDO', 'Phar', 'Reflection', 'SPL', 'SimpleXML', 'Zend OPcache', 'apcu', 'bcmath', 'cgi-fcgi',
        'ctype', 'curl', 'date', 'dom', 'exif', 'fileinfo', 'filter', 'ftp', 'hash', 'iconv', 'json', 'libxml',
        'mbstring', 'mysqli', 'mysqlnd', 'openssl', 'pcntl', 'pcre', 'pdo_mysql', 'pdo_sqlite', 'posix', 'random', 'session',
        'sockets', 'sodium', 'sqlite3', 'standard', 'tokenizer', 'xml', 'xmlreader', 'xmlwriter', 'zip', 'zlib',
    ],
    'extensions' => [
        'FFI', 'bz2', 'calendar', 'gd', 'gettext', 'gmp', 'igbinary', 'imagick', 'intl', 'pdo_pgsql', 'pgsql',
        'redis', 'shmop', 'soap', 'sysvmsg', 'sysvsem', 'sysvshm', 'xsl',
    ],
];
// from PHP 8.5 on
const LATER = ['lexbor', 'uri'];

[, $program, $layers, $mode] = $argv;
$first_failure = in_array('--first-failure', $argv, true);
$failures = 0;

$emulator = proc_open(
    [$program, '--log-level', 'debug', '--runtime-interface-emulator-address', ADDRESS, '--runtime-api-address', '127.0.0.1:9001',
        '/opt/bootstrap', 'index.php'],
    [['file', '/dev/null', 'r'], ['file', '/tmp/emulator.log', 'w'], ['redirect', 1]],
    $pipes,
);
register_shutdown_function(function () use ($emulator): void {
    proc_terminate($emulator);
    proc_close($emulator);
});
wait_until(fn () => @stream_socket_client('tcp://' . ADDRESS) !== false, 'its port is open');

$hello = invoke(['path' => '/hello']);
if (($hello['body'] ?? null) !== '{"path":"\/hello"}') {
    report('the emulator', 'it does not answer: ' . json_encode($hello, JSON_UNESCAPED_SLASHES));
}
report('it answers', true);
if ($mode === 'instances') {
    four_slots();
}
$loaded = json('/limits')['extensions'];
$wanted = $layers === 'extensions' ? [...EXTENSIONS['base'], ...EXTENSIONS['extensions']] : EXTENSIONS['base'];
foreach (array_diff($wanted, $loaded) as $missing) {
    report($missing, 'is not loaded');
}
foreach (array_diff($loaded, $wanted, LATER) as $unknown) {
    report($unknown, 'is loaded, but nothing here uses it');
}
foreach ($layers === 'extensions' ? ['iconv', 'extensions', 'base', 'system'] : ['iconv', 'base', 'system'] as $set) {
    foreach (json("/checks/$set") as $name => $result) {
        if (in_array($name, LATER, true) && !in_array($name, $loaded, true)) {
            continue;
        }
        report($name, $result);
    }
}

check('session and APCu last from one request to the next', function (): void {
    $first = invoke(['path' => '/keep', 'query' => 'value=kept']);
    [$cookie] = explode(';', $first['cookies'][0]);
    same(true, json_decode($first['body'], true)['apcu']);
    same(['session' => 'kept', 'apcu' => 'kept'], json_decode(invoke(['path' => '/kept', 'cookies' => [$cookie]])['body'], true));
});

check('an upload', function (): void {
    $file = random_bytes(300_000);
    $body = "--limit\r\nContent-Disposition: form-data; name=\"field\"\r\n\r\nvalue\r\n"
        . "--limit\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n$file\r\n--limit--\r\n";
    $type = 'multipart/form-data; boundary=limit';
    $answer = json_decode(invoke(['path' => '/upload', 'method' => 'POST', 'type' => $type, 'body' => $body])['body'], true);
    same(['field' => 'value', 'name' => 'a.bin', 'error' => 0, 'folder' => '/tmp', 'sha256' => hash('sha256', $file)], $answer);
});

if ($mode === 'instances') {
    check('four invocations at the same time', function (): void {
        four_slots();
        $server = stream_socket_server('tcp://127.0.0.1:0');
        $port = substr(strrchr(stream_socket_get_name($server, false), ':'), 1);
        $requests = array_map(fn () => send(['path' => '/meet', 'query' => "port=$port"]), range(1, 4));
        // each worker waits until all four are there
        $workers = array_map(fn () => stream_socket_accept($server, 60), range(1, 4));
        $numbers = array_map(fn ($worker) => (int) fgets($worker), $workers);
        same(4, count(array_unique($numbers)));
        array_map(fn ($worker) => fwrite($worker, "go\n"), $workers);
        foreach ($requests as $request) {
            same("go\n", json_decode(receive($request)['body'], true)['told']);
        }
    });
}

check('nothing was complained about', function (): void {
    $log = file('/tmp/emulator.log', FILE_IGNORE_NEW_LINES);
    same([], array_values(preg_grep('/PHP (Warning|Fatal|Startup|Deprecated|Notice)|\tWARNING\t|\tERROR\t/', $log)));
});

if ($failures > 0) {
    echo "the emulator's log ends:\n";
    echo implode('', array_slice(file('/tmp/emulator.log'), -20));
}
exit($failures > 0 ? 1 : 0);

/** The emulator refuses an invocation that no slot waits for. */
function four_slots(): void
{
    wait_until(function (): bool {
        $log = file_get_contents('/tmp/emulator.log');
        return substr_count($log, 'Received Runtime /next') === substr_count($log, 'START RequestId') + 4;
    }, 'four slots are ready');
}

/** For what the emulator does not tell: ends with the event, or with the emulator. */
function wait_until(callable $event, string $what): void
{
    global $emulator;
    $patience = hrtime(true) + 60_000_000_000;
    while (!$event()) {
        if (!proc_get_status($emulator)['running'] || hrtime(true) > $patience) {
            report('the emulator', "not so far that $what:\n" . file_get_contents('/tmp/emulator.log'));
        }
    }
}

function json(string $path): array
{
    $answer = invoke(['path' => $path]);
    $value = json_decode($answer['body'] ?? '', true);
    if (!is_array($value)) {
        report($path, 'the answer is ' . json_encode($answer));
        return [];
    }
    return $value;
}

function invoke(array $request): array
{
    return receive(send($request));
}

/** @return resource */
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
        . 'Content-Length: ' . strlen($event) . "\r\n\r\n$event");
    return $connection;
}

function receive($connection): array
{
    $answer = stream_get_contents($connection);
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
