# Each target makes its own virtual environment when there is none.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_FOR_DOCS := $(VENV)/.installed-for-docs

.DEFAULT_GOAL := help
.PHONY: help demo test check speed long docs
.DELETE_ON_ERROR:

help:
	@echo "make demo    score the embedded players end to end and print the question's table"
	@echo "make test    the tests"
	@echo "make check   format, lint, and types of the installed wheel"
	@echo "make speed   speed ratios against peers, measured in one run"
	@echo "make long    the tests that take minutes"
	@echo "make docs    the docs site, into site/"

demo: $(INSTALLED)
	$(BIN)/understudy demo

test: $(INSTALLED)
	$(BIN)/python -m pytest --ignore=tests/speed -m "not long"

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	.ci/check-wheel $(BIN)/python

speed: $(INSTALLED)
	$(BIN)/python -m pytest tests/speed --benchmark-json=.benchmarks/speed.json --benchmark-quiet
	$(BIN)/python tests/speed/ratios.py .benchmarks/speed.json

long: $(INSTALLED)
	$(BIN)/python -m pytest --ignore=tests/speed -m long

docs: $(INSTALLED_FOR_DOCS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# An environment that has everything already is taken as it is: nothing is installed, no network is needed.
$(INSTALLED): pyproject.toml
	@test -x $(BIN)/python && $(BIN)/python .ci/is-installed dev || { \
	  echo "installing into $(VENV); the first time this takes minutes"; \
	  $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --progress-bar off -e ".[dev]"; }
	@touch $@

$(INSTALLED_FOR_DOCS): $(INSTALLED)
	@$(BIN)/python .ci/is-installed docs || $(BIN)/python -m pip install -q -e ".[docs]"
	@touch $@
