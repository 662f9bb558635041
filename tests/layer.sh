#!/usr/bin/env bash
# The layers as they are published need nothing but the kernel: a function that uses everything in them runs in an empty container
# and on Debian bullseye, whose C library is older, as one on Lambda does.
#
#     tests/layer.sh [--mutate] [PHP version]
#
# --mutate shows that this test would notice: with any one library missing, or a loader that cannot be run, it fails. It takes a
# run for each library, about ten minutes, and nothing else is done then.
set -euo pipefail

cd "$(dirname "$0")/.."
mutate=
if [ "${1:-}" = --mutate ]; then
    mutate=yes
    shift
fi
php=${1:-${PHP:-8.4}}
case "$(uname -m)" in
    aarch64 | arm64) architecture=arm64 ;;
    *) architecture=$(uname -m) ;;
esac
dist=${DIST:-dist}
base_zip=php-$php-$architecture.zip
extensions_zip=php-$php-extensions-$architecture.zip
# as Lambda sets it for a runtime of one's own
library_path=/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib
passed=0
failed=0

work=$(mktemp -d)
containers=$work/containers
touch "$containers"
cleanup() {
    xargs --no-run-if-empty docker rm --force <"$containers" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap cleanup EXIT

main() {
    prepare
    if [ -n "$mutate" ]; then
        mutations
    else
        archives
        run 'empty container, 16 slots, base' empty base load
        for layers in base extensions; do
            run "empty container, 128 MB, $layers" empty "$layers" plain --memory 128m --memory-swap 128m
            run "empty container, 512 MB, $layers" empty "$layers" plain --memory 512m --memory-swap 512m
            run "empty container, Managed Instances, $layers" empty "$layers" instances
            run "bullseye, $layers" bullseye "$layers" plain --env LD_LIBRARY_PATH="$library_path"
            run "bullseye, Managed Instances, $layers" bullseye "$layers" instances --env LD_LIBRARY_PATH="$library_path"
            exhaust 128 "$layers"
            exhaust 512 "$layers"
        done
    fi
    echo "layer: $passed passed, $failed failed"
    [ "$failed" = 0 ]
}

ok() { # what
    passed=$((passed + 1))
    echo "ok: $1"
}

failure() { # what, why
    failed=$((failed + 1))
    echo "FAILED: $1: $2"
}

# Passes the lines of a program on, with the name of the run in front, and counts them.
count() { # name, file, exit code
    local line counted=$passed failures=$failed
    while IFS= read -r line; do
        case "$line" in
            'ok: '*) ok "$1: ${line#ok: }" ;;
            'FAILED: '*) failure "$1" "${line#FAILED: }" ;;
            *) echo "    $line" ;;
        esac
    done <"$2"
    if [ "$3" != 0 ] && [ "$failures" = "$failed" ]; then
        failure "$1" "exit code $3"
    elif [ "$counted" = "$passed" ] && [ "$failures" = "$failed" ]; then
        failure "$1" 'it said nothing'
    fi
}

# The zips as Lambda unpacks them ($work/base; $work/extensions has both), the function with and without the extensions, the emulator.
prepare() {
    local zip
    for zip in "$dist/$base_zip" "$dist/$extensions_zip"; do
        if [ ! -e "$zip" ]; then
            echo "layer.sh: $zip is not there; make it with: make layer PHP=$php" >&2
            exit 1
        fi
    done
    chmod 0755 "$work"
    mkdir "$work/base" "$work/extensions" "$work/zips"
    cp "$dist/$base_zip" "$dist/$extensions_zip" "$work/zips/"
    chmod -R a+rX "$work/zips"
    unpack "$work/base" "$base_zip"
    unpack "$work/extensions" "$base_zip" "$extensions_zip"

    cp -r tests/layer/everything "$work/function-base"
    cp -r tests/layer/everything "$work/function-extensions"
    mkdir -p "$work/function-extensions/php/conf.d"
    mv "$work/function-extensions/extensions.ini" "$work/function-extensions/php/conf.d/"
    printf 'nameserver 127.0.0.1\noptions attempts:1\n' >"$work/resolv.conf"
    chmod -R a+rX "$work"/function-* "$work/resolv.conf"
    docker run --rm php-fpm-lambda-toolchain cat /usr/local/bin/aws-lambda-rie >"$work/emulator"
    chmod 0755 "$work/emulator"

    if ! docker image inspect php-fpm-lambda-empty >/dev/null 2>&1; then
        tar -cf - --files-from /dev/null | docker import - php-fpm-lambda-empty >/dev/null
    fi
    bullseye_image
}

