# `make demo` and `make test` need nothing but Python 3.10 or later: each makes .venv where needed.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test lint types clean

demo: .venv/installed-offline
	$(BIN)/textleak attack --model minilm --client-seed 0 --sentence "We welcome proposals for tutorials on either core machine learning topics or topics of emerging importance for machine learning."

test: .venv/installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --maxprocesses 4

lint: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/installed-dev
	$(BIN)/mypy

# One stamp a set of extras: installing again happens only when the requirements change.
.venv/installed-offline: EXTRAS := offline
.venv/installed-test: EXTRAS := offline,test
.venv/installed-dev: EXTRAS := offline,test,dev
.venv/installed-%: pyproject.toml setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[$(EXTRAS)]"
	@touch $@

$(BIN)/python:
	$(PYTHON) -m venv .venv

clean:
	rm -rf .venv build dist *.egg-info
