# Every habit of the project, one word each. All of it works in .venv, which the first
# call makes; `make` alone lists the words.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Processes that share the tests; a file's tests stay in one.
TEST_JOBS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadfile
# Recordings for `make demo`; without it the demo plays its own instrument.
INPUT ?=
unexport INPUT
# `make setup GPU=1` installs TensorFlow's own CUDA libraries too.
GPU ?=
# Of `make mutate`.
SAMPLE ?= 200
SEED ?= 0

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-ddsp lint check mutate format notebook lint-js lock \
	bench bench-prep bench-scale bench-training bench-ladder bench-render bench-live \
	bench-instrument bench-report bench-pitch

help:  ## lists the words
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

$(READY): requirements.txt setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v in ((3, 11), (3, 12)) else f"$(PYTHON) is Python {v[0]}.{v[1]}, and 3.11 or 3.12 is needed: make PYTHON=/path/to/python3.11 ...")'
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --disable-pip-version-check \
		-r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation \
		--disable-pip-version-check --editable .
	@touch $(READY)

setup: $(READY)  ## makes .venv with everything pinned, and the project; GPU=1 adds CUDA
	$(if $(GPU),$(BIN)/python -m pip install --quiet --no-deps \
		--disable-pip-version-check -r requirements-gpu.txt)

demo: export DEMO_INPUT := $(value INPUT)
demo: $(READY)  ## recordings to report in minutes; INPUT=my_wavs/ takes your own
	@# The shell gets the name by its environment, where nothing in it is a command.
	$(BIN)/python -m evaluation.run_demo $${DEMO_INPUT:+--input="$$DEMO_INPUT"}

test: $(READY)  ## all tests, without network
	$(PYTEST) --durations=20

# The tests of data preparation parse the command line, so the options stand outside.
test-ddsp: $(READY)  ## ddsp 3.7.0's own tests in this environment
	PYTHONPATH=tests/helpers PYTEST_ADDOPTS="-p ddsp_suite -p no:cacheprovider -o python_files=*_test.py --pyargs" \
		$(BIN)/python -m pytest ddsp

lint: $(READY)  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy ddsp_compat.py prep models evaluation benchmarks

check: lint  ## lint and the quick tests, kernels as they are; `make test` compiles them
	DDSP_LADDER_XLA=0 $(PYTEST) -m "not slow and not long and not browser"

mutate: $(READY)  ## small wrong changes that no test notices, slow ones left out; SAMPLE=200 SEED=0
	$(BIN)/python -m benchmarks.mutation.mutate --sample=$(SAMPLE) --seed=$(SEED)

format: $(READY)  ## writes the format that check asks for
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

notebook: $(READY)  ## makes docs/ddsp_ladder.ipynb of its source
	$(BIN)/jupytext --quiet --update --to ipynb docs/ddsp_ladder.py

lint-js:  ## the instrument's JavaScript; needs node, and eslint from npm
	npx --yes eslint@9 evaluation/instrument/js tests/evaluation/instrument/js

lock:  ## regenerates requirements.txt from setup.cfg
	test -x build/uv/bin/uv || { $(PYTHON) -m venv build/uv && build/uv/bin/pip install --quiet uv; }
	build/uv/bin/uv pip compile --quiet --upgrade --python-version 3.11 --no-header \
		--no-annotate --extra dev --override requirements-overrides.txt setup.cfg \
		--output-file requirements.txt
	echo 'tensorflow[and-cuda]' | build/uv/bin/uv pip compile --quiet --upgrade \
		--python-version 3.11 --no-header --no-annotate --constraint requirements.txt - \
		| grep '^nvidia-' > requirements-gpu.txt

bench: bench-prep bench-scale bench-training bench-ladder bench-render bench-live bench-instrument bench-report bench-pitch  ## every benchmark

bench-prep: $(READY)  ## CREPE and the pipeline against the stock libraries
	$(BIN)/python -m benchmarks.bench_crepe
	$(BIN)/python -m benchmarks.bench_prep

bench-scale: $(READY)  ## what many recordings and many examples cost, each
	$(BIN)/python -m benchmarks.bench_scale

bench-training: $(READY)  ## a training step against stock ddsp, then two trainings
	$(BIN)/python -m benchmarks.bench_training

bench-ladder: $(READY)  ## size and cost of every rung
	$(BIN)/python -m benchmarks.bench_ladder

bench-render: $(READY)  ## playing live and to a file, against real time
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.bench_render

bench-live: $(READY)  ## the live ear: what it hears beside the preparation, and how fast
	$(BIN)/python -m benchmarks.bench_live

bench-report: $(READY)  ## judging two systems, against the program as it was
	$(BIN)/python -m benchmarks.bench_report

bench-pitch: $(READY)  ## the pitch tracker on tones whose pitch is known
	$(BIN)/python -m benchmarks.bench_pitch

bench-instrument: $(READY)  ## the web page's engine in Chromium, against real time
	$(BIN)/python -m benchmarks.bench_instrument
