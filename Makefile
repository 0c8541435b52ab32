# `make repro` runs the pipeline, `make test` tests it (`make test SEED=7` in another order),
# `make demo` shows a page that fills holes, `make docs` builds the documentation.
# Each sets up .venv itself.

PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK = 1
INSTALL := pip install --quiet --no-compile --constraint CONSTRAINTS --editable
# Compiles what was installed on every core; pip has one. Some files in it are not meant to be.
COMPILE := python -m compileall -q -j 0 -x /tests/ .venv/lib > /dev/null || true
DOCS := NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true mkdocs build --strict --quiet

repro: $(BIN)/.installed .dvc/config.local
	dvc repro
	maskgit table

demo: $(BIN)/.demo
	maskgit demo

test: $(BIN)/.installed
	ruff check .
	ruff format --check .
	lint-imports
	OMP_NUM_THREADS=1 pytest --numprocesses 2 --dist loadscope $(if $(SEED),--randomly-seed=$(SEED))

docs: $(BIN)/.installed
	$(DOCS)
	@echo 'The site is in site/. To read and search it: python3 -m http.server --directory site'

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

.PHONY: repro test demo docs
