# make results   install what is pinned, run the workflow with the default configuration, say where the results are
# make test      install, then formatting, lint, types, unit tests and workflow tests
# make help      the rest
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
PRESET ?=
INSTALLED := $(VENV)/.installed

# The exact versions hold on the machine they were tested on; elsewhere pip resolves the ranges of pyproject.toml.
PLATFORM := $(shell $(PYTHON) -c 'import platform, sys; print(f"py{sys.version_info[0]}{sys.version_info[1]}-{sys.platform}-{platform.machine()}")' 2>/dev/null)
CONSTRAINTS := $(wildcard envs/constraints-$(PLATFORM).txt)

export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help results test test-conda test-cluster check format install fetch browser benchmarks clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | expand -t 14

install: $(INSTALLED)  ## make .venv and install everything pinned

$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found: install Python 3.11, or name one, as in make PYTHON=python3.12 results"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) --editable '.[torch,tensorflow,brainiak,report,workflow,dev,browser,benchmarks]'
	@touch $@

results: $(INSTALLED)  ## run the workflow (PRESET=standard for more); a second call does nothing
	$(BIN)/snakemake --cores $(CORES) --quiet $(if $(PRESET),--config preset=$(PRESET))
	@echo
	@echo "Page:     results/index.html (open it in a browser)"
	@echo "Tables:   results/tables/measurements.csv, .parquet; results/tables/cost.csv"
	@echo "Figures:  results/figures/"

check: $(INSTALLED)  ## formatting, lint, types, configuration in step
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint
	$(BIN)/mypy
	$(BIN)/python -m netalike.configuration

test: check  ## everything that CI checks
	$(BIN)/python -m pytest

test-conda: $(INSTALLED)  ## the workflow with --use-conda against one without (long, some 7 GB; QUICK=1: all of the preset quick; RUN=FOLDER: where it ran already)
	NETALIKE_TEST_CONDA=1 $(if $(QUICK),NETALIKE_TEST_QUICK=1) $(if $(RUN),NETALIKE_QUICK_RUN=$(abspath $(RUN))) $(BIN)/python -m pytest tests/conda -s

test-cluster: $(INSTALLED)  ## a SLURM of two nodes on this machine, and a run on it (as root on Debian; QUICK=1, RUN=FOLDER as above)
	@command -v slurmctld /usr/sbin/slurmctld >/dev/null && command -v munged /usr/sbin/munged >/dev/null \
	  || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq \
	       && apt-get install -y -qq --no-install-recommends slurm-wlm munge; } \
	  || { echo "SLURM is missing: as root, apt-get install -y --no-install-recommends slurm-wlm munge"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[slurm]'
	NETALIKE_TEST_CLUSTER=1 $(if $(QUICK),NETALIKE_TEST_QUICK=1) $(if $(RUN),NETALIKE_QUICK_RUN=$(abspath $(RUN))) $(BIN)/python -m pytest tests/cluster

format: $(INSTALLED)  ## put all files into form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile rules
	$(BIN)/python -m netalike.configuration --fix

fetch: $(INSTALLED)  ## on a machine with a network: data, checkpoints and, with conda, environments (docs/offline.md)
	$(BIN)/python -m netalike.collecting --configfile config.yaml $(if $(PRESET),--preset $(PRESET))
	@if command -v conda >/dev/null || command -v mamba >/dev/null; then \
		$(BIN)/snakemake --use-conda --conda-create-envs-only --cores 1 $(if $(PRESET),--config preset=$(PRESET)); \
	else echo "environments: no conda here; the packages of .venv are what runs"; fi

browser: $(INSTALLED)  ## the pages alone, in headless Chromium (Debian's package chromium)
	$(BIN)/python -m pytest tests/browser

benchmarks: $(INSTALLED)  ## our code beside its peers, into results/benchmarks
	$(BIN)/python benchmarks/measures.py
	$(BIN)/python benchmarks/stitching.py
	$(BIN)/python benchmarks/gradients.py
	$(BIN)/python benchmarks/alignment.py
	$(BIN)/python benchmarks/inversion.py
	$(BIN)/python benchmarks/scaling.py

clean:  ## remove results and logs, keep data and the environment
	find results -mindepth 1 -maxdepth 1 ! -name README.md ! -name reference -exec rm -rf {} +
	rm -rf logs
