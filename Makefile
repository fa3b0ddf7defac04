# Everything a developer types. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check format lock clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Set up: virtual environment, Kafka, Java (all that follows needs it, and does it by itself)

$(STAMP): requirements.lock pyproject.toml deploy/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh deploy/setup.sh
	@touch $@

demo: $(STAMP) ## A simulated year of a small company on a real Kafka; Ctrl-C ends it
	@$(BIN)/handoff demo

up: $(STAMP) ## Kafka, topics and the three services on this machine; state is kept
	@$(BIN)/handoff up

test: $(STAMP) ## All tests, on a real Kafka that they start themselves
	@$(BIN)/pytest -q -n 3 --dist loadfile

check: $(STAMP) ## Format, lint, types
	@$(BIN)/ruff format --check -q . && $(BIN)/ruff check -q . && $(BIN)/mypy
	@echo "check: format, lint and types are fine"

format: $(STAMP) ## Format, and mend what lint can mend
	@$(BIN)/ruff format -q . && $(BIN)/ruff check --fix -q .

lock: ## Renew requirements.lock (needs uv)
	@uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate --upgrade -o requirements.lock -q

clean: ## Remove what setup and the tests made (not your data)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
