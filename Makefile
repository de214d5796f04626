# Every verb that people and CI use. Two cores are enough; nothing here asks a question.
#
#   make demo     installs what is missing (apt, when root), builds, runs the built-in scenario
#   make test     all tests and checks; the last line is "N passed, N failed, N skipped"
#   make bench    NAME=afpacket runs one benchmark, no NAME runs all; JSON on the last line
#   make fuzz     each target for EACH=60 seconds; TARGET=report runs one
#   make nightly  every oracle in full, and every fuzz target for ten minutes: takes hours
#   make golden   writes golden tables and generated documents anew: review the diff
#   make doc      the library's documentation as HTML
#   make static   programs that need no C library on the machine they run on
#   make deb      Debian packages of those, in target/debian; .ci/deb tries them in a system that boots
#   make image    the container image of docker-compose.yml, from those; needs a running engine
#   make clean    removes what was built

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.PHONY: build demo test bench fuzz nightly golden doc static deb image clean tools

CARGO ?= cargo
CLANG ?= clang
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
SECONDS_EACH = $(or $(EACH),60)
export CARGO_TERM_PROGRESS_WHEN ?= never

build: tools
	@$(CARGO) build --release --quiet

demo: build
	@$(TARGET_DIR)/release/ashiato demo $(ARGS)

test: tools
	@[ "$$(id -u)" -ne 0 ] || .ci/need ip:iproute2 tshark:tshark nsenter:util-linux xmllint:libxml2-utils
	@[ "$$(id -u)" -ne 0 ] || .ci/stix || true
	@.ci/test

bench: tools
	@.ci/need ip:iproute2 iptables:iptables
	@.ci/bench $(NAME)

fuzz: tools
	@.ci/need c++:g++
	@.ci/fuzz "$(SECONDS_EACH)" $(TARGET)

nightly: tools
	@.ci/need c++:g++
	@.ci/nightly

golden: tools
	@LAB_BLESS=1 $(CARGO) test --release --quiet -p ashiato --no-fail-fast --test golden --test documents --test scenarios > /dev/null
	@git --no-pager diff --stat

doc: tools
	@$(CARGO) doc --release --quiet --no-deps --workspace
	@echo $(TARGET_DIR)/doc/traceback/index.html

static: tools
	@.ci/need strip:binutils
	@RUSTFLAGS=-Ctarget-feature=+crt-static $(CARGO) build --release --quiet --target $(HOST)
	@strip $(TARGET_DIR)/$(HOST)/release/ashiato{,-agent,-collector}
	@ls $(TARGET_DIR)/$(HOST)/release/ashiato{,-agent,-collector}

deb: static
	@packaging/build $(TARGET_DIR)/debian $(HOST)

image: static
	@.ci/need docker:docker.io
	@mkdir -p image/bin
	@cp $(TARGET_DIR)/$(HOST)/release/ashiato{,-agent,-collector} image/bin/
	@docker build --quiet --tag ashiato:local image

clean:
	@$(CARGO) clean --quiet

tools:
	@.ci/need cargo: cc:gcc $(CLANG):clang /usr/include/bpf/bpf_helpers.h:libbpf-dev
