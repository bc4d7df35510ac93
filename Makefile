# Everything a user or contributor runs. `make demo` and `make test` set the machine up themselves.
.DEFAULT_GOAL := help
SHELL := bash
BIN := .venv/bin
ARGS ?=

.PHONY: help setup demo test check e2e bench openapi screenshots clean

help: ## This list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## Virtual environments with everything, embedded PostgreSQL and Triton included
	@scripts/setup

demo: setup ## The whole service, a simulated cine and its report; ARGS="--exit --json" or ARGS="--file X.dcm"
	@$(BIN)/sonomyo demo $(ARGS)

test: setup ## Unit and integration tests on real PostgreSQL and Triton
	$(BIN)/pytest tests/unit -q -p no:randomly --durations=5 $(ARGS)
	$(BIN)/pytest tests/integration -q --durations=10 $(ARGS)

check: setup ## Formatter, linters, types, layers, licences, tree
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_tree.py
	$(BIN)/python scripts/check_licences.py

e2e: setup ## End to end with Orthanc, DCMTK and a browser
	$(BIN)/pytest tests/e2e -q --durations=10 $(ARGS)

bench: setup ## Ingest against Orthanc and DCMTK, end to end against a bare loop, memory; JSON and pictures in bench/results
	$(BIN)/python -m bench.run $(ARGS)

openapi: setup ## Write openapi/openapi.json anew
	$(BIN)/python -m service.commands.openapi

clean: ## Remove what set-up made
	rm -rf .venv .triton .sonomyo
