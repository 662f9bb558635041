//! An application of many classes, as frameworks have them: what it costs to start is what its files cost to load.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::workload::make_old;

/// One file each; a request loads them all.
pub const CLASSES: usize = MODULES * KINDS;

const MODULES: usize = 15;
/// Of a module: interfaces, abstract classes, traits and enums come first, two each; the rest are services.
const KINDS: usize = 20;
const FIRST_SERVICE: usize = 8;

/// Its answer says how many classes there are and how many files had to be compiled.
const INDEX: &str = r#"<?php

declare(strict_types=1);

spl_autoload_register(static function (string $class): void {
    if (str_starts_with($class, 'App\\')) {
        require __DIR__ . '/src/' . strtr(substr($class, 4), '\\', '/') . '.php';
    }
});

$sum = 0;
for ($module = 0; $module < {modules}; $module++) {
    for ($service = {first}; $service < {kinds}; $service++) {
        $class = "App\\Module$module\\Service$service";
        $sum += strlen((new $class('name', [1, 2, 3]))->describe($module));
    }
}
$declared = [...get_declared_classes(), ...get_declared_interfaces(), ...get_declared_traits()];
$own = array_filter($declared, static fn (string $name): bool => str_starts_with($name, 'App\\'));
$status = function_exists('opcache_get_status') ? opcache_get_status(false) : false;
printf("%4d classes, %4d compiled, sum %6d\n", count($own), $status['opcache_statistics']['misses'] ?? 9999, $sum);
"#;

const INTERFACE: &str = r#"<?php

declare(strict_types=1);

namespace App\Module{module};

/**
 * What the services of this module offer to the others.
 */
interface Contract{kind}
{
    public const int LIMIT{kind} = {kind}00;

    /** Describes what was done with a number. */
    public function describe(int $number): string;

    /**
     * @param list<int> $values
     * @return array<string, int>
     */
    public function totals{kind}(array $values): array;
}
"#;

const ABSTRACT: &str = r#"<?php

declare(strict_types=1);

namespace App\Module{module};

use InvalidArgumentException;

/**
 * Keeps the values of a service, and what was said of them.
 */
abstract class Base{kind} implements Contract0
{
    protected array $log = [];

    /** @param list<int> $values */
    public function __construct(protected readonly string $name, protected array $values = [])
    {
        if ($name === '') {
            throw new InvalidArgumentException('A service of module {module} needs a name.');
        }
    }

    abstract protected function state(): State6;

    public function totals0(array $values): array
    {
        $totals = ['sum' => 0, 'count' => 0, 'largest' => PHP_INT_MIN];
        foreach ([...$this->values, ...$values] as $value) {
            $totals['sum'] += $value;
            $totals['count']++;
            $totals['largest'] = max($totals['largest'], $value);
        }
        return $totals;
    }

    protected function say(string $format, int|string ...$arguments): string
    {
        $line = sprintf($format, ...$arguments);
        if (count($this->log) >= self::LIMIT0) {
            array_shift($this->log);
        }
        return $this->log[] = "[{$this->name}] {$line}";
    }

    public function __toString(): string
    {
        return implode("\n", $this->log) . ' (' . $this->state()->label() . ')';
    }
}
"#;

const TRAIT: &str = r#"<?php

declare(strict_types=1);

namespace App\Module{module};

/**
 * Values by their keys, and what is computed of them once.
 */
trait Memory{kind}
{
    /** @var array<string, mixed> */
    private array $memory{kind} = [];

    /**
     * @template T
     * @param callable(): T $compute
     * @return T
     */
    private function remember{kind}(string $key, callable $compute): mixed
    {
        return $this->memory{kind}[$key] ??= $compute();
    }

    private function forget{kind}(string ...$keys): int
    {
        $before = count($this->memory{kind});
        foreach ($keys as $key) {
            unset($this->memory{kind}[$key]);
        }
        return $before - count($this->memory{kind});
    }

    private function keys{kind}(?string $prefix = null): array
    {
        $keys = array_keys($this->memory{kind});
        return $prefix === null ? $keys : array_values(array_filter($keys, static fn (string $key): bool => str_starts_with($key, $prefix)));
    }
}
"#;

const ENUM: &str = r#"<?php

declare(strict_types=1);

namespace App\Module{module};

/**
 * Where a piece of work stands.
 */
enum State{kind}: string
{
    case Open = 'open-{module}';
    case Running = 'running-{module}';
    case Done = 'done-{module}';
    case Failed = 'failed-{module}';

    public const self DEFAULT = self::Open;

    public function label(): string
    {
        return match ($this) {
            self::Open => 'not begun',
            self::Running => 'under way',
            self::Done, self::Failed => 'ended: ' . ucfirst($this->value),
        };
    }

    public function isFinal(): bool
    {
        return in_array($this, [self::Done, self::Failed], true);
    }

