"""Noise on embeddings: its length, its signs, and that two views of it cost one encoding."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ids_kit import SPEC, batch_of, encoder, target_of, told
from omnipatch.core.blocks.contrastive import NTXent
from omnipatch.core.blocks.noise import IdNoiseContrast, signed_noise
from omnipatch.core.blocks.registry import build
from omnipatch.core.blocks.targets import Target


@settings(max_examples=25, deadline=None)
@given(eps=st.floats(0.01, 2.0), scale=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_noise_has_its_length_and_the_signs_of_the_vector(eps, scale, seed):
    torch.manual_seed(seed)
    x = scale * torch.randn(7, 5)
    noise = signed_noise(x, eps) - x
    size = torch.linalg.vector_norm(noise, dim=1) / torch.linalg.vector_norm(x, dim=1)
    torch.testing.assert_close(size, torch.full_like(size, eps), rtol=1e-3, atol=1e-5)
    assert (noise * x >= -1e-6 * scale**2).all()


def test_a_vector_of_zeros_stays():
    x = torch.zeros(2, 3, requires_grad=True)
    made = signed_noise(x, 0.5)
    made.sum().backward()
    assert (made == 0).all()
    assert torch.isfinite(x.grad).all()


def test_there_is_none_in_evaluation():
    head, x = build("head", {"name": "noise"}, SPEC, 8), torch.randn(4, 8)
    assert not torch.equal(head(x), x)
    assert not torch.equal(head(x), head(x))
    assert torch.equal(head.eval()(x), x)


def test_ids_are_contrasted_like_rows():
    model, target = encoder(), target_of([3, 4, 9], [4, -1, -1])
    torch.manual_seed(1)
    got, _ = IdNoiseContrast(model, eps=0.1, temperature=0.3)(torch.zeros(2, 8), target, torch.zeros(2))
    torch.manual_seed(1)
    z = model.id_table()[[3, 4, 9]]
    other = Target(signed_noise(z, 0.1), torch.ones(3, dtype=torch.bool))
    expected, _ = NTXent(temperature=0.3)(signed_noise(z, 0.1), other, torch.zeros(2))
    torch.testing.assert_close(got, expected)


def test_two_noisy_views_cost_one_encoding(monkeypatch):
    objective, batch = told({"name": "simgcl-ids"}), batch_of([1, 2, 3, 4], [5, 6, 7], [8, 9])
    passes, encode = [], objective.encoder.encode
    monkeypatch.setattr(objective.encoder, "encode", lambda *a: passes.append(1) or encode(*a))
    outcome = objective(batch, 0, 0)
    assert len(passes) == 1
    outcome.loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in objective.parameters() if p.grad is not None)
    assert float(outcome.terms["contrast"]) > 0


def test_noise_serves_signals_too():
    from blocks_kit import batch as signals
    from blocks_kit import objective

    views = {"a": {"augment": False}, "b": {"augment": False}}
    made = objective({"name": "simclr", "views": views, "heads": {"projector": {"name": "noise", "eps": 0.3}}})
    assert torch.isfinite(made(signals(), 0, 0).loss)


@pytest.mark.parametrize("make", [lambda: build("head", {"name": "noise", "eps": 0.0}, SPEC, 8),
                                  lambda: IdNoiseContrast(encoder(), eps=-1.0)])  # fmt: skip
def test_two_equal_views_are_refused(make):
    with pytest.raises(ValueError, match="eps"):
        make()
