# Two commands do everything, environment included:
#   make repro   run the whole pipeline on the sample corpus
#   make test    lint, types and tests
# `make help` lists the others.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: help install repro test test-slow test-all bench study docs format lock flink flink-cache prism fake-gcs-server worker-package clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(READY)  ## make the environment in .venv from the lock file

# The jars of Flink are a third of the download and only a local cluster needs them: `make flink` fetches them itself.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	awk '/^[a-z]/ {skip = /^apache-flink-libraries/} !skip' requirements.lock > $(VENV)/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --compile --require-hashes -r $(VENV)/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

repro: $(READY)  ## run the main job: manifest, features, validate, train, evaluate, export, report
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro

test: $(READY)  ## lint, types, and every test that is not marked slow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -m "not slow" -n 2

test-slow: $(READY)  ## the tests marked slow: kill loops, clusters, browsers, simulations
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -m slow

test-all: test test-slow  ## all tests

study: $(READY)  ## train every recipe of tools/study/recipes.yaml with three seeds, into docs/study.md; hours
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tools/study/study.py

bench: $(READY)  ## compare with other tools in one run of under 20 minutes, into reports/benchmarks.json and docs/performance.md
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks --markdown

docs: $(READY)  ## build the documentation as a site in .cache/site (needs Python 3.11 or later)
	$(BIN)/python -m sphinx -W --keep-going -q -c docs -d .cache/doctrees . .cache/site

FLINK := .cache/flink
# Beam's official runner cannot be had everywhere: the tests and `make flink` name a stand-in for it.
STANDIN := $(FLINK)/standin/bonafide-flink-2.2-standin.jar
PRISM := .cache/prism/prism

$(FLINK)/site/pyflink/version.py: requirements.lock | $(READY)
	mkdir -p $(FLINK)
	awk '/^apache-flink-libraries==/ {on = 1} on {print} on && !/\\$$/ {exit}' requirements.lock > $(FLINK)/requirements.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes --upgrade \
	    --target $(FLINK)/site -r $(FLINK)/requirements.txt
	touch $@

$(STANDIN): $(shell find deploy/flink/standin -type f)
	mvn -q -B -f deploy/flink/standin package

flink-cache: $(FLINK)/site/pyflink/version.py $(STANDIN)  ## fetch Flink and build the stand-in runner (needs Java 17 and Maven)

flink: flink-cache  ## run the features job on a real Flink cluster on this machine, by a stand-in for Beam's runner
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/bonafide manifest --output $(FLINK)/manifest.parquet
	rm -rf $(FLINK)/store
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python deploy/flink/local_cluster.py run -- bonafide features --on flink \
	    --manifest $(FLINK)/manifest.parquet --output $(FLINK)/store -- --flink_job_server_jar=$(CURDIR)/$(STANDIN)

$(PRISM): requirements.lock
	GOBIN=$(CURDIR)/$(dir $(PRISM)) go install \
	    github.com/apache/beam/sdks/v2/go/cmd/prism@v$$(sed -n 's/^apache-beam==\([0-9.]*\).*/\1/p' requirements.lock)
	touch $@

prism: $(PRISM)  ## build Prism, Beam's portable runner in Go, into .cache/prism (needs Go)

FAKE_GCS := .cache/gcs/fake-gcs-server

$(FAKE_GCS): Makefile
	GOBIN=$(CURDIR)/$(dir $(FAKE_GCS)) go install github.com/fsouza/fake-gcs-server@v1.56.1
	touch $@

fake-gcs-server: $(FAKE_GCS)  ## build a server like Google Cloud Storage, for the tests, into .cache/gcs (needs Go)

worker-package: $(READY)  ## put the wheel and the locked requirements of a cluster's workers into dist
	mkdir -p dist
	$(BIN)/python -m pip wheel -q --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	$(BIN)/uv pip compile -q pyproject.toml --extra s3 --extra gs --universal --python-version 3.10 --constraints requirements.lock \
	    --generate-hashes --no-annotate --no-emit-index-url --custom-compile-command "make worker-package" \
	    --output-file dist/requirements.txt

format: $(READY)  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(READY)  ## resolve pyproject.toml anew into requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra train --extra s3 --extra gs --extra serve --extra demo --extra dataflow --extra dev \
	    --extra flink --extra bench --extra docs --universal \
	    --python-version 3.10 --generate-hashes --no-annotate --no-strip-extras --no-emit-index-url --custom-compile-command "make lock" \
	    --upgrade --output-file requirements.lock

clean:  ## remove the environment and caches, not the data
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache build dist *.egg-info
