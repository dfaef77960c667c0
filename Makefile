# Two commands do everything on a fresh Debian machine with Python 3.11: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PI_PACKAGES := qemu-user mmdebstrap gcc libc6-dev
TEST_PACKAGES := mosquitto chromium softhsm2 $(PI_PACKAGES)

.DEFAULT_GOAL := help
.PHONY: help install demo test lint bench bench-compiler bench-compression fuzz pi clean

help:  ## Show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "edgefleet needs Python 3.11 or newer: make PYTHON=python3.11 ..." >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "the venv module is missing: apt-get install python3-venv" >&2; exit 2; }

$(VENV)/.for-use: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing edgefleet into $(VENV) ..." >&2
	@$(PIP) install -c constraints.txt -e '.[compiler,server,agent,litert,onnxruntime]'
	@touch $@

$(VENV)/.for-tests: $(VENV)/.for-use
	@echo "installing the test tools into $(VENV) ..." >&2
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

install: $(VENV)/.for-use  ## Install edgefleet into .venv

demo: $(VENV)/.for-use  ## Watch a model go the whole way, in three minutes
	@$(BIN)/edgefleet demo

test: $(VENV)/.for-tests  ## Run all tests, on up to four cores
	@scripts/require-packages $(TEST_PACKAGES)
	@$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(VENV)/.for-tests  ## Check style, types and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: $(VENV)/.for-benchmarks  ## Measure against the peers and limits
	@$(BIN)/python -m benchmarks

$(VENV)/.for-benchmarks: $(VENV)/.for-tests
	@echo "installing the peers into $(VENV) ..." >&2
	@$(PIP) install -c constraints.txt -e '.[bench]'
	@touch $@

bench-compiler: $(VENV)/.for-benchmarks  ## Measure the quantiser beside its peers, and write docs/benchmarks.md
	@$(BIN)/python -m benchmarks --write quantisers compile-cost

bench-compression: $(VENV)/.for-benchmarks  ## Measure compression beside its peers, and write docs/benchmarks.md
	@$(BIN)/python -m benchmarks --write lossless compression

FUZZ_SECONDS ?= 3600
fuzz: $(VENV)/.for-tests  ## Fuzz the readers, an hour each; FUZZ_SECONDS=n for longer
	@for target in tflite onnx bundle; do \
		$(BIN)/python tests/fuzz/run.py $$target --seconds $(FUZZ_SECONDS) --work out/fuzz/$$target || exit $$?; \
	done

pi: $(VENV)/.for-use  ## Build the emulated Raspberry Pi that benchmarks count in
	@scripts/require-packages $(PI_PACKAGES)
	@$(BIN)/python -m edgefleet_hardware.pi

clean:  ## Remove what was installed and made
	rm -rf $(VENV) .pi out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
