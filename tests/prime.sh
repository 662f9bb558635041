#!/usr/bin/env bash
# layer-build/prime-opcache with a php-fpm: what it compiles, what it refuses, and that php-fpm then answers from the
# cache without compiling anything. It runs in the toolchain's container, or wherever these say what to test:
#
#     PHP=/opt/bin/php PHP_FPM=/opt/bin/php-fpm PRIME_OPCACHE=/opt/bin/prime-opcache tests/prime.sh
set -euo pipefail

cd "$(dirname "$0")/.."
php=${PHP:-php8.4}
prime=("$php" "${PRIME_OPCACHE:-$PWD/layer-build/prime-opcache}")
export PHP_FPM=${PHP_FPM:-/usr/sbin/php-fpm8.4}
unset LAMBDA_TASK_ROOT PHP_INI_SCAN_DIR
passed=0
failed=0

expect() { # what, wanted, got
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        echo "ok: $1"
    else
        failed=$((failed + 1))
        printf 'FAILED: %s\n  wanted: %s\n  got:    %s\n' "$1" "$2" "$3"
    fi
}

expect_in() { # what, wanted, text
    case "$3" in
        *"$2"*) expect "$1" "$2" "$2" ;;
        *) expect "$1" "$2" "$3" ;;
    esac
}

run_prime() { # arguments; sets $output and $code
    code=0
    output=$("${prime[@]}" "$@" 2>&1) || code=$?
}

if [ "$(id -u)" = 0 ]; then
    echo 'prime: root can write everywhere, so a part cannot be tested; run it as another user' >&2
    exit 1
fi
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
task=$work/task
mkdir -p "$task"/{src,php/conf.d} "$work/elsewhere"

# A function with good files and bad ones.
cat >"$task/index.php" <<'PHP'
<?php
require __DIR__ . '/src/Child.php';
require __DIR__ . '/src/plain';
$counts = opcache_get_status(false)['opcache_statistics'];
echo $early, ' ', (new Child())->name(), ' ', plain(), ' ', PHP_SAPI, ' compiled: ', $counts['misses'], "\n";
PHP
cat >"$task/src/Child.php" <<'PHP'
<?php
$early = Base::hello();
class Child extends Base { public function name(): string { return __CLASS__; } }
class Base { public static function hello(): string { return 'early'; } }
PHP
echo "<?php class Child {} function plain() { return 'other'; }" >"$task/src/again.php"
echo "<?php function plain() { return function_exists('cli_set_process_title') ? 'cli' : 'old'; }" >"$task/src/plain"
printf '<?php\n\nif (;\n' >"$task/src/bad.php"
echo '<?php function strlen() {}' >"$task/src/internal.php"
printf '#!/usr/bin/env php\n<?php echo 1;\n' >"$task/console"
cp "$task/console" "$task/console.php"
echo 'text' >"$task/README"
echo '<?php {{ name }}' >"$task/src/template.stub"
touch "$task/src/"$'a\tb.php'
touch "$work/elsewhere/outside.php"
ln -s "$work/elsewhere" "$task/link"
# without this limit a deep expression ends the worker, and that the function's php.ini is read shows in it
echo 'zend.max_allowed_stack_size = -1' >"$task/php.ini"
{
    printf '<?php return '
    head -c 1200000 /dev/zero | sed 's/\x00\x00\x00\x00/1 + /g'
    echo '1;'
} >"$task/src/deep.php"
before=$(cd "$task" && find . | sort)

run_prime "$task"
echo "$output"
expect 'bad files do not make it fail' 0 "$code"
expect_in 'a syntax error is told' 'skipped: src/bad.php: syntax error, unexpected token ";" on line 3' "$output"
expect_in 'a fatal error is told' "skipped: src/internal.php: Fatal error: Cannot redeclare function strlen() in $task/src/internal.php on line 1"$'\n' "$output"
expect_in 'a worker that dies is told' "skipped: src/deep.php: php-fpm's worker died of it" "$output"
expect_in 'a name that the list cannot hold is told' 'its name has a tab or a line break' "$output"
expect_in 'a summary' 'prime-opcache: 4 of 8 files are in ' "$output"
expect_in 'a word on the path' "prime-opcache: this cache is for a function at $task alone" "$output"