unpack() { # folder, zips
    local folder=$1
    shift
    # not every machine has unzip
    docker run --rm --volume "$work/zips:/zips:ro" --workdir /zips php-fpm-lambda-toolchain sh -c '
        umask 022
        mkdir /tmp/layer
        for zip; do unzip -q -o "$zip" -d /tmp/layer; done
        tar -C /tmp/layer -cf - .' sh "$@" | tar -C "$folder" -xpf -
}

# Debian bullseye: the one that is here, else the registry's, else one made here.
bullseye_image() {
    if docker image inspect php-fpm-lambda-bullseye >/dev/null 2>&1; then
        return
    fi
    if docker pull debian:bullseye-slim >&2; then
        docker tag debian:bullseye-slim php-fpm-lambda-bullseye
        return
    fi
    echo 'layer.sh: no registry gave debian:bullseye-slim; making it with debootstrap' >&2
    if ! command -v debootstrap >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update >&2
        apt-get install -y --no-install-recommends debootstrap >&2
    fi
    debootstrap --variant=minbase bullseye "$work/bullseye" >&2
    tar -C "$work/bullseye" -cf - . | docker import - php-fpm-lambda-bullseye >&2
    rm -rf "$work/bullseye"
}

archives() {
    local code=0
    docker run --rm --volume "$PWD/layer-build:/layer-build:ro" --volume "$PWD/tests/layer:/tests:ro" php-fpm-lambda-toolchain \
        python3 -B /tests/tools.py /layer-build >"$work/output" 2>&1 || code=$?
    count 'layer-build' "$work/output" "$code"
    code=0
    docker run --rm --volume "$PWD/layer-build:/layer-build:ro" --volume "$PWD/tests/layer:/tests:ro" --volume "$work/zips:/zips:ro" \
        --env PYTHONPATH=/tmp/packages php-fpm-lambda-toolchain sh -c '
            pip install --quiet --no-cache-dir --root-user-action ignore --target /tmp/packages --requirement /tests/cyclonedx.txt
            exec python3 -B /tests/archives.py "$@"' sh /layer-build "/zips/$base_zip" "/zips/$extensions_zip" >"$work/output" 2>&1 || code=$?
    count 'zip' "$work/output" "$code"
}

# One run of the function: as Lambda's user, with nothing that can be written but /tmp, no network and no /dev/shm.
run() { # name, empty|bullseye, base|extensions, plain|instances|load, docker run's options
    local name=$1 image=$2 layers=$3 mode=$4 code=0
    shift 4
    function_container "$image" "$layers" "$mode" "$work/$layers" "$@" >"$work/output" 2>&1 || code=$?
    count "$name" "$work/output" "$code"
}

function_container() { # empty|bullseye, base|extensions, plain|instances|load, tree, docker run's options, -- client's options
    local image=$1 layers=$2 mode=$3 tree=$4 client=client.php
    shift 4
    local -a options=(--user 993:990)
    case "$mode" in
        # not as Lambda's user: the emulator calls setgroups() then
        instances) options=(--env AWS_LAMBDA_MAX_CONCURRENCY=4) ;;
        load)
            options=(--env AWS_LAMBDA_MAX_CONCURRENCY=16)
            client=load.php
            ;;
    esac
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    [ $# = 0 ] || shift
    docker run --rm --init --read-only --network none --ipc none --tmpfs /tmp:mode=1777 "${options[@]}" \
        --volume "$tree:/opt:ro" --volume "$work/function-$layers:/var/task:ro" --volume "$work/emulator:/emulator:ro" \
        --volume "$work/resolv.conf:/etc/resolv.conf:ro" --env LAMBDA_TASK_ROOT=/var/task \
        "php-fpm-lambda-$image" /opt/bin/php "/var/task/$client" /emulator "$layers" "$mode" "$@"
}

