<?php
// As much of an FTP server as one upload, one listing and one download take, in passive mode. Prints its port first.
declare(strict_types=1);

$server = stream_socket_server('tcp://127.0.0.1:0');
echo substr(strrchr(stream_socket_get_name($server, false), ':'), 1), "\n";
$control = stream_socket_accept($server, 60);
$say = fn (string $line) => fwrite($control, "$line\r\n");
$files = [];
$passive = null;
$say('220 ready');
while (($line = fgets($control)) !== false) {
    [$command, $argument] = explode(' ', trim($line) . ' ', 2);
    $argument = trim($argument);
    switch (strtoupper($command)) {
        case 'USER':
            $say('331 password?');
            break;
        case 'PASS':
            $say($argument === 'secret' ? '230 welcome' : '530 no');
            break;
        case 'PASV':
            $passive = stream_socket_server('tcp://127.0.0.1:0');
            $port = (int) substr(strrchr(stream_socket_get_name($passive, false), ':'), 1);
            $say(sprintf('227 Entering Passive Mode (127,0,0,1,%d,%d)', $port >> 8, $port & 255));
            break;
        case 'STOR':
        case 'RETR':
        case 'NLST':
            $say('150 here it comes');
            $data = stream_socket_accept($passive, 60);
            match (strtoupper($command)) {
                'STOR' => $files[basename($argument)] = stream_get_contents($data),
                'RETR' => fwrite($data, $files[basename($argument)]),
                'NLST' => fwrite($data, implode("\r\n", array_keys($files)) . "\r\n"),
            };
            fclose($data);
            $say('226 done');
            break;
        case 'TYPE':
            $say('200 fine');
            break;
        case 'QUIT':
            $say('221 bye');
            exit;
        default:
            $say('502 not here');
    }
}
