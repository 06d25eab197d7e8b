# Each target works as the first command on a fresh machine with make and Python 3.11 or later.
PYTHON ?= python3
PROFILE ?= study
BIN := .venv/bin
READY := .venv/.ready
TEST_READY := .venv/.test-ready
SITE_BIN := .venv-site/bin
SITE_READY := .venv-site/.ready

.PHONY: figures test test-browser lab site bench

figures: $(READY)  ## redraw figures/study/ from the committed results; PROFILE=quick trains on digits, live
	$(BIN)/python -m rrahelpers figures --profile $(PROFILE)

test: $(TEST_READY)  ## every test, and every notebook in the smoke profile
	$(BIN)/python -m pytest -q -n auto --dist loadfile

test-browser: $(TEST_READY) site  ## the site's pages and the notebooks' explorers, in an installed Chromium
	$(BIN)/python -m pip install --quiet playwright==1.65.2
	$(BIN)/python -m pytest -q -m browser tests/browser

lab: $(READY)  ## JupyterLab on the notebooks
	$(BIN)/jupyter lab notebooks

site: $(READY) $(SITE_READY)  ## the static site, in site/_build/html; runs no notebook
	$(BIN)/python site/collect.py
	$(SITE_BIN)/python -m sphinx -q -W --keep-going -c site -d site/_build/doctrees site/_build/source site/_build/html
	$(SITE_BIN)/python site/check.py site/_build/html

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

$(SITE_READY): $(READY) requirements-site.lock
	$(BIN)/python -m venv .venv-site  # apart: what renders pages shares no version with what measures
	$(SITE_BIN)/python -m pip install --quiet -r requirements-site.lock
	touch $@
