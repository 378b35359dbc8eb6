# Commands for people and for CI. They need only make and python3 (3.11 or newer).
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
COMPILE = VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --generate-hashes --custom-compile-command "make lock"
LOCK = $(COMPILE) pyproject.toml
LOCK_GROUP = $(COMPILE) --group
# Allow Python to write compiled bytecode, because it halves the start time of every Airflow process and task.
unexport PYTHONDONTWRITEBYTECODE
# Waiting OpenMP threads sleep instead of spinning, so that other processes can use the core. Airflow tasks
# run with the same setting.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: help setup run up down test test-generated test-bench test-compose test-extras test-spark test-stream test-federated federated test-scans test-lending test-nights test-attacks env bench calibrate scale demo-drift audit lint style types format reference lock clean
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.ready ## make the virtual environment

$(VENV)/.ready: requirements.txt pyproject.toml
	@python3 -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"python3 is {v[0]}.{v[1]}; loan-scoring needs 3.11 or newer")'
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements.txt
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps -e .
	@touch $@

PORTFOLIO ?= loan_default

run: setup ## replay history and five nights of PORTFOLIO on a real Airflow, print what was done, stop
	@$(BIN)/python -m loan_scoring.cli.run run $(PORTFOLIO)

# STREAM=1 also starts a Redis and a consumer of each portfolio whose contract has schedules.stream.
up: setup $(if $(STREAM),.venv-stream/.done) ## start Postgres and Airflow with its UI, and leave them on; STREAM=1 with a stream
	@$(if $(STREAM),LOAN_SCORING_STREAM_PYTHON=$(CURDIR)/.venv-stream/bin/python )$(BIN)/python -m loan_scoring.cli.run up

down: setup ## stop what `make up` or the command line started
	@$(BIN)/python -m loan_scoring.cli.run down

PYTEST := $(BIN)/python -m pytest
PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# If a test hangs for 30 minutes, pytest prints the stack trace and the run ends.
PARALLEL += --max-worker-restart 0 -o faulthandler_timeout=1800 -o faulthandler_exit_on_timeout=true

test: setup style ## lint, types, tests; on LOAN_SCORING_SOURCE, the real loans, or on generated ones
	@# Without this environment, its tests are skipped with the reason.
	@$(MAKE) --silent federated || echo 'test: the environment of federated training cannot be made' >&2
	@# mypy runs in parallel with the tests. If mypy finds errors, they are printed after the tests.
	@$(BIN)/mypy > $(VENV)/mypy.log 2>&1 & mypy=$$!; \
	$(PYTEST) $(PARALLEL); tests=$$?; \
	wait $$mypy || { cat $(VENV)/mypy.log; exit 1; }; \
	exit $$tests

# Test files whose result depends on the loans. Tests that start schedulers or browsers or kill processes
# are left out.
GENERATED := $(foreach name, cli replay sources synthetic, tests/unit/test_$(name).py)
GENERATED += $(foreach name, alerts card cli_models corrections desk demo ingest outcomes performance \
  promotion quality scoring training, tests/integration/test_$(name).py)

test-generated: setup ## the files of tests/unit and tests/integration that depend on loans, on generated ones
	env -u LOAN_SCORING_SOURCE $(PYTEST) $(PARALLEL) $(GENERATED)

test-bench: setup ## tests of `make bench` that measure: minutes on an idle machine
	$(PYTEST) -m bench tests/unit tests/integration

bench: setup ## measure stages against their floors and the naive way
	@$(BIN)/loan-scoring bench

calibrate: setup ## measure the drift decision on the loans, peers beside it; writes docs/monitoring-figures.md
	@$(BIN)/loan-scoring calibrate

scale: setup ## ten million applications in thirty nights: stages, tables, queries; writes docs/scale.md; 40 GB of disk
	@$(BIN)/loan-scoring scale

demo-drift: setup ## replay data, target and model drift; write a page with plots that explains them
	@$(BIN)/loan-scoring demo-drift

# Pattern of lines in tests and docs with invented passwords. The secret scan skips these lines, because
# the passwords give access to nothing.
NO_SECRETS := ://[a-z_]+:(secret|password|PASSWORD)@|pass-word-of-the-mailer|a secret of the tests|T000/B000|simple_auth_manager_passwords
# Hashes that tests expect, a token without a signature, pictures of the notebook, a pattern of names.
NO_SECRETS := $(NO_SECRETS)|"(ffc9f3|b08be1|982bbd)[0-9a-f]{58}"|eyJhbGciOiJub25lIn0|"password": "(another )?secret"
NO_SECRETS := $(NO_SECRETS)|"image/png": |_OTHER_PASSWORDS =

BILL := .local/loan-scoring.cdx.json

audit: setup ## look for secrets in the files, write $(BILL), look for known vulnerabilities; needs pypi.org
	git ls-files -z -- . ':!requirements*.txt' | xargs -0 $(BIN)/detect-secrets-hook --no-verify --exclude-lines '$(NO_SECRETS)'
	@mkdir -p $(dir $(BILL)) && $(BIN)/python -m loan_scoring.models.report.sbom > $(BILL) && echo 'bill of materials (CycloneDX) in $(BILL)'
	@# Without --strict, a package that the vulnerability service does not know would pass as safe.
	@PIP_AUDIT_LOGLEVEL=ERROR $(BIN)/pip-audit --strict --progress-spinner off --disable-pip --no-deps -r requirements.txt -r requirements-image.txt \
	  || { echo 'audit: not all of requirements.txt is cleared: mend what is listed; where nothing is, https://pypi.org was not reached (a mirror of packages does not do)' >&2; exit 1; }

lint: style types ## rules, format, layers of imports, types

style: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo

types: setup
	$(BIN)/mypy

format: setup ## rewrite the code in the one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reference: setup ## write the tables of the contract's fields and its JSON Schema anew
	@$(BIN)/python -m loan_scoring.drafting.reference docs/data-contract.md

env: ## write .env, the secrets of docker-compose.yaml; ENVIRONMENT=nonprod (unless given) or prod
	@python3 include/loan_scoring/local/env_file.py $(or $(ENVIRONMENT),nonprod)

test-lending: setup ## eight weeks of nights, outcomes of approved loans only; needs LOAN_SCORING_SOURCE
	$(PYTEST) -m lending tests/lending

test-nights: setup ## a lender's weeks, mistakes and first steps on a real scheduler
	$(PYTEST) $(PARALLEL) -m nights tests/nights

test-attacks: setup ## every attack that docs/security.md says is stopped; all methods and probes
	LOAN_SCORING_ALL_ATTACKS=1 $(PYTEST) $(PARALLEL) -m attack tests

# An environment of its own, so that the packages of notebooks do not come into the one of `make run`.
EXTRAS := .venv-extras

$(EXTRAS)/.done: requirements-extras.txt | setup
	$(BIN)/uv venv --quiet --clear $(EXTRAS)
	VIRTUAL_ENV=$(CURDIR)/$(EXTRAS) $(BIN)/uv pip install --quiet --require-hashes -r requirements-extras.txt
	VIRTUAL_ENV=$(CURDIR)/$(EXTRAS) $(BIN)/uv pip install --quiet --no-deps -e .
	touch $@

test-extras: $(EXTRAS)/.done ## what needs the extras: the notebook on a running stack, queries of exported months
	LOAN_SCORING_EXTRAS_PYTHON=$(CURDIR)/$(EXTRAS)/bin/python $(PYTEST) -m extras tests

# Spark is 478 MB, and only `scoring.engine: spark` needs it.
SPARK := .venv-spark

$(SPARK)/.done: requirements-spark.txt | setup
	@java -version 2>&1 | grep -qE 'version "(1[7-9]|2[0-9])' || { echo 'test-spark needs Java 17 or newer: apt-get install default-jre-headless' >&2; exit 1; }
	$(BIN)/uv venv --quiet --clear $(SPARK)
	VIRTUAL_ENV=$(CURDIR)/$(SPARK) $(BIN)/uv pip install --quiet --require-hashes -r requirements-spark.txt
	VIRTUAL_ENV=$(CURDIR)/$(SPARK) $(BIN)/uv pip install --quiet --no-deps -e .
	touch $@

