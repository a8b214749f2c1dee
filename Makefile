# Everything is installed into this folder (.venv, spark/jars) and a cache (~/.cache/lakehouse); nothing system-wide.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Folders named like packages (airflow/, kafka/) must not shadow them.
export PYTHONSAFEPATH := 1
BIN := .venv/bin
UV := $(BIN)/python -m uv --quiet
UV_VERSION := 0.13.8
PYTHON = $(shell for python in python3.11 python3; do $$python -c 'import ensurepip, sys; \
  sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo $$python && break; done)
LAKEHOUSE_DATACONTRACT ?= $(HOME)/.cache/lakehouse/datacontract-venv
DATACONTRACT := $(LAKEHOUSE_DATACONTRACT)
DATACONTRACT_VERSION := 1.2.8
export LAKEHOUSE_PLAYWRIGHT ?= $(HOME)/.cache/lakehouse/playwright
BROWSER := $(LAKEHOUSE_PLAYWRIGHT)
PLAYWRIGHT_VERSION := 1.65.1
JAVAC := $(if $(JAVA_HOME),$(JAVA_HOME)/bin/)javac

# What is installed is named after the content it was made from: another content, another name, made anew.
digest = $(shell cat $(1) | sha256sum | cut -c1-16)
REQUIREMENTS := .venv/.requirements-$(call digest,requirements.txt)
PACKAGE := .venv/.package-$(call digest,requirements.txt pyproject.toml)
ARCHIVE := spark/jars/.archived-$(call digest,requirements.txt spark/pom.xml spark/src/lakehouse/engine/archive.py)
JARS := spark/jars/.gathered-$(call digest,spark/pom.xml $(shell find spark/src/main -name '*.java' | sort))

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: install init ## the whole pipeline on an embedded Postgres and a local folder
	@$(BIN)/lakehouse demo

.PHONY: stream
stream: install init ## review events through Kafka into the same Silver, with live figures
	@$(BIN)/lakehouse stream demo

.PHONY: up
up: install init ## start Postgres, MinIO, Kafka and Airflow
	@$(BIN)/lakehouse up

.PHONY: down
down: $(PACKAGE) ## stop what `make up` or `make demo` started; data stays
	@$(BIN)/lakehouse down

.PHONY: install
install: $(PACKAGE) $(JARS) $(ARCHIVE) ## Python packages into .venv, jars into spark/jars

.PHONY: init
init: ## write random secrets into .env, where none are yet; any Python 3 will do
	@PYTHONPATH=spark/src $(or $(wildcard $(BIN)/python),python3) -m lakehouse.stack.environment

.PHONY: doctor
doctor: $(PACKAGE) ## look for what would keep the platform from running
	@$(BIN)/lakehouse doctor

.PHONY: test
test: install ## lint and all tests, in four parts side by side
	@$(MAKE) datacontract || echo "Without datacontract-cli its test is skipped." >&2
	@$(MAKE) browser || echo "Without playwright-core nobody looks at the pages." >&2
	@mkdir -p .run
	@$(MAKE) --jobs=5 --keep-going lint test-engine test-stack test-rest test-unit

# The engine's are seen as they go; what the others print comes whole, when they have ended.
.PHONY: test-engine test-stack test-rest test-unit
test-engine:
	@$(BIN)/pytest tests/spark --ignore=tests/spark/stream

test-stack:
	@$(BIN)/pytest -m "stack" tests/stack tests/compose >.run/$@.log 2>&1 || failed=$$?; cat .run/$@.log; exit $${failed:-0}

test-rest:
	@$(BIN)/pytest -m "not stack" --ignore-glob='tests/spark/test_*' --ignore=tests/unit >.run/$@.log 2>&1 || failed=$$?; cat .run/$@.log; exit $${failed:-0}

test-unit:
	@$(BIN)/pytest tests/unit >.run/$@.log 2>&1 || failed=$$?; cat .run/$@.log; exit $${failed:-0}

.PHONY: test-fast
test-fast: install ## the tests that need no JVM and no server
	@$(BIN)/pytest -q --numprocesses=2 --dist=loadfile $(addprefix --ignore=tests/,spark stack compose kafka postgres) -m "not postgres and not slow"

# Docker's packages, images and builds are kept in ~/.cache/lakehouse/compose; nothing is installed, nothing keeps running.
.PHONY: test-compose
test-compose: install lint ## docker-compose.yaml run for real, with an engine of its own where none answers
	@LAKEHOUSE_TEST_COMPOSE=1 $(BIN)/pytest -q tests/unit/test_compose_file.py tests/compose

.PHONY: lint
lint: $(PACKAGE) ## ruff, mypy and hadolint
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/hadolint spark/Dockerfile tests/compose/bases/*/Dockerfile

.PHONY: datacontract
datacontract: $(DATACONTRACT)/.relocatable-$(DATACONTRACT_VERSION) ## datacontract-cli in an environment of its own: its lint of our contracts is a test

.PHONY: browser
browser: $(BROWSER)/.complete-$(PLAYWRIGHT_VERSION) ## playwright-core, by which a test drives this machine's Chromium

.PHONY: pictures
pictures: install browser ## take the pictures in docs/images anew, from runs of the whole stack on made data
	@mkdir -p docs/images
	@LAKEHOUSE_PICTURES=docs/images $(BIN)/pytest -q tests/stack/test_pictures.py

.PHONY: bench
bench: install ## measure a full load and a 1 % run against a plain Spark script and DuckDB
	@$(BIN)/python bench/run.py

.PHONY: bench-stream
bench-stream: install ## measure the stream at 100, 1,000 and 5,000 events a second, with a lake in a folder and in MinIO
	@$(BIN)/python bench/stream.py

.PHONY: settings
settings: $(PACKAGE) ## write .env.example anew from the settings class
	@$(BIN)/python -m lakehouse.settings_example > .env.example

.PHONY: java
java:
	@[ "$$($(JAVAC) -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p')" -ge 17 ] 2>/dev/null || { echo "A JDK 17 or newer \
	is not on PATH or in JAVA_HOME. Debian: apt-get install openjdk-17-jdk-headless" >&2; exit 2; }
	@command -v mvn >/dev/null || { echo "Maven is not on PATH. Debian: apt-get install maven" >&2; exit 2; }

# Its dependencies and ours do not go together. Half an environment is no environment: it is made anew.
# Relocatable: a cache that was moved, or that another home shares, has commands that start.
$(DATACONTRACT)/.relocatable-$(DATACONTRACT_VERSION): | $(PACKAGE)
	@echo "Installing datacontract-cli $(DATACONTRACT_VERSION) into $(DATACONTRACT) …"
	@rm -rf $(DATACONTRACT)
	@$(UV) venv --relocatable --python $(BIN)/python $(DATACONTRACT)
	@$(UV) pip install --python $(DATACONTRACT)/bin/python datacontract-cli==$(DATACONTRACT_VERSION)
	@touch $@

# The browser itself is the machine's: none is downloaded.
$(BROWSER)/.complete-$(PLAYWRIGHT_VERSION):
	@command -v npm >/dev/null || { echo "npm is not on PATH. Debian: apt-get install npm" >&2; exit 2; }
	@echo "Installing playwright-core $(PLAYWRIGHT_VERSION) into $(BROWSER) …"
	@rm -rf $(BROWSER)
	@npm install --silent --no-audit --no-fund --ignore-scripts --prefix $(BROWSER) playwright-core@$(PLAYWRIGHT_VERSION)
	@touch $@

# pyspark and pyspark-client share files: an environment is made anew, never upgraded in place.
$(REQUIREMENTS):
	@[ "$(PYTHON)" ] || { echo "Python 3.11 with venv is not on PATH. Debian: apt-get install python3.11-venv" >&2; exit 2; }
	@echo "Installing Python packages into .venv …"
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(UV) pip install --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.txt
	@touch $@

$(PACKAGE): | $(REQUIREMENTS)
	@$(UV) pip install --python $(BIN)/python --no-deps --editable .
	@rm -f .venv/.package-*
	@touch $@

# Of the jars of both: it is made anew with either. A JVM that cannot make one runs all the same.
$(ARCHIVE): $(PACKAGE) $(JARS)
	@echo "Archiving the JVM's classes …"
	@$(BIN)/python -m lakehouse.engine.archive 2>spark/jars/.archive-log || \
	  echo "This JVM made no archive, so every session starts two seconds later; why: spark/jars/.archive-log" >&2
	@rm -f spark/jars/.archived-*
	@touch $@

$(JARS):
	@$(MAKE) java
	@echo "Gathering jars into spark/jars …"
	@mvn -B -q -Dstyle.color=never -f spark/pom.xml package
	@touch $@
