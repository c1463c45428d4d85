# Everything that a developer or CI runs. `make` lists it.

PYTHON ?= python3
BIN := .venv/bin
# Written last, so an interrupted set-up starts again. LOCKED holds the folder that .venv was
# made in, because a copied or moved .venv still points at the old one.
LOCKED := .venv/.locked
STAMP := .venv/.installed
ifneq ($(shell cat $(LOCKED) 2>/dev/null),$(CURDIR))
MADE_ELSEWHERE := made-elsewhere
endif

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv demo bench bench-air bench-attacks test prove nightly fuzz lint format types contracts wheel docs coverage check lock clean made-elsewhere

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(STAMP) ## make .venv from the lock (PYTHON= chooses the interpreter, 3.11 or newer)

$(STAMP): $(LOCKED) pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m pip --disable-pip-version-check check >/dev/null || \
	    { $(BIN)/python -m pip check; echo "the lock does not fit pyproject.toml: run 'make lock'" >&2; exit 2; }
	@touch $@

$(LOCKED): requirements/dev.txt $(MADE_ELSEWHERE)
	@command -v $(PYTHON) >/dev/null || \
	    { echo "meshlog needs Python 3.11 or newer, and there is no '$(PYTHON)': install one, or name it with PYTHON=" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "meshlog needs Python 3.11 or newer, '$(PYTHON)' is $$($(PYTHON) -V 2>&1): name another with PYTHON=" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "'$(PYTHON)' has no venv module: install it (Debian and Ubuntu: apt install python3-venv)" >&2; exit 2; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@printf '%s\n' '$(CURDIR)' > $@

demo: $(STAMP) ## the main job: three devices that never all meet end with the same data (DEMO_ROWS=any.csv)
	$(BIN)/meshlog demo

bench-air: $(STAMP) ## bytes on the air, ours and the predecessor's, in one table (QUICK=1: a minute)
	$(BIN)/python -m bench.air.environments
	$(BIN)/python -m bench.air $(if $(QUICK),--quick)

test: $(STAMP) ## every quick test, doctests of src, docs and README included
	$(BIN)/pytest -m 'not prove'

bench: $(STAMP) ## what data costs, ours and the predecessor's, 1k to 1M events (QUICK=1: two minutes; ONLY=ingest,emit)
	$(BIN)/python -m bench.air.environments
	$(BIN)/python -m bench.data $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

bench-attacks: $(STAMP) ## attacks over real Reticulum, on ours and on the predecessor, in one table (15 min)
	$(BIN)/python -m bench.air.environments
	$(BIN)/python -m bench.attacks

FUZZED := .venv/.fuzz
SECONDS ?= 60
PROVE_FUZZ_SECONDS ?= 4
fuzz: $(FUZZED) ## garbage into every decoder, with atheris (SECONDS=60 for each; TARGETS="bundle form")
	$(BIN)/python -m fuzz --seconds $(SECONDS) $(TARGETS)

$(FUZZED): requirements/fuzz.txt $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	@touch $@

prove: $(FUZZED) ## the promises under fire: power cuts, kill -9, full disks, storms, real Reticulum
	$(BIN)/python -m fuzz --seconds $(PROVE_FUZZ_SECONDS) --seed 1
	scripts/faketime.sh
	$(BIN)/pytest -m prove

nightly: export MESHLOG_NIGHTLY = 1
nightly: PROVE_FUZZ_SECONDS = 120
nightly: prove ## the same with far more trials: an hour and more

lint: $(STAMP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP) ## mypy --strict
	$(BIN)/mypy

contracts: $(STAMP) ## import-linter: imports only point down
	$(BIN)/lint-imports

wheel: $(STAMP) ## build the wheel, install it in an empty environment, use it there
	PYTHON=$(BIN)/python scripts/check_wheel.sh

docs: $(STAMP) ## the documentation, into build/docs
	$(BIN)/sphinx-build -W --keep-going -b html docs build/docs

coverage: $(STAMP) ## branch coverage of the pure floors
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage report --include='src/meshlog/core/*,src/meshlog/sync/*,src/meshlog/views/*,src/meshlog/replica/*'

check: lint types contracts test demo wheel ## what every change must pass; CI runs `prove` after it
	@echo "check: lint, types, contracts, test, demo and wheel passed"

lock: ## pin every dependency anew, with hashes (UPGRADE=1 takes newer versions)
	PYTHON=$(PYTHON) scripts/lock.sh

clean: ## remove .venv and everything built
	rm -rf .venv build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
