# One command for everything: `make demo` to see it, `make test` to check it. Needs python3 and make; installs the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTEST_ARGS ?=
# Each test has a database and a virtual host of its own, so that several run side by side: half as many again as there
# are processors, because a test waits for its servers about a third of its time.
SIDE_BY_SIDE ?= -n $(shell expr $$(nproc) \* 3 / 2) --maxprocesses 6 --dist worksteal
BENCH_ARGS ?=
# The object store of `make test-s3`.
S3 ?= swift

# Tests start hundreds of programs: each would compile the whole project anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo package run test test-faults test-s3 bench bench-audit pictures lint types format services-up services-down constraints clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv with everything the project needs

$(INSTALLED): pyproject.toml constraints.txt deploy/prepare
	@deploy/prepare $(VENV) $(PYTHON)
	@touch $@

demo: install ## See the whole exchange at work
	@$(BIN)/lienthong demo

package: install ## Build what agencies install: dist/lienthong-….whl
	@PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip --quiet --disable-pip-version-check wheel --no-deps --wheel-dir dist .
	@ls dist/lienthong-*.whl

run: install ## Run the exchange on this machine until Ctrl-C
	@$(BIN)/lienthong services up
	@$(BIN)/lienthong run

test: lint types ## Everything that must hold: lint, types, import rules, generated files, tests
	@$(BIN)/python -m schemas.publish --check
	@$(BIN)/python -m broker.settings_page --check
	@deploy/prepare-browser
	@VENV=$(VENV) deploy/with-services $(BIN)/python -m pytest -q $(SIDE_BY_SIDE) $(PYTEST_ARGS)

test-faults: install ## The long tests: everything is killed at random, under load
	@VENV=$(VENV) deploy/with-services $(BIN)/python -m pytest -q -m long --timeout=3600 $(PYTEST_ARGS)

test-s3: install ## The content store against a real object store: OpenStack Swift, or S3=http://… with AWS_* set
	@test "$(S3)" != swift || deploy/prepare-swift $(PYTHON)
	@VENV=$(VENV) LIENTHONG_TEST_S3=$(S3) deploy/with-services $(BIN)/python -m pytest -q -k s3 \
		tests/integration/content tests/integration/gateway/test_content.py $(PYTEST_ARGS)

bench: install ## The worker beside RabbitMQ's ceiling and a FastStream application, on this machine
	@VENV=$(VENV) deploy/with-services $(BIN)/python -m tests.bench.pipeline $(BENCH_ARGS)

bench-audit: install ## Auditors' questions at 100,000 to 5 million deliveries, with a plot (an hour, 12 GB)
	@VENV=$(VENV) deploy/with-services $(BIN)/python -m tests.bench.audit_volume --plot docs/audit-volume.svg $(BENCH_ARGS)

pictures: install ## Take the pictures of the documentation anew (look at them before you keep them)
	@deploy/prepare-browser
	@VENV=$(VENV) deploy/with-services $(BIN)/python -m tests.bench.audit_volume --make-only --sizes 100000
	@VENV=$(VENV) deploy/with-services $(BIN)/python -m tests.bench.pictures

lint: install ## Style and import rules
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --check .; echo "Run: make format"; exit 1; }
	@$(BIN)/lint-imports --no-logo >$(VENV)/import-rules.log || { cat $(VENV)/import-rules.log; exit 1; }

types: install ## Types
	@$(BIN)/mypy --no-error-summary

format: install ## Bring all Python files into shape
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .

services-up: install ## Start the private RabbitMQ and PostgreSQL
	@$(BIN)/lienthong services up

services-down: ## End the private RabbitMQ and PostgreSQL
	@test ! -x $(BIN)/lienthong || $(BIN)/lienthong services down

constraints: ## Choose the newest versions of everything anew
	@deploy/choose-versions $(PYTHON)

clean: ## End the private servers; remove them, .venv and everything generated
	@test ! -x $(BIN)/lienthong || $(BIN)/lienthong services down --erase
	@rm -rf $(VENV) .local build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +
