# `make repro` runs the pipeline, `make test` tests it, `make demo` shows a page that fills holes.
# Each sets up .venv itself.

PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK = 1

repro: $(BIN)/.installed
	dvc repro
	maskgit scores

demo: $(BIN)/.demo
	maskgit demo

test: $(BIN)/.installed
	ruff check .
	ruff format --check .
	lint-imports
	pytest

$(BIN)/.installed: pyproject.toml CONSTRAINTS
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; try make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	@echo 'Installing the pinned dependencies into .venv; this takes a few minutes.'
	$(BIN)/pip install --quiet --constraint CONSTRAINTS --editable '.[test]'
	touch $@

$(BIN)/.demo: $(BIN)/.installed
	$(BIN)/pip install --quiet --constraint CONSTRAINTS --editable '.[demo]'
	touch $@

.PHONY: repro test demo
