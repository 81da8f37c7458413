# `make repro` and `make test` do everything on a machine that has git, make, Python 3.11 or newer and a package index.

PYTHON ?= python3
VENV ?= .venv
# Another package index to take torch from, such as one that offers builds for one kind of GPU, or for none.
TORCH_INDEX ?=

# Processes that share the tests. Each imports the libraries.
WORKERS ?= 2

BIN = $(VENV)/bin
RUN = PATH="$(abspath $(BIN)):$$PATH" DVC_NO_ANALYTICS=1 HF_HUB_DISABLE_TELEMETRY=1
PYTEST = $(RUN) python -m pytest --numprocesses $(WORKERS) --dist worksteal
FAST_AND_SLOW = -m "not gpu and not viggo and not browser and not remotes"

.PHONY: help env repro stale test test-fast mutations test-viggo test-browser test-remotes coverage fuzz faults performance audit lint format constraints clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

env: $(VENV)/.installed  ## install the pinned environment into .venv

repro: env  ## check the configuration, then run the pipeline and show its metrics
	@$(RUN) viggo check
	@$(RUN) dvc repro
	@$(RUN) viggo scores

stale: env  ## fail if a stage has changed since dvc.lock was written
	@$(RUN) python tools/stale.py

test: env  ## run the fast and the slow tests
	@$(PYTEST) $(FAST_AND_SLOW)

test-fast: env  ## run the fast tests
	@$(PYTEST)

test-viggo: env  ## run the tests on the real ViGGO files, which VIGGO_DATA names
	@$(PYTEST) -m "viggo and not gpu and not browser"

test-browser: $(VENV)/.installed-browser  ## run the report's tests in an installed Chromium
	@$(RUN) python -m pytest -m browser

test-remotes: $(VENV)/.installed-remotes  ## run the tests of sharing over SSH (if sshd is installed) and S3's protocol
	@$(RUN) python -m pytest -m remotes

coverage: env  ## print how much of the library the fast and the slow tests run
	@$(PYTEST) $(FAST_AND_SLOW) --cov --cov-report=term:skip-covered

mutations: env  ## break the library in the ways of tools/mutations.yaml, and count how many the tests see (an hour)
	@$(RUN) python tools/mutations.py

fuzz: env  ## run the tests of properties with 10,000 inputs each
	@HYPOTHESIS_PROFILE=nightly $(PYTEST) -m "hypothesis and not gpu and not viggo"

faults: env  ## break runs in many ways, and write what was lost into docs/reliability.md (about 20 minutes)
	@$(RUN) python tests/faults

performance: env  ## write docs/performance.md from benchmarks/results
	@$(RUN) python benchmarks/performance.py

audit: $(VENV)/.installed-audit  ## look the pinned versions up among the known vulnerabilities
	@$(RUN) python tools/audit.py

lint: env  ## check style and types
	@$(RUN) ruff check . && $(RUN) ruff format --check . && $(RUN) basedpyright

format: env  ## fix style
	@$(RUN) ruff check --fix . && $(RUN) ruff format .

constraints:  ## pin anew every version that a fresh install of the ranges in pyproject.toml takes
	@PYTHON="$(PYTHON)" TORCH_INDEX="$(TORCH_INDEX)" sh tools/constraints.sh

clean:  ## remove the environment and what the runs left, but no result
	rm -rf $(VENV) runs .pytest_cache .hypothesis .ruff_cache .coverage*

$(VENV)/.installed: pyproject.toml constraints.txt tools/install.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" TORCH_INDEX="$(TORCH_INDEX)" sh tools/install.sh
	@touch $@

$(VENV)/.installed-%: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$*]"
	@touch $@
