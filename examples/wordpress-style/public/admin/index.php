<?php
declare(strict_types=1);

require __DIR__ . '/../../lib/uploads.php';

$password = getenv('ADMIN_PASSWORD') ?: 'sesame';
if (!hash_equals($password, $_SERVER['PHP_AUTH_PW'] ?? '')) {
    header('WWW-Authenticate: Basic realm="Administration"', true, 401);
    exit("The password is wanted.\n");
}

$words = '';
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $file = $_FILES['image'] ?? ['error' => UPLOAD_ERR_NO_FILE];
    $name = $file['error'] === UPLOAD_ERR_OK ? keep($file['tmp_name']) : null;
    if ($name === null) {
        http_response_code(400);
        $words = 'That was no image, or more than 4.5 MB.';
    } else {
        $words = "It is kept as <a href=\"/uploads.php/$name\">$name</a>.";
    }
}
header('Content-Type: text/html; charset=utf-8');
?>
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Administration</title>
<link rel="stylesheet" href="/style.css">
<h1>Administration</h1>
<form method="post" enctype="multipart/form-data">
<input type="file" name="image" accept="image/*" aria-label="Image" required>
<button>Upload</button>
</form>
<p><?= $words ?></p>
<p><a href="/">Front page</a></p>
