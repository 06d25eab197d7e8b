# Each target works as the first command on a fresh machine with make and Python 3.11 or later.
PYTHON ?= python3
PROFILE ?= study
BIN := .venv/bin
READY := .venv/.ready
TEST_READY := .venv/.test-ready

.PHONY: figures test lab bench

figures: $(READY)  ## redraw figures/study/ from the committed results; PROFILE=quick trains on digits, live
	$(BIN)/python -m rrahelpers figures --profile $(PROFILE)

test: $(TEST_READY)  ## every test, and every notebook in the smoke profile
	$(BIN)/python -m pytest -q -n auto --dist loadfile

lab: $(READY)  ## JupyterLab on the notebooks
	$(BIN)/jupyter lab notebooks

bench: $(READY)  ## side by side with other libraries; writes benchmarks/results/
	$(BIN)/python -m pip install --quiet --no-build-isolation -e '.[bench]'
	$(BIN)/python -m pip install --quiet --no-deps delve  # its dependencies are here already, but for what it logs to
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit; done

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

$(TEST_READY): $(READY) requirements-test.lock
	$(BIN)/python -m pip install --quiet -r requirements-test.lock
	touch $@
