# Everything starts here: `make run` and `make test` work on a machine with Python 3.11+, make and a C compiler.
# Nothing is installed outside the folder .venv.

SHELL := /bin/sh
VENV ?= .venv
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := $(VENV)/bin
PORT ?= 5000
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
WORKERS ?= 4

.PHONY: help run test tests slow demo check form lint types layers format docs lint-docs site lock clean
help:  ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed (make PYTHON=/path/to/python3 ...)"; exit 1; }
	@echo "setting up $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.made requirements.txt pyproject.toml
	@echo "installing the pinned requirements into $(VENV)"
	@$(PIP) --requirement requirements.txt
	@$(PIP) --no-deps --editable .
	@$(BIN)/python -m compileall -q src
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	@echo "installing what the checks and tests need into $(VENV)"
	@$(PIP) --requirement requirements-dev.txt
	@touch $@

run: $(VENV)/.installed  ## Set up everything and start the service on port 5000
	@echo "the service starts on http://127.0.0.1:$(PORT)/ (page: /dashboard; Ctrl-C ends it); in another terminal try:"
	@echo "curl -s http://127.0.0.1:$(PORT)/process_errors -H 'Content-Type: application/json' \\"
	@echo "  -d '{\"errors\": [{\"context\": \"Error: listen EADDRINUSE: address already in use :::3000\"}]}'"
	@exec $(BIN)/devops-agent serve --port $(PORT)

demo: $(VENV)/.installed  ## Break something real in a private folder and watch it being repaired
	@$(BIN)/python demo/demo.py

check: form lint types layers  ## Format, lint, types, layers of imports

form: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

layers: $(VENV)/.installed-dev
	$(BIN)/lint-imports

test: check lint-docs site tests  ## Everything: check, generated documents, the site, tests

tests: $(VENV)/.installed-dev  ## The tests alone
	$(BIN)/pytest --numprocesses $(WORKERS) -rsfE -m "not slow"

slow: $(VENV)/.installed-dev  ## Tests that take longer or need root; each says what it lacks where it is skipped
	$(BIN)/pytest --numprocesses $(WORKERS) -rsfE -m slow

format: $(VENV)/.installed-dev  ## Bring the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed  ## Write the generated documents anew
	$(BIN)/python docs/generate.py

lint-docs: $(VENV)/.installed-dev  ## Are the generated documents up to date, and do all links lead somewhere?
	$(BIN)/python docs/generate.py --check

site: $(VENV)/.installed-dev  ## The documents as a site, in .build/site; a link that leads nowhere is an error
	$(BIN)/mkdocs build --quiet

COMPILE := .build/lock/bin/pip-compile --quiet --upgrade --strip-extras --no-header --annotation-style=line \
  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links
EXTRAS := dev llm postgres mcp notify oidc otel
lock:  ## Pin the newest versions that fit pyproject.toml
	@$(PYTHON) -m venv .build/lock && .build/lock/bin/python -m pip install --quiet --upgrade pip pip-tools
	$(COMPILE) --output-file requirements.txt pyproject.toml
	$(COMPILE) $(EXTRAS:%=--extra %) --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml

clean:  ## Remove what can be made anew
	rm -rf $(VENV) build dist .build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
