"""The order of shuffled segments: what is moved, the likelihood against a slow reference, and that it teaches."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from blocks_kit import batch, insert_invalid, objective, run
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.blocks.order import PlackettLuce, order_nll, segment_means
from omnipatch.core.blocks.targets import Target
from omnipatch.core.blocks.views import ViewSampler
from omnipatch.core.errors import InputError
from omnipatch.core.rng import RowRandom
from omnipatch.core.sequence import PatchSequence, SequenceSpec

quick = settings(max_examples=30, deadline=None)
scores = st.lists(st.floats(-8, 8), min_size=2, max_size=5)
TERM = {
    "views": {"shuffled": {"shuffle": {"name": "segments", "count": 4}}},
    "heads": {"score": {"name": "projector", "out": 1, "norm": "layer"}},
    "targets": {"order": {"name": "order"}},
    "terms": {
        "order": {"site": "visible", "source": "shuffled", "head": "score", "target": "order", "loss": "plackett_luce"}
    },
}


def shuffled(made, count=4, step=0, **options):
    return ViewSampler("s", shuffle={"name": "segments", "count": count}, **options)(
        made, RowRandom(0, step, made.window), None
    )


def nll(values):
    s = torch.tensor([values], dtype=torch.float64)
    return float(order_nll(s, torch.ones_like(s, dtype=torch.bool)))


# ---- the view -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "count", "width", "segments"), [(12, 4, 3, 4), (13, 4, 3, 4), (11, 6, 2, 5), (3, 6, 1, 3)]
)
def test_whole_segments_change_places_and_what_is_left_over_goes(steps, count, width, segments):
    made = batch(40, steps)
    view = shuffled(made, count)
    kept = width * segments
    assert view.batch.lengths.tolist() == [kept] * 40
    assert torch.equal(view.batch.values, made.values)
    time = (view.batch.coords[:, :kept, 0] / 0.1).round().long()
    assert (time.sort(dim=1).values == torch.arange(kept)).all()  # the old places, each once
    truly = torch.arange(kept) // width
    assert (view.order[:, :kept] == truly).all()
    assert (view.order[:, kept:] == -1).all()
    inside = time.view(40, segments, width)
    assert (inside == inside[:, :, :1] + torch.arange(width)).all()  # time runs on inside a segment
    assert (inside[:, :, 0] % width == 0).all()


def test_every_order_is_drawn_equally_often():
    made = batch(6000, 6)
    now = (shuffled(made, 3).batch.coords[:, ::2, 0] / 0.2).round().long()
    _, counts = now.unique(dim=0, return_counts=True)
    assert len(counts) == 6
    assert (counts.double() / 6000 - 1 / 6).abs().max() < 0.02


@quick
@given(at=st.lists(st.integers(0, 9), min_size=1, max_size=4), step=st.integers(0, 5))
def test_the_shuffle_depends_on_the_window_only(at, step):
    made = batch(4, 9)
    wide, now = insert_invalid(made, at)
    a, b = shuffled(made, step=step), shuffled(wide, step=step)
    assert torch.equal(b.order[:, now], a.order)
    assert torch.equal(b.batch.valid[:, now], a.batch.valid)
    torch.testing.assert_close(b.batch.coords[:, now][a.batch.valid], a.batch.coords[a.batch.valid])


def test_a_place_that_was_lost_in_a_segment_moves_with_it():
    made = batch(30, 8)
    valid = made.valid.clone()
    valid[:, 2] = False
    view = shuffled(made.replace(valid=valid), 4)
    shown = (view.batch.coords[..., 0] / 0.1).round().long()
    for row in range(30):
        assert sorted(shown[row, view.batch.valid[row]].tolist()) != list(range(8))
        assert shown[row, 3] % 2 == 1  # it still stands second in its segment


def test_edges_and_events_do_not_tell_the_order():
    made = batch(1, 6)
    chain = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]])
    view = shuffled(made.replace(edges=torch.cat([chain, chain.flip(0)], dim=1)), 3)
    assert sorted(map(tuple, view.batch.edges.T.tolist())) == [(0, 1), (1, 0), (2, 3), (3, 2), (4, 5), (5, 4)]
    assert view.batch.events is None


def test_a_shuffled_view_can_be_masked_too():
    made = batch(4, 12)
    view = shuffled(made, 4, mask={"name": "random", "ratio": 0.5, "repeats": 2})
    assert view.order.shape == (4, 12)
    built = objective({**TERM, "views": {"shuffled": {**TERM["views"]["shuffled"], "mask": {"name": "random"}}}})
    assert torch.isfinite(built(made, 0, 0).loss)


# ---- the likelihood -----------------------------------------------------------------------------------------------


@quick
@given(scores)
def test_the_likelihood_is_the_product_of_choices(values):
    left, slow = [math.exp(v) for v in values], 0.0
    for i in range(len(values)):
        slow -= math.log(left[i] / sum(left[i:]))
    assert nll(values) == pytest.approx(slow, rel=1e-9, abs=1e-9)


@quick
@given(scores)
def test_all_orders_together_are_certain(values):
    assert sum(math.exp(-nll(order)) for order in itertools.permutations(values)) == pytest.approx(1.0, rel=1e-6)


@quick
@given(scores, st.floats(-50, 50))
def test_only_differences_between_scores_count(values, shift):
    assert nll([v + shift for v in values]) == pytest.approx(nll(values), rel=1e-6, abs=1e-6)


@quick
@given(scores)
def test_the_likeliest_order_is_that_of_falling_scores(values):
    best = nll(sorted(values, reverse=True))
    assert best <= nll(values) + 1e-9
    assert best <= nll(sorted(values)) + 1e-9


@quick
@given(scores, st.integers(0, 3))
def test_absent_segments_change_nothing(values, at):
    s = torch.tensor([values], dtype=torch.float64)
    at = min(at, len(values))
    padded = torch.cat([s[:, :at], torch.tensor([[3.0]], dtype=torch.float64), s[:, at:]], dim=1)
    there = torch.ones_like(padded, dtype=torch.bool)
    there[0, at] = False
    assert float(order_nll(padded, there)) == pytest.approx(nll(values), rel=1e-9)


def loss(tokens, place, valid=None):
    place = torch.tensor(place, dtype=torch.float32).unsqueeze(-1)
    valid = place.squeeze(-1) >= 0 if valid is None else torch.tensor(valid)
    prediction = torch.tensor(tokens).unsqueeze(-1)
    return PlackettLuce()(prediction, Target(place, valid), torch.full((len(place),), -1))


def test_a_segment_scores_the_mean_of_its_tokens_and_chance_is_one():
    value, weight = loss([[1.0, 3.0, 0.5], [2.0, 2.0, 2.0]], [[0, 0, 1], [2, 1, 0]])
    assert weight.tolist() == [1.0, 1.0]
    assert float(value[0]) == pytest.approx(nll([2.0, 0.5]) / math.log(2))
    assert float(value[1]) == pytest.approx(1.0)


def test_tokens_in_any_order_and_padding_give_the_same_value():
    plain, _ = loss([[1.0, 3.0, 0.5, -1.0]], [[0, 0, 1, 2]])
    turned, _ = loss([[0.5, -1.0, 9.0, 3.0, 1.0]], [[1, 2, -1, 0, 0]])
    torch.testing.assert_close(turned, plain)


def test_rows_of_one_segment_do_not_count_and_gradients_are_finite():
    tokens = torch.tensor([[1.0, 2.0], [0.3, 0.1], [5.0, 6.0]], requires_grad=True)
    place = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).unsqueeze(-1)
    valid = torch.tensor([[True, True], [True, True], [False, False]])
    value, weight = PlackettLuce()(tokens.unsqueeze(-1), Target(place, valid), torch.zeros(3))
    assert weight.tolist() == [0.0, 1.0, 0.0]
    (value * weight).sum().backward()
    assert torch.isfinite(tokens.grad).all()
    assert (tokens.grad[1] != 0).all()
    assert (tokens.grad[[0, 2]] == 0).all()


def test_means_of_segments_are_the_loop():
    s, place = torch.randn(3, 7), torch.randint(-1, 3, (3, 7))
    means, there = segment_means(s, place)
    for row in range(3):
        for n in range(means.shape[1]):
            own = s[row, place[row] == n]
            assert bool(there[row, n]) == bool(len(own))
            if len(own):
                torch.testing.assert_close(means[row, n], own.mean())


# ---- at work ------------------------------------------------------------------------------------------------------


def ramps(rows, seed):
    """Windows whose level climbs from end to end, under noise: the order can be told, and only from content."""
    spec = SequenceSpec(axes=("time_s",), patch_shape=(1, 4), axis_scales=(0.1,), sfreq_hz=40.0)
    generator = torch.Generator().manual_seed(seed)
    level = torch.linspace(-1, 1, 12).view(1, 12, 1) + torch.randn(rows, 1, 1, generator=generator)
    values = level + 0.1 * torch.randn(rows, 12, 4, generator=generator)
    coords = (torch.arange(12) * 0.1).view(1, 12, 1).expand(rows, -1, -1)
    return PatchSequence.build(spec, coords, values=values, window=torch.arange(rows) + 1000 * seed)


def test_it_learns_the_order_of_a_climb_and_tells_it_in_new_windows():
    made, fresh = ramps(64, 1), ramps(64, 2)
    built = objective(TERM, made.spec)
    start = float(built(fresh, 0, 0).loss.detach())
    run(built, made, 60, lr=5e-3)
    assert start > 0.8
    assert float(built(fresh, 0, 0).loss.detach()) < 0.4


def test_it_can_be_added_to_any_objective():
    built = objective({"name": "jepa", **TERM})
    outcome = built(batch(6, 12), 0, 0)
    assert {"latent", "order", "guard"} <= outcome.terms.keys()
    assert outcome.terms["order"].isfinite()


def test_bad_use_is_one_sentence():
    with pytest.raises(InputError, match="at least 2 segments"):
        objective({**TERM, "views": {"shuffled": {"shuffle": {"name": "segments", "count": 1}}}})
    with pytest.raises(InputError, match="did you mean 'count'"):
        objective({**TERM, "views": {"shuffled": {"shuffle": {"name": "segments", "cuont": 3}}}})
    with pytest.raises(InputError, match="a view that shuffles"):
        objective({**TERM, "views": {"shuffled": {}}})(batch(), 0, 0)
    with pytest.raises(InputError, match="end the head with out: 1"):
        objective({**TERM, "heads": {"score": {"name": "projector", "out": 2}}})(batch(), 0, 0)
