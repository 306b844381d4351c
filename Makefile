# Two commands do all of their own set-up: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.bench-installed

.PHONY: demo test check unit soak bench lint clean

demo: $(STAMP)
	$(BIN)/hilum demo

test: lint unit

check: test

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(STAMP)
	$(BIN)/pytest -n 2 --dist worksteal -m "not soak"

soak: $(STAMP)
	$(BIN)/pytest -m soak --timeout 3600

bench: $(BENCH_STAMP)
	$(BIN)/python -m bench

# uv and its lock file where uv is present; plain pip otherwise.
$(STAMP): pyproject.toml uv.lock
	@echo "setting up $(VENV), once: about a minute"
	@if command -v uv >/dev/null 2>&1; then \
		uv sync --locked --extra test --quiet; \
	else \
		$(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'; \
	fi
	@touch $(STAMP)

$(BENCH_STAMP): $(STAMP)
	@if command -v uv >/dev/null 2>&1; then \
		uv sync --locked --extra test --extra bench --quiet; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,bench]'; \
	fi
	@touch $(BENCH_STAMP)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
