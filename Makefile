# `make demo` and `make test` are all that a new user needs; both make the environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
READY := $(VENV)/.ready
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-slow lint scaffold clean

$(READY): pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10) and 'Python 3.10 or newer is needed: make PYTHON=python3.12')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

demo: $(READY)  ## train both reference models on the bundled digits, a few minutes
	cd reference_solution/VAE && $(BIN)/python main.py --do_train --dataset digits --latent_dim 16 \
		--num_train_steps 3000 --fid_extractor lenet --ckpt_dir ../../demo/results --log_dir ../../demo/runs
	cd reference_solution/GAN && $(BIN)/python main.py --do_train --dataset digits \
		--num_train_steps 4000 --fid_extractor lenet --ckpt_dir ../../demo/results --log_dir ../../demo/runs
	@echo
	@echo "Pictures:    demo/results/*/*.png"
	@echo "TensorBoard: $(VENV)/bin/tensorboard --logdir demo/runs"

test: $(READY)  ## the quick tests, and the linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2
	$(BIN)/python -m pytest -q tests/hidden  # the graders, on the reference solution

test-slow: $(READY)  ## every test: minutes
	$(BIN)/python -m pytest -n 2 -m "slow or not slow"

lint: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

scaffold: $(READY)  ## build codes/ from reference_solution/
	$(BIN)/python -m autograder scaffold

clean:
	rm -rf $(VENV) demo build *.egg-info .pytest_cache .ruff_cache .hypothesis
