<?php
return ['default' => 'stderr', 'deprecations' => ['channel' => 'null', 'trace' => false], 'channels' => [
    'stderr' => ['driver' => 'monolog', 'level' => 'debug', 'handler' => Monolog\Handler\StreamHandler::class, 'with' => ['stream' => 'php://stderr'], 'formatter' => Monolog\Formatter\LineFormatter::class],
    'null' => ['driver' => 'monolog', 'handler' => Monolog\Handler\NullHandler::class],
]];
