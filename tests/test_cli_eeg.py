"""The shipped EEG recipes through the command line: short, but with nothing replaced."""

import json

import pytest
from cli_kit import omni
from omnipatch.core.settings import shipped_recipes

SHORT = ("--fast-dev-run", "--data.limit", 12, "--encoder.width", 16, "--encoder.depth", 1, "--encoder.heads", 2,
         "--evaluate.protocols", "linear", "--evaluate.models", "pretrained,random-init")  # fmt: skip
RECIPES = [name for name in sorted(shipped_recipes()) if name.startswith("eeg-")]


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_recipe_runs(name, tmp_path):
    done = omni("run", name, "--out", tmp_path / "run", *SHORT)
    assert done.code == 0, done.err
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert (results["modality"], results["dataset"]) == ("eeg", "demo")
    assert {row["model"] for row in results["rows"]} == {"pretrained", "random-init"}
    report = (tmp_path / "run/report.html").read_text()
    assert "synthetic demo data" in report
    # spectra alone do not give a signal back
    assert "what the decoder makes of it" not in report


def test_hidden_waves_are_drawn_beside_the_true_ones(tmp_path):
    variant = ("--modality.content", "[wave]", "--modality.patch_s", 1.0)
    done = omni("run", "eeg-mae", "--out", tmp_path / "run", *SHORT, *variant)
    assert done.code == 0, done.err
    assert "what the decoder makes of it" in (tmp_path / "run/report.html").read_text()


@pytest.mark.parametrize("name", RECIPES)
def test_a_dry_run_of_a_shipped_recipe(name):
    done = omni("run", name, "--dry-run", "--trainer.batch_size", 4)
    assert done.code == 0, done.err
    assert "parameters" in done.out
