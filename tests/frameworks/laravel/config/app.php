<?php
return [
    'name' => 'shop',
    'env' => 'production',
    'debug' => (bool) env('APP_DEBUG', false),
    'url' => 'https://wrong.example',
    'timezone' => 'UTC',
    'locale' => 'en',
    'fallback_locale' => 'en',
    'key' => 'base64:' . base64_encode(str_repeat('k', 32)),
    'cipher' => 'AES-256-CBC',
    'providers' => [...Illuminate\Support\ServiceProvider::defaultProviders()->toArray(), Routes::class],
    'aliases' => Illuminate\Support\Facades\Facade::defaultAliases()->toArray(),
];