    /** @return list<self> */
    public function next(): array
    {
        return match ($this) {
            self::Open => [self::Running, self::Failed],
            self::Running => [self::Done, self::Failed],
            default => [],
        };
    }
}
"#;

const SERVICE: &str = r#"<?php

declare(strict_types=1);

namespace App\Module{module};

use ArrayIterator;
use Countable;
use IteratorAggregate;
use LogicException;
use Traversable;

/**
 * Service {kind} of module {module}: takes numbers, sorts them into groups and tells what it has found.
 *
 * @implements IteratorAggregate<string, list<int>>
 */
final class Service{kind} extends Base{base} implements Contract1, Countable, IteratorAggregate
{
    use Memory{memory};

    private const array GROUPS = ['small' => 10, 'middle' => 100 + {kind}, 'large' => 1000 * {kind}];

    private static int $created = 0;

    /** @var array<string, list<int>> */
    private array $groups = [];

    private State{state} $detail = State{state}::DEFAULT;

    public function __construct(string $name, array $values = [], private readonly bool $isStrict = false)
    {
        parent::__construct("$name {module}.{kind}", $values);
        self::$created++;
        foreach ($values as $value) {
            $this->add($value);
        }
    }

    public function describe(int $number): string
    {
        $group = $this->add($number);
        $totals = $this->totals1([$number]);
        return $this->say('%d is %s, one of %d; in all %d', $number, $group, count($this), $totals['sum']);
    }

    public function add(int $value): string
    {
        $group = $this->groupOf($value);
        if ($this->isStrict && in_array($value, $this->groups[$group] ?? [], true)) {
            throw new LogicException("There is a $value in group $group of service {kind} already.");
        }
        $this->groups[$group][] = $value;
        $this->forget{memory}($group, 'all');
        $this->detail = State{state}::Running;
        return $group;
    }

    /** {@inheritDoc} */
    public function totals1(array $values): array
    {
        return $this->remember{memory}('all', fn (): array => $this->totals0($values) + ['groups' => count($this->groups)]);
    }

    public function count(): int
    {
        return array_sum(array_map('count', $this->groups));
    }

    public function getIterator(): Traversable
    {
        ksort($this->groups);
        return new ArrayIterator($this->groups);
    }

    /** @return list<array{name: string, values: list<int>, mean: float}> */
    public function export(string $order = 'name'): array
    {
        $rows = [];
        foreach ($this->groups as $name => $values) {
            if ($values === []) {
                continue;
            }
            $rows[] = ['name' => $name, 'values' => $values, 'mean' => array_sum($values) / count($values)];
        }
        usort($rows, static fn (array $one, array $other): int => $one[$order] <=> $other[$order]);
        return $rows;
    }

    public static function created(): int
    {
        return self::$created;
    }

    protected function state(): State6
    {
        return $this->detail->isFinal() ? State6::Done : State6::tryFrom('open-{module}') ?? State6::Failed;
    }

    private function groupOf(int $value): string
    {
        foreach (self::GROUPS as $name => $limit) {
            if (abs($value) < $limit) {
                return $value < 0 ? "minus $name" : $name;
            }
        }
        return 'other';
    }
}
"#;

/// Writes it into an empty folder.
pub fn install(task_root: &Path) {
    let index = INDEX
        .replace("{modules}", &MODULES.to_string())
        .replace("{first}", &FIRST_SERVICE.to_string())
        .replace("{kinds}", &KINDS.to_string());
    write(&task_root.join("index.php"), &index);
    for module in 0..MODULES {
        let folder = task_root.join(format!("src/Module{module}"));
        fs::create_dir_all(&folder).expect("the task root can be written");
        for kind in 0..KINDS {
            let (name, text) = match kind {
                0 | 1 => ("Contract", INTERFACE),
                2 | 3 => ("Base", ABSTRACT),
                4 | 5 => ("Memory", TRAIT),
                6 | 7 => ("State", ENUM),
                _ => ("Service", SERVICE),
            };
            let text = text
                .replace("{module}", &module.to_string())
                .replace("{kind}", &kind.to_string())
                .replace("{base}", &(2 + kind % 2).to_string())
                .replace("{memory}", &(4 + kind % 2).to_string())
                .replace("{state}", &(6 + kind % 2).to_string());
            let mut file = name.to_owned();
            write!(file, "{kind}.php").expect("a String takes every write");
            write(&folder.join(file), &text);
        }
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("the task root can be written");
    make_old(path);
}

/// How many files were compiled for an answer; `None`: it is no answer of this application.
pub fn compiled(body: &str) -> Option<usize> {
    let (classes, rest) = body.split_once(" classes, ")?;
    let (compiled, _) = rest.split_once(" compiled")?;
    match classes.trim().parse() == Ok(CLASSES) {
        true => compiled.trim().parse().ok(),
        false => None,
    }
}
