<?php
/** What a layer has beside PHP and its extensions: time zones, character sets, certificates, names, processes. */
declare(strict_types=1);

return [
    'time zones' => function (): void {
        expect(true, count(DateTimeZone::listIdentifiers()) > 400, 'there are many');
        foreach ([
            ['Europe/Berlin', '2026-03-29 02:30', '2026-03-29T03:30:00+02:00'], // an hour that is left out
            ['America/New_York', '2026-11-01 12:00', '2026-11-01T12:00:00-05:00'],
            ['Asia/Kolkata', '2026-07-01 12:00', '2026-07-01T12:00:00+05:30'],
            ['Australia/Lord_Howe', '2026-01-01 12:00', '2026-01-01T12:00:00+11:00'],
            ['Pacific/Apia', '2011-12-31 12:00', '2011-12-31T12:00:00+14:00'], // the day after one that never was
        ] as [$zone, $time, $wanted]) {
            expect($wanted, (new DateTimeImmutable($time, new DateTimeZone($zone)))->format(DATE_ATOM), $zone);
        }
        $changes = (new DateTimeZone('Europe/Berlin'))->getTransitions(1767225600, 1798761599);
        expect(['UTC', 'CEST', 'CET'], [date_default_timezone_get(), $changes[1]['abbr'], $changes[2]['abbr']], 'summer time');
    },

    'the locale C.utf8' => function (): void {
        expect('C.utf8', setlocale(LC_ALL, 'C.utf8'), 'it is there');
        // without a locale for UTF-8 this drops the letter
        expect("'ä'", escapeshellarg('ä'), 'what the locale does');
        setlocale(LC_ALL, 'C');
    },

    'certificates of the world' => function (): void {
        $default = openssl_get_cert_locations()['default_cert_file'];
        $file = ini_get('openssl.cafile') ?: $default;
        preg_match_all('/-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----/s', file_get_contents($file), $found);
        expect(true, count($found[0]) > 100, "more than 100 in $file");
        foreach ($found[0] as $certificate) {
            expect(true, openssl_x509_read($certificate) !== false, 'a certificate that can be read');
        }
        expect(true, realpath($file) === realpath(curl_getinfo(curl_init(), CURLINFO_CAINFO)), "curl's are the same");
        // true only if OpenSSL finds them by itself: the issuer is looked for where its defaults are
        expect(true, openssl_x509_checkpurpose($found[0][0], X509_PURPOSE_ANY), "OpenSSL's are the same ($default)");
    },

    'TLS' => function (): void {
        $folder = temporary_folder();
        $authority = authority($folder);
        $good = certificate($folder, 'good', 'localhost', $authority);
        $other = certificate($folder, 'other', 'other.example', $authority);
        $own = certificate($folder, 'own', 'localhost', null);
        foreach ([
            'a good certificate' => [$good, "$folder/authority.pem", null],
            'a certificate for another host' => [$other, "$folder/authority.pem", '/did not match expected CN/'],
            'a certificate that nobody signed' => [$own, "$folder/authority.pem", '/certificate verify failed/'],
            'an authority that only we know' => [$good, null, '/certificate verify failed/'],
        ] as $what => [$certificate, $cafile, $refused]) {
            $curl_error = $refused === null ? 0 : CURLE_SSL_PEER_CERTIFICATE;
            $server = Child::server('http', $certificate);
            try {
                $url = 'https://localhost:' . $server->port() . '/';
                $get = fn () => file_get_contents($url, context: stream_context_create([
                    'ssl' => $cafile === null ? [] : ['cafile' => $cafile],
                ]));
                if ($refused === null) {
                    expect_match('{GET ./ HTTP./1}', $get(), "$what, for streams");
                } else {
                    expect_tls_failure($refused, $get, "$what, for streams");
                }
                $request = curl_init($url);
                curl_setopt_array($request, [CURLOPT_RETURNTRANSFER => true] + ($cafile === null ? [] : [CURLOPT_CAINFO => $cafile]));
                $answer = curl_exec($request);
                $what = "$what, for curl (" . curl_error($request) . ')';
                expect([$curl_error, $curl_error === 0], [curl_errno($request), is_string($answer)], $what);
            } finally {
                $server->kill();
            }
        }
    },

    'names' => function (): void {
        expect('127.0.0.1', gethostbyname('localhost'), 'localhost');
        $dns = Child::server('dns');
        $http = Child::server('http');
        try {
            $dns->port();
            expect('127.0.0.1', gethostbyname('layer.example'), 'a name');
            expect('nothing.example', gethostbyname('nothing.example'), 'a name that is not there');
            $record = dns_get_record('layer.example', DNS_MX)[0];
            expect(['mail.layer.example', 10], [$record['target'], $record['pri']], 'a mail server');
            expect('it works', dns_get_record('layer.example', DNS_TXT)[0]['txt'], 'a text');
            expect(true, checkdnsrr('layer.example', 'A'), 'whether there is one');
            // getaddrinfo(), in PHP itself and in curl's thread
            $url = 'http://layer.example:' . $http->port() . '/';
            expect_match('{GET ./ HTTP./1}', file_get_contents($url), 'a connection of a stream');
            $request = curl_init($url);
            curl_setopt($request, CURLOPT_RETURNTRANSFER, true);
            expect_match('{GET ./ HTTP./1}', (string) curl_exec($request), 'a connection of curl ' . curl_error($request));
        } finally {
            $dns->kill();
            $http->kill();
        }
    },

    'a command line' => function (): void {
        $child = new Child('-r', '
            echo json_encode([PHP_BINARY, PHP_VERSION, PHP_SAPI, stream_get_contents(STDIN), getenv("LD_LIBRARY_PATH"),
                ini_get("memory_limit"), ini_get("date.timezone"), function_exists("opcache_get_status")]);
            exit(3);');
        [$output, $code] = $child->end('input');
        expect(3, $code, 'the exit code');
        $wanted = ['/opt/bin/php', PHP_VERSION, 'cli', 'input', getenv('LD_LIBRARY_PATH'), '-1', 'UTC', true];
        expect($wanted, json_decode($output, true), 'what it says');
    },

    "the host's own programs" => function (): void {
        if (!file_exists('/bin/sh')) {
            expect_failure('/Unable to fork|No such file|not found/', fn () => exec('true', $output, $code) === false || $code === 127
                ? throw new RuntimeException('not found') : 'a shell', 'without a shell');
            return;
        }
        exec('ls -d / && cat /proc/self/maps', $output, $code);
        expect([0, '/'], [$code, $output[0]], 'they run');
        expect([], preg_grep('{/opt/php/lib}', $output), "they do not load the layer's libraries");
    },

    'what can be written' => function (): void {
        expect('/tmp', sys_get_temp_dir(), 'where temporary files go');
        expect(true, is_writable('/tmp'), 'it can be written');
        expect(false, is_dir('/dev/shm'), 'there is no /dev/shm');
        if (posix_geteuid() !== 0) {
            expect([false, false], [is_writable('/opt/php'), is_writable(__DIR__)], 'nothing else can');
        }
    },
];

/** PHP gives two warnings, and the first has the reason. */
function expect_tls_failure(string $pattern, callable $action, string $what): void
{
    $warnings = [];
    set_error_handler(function (int $level, string $message) use (&$warnings): bool {
        $warnings[] = $message;
        return true;
    });
    try {
        $result = $action();
    } finally {
        restore_error_handler();
    }
    expect(false, $result, $what);
    expect_match($pattern, implode("\n", $warnings), $what);
}

function authority(string $folder): array
{
    $key = openssl_pkey_new(['private_key_type' => OPENSSL_KEYTYPE_EC, 'curve_name' => 'prime256v1']);
    file_put_contents("$folder/authority.cnf", "[req]\ndistinguished_name=name\n[name]\n[extensions]\nbasicConstraints=critical,CA:true\n"
        . "keyUsage=keyCertSign\nsubjectKeyIdentifier=hash\n");
    $options = ['config' => "$folder/authority.cnf", 'x509_extensions' => 'extensions', 'digest_alg' => 'sha256'];
    $certificate = openssl_csr_sign(openssl_csr_new(['commonName' => 'Authority of the test'], $key, $options), null, $key, 1, $options, 1);
    openssl_x509_export_to_file($certificate, "$folder/authority.pem");
    return [$certificate, $key];
}

/** A file with a certificate for the host and its key, signed by the authority, or by itself without one. */
function certificate(string $folder, string $name, string $host, ?array $authority): string
{
    $key = openssl_pkey_new(['private_key_type' => OPENSSL_KEYTYPE_EC, 'curve_name' => 'prime256v1']);
    file_put_contents("$folder/$name.cnf", "[req]\ndistinguished_name=name\n[name]\n[extensions]\nsubjectAltName=DNS:$host\n");
    $options = ['config' => "$folder/$name.cnf", 'x509_extensions' => 'extensions', 'digest_alg' => 'sha256'];
    [$issuer, $issuer_key] = $authority ?? [null, $key];
    $request = openssl_csr_new(['commonName' => $host], $key, $options);
    $certificate = openssl_csr_sign($request, $issuer, $issuer_key, 1, $options, random_int(2, PHP_INT_MAX));
    openssl_x509_export($certificate, $text);
    openssl_pkey_export($key, $key_text, null, ['config' => "$folder/$name.cnf"]);
    file_put_contents("$folder/$name.pem", $text . $key_text);
    return "$folder/$name.pem";
}
