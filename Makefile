# Each target makes its own virtual environment when there is none.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_FOR_DOCS := $(VENV)/.installed-for-docs
# Workers, each with whole files, for what a file shares is made once; tests of speed run alone, in `make speed`.
TESTS := -m pytest -n logical --maxprocesses 8 --dist loadfile --ignore=tests/speed -m "not long"

# The lowest versions are those of the oldest Python; newer ones have no builds of them.
OLDEST_PYTHON ?= python3.11
LOWEST := .venv-lowest
INSTALLED_LOWEST := $(LOWEST)/.installed-lowest

.DEFAULT_GOAL := help
.PHONY: help browser demo test lowest check speed long results axes docs
.DELETE_ON_ERROR:

help:
	@echo "make demo    score the embedded players end to end and print the question's table"
	@echo "make test    the tests"
	@echo "make browser a Chromium, in which the site's tests look at its pages; they are skipped without one"
	@echo "make lowest  format, lint, docs and tests on the lowest versions allowed; needs $(OLDEST_PYTHON)"
	@echo "make check   format, lint, and types of the installed wheel"
	@echo "make speed   speed ratios against peers, measured in one run"
	@echo "make long    the tests that take minutes"
	@echo "make results the trained entries and their rows, as far as they are missing; takes hours"
	@echo "make axes    one recipe with one thing changed at a time, as far as it is missing; takes hours"
	@echo "make docs    the docs site, into site/"

browser: $(INSTALLED)
	$(BIN)/python -m playwright install --with-deps chromium

demo: $(INSTALLED)
	$(BIN)/understudy demo

test: $(INSTALLED)
	$(BIN)/python $(TESTS)

lowest: $(INSTALLED_LOWEST)
	$(LOWEST)/bin/python .ci/lowest.py
	$(LOWEST)/bin/ruff format --check . && $(LOWEST)/bin/ruff check .
	NO_MKDOCS_2_WARNING=1 $(LOWEST)/bin/python -m mkdocs build -q --strict --site-dir $(CURDIR)/$(LOWEST)/site
	$(LOWEST)/bin/python $(TESTS) --failed-first -o cache_dir=$(LOWEST)/.pytest_cache

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	.ci/check-wheel $(BIN)/python

speed: $(INSTALLED)
	$(BIN)/python -m pytest tests/speed --benchmark-json=.benchmarks/speed.json --benchmark-quiet
	$(BIN)/python tests/speed/ratios.py .benchmarks/speed.json

long: $(INSTALLED)
	$(BIN)/python -m pytest --ignore=tests/speed -m long

results: $(INSTALLED)
	$(BIN)/python -m understudy.leaderboard.make_results $(RESULTS)

axes: $(INSTALLED)
	$(BIN)/python -m understudy.leaderboard.make_axes $(AXES)

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

# From the start, since what is installed would be kept; what was downloaded before is taken from uv's cache.
$(INSTALLED_LOWEST): pyproject.toml
	@echo "installing the lowest versions into $(LOWEST); the first time this takes minutes"
	$(OLDEST_PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip install -q uv
	$(LOWEST)/bin/uv pip install -q --python $(LOWEST) --resolution lowest-direct -e ".[dev,docs]"
	@touch $@
