"""Statistics of places as targets: parity with loops, what they must not depend on, and that they can be learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.batching import pad
from omnipatch.core.blocks.encoder import Encoded
from omnipatch.core.blocks.heads import Query
from omnipatch.core.blocks.summary import STATISTICS, Summary, SummaryHead, summary_size, track_statistics
from omnipatch.core.blocks.targets import Request
from omnipatch.core.blocks.tracks import track_codes
from omnipatch.core.blocks.views import IndexSet, View
from omnipatch.core.errors import InputError
from omnipatch.core.objective import Objective
from omnipatch.core.sequence import PatchSequence, SequenceSpec
from omnipatch.core.train.model_io import fresh_encoder

SPEC = SequenceSpec(axes=("time_s", "x"), patch_shape=(2, 3), axis_scales=(0.5, 1.0))
STEPS, PLACES = 4, 3


def make(seed: int, rows: int = 5, missing: float = 0.1) -> PatchSequence:
    """Random signals of three places with lost numbers and lost patches, patches in any order."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(rows, STEPS, PLACES, 6, generator=generator).flatten(1, 2)
    values[torch.rand(values.shape, generator=generator) < missing] = torch.nan
    time = torch.arange(STEPS).repeat_interleave(PLACES) * 0.5 + 0.25
    place = torch.arange(PLACES).repeat(STEPS).float()
    coords = torch.stack([time, place], dim=-1).expand(rows, -1, -1)
    valid = torch.rand(rows, STEPS * PLACES, generator=generator) > missing
    order = torch.randperm(STEPS * PLACES, generator=generator)
    return PatchSequence.build(SPEC, coords[:, order], values=values[:, order], valid=valid[:, order])


def by_loops(batch: PatchSequence, row: int, place: float) -> np.ndarray:
    """[sensor, statistic] of one place, from its samples on a grid."""
    grid = np.full((2, STEPS * 3), np.nan)
    for patch in range(batch.n_patches):
        if batch.valid[row, patch] and batch.coords[row, patch, 1] == place:
            at = 3 * round(float(batch.coords[row, patch, 0] - 0.25) / 0.5)
            grid[:, at : at + 3] = batch.values[row, patch].reshape(2, 3).numpy()
    found = np.full((2, len(STATISTICS)), np.nan)
    for sensor, x in enumerate(grid):
        step, known = np.abs(np.diff(x)), x[np.isfinite(x)]
        step = step[np.isfinite(step)]
        if len(known):
            found[sensor, :4] = known.min(), known.max(), known.mean(), known.std()
        if len(step):
            found[sensor, 4:] = step.mean(), step.max()
    return found


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), missing=st.sampled_from((0.0, 0.2, 0.7)))
def test_statistics_are_those_of_loops(seed, missing):
    batch = make(seed, rows=2, missing=missing)
    statistics, where, there = track_statistics(batch)
    track = track_codes(batch)
    for row in range(2):
        for place in range(PLACES):
            own = batch.valid[row] & (batch.coords[row, :, 1] == place)
            if not own.any():
                continue
            number = int(track[row][own][0])
            assert there[row, number]
            assert float(where[row, number, 0]) == place
            expected = by_loops(batch, row, place).ravel()
            np.testing.assert_allclose(statistics[row, number].numpy(), expected, rtol=1e-4, atol=1e-5)
        assert int(there[row].sum()) == len(batch.coords[row, batch.valid[row], 1].unique())


def prepared(batch: PatchSequence) -> Summary:
    target = Summary(SPEC, None, None)
    target.prepare(lambda: iter([batch.rows([0, 1]), batch.rows([2, 3, 4])]))
    return target


def ask(target: Summary, batch: PatchSequence):
    index = IndexSet(torch.arange(batch.n_patches).expand(len(batch), -1), batch.valid)
    return target(Request(View(batch, None, None, None), lambda *_: None, None, index))


def test_each_place_is_told_in_its_own_scales():
    batch = make(1, rows=5, missing=0.0)
    batch = batch.replace(values=batch.values * (1 + 50 * batch.coords[..., 1:]))  # places of very different size
    told = ask(prepared(batch), batch).values
    for place in range(PLACES):
        own = told[batch.coords[..., 1] == place].view(5, STEPS, -1)
        assert (own == own[:, :1]).all()  # patches of a place have the same answer
        torch.testing.assert_close(own[:, 0].mean(dim=0), torch.zeros(summary_size(SPEC)), atol=1e-4, rtol=0)
        torch.testing.assert_close(own[:, 0].std(dim=0, unbiased=False), torch.ones(summary_size(SPEC)), atol=1e-3,
                                   rtol=0)  # fmt: skip


