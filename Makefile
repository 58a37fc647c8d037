# Each target sets itself up: a virtual environment in .venv with the versions of constraints.txt
# (a few minutes and 6 GB, nearly all of it torch). The second time nothing is installed again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# One thread a test process: the tensors are tiny, and two processes share the cores better than two
# threads do. A file stays on one process, so that what its tests share is built once.
TEST_JOBS ?= 2
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: demo test test-faults lint docs bench setup setup-browser clean
.DEFAULT_GOAL := demo

demo: $(READY)
	$(BIN)/regvq demo

test: $(READY)
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadfile

# The full counts of docs/reliability.md, one after another. `make test` tries few of each kind.
test-faults: $(READY)
	$(ONE_THREAD) REGVQ_FAULTS=full REGVQ_FAULTS_JSON=docs/reliability.json $(BIN)/python -m pytest tests/faults
	$(BIN)/python benchmarks/reliability.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src
	$(BIN)/python -m pytest tests/test_layout.py

# The site in build/site; a broken link or anchor, or a docstring that does not fit its signature, is a failure.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/quantizers.py --quick
	$(BIN)/python benchmarks/training.py --quick
	$(BIN)/python benchmarks/sampling.py --quick
	GLOO_SOCKET_IFNAME=lo $(BIN)/python benchmarks/ranks.py --quick
	$(BIN)/python benchmarks/cost.py --quick
	$(BIN)/python benchmarks/demo.py --quick
	$(BIN)/python benchmarks/plain_loops.py --quick

setup: $(READY)

# What the tests of the web page need: Debian's Chromium and its driver. Where they cannot be installed it
# says what to do and goes on: the tests themselves tell that they had no browser.
setup-browser:
	@if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then \
	  echo "Chromium and its driver are here"; \
	elif ! command -v apt-get >/dev/null; then \
	  echo "No Chromium, and no apt-get to install it with: install chromium and chromedriver for the tests in tests/browser"; \
	elif [ "$$(id -u)" = 0 ]; then \
	  apt-get update && apt-get install -y --no-install-recommends chromium chromium-driver; \
	elif sudo -n true 2>/dev/null; then \
	  sudo apt-get update && sudo apt-get install -y --no-install-recommends chromium chromium-driver; \
	else \
	  echo "No Chromium, and no right to install it: run 'apt-get install chromium chromium-driver' as root for the tests in tests/browser"; \
	fi

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "regvq needs Python 3.11 or newer, and '$(PYTHON)' is not: name one with 'make PYTHON=/path/to/python3.11'"; \
	  exit 1; }
	@echo "Setting up $(VENV): a few minutes the first time"
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "'$(PYTHON) -m venv' failed: install Python's venv module (on Debian the package python3-venv)"; \
	  exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev,demo,docs,logging]'
	@touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
