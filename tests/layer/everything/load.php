<?php
/**
 * Sixteen invocations at once in AWS's emulator, while workers are killed as the kernel kills them when memory is short:
 *
 *     php load.php EMULATOR
 *
 * AWS_LAMBDA_MAX_CONCURRENCY is the number of slots. One line for each check: "ok: …" or "FAILED: …".
 */
declare(strict_types=1);

require __DIR__ . '/emulator.php';

const INVOCATIONS = 2000;
const SECOND = 1_000_000_000;

$slots = (int) getenv('AWS_LAMBDA_MAX_CONCURRENCY');
$callers = new Callers(start($argv[1], ['pipe', 'w'])[1]);
$callers->wait_for(fn () => $callers->waiting === $slots);
$same = fn () => [processes('{^/opt/bootstrap}'), processes('{^php-fpm: master}')];
$before = $same();

check("$slots at once, one in each slot", fn () => together());

check('a worker that is killed at work fails its own invocation alone', fn () => together(kills: true));

check('workers that are killed while they are idle fail none', function () use ($callers, $slots): void {
    $callers->wait_for(fn () => $callers->waiting === $slots);
    $workers = processes('{^php-fpm: pool}');
    same($slots, count(array_filter($workers, kill(...))));
    // reaped, so that their connections are closed
    wait_until(fn () => !array_filter($workers, fn ($worker) => @file_get_contents("/proc/$worker/stat") !== false), 'they have ended');
    together();
});

check(INVOCATIONS . ' while a worker is killed every second', function () use ($callers, $slots): void {
    $sent = $kills = $failed = $right = 0;
    $due = hrtime(true);
    while ($right + $failed < INVOCATIONS) {
        for (; $callers->waiting > 0 && $sent < INVOCATIONS; $sent++) {
            // half of them sleep, for 5 to 45 ms
            $sleep = $sent % 2 === 0 ? 0 : 5000 + $sent % 41 * 1000;
            $callers->call('/whose', "sleep=$sleep");
        }
        $callers->wait($due);
        foreach ($callers->answers() as $number => $answer) {
            if (isset($answer['errorType'])) {
                same('Runtime.OutOfMemory', $answer['errorType']);
                $failed++;
            } else {
                belongs($answer, $number);
                $right++;
            }
        }
        if (hrtime(true) >= $due) {
            // there is none while it is being replaced
            $kills += count(array_filter(processes('{^php-fpm: pool slot' . $kills % $slots . '$}'), kill(...)));
            $due += SECOND;
        }
    }
    echo "$right were right and $failed failed, $kills workers were killed, {$callers->refused} calls came a moment too soon\n";
    if ($kills === 0 || $failed > $kills) {
        throw new RuntimeException('more failed than were killed, or none was killed');
    }
});

check('the slots are all there behind that', fn () => together());
check('bootstrap and master are the same', fn () => same($before, $same()));
finish();

/** An invocation in each slot at the same time; the worker of one may be killed in the middle. */
function together(bool $kills = false): void
{
    global $callers, $slots;
    $callers->wait_for(fn () => $callers->waiting === $slots);
    $server = stream_socket_server('tcp://127.0.0.1:0');
    $port = substr(strrchr(stream_socket_get_name($server, false), ':'), 1);
    $numbers = array_map(fn () => $callers->call('/meet', "port=$port"), range(1, $slots));
    // each worker waits until all are there
    $workers = $pids = [];
    while (count($workers) < $slots) {
        $callers->wait_for(null, $server);
        $worker = stream_socket_accept($server, 0);
        [$pid, $number] = fscanf($worker, '%d %d');
        [$workers[$number], $pids[$number]] = [$worker, $pid];
    }
    same($slots, count(array_unique($pids)));
    same($numbers, array_values(array_intersect($numbers, array_keys($workers))));
    $victim = $kills ? $numbers[intdiv($slots, 2)] : null;
    if ($kills) {
        kill($pids[$victim]);
    }
    $answers = [];
    foreach ($workers as $number => $worker) {
        if ($number !== $victim) {
            fwrite($worker, "go $number\n");
        }
    }
    $callers->wait_for(function () use ($callers, $slots, &$answers): bool {
        $answers += $callers->answers();
        return count($answers) === $slots;
    });
    foreach ($answers as $number => $answer) {
        if ($number === $victim) {
            same('Runtime.OutOfMemory', $answer['errorType'] ?? $answer);
        } else {
            same(['worker' => $pids[$number], 'told' => "go $number\n"], json_decode($answer['body'] ?? '', true) ?? $answer);
        }
    }
}

