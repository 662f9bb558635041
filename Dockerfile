# Builds with the classic builder as well as with BuildKit. The first lines change least.
# BASE is Debian trixie; layer-build/base-image makes one that also trusts this machine's certificate authorities.
ARG BASE=debian:trixie-slim


# toolchain: what compiles, checks and tests; `make test`, `make check` and `make bench` run in it.
FROM ${BASE} AS toolchain
# systemd-standalone-tmpfiles: php-fpm's package would otherwise bring all of systemd.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        adminer \
        ca-certificates \
        cargo \
        curl \
        gcc \
        git \
        libc6-dev \
        make \
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
 && rm -rf /var/lib/apt/lists/*
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
COPY Cargo.toml Cargo.lock clippy.toml ./
# With --target, crt-static stays away from the procedural macros, which cannot be static.
RUN mkdir -p src/bin \
 && touch src/lib.rs \
 && echo 'fn main() {}' | tee src/bin/bootstrap.rs >src/bin/lambda-local.rs \
 && RUSTFLAGS='-C target-feature=+crt-static' \
    cargo build --release --locked --target "$(rustc -vV | sed -n 's/^host: //p')"
COPY php php
COPY src src
RUN target=$(rustc -vV | sed -n 's/^host: //p') \
 && find src -name '*.rs' -exec touch {} + \
 && RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --locked --target "$target" \
 && install -D -t /out "/target/$target/release/bootstrap" "/target/$target/release/lambda-local"


# local: the local Lambda with a function at /var/task, as `make serve` runs it.
FROM ${BASE} AS local
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        php8.4-curl \
        php8.4-fpm \
        php8.4-mbstring \
        php8.4-sqlite3 \
        php8.4-xml \
        systemd-standalone-tmpfiles \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/bootstrap /opt/bootstrap
COPY --from=build /out/lambda-local /usr/local/bin/lambda-local
# The user and group that Lambda runs functions as.
USER 993:990
WORKDIR /var/task
EXPOSE 8080
ENTRYPOINT ["lambda-local", "--listen", "0.0.0.0:8080", "--bootstrap", "/opt/bootstrap", "/var/task"]
