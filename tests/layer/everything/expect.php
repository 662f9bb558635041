<?php
declare(strict_types=1);

function expect(mixed $wanted, mixed $got, string $what): void
{
    if ($wanted !== $got) {
        throw new RuntimeException(sprintf('%s: wanted %s, got %s', $what, shown($wanted), shown($got)));
    }
}

function expect_match(string $pattern, string $got, string $what): void
{
    if (!preg_match($pattern, $got)) {
        throw new RuntimeException(sprintf('%s: %s does not match %s', $what, shown($got), $pattern));
    }
}

/** What $action throws or warns about must match. */
function expect_failure(string $pattern, callable $action, string $what): void
{
    try {
        $result = $action();
    } catch (Throwable $failure) {
        expect_match($pattern, $failure->getMessage(), $what);
        return;
    }
    throw new RuntimeException(sprintf('%s: did not fail, but gave %s', $what, shown($result)));
}

function shown(mixed $value): string
{
    $text = is_string($value) && !mb_check_encoding($value, 'UTF-8') ? 'hex ' . bin2hex($value) : var_export($value, true);
    return strlen($text) > 300 ? substr($text, 0, 300) . '…' : $text;
}

/** A fresh folder in the only place that can be written. */
function temporary_folder(): string
{
    $folder = sys_get_temp_dir() . '/check-' . bin2hex(random_bytes(6));
    mkdir($folder, 0700);
    return $folder;
}

/** A port that was free a moment ago. */
function refused_port(): int
{
    $socket = stream_socket_server('tcp://127.0.0.1:0');
    $port = (int) substr(strrchr(stream_socket_get_name($socket, false), ':'), 1);
    fclose($socket);
    return $port;
}

/**
 * A program of the layer's own PHP, started without a shell: there is none in an empty container.
 */
final class Child
{
    /** @var resource */
    private $process;
    /** @var array<int, resource> */
    private array $pipes = [];

    public function __construct(string ...$arguments)
    {
        $streams = [['pipe', 'r'], ['pipe', 'w'], ['redirect', 1]];
        $process = proc_open(['/opt/bin/php', ...$arguments], $streams, $this->pipes);
        if ($process === false) {
            throw new RuntimeException('/opt/bin/php does not start');
        }
        $this->process = $process;
    }

    public static function server(string $name, string ...$arguments): self
    {
        return new self(__DIR__ . "/servers/$name.php", ...$arguments);
    }

    /** The first line that it prints; our servers print the port that they listen on. */
    public function line(): string
    {
        $line = fgets($this->pipes[1]);
        if ($line === false) {
            throw new RuntimeException('the child ended without a word');
        }
        return trim($line);
    }

    public function port(): int
    {
        $line = $this->line();
        expect_match('/^\d+$/D', $line, 'the port that the server prints first');
        return (int) $line;
    }

    /** What it still prints, and its exit code. */
    public function end(string $input = ''): array
    {
        fwrite($this->pipes[0], $input);
        fclose($this->pipes[0]);
        $output = stream_get_contents($this->pipes[1]);
        fclose($this->pipes[1]);
        return [$output, proc_close($this->process)];
    }

    public function kill(): void
    {
        proc_terminate($this->process, SIGKILL);
        fclose($this->pipes[0]);
        fclose($this->pipes[1]);
        proc_close($this->process);
    }
}
