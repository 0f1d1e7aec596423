# make demo    build the example image, look at its layers, run it, build it again from the cache
# make test    install what the tests need and run them all
# make check   formatting, lint, types and tests: what a change must pass (THOROUGH=1: every row of long tables)
# make bench   pybuild beside docker build and buildah (both must be on the PATH)

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STATE  ?= $(CURDIR)/.demo
TESTS  ?= tests

.PHONY: demo test check bench install peers clean

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

test: $(VENV)/.installed-tests
	@sh .ci/test $(BIN) $(TESTS)

check: $(VENV)/.installed-tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) test

bench: $(VENV)/.installed-tests
	$(BIN)/python -m benchmarks $(BENCH)

# The store goes first, by pybuild: what RUN made may belong to ids that only its namespace reaches.
clean:
	@[ ! -e $(STATE)/store ] || $(BIN)/pybuild prune --whole-store --root $(STATE)/store
	rm -rf $(VENV) $(STATE) .pytest_cache .mypy_cache .ruff_cache
