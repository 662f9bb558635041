<?php
// As much of a Redis server as SET and GET take. Prints its port first and serves one client.
declare(strict_types=1);

$server = stream_socket_server('tcp://127.0.0.1:0');
echo substr(strrchr(stream_socket_get_name($server, false), ':'), 1), "\n";
$client = stream_socket_accept($server, 60);
$values = [];
while (($line = fgets($client)) !== false) {
    $words = [];
    for ($left = (int) substr($line, 1); $left > 0; $left--) {
        $length = (int) substr(fgets($client), 1);
        $words[] = substr(stream_get_contents($client, $length + 2), 0, $length);
    }
    fwrite($client, match (strtoupper($words[0])) {
        'SET' => ($values[$words[1]] = $words[2]) !== null ? "+OK\r\n" : '',
        'GET' => '$' . strlen($values[$words[1]]) . "\r\n" . $values[$words[1]] . "\r\n",
        default => "-ERR not here\r\n",
    });
}
