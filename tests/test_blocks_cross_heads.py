"""Query heads that look at the encoding only: each answer for itself, equal to attention written out."""

from __future__ import annotations

import math

import pytest
import torch
from blocks_kit import SPEC, batch, encoder, insert_invalid, objective, run
from omnipatch.core.blocks.cross_heads import CrossBlock
from omnipatch.core.blocks.heads import Query
from omnipatch.core.blocks.registry import build
from omnipatch.core.errors import InputError
from torch import nn

NAMES = ["cross_predictor", "cross_decoder"]


def head(name, **options):
    torch.manual_seed(3)
    return build("head", {"name": name, **options}, SPEC, 32)


def query(coords, valid=None):
    valid = torch.ones(coords.shape[:2], dtype=torch.bool) if valid is None else valid
    return Query(coords, torch.zeros(coords.shape[:2], dtype=torch.long), valid)


def test_answers_have_the_width_of_the_encoder_or_of_a_patch():
    encoded, places = encoder()(batch(2, 5)), torch.rand(2, 3, 2)
    assert head("cross_predictor")(encoded, query(places)).shape == (2, 3, 32)
    assert head("cross_decoder")(encoded, query(places)).shape == (2, 3, SPEC.patch_size)
    assert head("cross_decoder", out=7)(encoded, query(places)).shape == (2, 3, 7)


@pytest.mark.parametrize("positions", ["fourier", "rotary"])
@pytest.mark.parametrize("name", NAMES)
def test_an_answer_depends_on_its_place_and_not_on_what_else_is_asked(name, positions):
    encoded, block = encoder()(batch(2, 5)), head(name, positions=positions)
    places = torch.tensor([[[0.3, 0.0], [0.9, 0.0], [0.5, 1.0]]] * 2)
    answer = block(encoded, query(places))
    assert (answer[:, 0] - answer[:, 1]).abs().max() > 1e-3
    torch.testing.assert_close(block(encoded, query(places[:, 1:2])), answer[:, 1:2], atol=1e-5, rtol=1e-4)
    nan = torch.full((2, 1, 2), torch.nan)
    padded = block(encoded, query(torch.cat([nan, places], 1), torch.tensor([[False, True, True, True]] * 2)))
    torch.testing.assert_close(padded[:, 1:], answer, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_hidden_tokens_of_the_encoding_are_not_looked_at(name):
    made, net, block = batch(2, 5), encoder(), head(name)
    wide, _ = insert_invalid(made, [0, 3])
    places = torch.rand(2, 3, 2)
    answers = [block(net(each), query(places)) for each in (made, wide)]
    torch.testing.assert_close(answers[0], answers[1], atol=1e-5, rtol=1e-4)


def test_only_places_relative_to_the_visible_count_with_rotary_positions():
    made, net, block = batch(2, 5), encoder(positions="rotary"), head("cross_predictor", positions="rotary")
    places, shift = torch.rand(2, 3, 2), torch.tensor([0.8, 2.0])
    moved = made.replace(coords=made.coords + shift)
    a, b = block(net(made), query(places)), block(net(moved), query(places + shift))
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_a_block_is_attention_written_out():
    torch.manual_seed(0)
    block, x, memory = CrossBlock(8, 2), torch.randn(1, 3, 8), torch.randn(1, 5, 8)
    norm = lambda layer, z: nn.functional.layer_norm(z, (8,), layer.weight, layer.bias)  # noqa: E731
    q = block.ask(norm(block.norm1, x))[0]
    k, v = block.offer(norm(block.memory_norm, memory))[0].chunk(2, dim=-1)
    gathered = torch.zeros(3, 8)
    for h in range(2):
        own = slice(4 * h, 4 * h + 4)
        for i in range(3):
            scores = [math.exp((q[i, own] @ k[j, own]).item() / 2.0) for j in range(5)]
            gathered[i, own] = sum(s / sum(scores) * v[j, own] for j, s in enumerate(scores))
    after = x + block.out(gathered)
    slow = after + block.mlp(norm(block.norm2, after))
    torch.testing.assert_close(block(x, memory), slow, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shipped", ["mae", "mamp"])
def test_an_objective_learns_with_it(shipped):
    built = objective({"name": shipped, "heads": {"decoder": {"name": "cross_decoder"}}})
    losses = run(built, batch(8, 12), 25, lr=3e-3)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(("options", "words"), [({"depth": 0}, "at least 1"), ({"width": 10, "heads": 3}, "multiple")])
def test_bad_options_are_one_sentence(options, words):
    with pytest.raises(InputError, match=words):
        head("cross_decoder", **options)
