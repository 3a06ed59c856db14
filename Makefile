# Every target sets up what it needs: a first `make run` makes .venv, a second one sets nothing up.
# PYTHON names the interpreter (3.11 to 3.13) where `python3` is another one.

VENV := .venv
STAMP := $(VENV)/.installed
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export MLFLOW_ALLOW_PICKLE_DESERIALIZATION := false
# Threads that spin while they wait take the cores from the processes beside them.
export GOMP_SPINCOUNT := 2000
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help run chat serve status ui test lint bench deploy clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: $(STAMP)  ## train what is stale, judge it, promote it, and say what came of it
	@perennial run

chat: $(STAMP)  ## talk to the champion
	@perennial chat

serve: $(STAMP)  ## serve the champion: OpenAI-compatible endpoint and chat page
	@perennial serve

status: $(STAMP)  ## who is champion, and why
	@perennial status

ui: $(STAMP)  ## MLflow's pages on http://127.0.0.1:5000: compare runs, versions, promote
	@mlflow ui

# Two workers, a file to each, in order: the pipeline waits for processes while the rest computes.
test: $(STAMP)  ## the tests
	@pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(STAMP)  ## style, types and the laws of the layers
	@ruff check .
	@ruff format --check .
	@mypy
	@lint-imports

# Those that fit what `perennial score` has learned write it, and are run by hand.
bench: $(STAMP)  ## every benchmark, side by side with its peers
	@failed=; for name in $$(basename -a -s .py benchmarks/[a-z]*.py | grep -Ev '^(fit_.*|form)$$'); do \
	  echo "== $$name"; python -m benchmarks.$$name || failed="$$failed $$name"; done; \
	  test -z "$$failed" || { echo "error: missed its bounds:$$failed" >&2; exit 1; }

# prefect.yaml reads the project's folder from PWD, which make leaves as its caller's (make -C).
deploy: $(STAMP)  ## put the scheduled flows on the Prefect server that PREFECT_API_URL names
	@prefect --no-prompt work-pool create perennial --type process --overwrite
	@PWD="$(CURDIR)" prefect --no-prompt deploy --all

clean:  ## remove the tools' caches; data, models and runs stay
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(STAMP): requirements.lock pyproject.toml
	@test -x $(VENV)/bin/python || { \
	  python=$${PYTHON:-}; \
	  if [ -z "$$python" ]; then \
	    for candidate in python3 python3.13 python3.12 python3.11; do \
	      if $$candidate -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	        2>/dev/null; then python=$$candidate; break; fi; \
	    done; \
	  fi; \
	  "$${python:-python3}" -c 'import sys; v = sys.version_info; (3, 11) <= v[:2] <= (3, 13) or sys.exit(f"error: this is Python {v[0]}.{v[1]}; Perennial needs 3.11 to 3.13; name one: make PYTHON=python3.12 …")' \
	    || exit 2; \
	  echo "setting up $(VENV) (once; some minutes) …"; \
	  "$$python" -m venv $(VENV) || { rm -rf $(VENV); exit 2; }; }
	@$(VENV)/bin/python -m pip install --quiet --no-compile -r requirements.lock
	@$(VENV)/bin/python -m pip install --quiet --no-deps -e .
	@echo "compiling what was installed, on every core …"
	@$(VENV)/bin/python -m compileall -q -j 0 $(VENV)/lib >/dev/null || true  # templates are no code
	@touch $@
