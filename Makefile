# `make` lists the targets. Each one first makes .venv, when it is missing or older than the lock.

BIN := .venv/bin
READY := .venv/.ready
PYTHON = $(firstword $(foreach name,python3.13 python3.12 python3.11 python3,$(shell \
	$(name) -c 'import sys; sys.version_info < (3, 11) or print("$(name)")' 2>/dev/null)))

.PHONY: help
help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup: $(READY)  ## Create .venv (the targets below do it automatically)

$(READY): pyproject.toml uv.lock tools/setup.py
	@$(or $(PYTHON),$(error modelbay needs Python 3.11 or newer)) tools/setup.py
	@touch $@

# The demo needs the run-time packages alone; where .venv is there, it has them.
DEMO := $(if $(wildcard $(READY)),.venv,.venv-demo)

.venv-demo/.ready: pyproject.toml uv.lock tools/setup.py
	@$(or $(PYTHON),$(error modelbay needs Python 3.11 or newer)) tools/setup.py --runtime .venv-demo
	@touch $@

.PHONY: demo
demo: $(DEMO)/.ready  ## Show modelbay in action, without an account
	@$(DEMO)/bin/modelbay demo

.PHONY: test
test: $(READY)  ## Run the tests; make test ARGS="-k stream" runs some
	@$(BIN)/pytest -n auto --dist worksteal --inline-snapshot=disable $(ARGS)

.PHONY: check
check: $(READY)  ## Lint, format, types, the layers and the house rules
	@$(MAKE) --no-print-directory --jobs --keep-going lint types layers house

.PHONY: lint types layers house
lint: $(READY)
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet

types: $(READY)
	@$(BIN)/mypy

layers: $(READY)
	@$(BIN)/lint-imports --no-logo

house: $(READY)
	@$(BIN)/python -m tools.house

.PHONY: fix
fix: $(READY)  ## Format, and fix what ruff can fix
	@$(BIN)/ruff check --quiet --fix
	@$(BIN)/ruff format --quiet

.PHONY: docs
docs: $(READY)  ## Generate the parts of docs/ and man/ that come from the code
	@$(BIN)/python -m tools.reference
	@$(BIN)/python -m tools.catalog
	@$(BIN)/python -m tools.manpages
	@$(BIN)/python -m tools.comparison

.PHONY: site
site: $(READY)  ## Build the documentation as a site, in build/site/VERSION
	@$(BIN)/python -m tools.versions $(ARGS)

.PHONY: bench
bench: $(READY)  ## Run the benchmarks
	@$(BIN)/python -m bench $(ARGS)

.PHONY: agents
agents: $(READY)  ## Run the latest coding agents, launched and with an exported configuration
	@$(BIN)/python -m tools.agents $(ARGS)

.PHONY: soak
soak: $(READY)  ## Run the long tests
	@$(BIN)/pytest -n auto --inline-snapshot=disable -m soak $(ARGS)

.PHONY: fuzz
fuzz: $(READY)  ## Send hostile HTTP to the gateway and to its client, for MINUTES (10) each
	@$(BIN)/python -m tools.fuzz requests --minutes $(or $(MINUTES),10) $(ARGS)
	@$(BIN)/python -m tools.fuzz replies --minutes $(or $(MINUTES),10) $(ARGS)

.PHONY: clean
clean:  ## Remove .venv and everything generated
	rm -rf .venv .venv-demo dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
