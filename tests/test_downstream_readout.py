"""Readout: interpolation at event places, means over windows, and what must not matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.blocks.encoder import Encoded
from omnipatch.core.downstream.readout import Readout, interpolation_weights, last_layers, place_weights
from omnipatch.core.modality import Task

EVENT, WINDOW = Readout((-0.2, 0.0, 0.3)), Readout((), spread=True)
PLACES = Readout((), places=((0.0,), (1.0,)), scales=(1.0,))


def _batch(seed: int, patches: int = 14, leads: int = 2, rows: int = 3, width: int = 4, events: int = 5):
    g = torch.Generator().manual_seed(seed)
    time = torch.sort(torch.rand(rows, patches, generator=g), dim=1).values.repeat(1, leads)
    coords = torch.stack([time, torch.arange(leads).repeat_interleave(patches).expand(rows, -1)], dim=-1)
    tokens = torch.randn(rows, patches * leads, width, generator=g)
    valid = torch.rand(rows, patches * leads, generator=g) < 0.8
    valid[:, 0] = True
    at = torch.rand(rows, events, generator=g) * 1.2 - 0.1
    return tokens, valid, coords, at


def test_one_lead_is_linear_interpolation():
    tokens, _, coords, at = _batch(0, leads=1)
    valid = torch.ones(tokens.shape[:2], dtype=torch.bool)
    read = Readout((0.0,))(tokens, valid, coords, at)
    for row in range(len(tokens)):
        for column in range(tokens.shape[-1]):
            expected = np.interp(at[row], coords[row, :, 0], tokens[row, :, column])  # also clamps at both ends
            np.testing.assert_allclose(read[row, :, column], expected, rtol=1e-4, atol=1e-5)


def test_a_token_at_the_very_place_is_read_alone():
    coords = torch.tensor([[[0.1], [0.2], [0.3]]])
    tokens = torch.tensor([[[1.0], [5.0], [9.0]]])
    assert float(Readout((0.0,))(tokens, torch.ones(1, 3, dtype=torch.bool), coords, torch.tensor([[0.2]]))) == 5.0


def test_leads_at_one_place_are_averaged_over_the_present_ones():
    coords = torch.tensor([[[0.1, 0.0], [0.1, 1.0], [0.1, 2.0]]])
    tokens = torch.tensor([[[1.0], [3.0], [100.0]]])
    valid = torch.tensor([[True, True, False]])
    assert float(Readout((0.0,))(tokens, valid, coords, torch.tensor([[0.1]]))) == 2.0


def test_weights_sum_to_one_and_to_nothing_in_an_empty_row():
    _, valid, coords, at = _batch(1)
    valid[1] = False
    total = interpolation_weights(valid, coords[..., 0], at).sum(dim=-1)
    torch.testing.assert_close(total[[0, 2]], torch.ones(2, at.shape[1]))
    assert (total[1] == 0).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), extra=st.integers(1, 6), read=st.sampled_from((WINDOW, PLACES, EVENT)))
def test_padding_and_order_do_not_matter(seed, extra, read):
    tokens, valid, coords, at = _batch(seed)
    reference = read(tokens, valid, coords, at)
    order = torch.randperm(tokens.shape[1], generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(read(tokens[:, order], valid[:, order], coords[:, order], at), reference)
    rows, _, width = tokens.shape
    padded = read(
        torch.cat([tokens, torch.full((rows, extra, width), float("nan"))], dim=1),
        torch.cat([valid, torch.zeros(rows, extra, dtype=torch.bool)], dim=1),
        torch.cat([coords, torch.zeros(rows, extra, 2)], dim=1),
        at,
    )
    torch.testing.assert_close(padded, reference)


def test_a_window_is_mean_and_spread_of_its_valid_tokens():
    tokens, valid, coords, at = _batch(3)
    read = Readout((), spread=True)(tokens, valid, coords, at)
    kept = tokens[1][valid[1]]
    torch.testing.assert_close(read[1, 0], torch.cat([kept.mean(0), kept.std(0, unbiased=False)]))
    assert read.shape == (3, at.shape[1], 2 * tokens.shape[-1])


def test_each_place_is_the_mean_of_its_own_tokens():
    tokens, valid, coords, at = _batch(5)
    read = PLACES(tokens, valid, coords, at)
    for row in range(len(tokens)):
        means = [tokens[row][valid[row] & (coords[row, :, 1] == lead)].mean(0) for lead in (0, 1)]
        torch.testing.assert_close(read[row, 0], torch.cat(means))
    assert read.shape == (3, at.shape[1], 2 * tokens.shape[-1])


def test_each_place_may_tell_its_spread_too():
    tokens, valid, coords, at = _batch(5)
    read = replace(PLACES, spread=True)(tokens, valid, coords, at)
    for row in range(len(tokens)):
        own = [tokens[row][valid[row] & (coords[row, :, 1] == lead)] for lead in (0, 1)]
        told = [x.mean(0) for x in own] + [x.std(0, unbiased=False) for x in own]
        torch.testing.assert_close(read[row, 0], torch.cat(told), rtol=1e-4, atol=1e-4)
    assert read.shape[-1] == replace(PLACES, spread=True).size(tokens.shape[-1])


def test_a_place_without_a_token_reads_the_nearest_one():
    coords = torch.tensor([[[0.1, 0.0], [0.1, 2.0], [0.1, 5.0]]])
    tokens = torch.tensor([[[1.0], [3.0], [9.0]]])
    valid = torch.tensor([[True, True, False]])
    read = Readout((), places=((0.1,), (4.0,)), scales=(1.0,))(tokens, valid, coords, torch.zeros(1, 1))
    torch.testing.assert_close(read[0, 0], torch.tensor([1.0, 3.0]))


def test_weights_of_places_sum_to_one_and_a_row_without_tokens_is_finite():
    _, valid, coords, _ = _batch(2)
    valid[1] = False
    weights = place_weights(valid, coords[..., 1:], torch.tensor([[0.0], [0.4], [7.0]]), torch.tensor([1.0]))
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3, 3))
    assert (weights[0][:, ~valid[0]] == 0).all()
    assert PLACES(torch.randn(3, 28, 4), valid, coords, torch.zeros(3, 1)).isfinite().all()


@pytest.mark.parametrize(
    ("unit", "pool", "size"),
    [
        ("event", "mean", 24),
        ("event", "place", 24),
        ("window", "mean", 8),
        ("record", "mean_std", 16),
        ("window", "place", 16),
        ("window", "place_std", 32),
        ("event", "place_std", 24),
    ],
)
def test_size_of_an_item_vector(unit, pool, size):
    task = Task("t", unit, ("a", "b"), offsets=(-0.1, 0.0, 0.1))
    assert Readout.of(task, pool, ((0.0,), (1.0,)), (1.0,)).size(8) == size


def test_last_layers_are_normalised_before_they_are_averaged():
    tokens, valid, coords, _ = _batch(4)
    layers = (tokens * 1000.0, tokens + 7.0)  # a layer norm undoes both
    mean = last_layers(Encoded(tokens, valid, coords, None, tokens[:, 0], layers, tokens))
    torch.testing.assert_close(mean, torch.nn.functional.layer_norm(tokens, (4,)), rtol=1e-3, atol=1e-3)
    assert last_layers(Encoded(tokens, valid, coords, None, tokens[:, 0], layers[:1], tokens)) is tokens
