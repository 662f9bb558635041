<?php
// A small API: one script for all paths, with a table of routes. It keeps nothing; put your database behind it.

declare(strict_types=1);

/** Answers with JSON instead of going on. */
final class Answer extends Exception
{
    public function __construct(public readonly int $status, public readonly mixed $body, public readonly array $headers = [])
    {
        parent::__construct();
    }
}

const ROUTES = [
    'GET /' => 'index',
    'GET /words/{word}' => 'word',
    'POST /sums' => 'sum',
];

try {
    respond(200, dispatch($_SERVER['REQUEST_METHOD'], strtok($_SERVER['REQUEST_URI'], '?')));
} catch (Answer $answer) {
    respond($answer->status, $answer->body, $answer->headers);
}

/** Calls the function of the route with what stands in the places of its {names}. */
function dispatch(string $method, string $path): mixed
{
    $allowed = [];
    foreach (ROUTES as $route => $function) {
        [$wanted, $pattern] = explode(' ', $route);
        $pattern = preg_replace('/\{(\w+)\}/', '(?<$1>[^/]+)', $pattern);
        if (preg_match("~^$pattern$~D", $path, $found) !== 1) {
            continue;
        }
        if ($method === $wanted || ($method === 'HEAD' && $wanted === 'GET')) {
            return $function(...array_map(rawurldecode(...), array_filter($found, is_string(...), ARRAY_FILTER_USE_KEY)));
        }
        $allowed[] = $wanted;
    }
    throw $allowed === []
        ? new Answer(404, ['error' => "There is no $path."])
        : new Answer(405, ['error' => "$path takes " . implode(', ', $allowed) . '.'], ['Allow' => implode(', ', $allowed)]);
}

function index(): array
{
    return ['routes' => array_keys(ROUTES)];
}

function word(string $word): array
{
    return ['word' => $word, 'length' => mb_strlen($word), 'backwards' => implode(array_reverse(mb_str_split($word)))];
}

/** Of {"numbers": [1, 2.5]}. */
function sum(): array
{
    try {
        $body = json_decode(file_get_contents('php://input'), true, flags: JSON_THROW_ON_ERROR);
    } catch (JsonException $reason) {
        throw new Answer(400, ['error' => "The body is not JSON: {$reason->getMessage()}."]);
    }
    $numbers = $body['numbers'] ?? null;
    if (!is_array($numbers) || array_filter($numbers, fn ($number) => !is_int($number) && !is_float($number)) !== []) {
        throw new Answer(422, ['error' => 'numbers has to be a list of numbers.']);
    }
    return ['sum' => array_sum($numbers)];
}

function respond(int $status, mixed $body, array $headers = []): void
{
    http_response_code($status);
    header('Content-Type: application/json');
    foreach ($headers as $name => $value) {
        header("$name: $value");
    }
    echo json_encode($body, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE), "\n";
}
