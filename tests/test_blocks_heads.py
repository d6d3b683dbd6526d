"""Heads: queries at unseen places, point heads that do not see padding, and DirectPred's weight."""

from __future__ import annotations

import pytest
import torch
from blocks_kit import SPEC, batch, encoder
from omnipatch.core.blocks.heads import Query
from omnipatch.core.blocks.registry import build
from omnipatch.core.errors import InputError


def head(name, width=32, **options):
    torch.manual_seed(3)
    return build("head", {"name": name, **options}, SPEC, width)


def query(coords, valid=None):
    valid = torch.ones(coords.shape[:2], dtype=torch.bool) if valid is None else valid
    return Query(coords, torch.zeros(coords.shape[:2], dtype=torch.long), valid)


def test_query_heads_answer_in_their_width():
    encoded, places = encoder()(batch(2, 5)), torch.rand(2, 3, 2)
    assert head("predictor")(encoded, query(places)).shape == (2, 3, 32)
    assert head("decoder")(encoded, query(places)).shape == (2, 3, SPEC.patch_size)
    assert head("decoder", out=7)(encoded, query(places)).shape == (2, 3, 7)


@pytest.mark.parametrize("name", ["predictor", "decoder"])
def test_answers_follow_the_place_and_ignore_padding(name):
    made = batch(2, 5)
    encoded, block = encoder()(made), head(name)
    places = torch.tensor([[[0.3, 0.0], [0.9, 0.0]]] * 2)
    answer = block(encoded, query(places))
    assert (answer[:, 0] - answer[:, 1]).abs().max() > 1e-3
    torch.testing.assert_close(block(encoded, query(places.flip(1))), answer.flip(1), atol=1e-5, rtol=1e-4)
    nan = torch.full((2, 1, 2), float("nan"))
    valid = torch.tensor([[True, False, True]] * 2)
    padded = block(encoded, query(torch.cat([places[:, :1], nan, places[:, 1:]], 1), valid))
    torch.testing.assert_close(padded[:, [0, 2]], answer, atol=1e-5, rtol=1e-4)


def test_a_query_head_has_a_block_at_least():
    with pytest.raises(InputError, match="depth must be at least 1"):
        head("predictor", depth=0)


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_a_projector_does_not_see_invalid_vectors(norm):
    x, valid = torch.randn(8, 32), torch.arange(8) < 6
    a, b = head("projector", norm=norm, out=4), head("projector", norm=norm, out=4)
    torch.testing.assert_close(a(x, valid)[:6], b(x[:6]), atol=1e-5, rtol=1e-4)
    for mine, other in zip(a.buffers(), b.buffers(), strict=True):
        torch.testing.assert_close(mine, other)


def test_projector_layers_count_linear_maps():
    block = head("projector", layers=3, hidden=16, out=5)
    assert sum(isinstance(m, torch.nn.Linear) for m in block.modules()) == 3
    assert block.out == 5
    assert head("projector").out == 32


def test_prototypes_are_cosines():
    block, x = head("prototypes", count=6), torch.randn(3, 32)
    slow = torch.stack([torch.nn.functional.cosine_similarity(x, w[None]) for w in block.weight], 1)
    torch.testing.assert_close(block(x), slow)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(block(x), block(x.float()))
        assert block(x).dtype == torch.float32


def test_direct_predictor_is_set_from_the_spectrum_of_its_input():
    block = head("direct", width=5, rho=0.3, eps=0.1, every=1)
    torch.testing.assert_close(block.weight, torch.eye(5))
    f, g, rest = torch.randn(20, 5), torch.randn(20, 5), torch.full((2, 5), float("nan"))
    block(f)
    block.after_step(0, 10)
    correlation = sum(torch.outer(x, x) for x in f) / 20
    torch.testing.assert_close(block.correlation, correlation)
    # both views of a step count, padding does not
    block(torch.cat([f, rest]), torch.arange(22) < 20)
    block(g)
    block.after_step(1, 10)
    both = (correlation + sum(torch.outer(x, x) for x in g) / 20) / 2
    correlation = 0.3 * correlation + 0.7 * both
    torch.testing.assert_close(block.correlation, correlation)
    s, u = torch.linalg.eigh(correlation.double())
    expected = u @ torch.diag(s.clamp(min=0).sqrt() + 0.1 * s.max()) @ u.T
    torch.testing.assert_close(block.weight.double(), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(block(g), g @ block.weight.T)


def test_direct_predictor_updates_every_few_steps_and_not_in_evaluation():
    block = head("direct", width=4, every=5)
    weights = []
    for step in range(6):
        block(torch.randn(8, 4))
        block.after_step(step, 10)
        weights.append(block.weight.clone())
    assert torch.equal(weights[0], weights[4])
    assert not torch.equal(weights[4], weights[5])
    before = block.correlation.clone()
    block.eval()(torch.randn(8, 4))
    block.after_step(6, 10)
    assert torch.equal(block.correlation, before)
    assert not list(block.parameters())


def test_bad_options_are_one_sentence():
    with pytest.raises(InputError, match="norm must be one of"):
        head("projector", norm="bach")
    with pytest.raises(InputError, match="did you mean 'decoder'"):
        head("decodr")
