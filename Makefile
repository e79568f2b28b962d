# make and Python 3.11 or newer are enough; uv is used when it is on PATH.
# VENV= moves the environment, ARGS= reaches pytest: make test ARGS="tests/rules -x"

VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin
CHECKED := encore sandbox blueprints app.py
STATIC_TESTS := $(wildcard tests/test_architecture.py tests/test_templates.py tests/test_i18n.py tests/test_docs.py)

.PHONY: run test prove check conformance bench lock run-env test-env
.NOTPARALLEL:

run: run-env
	@exec $(BIN)/python app.py

# Seven to ten minutes on two cores; the limit ends a run that hangs and leaves a slower or busy machine some room.
test: test-env
	@$(BIN)/python -m tests.browser_binary
	@exec $(BIN)/python -m pytest -n 2 --dist loadfile --time-limit 1000 $(ARGS)

# The long proofs: what is generated in the tests, many times over. It prints what was tried, and fails if anything
# did. SCALE=5 tries five times as much.
SCALE ?= 1
prove: test-env
	@SCALE=$(SCALE) exec $(BIN)/python -m pytest -m proof -n 2 --dist worksteal $(ARGS)

check: test-env
	@$(BIN)/ruff check -q .
	@$(BIN)/ruff format --check -q .
	@$(BIN)/mypy --no-error-summary $(CHECKED)
	@$(BIN)/lint-imports --no-cache > $(VENV)/lint-imports.txt || { cat $(VENV)/lint-imports.txt; exit 1; }
	@$(BIN)/python -m pytest $(STATIC_TESTS)

# The official SDK's own tests against the sandbox; downloaded, so a network is needed once. ARGS=--gate for the quick
# part, SDK=latest to try the newest version.
conformance: test-env
	@exec $(BIN)/python -m tests.tools.conformance $(ARGS)

ifneq ($(wildcard tests/tools/bench.py),)
bench: test-env
	@exec $(BIN)/python -m tests.tools.bench $(ARGS)
endif

# The two files hold versions and hashes for every platform and no address, so that pip and uv both read them
# from whatever index a machine is set up for. Local settings of uv must not leak into them.
LOCK = env -u UV_INDEX -u UV_INDEX_URL -u UV_DEFAULT_INDEX -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS \
	$(BIN)/uv --no-config pip compile -q --universal --generate-hashes --no-emit-index-url \
	--python-version 3.11 --custom-compile-command "make lock"

lock: test-env
	@$(LOCK) $(ARGS) pyproject.toml -o requirements.txt
	@$(LOCK) $(ARGS) pyproject.toml requirements-test.in -c requirements.txt -o requirements-test.txt
	@! grep -nE '://|^ *--(index|extra|find|trusted)' requirements.txt requirements-test.txt

run-env:
	@sh .ci/environment "$(VENV)" requirements.txt

test-env:
	@sh .ci/environment "$(VENV)" requirements-test.txt
