<?php
// An HTTP server, or with a certificate an HTTPS one: says what it was asked, gzipped where the client takes that. Prints its port
// first and serves until it is killed.
declare(strict_types=1);

$certificate = $argv[1] ?? null;
$context = stream_context_create($certificate === null ? [] : ['ssl' => ['local_cert' => $certificate]]);
$server = stream_socket_server('tcp://127.0.0.1:0', context: $context);
echo substr(strrchr(stream_socket_get_name($server, false), ':'), 1), "\n";
for (;;) {
    $client = @stream_socket_accept($server, 60);
    if ($client === false) {
        exit(1); // nobody came: the test is gone
    }
    // a client that refuses the certificate ends the handshake
    if ($certificate !== null && !@stream_socket_enable_crypto($client, true, STREAM_CRYPTO_METHOD_TLS_SERVER)) {
        fclose($client);
        continue;
    }
    $request = fgets($client);
    if ($request === false) {
        fclose($client);
        continue;
    }
    $length = 0;
    $gzip = false;
    while (($line = fgets($client)) !== false && trim($line) !== '') {
        [$name, $value] = explode(':', $line, 2);
        $length = strcasecmp($name, 'Content-Length') === 0 ? (int) $value : $length;
        $gzip = $gzip || strcasecmp($name, 'Accept-Encoding') === 0 && str_contains($value, 'gzip');
    }
    $body = json_encode(['request' => trim($request), 'body' => $length > 0 ? stream_get_contents($client, $length) : '']);
    $body = $gzip ? gzencode($body) : $body;
    fwrite($client, "HTTP/1.1 200 OK\r\nConnection: close\r\n" . ($gzip ? "Content-Encoding: gzip\r\n" : '')
        . 'Content-Length: ' . strlen($body) . "\r\n\r\n" . $body);
    fclose($client);
}
