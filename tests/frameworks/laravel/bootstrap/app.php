<?php
// What `composer create-project laravel/laravel` makes, as far as it is needed here; Debian has the framework alone.

// PHP 8.4 complains of code of this age at each request.
error_reporting(E_ALL & ~E_DEPRECATED);
require '/usr/share/php/Illuminate/autoload.php';

$app = new Illuminate\Foundation\Application(dirname(__DIR__));
// LARAVEL_STORAGE_PATH is in /tmp, which is empty in a new sandbox.
is_dir($app->storagePath('framework/views')) || mkdir($app->storagePath('framework/views'), 0o700, true);
$app->singleton(Illuminate\Contracts\Http\Kernel::class, Kernel::class);
$app->singleton(Illuminate\Contracts\Debug\ExceptionHandler::class, Illuminate\Foundation\Exceptions\Handler::class);

final class Kernel extends Illuminate\Foundation\Http\Kernel
{
    protected $middleware = [Illuminate\Http\Middleware\TrustProxies::class];
    protected $middlewareGroups = ['web' => [
        Illuminate\Cookie\Middleware\EncryptCookies::class,
        Illuminate\Cookie\Middleware\AddQueuedCookiesToResponse::class,
        Illuminate\Session\Middleware\StartSession::class,
        Illuminate\Routing\Middleware\SubstituteBindings::class,
    ]];
}

final class Routes extends Illuminate\Foundation\Support\Providers\RouteServiceProvider
{
    public function boot(): void
    {
        $this->routes(fn () => Illuminate\Support\Facades\Route::middleware('web')->group(base_path('routes/web.php')));
    }
}

return $app;
