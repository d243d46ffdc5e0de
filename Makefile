# Every habit of the project, one word each. All of it works in .venv, which the first
# call makes; `make help` lists the words.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
INPUT ?=
export TF_USE_LEGACY_KERAS := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-ddsp check lint lock bench bench-prep bench-training clean

help: ## lists the words
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

$(READY): requirements.txt setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v in ((3, 11), (3, 12)) else f"$(PYTHON) is Python {v[0]}.{v[1]}; 3.11 or 3.12 is needed: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --disable-pip-version-check -e .
	@touch $(READY)

setup: $(READY) ## makes .venv with everything pinned

lock: ## regenerates requirements.txt from setup.cfg
	test -x build/uv/bin/uv || { $(PYTHON) -m venv build/uv && build/uv/bin/pip install --quiet uv; }
	build/uv/bin/uv pip compile --quiet --upgrade --python-version 3.11 --no-header --no-annotate \
	  --extra dev --override requirements-overrides.txt setup.cfg --output-file requirements.txt
