"""Targets that were known beforehand: what they are, and that nothing can make them collapse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ids_kit import IDS, SPEC, batch_of, encoder, known, told, train
from omnipatch import InputError, SequenceSpec
from omnipatch.core.blocks.registry import build
from omnipatch.core.blocks.targets import Request
from omnipatch.core.blocks.views import IndexSet, View
from omnipatch.core.known import KnownIds
from omnipatch.core.objective import Objective

FIXED = {"name": "jepa-ids", "targets": {"teacher": {"name": "known_ids"}}}


def provider(model=None, numbers=None):
    target = build("target", {"name": "known_ids"}, SPEC, encoder() if model is None else model, {})
    target.tell(known() if numbers is None else KnownIds([numbers]))
    return target


def ask(target, view, index=None, rows=None):
    return target(Request(view, lambda *a: pytest.fail("nothing needs encoding"), rows, index))


class TestKnownTarget:
    def test_a_row_is_the_mean_of_what_its_view_shows(self):
        batch, numbers = batch_of([1, 2, 3], [4]), known().numbers[0]
        made = ask(provider(), View(batch))
        assert np.allclose(made.values[:, :3].numpy(), [numbers[[1, 2, 3]].mean(axis=0), numbers[4]], atol=1e-6)
        shown = IndexSet(torch.tensor([[2], [0]]), torch.tensor([[True], [False]]))
        made = ask(provider(), View(batch, visible=shown))
        assert np.allclose(made.values[0, :3].numpy(), numbers[3])
        assert made.valid.tolist() == [True, False]

    def test_a_place_is_its_own_id(self):
        index = IndexSet(torch.tensor([[1, 0]]), torch.tensor([[True, False]]))
        made = ask(provider(), View(batch_of([1, 2])), index)
        assert np.allclose(made.values[0, 0, :3].numpy(), known().numbers[0][2])
        assert made.valid.tolist() == [[True, False]]

    def test_it_is_as_wide_as_the_encoder(self):
        few, many = provider(), provider(numbers=np.arange(IDS * 12, dtype=np.float32).reshape(IDS, 12))
        assert few.numbers.shape == many.numbers.shape == (IDS, 8)
        assert not few.numbers[:, 3:].any()
        assert many.numbers[1].tolist() == [12.0 + i for i in range(8)]

    def test_several_masks_of_a_row_share_its_target(self):
        batch = batch_of([1, 2], [3, 4])
        made = ask(provider(), View(batch), rows=torch.tensor([0, 1, 0, 1]))
        assert torch.equal(made.values[:2], made.values[2:])

    def test_who_was_told_nothing_says_so(self):
        objective = Objective.from_config(FIXED, SPEC, encoder())
        with pytest.raises(InputError, match="what is known"):
            objective(batch_of([1, 2, 3]), 0, 0)

    def test_there_must_be_something_to_know(self):
        with pytest.raises(InputError, match="nothing is known"):
            build("target", {"name": "known_ids"}, SequenceSpec(axes=("a",), patch_shape=(1,)), encoder(), {})


def test_a_latent_is_predicted_that_no_training_can_flatten():
    """An encoder that learns its own target may give every row one vector, with this term alone; here it cannot."""
    rng = np.random.default_rng(0)
    rows = [[int(i) for i in rng.permutation(15)[:6] + 15 * (n % 2)] for n in range(40)]
    alone = {**FIXED, "terms": {"latent": {}, "hidden": None}, "targets": {**FIXED["targets"], "ids": None}}
    objective, batch = told(alone), batch_of(*rows)
    before = ask(objective.targets["teacher"], View(batch)).values.clone()
    first = float(objective(batch, 0, 0).loss.detach())
    train(objective, batch, 80)
    after = ask(objective.targets["teacher"], View(batch)).values
    assert torch.equal(before, after)
    assert not [name for name, _ in objective.targets["teacher"].named_parameters()]
    assert not [name for name in objective.state_dict() if name.startswith("targets.teacher")]
    outcome = objective(batch, 0, 99)
    assert float(outcome.loss.detach()) < 0.3 * first
    guess = outcome.taps["head.predictor"]
    sides = torch.arange(40) % 2 == 0
    apart = torch.nn.functional.cosine_similarity(guess[sides].mean(0), guess[~sides].mean(0), dim=0)
    assert float(apart) < 0  # the two sides of the graph are told apart


def test_the_low_rank_view_is_contrasted():
    objective, batch = told({"name": "lightgcl-ids"}), batch_of([1, 2, 3, 4], [16, 17, 18], [5, 20, 6])
    outcome = objective(batch, 0, 0)
    outcome.loss.backward()
    assert set(outcome.terms) == {"contrast", "hidden"}
    assert all(torch.isfinite(p.grad).all() for p in objective.parameters() if p.grad is not None)
