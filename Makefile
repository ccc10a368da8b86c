# The environment is made once and again whenever the pinned requirements change.
PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
export PATH := $(BIN):$(PATH)

# The project's own ZenML configuration, so that yours is left alone.
export ZENML_CONFIG_PATH ?= $(CURDIR)/.zen-config
export ZENML_ANALYTICS_OPT_IN := false
export ZENML_LOGGING_VERBOSITY ?= INFO
export AUTO_OPEN_DASHBOARD := false
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export GIT_PYTHON_REFRESH := quiet

.PHONY: demo demo-servers gallery hunt web-demo test bench lint format stack ui environment clean

demo: environment ## the training pipeline on the sample data, on the project's own stack whatever stack is active
	dvc pull --quiet
	@python -m pipelines.stack zenml pipeline run pipelines.training.training_pipeline -c configs/quickstart.yaml

demo-servers: environment ## the same on PostgreSQL, S3 and an MLflow server, which it starts on this machine and ends
	dvc pull --quiet
	PYTHONPATH=.:tests python -m helpers.demo_servers

gallery: environment ## the pictures of the README
	ieast gallery -o docs/images

# One thread a worker: two workers with two threads each would wait for each other more than they compute. In the order of
# tests/conftest.py, because files with the fewest tests, which would come last, are the pipelines', which take longest.
test: environment
	OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

hunt: environment ## processes killed at random points, full disks: HUNT_TRIALS of each kind, none begun after HUNT_SECONDS of it
	HUNT_TRIALS=$${HUNT_TRIALS:-20} HUNT_SECONDS=$${HUNT_SECONDS:-60} OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile tests/hunt

web-demo: environment ## a static folder that stylizes in the visitor's own browser; needs npm
	npm install --prefix web --no-fund --no-audit --silent
	python web/build.py -o build/web-demo

bench: environment ## how fast everything is, against the plain computation and against what this machine can do
	python -m benchmarks

lint: environment
	ruff check .
	ruff format --check .
	mypy

format: environment
	ruff check --fix .
	ruff format .

environment: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

stack: environment ## the local ZenML stack with MLflow
	@ZENML_LOGGING_VERBOSITY=ERROR python -m pipelines.stack >/dev/null

ui: stack ## runs, models, MLflow and ZenML in a browser, on this machine only
	python -m pipelines.ui

clean: ## everything that commands made, but not data/ and not the environment
	rm -rf .work .zen .zen-config build web/node_modules .pytest_cache .mypy_cache .ruff_cache
