#!/usr/bin/env bash
# `make publish` and the commands of docs/deploying.md, with AWS's own CLI, against a stand-in for AWS's API (moto).
# Nothing leaves this machine. The zips are small stand-ins; the layers of dist/ are published too where they are there.
set -euo pipefail

cd "$(dirname "$0")/.."
root=$PWD
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

contains() { # what, wanted words, text
    case $3 in
        *"$2"*) expect "$1" "$2" "$2" ;;
        *) expect "$1" "$2" "$3" ;;
    esac
}

# The commands of one section of the page: its indented lines. Fails where there are none.
commands() { # heading
    awk -v heading="$1" '
        /^#/ { here = ($0 == heading) }
        here && /^    / { found = 1; print substr($0, 5) }
        END { exit !found }' docs/deploying.md
}

make image-publish
moto=$(docker run --rm --detach --init --env MOTO_IAM_LOAD_MANAGED_POLICIES=true php-fpm-lambda-publish \
    moto_server --host 0.0.0.0 --port 5000)
work=$(mktemp -d)
trap 'docker rm --force "$moto" >/dev/null; rm -rf "$work"' EXIT
grep --quiet 'Running on' < <(docker logs --follow "$moto" 2>&1)
address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$moto")

# No setting and no file of this machine's user takes part. docker keeps its own.
for name in $(compgen -e); do
    case $name in
        AWS_* | PHP | ARCH | REGIONS | PUBLIC | NAME | DRY_RUN | MAKEFLAGS | MAKEOVERRIDES | MFLAGS) unset "$name" ;;
    esac
done
export DOCKER_CONFIG=${DOCKER_CONFIG:-$HOME/.docker}
export HOME=$work/home
export AWS_ENDPOINT_URL=http://$address:5000 NO_PROXY=$address no_proxy=$address
export AWS_EC2_METADATA_DISABLED=true

# A copy of what takes part, so that the checkout's own dist/ stays as it is.
cp -R Cargo.toml Makefile docs examples layer-build "$work"
mkdir -p "$work/dist" "$HOME"
cd "$work"

# From the COUNTth call on, the stand-in asks who may do what.
ask_permission_after() { # count
    docker exec "$moto" python3 -c '
import sys, urllib.request
address = "http://127.0.0.1:5000/moto-api/reset-auth"
urllib.request.urlopen(urllib.request.Request(address, sys.argv[1].encode(), {"Content-Type": "text/plain"}))' "$1"
}

aws() {
    layer-build/in-aws aws "$@" </dev/null
}

publish() { # settings of make; leaves status, output, table
    status=0
    output=$(make --no-print-directory publish "$@" 2>&1 </dev/null) || status=$?
    table=$(sed -n -E 's/^([^ ]+) +(private|public) +(arn:.*)/\1 \2 \3/p' <<<"$output")
}

layer-build/in-aws python3 - <<'PYTHON'
import json, zipfile

for php, arch in (("8.4", "x86_64"), ("8.4", "arm64")):
    with zipfile.ZipFile(f"dist/php-{php}-{arch}.zip", "w") as archive:
        archive.writestr("bootstrap", arch)
        archive.writestr("php/manifest.cdx.json", json.dumps({"components": [{"name": "php", "version": "8.4.99"}]}))
    with zipfile.ZipFile(f"dist/php-{php}-extensions-{arch}.zip", "w") as archive:
        archive.writestr("php/extensions/intl.so", arch)
        archive.writestr("php/extensions/gd.so", arch)
PYTHON

publish REGIONS=eu-central-1
contains 'without credentials it says what to set' 'Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY' "$output"
expect 'and fails' 2 "$status"

export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
publish ARCH=x86_64
contains 'without a region it asks for one' 'Which region?' "$output"

