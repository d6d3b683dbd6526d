"""The published layout of EEG-VJEPA, as the recipe's header says it is asked for."""

import json
import shlex

from cli_kit import omni
from omnipatch.core.settings import load, shipped_recipes
from omnipatch.recipes.catalogue import header

PUBLISHED = shlex.split(header(shipped_recipes()["eeg-vjepa"])[1]["Published"].partition("  ")[0])
SHORT = ("--fast-dev-run", "--data.limit", 12, "--encoder.width", 24, "--encoder.depth", 1, "--encoder.heads", 2,
         "--evaluate.protocols", "linear", "--evaluate.models", "pretrained,random-init")  # fmt: skip


def test_the_published_grid_runs_on_the_demo(tmp_path):
    verb, *rest = PUBLISHED[1:]
    done = omni(verb, *rest, "--out", tmp_path / "run", *SHORT)
    assert done.code == 0, done.err
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert {row["model"] for row in results["rows"]} == {"pretrained", "random-init"}


def test_the_published_grid_hides_what_the_modality_offers():
    settings = load("eeg-vjepa", PUBLISHED[3:])
    offered, views = settings.modality.maskers(), settings.recipe.objective["views"]
    for name in ("short", "long"):
        assert views[name]["mask"] == offered[name]
    assert settings.modality.spec.patch_shape == (4, 4, 30)
