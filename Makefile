# Each target sets up what it needs in .venv; nothing else on the machine is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# PyTorch's own CPU wheels where they can be reached (one retry, then the plain index); constraints.txt pins the release.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PIP_TORCH := $(PIP) --retries 1 --timeout 10 --extra-index-url https://download.pytorch.org/whl/cpu

.PHONY: demo test bench figures clean

demo: $(VENV)/.scene
	rm -rf demo
	$(BIN)/medunlearnable demo $(if $(FILE),"$(FILE)") $(if $(LABELS),--labels "$(LABELS)") --out demo

test: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

bench: $(VENV)/.scene
	$(BIN)/python Testing/benchmarks/volume_cost.py
	$(BIN)/python Testing/benchmarks/real_samples.py
	$(BIN)/python Testing/benchmarks/carrier_key.py

figures: $(VENV)/.scene
	rm -rf build/figures
	$(BIN)/medunlearnable demo --out build/figures
	mkdir -p Resources/Figures
	cp "build/figures/generated CT.png" Resources/Figures/demo.png

clean:
	rm -rf $(VENV) demo build

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "error: Python 3.10 to 3.13 is needed; name one with: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "error: $(PYTHON) cannot make virtual environments; install its venv package (Debian: apt install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.scene: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[scene]'
	@$(BIN)/python -c 'import slicer' || \
	  { echo "error: slicer-core cannot be loaded; the line above names the missing system library (Debian: apt install libegl1 libgl1 libxrender1)"; exit 1; }
	touch $@

$(VENV)/.test: $(VENV)/.scene
	$(PIP) --editable '.[test]'
	touch $@
