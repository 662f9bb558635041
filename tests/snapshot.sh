#!/usr/bin/env bash
# SnapStart with a real snapshot: CRIU takes one of the layer's bootstrap and php-fpm, and two sandboxes are restored from it.
# They must not share randomness or connections, and must answer.
#
#     tests/snapshot.sh
#
# PHP        the layer of dist/ that is tested, 8.4
# BOOTSTRAP  a bootstrap to be tested instead of the layer's, with Debian's php-fpm
set -euo pipefail

php=${PHP:-8.4}
bootstrap=${BOOTSTRAP:-}
cd "$(dirname "$0")/.."
zip=$PWD/dist/php-$php-$(uname -m | sed s/aarch64/arm64/).zip
if [ -z "$bootstrap" ] && [ ! -e "$zip" ]; then
    echo "snapshot: $zip is not there; make it with: make layer PHP=$php" >&2
    exit 1
fi

make image-snapshot
if [ -n "$bootstrap" ]; then
    what=("$(realpath "$bootstrap"):/bootstrap:ro")
    command='/snapshot/check.py /bootstrap'
else
    what=("$zip:/layer.zip:ro")
    command='unzip -q /layer.zip -d /opt && /snapshot/check.py /opt/bootstrap'
fi
# What CRIU needs, and no more; --privileged does not work on every machine.
output=$(docker run --rm --init --network none --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
    --cap-add NET_ADMIN --cap-add SYS_ADMIN --cap-add SYS_CHROOT --cap-add SYS_PTRACE --cap-add SYS_TIME \
    --volume "$PWD/tests/snapshot:/snapshot:ro" --volume "${what[@]}" php-fpm-lambda-snapshot \
    sh -c "$command" 2>&1) || output+=$'\n'"FAILED: exit code $?"
echo "$output"

passed=$(grep -c '^ok: ' <<<"$output") || true
failed=$(grep -c '^FAILED: ' <<<"$output") || true
echo "snapshot: $passed passed, $failed failed"
[ "$failed" = 0 ]
