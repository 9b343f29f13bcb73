# SPDX-License-Identifier: Apache-2.0
# Every target makes what it needs. `make help` lists them.

VENV := .venv
# What tests have for a peer is no dependency: each lives in an environment of its own.
PEERS := keystone moto swift vcsim glance-store glance barbican tempest
PEER_ENVIRONMENTS := $(PEERS:%=.venv-%/.installed)
BIN := $(VENV)/bin
PLUGINS := $(wildcard plugins/*/setup.cfg)
PACKAGES := glancekit $(filter-out %.egg-info,$(wildcard plugins/*/glancekit_*))
JOBS ?= 2

# What failed alone, and named (docs/decisions/0020); 1 is pytest's word for failed tests.
ONCE_MORE := test $$? -eq 1 && $(BIN)/pytest --last-failed --last-failed-no-failures none -rfEp

# Plugins whose tests lack nothing where the plugin is alone: in CI `isolated` runs them, and only that.
ALONE := file_store http_store keystone_auth mysql_metadata postgresql_metadata

.DEFAULT_GOAL := help
.PHONY: help serve test check format lint types doors pytest isolated lowest audit bench fuzz docs changes clean

help: ## List the targets.
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' Makefile | awk -F'|' '{ printf "  make %-10s %s\n", $$1, $$2 }'

serve: $(VENV)/.installed ## An image service on http://127.0.0.1:9292 that keeps what it is given in ./var.
	@exec $(BIN)/glancekit serve --data-dir var

test: check pytest $(if $(CI),isolated) ## All checks and all tests; with CI=true also isolated.

check: format lint types doors ## The checks that need no running: ruff, mypy, import-linter.

format: $(VENV)/.dev ## Is everything formatted as ruff would?
	$(BIN)/ruff format --check .

lint: $(VENV)/.dev ## ruff's rules.
	$(BIN)/ruff check .

types: $(VENV)/.dev ## mypy --strict on glancekit, every plugin and the benchmarks.
	$(BIN)/mypy --strict $(PACKAGES) benchmarks

doors: $(VENV)/.dev ## The doors between the rooms (.importlinter).
	$(BIN)/lint-imports

pytest: $(VENV)/.dev $(VENV)/.rbd .venv-clients/.installed $(PEER_ENVIRONMENTS) ## The tests of glancekit and of every plugin.
	$(BIN)/pytest -n $(JOBS) --dist loadfile $(if $(CI),$(ALONE:%=--ignore=plugins/%) || { $(ONCE_MORE); })

isolated: $(VENV)/.dev $(PEER_ENVIRONMENTS) ## Each plugin's wheel in an environment of its own passes its own tests.
	GLANCEKIT_TEST_KEYSTONE=$(CURDIR)/.venv-keystone GLANCEKIT_TEST_MOTO=$(CURDIR)/.venv-moto \
		GLANCEKIT_TEST_SWIFT=$(CURDIR)/.venv-swift GLANCEKIT_TEST_VCSIM=$(CURDIR)/.venv-vcsim \
		GLANCEKIT_TEST_GLANCE=$(CURDIR)/.venv-glance \
		GLANCEKIT_TEST_GLANCE_STORE=$(CURDIR)/.venv-glance-store \
		$(BIN)/python tools/each_plugin.py

lowest: $(VENV)/.dev ## The tests with exactly the lower bounds of our dependencies.
	$(BIN)/python tools/lowest_versions.py

audit: $(VENV)/.dev ## Look for known vulnerabilities in what is installed (asks a service on the net).
	$(BIN)/python tools/audit.py

bench: $(VENV)/.dev ## The benchmarks, each beside its floor; BENCH='...' passes options.
	@sh tools/debian_packages.sh nginx:nginx-light wrk:wrk curl:curl aws:awscli
	$(BIN)/python -m benchmarks $(BENCH)

fuzz: $(VENV)/.dev ## Ten thousand requests at random, each answer held against the OpenAPI document.
	GLANCEKIT_FUZZ_CASES=$${GLANCEKIT_FUZZ_CASES:-10000} $(BIN)/pytest -s tests/api/test_fuzz.py

docs: $(VENV)/.dev ## The documentation as HTML in build/docs; a warning is an error.
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs

changes: $(VENV)/.dev ## What the files of changes.d will look like in CHANGES.rst.
	@$(BIN)/towncrier build --draft --version next

clean: ## Remove the environments and caches; ./var stays.
	rm -rf $(VENV) .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/.installed: setup.cfg $(PLUGINS)
	@sh tools/venv.sh $(VENV)
	@sh tools/install.sh $(VENV)
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@sh tools/debian_packages.sh git:git qemu-img:qemu-utils xorriso:xorriso curl:curl nginx:nginx-light \
		openssl:openssl ceph-mon:ceph-mon ceph-osd:ceph-osd ceph-mgr:ceph-mgr rbd:ceph-common \
		pg_ctlcluster:postgresql mariadbd:mariadb-server redis-server:redis-server \
		etcd:etcd-server /usr/share/zookeeper/bin/zkServer.sh:zookeeper \
		rabbitmq-server:rabbitmq-server minisign:minisign zstd:zstd xz:xz-utils bzip2:bzip2
	@sh tools/install.sh $(VENV) dev
	@touch $@

.venv-clients/.installed:
	@sh tools/venv.sh .venv-clients
	@.venv-clients/bin/python -m pip install --quiet --disable-pip-version-check \
		python-openstackclient python-glanceclient openstacksdk
	@touch $@

.SECONDEXPANSION:
.venv-%/.installed: tools/$$(subst -,_,$$*).sh | $(VENV)/.dev
	@if sh $< .venv-$*; then touch $@; \
	elif [ -n "$$CI" ]; then exit 1; \
	else echo "glancekit: there is no $*, the tests that need it will be skipped" >&2; fi

# Ceph's own Python modules are in no package index; where they cannot be linked, its tests are skipped.
$(VENV)/.rbd: $(VENV)/.dev tools/rbd_bindings.sh
	-@sh tools/rbd_bindings.sh $(VENV)
	@touch $@
