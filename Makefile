# One list of targets, run by people and by CI alike. `make` shows them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MATURIN := VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(BIN)/maturin
RUST := Cargo.toml Cargo.lock build.rs pyproject.toml $(shell find src -name '*.rs')

.PHONY: help demo test dev rust-test msgpack-suite types lint bench wheel check format clean

help: ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

demo: $(VENV)/.release ## build the release module and run the demo
	$(BIN)/xyfast demo

test: rust-test dev ## run cargo test and pytest
	$(BIN)/pytest

dev: $(VENV)/.debug ## build the module into .venv, with the test tools

rust-test:
	cargo test --quiet

msgpack-suite: dev ## download the tests of msgpack and run them on the codec
	$(BIN)/python tests/conformance/run_msgpack_suite.py

types: dev ## mypy (strict), and the stub of the Rust module against the module
	$(BIN)/mypy
	$(BIN)/mypy tests/typing
	$(BIN)/python -m mypy.stubtest xyfast._core

lint: $(VENV)/.tools ## ruff, rustfmt, clippy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cargo fmt --check
	cargo clippy --quiet --all-targets -- -D warnings
	PYO3_PYTHON="$(CURDIR)/$(BIN)/python" cargo clippy --quiet --features python -- -D warnings

bench: $(VENV)/.release $(VENV)/.tools ## run the benchmarks on a release build
	$(BIN)/pytest benches --benchmark-enable --benchmark-only

wheel: $(VENV)/.maturin ## build a wheel for PYTHON (default python3) into dist/
	rm -rf dist
	$(MATURIN) build --release --out dist --interpreter "$(PYTHON)"

check: test types lint ## everything that CI runs

format: $(VENV)/.tools ## format Python and Rust
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	cargo fmt

clean: ## remove what was built
	rm -rf $(VENV) target dist python/xyfast/*.so

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/.maturin: | $(BIN)/python
	$(BIN)/pip install --quiet "maturin>=1.9,<2"
	touch $@

$(VENV)/.tools: pyproject.toml | $(VENV)/.maturin
	$(BIN)/pip install --quiet --group tools
	touch $@

# The two builds share .venv: the last one made is the one that is imported.
$(VENV)/.release: $(RUST) | $(VENV)/.maturin
	$(MATURIN) develop --quiet --release --extras testing
	rm -f $(VENV)/.debug
	touch $@

$(VENV)/.debug: $(RUST) $(VENV)/.tools
	$(MATURIN) develop --quiet --extras testing
	rm -f $(VENV)/.release
	touch $@