test-spark: $(SPARK)/.done ## nights and lakes scored on Spark, workers killed; needs Java 17
	LOAN_SCORING_SPARK_PYTHON=$(CURDIR)/$(SPARK)/bin/python $(PYTEST) -m spark tests

# The environment of streams, apart for the same reason.
STREAMS := .venv-stream

$(STREAMS)/.done: requirements-stream.txt | setup
	$(BIN)/uv venv --quiet --clear $(STREAMS)
	VIRTUAL_ENV=$(CURDIR)/$(STREAMS) $(BIN)/uv pip install --quiet --require-hashes -r requirements-stream.txt
	VIRTUAL_ENV=$(CURDIR)/$(STREAMS) $(BIN)/uv pip install --quiet --no-deps -e .
	touch $@

test-stream: $(STREAMS)/.done ## a stream over Redis and Kafka whose consumer and broker are killed; speed in docs/measurements.md
	LOAN_SCORING_STREAM_PYTHON=$(CURDIR)/$(STREAMS)/bin/python $(PYTEST) -m stream tests/stream

# Flower and Airflow need other releases of the same packages, so Flower has an environment of its own.
FEDERATED := .venv-federated

federated: $(FEDERATED)/.done ## make the environment of federated training

$(FEDERATED)/.done: requirements-federated.txt | setup
	$(BIN)/uv venv --quiet --clear $(FEDERATED)
	VIRTUAL_ENV=$(CURDIR)/$(FEDERATED) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements-federated.txt
	VIRTUAL_ENV=$(CURDIR)/$(FEDERATED) $(BIN)/uv pip install --quiet --no-deps -e .
	touch $@

test-federated: $(FEDERATED)/.done ## federated training by a SuperLink and SuperNodes, one of them killed
	LOAN_SCORING_FEDERATED_PYTHON=$(CURDIR)/$(FEDERATED)/bin/python $(PYTEST) -m federated tests

SCANS := .venv-scans

$(SCANS)/.done: requirements-scans.txt | setup
	$(BIN)/uv venv --quiet --clear $(SCANS)
	VIRTUAL_ENV=$(CURDIR)/$(SCANS) $(BIN)/uv pip install --quiet --require-hashes -r requirements-scans.txt
	VIRTUAL_ENV=$(CURDIR)/$(SCANS) $(BIN)/uv pip install --quiet --no-deps -e .
	touch $@

test-scans: $(SCANS)/.done ## reading of scanned forms, with the packages of the extra `scans`
	$(SCANS)/bin/python -m pytest -m scans tests/scans tests/dags/test_scans_dag.py

test-compose: setup ## build the image, run compose with two workers, kill some of it, compare with the embedded run
	$(PYTEST) -m compose tests/compose

lock: setup ## pin requirements.txt anew from pyproject.toml with hashes, and those of the image, of Spark and streams, and of the extras
	$(LOCK) --extra dev -o requirements.txt
	$(LOCK) --extra image --constraint requirements.txt -o requirements-image.txt
	$(LOCK) --extra spark --constraint requirements.txt -o requirements-spark.txt
	$(LOCK) --extra stream --constraint requirements.txt -o requirements-stream.txt
	@# Not a constraint, but preferred versions: OR-Tools needs an older protobuf than MLflow would take.
	cp requirements.txt requirements-extras.txt
	cp requirements.txt requirements-scans.txt
	$(LOCK) --extra dev --extra scans -o requirements-scans.txt
	cp requirements-scans.txt requirements-image-scans.txt
	$(LOCK) --extra image --extra scans -o requirements-image-scans.txt
	$(LOCK) --extra excel --extra lake --extra notebook --extra scorecard --extra search -o requirements-extras.txt
	cp requirements.txt requirements-federated.txt
	$(LOCK_GROUP) pyproject.toml:federated -o requirements-federated.txt

clean: ## remove the environment and all state, embedded database included
	-@test ! -x $(BIN)/python || $(BIN)/python -m loan_scoring.cli.run down
	rm -rf $(VENV) $(EXTRAS) $(SPARK) $(STREAMS) $(FEDERATED) $(SCANS) .local data/landing data/artifacts data/federated data/quality data/demo data/example