publish REGIONS='eu-central-1 cn-north-1' ARCH=x86_64
expect 'two layers in two partitions' "eu-central-1 private arn:aws:lambda:eu-central-1:123456789012:layer:php-84-x86_64:1
eu-central-1 private arn:aws:lambda:eu-central-1:123456789012:layer:php-84-extensions-x86_64:1
cn-north-1 private arn:aws-cn:lambda:cn-north-1:123456789012:layer:php-84-x86_64:1
cn-north-1 private arn:aws-cn:lambda:cn-north-1:123456789012:layer:php-84-extensions-x86_64:1" "$table"
expect 'with exit code 0' 0 "$status"

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
read_back() { # region, layer
    aws --region "$1" lambda get-layer-version --layer-name "$2" --version-number 1 --output text --query \
        "[join(' ', CompatibleArchitectures), join(' ', CompatibleRuntimes), Description, Content.CodeSha256, contains(LicenseInfo, 'Apache-2.0')]"
}
sha() { # zip
    layer-build/in-aws python3 -c 'import base64, hashlib, sys; print(base64.b64encode(hashlib.sha256(open(sys.argv[1], "rb").read()).digest()).decode())' "$1"
}
expect 'the base layer as Lambda has it' \
    "x86_64	provided.al2023 provided.al2	PHP 8.4.99; php-fpm-lambda $version	$(sha dist/php-8.4-x86_64.zip)	True" \
    "$(read_back cn-north-1 php-84-x86_64)"
expect 'the extensions layer as Lambda has it' \
    "x86_64	provided.al2023 provided.al2	PHP 8.4 extensions: gd intl; php-fpm-lambda $version	$(sha dist/php-8.4-extensions-x86_64.zip)	True" \
    "$(read_back eu-central-1 php-84-extensions-x86_64)"
contains 'nobody else may use it' ResourceNotFoundException \
    "$(aws --region eu-central-1 lambda get-layer-version-policy --layer-name php-84-x86_64 --version-number 1 2>&1)"

publish REGIONS=cn-north-1 ARCH=arm64 NAME=acme PUBLIC=1
expect 'public, for arm64, under a name' "cn-north-1 public arn:aws-cn:lambda:cn-north-1:123456789012:layer:acme-arm64:1
cn-north-1 public arn:aws-cn:lambda:cn-north-1:123456789012:layer:acme-extensions-arm64:1" "$table"
expect 'with its own zip' \
    "arm64	provided.al2023 provided.al2	PHP 8.4.99; php-fpm-lambda $version	$(sha dist/php-8.4-arm64.zip)	True" \
    "$(read_back cn-north-1 acme-arm64)"
for layer in acme-arm64 acme-extensions-arm64; do
    policy=$(aws --region cn-north-1 lambda get-layer-version-policy --layer-name "$layer" --version-number 1 --query Policy --output text)
    expect "everybody may use $layer" 'lambda:GetLayerVersion * Allow' "$(layer-build/in-aws python3 -c '
import json, sys
for statement in json.loads(sys.argv[1])["Statement"]:
    print(statement["Action"], statement["Principal"], statement["Effect"])' "$policy")"
done

publish REGIONS='mars-1 eu-central-1' ARCH=x86_64
expect 'a region that fails does not stop the next, and versions count up' \
    "eu-central-1 private arn:aws:lambda:eu-central-1:123456789012:layer:php-84-x86_64:2
