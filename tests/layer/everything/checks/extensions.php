<?php
/** One real use of every extension of the extensions layer, under the extension's own name. */
declare(strict_types=1);

const IMAGICK_FORMATS = '3G2 3GP AAI AI APNG ART ASHLAR AVI AVS BAYER BAYERA BGR BGRA BGRO BIE BMP BMP2 BMP3 BRF CAL CALS CANVAS CAPTION CIN CIP
    CLIP CMYK CMYKA CUBE CUR CUT DATA DCM DCX DDS DFONT DOT DPX DXT1 DXT5 EPDF EPI EPS EPS2 EPS3 EPSF EPSI EPT EPT2 EPT3
    FARBFELD FAX FF FILE FITS FL32 FLV FRACTAL FTP FTS FTXT G3 G4 GIF GIF87 GRADIENT GRAY GRAYA GROUP4 GV HALD HDR HISTOGRAM
    HRZ HTM HTML HTTP HTTPS ICB ICO ICON INFO INLINE IPL ISOBRL ISOBRL6 JBG JBIG JNG JNX JPE JPEG JPG JPS JSON KERNEL LABEL
    M2V M4V MAC MAP MASK MAT MATTE MIFF MKV MNG MONO MOV MP4 MPC MPEG MPG MPO MSL MSVG MTV MVG NULL ORA OTB OTF PAL PALM PAM
    PATTERN PBM PCD PCDS PCL PCT PCX PDB PDF PDFA PES PFA PFB PFM PGM PGX PHM PICON PICT PIX PJPEG PLASMA PNG PNG00 PNG24
    PNG32 PNG48 PNG64 PNG8 PNM POCKETMOD PPM PS PS2 PS3 PSB PSD PTIF PWP QOI RADIAL-GRADIENT RAS RGB RGB565 RGBA RGBO RGF
    RLA RLE SCR SCT SFW SGI SHTML SIX SIXEL SPARSE-COLOR STEGANO STRIMG SUN SVG SVGZ TEXT TGA THUMBNAIL TIFF TIFF64 TILE TIM
    TM2 TTC TTF TXT UBRL UBRL6 UIL UYVY VDA VICAR VID VIFF VIPS VST WBMP WEBM WEBP WMV WPG X XBM XC XCF XPM XPS XV XWD YAML
    YCBCR YCBCRA YUV';

