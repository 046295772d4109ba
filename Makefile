# Two commands do all the set-up: `make demo` runs the exchange, `make test` runs the tests.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# What the environment is made from; after a change it is made again.
PINS   := pyproject.toml constraints.txt

# Some environments keep Python from writing bytecode. Then each of the tests' many processes would compile our sources anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

$(VENV)/.run: $(PINS)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "Python 3.11 to 3.13 is needed; set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

$(VENV)/.supply-chain: $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[supply-chain]'
	@touch $@

$(VENV)/.bench: $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	@touch $@

demo: $(VENV)/.run ## a simulated trading session through the whole pipeline, reconciled at the end (ARGS="--chaos" for more)
	$(BIN)/outcry demo $(ARGS)

up: $(VENV)/.run ## start the services and every role of the exchange
	$(BIN)/outcry up --all

down: $(VENV)/.run ## stop what `make up` started
	$(BIN)/outcry down

test: $(VENV)/.dev ## every test, with the real services (ARGS="-k layering" for some)
	$(BIN)/outcry warm
	$(BIN)/pytest --numprocesses 3 --dist loadscope $(ARGS)

test-quick: $(VENV)/.dev ## the tests that need no services and take no minutes, to run between two edits (ARGS as for `make test`)
	$(BIN)/pytest -m "not integration and not slow" -q --numprocesses 2 --dist loadscope $(ARGS)

coverage: $(VENV)/.dev ## lines and branches that the tests without services reach (ARGS as for `make test`); pages in build/coverage
	$(BIN)/pytest -m "not integration and not slow" -q --cov --cov-report=term --cov-report=html:build/coverage $(ARGS)

docs: $(VENV)/.docs ## the documents and the API as a site in build/site; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

hooks: $(VENV)/.dev ## check the files of each commit before it is made (pre-commit)
	$(BIN)/pre-commit install

simulate: $(VENV)/.dev ## the whole exchange under seeded faults, without services (ARGS="--seeds 10000", "--minutes 60", "--seed 71")
	$(BIN)/python tests/simulation/long_simulation.py $(ARGS)

chaos: $(VENV)/.dev ## the real exchange under 100 faults while it trades, then proof that nothing was lost or doubled (ARGS="--seed 7 --faults 32", "--help")
	$(BIN)/python tests/chaos/run_chaos.py $(ARGS)

replicas: $(VENV)/.dev ## real MySQL replicas under load, kills and promotions, with an oracle for stale reads (ARGS="--replicas 3 --reads 2000", "--help")
	$(BIN)/python tests/chaos/run_replicas.py $(ARGS)

drill: $(VENV)/.dev ## lose a region while it trades; another one takes over, and every order is accounted for (ARGS="--tries 1 --fault woken", "--help")
	$(BIN)/python tests/chaos/run_regions.py $(ARGS)

soak: $(VENV)/.dev ## half an hour of market-data clients that come, resume, read slowly and go; no gap, right books, flat memory (ARGS="--minutes 5")
	$(BIN)/python tests/soak/soak_fanout.py $(ARGS)

fuzz: $(VENV)/.dev ## a million bad inputs at every door: records, orders, queries, sockets, files; none may raise, hang or be kept (ARGS="--only order", "--help")
	$(BIN)/python tests/fuzz/run_fuzz.py $(ARGS)

openapi: $(VENV)/.dev ## a long run of schemathesis against a running exchange (ARGS="--keys keys.json --examples 100")
	$(BIN)/python tests/fuzz/run_openapi.py $(ARGS)

tamper: $(VENV)/.dev ## tamper with audit logs in every known way; each must be found and named (ARGS="--tamperings 1000 --honest 200 --seed 7")
	$(BIN)/python tests/tamper/run_tampering.py $(ARGS)

check: $(VENV)/.dev ## lint, format, types, architecture, declared imports, JavaScript: what CI runs before the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/oxlint --deny-warnings

sbom: $(VENV)/.supply-chain ## every package that is installed, with version and licence, as CycloneDX in build/sbom.json
	@mkdir -p build
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible --output-file build/sbom.json $(VENV)

advisories: $(VENV)/.supply-chain ## known vulnerabilities of every pinned package, and of what browsers get from npm; fails where one cannot be looked up, for example without access to pypi.org
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict
	$(BIN)/python tests/tidy/npm_advisories.py

lock: $(VENV)/.supply-chain ## requirements.lock: what the image installs, with a hash of every file of every platform that the index has
	echo 'setuptools>=77' | $(BIN)/uv pip compile pyproject.toml - --extra archive --extra forecast --extra traces --constraint constraints.txt --universal \
		--python-version 3.11 --generate-hashes --no-annotate --no-header --quiet --output-file requirements.lock