cache=$task/php/opcache
version=$("$PHP_FPM" -v | sed -n 's/^PHP \([^ ]*\).*/\1/p')
list() { # files
    printf 'php-fpm-lambda opcache 1\t%s\n' "$version"
    for file; do
        printf '%s\t%s\n' "$(stat -c %s "$task/$file")" "$file"
    done
}
expect 'the list' "$(list index.php src/Child.php src/again.php src/plain php.ini)" "$(cat "$cache/files.tsv")"
expect 'the compiled files, and no others' "$(printf '%s.bin\n' index.php src/Child.php src/again.php src/plain)" \
    "$(cd "$cache"/*/"$task" && find . -type f | sed 's,^./,,' | LC_ALL=C sort)"
expect 'one system, and in it one folder' '1 1' "$(find "$cache" -mindepth 1 -maxdepth 1 -type d | wc -l) $(find "$cache"/* -mindepth 1 -maxdepth 1 | grep -vc files.tsv)"
expect 'nothing is newer than the list' '' "$(find "$cache" -newer "$cache/files.tsv" -type f)"
expect 'everybody can read it' '' "$(find "$cache" ! -perm -444 -o -type d ! -perm -555)"
expect 'nothing else was written' "$before" "$(cd "$task" && find . -path ./php/opcache -prune -o -print | sort)"
expect 'nothing is left behind' '' "$(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'prime-opcache-*')"

