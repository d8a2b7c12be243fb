# All set-up happens by itself: `make run` and `make test` work in a fresh clone.
#
#   make run ARGS="--set seed=3"        options for run_main_pipeline.py
#   make test ARGS="tests/unit/nn"      options for pytest
#   make bench ARGS="acting"            one benchmark; RESULTS.md stays as it is
#   make run PYTHON=/path/to/python3.12 another interpreter, 3.11 or newer

PYTHON ?=
ARGS ?=
VENV := .venv
BENCH_VENV := .bench-venv
DOCS_VENV := .docs-venv
LOWEST_VENV := .lowest-venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
INPUTS := pyproject.toml constraints.txt

# Each test keeps its matrix products to one thread, so that two of them fill two processors.
WORKERS := -n logical --maxprocesses 8 --dist worksteal
# OpenBLAS's oldest kernel, which every x86-64 processor runs, and that of a run.
KERNELS := Prescott Haswell
PIP := -m pip install --quiet --disable-pip-version-check
# constraints.txt is for Python 3.11 to 3.14; a newer one gets what is newest.
PINS = $$($(1)/bin/python -c "import sys; print('-c constraints.txt' * (sys.version_info < (3, 15)))")
PYTHONS := python3.14 python3.13 python3.12 python3.11 python3

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test quick kernels kills fuzz oracles lowest lint format bench bench-learning bench-ensemble docs clean

help: ## List the targets
	@echo "Usage: make TARGET [ARGS=...] [PYTHON=...]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.installed ## Set up what is missing, then run the main job
	$(BIN)/python run_main_pipeline.py $(ARGS)

test: $(VENV)/.installed-dev ## Set up what is missing, then run all tests
	$(BIN)/python -m pytest $(WORKERS) $(ARGS)

quick: $(VENV)/.installed-dev ## The tests without the slow ones
	$(BIN)/python -m pytest $(WORKERS) -m "not slow" $(ARGS)

kernels: $(VENV)/.installed-dev ## The numeric tests under other BLAS kernels: KERNELS="..."
	@for kernel in $(KERNELS); do \
	  echo "OPENBLAS_CORETYPE=$$kernel"; \
	  OPENBLAS_CORETYPE=$$kernel $(BIN)/python -m pytest $(WORKERS) -q -m "not slow" \
	    $(addprefix tests/unit/,nn replay models envs policies training pipeline) $(ARGS) || exit 1; \
	done

kills: $(VENV)/.installed-dev ## A run killed before every one of its file operations; half an hour
	KILLS=every $(BIN)/python -m pytest $(WORKERS) -q -m slow tests/e2e/test_kill_at_every_operation.py $(ARGS)

fuzz: $(VENV)/.installed-dev ## 10,000 mutated files of prices: read, or refused in one line
	$(BIN)/python tests/shared/mutated_files.py --count 10000 $(ARGS)

oracles: $(VENV)/.installed-oracles ## Add the backtests and folds of others, so that tests run them, too

lowest: $(LOWEST_VENV)/.installed ## The quick tests with the lowest versions that are declared
	$(LOWEST_VENV)/bin/python -m pytest $(WORKERS) -m "not slow" \
	  -W ignore::DeprecationWarning $(ARGS)

lint: $(VENV)/.installed-dev ## Style, format, spelling and types; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell src docs examples README.md CONTRIBUTING.md CHANGELOG.md
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/python scripts/check_snippets.py

format: $(VENV)/.installed-dev ## Put style and format right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(VENV)/.installed-dev ## Set up for development, and run nothing

bench: $(BENCH_VENV)/.installed ## Measure speed against torch and JAX; writes benchmarks/RESULTS.md
	$(BENCH_VENV)/bin/python -m benchmarks $(ARGS)

bench-learning: $(BENCH_VENV)/.installed ## Measure what is learned; 40 minutes or more, resumable
	$(BENCH_VENV)/bin/python -m benchmarks.learning $(ARGS)

bench-ensemble: $(BENCH_VENV)/.installed ## Measure the ensemble on known markets; an hour, resumable
	$(BENCH_VENV)/bin/python -m benchmarks.ensemble $(ARGS)

docs: $(DOCS_VENV)/.installed ## Build the documentation's site in site/; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --quiet
	@echo "Open site/index.html"

clean: ## Remove the virtual environments and caches; runs/ stays
	rm -rf $(VENV) $(BENCH_VENV) $(DOCS_VENV) $(LOWEST_VENV) site .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -not -path './runs/*' -prune -exec rm -rf {} +

# The stamps make a second call install nothing, unless what is to be installed has changed.

$(VENV)/.installed: $(INPUTS) | $(VENV)/bin/python
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python $(PIP) $(call PINS,$(VENV)) -e .
	@touch $@

$(VENV)/.installed-dev: $(INPUTS) | $(VENV)/bin/python
	@echo "Installing into $(VENV), with what tests and checks need ..."
	@$(BIN)/python $(PIP) $(call PINS,$(VENV)) -e ".[dev]"
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-oracles: $(INPUTS) | $(VENV)/bin/python
	@echo "Installing into $(VENV), with the foreign oracles ..."
	@$(BIN)/python $(PIP) $(call PINS,$(VENV)) -e ".[dev,oracles]"
	@touch $@ $(VENV)/.installed-dev $(VENV)/.installed

$(BENCH_VENV)/.installed: $(INPUTS) | $(BENCH_VENV)/bin/python
	@echo "Installing into $(BENCH_VENV), with $(TORCH) ..."
	@$(BENCH_VENV)/bin/python $(PIP) $(call PINS,$(BENCH_VENV)) -e ".[bench]" "$(TORCH)"
	@touch $@

$(DOCS_VENV)/.installed: scripts/docs_requirements.txt | $(DOCS_VENV)/bin/python
	@echo "Installing into $(DOCS_VENV) ..."
	@$(DOCS_VENV)/bin/python $(PIP) -r $<
	@touch $@

$(LOWEST_VENV)/.installed: pyproject.toml | $(LOWEST_VENV)/bin/python
	@echo "Installing the lowest versions into $(LOWEST_VENV) ..."
	@$(LOWEST_VENV)/bin/python $(PIP) -c constraints.txt uv
	@$(LOWEST_VENV)/bin/uv pip install --quiet --python $(LOWEST_VENV)/bin/python \
	  --resolution lowest-direct -e ".[test]"
	@touch $@

$(LOWEST_VENV)/bin/python: PYTHONS := python3.11 python3.12
$(VENV)/bin/python $(BENCH_VENV)/bin/python $(DOCS_VENV)/bin/python $(LOWEST_VENV)/bin/python:
	@for name in $(or $(PYTHON),$(PYTHONS)); do \
	  if "$$name" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
	      >/dev/null 2>&1; then \
	    echo "Making $(@:/bin/python=) with $$("$$name" --version) ..."; \
	    exec "$$name" -m venv "$(@:/bin/python=)"; \
	  fi; \
	  version=$$("$$name" -c 'import platform; print(platform.python_version())' 2>/dev/null); \
	  tried="$$tried $$name ($${version:-not there})"; \
	done; \
	echo "error: Python 3.11 or newer is needed, with its venv module. Tried:$$tried." >&2; \
	echo "Install one (Debian and Ubuntu: python3-venv, too), or: make PYTHON=/path/to/python3" >&2; \
	exit 1
