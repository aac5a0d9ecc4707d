# Two commands do everything: make demo and make test. Both install what they need.
.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
COMPILE = $(BIN)/pip-compile -q --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --no-annotate
LAYERS := tests/api tests/agent tests/fuzz tests/operator tests/e2e_harness tests/test_layout.py tests/test_registry.py

.PHONY: help
help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: venv
venv: ## Make .venv with everything at its pinned hash
	@sh e2e/bootstrap

.PHONY: demo
demo: venv ## Play a leak from pod to cordon and back on a real cluster (KEEP=1 leaves it running)
	@$(BIN)/python -m kernelhealth_e2e.demo $(if $(KEEP),--keep)

.PHONY: demo-clean
demo-clean: venv ## Remove a cluster that KEEP=1 left running
	@$(BIN)/python -m kernelhealth_e2e.demo --clean

.PHONY: lab
lab: venv ## Play each failure on real kernels in virtual machines (SCENARIO=gssproxy KERNEL=6.12)
	@$(BIN)/python -m kernelhealth_e2e.lab --scenario "$(SCENARIO)" --kernel "$(KERNEL)"

.PHONY: lab-list
lab-list: venv ## Say what the lab can play
	@$(BIN)/python -m kernelhealth_e2e.lab --list

.PHONY: test
test: verify ## Everything: checks, then unit, kernel, control plane and cluster tests
	@$(BIN)/python -m pytest -q $(LAYERS) tests/kernel tests/controlplane e2e

.PHONY: unit
unit: venv ## The tests that need nothing
	@$(BIN)/python -m pytest -q $(LAYERS)

.PHONY: courses
courses: venv ## Play 10,000 courses of events that nobody has played before
	@KERNELHEALTH_COURSES=10000 KERNELHEALTH_COURSES_SEED=random $(BIN)/python -m pytest -q -s tests/operator/courses

.PHONY: verify
verify: venv ## Lint, types, import contracts, generated files; no root, no network
	@$(BIN)/ruff check -q .
	@$(BIN)/ruff format -q --check .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo 2>&1 | tail -n 4; exit $${PIPESTATUS[0]}
	@$(BIN)/python crds/generate.py --check
	@echo "verify: lint, types, import contracts and generated files are in order"

.PHONY: format
format: venv ## Format, and mend what can be mended
	@$(BIN)/ruff check -q --fix . ; $(BIN)/ruff format -q .

.PHONY: generate
generate: venv ## Write every file that follows from the code
	@$(BIN)/python crds/generate.py

.PHONY: golden
golden: venv ## Write the expected status and scrape of every recorded host anew, for review by git diff
	@KERNELHEALTH_GOLDEN=write $(BIN)/python -m pytest -q tests/agent -k golden

.PHONY: bench
bench: venv ## Measure the budgets against their rivals, in one run
	@$(BIN)/python tests/benchmarks/inventory.py
	@$(BIN)/python tests/benchmarks/detectors.py
	@$(BIN)/python tests/benchmarks/watch_5000.py

.PHONY: requirements
requirements: venv ## Pin the dependencies anew
	@$(BIN)/pip install -q pip-tools
	@for extra in agent operator; do $(COMPILE) --extra $$extra -o requirements/$$extra.txt pyproject.toml; done
	@$(COMPILE) -o requirements/build.txt requirements/build.in
	@$(COMPILE) --allow-unsafe --extra agent --extra operator --extra dev -o requirements/dev.txt pyproject.toml
	@sed -i 's/^atheris==[^ ]*/& ; platform_machine == "x86_64"/' requirements/dev.txt

.PHONY: clean
clean: ## Remove what was made in the tree; the cache outside stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