def test_padding_changes_nothing_and_what_was_never_seen_is_missing():
    batch = make(2)
    values = batch.values.clone()
    values[0, :, :3] = torch.nan  # the first sensor of the first window
    batch = batch.replace(values=values)
    target = prepared(batch)
    found, padded = ask(target, batch), ask(target, pad(batch, batch.n_patches + 3))
    torch.testing.assert_close(padded.values[:, : batch.n_patches][batch.valid], found.values[batch.valid],
                               equal_nan=True)  # fmt: skip
    assert not padded.valid[:, batch.n_patches :].any()
    assert found.values[0][batch.valid[0]][:, : len(STATISTICS)].isnan().all()
    assert found.values[1:][found.valid[1:]].isfinite().float().mean() > 0.9


def test_a_new_place_is_told_in_the_scales_of_the_nearest_one():
    batch = make(3, missing=0.0)
    target = prepared(batch)
    last = batch.coords[..., 1] == PLACES - 1
    moved = batch.coords.clone()
    moved[..., 1][last] += 0.4
    found = ask(target, batch.replace(coords=moved)).values
    torch.testing.assert_close(found, ask(target, batch).values)


def test_an_encoder_learns_to_tell_what_it_sees_in_part():
    """The range of a place is told from half of its patches far better than by always saying the mean."""
    options = {
        "name": "mae",
        "views": {"context": {"mask": {"name": "random", "ratio": 0.5}}},
        "heads": {"tell": {"name": "summary"}},
        "targets": {"summary": {"name": "summary"}},
        "terms": {
            "reconstruction": {"weight": 0.0},
            "summary": {"site": "visible", "source": "context", "head": "tell", "target": "summary", "loss": "l2"},
        },
    }
    torch.manual_seed(0)
    batch = make(4, rows=64, missing=0.0)
    size = torch.randn(64, 1, 1).exp()  # how much a window moves is what its parts have in common
    batch = batch.replace(values=batch.values * size, window=torch.arange(64))
    encoder = fresh_encoder({"name": "transformer", "width": 32, "depth": 1, "heads": 2}, SPEC, 0)
    objective = Objective.from_config(options, SPEC, encoder)
    objective.prepare(lambda: iter([batch]))
    optimizer = torch.optim.Adam(objective.parameters(), 3e-3)
    losses = []
    for step in range(60):
        outcome = objective(batch, 0, step, False)
        optimizer.zero_grad()
        outcome.loss.backward()
        optimizer.step()
        losses.append(float(outcome.terms["summary"]))
    assert losses[0] > 0.7
    assert np.mean(losses[-5:]) < 0.4 * losses[0]


def test_head_reads_mean_and_spread_of_what_is_seen_at_its_place():
    batch = make(5, rows=2, missing=0.2)
    head = SummaryHead(SPEC, 4)
    tokens = torch.randn(*batch.valid.shape, 4)
    encoded = Encoded(tokens, batch.valid, batch.coords, None, tokens[:, 0], (), tokens)
    query = Query(batch.coords, batch.kind, batch.valid)
    found = head(encoded, query)
    row = 1
    for patch in batch.valid[row].nonzero().ravel():
        own = tokens[row][batch.valid[row] & (batch.coords[row, :, 1] == batch.coords[row, patch, 1])]
        read = torch.cat([own.mean(0), own.var(0, unbiased=False).clamp(min=1e-6).sqrt()])
        torch.testing.assert_close(found[row, patch], head.tell(head.norm(read)), rtol=1e-4, atol=1e-4)
    nowhere = Query(batch.coords + 9.0, batch.kind, batch.valid)
    assert head(encoded, nowhere).isfinite().all()


def test_head_answers_with_as_many_numbers_as_the_target_asks_for():
    assert SummaryHead(SPEC, 8).out == summary_size(SPEC) == ask(prepared(make(0)), make(0)).values.shape[-1]


@pytest.mark.parametrize(
    "spec",
    [
        SequenceSpec(axes=("time_s",), patch_shape=(1,), vocabulary=(7,)),
        SequenceSpec(axes=("time_s",), patch_shape=(2, 3), kinds=("a", "b"), kind_shapes=((2, 3), (4,))),
    ],
)
def test_ids_and_kinds_of_different_shapes_have_no_statistics(spec):
    with pytest.raises(InputError, match="statistics"):
        Summary(spec, None, None)
