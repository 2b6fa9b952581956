# Everything from a fresh clone: `make demo` runs the whole loop, `make test` passes the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := install
.PHONY: install demo test lint format types layers bench wheel clean

install: $(READY)  ## set up a virtual environment with everything that is pinned

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Waystage needs Python 3.11 or newer; say which with: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt pip
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt \
	  -e '.[demo,postgresql]' --group test --group lint
	@touch $@

demo: install  ## the whole loop on this machine; KEEP=1 leaves project and daemon running
	$(BIN)/waystage demo $(if $(KEEP),--keep)

test: install  ## the tests; parts that need Docker, Spark or TensorFlow say so when they do not run
	$(BIN)/python -m pytest -n auto

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: install
	$(BIN)/mypy

layers: install
	$(BIN)/lint-imports

bench: install  ## W1 beside its peer; the peer gets an environment of its own
	$(BIN)/python benchmarks/w1.py

wheel: install
	$(BIN)/python -m pip wheel -q --disable-pip-version-check --no-deps -w dist .

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
