#!/usr/bin/env bash
# The chat example in a real browser: Chromium, lambda-local, the bootstrap, php-fpm of the layer; each piece is on the page before
# PHP has the next. Leaves dist/chat-light.png, chat-dark.png and chat-narrow.png to be looked at.
set -euo pipefail

php=${PHP:-8.4}
cd "$(dirname "$0")/.."

make image-browser image PHP="$php"
# the test in the place of the model
container=$(FUNCTION=examples/chat PORT=0 IMAGE="php-fpm-lambda:$php-local" PHP_LAMBDA_INVOKE_MODE=response_stream \
    layer-build/serve --detach --rm=false --volume "$PWD/tests/browser/model.php:/var/task/model.php:ro")
trap 'docker rm --force "$container" >/dev/null' EXIT
grep --quiet 'Listening on' < <(docker logs --follow "$container" 2>&1)

mkdir -p dist
# in one network, so that both reach each other at localhost
if ! docker run --rm --init --network "container:$container" --user "$(id -u):$(id -g)" --env HOME=/tmp \
    --volume "$PWD/tests/browser:/tests:ro" --volume "$PWD/dist:/dist" \
    php-fpm-lambda-browser /tests/chat http://localhost:8080/ /dist; then
    echo 'what the container wrote:'
    docker logs "$container"
    exit 1
fi
