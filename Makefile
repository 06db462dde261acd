# Every target works on a fresh clone with Python (>= 3.11) and make alone: it creates .venv and installs what it needs.
PYTHON ?= python3
VENV ?= .venv
# `make test EXTRAS=dev,peers` adds PyTorch, beside which some references are then checked too.
EXTRAS ?= dev
WORKERS ?= 2
# `make fuzz SECONDS=1800 CANDIDATES=numba`; `NUMBA_ENABLE_CUDASIM=1 make fuzz CANDIDATES=numba-cuda-simulator`.
SECONDS ?= 600
CANDIDATES ?= numba,cupy-as-numpy
# The theme announces the end of its maintenance at every build.
export NO_MKDOCS_2_WARNING := 1
# Colors of messages that nobody sees take a twentieth of the time in which a kernel compiles.
export NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING := 1

BIN := $(VENV)/bin
# pip would compile what it installs on one core, tests of packages too; files that are no Python of today stay as they
# are.
INSTALL := $(BIN)/python -m pip install --quiet --no-compile
COMPILE := $(BIN)/python -m compileall -qq -j 0 -x /tests/ $(VENV) || true
DOCTESTS := --doctest-modules --doctest-ignore-import-errors
comma := ,
installed = $(VENV)/.installed-$(subst $(comma),-,$(1))
DEV := $(call installed,$(EXTRAS))
# Whoever has installed more has what the package alone needs.
BASE := $(or $(wildcard $(DEV)),$(call installed,base))
PEERS := $(VENV)/.installed-dev-peers
ZENSICAL := $(VENV)/.installed-dev-zensical

.PHONY: help tour test simulator doctest lint format docs zensical serve bench large thorough fuzz mutants kernels test-gpu clean

help:  ## Say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

tour: $(BASE)  ## Run every formulation on real attention heads; print the table, write report/attlas.html
	$(BIN)/attlas tour --output report

test: $(DEV)  ## Run the tests: doctests, the engines, CUDA compiled for four GPUs, a part of it in the simulator
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --less $(DOCTESTS) tests ref accel
	NUMBA_ENABLE_CUDASIM=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --less

simulator: $(DEV)  ## Run every test of the CUDA engine in Numba's simulator
	NUMBA_ENABLE_CUDASIM=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

doctest: $(DEV)  ## Run the examples in the docstrings
	$(BIN)/python -m pytest -n $(WORKERS) $(DOCTESTS) ref accel

lint: $(DEV)  ## Check style, types and generated stubs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m attlas.stubs --check

format: $(DEV)  ## Format the code and write the stubs
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/python -m attlas.stubs

docs: $(DEV)  ## Build the site into site/, warnings being errors
	$(BIN)/python docs/generate.py
	$(BIN)/python -m mkdocs build --strict

serve: $(DEV)  ## Build the site and serve it on this machine
	$(BIN)/python docs/generate.py
	$(BIN)/python -m mkdocs serve

zensical: docs $(ZENSICAL)  ## Build the site with Zensical too and compare the pages; nothing depends on it
	$(BIN)/python docs/zensical_too.py

bench: $(PEERS)  ## Time the engine beside PyTorch, with goals (some ten minutes); write docs/benchmarks/
	for suite in dense memory kronecker probabilistic alignment; do \
		$(BIN)/attlas bench --suite $$suite --write docs/benchmarks/$$suite.json || exit 1; \
	done

large: $(DEV)  ## Measure interrupts, leaks, calls with a million tokens and growth; write docs/benchmarks/promises.json
	$(BIN)/python docs/measure_promises.py

thorough: $(DEV)  ## The tests of `make test` with many times the draws, whole, every kernel for every generation of GPUs
	ATTLAS_PROFILE=thorough $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

fuzz: $(DEV)  ## Draw random cases for SECONDS on each of CANDIDATES; keep what fails as a test, write the figures
	$(BIN)/python -m pytest tests/fuzz.py --seconds $(SECONDS) --candidates $(CANDIDATES)

kernels: $(DEV)  ## Compile every CUDA kernel for four generations of GPUs, without one; write docs/benchmarks/kernels.json
	$(BIN)/python docs/measure_kernels.py

test-gpu: $(PEERS)  ## With a CUDA GPU: larger tests, compute-sanitizer, the benchmark; keep what they say
	$(BIN)/python tests/gpu/run.py

MUTANTS ?= 400
mutants: $(DEV)  ## Plant small faults in the sources and count those that tests notice (hours; MUTANTS=50 is less)
	$(BIN)/python tests/mutants/run_mutants.py --mutants $(MUTANTS) --write
	NUMBA_ENABLE_CUDASIM=1 $(BIN)/python tests/mutants/run_mutants.py --mutants $(MUTANTS) --write

clean:  ## Remove what was made
	rm -rf $(VENV) site report docs/atlas docs/lessons .docs_cache .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(call installed,base): pyproject.toml | $(BIN)/python
	$(INSTALL) -e .
	$(COMPILE)
	touch $@

$(VENV)/.installed-%: pyproject.toml | $(BIN)/python
	$(INSTALL) -e '.[$(subst -,$(comma),$*)]'
	$(COMPILE)
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
