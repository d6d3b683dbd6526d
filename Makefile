# `make check` is what a change must pass.
.PHONY: check format lint types test slow catalogue notebooks

check: lint types test

format:
	ruff format .
	ruff check --fix .

lint:
	ruff format --check .
	ruff check .

types:
	pyright

test:
	pytest

slow:
	pytest -m slow

catalogue:  # recipes/README.md from the headers of the recipes, docs/options.md from the source
	python recipes/catalogue.py
	python -m omnipatch.recipes.options

notebooks:  # run them and keep what they show
	jupyter execute --inplace notebooks/*.ipynb
