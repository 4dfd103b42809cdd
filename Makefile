# Everything runs in .venv, made on first use. Another interpreter: make demo PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
CONTRACT := .venv-contract
KERAS := .venv-keras
BIN := $(VENV)/bin
DEMO := demo
FAST := not slow and not realdata
export TF_CPP_MIN_LOG_LEVEL ?= 3
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test test-more test-all contract lint docs clean benchmark-dataset benchmark-phantoms benchmark-workflow benchmark-serving benchmark-inference benchmark-explanation

demo: $(VENV)/.core ## the whole workflow on synthetic pictures
	$(BIN)/python examples/full_workflow.py --out $(DEMO)

test: $(VENV)/.all lint ## lint, types, fast tests
	$(BIN)/python -m pytest -n 2 -m "$(FAST)"

test-all: test test-more ## and the slow ones, those on real pictures, the executed examples

test-more: $(VENV)/.all $(KERAS)/.ready
	$(BIN)/python -m pytest -n 2 -m "not ($(FAST))"
	$(MAKE) docs

lint: $(VENV)/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

contract: $(VENV)/.all $(CONTRACT)/.toolkit ## AWS's own start-up of training containers runs our entry point
	$(BIN)/python -m pytest -q tests/cloud/contract

docs: $(VENV)/.all ## the pages, with the examples executed; a warning is an error
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

benchmark-dataset: $(VENV)/.all ## reading, shards, loaders, augmentation beside others, as far as those are installed
	$(BIN)/python benchmarks/dataset.py

benchmark-phantoms: $(VENV)/.all ## how hard the phantoms are, and how fast they are made
	$(BIN)/python benchmarks/phantoms.py

benchmark-workflow: $(VENV)/.all ## the whole workflow and the reference protocol, on the real pictures
	$(BIN)/python benchmarks/full_workflow_sartaj.py
	$(BIN)/python benchmarks/reference_protocol.py

benchmark-serving: $(VENV)/.all ## the local endpoint beside the bare call and beside Keras' predict
	$(BIN)/python benchmarks/serving.py

benchmark-inference: $(VENV)/.all ## predict by every engine beside bare calls, Keras and torch
	$(BIN)/python benchmarks/inference.py

benchmark-explanation: $(VENV)/.all ## heat maps beside outlines drawn by hand, on real pictures
	$(BIN)/python benchmarks/explanation.py

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(f"found Python {v[0]}.{v[1]}. Expected: 3.11 to 3.13. To do: make $(MAKECMDGOALS) PYTHON=python3.12") if not (3, 11) <= v <= (3, 13) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml | $(BIN)/python
	@echo "installing the core into $(VENV): some minutes on the first run"
	$(BIN)/python -m pip install -q -e .
	@touch $@

$(VENV)/.all: pyproject.toml | $(BIN)/python
	@echo "installing everything but the benchmarks' peers into $(VENV): some minutes on the first run"
	$(BIN)/python -m pip install -q -e ".[cloud,dicom,nifti,export,fast,docs,test]"
	@touch $@ $(VENV)/.core

# AWS's toolkit and TensorFlow, resolved together as in AWS's image; apart from .venv, whose numpy and protobuf
# the toolkit would change. The job finds the library in the source that travels with it.
$(CONTRACT)/.toolkit: pyproject.toml
	$(PYTHON) -m venv $(CONTRACT)
	$(CONTRACT)/bin/python -m pip install -q "sagemaker-training>=5.1.4,<6" "tensorflow>=2.18,<2.22" \
	  "keras>=3.14,<4" "numpy>=2,<3" "opencv-python-headless>=4.10,<6" "matplotlib>=3.9,<4" \
	  "scikit-learn>=1.5,<2" "scipy>=1.11,<2"
	@touch $@

# Keras on JAX, and no TensorFlow: models.build needs no more.
$(KERAS)/.ready: pyproject.toml
	$(PYTHON) -m venv $(KERAS)
	$(KERAS)/bin/python -m pip install -q "keras>=3.14,<4" "jax>=0.4.35" "numpy>=2,<3"
	@touch $@

clean:
	rm -rf $(VENV) $(CONTRACT) $(KERAS) $(DEMO) docs/_build docs/_made docs/gallery docs/reference/generated
