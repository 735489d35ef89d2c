# Every target makes .venv when it is missing, or when pyproject.toml, constraints.txt or EXTRAS changed.
.DEFAULT_GOAL := help
.PHONY: help setup repro sample test story endurance check clean

SHELL := bash
.SHELLFLAGS := -o pipefail -c
# nproc says how many threads OMP_NUM_THREADS allows, where that is set.
JOBS ?= $(shell env -u OMP_NUM_THREADS nproc 2>/dev/null || sysctl -n hw.ncpu)
EXTRAS ?= dev
READY := .venv/.ready-$(EXTRAS)
export EXTRAS
# Processes that share the cores run one thread each.
export OMP_NUM_THREADS ?= 1
export PATH := $(CURDIR)/.venv/bin:$(PATH)

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## *' '{printf "make %-9s %s\n", $$1, $$2}'

setup:  ## make the virtual environment, or bring it up to date (EXTRAS=dev,gpu)
	scripts/setup

$(READY): pyproject.toml constraints.txt scripts/setup
	scripts/setup

repro: $(READY)  ## all phases on params.yaml: the grid in parallel (JOBS=N), then dvc repro finds nothing to do
	xstilts grid --jobs $(JOBS)
	@dvc repro | tail -n 1

sample: $(READY)  ## a small table from a real encoder and real rows (ENCODER=FOLDER MIRROR=FOLDER SET="KEY=VALUE ...")
	xstilts use sample $(if $(ENCODER),--encoder '$(ENCODER)') $(if $(MIRROR),--set 'source.mirror=$(MIRROR)') \
		$(foreach change,$(SET),--set '$(change)')
	xstilts grid --jobs 2

test: $(READY)  ## the fast tests
	pytest -q -m "not slow" -n $(JOBS) --dist loadfile --no-loadscope-reorder

story: $(READY)  ## the slow tests: whole graphs, kills and resumes
	pytest -q -m slow -n $(JOBS) --dist loadfile --no-loadscope-reorder

endurance: $(READY)  ## many kills at random moments (KILLS=200)
	XSTILTS_KILLS=$(or $(KILLS),200) pytest -q -s --timeout=7200 tests/test_study_kills.py

check: $(READY)  ## format, lint, types, import contracts, fast tests
	ruff format --check .
	ruff check .
	mypy
	lint-imports
	$(MAKE) --no-print-directory test

clean:  ## remove the virtual environment and caches; outputs stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
