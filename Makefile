# One list of targets, run by people and by CI alike. `make` shows them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MATURIN := VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(BIN)/maturin
# Has the compiler learn from benches/train.py first, where `rustup component add llvm-tools` was run.
PROFDATA = $(wildcard $(shell rustc --print sysroot)/lib/rustlib/*/bin/llvm-profdata*)
GUIDED = $(if $(PROFDATA),MATURIN_PGO=1)
RUST := Cargo.toml Cargo.lock build.rs pyproject.toml $(shell find src -name '*.rs')

# The benchmarks have an environment of their own for every Python.
BENCH_VENV := .venv-bench-$(notdir $(PYTHON))
RUN := $(VENV)/bench.json

# The targets of fuzz/, each for so many seconds.
FUZZ := msgpack decrypt base64 text envelope
SECONDS := 3600

# What the Autobahn test suite runs on.
PYTHON2 := python2.7

# How often `make crash` kills the bot.
ROUNDS := 200

.PHONY: help demo test dev rust-test msgpack-suite autobahn fuzz memcheck types lint docs bench bench-run bench-client bench-client-run bench-transport bench-transport-run bench-links bench-links-run bench-status bench-rust crash load faults faults-run wheel dist check-dist reproduce check format clean

help: ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

demo: $(VENV)/.release ## build the release module and run the demo
	$(BIN)/xyfast demo

test: rust-test dev docs ## run cargo test and pytest, and build the site
	$(BIN)/pytest --numprocesses=auto --dist=worksteal

dev: $(VENV)/.debug ## build the module into .venv, with the test tools

rust-test:
	cargo test --quiet

msgpack-suite: dev ## download the tests of msgpack and run them on the codec
	$(BIN)/python tests/conformance/run_msgpack_suite.py

autobahn: | $(BIN)/python ## run the Autobahn test suite on links; wants CPython 2.7 (PYTHON2)
	$(BIN)/python tests/conformance/run_autobahn.py --python "$(PYTHON2)"

fuzz: ## run each fuzz target for SECONDS (3600); wants cargo-fuzz and a nightly toolchain
	for target in $(FUZZ); do \
		mkdir -p fuzz/found/$$target && \
		cargo +nightly fuzz run $$target fuzz/found/$$target fuzz/corpus/$$target -- \
			-dict=fuzz/dict/$$target.dict -timeout=20 -max_total_time=$(SECONDS) || exit 1; \
	done

crash: dev ## kill a bot ROUNDS (200) times at random instants, count, and write a record
	PYTHONPATH=tests $(BIN)/python -m faults.crash --rounds $(ROUNDS) --record benches/record

load: dev ## 100 000 messages in order, and as many at stuck handlers; write records
	PYTHONPATH=tests $(BIN)/python -m faults.load order --record benches/record
	PYTHONPATH=tests $(BIN)/python -m faults.load flood --record benches/record

faults: ## put our client and other loops through each fault and write docs/faults.md
	@$(MAKE) --no-print-directory faults-run VENV="$(BENCH_VENV)"

faults-run: $(VENV)/.guided $(VENV)/.rivals
	PYTHONPATH=tests $(BIN)/python -m faults.table --page

memcheck: dev ## run the codec on many inputs under valgrind
	$(BIN)/python tests/run_valgrind.py

types: dev ## mypy (strict), and the stub of the Rust module against the module
	$(BIN)/mypy
	$(BIN)/mypy tests/typing
	$(BIN)/mypy examples release/dist.py release/reproduce.py
	$(BIN)/python -m mypy.stubtest xyfast._core

lint: $(VENV)/.tools ## ruff, rustfmt, clippy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo clippy --quiet --all-targets -- -D warnings
	PYO3_PYTHON="$(CURDIR)/$(BIN)/python" cargo clippy --quiet --features python -- -D warnings

docs: $(VENV)/.docs ## build the site into target/site; any warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: ## benchmark the build of a wheel and write a record; BENCH="unpack and gf8k" runs a part
	@$(MAKE) --no-print-directory bench-run VENV="$(BENCH_VENV)"

bench-run: $(VENV)/.guided $(VENV)/.rivals
	$(BIN)/python -m pytest benches --quiet --timeout=600 -k "$(BENCH)" \
		--benchmark-enable --benchmark-quiet --benchmark-json="$(RUN)"
	$(BIN)/python benches/report.py "$(RUN)" $(if $(BENCH),,benches/record)

bench-client: ## benchmark the whole client beside scripts of today and write a record
	@$(MAKE) --no-print-directory bench-client-run VENV="$(BENCH_VENV)"

bench-client-run: $(VENV)/.guided $(VENV)/.rivals
	$(BIN)/python benches/contest.py benches/record

bench-transport: ## benchmark links beside other libraries' and write a record; LOADS="paced slow --rounds 2" runs a part
	@$(MAKE) --no-print-directory bench-transport-run VENV="$(BENCH_VENV)"

bench-transport-run: $(VENV)/.guided $(VENV)/.rivals
	cargo build --quiet --release --example loadserver
	$(BIN)/python benches/transport.py $(or $(LOADS),--record benches/record)

bench-links: ## 5 000 links in one process: memory, heartbeats, a server's restart; writes a record
	@$(MAKE) --no-print-directory bench-links-run VENV="$(BENCH_VENV)"

bench-links-run: $(VENV)/.guided $(VENV)/.rivals
	$(BIN)/python benches/herd.py --record benches/record

bench-status: dev ## what the status page costs a client of 5 000 accounts; prints
	$(BIN)/python benches/status.py

bench-rust: ## benchmark the Rust half against other crates
	cargo bench --quiet --no-default-features --bench codec

wheel: $(VENV)/.maturin ## build a wheel for PYTHON (default python3) into dist/
	rm -rf dist
	$(GUIDED) $(MATURIN) build --release --out dist --interpreter "$(PYTHON)"

dist: $(VENV)/.tools ## build sdist and wheel for PYTHON into dist/ and check them
	rm -rf dist
	$(GUIDED) $(BIN)/python release/dist.py --python "$(PYTHON)"

check-dist: $(VENV)/.tools ## check what is in dist/
	$(BIN)/python release/dist.py --check dist

reproduce: $(VENV)/.tools ## build the last commit twice and compare
	$(BIN)/python release/reproduce.py

check: test types lint ## everything that CI runs

format: $(VENV)/.tools ## format Python and Rust
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	cargo fmt
	cargo fmt --manifest-path fuzz/Cargo.toml

clean: ## remove what was built
	rm -rf .venv* target dist fuzz/target fuzz/found python/xyfast/*.so

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/.maturin: | $(BIN)/python
	$(BIN)/pip install --quiet "maturin>=1.13,<2"
	touch $@

$(VENV)/.tools: pyproject.toml | $(VENV)/.maturin
	$(BIN)/pip install --quiet --group tools
	touch $@

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --group docs
	touch $@

$(VENV)/.rivals: pyproject.toml | $(VENV)/.maturin
	$(BIN)/pip install --quiet --group bench
	touch $@

# All builds for a Python share one file: the last one made is the one that is imported.
$(VENV)/.release: $(RUST) | $(VENV)/.maturin
	$(MATURIN) develop --quiet --release --extras testing
	rm -f .venv*/.debug .venv*/.guided
	touch $@

$(VENV)/.guided: $(RUST) | $(VENV)/.maturin
	$(GUIDED) $(MATURIN) develop --quiet --release --extras testing
	rm -f .venv*/.debug .venv*/.release
	touch $@

$(VENV)/.debug: $(RUST) $(VENV)/.tools
	$(MATURIN) develop --quiet --extras testing
	rm -f .venv*/.release .venv*/.guided
	touch $@