/** That an answer is whole, and the one that this caller has asked for. */
function belongs(array $answer, int $number): void
{
    [$request, $trace] = array_values(Callers::headers($number));
    $mine = json_encode(['number' => "$number", 'request' => $request, 'trace' => [$trace, $trace]], JSON_UNESCAPED_SLASHES);
    same("$mine\n" . str_repeat("number $number\n", 500) . $mine, $answer['body'] ?? $answer);
}

function kill(int $pid): bool
{
    return posix_kill($pid, SIGKILL);
}

/** The processes with such a title. */
function processes(string $pattern): array
{
    // one that has just ended has none
    $title = fn (string $folder) => rtrim(strtr((string) @file_get_contents("$folder/cmdline"), "\0", ' '));
    $found = array_filter(glob('/proc/[0-9]*'), fn (string $folder) => preg_match($pattern, $title($folder)) === 1);
    return array_map(fn (string $folder) => (int) basename($folder), array_values($found));
}

/** Those who call the function, and the emulator's log, which tells when a slot waits: without one a call is refused. */
final class Callers
{
    /** Slots that wait for an invocation. */
    public int $waiting = 0;
    /** Calls that came between what the log says and what it speaks of: the function has not seen them, and they come again. */
    public int $refused = 0;
    private int $called = 0;
    private array $requests = [];
    private array $connections = [];
    private array $received = [];
    private array $answers = [];
    private string $line = '';

    /** @param resource $log */
    public function __construct(private $log)
    {
        stream_set_blocking($log, false);
        file_put_contents(LOG, '');
    }

    /** What Lambda calls the invocation, and X-Ray's header. */
    public static function headers(int $number): array
    {
        return [
            'X-Amzn-RequestId' => sprintf('8476a536-e9f4-11e8-9739-%012d', $number),
            'X-Amzn-Trace-Id' => sprintf('Root=1-67b9c6e5-%024d;Parent=53995c3f42cd8ad8;Sampled=1', $number),
        ];
    }

    /** Calls a path, with the number of the call in its query. */
    public function call(string $path, string $query): int
    {
        $number = $this->called++;
        $this->requests[$number] = ['path' => $path, 'query' => "$query&number=$number", 'lambda' => self::headers($number)];
        $this->send($number);
        return $number;
    }

    private function send(int $number): void
    {
        $this->connections[$number] = send($this->requests[$number]);
        stream_set_blocking($this->connections[$number], false);
        $this->received[$number] = '';
        $this->waiting--;
    }

    /** The answers that have come since the last time, by the numbers of their calls. */
    public function answers(): array
    {
        [$answers, $this->answers] = [$this->answers, []];
        return $answers;
    }

    /** Waits for an event, or until a stream can be read. */
    public function wait_for(?callable $event, mixed $stream = null): void
    {
        while ($event === null || !$event()) {
            if ($this->wait(null, $stream)) {
                return;
            }
        }
    }

    /** Waits until something has happened, or until a moment; whether the stream can be read. */
    public function wait(?int $moment, mixed $stream = null): bool
    {
        $readable = array_filter(['log' => $this->log, 'stream' => $stream] + $this->connections);
        $patience = max(0, ($moment ?? hrtime(true) + 60 * SECOND) - hrtime(true));
        $none = null;
        if (stream_select($readable, $none, $none, intdiv($patience, SECOND), intdiv($patience % SECOND, 1000)) === 0 && $moment === null) {
            report('the emulator', "nothing happens any more, {$this->waiting} slots wait:\n" . file_get_contents(LOG));
        }
        foreach ($readable as $source => $from) {
            if ($source === 'log') {
                $this->read_log();
            } elseif ($source !== 'stream') {
                $this->read_answer($source);
            }
        }
        return isset($readable['stream']);
    }

    private function read_log(): void
    {
        $read = fread($this->log, 65536);
        if ($read === '' && feof($this->log)) {
            report('the emulator', "it has ended:\n" . file_get_contents(LOG));
        }
        file_put_contents(LOG, $read, FILE_APPEND);
        $lines = explode("\n", $this->line . $read);
        $this->line = array_pop($lines);
        $this->waiting += count(preg_grep('/Received Runtime \/next/', $lines));
    }

    private function read_answer(int $number): void
    {
        $this->received[$number] .= stream_get_contents($this->connections[$number]);
        if (!feof($this->connections[$number])) {
            return;
        }
        unset($this->connections[$number]);
        $answer = document($this->received[$number]);
        if (($answer['errorType'] ?? null) === 'Runtime.Unavailable') {
            $this->refused++;
            $this->waiting++;
            $this->send($number);
            return;
        }
        $this->answers[$number] = $answer;
    }
}
