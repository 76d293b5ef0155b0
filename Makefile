# raykg in a handful of words. Each target does its own set-up in .venv.
#   make quickstart   a graph -> questions -> a fine-tuned, measured model, in about 15 minutes on 2 idle cores
#   make test         the default test suite
#   make stories      the long tests: a cluster that loses a node, a sweep, a service under chaos, more random graphs
#   make lint         ruff and strict mypy

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Hundreds of processes of the tests import raykg: without its bytecode each would compile it anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: quickstart test stories lint install clean help

help:
	@sed -n 's/^#   //p' Makefile

install: $(INSTALLED)

# The environment is made anew whenever the dependencies change; an interrupted installation leaves no mark and is done again.
$(INSTALLED): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11 or newer, or name one: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11: name a newer one: make PYTHON=python3.11 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing raykg and what it needs into $(VENV) (about 3 minutes, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(INSTALLED)

quickstart: install
	@$(BIN)/raykg train jobs/configs/finetune/quickstart.yaml

test: install
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup --no-loadscope-reorder -m "not story"

stories: install
	@$(BIN)/python -m pytest -m story

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

clean:
	rm -rf $(VENV) build *.egg-info
