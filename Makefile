# Everything a developer or an operator does here; CI runs the same commands.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CATALOGUES := $(patsubst %.po,%.mo,$(wildcard regional311/locale/*/LC_MESSAGES/regional311.po))
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo install test-install browser test sure run migrate revision bench docs languages lock clean

help:  ## Show the commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: install  ## The whole region on this machine: a month of contacts, bills, and http://127.0.0.1:6543
	@$(BIN)/regional311 demo

install: $(VENV)/.installed $(CATALOGUES)  ## Make .venv with the locked run-time packages
test-install: $(VENV)/.installed-test $(CATALOGUES)

# Nothing is done again while neither the lock nor the metadata changed. Modules compile when they are
# first used: compiling all of them beforehand takes half a minute. The locks are complete, so nothing is
# resolved again: pip would look for a newer release of what is asked for with an extra, and refuse it.
$(VENV)/.installed: requirements.lock setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "regional311 needs Python 3.11 or newer; choose one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	  || { echo "python3 -m venv failed; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing the locked packages into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --no-deps --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed requirements-test.lock
	@echo "Installing the locked test packages into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --no-deps --require-hashes --requirement requirements-test.lock
	@touch $@

# The languages of the public pages, in the form in which a program reads them.
$(CATALOGUES): %.mo: %.po | $(VENV)/.installed
	@$(BIN)/python -m regional311.locale.catalogues

browser:
	@.ci/browser

test: test-install browser  ## Everything the tests need, and the tests
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile

sure: test-install browser  ## Format, lint, types, import contracts, and the tests with branch coverage
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config setup.cfg
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --cov --cov-report=term

run: install  ## Serve the region on http://127.0.0.1:6543 (pserve development.ini works too)
	@$(BIN)/regional311 serve

migrate: install  ## Bring the database's schema up to date
	@$(BIN)/regional311 migrate

revision: test-install  ## Draft a migration from the models: make revision m="what changes"
	@test -n "$(m)" || { echo 'say what changes: make revision m="add …"' >&2; exit 2; }
	@$(BIN)/regional311 migrate --revision "$(m)"

bench: test-install  ## Rates and times, as ratios measured in one run
	@$(BIN)/python -m bench

languages: install  ## Take what the public pages say now into the catalogues of every language
	@$(BIN)/python -m regional311.locale.catalogues update

docs: install  ## Generate the pages of docs/ that come from the schemas
	@$(BIN)/regional311 docs

lock: setup.cfg  ## Resolve the locks anew, for Python 3.11 to 3.14 (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links setup.cfg --output-file requirements.lock
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --constraint requirements.lock --extra test setup.cfg \
	  --output-file requirements-test.lock

clean:  ## Remove what was built; var/ (the database) stays
	@rm -rf build dist *.egg-info .mypy_cache .ruff_cache .import_linter_cache .hypothesis htmlcov .coverage .coverage.*
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
