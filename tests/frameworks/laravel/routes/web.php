<?php
use Illuminate\Http\Request;
use Illuminate\Support\Facades\{Log, Route};

Route::get('/', fn (Request $request) => response()->json([
    'client' => $request->ip(), 'secure' => $request->secure(), 'user' => route('user', ['name' => 'Ada & Bob']), 'asset' => asset('build/app.css'),
]));
Route::get('/users/{name}', fn (string $name) => view('user', ['name' => $name]))->name('user');
Route::get('/old', fn () => redirect()->route('user', ['name' => 'new']));
Route::get('/count', function (Request $request) {
    $request->session()->put('count', $count = $request->session()->get('count', 0) + 1);
    return "Visit $count";
});
Route::get('/log', fn () => Log::warning('from the log channel') ?? 'logged');
Route::get('/broken', fn () => throw new DomainException('It broke.'));
Route::post('/form', fn (Request $request) => $request->all());
