#!/usr/bin/env bash
# labs/: every page is followed to the letter, in both languages, in the shell that `make lab` opens; and lambda-local's
# zips and layers, there and in a namespace of its own.
set -euo pipefail

php=${PHP:-8.4}
cd "$(dirname "$0")/.."
make image-lab-test image-publish

# A copy that everybody can read, wherever this checkout is.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R README.md README.zh-CN.md labs tests "$work"
chmod -R a+rX "$work"

# As layer-build/lab does, but for the terminal and the port.
in_lab() {
    timeout 600 docker run --rm --init --hostname lab --ipc none --tmpfs /tmp:exec,mode=1777 \
        --volume "$work/labs:/labs:ro" --volume "$PWD/dist:/dist:ro" --volume "$work/tests/labs:/tests:ro" "$@"
}

in_lab --volume "$work:/src:ro" --workdir /src php-fpm-lambda-lab-test \
    tests/labs/compare-languages README.md labs/README.md labs/*/README.md
for page in labs/*/README.md labs/*/README.zh-CN.md; do
    # the third lab's layer is that of PHP 8.4
    if [ "$php" = 8.4 ] || [ "${page%/*}" != labs/3-php ]; then
        in_lab php-fpm-lambda-lab-test /tests/follow "/$page"
    fi
done

docker run --rm --init --volume "$work:/src:ro" --volume "$PWD/dist:/dist:ro" --workdir /src php-fpm-lambda-publish \
    tests/labs/check-aws /dist

echo 'packages, in /opt and /var/task themselves'
in_lab php-fpm-lambda-lab-test python3 -B /tests/test_packages.py
# Docker's own filters forbid namespaces; without these two it is as outside of a container. /opt is another user's.
echo 'packages, in a namespace'
in_lab --security-opt seccomp=unconfined --security-opt apparmor=unconfined --tmpfs /opt:mode=0755 --tmpfs /var/task:mode=0755 \
    --env PLACE=namespace php-fpm-lambda-lab-test python3 -B /tests/test_packages.py
