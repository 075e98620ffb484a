# The commands of the project. `make demo` and `make test` need only Python >= 3.11 and make.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .uv/bin/uv
RUN := .venv/bin/
SERVICE ?= money ledger gateway compliance reconciliation
PROTOS = $(foreach service,$(SERVICE),$(wildcard protos/$(service)/v1/*.proto))
PACKAGES := runtime money ledger gateway compliance reconciliation warehouse sandbox bench tests
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Companies have certificate authorities of their own; uv would only trust the ones it brings.
export UV_SYSTEM_CERTS := 1

.PHONY: help
help: ## Show this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python >= 3.11 is needed: make PYTHON=/path/to/python3.11 …"; exit 1; }
	@$(PYTHON) -m venv .uv || { echo "Python's venv module is needed (Debian: apt install python3-venv)"; exit 1; }
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/synced: requirements-dev.lock | $(UV)
	@echo "Installing the locked packages into .venv …"
	@test -x .venv/bin/python || $(UV) venv --quiet --no-project --python $(PYTHON) .venv
	@$(UV) pip sync --quiet --require-hashes --python .venv/bin/python requirements-dev.lock
	@touch $@

.PHONY: env
env: .venv/synced ## Make the environment from the lock file.

.PHONY: demo
demo: env ## Take payments through all three services on embedded parts, show what happened, stop.
	@$(RUN)python -m sandbox demo

.PHONY: up
up: env ## The same parts, left running; prints addresses and commands to try.
	@$(RUN)python -m sandbox up

# Twice as many as CI has cores: half of a test's time is waiting, for other processes and for time to pass.
WORKERS ?= 4

.PHONY: test
test: env ## Every test; starts what it needs itself; WORKERS=4 at a time.
	@$(RUN)python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

.PHONY: check
check: env ## Format, lint, types, layers, SQL, protos, stubs.
	@bash .ci/check

.PHONY: bench
bench: env ## Benchmarks as ratios to limits measured in the same run; ONLY=ledger.unary picks by prefix; SEEDS=a,b SHAPES=file.
	@$(if $(SEEDS),SEEDS=$(SEEDS)) $(if $(SHAPES),SHAPES=$(SHAPES)) $(RUN)python -m bench $(if $(ONLY),--only $(ONLY)) $(if $(PROFILE),--profile)

.PHONY: chaos
chaos: env ## Random payments, faults and kills, then the judge; SEED=7 PAYMENTS=300 KILLS=20 RESTORES=4.
	@$(RUN)python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(PAYMENTS),--payments $(PAYMENTS)) \
		$(if $(KILLS),--kills $(KILLS)) $(if $(RESTORES),--restores $(RESTORES))

.PHONY: ha
ha: env ## Three Patroni nodes, etcd, NATS and two of each service on this machine, and what breaks them; EVENTS=node-lost,cut-off RUNS=3 SEED=7 PAYMENTS=2000.
	@$(RUN)python -m tests.ha $(if $(EVENTS),--events $(EVENTS)) $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(PAYMENTS),--payments $(PAYMENTS))

.mutants/synced: requirements-dev.lock pyproject.toml | $(UV)
	@$(UV) venv --quiet --no-project --clear --python $(PYTHON) .mutants
	@$(UV) pip sync --quiet --require-hashes --python .mutants/bin/python requirements-dev.lock
	@$(UV) pip install --quiet --python .mutants/bin/python --constraints requirements-dev.lock --group pyproject.toml:mutants
	@touch $@

# mutmut prepares all changes before it tries the one that it is asked for.
PREPARES := gateway.payments.domain.apply.x_is_moot__mutmut_1

.PHONY: mutants
mutants: .mutants/synced ## Change the rules one place at a time: do their tests notice? ONLY="gateway.payouts.*"; goes on where it ended.
	@rm -f mutants/mutmut-stats.json
	@.mutants/bin/mutmut run $(PREPARES) > /dev/null
	@.mutants/bin/python -m docs.try_mutants $(if $(ONLY),"$(ONLY)") > mutants/log
	@.mutants/bin/python -m docs.mutants

.PHONY: protos
protos: env ## Generate the stubs of protos/ into their owners, and the reasons in docs/; SERVICE=ledger for one.
	@$(RUN)python -m grpc_tools.protoc -Iprotos --python_out=. --mypy_out=quiet:. $(PROTOS:protos/%=%)
	@$(RUN)python -m grpc_tools.protoc -Iprotos --grpc_python_out=. --mypy_grpc_out=quiet:. \
		$(filter %_service.proto,$(PROTOS:protos/%=%))
	@$(RUN)python -m docs.reasons

LOCK = $(UV) pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11

.PHONY: lock
lock: | $(UV) ## Resolve pyproject.toml anew into the lock files: image, image with Parquet, warehouse, Patroni, everything.
	@$(LOCK) --group pyproject.toml:brokers pyproject.toml -o requirements.lock
	@$(LOCK) --constraints requirements.lock --extra export --group pyproject.toml:brokers pyproject.toml \
		-o requirements-export.lock
	@$(LOCK) --constraints requirements.lock --extra warehouse --group pyproject.toml:brokers pyproject.toml \
		-o requirements-warehouse.lock
	@$(LOCK) --constraints requirements-export.lock --extra export --extra warehouse --group pyproject.toml:dev pyproject.toml \
		-o requirements-dev.lock
	@$(LOCK) --constraints requirements-dev.lock --group pyproject.toml:ha -o requirements-patroni.lock

.PHONY: clean
clean: ## Remove what the commands above made.
	@rm -rf .venv .uv .mutants mutants build .sandbox .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
