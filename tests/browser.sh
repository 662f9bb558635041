#!/usr/bin/env bash
# Functions in a real browser: Chromium, lambda-local, the bootstrap, php-fpm of the layer. Leaves screenshots in dist/ to be
# looked at.
#
# chat  the example: each piece is on the page before PHP has the next (chat-light.png, chat-dark.png, chat-narrow.png)
# console  the test console of lambda-local, with a function that gives each kind of answer (console-*.png)
# wiki  DokuWiki as a site: sign in, write a page, upload an image (wiki.png, wiki-admin.png)
set -euo pipefail

php=${PHP:-8.4}
cd "$(dirname "$0")/.."

make image-browser image-toolchain image PHP="$php"
mkdir -p dist
wiki=$(mktemp -d)
written=$(mktemp)
container=
clear_away() {
    if [ -n "$container" ]; then
        docker rm --force "$container" >/dev/null
    fi
    rm -rf "$wiki" "$written"
}
trap clear_away EXIT

# The test NAME against the function that layer-build/serve serves with these options.
try() { # name, docker run's options
    local name=$1
    shift
    container=$(PORT=0 IMAGE="php-fpm-lambda:$php-local" layer-build/serve --detach --rm=false "$@")
    grep --quiet 'Listening on' < <(docker logs --follow "$container" 2>&1)
    # in one network, so that both reach each other at localhost
    if ! docker run --rm --init --network "container:$container" --user "$(id -u):$(id -g)" --env HOME=/tmp \
        --env PYTHONDONTWRITEBYTECODE=1 --volume "$PWD/tests/browser:/tests:ro" --volume "$PWD/dist:/dist" \
        php-fpm-lambda-browser "/tests/$name" http://localhost:8080/ /dist 2>&1 | tee "$written"; then
        echo 'what the container wrote:'
        docker logs "$container"
        # again, since it is above all of that
        echo "what $name said:"
        grep --invert-match '^ok: ' "$written"
        exit 1
    fi
    docker rm --force "$container" >/dev/null
    container=
}

# the test in the place of the model
FUNCTION=examples/chat PHP_LAMBDA_INVOKE_MODE=response_stream \
    try chat --volume "$PWD/tests/browser/model.php:/var/task/model.php:ro"

FUNCTION=tests/browser/console-function PHP_LAMBDA_INVOKE_MODE=response_stream try console

docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD/tests/dokuwiki:/dokuwiki:ro" --volume "$wiki:/wiki" \
    php-fpm-lambda-toolchain /dokuwiki/assemble /wiki /var/task
# the image's user reads it
chmod -R a+rX "$wiki"
FUNCTION=$wiki HANDLER=public PHP_LAMBDA_INVOKE_MODE=response_stream try wiki
