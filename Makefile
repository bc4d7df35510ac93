# Everything a user or contributor runs. Each target sets the machine up first; once that is done, none needs a network.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory --no-builtin-rules
BIN := .venv/bin
ARGS ?=
DATA ?=

.PHONY: help setup ohif demo test check format e2e bench openapi screenshots training model evaluation clean

help: ## This list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Virtual environments with everything, embedded PostgreSQL and Triton included
	@scripts/setup

ohif: setup ## The OHIF viewer (MIT, 48 MB), pinned and checked, for /ohif/ of the service
	@$(BIN)/python scripts/web_packages.py @ohif/app

demo: setup ## The whole service, a simulated cine and its report; ARGS="--exit --json" or ARGS="--file X.dcm"
	@exec $(BIN)/sonomyo demo $(ARGS)

test: setup ## Unit and integration tests on real PostgreSQL and Triton
	$(BIN)/pytest tests/unit -q -n 2 --durations=5 $(ARGS)
	@# Twice as many as the smallest machine has cores: these tests wait for processes most of the time.
	$(BIN)/pytest tests/integration -q -n 4 --dist loadfile --durations=10 $(ARGS)

check: setup ## Formatter, linters, types, layers, tree, licences, translations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy scripts/check_tree.py scripts/check_licences.py scripts/check_catalogue.py scripts/web_packages.py
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_tree.py
	$(BIN)/python scripts/check_licences.py
	$(BIN)/python scripts/check_catalogue.py

format: setup ## Format, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

e2e: ohif ## End to end with Orthanc, DCMTK and a browser, from Debian's packages
	$(BIN)/pytest tests/e2e -q --durations=10 $(ARGS)

bench: setup ## Ingest against Orthanc and DCMTK, end to end against a bare loop, memory; ARGS=--quick for a look
	$(BIN)/python -m bench.run $(ARGS)

screenshots: setup ## Pictures of the pages for docs/pictures; ARGS=NAME.png for some of them
	$(BIN)/python -m bench.screenshots $(ARGS)

openapi: setup ## Write openapi/openapi.json anew
	$(BIN)/python -m service.commands.openapi

training: setup ## The environment that models are trained in: torch beside the service
	@[ -x .cache/train/bin/python ] || $(BIN)/python -m venv .cache/train
	.cache/train/bin/python -m pip install --quiet -c constraints.txt -e . -r training/requirements.txt

model: training ## Train and export a model like the served one, in one stage (its card has all six, and the mean of two): DATA=folder of labelled frames; hours
	@[ -n "$(DATA)" ] || { echo 'model: set DATA to the folder of labelled frames (training/muscle_segmentation says which)' >&2; exit 2; }
	.cache/train/bin/python -m training.muscle_segmentation.train --data "$(DATA)" --out training/runs/muscle_segmentation $(ARGS)
	.cache/train/bin/python -m training.muscle_segmentation.evaluate --data "$(DATA)" --run training/runs/muscle_segmentation
	.cache/train/bin/python -m training.muscle_segmentation.export --run training/runs/muscle_segmentation

evaluation: training ## Score, export and measure a trained network, with tables and a picture: DATA=folder of labelled frames, RUN=folder with last.pt
	@[ -n "$(DATA)" ] && [ -n "$(RUN)" ] || { echo 'evaluation: set DATA to the folder of labelled frames and RUN to that of last.pt' >&2; exit 2; }
	.cache/train/bin/python -m training.muscle_segmentation.report --data "$(DATA)" --run "$(RUN)" $(ARGS)

clean: ## Remove what set-up made; the data folder .sonomyo stays
	rm -rf .venv .triton .cache/train .cache/node service/web/static/vendor service/web/vendor/ohif
