<?php
// In the place of the chat example's model: the test. It says each piece, so PHP has none that the test has not sent.

declare(strict_types=1);

function answer(string $question): Generator
{
    $test = stream_socket_client('tcp://127.0.0.1:9900') ?: throw new RuntimeException('the test does not listen');
    fwrite($test, json_encode($question) . "\n");
    while (($line = fgets($test)) !== false) {
        $order = json_decode($line, true, flags: JSON_THROW_ON_ERROR);
        match (key($order)) {
            'say' => yield $order['say'],
            'throw' => throw new RuntimeException($order['throw']),
            'kill' => exec("kill -{$order['kill']} " . getmypid()),
        };
    }
}
