# Every target sets up what it needs from a bare clone: Python >= 3.11, make, and the package registry.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(VENV)/.run-installed
DEV    := $(VENV)/.dev-installed
# Two workers: the suites start real brokers, and the machines we test on have two cores.
JOBS   ?= 2
RUN_ARGS ?=
BENCH_ARGS ?=

.PHONY: run test test-real bench bench-kafka lint format codegen lock clean

run: $(RUN) ## the main job: a day of ticks in, a proven backup out
	$(BIN)/tape run $(RUN_ARGS)

test: lint ## everything that needs only Python
	$(BIN)/pytest -n $(JOBS) --dist loadgroup -m "not real and not slow"

test-real: $(DEV) ## the suites that need Java, Node or root, and the slow ones
	tests/interop/install.sh
	$(BIN)/pytest -n $(JOBS) --dist loadgroup -m "real or slow"

bench: $(DEV) ## every number of the README, one file each
	$(BIN)/python -m benchmarks.all

bench-kafka: $(DEV) ## beside Apache Kafka, 25 minutes on a quiet machine: docs/benchmarks.md
	tests/interop/install.sh
	$(BIN)/python -m benchmarks.kafka_comparison --write $(BENCH_ARGS)

lint: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

codegen: $(DEV) ## wire/schema anew from Kafka's message definitions
	$(BIN)/python -m codegen
	PYTHONPATH=src $(BIN)/python -m codegen.configuration

lock: $(DEV) ## refresh the pinned dependencies
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-header --no-annotate --no-emit-index-url \
	  --python-version 3.11 pyproject.toml --output-file requirements/run.lock
	$(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-header --no-annotate --no-emit-index-url \
	  --python-version 3.11 --extra dev pyproject.toml --output-file requirements/dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "tickertape needs Python 3.11 or newer; got: $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUN): requirements/run.lock pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --require-hashes -r requirements/run.lock
	$(BIN)/pip install --quiet --no-deps -e .
	@touch $@

$(DEV): requirements/dev.lock pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.lock
	$(BIN)/pip install --quiet --no-deps -e .
	@touch $@ $(RUN)
