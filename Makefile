# The front door. `make help` lists what there is; CMakePresets.json says what each build is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

JOBS ?= 2
FUZZ_SECONDS ?= 60
MINUTES ?= 10
ARGS ?=
ENGINE ?=
PREFIX ?= /usr/local

# One cache entry for one source, wherever the checkout stands.
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
# Sanitizer reports with names and lines.
symbolizer := /usr/bin/llvm-symbolizer-19
export ASAN_SYMBOLIZER_PATH := $(symbolizer)
export TSAN_SYMBOLIZER_PATH := $(symbolizer)
export UBSAN_OPTIONS := print_stacktrace=1:external_symbolizer_path=$(symbolizer)
export TSAN_OPTIONS := halt_on_error=1:second_deadlock_stack=1

build = cmake --build --preset $(1) -j $(JOBS) --target $(2)
ctest = ctest --preset $(1) -j $(JOBS) --no-tests=error

.NOTPARALLEL:

.PHONY: run
run: setup-build build/build.ninja  ## build the server and start it (127.0.0.1:7117); ARGS="..." are its flags
	$(call build,release,corod)
	exec build/bin/corod $(ARGS)

.PHONY: build
build: setup-build build/build.ninja  ## build/bin/corod and build/bin/coroctl
	$(call build,release,corod coroctl)

.PHONY: install
install: build  ## put corod, coroctl and what plugins are built with below PREFIX=/usr/local
	cmake --install build --prefix $(PREFIX)

# A fresh build/ has no tests, so that running the server needs no test library; test-release adds them.
build/build.ninja: CMakePresets.json
	cmake --preset release -DCOROD_BUILD_TESTS=OFF

.PHONY: test
test: test-release test-asan-ubsan test-tsan  ## every test, then the unit and concurrency ones under sanitizers

.PHONY: test-release
test-release: setup-test  ## every test, optimised
	cmake --preset release -DCOROD_BUILD_TESTS=ON
	$(call build,release,all)
	$(call ctest,release)

.PHONY: test-asan-ubsan
test-asan-ubsan: setup-test  ## unit tests and a minute of soak under AddressSanitizer and UndefinedBehaviorSanitizer
	cmake --preset asan-ubsan
	$(call build,asan-ubsan,corod_unit_tests corod_soak)
	$(call ctest,asan-ubsan)

.PHONY: soak
soak: setup-test  ## many clients at a server under sanitizers for MINUTES=10; ARGS="--seed N"
	cmake --preset asan-ubsan
	$(call build,asan-ubsan,corod_soak)
	COROD_SOAK_SERVER=build-asan-ubsan/tests/corod_soak_server PYTHONPATH=build-asan-ubsan/python:tests/conformance \
	  /usr/bin/python3 -B -W error tests/soak/soak_test.py --minutes $(MINUTES) $(ARGS)

.PHONY: test-tsan
test-tsan: setup-test  ## concurrency tests under ThreadSanitizer
	cmake --preset tsan
	$(call build,tsan,corod_concurrency_tests)
	$(call ctest,tsan)

.PHONY: bench
bench: setup-bench  ## measure (docs/performance.md); ARGS="--only durable --json FILE", ARGS=--help shows more
	cmake --preset release -DCOROD_BUILD_TESTS=ON
	$(call build,release,corod corod_bench)
	build/tests/corod_bench --corod build/bin/corod $(ARGS)

.PHONY: fuzz
fuzz: setup-test  ## every fuzz target for FUZZ_SECONDS=60 seconds
	cmake --preset fuzz
	JOBS=$(JOBS) .ci/fuzz $(FUZZ_SECONDS)

.PHONY: lint
lint: setup-lint build/build.ninja  ## layout, proto rules, include arrows, headers alone, clang-tidy
	$(call build,release,corod_proto)
	JOBS=$(JOBS) .ci/lint

.PHONY: format
format: setup-lint  ## lay every C++ file out as .clang-format says
	.ci/lint --lay-out

.PHONY: test-docker
test-docker:  ## build the image and use the server in it; ENGINE=own brings a container engine up for it
	ENGINE=$(ENGINE) tests/docker/test.sh

.PHONY: setup-build setup-test setup-bench setup-lint
setup-build:
	@.ci/setup build
setup-test:
	@.ci/setup build test
setup-bench:
	@.ci/setup build test bench
setup-lint:
	@.ci/setup build lint

.PHONY: clean
clean:  ## remove every build folder
	rm -rf build build-debug build-asan-ubsan build-tsan build-fuzz

.PHONY: help
help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
