<?php
// Where uploaded images are kept. Only /tmp can be written on Lambda, and each sandbox has its own, which ends with it: that is
// enough to try this. With UPLOADS_BUCKET they are in S3, where every sandbox finds them.

declare(strict_types=1);

const TYPES = ['png' => 'image/png', 'jpg' => 'image/jpeg', 'gif' => 'image/gif', 'webp' => 'image/webp'];

/** The name under which the image is kept; null: it is none. */
function keep(string $file): ?string
{
    $type = array_search(getimagesize($file)['mime'] ?? '', TYPES, true);
    if ($type === false) {
        return null;
    }
    $name = gmdate('Ymd-His-') . bin2hex(random_bytes(4)) . ".$type";
    $bucket = getenv('UPLOADS_BUCKET');
    if (!$bucket) {
        @mkdir('/tmp/uploads');
        move_uploaded_file($file, "/tmp/uploads/$name") || throw new RuntimeException('/tmp cannot be written, or is full');
        return $name;
    }
    $put = curl_init(signed('PUT', $bucket, $name, 60));
    curl_setopt_array($put, [
        CURLOPT_CUSTOMREQUEST => 'PUT',
        CURLOPT_POSTFIELDS => file_get_contents($file),
        CURLOPT_HTTPHEADER => ['Content-Type: ' . TYPES[$type]],
        CURLOPT_RETURNTRANSFER => true,
    ]);
    $words = curl_exec($put);
    $status = curl_getinfo($put, CURLINFO_RESPONSE_CODE);
    if ($status !== 200) {
        throw new RuntimeException("S3 answered $status: " . ($words ?: curl_error($put)));
    }
    return $name;
}

/** Sends the image, or its reader to where it is. */
function show(string $name): void
{
    $type = TYPES[pathinfo($name, PATHINFO_EXTENSION)] ?? null;
    // What keep() has called so, and no other path.
    $is_name = $type !== null && preg_match('/^\d{8}-\d{6}-[0-9a-f]{8}\.[a-z]+$/D', $name);
    $bucket = getenv('UPLOADS_BUCKET');
    if ($is_name && $bucket) {
        header('Cache-Control: private, max-age=240');
        header('Location: ' . signed('GET', $bucket, $name, 300), true, 302);
    } elseif ($is_name && is_file("/tmp/uploads/$name")) {
        header("Content-Type: $type");
        header('Cache-Control: public, max-age=31536000, immutable');
        readfile("/tmp/uploads/$name");
    } else {
        http_response_code(404);
        header('Content-Type: text/plain');
        echo "There is no such image.\n";
    }
}

/** Names of images in /tmp, the newest first. A list of those in S3 belongs into a database. */
function kept(): array
{
    return array_reverse(array_map('basename', glob('/tmp/uploads/*') ?: []));
}

/**
 * An address that holds for some seconds, signed with the function's own rights (AWS Signature Version 4, in the query). An application
 * with aws/aws-sdk-php asks its S3Client for it.
 */
function signed(string $method, string $bucket, string $key, int $seconds): string
{
    $region = getenv('AWS_REGION');
    $host = "$bucket.s3.$region.amazonaws.com";
    $time = gmdate('Ymd\THis\Z');
    $scope = substr($time, 0, 8) . "/$region/s3/aws4_request";
    $query = [
        'X-Amz-Algorithm' => 'AWS4-HMAC-SHA256',
        'X-Amz-Credential' => getenv('AWS_ACCESS_KEY_ID') . "/$scope",
        'X-Amz-Date' => $time,
        'X-Amz-Expires' => $seconds,
        'X-Amz-Security-Token' => getenv('AWS_SESSION_TOKEN'),
        'X-Amz-SignedHeaders' => 'host',
    ];
    $query = http_build_query(array_filter($query), '', '&', PHP_QUERY_RFC3986);
    $request = "$method\n/" . rawurlencode($key) . "\n$query\nhost:$host\n\nhost\nUNSIGNED-PAYLOAD";
    $text = "AWS4-HMAC-SHA256\n$time\n$scope\n" . hash('sha256', $request);
    $secret = 'AWS4' . getenv('AWS_SECRET_ACCESS_KEY');
    foreach (explode('/', $scope) as $part) {
        $secret = hash_hmac('sha256', $part, $secret, true);
    }
    return "https://$host/" . rawurlencode($key) . "?$query&X-Amz-Signature=" . hash_hmac('sha256', $text, $secret);
}
