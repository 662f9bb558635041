<?php

/** One of everything that has to be different in every sandbox. */
function values(): array
{
    // a file: SQLite looks only there whether it is in a new process
    $sqlite = new PDO('sqlite:' . getenv('TMPDIR') . '/sqlite');
    return [
        'random_bytes' => bin2hex(random_bytes(16)),
        'random_int' => random_int(0, PHP_INT_MAX),
        'mt_rand' => mt_rand() . '-' . mt_rand(),
        'shuffle' => implode(' ', (new Random\Randomizer(new Random\Engine\Mt19937()))->shuffleArray(range(1, 50))),
        'Randomizer' => bin2hex((new Random\Randomizer())->getBytes(16)),
        'uniqid' => uniqid(),
        'uniqid with more entropy' => uniqid('', true),
        'session_create_id' => session_create_id(),
        'openssl_random_pseudo_bytes' => bin2hex(openssl_random_pseudo_bytes(16)),
        'randomblob of SQLite' => $sqlite->query('SELECT hex(randomblob(16))')->fetchColumn(),
    ];
}

/** Over the connection that the worker keeps: what it is and what it has drawn. */
function tell(string $who): array
{
    ['start_time' => $started, 'misses' => $misses, 'hits' => $hits] = opcache_get_status(false)['opcache_statistics'];
    $told = [
        'who' => $who,
        'pid' => getmypid(),
        'opcache' => ['started' => $started, 'misses' => $misses, 'hits' => $hits],
        'values' => values(),
    ];
    $database = pfsockopen('127.0.0.1', 9002);
    fwrite($database, json_encode($told) . "\n");
    fgets($database);
    return $told;
}