eu-central-1 private arn:aws:lambda:eu-central-1:123456789012:layer:php-84-extensions-x86_64:2" "$table"
expect 'the exit code tells' 2 "$status"
contains 'the failed region is named' '1 of 2 regions failed (mars-1)' "$output"
expect 'published.json has the newest of every run' "cn-north-1 acme-arm64 1 True
cn-north-1 acme-extensions-arm64 1 True
eu-central-1 php-84-extensions-x86_64 2 False
cn-north-1 php-84-extensions-x86_64 1 False
eu-central-1 php-84-x86_64 2 False
cn-north-1 php-84-x86_64 1 False" "$(layer-build/in-aws python3 -c '
import json
for entry in sorted(json.load(open("dist/published.json")), key=lambda entry: (entry["layer"], -entry["version"])):
    print(entry["region"], entry["layer"], entry["version"], entry["public"])')"

regions=$(aws --region eu-central-1 ec2 describe-regions --query 'length(Regions)')
publish REGIONS=all ARCH=x86_64 PUBLIC=1 DRY_RUN=1 AWS_REGION=eu-central-1
expect 'a dry run for all regions says two calls for each layer' "$((regions * 4))" "$(grep -c '^  aws --region' <<<"$output")"
contains 'as they would be typed' "aws --region us-gov-west-1 --output json lambda publish-layer-version --layer-name php-84-x86_64" "$output"
expect 'and publishes nothing' 2 "$(aws --region eu-central-1 lambda list-layer-versions --layer-name php-84-x86_64 --query 'length(LayerVersions)')"

# Somebody who may publish, but not make public.
aws --region eu-central-1 iam create-user --user-name publisher >/dev/null
aws --region eu-central-1 iam put-user-policy --user-name publisher --policy-name publish --policy-document \
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"lambda:PublishLayerVersion","Resource":"*"}]}'
key=$(aws --region eu-central-1 iam create-access-key --user-name publisher --query 'AccessKey.[AccessKeyId, SecretAccessKey]' --output text)
ask_permission_after 0
AWS_ACCESS_KEY_ID=${key%%	*} AWS_SECRET_ACCESS_KEY=${key##*	} publish REGIONS=eu-central-1 NAME=half PUBLIC=1 ARCH=x86_64
ask_permission_after 1000000
expect 'what could not be made public is in the table nevertheless' \
    'eu-central-1 private arn:aws:lambda:eu-central-1:123456789012:layer:half-x86_64:1' "$table"
contains 'and said to be published' 'half-x86_64:1 is published, but not public' "$output"
contains 'with the permission that is missing' 'with PUBLIC=1 also lambda:AddLayerVersionPermission' "$output"

mkdir "$HOME/.aws"
printf '[profile other]\nregion = sa-east-1\n' >"$HOME/.aws/config"
printf '[other]\naws_access_key_id = other\naws_secret_access_key = other\n' >"$HOME/.aws/credentials"
chmod 600 "$HOME/.aws/credentials"
AWS_ACCESS_KEY_ID='' AWS_SECRET_ACCESS_KEY='' publish AWS_PROFILE=other ARCH=x86_64
contains 'credentials and region of a profile in ~/.aws' 'arn:aws:lambda:sa-east-1:123456789012:layer:php-84-x86_64:1' "$table"

publish REGIONS=eu-central-1 PHP=9.9
contains 'a missing zip: what builds it' 'make layer PHP=9.9' "$output"
expect 'and fails' 2 "$status"
publish REGIONS=eu-central-1 ARCH=riscv64
contains 'an architecture that Lambda has not' 'Lambda has x86_64 and arm64' "$output"
publish REGIONS=eu-central-1 PUBLIC=yes
contains 'a switch that is neither 1 nor 0' "PUBLIC is 'yes'" "$output"
publish REGIONS=eu-central-1 NAME=php-8.4
contains 'a name that Lambda refuses' 'Lambda allows letters, digits, - and _' "$output"
mv dist/php-8.4-arm64.zip dist/kept.zip
head -c 52428801 /dev/zero >dist/php-8.4-arm64.zip
publish REGIONS=eu-central-1 ARCH=arm64
contains 'too large for one call: how else' '--content S3Bucket=' "$output"
echo 'no zip' >dist/php-8.4-arm64.zip
publish REGIONS=eu-central-1 ARCH=arm64
contains 'a zip that is none' 'is not a zip' "$output"
mv dist/kept.zip dist/php-8.4-arm64.zip

machine=$(uname -m | sed s/aarch64/arm64/)
if [ -e "$root/dist/php-8.4-$machine.zip" ]; then
    cp "$root/dist/php-8.4-$machine.zip" "$root/dist/php-8.4-extensions-$machine.zip" dist/
    publish REGIONS=eu-west-1 NAME=built
    expect 'the layers that were built' "eu-west-1 private arn:aws:lambda:eu-west-1:123456789012:layer:built-$machine:1
eu-west-1 private arn:aws:lambda:eu-west-1:123456789012:layer:built-extensions-$machine:1" "$table"
else
    echo 'dist/ has no layer: only stand-ins were published'
fi

# The page, as a reader follows it, with a look at what came of it between the sections.
export AWS_REGION=eu-central-1
{
    commands '## Deploy with the CLI'
    cat <<'LOOK'
echo LOOK-FUNCTION "$(aws lambda get-function-configuration --function-name hello-php --output text \
    --query "[Runtime, Handler, Timeout, join(' ', Architectures), Layers[0].Arn, Role]")"
aws lambda get-policy --function-name hello-php --query Policy --output text | python3 -c '
import json, sys
for s in json.load(sys.stdin)["Statement"]:
    print("LOOK-POLICY", s["Action"], s["Principal"], s.get("FunctionUrlAuthType", ""), s.get("InvokedViaFunctionUrl", ""))'
LOOK
    commands '### Update'
    cat <<'LOOK'
echo LOOK-UPDATED "$(aws lambda get-function-configuration --function-name hello-php --query MemorySize)"
LOOK
    commands '## China and GovCloud' | sed '/make publish/d'
    commands '### Clean up'
    cat <<'LOOK'
echo LOOK-LEFT "$(aws lambda list-functions --query 'length(Functions)')" "$(aws iam list-roles --query 'length(Roles)')"
LOOK
} >page.sh
status=0
page=$(layer-build/in-aws bash -euo pipefail page.sh 2>&1 </dev/null) || status=$?
expect "the page's CLI steps run" 0 "$status"
contains 'the function is as the page says' \
    "LOOK-FUNCTION provided.al2023	index.php	28	x86_64	arn:aws:lambda:eu-central-1:123456789012:layer:php-84-x86_64:2	arn:aws:iam::123456789012:role/hello-php" "$page"
contains 'everybody may call the URL' 'LOOK-POLICY lambda:InvokeFunctionUrl * NONE' "$page"
contains 'and through it alone the function' 'LOOK-POLICY lambda:InvokeFunction *  True' "$page"
contains 'the URL is shown' '.lambda-url.eu-central-1.on.aws' "$page"
contains 'the update has come' 'LOOK-UPDATED 1769' "$page"
contains 'an HTTP API stands in for the URL' '.execute-api.eu-central-1.amazonaws.com' "$page"
contains 'nothing is left' 'LOOK-LEFT 0 0' "$page"
if [ "$status" != 0 ]; then
    echo "$page"
fi

# Images: docker itself, sam, make and curl are only told to; the CLI's part is real.
aws iam create-role --role-name hello-php --assume-role-policy-document '{}' >/dev/null
{
    cat <<'STAND_INS'
role=arn:aws:iam::123456789012:role/hello-php
aws() { layer-build/in-aws aws "$@"; }
docker() { echo "docker $*"; if [ "$1" = login ]; then echo "password of $(wc -c) bytes"; fi; }
sam() { :; }
make() { :; }
curl() { :; }
STAND_INS
    commands '## Deploy as a container image'
    cat <<'LOOK'
aws lambda get-function --function-name hello-php --query '[Configuration.PackageType, Code.ImageUri]' --output text
LOOK
} >images.sh
status=0
images=$(bash -euo pipefail images.sh 2>&1 </dev/null) || status=$?
expect "the page's steps for images run" 0 "$status"
contains 'the image goes to the repository' 'docker push 123456789012.dkr.ecr.eu-central-1.amazonaws.com/hello-php:1' "$images"
contains 'docker logs in at its host' 'docker login --username AWS --password-stdin 123456789012.dkr.ecr.eu-central-1.amazonaws.com
password of' "$images"
contains 'the function is of that image' 'Image	123456789012.dkr.ecr.eu-central-1.amazonaws.com/hello-php:1' "$images"
if [ "$status" != 0 ]; then
    echo "$images"
fi

echo "publish: $passed passed, $failed failed"
[ "$failed" = 0 ]
