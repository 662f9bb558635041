#!/usr/bin/env bash
# `make serve` as a person meets it: the image is built, the hello function answers, and it stops when told to.
set -euo pipefail

php=${PHP:-8.4}
cd "$(dirname "$0")/.."
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

make image-toolchain image PHP="$php"
# --rm=false: its exit code and its log are looked at afterwards.
container=$(FUNCTION=examples/hello PORT=0 IMAGE="php-fpm-lambda:$php-local" layer-build/serve --detach --rm=false)
trap 'docker rm --force "$container" >/dev/null' EXIT

published=$(docker port "$container")
expect 'published on the loopback interface alone' '8080/tcp -> 127.0.0.1' "${published%:*}"

grep --quiet 'Listening on' < <(docker logs --follow "$container" 2>&1)
# from a container of its own, since this machine may have no curl
answer=$(docker run --rm --network "container:$container" php-fpm-lambda-toolchain \
    curl --silent --show-error 'http://localhost:8080/anything?x=1') || true
expect 'the function answers' "Hello World! You've reached /anything?x=1" "$answer"

# Past its time Docker kills, which shows as 137.
docker stop -t 2 "$container" >/dev/null
expect 'it stops within two seconds, with exit code 0' 0 "$(docker inspect --format '{{.State.ExitCode}}' "$container")"

if [ "$failed" != 0 ]; then
    echo 'what the container wrote:'
    docker logs "$container"
fi
echo "serve: $passed passed, $failed failed"
[ "$failed" = 0 ]
