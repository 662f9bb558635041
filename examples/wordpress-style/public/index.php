<?php
// The front: also of every address that is no file, such as /2026/a-post/.

declare(strict_types=1);

require __DIR__ . '/../lib/uploads.php';

$path = rawurldecode(strtok($_SERVER['REQUEST_URI'], '?'));
$title = $path === '/' ? 'All images' : 'The post at ' . htmlspecialchars($path);
header('Content-Type: text/html; charset=utf-8');
?>
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title><?= $title ?></title>
<link rel="stylesheet" href="/style.css">
<h1><?= $title ?></h1>
<p><a href="/">Front page</a> · <a href="/2026/a-post/">A post</a> · <a href="/admin/">Administration</a></p>
<?php foreach ($path === '/' ? kept() : [] as $name): ?>
<img src="/uploads.php/<?= $name ?>" alt="">
<?php endforeach ?>