# Other code of the same size shows that the answer comes from the cache, which is read-only and linked, as on Lambda.
sed -i "s/'early'/'EARLY'/" "$task/src/Child.php"
sed -i "s/'old'/'new'/" "$task/src/plain"
chmod -R a-w "$cache"
mkdir "$work/linked"
for system in "$cache"/*/; do
    ln -s "$system" "$work/linked/$(basename "$system")"
done
answer() { # the function's answer, by a php-fpm whose cache is linked
    cat >"$work/php-fpm.conf" <<CONF
[global]
daemonize = no
error_log = /dev/null
[www]
listen = $work/php-fpm.sock
pm = static
pm.max_children = 1
security.limit_extensions =
CONF
    "$php" <(cat <<'PHP'
<?php
[, $work, $fpm, $script] = $argv;
$server = stream_socket_server("unix://$work/php-fpm.sock");
$command = [$fpm, '-F', '-O', '-y', "$work/php-fpm.conf", '-d', 'opcache.enable=1', '-d', 'opcache.jit=disable',
    '-d', 'opcache.validate_timestamps=0', '-d', "opcache.file_cache=$work/linked"];
$process = proc_open($command, [3 => $server], $pipes, null, ['FPM_SOCKETS' => "$work/php-fpm.sock=3"] + getenv());
fclose($server);
$connection = stream_socket_client("unix://$work/php-fpm.sock");
$params = '';
foreach (['REQUEST_METHOD' => 'GET', 'SCRIPT_FILENAME' => $script, 'SCRIPT_NAME' => '/index.php'] as $name => $value) {
    $params .= pack('CN', strlen($name), strlen($value) | 0x80000000) . $name . $value;
}
$record = fn (int $type, string $content) => pack('CCnnCC', 1, $type, 1, strlen($content), 0, 0) . $content;
fwrite($connection, $record(1, pack('nCx5', 1, 0)) . $record(4, $params) . $record(4, '') . $record(5, ''));
while (strlen($head = stream_get_contents($connection, 8)) === 8) {
    $head = unpack('Cversion/Ctype/nid/nlength/Cpadding', $head);
    $content = substr(stream_get_contents($connection, $head['length'] + $head['padding']), 0, $head['length']);
    echo $head['type'] === 6 ? $content : '';
}
proc_terminate($process);
proc_close($process);
PHP
    ) "$work" "$PHP_FPM" "$task/index.php" 2>"$work/stderr" | sed '1,/^\r$/d'
}
expect 'php-fpm answers from the cache, and compiles nothing' 'early Child old fpm-fcgi compiled: 0' "$(answer)"

# Again, with one file less.
chmod -R u+w "$cache"
rm "$task"/src/{bad,internal,deep,again}.php "$task/src/"$'a\tb.php'
run_prime "$task"
expect_in 'a second run' 'prime-opcache: 3 of 3 files are in ' "$output"
expect 'the old cache is gone' "$(list index.php src/Child.php src/plain php.ini)" "$(cat "$cache/files.tsv")"
expect 'with its files' '' "$(find "$cache" -name 'again.php.bin')"
expect 'the new code answers' 'EARLY Child new fpm-fcgi compiled: 0' "$(answer)"

# What cannot work says what to do.
(cd "$task" && "${prime[@]}" --output ../other . >/dev/null 2>&1)
expect 'another folder for the cache' "$(cat "$cache/files.tsv")" "$(cat "$work/other/files.tsv")"
LAMBDA_TASK_ROOT=$task run_prime
expect_in 'the task root is the default' "0 prime-opcache: 3 of 3 files are in $cache: " "$code $output"
expect 'and the right place' 1 "$(wc -l <<<"$output")"
touch "$work/other/mine.txt"
run_prime --output "$work/other" "$task"
expect 'a folder with other files is left alone' "1 yes" "$code $([ -e "$work/other/files.tsv" ] && echo yes)"
expect_in 'and named' "$work/other/mine.txt is no part of an opcache file cache" "$output"
chmod a-w "$work/elsewhere"
run_prime --output "$work/elsewhere/cache" "$task"
expect_in 'a folder that cannot be written' "1 prime-opcache: $work/elsewhere/cache cannot be written; make it writable" "$code $output"
PHP_FPM=/bin/false run_prime "$task"
expect_in 'a php-fpm that does not start' '1 prime-opcache: php-fpm ended' "$code $output"
PHP_FPM=/nowhere run_prime "$task"
expect_in 'no php-fpm' '1 prime-opcache: there is no /nowhere; set PHP_FPM' "$code $output"
mkdir "$work/broken" "$work/empty"
echo '<?php if (;' >"$work/broken/index.php"
run_prime "$work/broken"
expect_in 'nothing that could be compiled' "prime-opcache: none of the files in $work/broken could be compiled" "$output"
expect 'is an error' '1 no list' "$code $([ -e "$work/broken/php/opcache/files.tsv" ] || echo no list)"
run_prime "$work/empty"
expect_in 'no PHP file' "1 prime-opcache: there is no PHP file in $work/empty" "$code $output"
run_prime "$work/nowhere"
expect_in 'no folder' "1 prime-opcache: there is no folder $work/nowhere" "$code $output"
run_prime --outptu x
expect_in 'a wrong option' "1 prime-opcache: '--outptu' is not expected here" "$code $output"
run_prime ''
expect_in 'a name that is empty' "1 prime-opcache: '' is not expected here" "$code $output"
mkdir -p "$work/extension/php/conf.d"
echo '<?php echo 1;' >"$work/extension/index.php"
echo 'extension=nowhere' >"$work/extension/php/conf.d/extensions.ini"
run_prime "$work/extension"
expect_in 'an extension that is not there' "Unable to load dynamic library 'nowhere'" "$output"
expect 'is an error' '1 no list' "$code $([ -e "$work/extension/php/opcache/files.tsv" ] || echo no list)"

echo "prime: $passed passed, $failed failed"
[ "$failed" = 0 ]
