# Danube: `make demo` shows it at work, `make test` tests it. Both set up what they need.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

TARGET := $(or $(CARGO_TARGET_DIR),target)
ARCH := $(shell uname -m)
VENV := $(TARGET)/venv
SHIM := $(TARGET)/static/danube-shim
DANUBE := $(TARGET)/debug/danube

# What the distribution gives: the runtime of containers, a C toolchain, and what the demo's program
# is built with (the pseudo-image `host` shows the machine's own /usr).
PACKAGES := crun nftables iproute2 git openssh-client gcc libc6-dev make pkg-config python3 python3-dev python3-venv python3-setuptools python3-wheel openssl ca-certificates busybox-static

# What tests need besides: a browser for the look at the pages, and letters for every script in it; a registry and clients of one.
TEST_PACKAGES := chromium fonts-dejavu-core docker-registry skopeo umoci buildah curl

.PHONY: help setup setup-tests build shim venv demo coordinator-image bench chaos test test-images test-isolation test-project test-rust test-sdk pages screenshots lint fresh clean-demo

help: ## What there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

define install
	missing=""
	for package in $(1); do
	  dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"
	done
	if [ -n "$$missing" ]; then
	  if [ "$$(id -u)" = 0 ]; then
	    echo "installing:$$missing"
	    apt-get update -qq
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null
	  else
	    echo "Please install first:  sudo apt-get install -y$$missing" >&2
	    exit 1
	  fi
	fi
endef

setup:
	@$(call install,$(PACKAGES))

setup-tests:
	@$(call install,$(TEST_PACKAGES))

# Static, so that it runs in any image: musl where the toolchain has it, else glibc linked in.
shim: setup
	@if [ -d "$$(rustc --print sysroot)/lib/rustlib/$(ARCH)-unknown-linux-musl" ]; then
	  triple=$(ARCH)-unknown-linux-musl
	  cargo build --locked --profile shim -p danube-shim --bin danube-shim --target $$triple
	else
	  triple=$(ARCH)-unknown-linux-gnu
	  RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --profile shim -p danube-shim --bin danube-shim --target $$triple
	fi
	mkdir -p $(TARGET)/static
	install -m 0755 $(TARGET)/$$triple/shim/danube-shim $(SHIM)

build: setup shim
	cargo build --locked

demo: build ## A real program is built, tested and attested; the console stays up (ARGS=--exit ends with the job's result)
	@DANUBE_SHIM=$(abspath $(SHIM)) $(DANUBE) demo $(ARGS)

# What the image that danubefiles run in is made with; its packages come from the same distribution.
IMAGE_PACKAGES := mmdebstrap python3

COORDINATOR := $(TARGET)/coordinator-image

coordinator-image: ## The image that danubefiles run in, from packages of the distribution (an OCI layout; SUITE=bookworm)
	@$(call install,$(IMAGE_PACKAGES))
	image/coordinator.sh $(COORDINATOR) $(or $(SUITE),bookworm)

# For tests, the one that is there is good enough.
$(COORDINATOR)/index.json: image/coordinator.sh image/layout.py
	@$(MAKE) --no-print-directory coordinator-image

# Each bench has a server of its own. ARGS=--check fails where a ratio, a count or a size misses its goal; SOAK is in
# minutes, JOBS what the lists are measured with.
SOAK := 2
JOBS := 300000
BENCHES := start "latency --steps 1" "latency --steps 10" "burst -n 200" "log --lines 1000000" \
  "sse --viewers 100 --rate 100" webhook "seed --jobs $(JOBS)" image egress "soak --minutes $(SOAK)"

bench: setup shim ## Figures beside the machine's own limits, as a table for the README (root; a quarter of an hour; all of it: JOBS=1000000 SOAK=10)
	@cargo build --locked --release
	table=$(TARGET)/bench.md
	printf '%s, commit %s, `make bench`\n\n' "$$(date -u +%F)" "$$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" > $$table
	printf '| bench | goal | wanted | seen | machine | ratio | |\n|---|---|---|---|---|---|---|\n' >> $$table
	missed=""
	for bench in $(BENCHES); do
	  DANUBE_SHIM=$(abspath $(SHIM)) $(TARGET)/release/danube bench $$bench --markdown $$table $(ARGS) || missed="$$missed $${bench%% *}"
	  echo
	done
	echo "The table is in $$table"
	if [ -n "$$missed" ]; then echo "missed or failed:$$missed" >&2; exit 1; fi

