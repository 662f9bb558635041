<?php
// /uploads.php/name: what a folder of uploads would be, were there one that can be written.

require __DIR__ . '/../lib/uploads.php';

show(ltrim($_SERVER['PATH_INFO'] ?? '', '/'));
