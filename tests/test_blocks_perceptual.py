"""Decoded patches in a teacher's space: zero for what is heard alike, gradient to the decoder alone, finer teachers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from blocks_kit import SPEC, batch, encoder, objective, run
from omnipatch.core.blocks.perceptual import HeardLoss, attended, in_time, statistics
from omnipatch.core.errors import InputError
from omnipatch.core.sequence import SequenceSpec

FINER = SequenceSpec(axes=("time_s", "lead"), patch_shape=(2, 4), axis_scales=(0.05, 1.0), sfreq_hz=80.0)


def composed(match="attention", **target):
    return objective(
        {
            "name": "heard",
            "views": {"context": {}},
            "heads": {"decoder": {"name": "decoder"}},
            "targets": {"heard": {"name": "heard", **target}},
            "terms": {
                "heard": {
                    "site": "all", "source": "context", "head": "decoder", "target": "heard",
                    "loss": {"name": "heard", "match": match},
                }
            },
        }
    )  # fmt: skip


def corpus(teacher):
    return SimpleNamespace(trained=lambda folder: (teacher, None))


def heard(made, built):
    """Target of a batch."""
    from omnipatch.core.rng import RowRandom
    from omnipatch.core.scope import Scope

    return Scope(built, made, RowRandom(0, 0, made.window)).target(built.terms[0])


@pytest.mark.parametrize("match", ["pooled", "attention"])
def test_the_truth_is_heard_as_the_truth(match):
    built, made = composed(match), batch()
    target = heard(made, built)
    loss = HeardLoss(match=match, temperature=1e-3)
    values, weights = loss(made.values, target, made.subject)
    assert values.abs().max() < 1e-5
    assert weights.tolist() == [1.0] * len(made)
    assert loss(made.values + torch.randn_like(made.values), target, made.subject)[0].min() > 1e-3


@pytest.mark.parametrize("match", ["pooled", "attention"])
def test_order_in_time_does_not_matter(match):
    x = torch.randn(2, 5, 4)
    valid = torch.ones(2, 5, dtype=torch.bool)
    valid[0, 3:] = False
    order = torch.tensor([2, 0, 1, 4, 3])
    if match == "pooled":
        torch.testing.assert_close(statistics(x[:, order], valid[:, order]), statistics(x, valid))
    else:
        ask = torch.randn(2, 5, 4)
        torch.testing.assert_close(attended(ask, x[:, order], valid[:, order], 0.1), attended(ask, x, valid, 0.1))


def test_what_is_invalid_has_no_say():
    x, valid = torch.randn(2, 5, 4), torch.tensor([[True] * 3 + [False] * 2] * 2)
    other = x.masked_fill(~valid.unsqueeze(-1), 77.0)
    torch.testing.assert_close(statistics(other, valid), statistics(x, valid))
    torch.testing.assert_close(attended(x, other, valid, 0.1), attended(x, x, valid, 0.1))


def test_gradient_goes_through_the_teacher_and_not_into_it():
    built = composed()
    built(batch(), 0, 0).loss.backward()
    assert all(p.grad is None for p in built.targets["heard"].teacher.parameters())
    assert any(p.grad is not None and p.grad.any() for p in built.heads["decoder"].parameters())
    assert any(p.grad is not None and p.grad.any() for p in built.encoder.parameters())


def test_it_is_learned():
    losses = run(composed(), batch(), 30, lr=3e-3)
    assert losses[-1] < 0.6 * losses[0]


def test_padding_changes_nothing():
    from blocks_kit import insert_invalid

    built, made = composed(), batch()
    wide, _ = insert_invalid(made, [0, 5, 12])
    with torch.no_grad():
        plain, padded = built(made, 0, 0).loss, built(wide, 0, 0).loss
    torch.testing.assert_close(plain, padded, atol=1e-5, rtol=1e-4)


class TestEarlierRuns:
    def test_a_teacher_may_cut_time_more_finely(self):
        built, made = composed(run="runs/first"), batch()
        teacher = encoder(FINER)
        built.prepare(corpus(teacher))
        assert built.targets["heard"].teacher is teacher
        target = heard(made, built)
        assert target.values.shape == (6, 24, 32)
        assert HeardLoss(temperature=1e-3)(made.values, target, made.subject)[0].abs().max() < 1e-5

    def test_cut_patches_are_the_same_signal_at_the_same_time(self):
        made = batch(patches=3)
        cut = in_time(made, FINER)
        whole = made.values.view(6, 3, 2, 8).transpose(1, 2).flatten(2)
        torch.testing.assert_close(cut.values.view(6, 6, 2, 4).transpose(1, 2).flatten(2), whole)
        torch.testing.assert_close(cut.coords[0, :, 0], torch.tensor([-0.025, 0.025, 0.075, 0.125, 0.175, 0.225]))
        torch.testing.assert_close(cut.coords[..., 1], made.coords[..., 1].repeat_interleave(2, dim=1))

    def test_other_patches_do_not_fit(self):
        for shape in ((3, 4), (2, 16), (2, 3)):
            with pytest.raises(
                InputError, match=r"the teacher's patches do not fit, got .*expected \(2,\) and a divisor"
            ):
                composed(run="r").prepare(corpus(encoder(SequenceSpec(axes=SPEC.axes, patch_shape=shape))))


def test_the_loss_says_what_target_it_wants():
    with pytest.raises(InputError, match="target of the name heard"):
        objective({"name": "mae", "terms": {"reconstruction": {"loss": "heard"}}})(batch(), 0, 0)
