<?php
/**
 * A function that uses everything the layer has. GET /checks/NAME runs checks/NAME.php and answers with JSON:
 * {"what is checked": true | "what went wrong"}. The other paths are what takes more than one request.
 */
declare(strict_types=1);

require __DIR__ . '/expect.php';

// A warning is a failure too.
set_error_handler(function (int $level, string $message, string $file, int $line): bool {
    if (error_reporting() & $level) {
        throw new ErrorException($message, 0, $level, $file, $line);
    }
    return true;
});

/** @param array<string, callable(): void> $checks */
function run(array $checks): array
{
    $answers = [];
    foreach ($checks as $name => $check) {
        try {
            $check();
            $answers[$name] = true;
        } catch (Throwable $wrong) {
            $answers[$name] = sprintf('%s (%s:%d)', $wrong->getMessage(), basename($wrong->getFile()), $wrong->getLine());
        }
    }
    return $answers;
}

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if (preg_match('{^/checks/([a-z]+)$}D', $path, $parts)) {
    $answer = run(require __DIR__ . "/checks/$parts[1].php");
} else {
    $answer = match ($path) {
        // what the worker keeps from one request to the next
        '/keep' => (function () {
            session_start();
            $_SESSION['kept'] = $_GET['value'];
            return ['session' => session_id(), 'apcu' => apcu_store('kept', $_GET['value'])];
        })(),
        '/kept' => (function () {
            session_start();
            return ['session' => $_SESSION['kept'] ?? null, 'apcu' => apcu_fetch('kept')];
        })(),
        '/upload' => [
            'field' => $_POST['field'] ?? null,
            'name' => $_FILES['file']['name'] ?? null,
            'error' => $_FILES['file']['error'] ?? null,
            'folder' => dirname($_FILES['file']['tmp_name'] ?? ''),
            'sha256' => is_uploaded_file($_FILES['file']['tmp_name'] ?? '') ? hash_file('sha256', $_FILES['file']['tmp_name']) : null,
        ],
        // says on the caller's own socket that it runs, and ends when it is told to
        '/meet' => (function () {
            $caller = stream_socket_client('tcp://127.0.0.1:' . (int) $_GET['port'], timeout: 30);
            fwrite($caller, getmypid() . ' ' . ($_GET['number'] ?? '') . "\n");
            return ['worker' => getmypid(), 'told' => fgets($caller)];
        })(),
        // a page in two pieces that says at both ends whose it is: of a worker that dies in between there is a part
        '/whose' => (function () {
            $mine = json_encode([
                'number' => $_GET['number'],
                'request' => $_SERVER['LAMBDA_REQUEST_ID'],
                'trace' => [$_SERVER['_X_AMZN_TRACE_ID'], getenv('_X_AMZN_TRACE_ID')],
            ], JSON_UNESCAPED_SLASHES);
            echo "$mine\n", str_repeat("number {$_GET['number']}\n", 500);
            flush();
            usleep((int) $_GET['sleep']);
            echo $mine;
            exit;
        })(),
        // more than any limit: PHP must be the one to say so
        '/exhaust' => (function () {
            $hoard = [];
            for (;;) {
                $hoard[] = random_bytes(1 << 16);
            }
        })(),
        '/limits' => ['memory_limit' => ini_get('memory_limit'), 'extensions' => get_loaded_extensions(), 'version' => PHP_VERSION],
        default => ['path' => $path],
    };
}
header('Content-Type: application/json');
echo json_encode($answer, JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE);
