# Two commands matter: `make demo` and `make test`. Each target creates what it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TEXT ?= 你真是个笨蛋，闭上你的臭嘴 今天天气不错 说实话，隔壁老王就是个大骗子。
DEFAULT := exports/default/toxitrace.json
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint type bench model clean help

help: ## show this
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8

demo: $(VENV)/.base ## mark the toxic words of a few sentences; your own: make demo TEXT="..."
	@test -e $(DEFAULT) || test -e runs/smoke/toxitrace.json || ( \
		$(MAKE) --no-print-directory $(VENV)/.installed && \
		$(BIN)/python -m toxitrace train --config configs/smoke.yaml )
	@$(BIN)/python -m toxitrace predict --format text $$(test -e $(DEFAULT) || echo --model runs/smoke) $(TEXT)

test: $(VENV)/.installed ## run every test, in several processes of one thread each (under ten minutes on two cores)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: $(VENV)/.installed ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(VENV)/.installed ## types, strict
	$(BIN)/mypy

bench: $(VENV)/.installed ## the quick benchmarks; the long ones are listed in benchmarks/README.md
	$(BIN)/python benchmarks/training_step.py

model: $(VENV)/.installed ## the default model from its data (hours; needs ../shared/data)
	bash scripts/make_default_model.sh

clean: ## remove what the targets made
	rm -rf $(VENV) runs build *.egg-info

$(VENV)/.base: pyproject.toml constraints.txt # what scoring needs
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV)"
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed: $(VENV)/.base # what training and testing need
	@echo "installing the training packages into $(VENV) (some minutes the first time)"
	$(PIP) --editable ".[train,llm,openvino,explore,dev]"
	@touch $@
