PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.stamp

.PHONY: help demo test check bench simulate safety-case faults-page stories-page api-docs verdicts proof proof-quick planted lock

help:
	@echo "make demo    broker, two emulated stimulators, the service and a scripted session"
	@echo "make test    the whole suite, and 100 % branch coverage of safety/ by tests/safety"
	@echo "make check   ruff, formatting, mypy, import contracts"
	@echo "make bench   the measurements of tests/bench"
	@echo "make simulate  random clinics in virtual time, an hour of them; HOURS=, SEED= and JOBS= say otherwise"
	@echo "make safety-case  docs/safety-case from the rules, their limits and the markers of the tests"
	@echo "make faults-page  docs/faults.md from the table of faults"
	@echo "make stories-page  docs/stories.md from the stories of hazards"
	@echo "make api-docs  docs/api from the models of the wire"
	@echo "make verdicts  what the rules say to the recorded sessions, written anew"
	@echo "make proof   every mutant of safety/, every rule silenced, every module by its own tests, every walk (long)"
	@echo "make proof-quick  a sample of it, part of make test"
	@echo "make planted  defects planted in the controller, and 200 random mutants of its shell: which story or test sees them (long)"
	@echo "make lock    compile the requirements files from pyproject.toml again (needs uv)"

demo: $(STAMP)
	$(BIN)/stimwarden demo

test: $(STAMP)
	@$(BIN)/python -m tests.suite

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python tests/bench/run.py

HOURS ?= 1
SEED ?= 0
JOBS ?= 1

simulate: $(STAMP)
	$(BIN)/stimwarden-hil simulate --target controller.virtual:make --hours $(HOURS) --seed $(SEED) --jobs $(JOBS)

safety-case: $(STAMP)
	$(BIN)/python -m tests.safety_case

faults-page: $(STAMP)
	$(BIN)/python -m hil.fault_list > docs/faults.md

stories-page: $(STAMP)
	$(BIN)/python -m tests.hazards.page > docs/stories.md

api-docs: $(STAMP)
	$(BIN)/stimwarden asyncapi --schemas docs/api/schemas --page docs/api/index.html
	$(BIN)/stimwarden asyncapi > docs/api/asyncapi.json

proof: $(STAMP)
	$(BIN)/python -m tests.proof.run

proof-quick: $(STAMP)
	$(BIN)/python -m tests.proof.run --quick

# MUTANTS=50 SEED=7 draws others; docs/planted.md is kept when everything holds.
planted: $(STAMP)
	$(BIN)/python -m tests.planted $(if $(MUTANTS),--mutants $(MUTANTS)) $(if $(SEED),--seed $(SEED))

.venv: $(STAMP)

$(STAMP): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "stimwarden needs Python 3.11 or newer; this is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "this Python cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# No address of a package index may enter the files: they are read on networks with indexes of their own.
LOCK = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url
HEADER = \# Compiled from pyproject.toml by `make lock`; do not edit.

# What changed is read with `git diff tests/golden/sessions`. RECORD=1 plays the sessions anew on the emulated stimulator.
verdicts: $(STAMP)
	$(BIN)/python -m tests.proof.verdicts $(if $(RECORD),record,update)

lock:
	@command -v uv >/dev/null || { echo "make lock needs uv on the PATH"; exit 1; }
	{ echo '$(HEADER)'; $(LOCK) pyproject.toml; } > requirements.txt
	{ echo '$(HEADER)'; printf 'hatchling>=1.27\neditables\n' | $(LOCK) --extra dev pyproject.toml -; } > requirements-dev.txt
