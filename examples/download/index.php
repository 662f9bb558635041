<?php
// A large download, made while it is sent: /?mb=50 is a CSV file of 50 MB, to the next whole row. A large one takes no more memory than
// a small one.

declare(strict_types=1);

// Lambda streams at most 200 MB.
const LARGEST = 190;
// What is printed at once; Lambda's own work is done once for each piece, so a row would be little.
const PIECE = 65_536;

$megabytes = filter_var($_GET['mb'] ?? 10, FILTER_VALIDATE_INT, ['options' => ['min_range' => 1, 'max_range' => LARGEST]]);
if ($megabytes === false) {
    http_response_code(400);
    header('Content-Type: text/plain; charset=utf-8');
    exit('mb is a whole number from 1 to ' . LARGEST . ".\n");
}

header('Content-Type: text/csv; charset=utf-8');
header("Content-Disposition: attachment; filename=\"measurements-{$megabytes}mb.csv\"");

$sent = 0;
$piece = "number,time,value\r\n";
for ($number = 1; $sent + strlen($piece) < $megabytes * 1_000_000; $number++) {
    $piece .= row($number);
    if (strlen($piece) >= PIECE) {
        echo $piece;
        $sent += strlen($piece);
        $piece = '';
    }
}
echo $piece;

/** In the place of a row of your database. */
function row(int $number): string
{
    return sprintf("%d,%s,%.3f\r\n", $number, gmdate('Y-m-d\TH:i:s\Z', 1_700_000_000 + $number), sin($number / 1000));
}
