<?php
/** iconv() with every character set of the base layer: each converter is a library of its own. */
declare(strict_types=1);

return ['iconv' => function (): void {
    expect('glibc', ICONV_IMPL, 'whose it is');
    // a character that the sets have, and the sets
    foreach ([
        '1' => 'ASMO_449 ISO_2033',
        'A' => 'ARMSCII-8 CP1255 INIS ISIRI-3342 BS_4730 ISO-8859-6 ISO-8859-8 NATS-DANO TSCII',
        'Ä' => 'ANSI_X3.110 CP1250 CP1252 CP1254 CP1257 CP1258 CP770 CP773 CP774 CP775 CSN_369103 CWI DEC-MCS EUC-JISX0213 EUC-JP-MS
            EUC-JP GB18030 HP-ROMAN8 HP-ROMAN9 HP-TURKISH8 IBM437 IBM850 IBM851 IBM852 IBM857 IBM858 IBM861 IBM865 ISO-2022-JP-3
            ISO-IR-197 ISO-IR-209 ISO-8859-1 ISO-8859-10 ISO-8859-13 ISO-8859-14 ISO-8859-15 ISO-8859-16 ISO-8859-2 ISO-8859-3
            ISO-8859-4 ISO-8859-9 ISO-8859-9E ISO_6937-2 ISO_6937 MAC-CENTRALEUROPE MAC-IS MAC-SAMI MACINTOSH NATS-SEFI WIN-SAMI-2
            Shift_JISX0213 T.61-8BIT UNICODE UTF-16 UTF-32 UTF-7',
        'ß' => 'EUC-KR IBM862 ISO-2022-KR JOHAB MIK UHC',
        'é' => 'BIG5HKSCS CP1256 EUC-CN GBK GEORGIAN-ACADEMY GEORGIAN-PS IBM860 IBM863 TCVN5712-1 VISCII',
        'Ω' => 'BIG5 CP1253 CP737 GREEK-CCITT GREEK7-OLD GREEK7 HP-GREEK8 IBM869 IEC_P27-1 INIS-8 ISO-8859-7 ISO_5428
            LATIN-GREEK-1 LATIN-GREEK',
        'ђ' => 'ISO_5427-EXT',
        'я' => 'CP10007 CP1125 CP1251 CP771 CP772 CP932 ECMA-CYRILLIC GOST_19768-74 IBM855 IBM866 IBM866NAV INIS-CYRILLIC ISO-2022-JP
            ISO-8859-5 ISO_5427 KOI-8 KOI8-R KOI8-RU KOI8-T KOI8-U MAC-UK PT154 RK1048 SJIS',
        'ก' => 'HP-THAI8 IBM874 ISO-8859-11 TIS-620',
        '─' => 'IBM856 IBM864 IBM868 ISO_10367-BOX',
        '⠁' => 'BRF ISO_11548-1',
    ] as $character => $sets) {
        foreach (preg_split('/\s+/', $sets) as $set) {
            $encoded = iconv('UTF-8', $set, (string) $character);
            expect((string) $character, iconv($set, 'UTF-8', $encoded), $set);
        }
    }
    // without a way of their own these go over Unicode, which has other characters for the same
    expect("\xb0\xea", iconv('EUC-CN', 'BIG5', "\xb9\xfa"), 'from simplified to traditional characters');
    expect("\xa1\xa4", iconv('GBK', 'EUC-CN', "\xa1\xa4"), 'between two sets of simplified characters');
    // libraries of tables that several converters share
    expect("\x1b\$B4A", substr(iconv('UTF-8', 'ISO-2022-JP', '漢'), 0, 5), 'JIS X 0208');
    expect('漢', iconv('ISO-2022-JP-3', 'UTF-8', iconv('UTF-8', 'ISO-2022-JP-3', '漢')), 'JIS X 0213');
    expect('中', iconv('EUC-CN', 'UTF-8', "\xd6\xd0"), 'GB 2312');
    expect('한', iconv('ISO-2022-KR', 'UTF-8', iconv('UTF-8', 'ISO-2022-KR', '한')), 'KS C 5601');
    expect('ab', iconv('UTF-8', 'ASCII//IGNORE', 'ab'), 'a suffix');
    expect('EUR', iconv('UTF-8', 'ASCII//TRANSLIT', '€'), 'what is like it');
    if (!file_exists('/opt/php/lib/gconv/IBM037.so')) {
        expect_failure('/Wrong encoding, .*IBM037.* is not allowed/', fn () => iconv('UTF-8', 'IBM037', 'a'),
            'one of the other layer');
    }
}];
