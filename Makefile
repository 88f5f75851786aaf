# Everything needs Python 3.11, git and make; the rest is fetched on first use.

.DEFAULT_GOAL := help
.PHONY: help setup run test lint demo quiet fuzz bench-logs bench-tail clean

SCENARIO ?= missing-dependency
ONCE ?=
PLAIN ?=
SECONDS ?= 600
DIALECTS ?= caddy gunicorn haproxy nginx-access nginx-error uvicorn
FUZZ_SECONDS ?= 60
# Files at a time; the suite mostly waits for real servers.
WORKERS ?= 2
export SCENARIO ONCE PLAIN

PYTHON_HERE := .venv/bin/python

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12
	@echo
	@echo 'make demo ONCE=1                      ends by itself; its last line is a JSON object'
	@echo 'make demo SCENARIO=missing-dependency one of those in tests/lab/scenarios/'
	@echo 'make demo PLAIN=1                     without systemd, as where none can be booted'
	@echo 'make fuzz DIALECTS=nginx-error        one dialect; FUZZ_SECONDS=600 for longer'
	@echo 'make quiet SECONDS=90                 for a minute and a half'

setup: ## make .venv with everything needed; instant when it is there
	@deploy/bootstrap.sh

run: setup ## watch this host on http://127.0.0.1:10502 (state under .cache/)
	@mkdir -p .cache/state
	.venv/bin/badgateway serve --storage.path .cache/state

test: setup ## run the whole test suite, as CI does
	$(PYTHON_HERE) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: setup ## ruff and mypy
	$(PYTHON_HERE) -m ruff check .
	$(PYTHON_HERE) -m ruff format --check .
	$(PYTHON_HERE) -m mypy

demo: setup ## break a real site and watch the page arrive that says why
	@exec $(PYTHON_HERE) -m tests.lab.demo

quiet: setup ## a healthy site for ten minutes: nothing may be said of it
	@exec $(PYTHON_HERE) -m tests.lab.quiet $(SECONDS)

fuzz: setup ## feed each log dialect what a fuzzer makes up, a minute each
	@set -e; for dialect in $(DIALECTS); do \
	    $(PYTHON_HERE) -m tests.fuzz $$dialect --seconds $(FUZZ_SECONDS) --corpus .cache/fuzz/$$dialect; \
	done

bench-logs: setup ## how fast logs are read, against mtail and grep
	$(PYTHON_HERE) -m tests.bench.logs

bench-tail: setup ## what following quiet files costs, against mtail
	$(PYTHON_HERE) -m tests.bench.tailing

clean: ## remove everything that was made or fetched here
	rm -rf .venv .lab .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
