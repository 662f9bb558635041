<?php
use Symfony\Component\HttpFoundation\Request;

require dirname(__DIR__) . '/src/Composer.php';
require dirname(__DIR__) . '/src/Kernel.php';

$kernel = new Kernel('prod', false);
$request = Request::createFromGlobals();
$response = $kernel->handle($request);
$response->send();
$kernel->terminate($request, $response);
