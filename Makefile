# Everything starts here: `make run` shows the product, `make test` checks it. Both set themselves up.
# `make run MODEL=my_checkpoint AUDIO=recordings` measures your own.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# One more process than needed costs memory only; two cores are what the suite is planned for.
JOBS ?= 2

# Machines of CI often forbid Python to keep what it compiled. Every process then compiles torch and MLflow once more,
# which takes longer than importing them.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test lint types imports tests coverage bench starter clean

run: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" mlflow run . --env-manager local --experiment-name mlflow_rank \
		$(if $(MODEL),-P model=$(MODEL)) $(if $(AUDIO),-P audio=$(AUDIO))
	@echo "To look at it in the browser: $(BIN)/mlflow ui"

# Types are looked at beside the tests, as that keeps one core busy, and for long.
test: $(READY)
	$(MAKE) -j 2 lint imports types tests

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

tests: $(READY)
	$(BIN)/pytest -n $(JOBS) --no-loadscope-reorder

# The same tests, measured: at least 90 % of lines and branches. Apart, as measuring takes a third of the time again.
coverage: $(READY)
	$(BIN)/pytest -n $(JOBS) --no-loadscope-reorder --cov --cov-report=term:skip-covered

bench: $(READY)
	$(BIN)/python -m benchmarks

starter: $(READY)
	$(BIN)/python -m recipes.starter_encoder

clean:
	rm -rf $(VENV) build .coverage .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 …")'
	@echo "Setting up $(VENV) (once; a few minutes, most of it torch) …"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(READY)
