# Everything a developer and a newcomer run. `make help` lists it.
# The environment is .venv, made from requirements/*.lock (every file checked by its hash).

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
LOCKS := $(wildcard requirements/*.lock)
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest -q
WORKERS ?= 3
SEEDS ?= 2000
unexport PYTHONDONTWRITEBYTECODE  # imports from compiled files take half as long; they stay in ignored folders

.DEFAULT_GOAL := help
.PHONY: help demo sandbox test test-rest test-schedules test-core chaos lint generate simulate explore sabotage mutate bench lock clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## watch the main job on a sandbox, from an apply to what the cloud did
	@$(BIN)/sysdisk demo

sandbox: $(READY) ## start a sandbox to play in; Ctrl-C ends it
	@$(BIN)/sysdisk sandbox

test: test-rest test-schedules test-core ## all tests; what needs a kube-apiserver is skipped without one, visibly

test-rest: $(READY)
	$(PYTEST) -n $(WORKERS) --dist loadgroup --durations=15 --ignore=tests/core \
		--ignore=tests/simulation/test_schedules.py

test-schedules: $(READY)
	$(PYTEST) tests/simulation/test_schedules.py

test-core: $(READY)
	$(PYTEST) -n $(WORKERS) --dist loadgroup tests/core $(EVERY_BRANCH)

chaos: $(READY) ## kill, freeze, double and starve the real process, five times as often as make test
	CHAOS_ROUNDS=40 $(PYTEST) -s tests/chaos

EVERY_BRANCH := --cov=sysdisk.core --cov-branch --cov-report=term-missing:skip-covered \
	--cov-fail-under=100

lint: $(READY) ## ruff, mypy --strict, the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@test ! -e operator/__init__.py || { echo "operator/__init__.py shadows the standard library: remove it"; exit 1; }

generate: $(READY) ## CRDs, the pages of names, the chart's copies, manifests/install
	$(BIN)/python -m sysdisk.api.crd crds/
	$(BIN)/python -m sysdisk.api.reference docs/api.md
	$(BIN)/python -m sysdisk.api.reason_docs docs/conditions.md
	$(BIN)/python -m sysdisk.api.name_docs docs/annotations.md
	$(BIN)/python -m sysdisk.ecs.error_docs docs/errors.md
	$(BIN)/python -m sysdisk.controllers.metric_docs docs/metrics.md
	$(BIN)/python -m sysdisk.cli.reference docs/cli.md
	$(BIN)/python charts/generate.py

simulate: $(READY) ## SEEDS=n seeded schedules of faults in virtual time, with a report
	$(BIN)/python -m tests.simulation --seeds $(SEEDS)

explore: $(READY) ## walk every reachable state; BOUNDS="--operators 2 --faults 2" sets how far
	$(BIN)/python -m tests.exploration $(BOUNDS)

sabotage: $(READY) ## wrong changes to the product, each alone: all must be caught; ONLY="log lock" chooses
	$(BIN)/python -m tests.sabotage $(ONLY)

mutate: $(READY) ## small slips in the core and the recorder; MUTATE="operate mind --sample 200 --seed 1"
	$(BIN)/python -m tests.sabotage.mutate $(MUTATE)

bench: $(READY) ## the budgets of the design, as counts and ratios
	$(BIN)/python -m benchmarks

lock: $(READY) ## compute requirements/*.lock anew from pyproject.toml
	$(BIN)/uv pip compile -q $(COMPILE) requirements/bootstrap.in -o requirements/bootstrap.lock
	$(BIN)/uv pip compile -q $(COMPILE) pyproject.toml -o requirements/runtime.lock
	$(BIN)/uv pip compile -q $(COMPILE) --extra dev pyproject.toml -o requirements/dev.lock
	$(BIN)/uv pip compile -q $(COMPILE) -c requirements/dev.lock requirements/build.in -o requirements/build.lock

COMPILE := --python-version 3.11 --universal --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header

clean: ## remove the environment and every cache
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage*

$(READY): export TMPDIR = $(CURDIR)/$(VENV)
$(READY): $(LOCKS) pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed, $(PYTHON) is older; try make PYTHON=python3.12"; exit 1; }
	@echo "Making the environment in $(VENV) ..." >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) >/dev/null 2>&1 \
	  || { rm -rf $(VENV); echo "Python lacks its venv module: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip --disable-pip-version-check install -q --require-hashes -r requirements/bootstrap.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/dev.lock \
	  || $(BIN)/python -m pip --disable-pip-version-check install -q --require-hashes -r requirements/dev.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation --offline --editable .
	@touch $@
