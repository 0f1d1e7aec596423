# make demo        build the example image, look at its layers, run it, build it again from the cache
# make lint        formatting, lint and types: seconds
# make unit        the tests of the pure rooms: seconds
# make test        all tests that need no other program; changes nothing outside the checkout, and needs no root
# make test-peers  install the programs that results are compared with, as root, in a root of their own; test with them
# make check       all of that: what a change must pass (THOROUGH=1 PLACES=all: every row of long tables)
# make bench       pybuild beside docker, buildah and skopeo (these and docker-registry must be on the PATH)
#
# TESTS=… takes a part: make test TESTS=tests/plan, or TESTS="tests/solve -k cache". CONTRIBUTING.md says more.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STATE  ?= $(CURDIR)/.demo
TESTS  ?= tests

.PHONY: install demo lint unit test test-peers check bench clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml .ci/venv.py
	@$(PYTHON) .ci/venv.py $(VENV)
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-tests: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --editable '.[test,check]'
	@touch $@

demo: install
	@BIN=$(BIN) STATE=$(STATE) sh fixtures/demo/demo.sh

lint: $(VENV)/.installed-tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

unit: $(VENV)/.installed-tests
	@sh .ci/test $(BIN) unit

test: $(VENV)/.installed-tests
	@sh .ci/test $(BIN) own $(TESTS)

test-peers: $(VENV)/.installed-tests
	@sh .ci/test $(BIN) peers $(TESTS)

check: lint
	@sh .ci/test $(BIN) all $(TESTS)

bench: $(VENV)/.installed-tests
	$(BIN)/python -m benchmarks $(BENCH)

# The store goes first, by pybuild: what RUN made may belong to ids that only its namespace reaches.
clean:
	@[ ! -e $(STATE)/store ] || $(BIN)/pybuild prune --whole-store --root $(STATE)/store
	rm -rf $(VENV) $(STATE) .pytest_cache .mypy_cache .ruff_cache
