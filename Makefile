# Two commands on a fresh Debian machine: `make demo` and `make test`. Each sets up what it needs in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=

.PHONY: demo test test-full lint synth lock system clean

demo: $(VENV)/ready
	$(BIN)/tunnelnic demo

test: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not full" $(PYTEST_ARGS)

test-full: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal $(PYTEST_ARGS)

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

synth: $(VENV)/ready
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m boards

# Debian packages: a compiler for the simulation, perl for Verilator, tshark and ip for the tests that ask them.
system:
	@tools/system-packages

$(VENV)/ready: requirements.lock pyproject.toml | system
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Versions and hashes of everything in pyproject.toml; needs uv (`pip install uv`).
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --all-extras pyproject.toml -o requirements.lock

clean:
	rm -rf build $(VENV)
