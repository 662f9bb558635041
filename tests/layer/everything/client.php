<?php
/**
 * Runs the function beside it in AWS's emulator, inside the container, and asks it for everything:
 *
 *     php client.php EMULATOR [base|extensions] [plain|instances] [--first-failure]
 *
 * One line for each check: "ok: …" or "FAILED: …".
 */
declare(strict_types=1);

require __DIR__ . '/emulator.php';

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
start($program, ['file', LOG, 'w']);

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
    $log = file(LOG, FILE_IGNORE_NEW_LINES);
    same([], array_values(preg_grep('/PHP (Warning|Fatal|Startup|Deprecated|Notice)|\tWARNING\t|\tERROR\t/', $log)));
});

finish();

/** The emulator refuses an invocation that no slot waits for. */
function four_slots(): void
{
    wait_until(function (): bool {
        $log = file_get_contents(LOG);
        return substr_count($log, 'Received Runtime /next') === substr_count($log, 'START RequestId') + 4;
    }, 'four slots are ready');
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