# --kills N --seed S, --points, --faults, --follow MB, --restart N; --resume goes on after a cut.
chaos: build ## Kill everything at any time and compare with an undisturbed run (root; ARGS="--kills 1000 --seed 7")
	@DANUBE_SHIM=$(abspath $(SHIM)) cargo test --locked --quiet --test chaos -- $(ARGS)

# LONG=1 fills a workspace with a million files and runs 200 jobs.
test-isolation: build ## What hostile steps try is refused, and succeeds without the protection that refuses it (root; LONG=1)
	@export DANUBE_SHIM=$(abspath $(SHIM)) $(if $(LONG),DANUBE_LONG=1)
	cargo test --locked --test it -- isolation::

venv: setup
	@want="$$(cat sdk/requirements-test.txt tests/verifiers/requirements.txt | sha256sum)"
	if [ "$$(cat $(VENV)/.want 2>/dev/null)" != "$$want" ]; then
	  rm -rf $(VENV)
	  /usr/bin/python3 -m venv $(VENV)
	  $(VENV)/bin/pip install --quiet -r sdk/requirements-test.txt -r tests/verifiers/requirements.txt
	  echo "$$want" > $(VENV)/.want
	fi

lint: setup
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

# What hostile steps fill is a disk: where /tmp is memory, tests work in the other place.
ifeq ($(shell stat -f -c %T /tmp 2>/dev/null),tmpfs)
export TMPDIR := /var/tmp
endif

test: lint test-rust pages test-sdk ## All tests (25 minutes at most on 2 cores)

# The browser takes both cores for minutes: it looks when nothing else runs.
BROWSER := console::in_a_browser
# A builder that is compiled first: by make test-images alone.
KANIKO := registry::kaniko
# Images of some 900 MB are made first: by make test-project alone.
PROJECT := project::

test-rust: build venv setup-tests $(COORDINATOR)/index.json
	cargo test --locked --quiet --test machine -- record $(TARGET)/machine
	export DANUBE_SHIM=$(abspath $(SHIM)) DANUBE_TEST_PYTHON=$(abspath $(VENV))/bin/python
	export DANUBE_TEST_COORDINATOR=$(abspath $(COORDINATOR))
	cargo test --locked --workspace -- --skip $(BROWSER) --skip $(KANIKO) --skip $(PROJECT)
	cargo test --locked --quiet --test chaos -- --short
	cargo test --locked --quiet --test machine -- compare $(TARGET)/machine

test-images: build setup-tests ## Image builds by kaniko, compiled once from its Go module (root; Go)
	@tests/images/kaniko.sh $(TARGET)/kaniko
	DANUBE_TEST_KANIKO=$(abspath $(TARGET))/kaniko DANUBE_SHIM=$(abspath $(SHIM)) cargo test --locked --quiet --test it -- $(KANIKO)

test-project: build setup-tests ## A real project in three images of a registry, with services and caches, twice (root; mmdebstrap)
	@$(call install,$(IMAGE_PACKAGES))
	tests/project/images.sh $(TARGET)/project
	DANUBE_TEST_PROJECT=$(abspath $(TARGET))/project DANUBE_SHIM=$(abspath $(SHIM)) cargo test --locked --quiet --test it -- $(PROJECT)

pages: build venv setup-tests ## Every page in every state in a real browser: axe, size, keyboard (PAGES='job failed' for some)
	@DANUBE_PAGES="$(PAGES)" DANUBE_SHIM=$(abspath $(SHIM)) DANUBE_TEST_PYTHON=$(abspath $(VENV))/bin/python \
	  cargo test --locked --quiet --test it -- $(BROWSER)

screenshots: build venv setup-tests ## The same pages as pictures, in every width and theme
	@DANUBE_SCREENSHOTS=$(abspath $(TARGET))/screenshots DANUBE_PAGES="$(PAGES)" \
	  DANUBE_SHIM=$(abspath $(SHIM)) DANUBE_TEST_PYTHON=$(abspath $(VENV))/bin/python \
	  cargo test --locked --quiet --test it -- $(BROWSER)::every
	echo "look at $(abspath $(TARGET))/screenshots/index.html"

test-sdk: venv
	cd sdk
	$(abspath $(VENV))/bin/ruff check .
	$(abspath $(VENV))/bin/ruff format --check .
	$(abspath $(VENV))/bin/mypy --strict src
	$(abspath $(VENV))/bin/pyright --pythonpath $(abspath $(VENV))/bin/python
	PYTHONPATH=src $(abspath $(VENV))/bin/python -m unittest discover -s tests

fresh: ## The two commands of the README in a clean Debian root (root; mmdebstrap)
	tests/fresh.sh
