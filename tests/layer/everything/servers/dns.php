<?php
// A DNS server on 127.0.0.1:53 which knows the one domain layer.example. Prints the port first and serves until it is killed.
declare(strict_types=1);

const A = 1, MX = 15, TXT = 16, AAAA = 28;

$text = 'it works';
$records = [
    A => inet_pton('127.0.0.1'),
    MX => pack('n', 10) . "\x04mail\xc0\x0c",
    TXT => chr(strlen($text)) . $text,
];
$socket = stream_socket_server('udp://127.0.0.1:53', flags: STREAM_SERVER_BIND);
echo "53\n";
while (($query = stream_socket_recvfrom($socket, 4096, 0, $client)) !== false && $query !== '') {
    $end = strpos($query, "\0", 12) + 1;
    $name = substr($query, 12, $end - 12);
    $type = unpack('n', $query, $end)[1];
    $known = $name === "\x05layer\x07example\0";
    $answer = $known && isset($records[$type])
        ? "\xc0\x0c" . pack('nnNn', $type, 1, 60, strlen($records[$type])) . $records[$type]
        : '';
    $flags = 0x8180 | ($known ? 0 : 3); // the answer of a recursive server; 3: no such name
    stream_socket_sendto($socket, substr($query, 0, 2) . pack('nnnnn', $flags, 1, $answer === '' ? 0 : 1, 0, 0)
        . substr($query, 12, $end - 12 + 4) . $answer, 0, $client);
}
