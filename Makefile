PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SPEC ?= search_spaces/pheromone.yaml
BENCHMARKS := $(wildcard benchmarks/*.py)

.PHONY: venv run test test-faults lint bench

venv: $(INSTALLED)

# torch comes first and alone: its exact version keeps pip from choosing another build later on
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "make: Python 3.11 or newer is needed, got: $$($(PYTHON) --version 2>&1 | head -n 1);" \
			"name one with make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,notebook]'
	$(BIN)/python -c 'from biomarl_tune.ppo.local import compile_ahead; compile_ahead()'
	@touch $@

run: venv
	$(BIN)/biomarl-tune run $(SPEC) --fresh

test: venv
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not faults' --session-timeout=2400

test-faults: venv
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m faults --timeout=600 --session-timeout=3600

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: venv
	@set -e; for script in $(BENCHMARKS); do \
		echo "== $$script"; $(BIN)/python $$script --short; done
