# Two commands: `make repro` runs the pipeline, `make test` tests it. Both set up .venv themselves.

PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK = 1

repro: $(BIN)/.installed
	dvc repro
	maskgit scores

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

.PHONY: repro test