# A script that takes more memory than the function has. The Runtime API is in a container of its own, so that the function's limit
# is the function's alone.
exhaust() { # megabytes, base|extensions
    local name="memory of a $1 MB function, $2" api function code=0
    local -a options=(--read-only --ipc none --user 993:990 --tmpfs /tmp:mode=1777
        --volume "$work/$2:/opt:ro" --volume "$work/function-$2:/var/task:ro")
    api=$(docker run --detach "${options[@]}" --network none php-fpm-lambda-empty /opt/bin/php /var/task/memory.php "$1")
    echo "$api" >>"$containers"
    if ! grep --quiet listening < <(docker logs --follow "$api" 2>&1); then
        failure "$name" "the Runtime API does not start: $(docker logs "$api" 2>&1)"
        return
    fi
    function=$(docker run --detach "${options[@]}" --network "container:$api" --memory "${1}m" --memory-swap "${1}m" \
        --env AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001 --env LAMBDA_TASK_ROOT=/var/task --env _HANDLER=index.php \
        --env AWS_LAMBDA_FUNCTION_MEMORY_SIZE="$1" php-fpm-lambda-empty /opt/bootstrap)
    echo "$function" >>"$containers"
    code=$(docker wait "$api")
    docker logs "$api" >"$work/output" 2>&1
    docker logs "$function" >"$work/log" 2>&1
    if grep --quiet 'Allowed memory size of .* exhausted' "$work/log"; then
        echo 'ok: PHP says so in the log' >>"$work/output"
    else
        echo 'FAILED: PHP says so in the log: it does not' >>"$work/output"
    fi
    if [ "$(docker inspect --format '{{.State.OOMKilled}}' "$function")" = false ]; then
        echo 'ok: the kernel killed nothing' >>"$work/output"
    else
        echo 'FAILED: the kernel killed nothing: it did' >>"$work/output"
    fi
    if grep --quiet FAILED "$work/output"; then
        cat "$work/log" >>"$work/output"
    fi
    count "$name" "$work/output" "$code"
}

# The same run with one file less, for every library and for the other files that libraries read; the first failure ends it.
mutations() {
    local tree=$work/mutated file loader
    cp -al "$work/extensions" "$tree"
    if fails "$tree"; then
        failure 'with every library it works' "$(tail -n 3 "$work/output")"
        return
    fi
    ok 'with every library it works'
    while IFS= read -r file; do
        rm "$tree/$file"
        expect_failure "without $file"
        ln "$work/extensions/$file" "$tree/$file"
    done < <(cd "$work/extensions" && find php/lib php/extensions php/locale php/ssl \
        -name '*.so' -o -name '*.so.*' -o -name LC_CTYPE -o -name cert.pem -o -name openssl.cnf | sort)
    loader=$(cd "$tree" && echo php/lib/ld-linux*)
    # a copy: a hard link has one mode
    cp --remove-destination "$work/extensions/$loader" "$tree/$loader"
    chmod 0644 "$tree/$loader"
    expect_failure "with $loader as 0644"
}

expect_failure() { # what
    if fails "$tree"; then
        ok "$1 it fails: $(grep --max-count 1 -e FAILED -e error -e denied "$work/output" | cut -c 1-150)"
    else
        failure "$1 it fails" 'it does not'
    fi
}

fails() { # tree
    ! function_container empty extensions plain "$1" -- --first-failure >"$work/output" 2>&1 </dev/null
}

main