return [
    'each is turned on by one line' => function (): void {
        foreach (glob('/opt/php/extensions/*.so') as $file) {
            $name = basename($file, '.so');
            if ($name === 'opcache') {
                continue;
            }
            // -n: without the php.ini that names all of them
            $child = new Child('-n', '-d', "extension=$file", '-r', 'echo extension_loaded($argv[1]) ? "loaded" : "not loaded";', $name);
            expect(['loaded', 0], $child->end(), $name);
        }
    },

    'FFI' => function (): void {
        $libc = FFI::cdef('size_t strlen(const char *s); int abs(int);', 'libc.so.6');
        expect([5, 7], [$libc->strlen('hello'), $libc->abs(-7)], 'functions of the C library');
    },

    'bz2' => function (): void {
        expect('text', bzdecompress(bzcompress('text')), 'there and back');
        $file = temporary_folder() . '/a.bz2';
        file_put_contents("compress.bzip2://$file", 'text');
        expect('BZh', file_get_contents($file, length: 3), 'a file');
    },

    'calendar' => fn () => expect([15, 30, '4/5/2026'],
        [easter_days(2026), cal_days_in_month(CAL_GREGORIAN, 4, 2026), jdtogregorian(gregoriantojd(4, 5, 2026))], 'Easter'),

    'gd' => function (): void {
        $image = imagecreatetruecolor(8, 6);
        imagefilledrectangle($image, 0, 0, 7, 5, imagecolorallocate($image, 200, 10, 10));
        imagestring($image, 1, 0, 0, 'a', 0xffffff);
        foreach (['png' => 'image/png', 'jpeg' => 'image/jpeg', 'webp' => 'image/webp', 'gif' => 'image/gif'] as $format => $type) {
            ob_start();
            ("image$format")($image);
            $bytes = ob_get_clean();
            expect([8, 6, $type], (fn (array $size) => [$size[0], $size[1], $size['mime']])(getimagesizefromstring($bytes)), "writing $format");
            $pixel = imagecolorat(imagescale(imagecreatefromstring($bytes), 4, 3), 3, 2);
            expect(true, ($pixel >> 16 & 255) > 100 || $format === 'gif', "reading $format");
        }
        expect(true, gd_info()['FreeType Support'], 'FreeType');
        expect_failure('/Could not find\/open font/', fn () => imagettftext($image, 9, 0, 0, 5, 0, '/tmp/none.ttf', 'a'), 'a font that is not there');
    },

    'more character sets of iconv()' => function (): void {
        foreach ([
            "\xc1" => 'EBCDIC-AT-DE EBCDIC-AT-DE-A EBCDIC-CA-FR EBCDIC-DK-NO EBCDIC-DK-NO-A EBCDIC-ES EBCDIC-ES-A EBCDIC-ES-S EBCDIC-FI-SE
                EBCDIC-FI-SE-A EBCDIC-FR EBCDIC-IS-FRISS EBCDIC-IT EBCDIC-PT EBCDIC-UK EBCDIC-US IBM037 IBM038 IBM1025 IBM1026 IBM1047
                IBM1097 IBM1112 IBM1122 IBM1123 IBM1130 IBM1132 IBM1137 IBM1140 IBM1141 IBM1142 IBM1143 IBM1144 IBM1145 IBM1146
                IBM1147 IBM1148 IBM1149 IBM1153 IBM1154 IBM1155 IBM1156 IBM1157 IBM1158 IBM1160 IBM1164 IBM1166 IBM12712 IBM1364
                IBM1371 IBM1388 IBM1390 IBM1399 IBM16804 IBM256 IBM273 IBM274 IBM275 IBM277 IBM278 IBM280 IBM281 IBM284 IBM285
                IBM290 IBM297 IBM420 IBM423 IBM424 IBM4517 IBM4899 IBM4971 IBM500 IBM803 IBM870 IBM871 IBM875 IBM880 IBM9030 IBM905
                IBM918 IBM930 IBM933 IBM935 IBM937 IBM939',
            'A' => 'IBM1004 IBM1008 IBM1046 IBM1124 IBM1129 IBM1133 IBM1161 IBM1162 IBM1163 IBM1167 IBM4909 IBM5347 IBM891 IBM901 IBM902
                IBM903 IBM904 IBM9066 IBM921 IBM922 IBM932 IBM943 IBM9448',
        ] as $encoded => $sets) {
            foreach (preg_split('/\s+/', $sets) as $set) {
                expect([$encoded, 'A'], [iconv('UTF-8', $set, 'A'), iconv($set, 'UTF-8', $encoded)], $set);
            }
        }
        // without a way of its own this goes over Unicode, which lacks the character
        expect("\x53", iconv('IBM1008', 'IBM420', "\x5b"), 'between two Arabic sets');
        // with the tables that these share, and one of the base layer
        expect('漢', iconv('EUC-TW', 'UTF-8', iconv('UTF-8', 'EUC-TW', '漢')), 'CNS 11643');
        expect('漢', iconv('ISO-2022-CN', 'UTF-8', iconv('UTF-8', 'ISO-2022-CN', '漢')), 'CNS 11643 by escapes');
        expect('中', iconv('ISO-2022-CN-EXT', 'UTF-8', iconv('UTF-8', 'ISO-2022-CN-EXT', '中')), 'GB 2312');
    },

    // The only locale of the layer, C.utf8, is never translated: messages stay as they are.
    'gettext' => function (): void {
        $folder = temporary_folder();
        expect($folder, bindtextdomain('test', $folder), 'a folder');
        expect('UTF-8', bind_textdomain_codeset('test', 'UTF-8'), 'a character set');
        expect('test', textdomain('test'), 'a domain');
        expect(['hello', 'hellos'], [gettext('hello'), ngettext('hello', 'hellos', 2)], 'messages');
    },

    'gmp' => fn () => expect('30414093201713378043612608166064768844377641568960512000000000000', gmp_strval(gmp_fact(50)), 'a factorial'),

    'igbinary' => fn () => expect(['a' => [1, 'b', null]], igbinary_unserialize(igbinary_serialize(['a' => [1, 'b', null]])), 'there and back'),

    'imagick' => function (): void {
        $image = new Imagick();
        $image->newImage(8, 6, new ImagickPixel('rgb(200, 10, 10)'));
        // no GIF: ImageMagick takes 130 MB to choose its colours
        foreach (['png', 'jpeg', 'webp', 'bmp', 'tiff'] as $format) {
            expect([strtoupper($format)], Imagick::queryFormats(strtoupper($format)), 'the format');
            $copy = clone $image;
            $copy->setImageFormat($format);
            $read = new Imagick();
            $read->readImageBlob($copy->getImageBlob());
            expect([8, 6], [$read->getImageWidth(), $read->getImageHeight()], $format);
            expect(true, $read->getImagePixelColor(3, 2)->getColor()['r'] > 150, "the colour of $format");
        }
        // each coder is a library of its own, and knows one format or more
        expect([], array_values(array_diff(preg_split('/\s+/', IMAGICK_FORMATS), Imagick::queryFormats())), 'formats that are missing');
        // these are not in ImageMagick's list
        foreach (['8BIM', 'DEBUG', 'DIB', 'MAGICK', 'MPR', 'R'] as $format) {
            expect(true, $image->setImageFormat($format), $format);
        }
        $image->resizeImage(4, 3, Imagick::FILTER_LANCZOS, 1);
        expect(4, $image->getImageWidth(), 'resized');
    },

    'intl' => function (): void {
        $money = (new NumberFormatter('de_DE', NumberFormatter::CURRENCY))->formatCurrency(1234.5, 'EUR');
        expect("1.234,50\u{a0}€", $money, 'money');
        expect(['Äpfel', 'Birnen', 'Zitronen'], (function (): array {
            $words = ['Zitronen', 'Birnen', 'Äpfel'];
            (new Collator('de_DE'))->sort($words);
            return $words;
        })(), 'order');
        $format = new IntlDateFormatter('de_DE', IntlDateFormatter::FULL, IntlDateFormatter::NONE, 'UTC');
        expect('Dienstag, 3. März 2026', $format->format(1772496000), 'a date');
        expect('xn--mnchen-3ya.example', idn_to_ascii('münchen.example'), 'a name');
        expect("\u{e9}", Normalizer::normalize("e\u{301}", Normalizer::FORM_C), 'a normal form');
        expect('Moskva', Transliterator::create('Any-Latin; Latin-ASCII')->transliterate('Москва'), 'a transcription');
        expect('2 Dateien', MessageFormatter::formatMessage('de', '{0, plural, one{# Datei} other{# Dateien}}', [2]), 'a plural');
    },

    'pdo_pgsql' => fn () => expect_failure('/Connection refused/',
        fn () => new PDO('pgsql:host=127.0.0.1;user=user;port=' . refused_port()), 'a port that nobody listens on'),

    'pgsql' => function (): void {
        expect_failure('/Connection refused/',
            fn () => pg_connect('host=127.0.0.1 user=user port=' . refused_port()), 'a port that nobody listens on');
        expect_match('/^1[4-9]\./', PGSQL_LIBPQ_VERSION, 'the client');
    },

    'redis' => function (): void {
        $server = Child::server('redis');
        try {
            $redis = new Redis();
            $redis->connect('127.0.0.1', $server->port());
            $redis->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_PHP);
            $redis->set('key', ['a' => 1]);
            expect(['a' => 1], $redis->get('key'), 'a value');
        } finally {
            $server->kill();
        }
    },

    'shmop' => function (): void {
        $memory = shmop_open(getmypid(), 'n', 0600, 100);
        shmop_write($memory, 'shared', 0);
        expect('shared', shmop_read($memory, 0, 6), 'shared memory');
        shmop_delete($memory);
    },

    'soap' => function (): void {
        $options = ['location' => 'http://localhost/', 'uri' => 'urn:test'];
        $server = new SoapServer(null, $options);
        $server->setObject(new class {
            public function double(int $number): int
            {
                return 2 * $number;
            }
        });
        $client = new class ($server, $options) extends SoapClient {
            public function __construct(private SoapServer $server, array $options)
            {
                parent::__construct(null, $options);
            }

            // the last argument is new in 8.5
            public function __doRequest(string $request, string $location, string $action, int $version, bool $oneWay = false,
                ?string $uriParserClass = null): ?string
            {
                ob_start();
                $this->server->handle($request);
                return ob_get_clean();
            }
        };
        expect(42, $client->double(21), 'a call');
    },

    'sysvmsg' => function (): void {
        $queue = msg_get_queue(getmypid());
        msg_send($queue, 1, ['a' => 1]);
        msg_receive($queue, 1, $type, 1000, $message);
        msg_remove_queue($queue);
        expect(['a' => 1], $message, 'a message');
    },

    'sysvsem' => function (): void {
        $semaphore = sem_get(getmypid());
        expect([true, true], [sem_acquire($semaphore), sem_release($semaphore)], 'a semaphore');
        sem_remove($semaphore);
    },

    'sysvshm' => function (): void {
        $memory = shm_attach(getmypid() + 1, 1000);
        shm_put_var($memory, 1, ['a' => 1]);
        expect(['a' => 1], shm_get_var($memory, 1), 'a variable');
        shm_remove($memory);
    },

    'xsl' => function (): void {
        $style = new DOMDocument();
        $style->loadXML('<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform" xmlns:date="http://exslt.org/dates-and-times">
            <xsl:output method="text"/><xsl:template match="/a">in <xsl:value-of select="date:year(@b)"/>, <xsl:value-of select="@name"/></xsl:template></xsl:stylesheet>');
        $processor = new XSLTProcessor();
        $processor->importStylesheet($style);
        $document = new DOMDocument();
        $document->loadXML('<a b="2026-03-01" name="Ada Lovelace"/>');
        // pieces put together: cut where libxslt and libxml2 do not have the same data
        expect('in 2026, Ada Lovelace', $processor->transformToXml($document), 'a transformation');
    },
];
