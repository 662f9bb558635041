<?php
// What php-fpm runs for an event that is no HTTP request. The function's script is required from here, in the global scope and
// without a variable of ours, so that it finds what it would find if php-fpm had run it.
require __DIR__ . '/functions.php';
try {
    PhpFpmLambda\Invocation::end(require PhpFpmLambda\Invocation::begin());
} catch (Throwable $uncaught) {
    PhpFpmLambda\Invocation::fail($uncaught);
}
