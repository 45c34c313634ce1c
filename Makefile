# Each target sets up what it needs in .venv; nothing else on the machine is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# PyTorch's own CPU wheels where they can be reached (one retry, then the plain index); constraints.txt pins the release.
PIP := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt
PIP_TORCH := $(PIP) --retries 1 --timeout 10 --extra-index-url https://download.pytorch.org/whl/cpu

# The stand-in for the Slicer application that the panel is tested in. A process of its own: the other rings run without Qt.
HOST := Testing/slicer_test_utilities

.PHONY: demo test bench bench-strength bench-salm bench-medlocker bench-audit figures clean

demo: $(VENV)/.scene
	rm -rf demo
	$(BIN)/medunlearnable demo $(if $(FILE),"$(FILE)") $(if $(LABELS),--labels "$(LABELS)") --out demo

test: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd $(HOST) && ../../$(BIN)/ruff check . && ../../$(BIN)/ruff format --check . && ../../$(BIN)/mypy
	$(BIN)/python -m pytest Testing/engine Testing/files Testing/jobs Testing/scene Testing/package
	$(BIN)/python -m pytest Testing/panel
	cd $(HOST) && ../../$(BIN)/python -m pytest tests

bench: $(VENV)/.test
	$(BIN)/python Testing/benchmarks/volume_cost.py
	$(BIN)/python Testing/benchmarks/dicom_cost.py
	$(BIN)/python Testing/benchmarks/real_samples.py
	$(BIN)/python Testing/benchmarks/carrier_key.py
	$(BIN)/python Testing/benchmarks/scale_thousand_cases.py
	$(BIN)/python Testing/benchmarks/scale_ranks.py
	$(BIN)/python Testing/benchmarks/certificate_speed.py
	$(BIN)/python Testing/benchmarks/panel_responsiveness.py

# Days on 2 cores, the most important cells first; stop and start as you like: a cell that has its result is not run again.
# EM=FOLDER, a checkout of github.com/HanxunH/Unlearnable-Examples, times its attack step beside ours.
bench-strength: $(VENV)/.test
	$(BIN)/python Testing/benchmarks/forecast_hits.py
	$(BIN)/python Testing/benchmarks/umed_carriers.py
	$(BIN)/python Testing/benchmarks/umed_volumes.py
	$(if $(EM),$(BIN)/python Testing/benchmarks/umed_speed.py "$(EM)")
	$(BIN)/python Testing/benchmarks/umed_strength.py

bench-salm: $(VENV)/.test
	$(BIN)/python Testing/benchmarks/salm_cost.py
	$(BIN)/python Testing/benchmarks/salm_strength.py

# Trains three networks a set first; a cell that has its result is not run again.
bench-medlocker: $(VENV)/.test
	$(BIN)/python Testing/benchmarks/medlocker_targets.py
	for set in brain3 busi fundus; do $(BIN)/python Testing/benchmarks/medlocker_placement.py $$set residual clean corner \
	  random-3-0 random-3-1 random-3-2 random-3-3 random-3-4 best-3 ours-1 ours-3 aw-50 || exit 1; done
	$(BIN)/python Testing/benchmarks/medlocker_placement.py brain3 residual+plain ours-1 ours-3
	$(BIN)/python Testing/benchmarks/medlocker_robustness.py brain3 residual ours-3

# Four sets of 10 min and an hour each; BUDGET=10m is the quick look. An audit that has its result is not run again.
bench-audit: $(VENV)/.test
	$(BIN)/python Testing/benchmarks/audit_verdicts.py --budget $(or $(BUDGET),10m 60m)

figures: $(VENV)/.test
	rm -rf build/figures
	$(BIN)/medunlearnable demo --out build/figures
	mkdir -p Resources/Figures
	cp "build/figures/generated CT.png" Resources/Figures/demo.png
	$(BIN)/python Testing/benchmarks/panel_figures.py

clean:
	rm -rf $(VENV) demo build

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "error: Python 3.10 to 3.13 is needed; name one with: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "error: $(PYTHON) cannot make a virtual environment; install its venv package (Debian: apt install python3-venv)"; exit 1; }

$(VENV)/.scene: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[scene]'
	@$(BIN)/python -c 'import slicer' || \
	  { echo "error: slicer-core cannot be loaded; the line above names the missing system library (Debian: apt install libegl1 libgl1 libxrender1)"; exit 1; }
	touch $@

$(VENV)/.test: $(VENV)/.scene
	$(PIP_TORCH) --editable '.[test]' --editable $(HOST)
	@$(BIN)/python -c 'import PySide6.QtWidgets' || \
	  { echo "error: Qt cannot be loaded; the line above names the missing system library (Debian: apt install libegl1 libfontconfig1 libxkbcommon0 libdbus-1-3)"; exit 1; }
	touch $@
