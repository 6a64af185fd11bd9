# chaoskit: the commands of a checkout. `make help` lists them.
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
BASE_PYTHON ?= python3

CLEAN ?= 30
TRIALS ?= 10

.PHONY: help demo test check engine venv dev-venv example bench accuracy defects nightly

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort

$(VENV)/.installed: pyproject.toml
	@test -d $(VENV) || $(BASE_PYTHON) -m venv $(VENV)
	@echo "installing chaoskit into $(VENV)"
	@$(PY) -m pip install --quiet --disable-pip-version-check -e '.[redis,postgres]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "installing what the tests need"
	@$(PY) -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(PY) -m pip install --quiet --disable-pip-version-check --group dev
	@touch $@

venv: $(VENV)/.installed  ## .venv with chaoskit in it

dev-venv: $(VENV)/.installed-dev  ## .venv with what the tests need as well

demo: venv  ## the main job in the sandbox lab: no Docker, no root
	@scripts/install-sandbox-tools
	@$(VENV)/bin/chaoskit run --lab sandbox experiments/active-passive-kill.yaml experiments/active-passive-partition.yaml

engine:  ## install and start a Docker engine and make the base image (root, Debian or Ubuntu)
	@scripts/engine && scripts/base-image

test: dev-venv  ## install what the tests need and run them
	@scripts/run-tests

check: dev-venv  ## formatting, lint, types
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy

example: venv  ## make reports/example/ anew from a real run
	@scripts/make-example

bench: dev-venv  ## figures of docs/performance.md
	@for b in benchmarks/bench_*.py; do echo "== $$b"; $(PY) $$b; done

accuracy: dev-venv  ## make docs/accuracy.md anew: simulated outages against what is measured
	@$(PY) benchmarks/accuracy.py

defects: venv  ## run every planted defect, see that it is found: makes docs/defects.md (sandbox lab)
	@scripts/install-sandbox-tools && scripts/install-haproxy
	@$(PY) benchmarks/defects.py

nightly: venv  ## 30 clean runs of every shape, rare defects, both labs side by side (hours; CLEAN=5 TRIALS=5 for less)
	@for tool in sandbox-tools haproxy redis toxiproxy faketime postgres; do scripts/install-$$tool; done
	@status=0; $(PY) benchmarks/defects.py --cap 10 --each-shape $(CLEAN) --also 3 || status=1; \
	{ scripts/engine && scripts/base-image && $(PY) benchmarks/labs_agree.py --trials $(TRIALS); } \
		|| status=1; \
	$(PY) benchmarks/labs_verdicts.py || status=1; exit $$status
