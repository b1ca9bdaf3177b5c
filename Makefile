# Two commands for a newcomer: `make demo` and `make test`. Each works on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: help demo test check fuzz bench lock clean

help:            ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## ?/\t/' | expand -t 12

demo: $(VENV)/.run      ## a sample salon, guarded, with a tour (ARGS=--once plays it and exits)
	@$(BIN)/salon-gateway demo $(ARGS)

test: $(VENV)/.dev      ## install what the tests need, then run them all
	@sh tests/install-system-packages.sh
	@$(BIN)/python -m pytest --numprocesses=auto --dist=loadfile $(ARGS)

check: $(VENV)/.dev     ## style, types, import contracts, docs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config importlinter.ini
	@$(BIN)/python -m pytest -q tests/repo

fuzz: $(VENV)/.dev      ## search long: properties FACTOR times (default 50), then tests.fuzz ARGS
	@SALON_FUZZ=$(or $(FACTOR),50) $(BIN)/python -m pytest -q tests/properties
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: \
		--require-hashes -r requirements-fuzz.lock || echo "no atheris for this machine"
	@$(BIN)/python -m tests.fuzz $(ARGS)

bench: $(VENV)/.dev     ## how fast is it, side by side with others; writes docs/benchmarks.md
	@sh tests/bench/install-peers.sh $(PYTHON) .venv-bench
	@$(BIN)/python -m tests.bench $(ARGS)

lock: $(VENV)/.dev      ## pin the newest versions that pyproject.toml allows, with hashes
	@sh tests/lock.sh $(BIN)

clean:           ## remove what was built here
	rm -rf $(VENV) .venv-bench .demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis

# A virtual environment; Debian and Ubuntu keep its module in a package of its own.
$(VENV)/.made:
	@sh tests/make-venv.sh $(PYTHON) $(VENV)
	@touch $@

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/.made
	@echo "installing (pinned, with hashes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(VENV)/.made
	@echo "installing (pinned, with hashes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.run
