# One task runner, few verbs. `make run` and `make test` need Python >= 3.11 only; see README for what is not in a wheel.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python

.PHONY: run test check fuzz bench lock clean

run: ready ## set everything up and run Hilum with sample studies in ./data
	$(BIN)/hilum serve --data data --demo

test: ready check ## set everything up and pass the tests
	$(BIN)/python web/run_tests.py
	$(BIN)/pytest -n 2 --dist loadfile $(PYTEST_ARGS)

check: ready ## lint, format, types, import law
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: ready ## let the fuzzers run (minutes)
	$(UV) --group fuzz
	for each in fuzz/*.py; do $(BIN)/python $$each -runs=$(or $(RUNS),200000) || exit 1; done

bench: ready ## measure beside Orthanc and the disk
	$(BIN)/python -m bench

lock: $(BIN)/uv ## choose the newest versions that pyproject.toml allows; commit requirements.lock afterwards
	$(BIN)/uv lock --quiet --upgrade
	$(BIN)/uv export --quiet --locked --no-emit-project --no-header --output-file requirements.lock

clean: ## remove what the other verbs made, except ./data
	rm -rf $(VENV) dist build web/node_modules src/hilum/console/web

.PHONY: ready
ready: $(BIN)/uv ## the virtual environment holds what the lock file says, and Hilum with its web app
	$(UV) --require-hashes -r requirements.lock
	$(UV) --no-deps --editable .

$(BIN)/uv:
	$(PYTHON) -c 'import sys; sys.exit("Hilum needs Python 3.11 or newer: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "uv>=0.13"
