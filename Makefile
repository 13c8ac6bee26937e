# One target per thing to do. All run in $(VENV), which is made on first use and refreshed when the build files change.
#   make run PYTHON=python3.12        another interpreter
#   make test VENV=~/envs/kcore       an environment that exists
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
SOAK_ROUNDS ?= 20
SOAK_MINUTES ?= 120
SOAK_SEED ?= 1
SOAK_SIM_MINUTES ?= 30
SOAK_SEEDS ?= 10000
SOAK_FAULT_ROUNDS ?= 100
SOAK_CLUSTERS ?= 500
GO ?= go
PEER_ROUNDS ?= 3
BIN := $(VENV)/bin
READY := $(VENV)/.kcore-ready
SOURCES := $(shell find kcore_native kcore/store/etcd kcore/api/schema -name '*.pyx' -o -name '*.pxd' -o -name '*.proto' -o -name go_types.txt)
PYTEST := $(BIN)/python -m pytest
WITH_KERNELS := tests/scheduler tests/sim tests/gym tests/naive tests/traces tests/workloads tests/test_engines.py
PARALLEL := -n $(WORKERS) --dist worksteal

.PHONY: run build lint test bench bench-peers bench-etcd vectors soak clean
.DEFAULT_GOAL := build

run: $(READY)
	$(BIN)/kcore schedule -f 'synthetic:heterogeneous?nodes=5000&pods=100000' --out placements.parquet --plot utilisation.png

build: $(READY)

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# The second pass runs every kernel as plain Python, where a warning (an overflow, a deprecation) is a failure.
test: $(READY)
	$(PYTEST) $(PARALLEL) -m 'not slow' --durations=25
	KCORE_JIT=0 $(PYTEST) $(PARALLEL) -m 'differential and not slow' -W error $(WITH_KERNELS)

bench: $(READY)
	mkdir -p .benchmarks
	$(PYTEST) bench --benchmark-enable --benchmark-json=.benchmarks/latest.json
	$(BIN)/python -m bench.report

# Go builds the real kube-scheduler as a library (three minutes the first time), both are run in turn, and compared.
bench-peers: $(READY)
	@command -v $(GO) >/dev/null || { echo "kcore: no $(GO) here; install Go 1.26 or newer, or name it with GO=..."; exit 1; }
	mkdir -p .benchmarks
	cd bench/peers/kube_scheduler && $(GO) build -o ../../../.benchmarks/kube_scheduler .
	$(BIN)/python -m bench.peers --scheduler .benchmarks/kube_scheduler --rounds $(PEER_ROUNDS)

# Go builds the real etcd and the client that loads both (a minute the first time); both run on one core, in turn.
bench-etcd: $(READY)
	@command -v $(GO) >/dev/null || { echo "kcore: no $(GO) here; install Go 1.26 or newer, or name it with GO=..."; exit 1; }
	mkdir -p .benchmarks/etcd
	cd bench/peers/etcd && $(GO) build -o ../../../.benchmarks/etcd/load . && $(GO) build -o ../../../.benchmarks/etcd/etcd go.etcd.io/etcd/server/v3 \
	    && $(GO) build -o ../../../.benchmarks/etcd/etcdctl go.etcd.io/etcd/etcdctl/v3
	$(BIN)/python -m bench.peers.etcd --folder .benchmarks/etcd --rounds $(PEER_ROUNDS)

vectors: $(READY)
	$(BIN)/python -m tests.conformance.scheduler_vectors --engine kcore

soak: $(READY)
	$(BIN)/python -m tests.scheduler.soak --minutes $(SOAK_MINUTES) --seed $(SOAK_SEED)
	$(BIN)/python -m tests.sim.soak --minutes $(SOAK_SIM_MINUTES) --seed $(SOAK_SEED)
	$(BIN)/python -m tests.simulation --members 3 --seeds $(SOAK_SEEDS) --jobs $(WORKERS)
	$(BIN)/python -m tests.simulation --members 5 --seeds $(SOAK_SEEDS) --jobs $(WORKERS)
	$(BIN)/python -m tests.simulation --seeds $(SOAK_SEEDS) --jobs $(WORKERS)
	$(BIN)/python -m tests.store.faults --rounds $(SOAK_FAULT_ROUNDS) --seed $(SOAK_SEED)
	$(BIN)/python -m tests.cluster --first $(SOAK_SEED) --seeds $(SOAK_CLUSTERS)
	$(BIN)/python -m tests.cluster.faults --rounds $(SOAK_FAULT_ROUNDS) --seed $(SOAK_SEED)
	set -e; for seed in $$(seq $(SOAK_ROUNDS)); do echo "seed $$seed"; \
	    $(PYTEST) -q $(PARALLEL) -m 'slow or differential' --hypothesis-seed=$$seed; done

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache .benchmarks
	find kcore_native -name '*.c' -delete -o -name '*.so' -delete -o -name '*.html' -delete
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

$(READY): pyproject.toml setup.py $(SOURCES) | $(BIN)/python
	@echo "kcore: installing into $(VENV); the first time takes a minute or more"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "kcore: no $(PYTHON) here; install Python 3.11 or newer, or name one with PYTHON=..."; exit 1; }
	@$(PYTHON) -c "$$MACHINE_CHECK"
	$(PYTHON) -m venv $(VENV)

define MACHINE_CHECK
import os, shutil, sys, sysconfig
from importlib.util import find_spec
header = os.path.join(sysconfig.get_path("include"), "Python.h")
sys.exit("\n".join("kcore: " + remedy for wrong, remedy in (
    (sys.version_info < (3, 11), "Python 3.11 or newer is needed, this is %d.%d; name another with PYTHON=..." % sys.version_info[:2]),
    (not (find_spec("venv") and find_spec("ensurepip")), "python3 -m venv is missing; on Debian: apt install python3-venv"),
    (not os.path.exists(header), "Python.h is missing; on Debian: apt install python3-dev"),
    (not shutil.which(os.environ.get("CC", "cc").split()[0]), "a C compiler is missing; on Debian: apt install gcc"),
) if wrong) or 0)
endef
export MACHINE_CHECK
