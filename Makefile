# NeckFrac. Two commands on a fresh machine: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A file of tests stays in one process, and each process computes with one thread: two would wait for each other.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --ignore=Testing/server \
	--numprocesses auto --maxprocesses 8 --dist loadfile --max-worker-restart 0
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PYTHONUTF8 = 1

.PHONY: demo real-data serve test test-all test-service bench lint clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("NeckFrac needs Python 3.11 or later: make PYTHON=python3.11") if sys.version_info < (3, 11) else 0'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dicom,scene,test]'
	touch $@

demo: $(VENV)/installed  ## Run the ensemble on the embedded sample CT; the result lies in demo-result
	$(BIN)/neckfrac demo --output demo-result --overwrite

real-data: $(VENV)/installed  ## Fetch the public CT that the figures on real CT were measured on, with its SHA-256 compared
	$(BIN)/python -m neckfrac_lab.real_data real-data

$(VENV)/service: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dicom,scene,service,test,test-service]'
	touch $@

serve: $(VENV)/service  ## Run the web service on this machine: page, API and DICOMweb
	$(BIN)/neckfrac serve

test-service: $(VENV)/service  ## The web service's tests; they want Orthanc, Chromium and PostgreSQL (see .ci/services)
	$(BIN)/python -m pytest Testing/server

test: $(VENV)/installed  ## Check style and run the tests but the slow ones and the web service's (test-service)
	$(BIN)/ruff check .
	$(PYTEST) -m "not slow"

test-all: $(VENV)/installed  ## Those that test leaves out for their time as well; when weights or networks have changed
	$(BIN)/ruff check .
	$(PYTEST)

bench: $(VENV)/installed  ## Stage times, peak memory and the ratio to a plain MONAI sliding window
	$(BIN)/neckfrac bench

lint: $(VENV)/installed
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

clean:
	rm -rf $(VENV) demo-result .pytest_cache .ruff_cache
