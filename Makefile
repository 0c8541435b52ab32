# `make repro` runs the pipeline, `make test` tests it, `make demo` shows a page that fills holes.
# Each sets up .venv itself. `make test SEED=7` runs the tests in another order.

PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK = 1
INSTALL := pip install --quiet --no-compile --constraint CONSTRAINTS --editable
# Compiles what was installed on every core; pip has one. Some files in it are not meant to be.
COMPILE := python -m compileall -q -j 0 -x /tests/ .venv/lib > /dev/null || true

repro: $(BIN)/.installed .dvc/config.local
	dvc repro
	maskgit scores

demo: $(BIN)/.demo
	maskgit demo

test: $(BIN)/.installed
	ruff check .
	ruff format --check .
	lint-imports
	pytest $(if $(SEED),--randomly-seed=$(SEED))

# Without git (a ZIP of the project), DVC has to be told.
.dvc/config.local: $(BIN)/.installed
	test -e .git || dvc config --local core.no_scm true
	touch $@

$(BIN)/.installed: pyproject.toml CONSTRAINTS
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; try make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	@echo 'Installing the pinned dependencies into .venv; this takes a few minutes.'
	$(BIN)/$(INSTALL) '.[test]'
	$(BIN)/$(COMPILE)
	touch $@

$(BIN)/.demo: $(BIN)/.installed
	$(BIN)/$(INSTALL) '.[demo]'
	$(BIN)/$(COMPILE)
	touch $@

.PHONY: repro test demo
