# Needs Docker, make and git; everything else is in the images.

FUNCTION = examples/hello
PORT = 8080

build = docker build --build-arg BASE=php-fpm-lambda-base
in_toolchain = layer-build/in-toolchain

.PHONY: help serve test check bench fmt clean image-base image-toolchain image-local

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1  \t/p' $(MAKEFILE_LIST)

serve: image-local ## serve FUNCTION (examples/hello) at http://localhost:PORT (8080); Ctrl-C ends it
	@echo "Open http://localhost:$(PORT): it serves $(FUNCTION)"
	@FUNCTION='$(FUNCTION)' PORT='$(PORT)' layer-build/serve

test: image-toolchain ## run every test
	$(in_toolchain) cargo test --locked
	tests/serve.sh

check: image-toolchain ## format, lints and shell scripts; licences and bans where cargo-deny is installed
	$(in_toolchain) cargo fmt --check
	$(in_toolchain) cargo clippy --all-targets --locked -- -D warnings
	$(in_toolchain) sh -c "grep -rlZE '^#!.*[/ ](ba)?sh$$' .ci examples layer-build tests | xargs -0 shellcheck"
	@if command -v cargo-deny >/dev/null; then \
	    echo 'cargo deny --locked check licenses bans sources'; \
	    cargo deny --locked check licenses bans sources; \
	else \
	    echo 'check: cargo-deny is not installed; licences and bans were not looked at'; \
	fi

bench: image-toolchain ## run the benchmarks; the figures also go to dist/bench.json
	$(in_toolchain) sh -c 'rm -f /target/bench.json && export BENCH_JSON=/target/bench.json \
	    RUSTFLAGS="-C target-feature=+crt-static" && cargo bench --locked --bench cost \
	    --target "$$(rustc -vV | sed -n "s/^host: //p")"'
	@mkdir -p dist
	@$(in_toolchain) cat /target/bench.json >dist/bench.json

fmt: image-toolchain ## format the sources
	docker run --rm --init --user "$$(id -u):$$(id -g)" --volume "$(CURDIR):/src" php-fpm-lambda-toolchain cargo fmt

clean: ## remove the images, the volumes and dist/
	-docker image rm php-fpm-lambda:local php-fpm-lambda-toolchain php-fpm-lambda-base
	-docker volume rm php-fpm-lambda-cargo php-fpm-lambda-target
	rm -rf dist

image-base:
	@layer-build/base-image

image-toolchain: image-base
	$(build) --target toolchain --tag php-fpm-lambda-toolchain .

image-local: image-base
	$(build) --target local --tag php-fpm-lambda:local .
