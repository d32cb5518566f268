# Two commands do all: `make train` and `make test`. Both set up a virtual environment first, once.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready

.PHONY: help train test test-fast bench bench-quick lint format clean
help:
	@echo "make train      set up, then train on the built-in demo recordings of the Koolmees"
	@echo "make test       set up, then run every test"
	@echo "make test-fast  the tests that take seconds"
	@echo "make bench      time it beside the original's training loop (hours; bench-quick: ten minutes)"
	@echo "make lint       ruff"
	@echo "make clean      remove the virtual environment and the caches (logs and data stay)"

train: $(READY)
	@$(VENV)/bin/python train.py species=koolmees trainer=turbo

test: $(READY) lint
	@$(VENV)/bin/python -m pytest -n auto --dist loadfile

test-fast: $(READY)
	@$(VENV)/bin/python -m pytest -m "not slow" -n auto --dist loadfile

bench: $(READY)
	@$(VENV)/bin/python -m benchmarks

bench-quick: $(READY)
	@$(VENV)/bin/python -m benchmarks --quick

lint: $(READY)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

format: $(READY)
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

clean:
	rm -rf $(VENV) cache build *.egg-info

# Renewed when the dependencies change. The wheel of torchaudio has to be repaired beside a CPU-only torch.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("birdnet_nl needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.12 train" if sys.version_info < (3, 11) else 0)'
	@echo "setting up $(VENV) (once; a few minutes)"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@$(VENV)/bin/python -m birdnet_nl.audio.repair_torchaudio
	@touch $(READY)
