<?php
/** One real use of every extension of the base layer, under the extension's own name. */
declare(strict_types=1);

return [
    'Core' => function (): void {
        expect(64, PHP_INT_SIZE * 8, 'bits of an integer');
        expect('fpm-fcgi', PHP_SAPI, 'what runs this');
        expect('6', (new class {
            public string $hooked { get => (string) array_sum([1, 2, 3]); }
        })->hooked, 'a property hook');
    },

    'PDO' => fn () => expect([], array_diff(['mysql', 'sqlite'], PDO::getAvailableDrivers()), 'missing drivers'),

    'Phar' => function (): void {
        $folder = temporary_folder();
        // phar.readonly can be turned off on the command line alone
        $child = new Child('-d', 'phar.readonly=0', '-r', '
            $phar = new Phar($argv[1]);
            $phar["a.php"] = "<?php return 6 * 7;";
            $phar->compressFiles(Phar::GZ);
            echo $phar->getSignature()["hash_type"];', "$folder/a.phar");
        expect(['SHA-256', 0], $child->end(), 'the archive is written');
        expect(42, require "phar://$folder/a.phar/a.php", 'code out of the archive');
        $tar = new PharData("$folder/b.tar");
        $tar['b.txt'] = 'b';
        expect('b', file_get_contents('phar://' . $tar->compress(Phar::GZ)->getPath() . '/b.txt'), 'a tar.gz');
    },

    'Reflection' => fn () => expect('array', (string) (new ReflectionFunction('array_merge'))->getReturnType(), 'a type'),

    'SPL' => function (): void {
        $heap = new SplMinHeap();
        array_map($heap->insert(...), [3, 1, 2]);
        expect([1, 2, 3], iterator_to_array(new ArrayIterator([$heap->extract(), $heap->extract(), $heap->extract()])), 'a heap');
    },

    'SimpleXML' => function (): void {
        $document = simplexml_load_string("<?xml version='1.0' encoding='ISO-8859-1'?><a b='\xe9'/>");
        expect('é', (string) $document['b'], 'an attribute');
    },

    'Zend OPcache' => function (): void {
        $status = opcache_get_status();
        expect(true, $status['opcache_enabled'], 'enabled');
        expect(true, isset($status['scripts'][__FILE__]), 'this file is in the cache');
        expect(false, $status['cache_full'], 'full');
    },

    'apcu' => function (): void {
        expect(true, apcu_enabled(), 'enabled');
        expect(3, apcu_inc('counter', 3, ttl: 60), 'a new counter');
        expect(4, apcu_inc('counter'), 'the counter');
        apcu_delete('counter');
        expect(false, apcu_exists('counter'), 'deleted');
    },

    'bcmath' => fn () => expect('1.41421356237309504880', bcsqrt('2', 20), 'the root of 2'),

    'cgi-fcgi' => fn () => expect(true, getallheaders() !== [] && function_exists('fastcgi_finish_request'), 'the request'),

    'ctype' => fn () => expect([true, false], [ctype_xdigit('beef'), ctype_xdigit('beer')], 'digits'),

    'curl' => function (): void {
        $version = curl_version();
        foreach (['SSL', 'LIBZ', 'HTTP2', 'IPV6', 'ASYNCHDNS'] as $feature) {
            $bit = constant("CURL_VERSION_$feature");
            expect($bit, $version['features'] & $bit, $feature);
        }
        $server = Child::server('http');
        try {
            $url = 'http://localhost:' . $server->port() . '/a?b=c';
            $request = curl_init($url);
            curl_setopt_array($request, [CURLOPT_RETURNTRANSFER => true, CURLOPT_ENCODING => '', CURLOPT_POSTFIELDS => 'posted']);
            $answer = curl_exec($request);
            expect('', curl_error($request), 'error');
            expect(['request' => 'POST /a?b=c HTTP/1.1', 'body' => 'posted'], json_decode($answer, true), 'what the server saw');
            $several = curl_multi_init();
            $requests = [];
            for ($number = 0; $number < 3; $number++) {
                $requests[$number] = curl_init("$url$number");
                curl_setopt($requests[$number], CURLOPT_RETURNTRANSFER, true);
                curl_multi_add_handle($several, $requests[$number]);
            }
            do {
                curl_multi_exec($several, $running);
                curl_multi_select($several);
            } while ($running > 0);
            foreach ($requests as $number => $request) {
                expect("GET /a?b=c$number HTTP/1.1", json_decode(curl_multi_getcontent($request), true)['request'], 'one of several');
            }
        } finally {
            $server->kill();
        }
    },

    'date' => function (): void {
        expect('UTC', date_default_timezone_get(), 'the default time zone');
        $date = new DateTimeImmutable('2026-02-28 12:00 Asia/Tokyo');
        expect('2026-03-01T03:00:00+00:00', $date->modify('+1 day')->setTimezone(new DateTimeZone('UTC'))->format(DATE_ATOM), 'a date');
    },

    'dom' => function (): void {
        $document = Dom\HTMLDocument::createFromString('<!DOCTYPE html><p class=x>a<p>b', LIBXML_NOERROR);
        expect('a', $document->querySelector('p.x')->textContent, 'HTML 5');
        $xml = new DOMDocument();
        $xml->loadXML('<list><item n="1"/><item n="2"/></list>');
        expect('2', (new DOMXPath($xml))->evaluate('string(//item[last()]/@n)'), 'XPath');
        $schema = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="list"><xs:complexType><xs:sequence>
            <xs:element name="item" maxOccurs="2"><xs:complexType><xs:attribute name="n" type="xs:integer"/></xs:complexType></xs:element>
            </xs:sequence></xs:complexType></xs:element></xs:schema>';
        expect(true, $xml->schemaValidateSource($schema), 'a schema');
        expect('<list><item n="1"></item><item n="2"></item></list>', $xml->C14N(), 'canonical XML');
    },

    'exif' => function (): void {
        // an EXIF block with the one field Make, in the smallest JPEG file that has one
        $exif = "Exif\0\0MM\0*\0\0\0\x08" . pack('nnnNN', 1, 0x010f, 2, 6, 26) . pack('N', 0) . "Maker\0";
        $file = temporary_folder() . '/a.jpg';
        file_put_contents($file, "\xff\xd8\xff\xe1" . pack('n', strlen($exif) + 2) . $exif
            . "\xff\xc0" . pack('nCnnC', 11, 8, 1, 1, 1) . "\x01\x11\0"
            . "\xff\xda" . pack('n', 8) . "\x01\x01\0\0\x3f\0" . "\0\xff\xd9");
        expect('Maker', exif_read_data($file)['Make'], 'the camera');
        expect(IMAGETYPE_JPEG, exif_imagetype($file), 'the type');
    },

    'fileinfo' => function (): void {
        $png = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR" . pack('NN', 3, 2) . "\x08\x02\0\0\0";
        expect('image/png', (new finfo(FILEINFO_MIME_TYPE))->buffer($png), 'a type');
        expect_match('/PNG image data, 3 x 2/', (new finfo())->buffer($png), 'a description');
        $file = temporary_folder() . '/a';
        file_put_contents($file, "%PDF-1.7\n");
        expect('application/pdf', mime_content_type($file), 'the type of a file');
    },

    'filter' => function (): void {
        expect('a@example.com', filter_var('a@example.com', FILTER_VALIDATE_EMAIL), 'an address');
        expect(false, filter_var('10.0.0.1', FILTER_VALIDATE_IP, FILTER_FLAG_NO_PRIV_RANGE), 'a private address');
    },

    'ftp' => function (): void {
        $server = Child::server('ftp');
        try {
            $connection = ftp_connect('localhost', $server->port());
            expect(true, ftp_login($connection, 'user', 'secret'), 'login');
            ftp_pasv($connection, true);
            $file = temporary_folder() . '/a';
            file_put_contents($file, 'uploaded');
            expect(true, ftp_put($connection, 'a.txt', $file, FTP_BINARY), 'an upload');
            expect(['a.txt'], ftp_nlist($connection, '.'), 'the list');
            expect(true, ftp_get($connection, "$file.back", 'a.txt', FTP_BINARY), 'a download');
            expect('uploaded', file_get_contents("$file.back"), 'what came back');
            ftp_close($connection);
        } finally {
            $server->kill();
        }
    },

    'hash' => function (): void {
        expect('3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532', hash('sha3-256', 'abc'), 'SHA3');
        expect('06b05ab6733a618578af5f94892f3950', hash('xxh128', 'abc'), 'XXH3');
        expect(32, strlen(hash_hkdf('sha256', 'key', 32)), 'HKDF');
    },

    'json' => fn () => expect('{"a":["€",1.5]}', json_encode(json_decode('{"a":["\u20ac",15e-1]}'), JSON_UNESCAPED_UNICODE), 'there and back'),

    // in 8.5 an extension of its own; dom's HTML 5 and uri stand on it
    'lexbor' => fn () => expect('<p>a</p>', Dom\HTMLDocument::createFromString('<p>a', LIBXML_NOERROR)->body->innerHTML, 'HTML 5'),

    'libxml' => function (): void {
        libxml_use_internal_errors(true);
        simplexml_load_string('<a>');
        expect_match('/Premature end of data/', libxml_get_errors()[0]->message, 'the error');
        libxml_clear_errors();
        libxml_use_internal_errors(false);
    },

    'mbstring' => function (): void {
        expect('ÄΣЯ', mb_strtoupper('äσя'), 'upper case');
        expect("\x82\xa0", mb_convert_encoding('あ', 'SJIS', 'UTF-8'), 'Shift JIS');
        expect('あ', mb_convert_encoding("\x1b\$B\$\"\x1b(B", 'UTF-8', 'ISO-2022-JP'), 'ISO-2022-JP');
        mb_regex_encoding('UTF-8');
        expect('b-a', mb_ereg_replace('(?<first>\w)(?<second>\w)', '\k<second>-\k<first>', 'ab'), 'a regular expression');
        expect(true, mb_ereg('^\p{Hiragana}+$', 'あい'), 'a script');
        expect('EUC-JP', mb_detect_encoding("\xa4\xa2", ['ASCII', 'EUC-JP'], true), 'detection');
    },

    'mysqli' => function (): void {
        mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
        expect_failure('/Connection refused/',
            fn () => mysqli_connect('127.0.0.1', 'user', 'password', 'database', refused_port()), 'a port that nobody listens on');
    },

    'mysqlnd' => function (): void {
        expect_match('/^mysqlnd 8\./', mysqli_get_client_info(), 'the client');
        // a server's greeting that says it is too busy, as far as mysqlnd's reading of the protocol goes
        $server = stream_socket_server('tcp://127.0.0.1:0');
        $port = (int) substr(strrchr(stream_socket_get_name($server, false), ':'), 1);
        $child = new Child('-r', '
            mysqli_report(0);
            @mysqli_connect("127.0.0.1", "u", "p", "d", (int) $argv[1]);
            echo mysqli_connect_errno(), mysqli_connect_error();', (string) $port);
        $client = stream_socket_accept($server, 30);
        $packet = "\xff" . pack('v', 1040) . '#08004Too many connections';
        fwrite($client, substr(pack('V', strlen($packet)), 0, 3) . "\0" . $packet);
        expect(['1040Too many connections', 0], $child->end(), 'what the server says');
    },

    'openssl' => function (): void {
        // the request needs openssl.cnf
        $key = openssl_pkey_new(['private_key_type' => OPENSSL_KEYTYPE_EC, 'curve_name' => 'prime256v1']);
        $request = openssl_csr_new(['commonName' => 'layer.example'], $key);
        expect('layer.example', openssl_csr_get_subject($request)['CN'], 'the request for a certificate');
        $certificate = openssl_csr_sign($request, null, $key, 1, ['digest_alg' => 'sha256']);
        expect(1, openssl_x509_verify($certificate, openssl_pkey_get_details($key)['key']), 'the certificate');
        $rsa = openssl_pkey_new(['private_key_type' => OPENSSL_KEYTYPE_RSA, 'private_key_bits' => 2048]);
        expect(true, openssl_sign('message', $signature, $rsa, OPENSSL_ALGO_SHA256), 'a signature');
        expect(1, openssl_verify('message', $signature, openssl_pkey_get_details($rsa)['key'], OPENSSL_ALGO_SHA256), 'the signature');
        [$password, $vector] = [random_bytes(32), random_bytes(12)];
        $secret = openssl_encrypt('message', 'aes-256-gcm', $password, OPENSSL_RAW_DATA, $vector, $tag);
        expect('message', openssl_decrypt($secret, 'aes-256-gcm', $password, OPENSSL_RAW_DATA, $vector, $tag), 'AES-GCM');
        expect(true, openssl_pkcs12_export($certificate, $store, $key, 'password'), 'PKCS #12');
        expect(true, openssl_pkcs12_read($store, $read, 'password'), 'reading PKCS #12');
    },

    'pcre' => function (): void {
        expect('1', ini_get('pcre.jit'), 'pcre.jit');
        expect(['über', 'Maß'], preg_split('/\P{L}+/u', 'über 1 Maß'), 'Unicode');
    },

    // in a program of its own: a worker must not fork
    'pcntl' => function (): void {
        $child = new Child('-r', '
            $pair = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
            $pid = pcntl_fork();
            if ($pid === 0) {
                fwrite($pair[0], "forked");
                exit(3);
            }
            pcntl_waitpid($pid, $status);
            pcntl_async_signals(true);
            pcntl_signal(SIGUSR1, function () { echo " signalled"; });
            echo fread($pair[1], 6), pcntl_wexitstatus($status);
            posix_kill(getmypid(), SIGUSR1);');
        expect(['forked3 signalled', 0], $child->end(), 'a child of the child');
    },

    'pdo_mysql' => fn () => expect_failure('/\[2002\] Connection refused/',
        fn () => new PDO('mysql:host=127.0.0.1;port=' . refused_port(), 'user', 'password'), 'a port that nobody listens on'),

    'pdo_sqlite' => function (): void {
        $database = new PDO('sqlite:' . temporary_folder() . '/a.db');
        $database->exec('create table a (b text); insert into a values (\'c\')');
        expect([['b' => 'c']], $database->query('select b from a')->fetchAll(PDO::FETCH_ASSOC), 'a row');
    },

    'posix' => function (): void {
        expect(fileowner('/proc/self'), posix_geteuid(), 'the user');
        expect(getmypid(), posix_getpid(), 'the process');
        expect(true, posix_times()['ticks'] > 0, 'ticks');
    },

    'random' => function (): void {
        mt_srand(1);
        expect([895547922, 2141438069], [mt_rand(), mt_rand()], 'a seeded generator');
        expect(8, strlen((new Random\Randomizer())->getBytes(8)), 'bytes');
    },

    'session' => fn () => expect('/tmp', session_save_path(), 'where sessions go'),

    'sockets' => function (): void {
        $server = socket_create(AF_INET, SOCK_DGRAM, SOL_UDP);
        socket_bind($server, '127.0.0.1');
        socket_getsockname($server, $address, $port);
        $client = socket_create(AF_INET, SOCK_DGRAM, SOL_UDP);
        socket_sendto($client, 'hello', 5, 0, $address, $port);
        socket_recvfrom($server, $message, 100, 0, $from, $from_port);
        expect('hello', $message, 'a datagram');
        $address = socket_addrinfo_lookup('localhost', '80', ['ai_family' => AF_INET])[0];
        expect('127.0.0.1', socket_addrinfo_explain($address)['ai_addr']['sin_addr'], 'an address');
    },

    'sodium' => function (): void {
        [$ours, $theirs] = [sodium_crypto_box_keypair(), sodium_crypto_box_keypair()];
        $nonce = random_bytes(SODIUM_CRYPTO_BOX_NONCEBYTES);
        $box = sodium_crypto_box('message', $nonce, sodium_crypto_box_keypair_from_secretkey_and_publickey(
            sodium_crypto_box_secretkey($ours), sodium_crypto_box_publickey($theirs)));
        expect('message', sodium_crypto_box_open($box, $nonce, sodium_crypto_box_keypair_from_secretkey_and_publickey(
            sodium_crypto_box_secretkey($theirs), sodium_crypto_box_publickey($ours))), 'the box');
        $hash = sodium_crypto_pwhash_str('password', 1, SODIUM_CRYPTO_PWHASH_MEMLIMIT_INTERACTIVE >> 3);
        expect(true, sodium_crypto_pwhash_str_verify($hash, 'password'), 'Argon2');
    },

    'sqlite3' => function (): void {
        $database = new SQLite3(temporary_folder() . '/a.db');
        $database->exec('create virtual table a using fts5(b)');
        $database->exec("insert into a values ('the quick brown fox')");
        expect(1, $database->querySingle("select count(*) from a where a match 'quick'"), 'full text');
        expect('c', $database->querySingle('select json_extract(\'{"b":"c"}\', \'$.b\')'), 'JSON');
        $database->createFunction('double', fn (int $number): int => 2 * $number);
        expect(42, $database->querySingle('select double(21)'), 'a function in PHP');
    },

    'standard' => function (): void {
        expect(true, password_verify('password', password_hash('password', PASSWORD_BCRYPT, ['cost' => 4])), 'bcrypt');
        expect(['a' => [1.5, null]], unserialize(serialize(['a' => [1.5, null]])), 'serialize');
        $png = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR" . pack('NN', 3, 2) . "\x08\x02\0\0\0\0\0\0\0";
        expect([3, 2], array_slice(getimagesizefromstring($png), 0, 2), 'an image');
    },

    'tokenizer' => fn () => expect(['T_OPEN_TAG', 'T_ECHO', 'T_WHITESPACE', 'T_LNUMBER', ';'],
        array_map(fn (PhpToken $token) => $token->getTokenName(), PhpToken::tokenize('<?php echo 1;')), 'tokens'),

    // from 8.5 on
    'uri' => function (): void {
        expect('example.com', (new Uri\Rfc3986\Uri('https://user@Example.COM/a/../b'))->getHost(), 'a URI');
        expect('xn--mnchen-3ya.example', (new Uri\WhatWg\Url('https://münchen.example/'))->getAsciiHost(), 'a URL');
    },

    'xml' => function (): void {
        $parser = xml_parser_create('UTF-8');
        $seen = [];
        xml_set_element_handler($parser, function ($parser, string $name) use (&$seen): void {
            $seen[] = $name;
        }, fn () => null);
        xml_parse($parser, '<a><b/></a>', true);
        expect(['A', 'B'], $seen, 'elements');
    },

    'xmlreader' => function (): void {
        $reader = XMLReader::XML('<a><b>c</b></a>');
        while ($reader->read() && $reader->name !== 'b');
        expect('c', $reader->readString(), 'an element');
    },

    'xmlwriter' => function (): void {
        $writer = new XMLWriter();
        $writer->openMemory();
        $writer->writeElement('a', '<');
        expect('<a>&lt;</a>', $writer->outputMemory(), 'an element');
    },

    'zip' => function (): void {
        $file = temporary_folder() . '/a.zip';
        $zip = new ZipArchive();
        $zip->open($file, ZipArchive::CREATE);
        $zip->addFromString('plain.txt', str_repeat('plain ', 100));
        $zip->addFromString('secret.txt', 'secret');
        expect(true, $zip->setEncryptionName('secret.txt', ZipArchive::EM_AES_256, 'password'), 'AES');
        $zip->close();
        $zip->open($file);
        expect(str_repeat('plain ', 100), $zip->getFromName('plain.txt'), 'a file');
        expect(false, $zip->getFromName('secret.txt'), 'without the password');
        $zip->setPassword('password');
        expect('secret', $zip->getFromName('secret.txt'), 'with the password');
    },

    'zlib' => function (): void {
        expect('text', gzdecode(gzencode('text')), 'gzip');
        $file = temporary_folder() . '/a.gz';
        file_put_contents("compress.zlib://$file", 'text');
        expect("\x1f\x8b", substr(file_get_contents($file), 0, 2), 'a gzip file');
        $deflate = deflate_init(ZLIB_ENCODING_RAW);
        expect('text', inflate_add(inflate_init(ZLIB_ENCODING_RAW), deflate_add($deflate, 'text', ZLIB_FINISH)), 'a stream');
    },
];
