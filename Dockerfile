# Builds with the classic builder as well as with BuildKit. The first lines change least.
# BASE is Debian trixie; layer-build/base-image makes one that also trusts this machine's certificate authorities.
ARG BASE=debian:trixie-slim
# What function images stand on: no machine's own authorities in there.
ARG FUNCTION_BASE=debian:trixie-slim


# toolchain: what compiles, checks and tests; `make test`, `make check` and `make bench` run in it.
FROM ${BASE} AS toolchain
# systemd-standalone-tmpfiles: php-fpm's package would otherwise bring all of systemd.
# phpdismod: what dokuwiki and php-laravel-framework bring along is no part of the PHP that the benchmarks compare with.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        adminer \
        ca-certificates \
        cargo \
        curl \
        dokuwiki \
        gcc \
        git \
        libc6-dev \
        make \
        php-laravel-framework \
        php-symfony-framework-bundle \
        php-symfony-http-foundation \
        php8.4-cli \
        php8.4-curl \
        php8.4-fpm \
        php8.4-mbstring \
        php8.4-sqlite3 \
        php8.4-xml \
        procps \
        python3 \
        python3-pip \
        rust-clippy \
        rustc \
        rustfmt \
        shellcheck \
        systemd-standalone-tmpfiles \
        unzip \
 && rm -rf /var/lib/apt/lists/* \
 && phpdismod bcmath intl uuid
# pip and cargo trust what the system trusts.
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    CARGO_HTTP_CAINFO=/etc/ssl/certs/ca-certificates.crt
COPY layer-build/emulator.txt /tmp/emulator/
RUN case "$(uname -m)" in x86_64) arch=x86_64 ;; aarch64) arch=arm64 ;; *) echo "no emulator for $(uname -m)" >&2; exit 1 ;; esac \
 && cd /tmp/emulator \
 && pip download --no-cache-dir --no-deps --require-hashes -r emulator.txt \
 && unzip -q -j ./*.whl "samcli/local/rapid/aws-lambda-rie-$arch" \
 && install -m 0755 "aws-lambda-rie-$arch" /usr/local/bin/aws-lambda-rie \
 && rm -rf /tmp/emulator
# Volumes mounted here take over the mode, so that any user can compile; /src is for Lambda's user, whom the tests run as.
RUN install -d -m 1777 /cargo /target \
 && install -d -o 993 -g 990 /src
ENV CARGO_HOME=/cargo \
    CARGO_TARGET_DIR=/target
WORKDIR /src


# build: the static binaries in /out. The dependencies have a layer of their own.
FROM toolchain AS build
COPY Cargo.toml Cargo.lock clippy.toml layer-build/rustflags ./
# With --target, these flags stay away from the procedural macros, which cannot be static. At a fixed address, as PHP is: a start
# writes no addresses then. Nothing unwinds, as a panic ends the program.
RUN export RUSTFLAGS="$(cat rustflags)" \
 && mkdir -p src/bin \
 && touch src/lib.rs \
 && echo 'fn main() {}' | tee src/bin/bootstrap.rs >src/bin/lambda-local.rs \
 && cargo build --release --locked --target "$(rustc -vV | sed -n 's/^host: //p')"
# What the bootstrap is made of, for the layer's manifest.
COPY layer-build/php/components.sh layer-build/php/
RUN bash -euo pipefail -c '. layer-build/php/components.sh \
 && COMPONENTS=/components component_crates "$(rustc -vV | sed -n "s/^host: //p")" . --prune axum --prune clap --prune zip'
COPY php php
COPY src src
RUN export RUSTFLAGS="$(cat rustflags)" \
 && target=$(rustc -vV | sed -n 's/^host: //p') \
 && find src -name '*.rs' -exec touch {} + \
 && cargo build --release --locked --target "$target" \
 && install -D -t /out "/target/$target/release/bootstrap" "/target/$target/release/lambda-local"


# lab: a shell with lambda-local and what the pages of labs/ need, as Lambda's user; `make lab` opens it. It stands before
# PHP, since the classic builder makes every stage before the one that is asked for.
FROM ${BASE} AS lab
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates \
        curl \
        jq \
        nano \
        procps \
        unzip \
        zip \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/lambda-local /usr/local/bin/lambda-local
# lambda-local unpacks layers and functions here: nothing can be mounted in a container. The port is published.
RUN install -d -o 993 -g 990 /opt /var/task /home/lab
ENV HOME=/home/lab \
    LANG=C.UTF-8 \
    LAMBDA_LOCAL_LISTEN=0.0.0.0:8080 \
    PS1='lab:\w$ '
WORKDIR /labs
USER 993:990
EXPOSE 8080
CMD ["bash", "--norc"]


# php: PHP itself, of the version that PHP names, compiled from source; the trees of the two layers without the bootstrap.
FROM ${BASE} AS php
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        autoconf \
        automake \
        bison \
        ca-certificates \
        cmake \
        dpkg-dev \
        g++ \
        gcc \
        libbz2-dev \
        libc6-dev \
        libffi-dev \
        libfreetype-dev \
        libgmp-dev \
        libicu-dev \
        libjpeg62-turbo-dev \
        libmagickwand-dev \
        libnghttp2-dev \
        libpng-dev \
        libpq-dev \
        libsodium-dev \
        libsqlite3-dev \
        libssl-dev \
        libtool \
        libwebp-dev \
        libxslt1-dev \
        libzstd-dev \
        make \
        openssl \
        patch \
        pkg-config \
        python3 \
        re2c \
        xz-utils \
        zlib1g-dev \
 && rm -rf /var/lib/apt/lists/*
ARG PHP=8.4
COPY layer-build/php/fetch-sources layer-build/php/pinned-sources.tsv /layer-build/php/
COPY layer-build/php/archives /layer-build/php/archives
RUN /layer-build/php/fetch-sources "$PHP"
COPY layer-build/php/build-libraries /layer-build/php/
RUN /layer-build/php/build-libraries
COPY layer-build/php/programs /layer-build/php/programs
COPY layer-build/php/build-php layer-build/php/fpm-workers.patch /layer-build/php/
RUN /layer-build/php/build-php "$PHP"
COPY layer-build/php/assemble layer-build/php/components.sh /layer-build/php/
RUN /layer-build/php/assemble "$PHP"


# test: the toolchain with the layer's PHP where Lambda has it; `make test` and `make bench` run in it.
FROM toolchain AS test
COPY --from=php /layer/base /opt
COPY php/php.ini /opt/php/
COPY layer-build/prime-opcache /opt/bin/


# parts: what goes into the layers besides PHP. Together in a stage of their own, since each step in a large one is slow.
FROM scratch AS parts
COPY layer-build/manifest layer-build/zip /layer-build/
COPY php/php.ini /layer/base/php/
COPY layer-build/prime-opcache /layer/base/bin/
COPY --from=build /components /components-bootstrap
COPY --from=build /out/bootstrap /layer/base/


# layers: the trees as they stand in /opt, and their zips in /dist.
FROM php AS layers
ARG PHP=8.4
COPY --from=parts / /
RUN cat /components-bootstrap/components.tsv >>/components-base/components.tsv \
 && cp -r /components-bootstrap/licenses/. /components-base/licenses/ \
 && cp -r /components-bootstrap/licenses/. /layer/base/php/licenses/ \
 && version=$(cat /build/version) \
 && /layer-build/manifest /components-base "php-$PHP" "$version" >/layer/base/php/manifest.cdx.json \
 && /layer-build/manifest /components-extensions "php-$PHP-extensions" "$version" >/layer/extensions/php/manifest-extensions.cdx.json \
 && mkdir /dist \
 && /layer-build/zip /layer/base /dist/php.zip \
 && /layer-build/zip /layer/extensions /dist/php-extensions.zip


# extensions: nothing but the heavy extensions, for function images: COPY --from=php-fpm-lambda:8.4-extensions / /
FROM scratch AS extensions
COPY --from=layers /layer/extensions /opt


# function: what a function image is made from, with the code in /var/task.
FROM ${FUNCTION_BASE} AS function
COPY --from=layers /layer/base /opt
ENV PATH=/opt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /var/task
ENTRYPOINT ["/opt/bootstrap"]
CMD ["index.php"]


# prime: compiles a function ahead, whichever extensions it turns on; `make prime` runs it.
FROM function AS prime
COPY --from=layers /layer/extensions /opt
ENTRYPOINT ["/opt/bin/prime-opcache"]
CMD []


# local: the function image with the local Lambda before it, as `make serve` runs it.
FROM function AS local
COPY --from=build /out/lambda-local /usr/local/bin/lambda-local
# The user and group that Lambda runs functions as.
USER 993:990
EXPOSE 8080
ENTRYPOINT ["lambda-local", "--listen", "0.0.0.0:8080", "--bootstrap", "/opt/bootstrap", "/var/task"]
CMD []