bandit: $(VENV)/.supply-chain ## bandit over every package: nothing is left without a reason
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive outcry schemas access topics matchers surveillance sinks audit reports forecast edge streams

format: $(VENV)/.dev ## format every file
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tables: $(VENV)/.dev ## write what is generated: tables of docs/wire.md, days on which NYSE is closed, what is below docker/
	$(BIN)/python tests/tidy/document_tables.py
	$(BIN)/python tests/tidy/market_days.py
	$(BIN)/python tests/tidy/deployment_files.py

.PHONY: capacity proto kube-binaries manifests-check
kube-binaries: $(VENV)/.dev ## build kube-apiserver and fetch etcd, once, outside of the repository (needs Go; 7 minutes of processor time)
	$(BIN)/python tests/support/kube/binaries.py

manifests-check: kube-binaries ## apply docker/kubernetes to a real API server, and one wrong field in each object
	$(BIN)/pytest tests/integration/own_sets/test_manifests_applied.py $(ARGS)

capacity: $(VENV)/.dev ## write the tables of docs/capacity.md
	$(BIN)/python tests/tidy/capacity_page.py

proto: $(VENV)/.dev ## make the messages of KEDA's external scaler from streams/keda/externalscaler.proto
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. streams/keda/externalscaler.proto

figures: $(VENV)/.dev ## write the figures of docs/benchmarks.md (FROM="run.jsonl ..." stores the output of benches first)
	$(BIN)/python tests/bench/figures.py $(FROM)

bench-counts: $(VENV)/.run ## records and bytes per order; counts, so any machine will do (JSON lines)
	$(BIN)/python tests/bench/bench_counts.py $(BENCH_ARGS)

bench: $(VENV)/.bench ## print what a unit of work costs: shards, edge, sinks (JSON lines)
	$(BIN)/python tests/bench/bench_accounts.py
	$(BIN)/python tests/bench/bench_sinks.py
	$(BIN)/python tests/bench/bench_edge.py

bench-engine: $(VENV)/.bench ## the matching engine alone, beside published Python books (JSON lines, plot; BENCH_ARGS=--quick or --help)
	$(BIN)/python tests/bench/bench_engine.py $(BENCH_ARGS)

bench-pipeline: $(VENV)/.bench ## orders and trades per second through Kafka, what each process costs per trade, latency (JSON lines, plot; BENCH_ARGS)
	$(BIN)/python tests/bench/bench_pipeline.py $(BENCH_ARGS)

bench-growth: $(VENV)/.bench ## cost, memory, snapshots and recovery as partitions, accounts, symbols and orders grow (JSON lines, plots; BENCH_ARGS)
	$(BIN)/python tests/bench/bench_growth.py $(BENCH_ARGS)

bench-recovery: $(VENV)/.bench ## a million orders and a million accounts back on an empty machine (JSON lines; BENCH_ARGS)
	$(BIN)/python tests/bench/bench_recovery.py $(BENCH_ARGS)

bench-failover: $(VENV)/.bench ## time without service after kill -9 of a worker, a replica, a broker (JSON lines, plot; BENCH_ARGS)
	$(BIN)/python tests/bench/bench_failover.py $(BENCH_ARGS)

bench-moves: $(VENV)/.bench ## silence while a shard moves between replicas, 20 times at 2,000 orders/s (JSON line; BENCH_ARGS)
	$(BIN)/python tests/bench/bench_moves.py $(BENCH_ARGS)

bench-fanout: $(VENV)/.bench ## one event to many WebSockets: memory, processor time, delay, storms, slow readers, beside baselines (JSON lines, plot; BENCH_ARGS)
	$(BIN)/python tests/bench/bench_fanout.py $(BENCH_ARGS)

latency: $(VENV)/.dev ## order to execution, open loop, through all hops, at 200 and 2,000 orders/s (JSON lines)
	$(BIN)/python tests/bench/latency.py

vendor: ## fetch what the pages use of other projects again, by pinned digests (needs npm)
	$(PYTHON) tests/tidy/vendored.py

clean: ## remove the environment and the data of local sets (stop them first)
	rm -rf $(VENV) var build *.egg-info

.PHONY: help demo up down test test-quick coverage docs hooks simulate chaos replicas soak fuzz tamper check sbom advisories lock bandit format tables figures vendor bench bench-counts bench-engine bench-pipeline bench-growth bench-recovery bench-failover bench-moves bench-fanout latency clean
