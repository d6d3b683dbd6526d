"""Shipped objectives of ids, and the commands that recipes of recommenders show."""

from __future__ import annotations

import shlex

import pytest
import torch
from ids_kit import batch_of, encoder, told
from omnipatch.core.compose import composition, shipped_id_objectives
from omnipatch.core.settings import load, shipped_recipes
from omnipatch.recipes.catalogue import header

CLOZE = {"name": "cloze", "width": 8, "depth": 1, "heads": 2, "end": "low"}
COMMANDS = [
    (name, key, command.partition("  ")[0])
    for name, text in sorted(shipped_recipes().items()) if name.startswith("rec-")
    for key, command in header(text)[1].items() if command.startswith("omnipatch run")
]  # fmt: skip


@pytest.mark.parametrize(("name", "command"), [pytest.param(n, c, id=f"{n}-{key}") for n, key, c in COMMANDS])
def test_commands_of_headers_are_valid(name, command):
    verb, recipe, *overrides = shlex.split(command)[1:]
    assert (verb, recipe) == ("run", name)
    load(recipe, overrides)  # checks every name and key


@pytest.mark.parametrize("name", shipped_id_objectives())
class TestShipped:
    def made(self, name):
        gaps = "states" in composition(name).get("heads", {})
        objective = told({"name": name}, encoder(CLOZE if gaps else {"name": "set", "width": 8, "hidden": 16}))
        objective.augment = lambda batch, rng: batch.replace(valid=batch.valid & (rng.uniform(batch.n_patches) < 0.9))
        return objective

    def test_a_step_reaches_the_encoder_with_finite_gradients(self, name):
        objective, batch = self.made(name), batch_of([1, 2, 3, 4, 16], [5, 6, 17, 18], [7, 8, 9], [10])
        outcome = objective(batch, 0, 0)
        outcome.loss.backward()
        found = [p.grad for p in objective.encoder.parameters() if p.grad is not None]
        assert all(torch.isfinite(gradient).all() for gradient in found)
        assert any(gradient.any() for gradient in found)
        assert all(torch.isfinite(value) for value in outcome.terms.values())

    def test_padding_changes_nothing(self, name):
        from omnipatch.core.batching import pad

        batch = batch_of([1, 2, 3, 4, 16], [5, 6, 17, 18, 2])
        losses = []
        for made in (batch, pad(batch, 8)):
            torch.manual_seed(0)
            objective = self.made(name).eval()
            objective.augment = lambda batch, rng: batch
            torch.manual_seed(0)
            losses.append(float(objective(made, 0, 0).loss.detach()))
        assert losses[0] == pytest.approx(losses[1], abs=1e-4)
