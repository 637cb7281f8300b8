# make demo   a fresh machine with Python 3.11 or newer and a package index: the demo, no key and no internet needed
# make test   the test suite
# make lint   everything that is checked without running the product
# The rest is listed by `make help`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
SHELL  := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help venv demo test matrix soak docs lint bench guard format lock node clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

demo: $(VENV)/.package ## install, then show the proxy falling back between two simulated providers
	@$(BIN)/hydrallm demo

venv: $(VENV)/.dev $(VENV)/.package ## make .venv with everything that development needs

test: venv ## the test suite; ARGS="-k name" picks tests
	@$(BIN)/python -m pytest --numprocesses=2 --dist=worksteal --quiet $(ARGS)

matrix: venv ## the long forms that the suite leaves out: every fault in every format, the outages
	@$(BIN)/python -m pytest --numprocesses=2 --dist=worksteal --quiet -m matrix $(ARGS)

soak: venv ## mixed traffic with faults for MINUTES, every answer checked, what the process uses as a slope
	@$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),10) $(ARGS)

docs: venv ## write the tables of docs/wire-formats.md anew, from those that the tests go by
	@HYDRALLM_WRITE_DOCS=1 $(BIN)/python -m pytest --quiet tests/e2e/translation/test_documentation.py

lint: venv ## everything that is checked without running the product
	@echo "== ruff check";        $(BIN)/ruff check --quiet --output-format=concise .
	@echo "== ruff format";       $(BIN)/ruff format --quiet --check .
	@echo "== mypy --strict";     $(BIN)/mypy --no-error-summary
	@echo "== import contracts";  COLUMNS=120 $(BIN)/lint-imports > $(VENV)/imports.txt || { sed -n '/^Contracts:/,$$p' $(VENV)/imports.txt; exit 1; }
	@echo "== sizes";             $(BIN)/python tools/sizes.py src tests tools bench hatch_build.py
	@echo "== package hosts";     $(BIN)/python tools/hosts.py

# Needs Debian's nginx, haproxy and wrk; ARGS=--peers measures LiteLLM and Portkey as well, ARGS=--help tells all.
bench: $(VENV)/.package $(VENV)/.baseline $(if $(findstring --peers,$(ARGS)),$(VENV)/.peers) ## measure beside other proxies
	@$(BIN)/python -m bench $(ARGS)

guard: $(VENV)/.package ## count instructions per request (needs valgrind) and compare; ARGS=--update records them
	@$(BIN)/python -m bench.guard $(ARGS)

format: venv ## put the code into the formatter's form, and fix what can be fixed
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

node: ## what tests need from npm, into tests/node
	@npm --prefix tests/node ci --silent

clean: ## remove everything that make made
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache tests/node/node_modules bench/requirements/node_modules
	@find src tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- the pinned requirements: one solution for Python 3.11 to 3.14 on Linux, macOS and Windows, hashes included.
# Versions stay as they are unless asked: make lock ARGS=--upgrade, or ARGS="--upgrade-package rich".

UV_COMPILE = $(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(ARGS)

lock: $(VENV)/.python ## pin the requirements again after a change of pyproject.toml or requirements/*.in
	@test -x $(VENV)/lock/bin/uv || { $(BIN)/python -m venv $(VENV)/lock && \
	  $(VENV)/lock/bin/python -m pip --quiet install --require-hashes -r requirements/lock.txt; }
	@$(UV_COMPILE) pyproject.toml -o requirements/core.txt
	@$(UV_COMPILE) pyproject.toml --extra aws -o requirements/aws.txt
	@$(UV_COMPILE) requirements/build.in -o requirements/build.txt
	@$(UV_COMPILE) requirements/dev.in -o requirements/dev.txt
	@$(UV_COMPILE) requirements/lock.in -o requirements/lock.txt
	@$(UV_COMPILE) bench/requirements/baseline.in -o bench/requirements/baseline.txt
	@$(UV_COMPILE) bench/requirements/peers.in -o bench/requirements/peers.txt
	@$(BIN)/python tools/hosts.py requirements/*.txt bench/requirements/*.txt

# ---- the virtual environment: a stamp file for each layer, so that a second run has nothing to do

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  found=$$($(PYTHON) --version 2>/dev/null || echo "not to be found"); \
	  echo "HydraLLM needs Python 3.11 or newer; $(PYTHON) is $$found."; \
	  echo "Name another one, such as: make $(firstword $(MAKECMDGOALS)) PYTHON=python3.12"; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; } >&2
	@echo "== making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.core: $(VENV)/.python requirements/core.txt requirements/build.txt
	@echo "== installing the pinned dependencies"
	@$(PIP) install --require-hashes -r requirements/core.txt -r requirements/build.txt
	@touch $@

$(VENV)/.package: $(VENV)/.core pyproject.toml hatch_build.py
	@echo "== installing hydrallm from this checkout"
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# What the benchmark measures beside HydraLLM, each in an environment of its own.

$(VENV)/.baseline: $(VENV)/.python bench/requirements/baseline.txt
	@echo "== installing uvicorn and aiohttp into $(VENV)/baseline"
	@$(BIN)/python -m venv --clear $(VENV)/baseline
	@$(VENV)/baseline/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r bench/requirements/baseline.txt
	@touch $@

$(VENV)/.peers: $(VENV)/.python bench/requirements/peers.txt bench/requirements/package-lock.json
	@echo "== installing LiteLLM into $(VENV)/peers and Portkey into bench/requirements; this takes a while"
	@$(BIN)/python -m venv --clear $(VENV)/peers
	@$(VENV)/peers/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r bench/requirements/peers.txt
	@npm --prefix bench/requirements ci --silent
	@touch $@

$(VENV)/.dev: $(VENV)/.core requirements/dev.txt
	@echo "== installing what tests and lint need"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@
