# Needs Docker, make and git; everything else is in the images.

FUNCTION = examples/hello
HANDLER =
PORT = 8080
PHP = 8.4

build = docker build --build-arg BASE=php-fpm-lambda-base --build-arg PHP=$(PHP)
in_toolchain = layer-build/in-toolchain
in_test = IMAGE=php-fpm-lambda-test:$(PHP) layer-build/in-toolchain
ARCH = $(subst aarch64,arm64,$(shell uname -m))

.PHONY: help serve lab layer image prime publish test test-php test-all check bench fmt clean
.PHONY: image-base image-toolchain image-test image-layers image-aws image-publish image-browser image-snapshot image-phpunit
.PHONY: image-lab image-lab-test

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1  \t/p' $(MAKEFILE_LIST)

serve: image ## serve FUNCTION (examples/hello, with HANDLER) at http://localhost:PORT (8080); Ctrl-C ends it
	@echo "Open http://localhost:$(PORT): it serves $(FUNCTION)"
	@FUNCTION='$(FUNCTION)' HANDLER='$(HANDLER)' PORT='$(PORT)' IMAGE=php-fpm-lambda:$(PHP)-local layer-build/serve

lab: image-lab ## open a shell in which the steps of labs/ work; http://localhost:PORT (8080) is its lambda-local's
	@PORT='$(PORT)' layer-build/lab

layer: image-layers ## write the layers for PHP (8.4) to dist/php-8.4-x86_64.zip and dist/php-8.4-extensions-x86_64.zip
	@mkdir -p dist
	@container=$$(docker create php-fpm-lambda-layers:$(PHP)) \
	    && docker cp "$$container:/dist/php.zip" dist/php-$(PHP)-$(ARCH).zip \
	    && docker cp "$$container:/dist/php-extensions.zip" dist/php-$(PHP)-extensions-$(ARCH).zip; \
	    status=$$?; docker rm "$$container" >/dev/null; exit $$status
	@ls -l dist/php-$(PHP)-$(ARCH).zip dist/php-$(PHP)-extensions-$(ARCH).zip

image: image-layers ## make the images php-fpm-lambda:8.4 for functions, 8.4-local to try them, 8.4-extensions to copy from
	$(build) --target extensions --tag php-fpm-lambda:$(PHP)-extensions .
	$(build) --target function --tag php-fpm-lambda:$(PHP) .
	$(build) --target local --tag php-fpm-lambda:$(PHP)-local .

prime: image-layers ## compile FUNCTION ahead of its first start, into its php/opcache; again after each change
	$(build) --target prime --tag php-fpm-lambda-prime:$(PHP) .
	docker run --rm --user "$$(id -u):$$(id -g)" --volume '$(abspath $(FUNCTION)):/var/task' php-fpm-lambda-prime:$(PHP)

publish: image-aws ## publish the layers of dist/ to REGIONS (names, or all), with PUBLIC=1 for everyone; DRY_RUN=1 only tells
	@layer-build/in-aws env PHP='$(PHP)' ARCH='$(ARCH)' REGIONS='$(REGIONS)' PUBLIC='$(PUBLIC)' \
	    NAME='$(NAME)' DRY_RUN='$(DRY_RUN)' layer-build/publish

# twice the integration tests: with the layer's php-fpm, and in the other image with Debian's
test: image-test image-phpunit layer ## run every test
	$(in_test) cargo test --locked
	$(in_toolchain) cargo test --locked --test integration
	IMAGE=php-fpm-lambda-phpunit layer-build/in-toolchain phpunit --configuration tests/phpunit
	$(in_test) env PHP=/opt/bin/php PHP_FPM=/opt/bin/php-fpm PRIME_OPCACHE=/opt/bin/prime-opcache tests/prime.sh
	PHP=$(PHP) tests/layer.sh
	PHP=$(PHP) tests/serve.sh
	PHP=$(PHP) tests/browser.sh
	tests/publish.sh
	PHP=$(PHP) tests/labs.sh
	PHP=$(PHP) tests/snapshot.sh

# in /opt as on Lambda, with the sources that the image was made from
test-php: image-layers ## run PHP's own tests with the layer's PHP, and with a default build what does not pass
	docker run --rm --init --volume '$(CURDIR)/layer-build/php/run-tests:/run-tests:ro' \
	    --volume '$(CURDIR)/tests/php:/differences:ro' php-fpm-lambda-layers:$(PHP) /run-tests '/differences/$(PHP).tsv'

test-all: test test-php ## every test, PHP's own too, and the layer's tests with PHP 8.5
	$(MAKE) layer PHP=8.5
	PHP=8.5 tests/layer.sh

check: image-toolchain image-publish ## format, lints and shell scripts; licences and bans where cargo-deny is installed
	$(in_toolchain) cargo fmt --check
	$(in_toolchain) cargo clippy --all-targets --locked -- -D warnings
	$(in_toolchain) sh -c "grep -rlZE '^#!.*[/ ](ba)?sh$$' .ci benches examples labs layer-build tests | xargs -0 shellcheck"
	docker run --rm --volume "$(CURDIR):/src:ro" --workdir /src php-fpm-lambda-publish tests/publish/check-examples
	@if command -v cargo-deny >/dev/null; then \
	    echo 'cargo deny --locked check licenses bans sources'; \
	    cargo deny --locked check licenses bans sources; \
	else \
	    echo 'check: cargo-deny is not installed; licences and bans were not looked at'; \
	fi

bench: image-toolchain layer ## run the benchmarks; the figures also go to dist/bench.json
	PHP='$(PHP)' benches/run

fmt: image-toolchain ## format the sources
	docker run --rm --init --user "$$(id -u):$$(id -g)" --volume "$(CURDIR):/src" php-fpm-lambda-toolchain cargo fmt

clean: ## remove the images, the volumes and dist/
	-docker image rm $$(docker images --quiet --filter reference='php-fpm-lambda*' | sort --unique)
	-docker volume rm php-fpm-lambda-bench php-fpm-lambda-cargo php-fpm-lambda-target
	rm -rf dist

image-base:
	@layer-build/base-image

image-toolchain: image-base
	$(build) --target toolchain --tag php-fpm-lambda-toolchain .

image-test: image-toolchain
	$(build) --target test --tag php-fpm-lambda-test:$(PHP) .

image-lab: image-base
	$(build) --target lab --tag php-fpm-lambda-lab .

# Python and AWS's runtime interface client, for the tests of labs/ and of lambda-local's packages
image-lab-test: image-lab
	docker build --tag php-fpm-lambda-lab-test tests/labs

image-layers: image-base
	$(build) --target layers --tag php-fpm-lambda-layers:$(PHP) .

# AWS's own CLI, which layer-build/in-aws runs
image-aws: image-base
	docker build --build-arg BASE=php-fpm-lambda-base --tag php-fpm-lambda-aws layer-build/aws

# the CLI with a stand-in for AWS, and what checks examples/
image-publish: image-aws
	docker build --tag php-fpm-lambda-publish tests/publish

# CRIU, which takes the snapshot of tests/snapshot.sh
image-snapshot: image-toolchain
	docker build --tag php-fpm-lambda-snapshot tests/snapshot

# PHPUnit, which runs tests/phpunit
image-phpunit: image-toolchain
	docker build --tag php-fpm-lambda-phpunit tests/phpunit

# Chromium, which tests/browser.sh alone needs
image-browser: image-base
	docker build --build-arg BASE=php-fpm-lambda-base --tag php-fpm-lambda-browser tests/browser
