"""Mask samplers: exact counts, no bias over positions, and draws that belong to the window alone."""

from __future__ import annotations

import time

import pytest
import torch
from blocks_kit import SPEC, batch, insert_invalid
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.blocks.registry import build
from omnipatch.core.errors import InputError
from omnipatch.core.rng import RowRandom
from omnipatch.core.sequence import PatchSequence, SequenceSpec
from scipy.stats import chisquare

SAMPLERS = {
    "random": {"name": "random"},
    "span": {"name": "span", "span": 0.3},
    "box": {"name": "box", "size": {"time_s": 0.4, "lead": 2.0}},
    "group": {"name": "group"},
    "disc": {"name": "disc", "axes": ["lead"], "radius": 1.0, "span": 0.3},
    "multiblock": {"name": "multiblock", "scale": 0.2},
    "motion": {"name": "motion"},
    "motion before": {"name": "motion", "against": "before"},
}
quick = settings(max_examples=25, deadline=None)


def grid(rows: int, times: int, leads: int = 1) -> PatchSequence:
    """A full grid of time patches and leads; groups are leads."""
    t, lead = torch.meshgrid(torch.arange(times), torch.arange(leads), indexing="ij")
    coords = torch.stack([t.flatten() * 0.1, lead.flatten().float()], -1).expand(rows, -1, 2).clone()
    group = lead.flatten().expand(rows, -1).clone()
    values = torch.zeros(rows, times * leads, SPEC.patch_size)
    return PatchSequence.build(SPEC, coords, values=values, group=group, window=torch.arange(rows))


def draw(options, made, step=0, seed=0):
    return build("mask", options)(made, RowRandom(seed, step, made.window))


def hidden(view, made) -> torch.Tensor:
    """[view row, patch] bool, for looking at a mask."""
    flags = torch.zeros(len(view.targets.index), made.n_patches, dtype=torch.long)
    return flags.scatter_add(1, view.targets.index, view.targets.valid.long()).bool()


@pytest.mark.parametrize("name", SAMPLERS)
@quick
@given(
    data=st.data(),
    ratio=st.floats(0.05, 0.95),
    repeats=st.integers(1, 3),
    disjoint=st.booleans(),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 3)),
)
def test_every_row_is_split_exactly(name, data, ratio, repeats, disjoint, shape):
    made = grid(4, *shape)
    flags = data.draw(st.lists(st.booleans(), min_size=made.valid.numel(), max_size=made.valid.numel()))
    made = made.replace(valid=torch.tensor(flags).view_as(made.valid))
    view = draw({**SAMPLERS[name], "ratio": ratio, "repeats": repeats, "disjoint": disjoint}, made)
    source = range(4) if view.rows is None else view.rows.tolist()
    for row, origin in enumerate(source):
        seen = view.visible.index[row][view.visible.valid[row]].tolist()
        goal = view.targets.index[row][view.targets.valid[row]].tolist()
        assert sorted(seen + goal) == made.valid[origin].nonzero().flatten().tolist()
        length = len(seen) + len(goal)
        wanted = min(max(1, int(ratio * length + 0.5)), max(0, length - 1))
        if repeats == 1 or not disjoint:
            assert len(goal) == wanted
        else:  # stretches of a row end at rounded multiples of the exact share
            assert abs(len(goal) - wanted) <= 1


@pytest.mark.parametrize("name", SAMPLERS)
@quick
@given(repeats=st.integers(2, 4), length=st.integers(4, 15))
def test_disjoint_masks_cover_every_patch_once(name, repeats, length):
    made = grid(3, length)
    view = draw({**SAMPLERS[name], "ratio": 1 / repeats, "repeats": repeats, "disjoint": True}, made)
    times = hidden(view, made).view(repeats, 3, length).sum(0)
    assert (times == 1).all()


def test_independent_repeats_differ():
    made = grid(8, 20)
    first, second = hidden(draw({"name": "random", "repeats": 2}, made), made).chunk(2)
    assert (first != second).any(dim=1).all()


@pytest.mark.parametrize("shape", [(16, 1), (13, 1), (6, 4), (5, 3)])
@pytest.mark.parametrize("name", SAMPLERS)
def test_coverage_is_uniform_over_positions(name, shape):
    """The test that the reference block samplers fail: the ends of a window are hidden as often as its middle."""
    made = grid(3000, *shape)
    count = hidden(draw({**SAMPLERS[name], "ratio": 0.4}, made), made).sum(0).double()
    # a mask hides neighbours together, so counts of positions are positively correlated within a row; the variance
    # of each count is at most that of independent draws, and chi-square is conservative
    assert chisquare(count.numpy()).pvalue > 1e-3
    assert (count / len(made) - 0.4).abs().max() < 0.05


def test_the_first_and_last_patch_are_context_as_often_as_others():
    made = grid(3000, 14)
    share = 1.0 - hidden(draw({"name": "span", "span": 0.4, "ratio": 0.6}, made), made).double().mean(0)
    expected = torch.full((2,), 6 / 14, dtype=torch.float64)  # 8 of 14 hidden
    torch.testing.assert_close(share[[0, -1]], expected, atol=0.03, rtol=0)


def test_spans_are_contiguous_on_the_circle():
    made = grid(200, 20)
    flags = hidden(draw({"name": "span", "span": 0.5, "ratio": 0.25}, made), made)
    edges = (flags != flags.roll(1, dims=1)).sum(1)
    assert (edges <= 4).all()  # 5 hidden of 20 in spans of 5: one or two stretches
    random = hidden(draw({"name": "random", "ratio": 0.25}, made), made)
    assert (random != random.roll(1, dims=1)).sum(1).double().mean() > edges.double().mean() + 2


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_part_of_the_hidden_patches_is_predicted_and_each_as_often(name):
    made = grid(2000, 12, 2)
    whole, part = (draw({**SAMPLERS[name], "ratio": 0.5, "predict": p}, made) for p in (1.0, 0.75))
    assert torch.equal(part.visible.index, whole.visible.index)
    assert (hidden(part, made) <= hidden(whole, made)).all()
    assert hidden(part, made).sum(1).unique().tolist() == [9]
    assert chisquare(hidden(part, made).sum(0).double().numpy()).pvalue > 1e-3


@quick
@given(predict=st.floats(0.01, 1.0), lengths=st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_of_any_hidden_patches_at_least_one_is_predicted(predict, lengths):
    made = grid(len(lengths), 9)
    made = made.replace(valid=torch.arange(9) < torch.tensor(lengths).unsqueeze(1))
    whole, part = (draw({"name": "random", "ratio": 0.6, "predict": p}, made).targets for p in (1.0, predict))
    count, kept = whole.valid.sum(1), part.valid.sum(1)
    assert torch.equal(kept > 0, count > 0)
    assert (kept <= count).all()
    assert part.valid.any(dim=0).all()  # no column of fillers alone


def test_groups_are_hidden_whole_but_for_the_surplus():
    made = grid(100, 10, 4)
    flags = hidden(draw({"name": "group", "ratio": 0.5}, made), made).view(100, 10, 4).sum(1)
    assert torch.equal(flags.sort(dim=1).values, torch.tensor([0, 0, 10, 10]).expand(100, 4))


def test_boxes_divide_three_axes():
    spec = SequenceSpec(axes=("x_m", "y_m", "z_m"), patch_shape=(1,))
    x = torch.cartesian_prod(*[torch.arange(4.0)] * 3).expand(2000, -1, -1)
    made = PatchSequence.build(spec, x, values=torch.zeros(2000, 64, 1), window=torch.arange(2000))
    view = draw({"name": "box", "size": {"x_m": 2.0, "y_m": 2.0, "z_m": 2.0}, "ratio": 0.125}, made)
    flags = hidden(view, made)
    assert (flags.sum(1) == 8).all()
    assert chisquare(flags.sum(0).double().numpy()).pvalue > 1e-3
    circle = flags.view(-1, 4, 4, 4)
    for axis in (1, 2, 3):  # 8 patches of a 2 x 2 x 2 box touch two layers of each axis
        layers = circle.sum(dim=[a for a in (1, 2, 3) if a != axis]) > 0
        assert (layers.sum(1) == 2).all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_axes_not_named_and_offsets_do_not_matter(name):
    made = grid(6, 9, 2)
    moved = made.replace(coords=made.coords + torch.tensor([64.0, 8.0]))
    a, b = draw(SAMPLERS[name], made), draw(SAMPLERS[name], moved)
    assert (hidden(a, made) != hidden(b, moved)).double().mean() < 0.1  # up to rounding of coordinates


@pytest.mark.parametrize("name", SAMPLERS)
@quick
@given(at=st.lists(st.integers(0, 12), min_size=1, max_size=6), order=st.permutations(range(5)))
def test_masks_depend_on_the_window_only(name, at, order):
    """Not on padding anywhere, the place in the batch, or the rank that holds the row."""
    made = grid(5, 6, 2)
    options = {**SAMPLERS[name], "ratio": [0.3, 0.7], "predict": 0.8}
    plain = hidden(draw(options, made, step=3), made)
    wide, now = insert_invalid(made, at)
    assert torch.equal(hidden(draw(options, wide, step=3), wide)[:, now], plain)
    mixed = made.rows(order)
    assert torch.equal(hidden(draw(options, mixed, step=3), mixed), plain[list(order)])
    half = made.rows([1, 3])
    assert torch.equal(hidden(draw(options, half, step=3), half), plain[[1, 3]])


def test_steps_and_seeds_draw_anew_and_repeat_exactly():
    made = grid(16, 30)
    first = hidden(draw(SAMPLERS["random"], made), made)
    assert torch.equal(first, hidden(draw(SAMPLERS["random"], made), made))
    assert not torch.equal(first, hidden(draw(SAMPLERS["random"], made, step=1), made))
    assert not torch.equal(first, hidden(draw(SAMPLERS["random"], made, seed=1), made))


def test_a_ratio_range_is_drawn_once_a_step():
    made = grid(4, 100)
    counts = {
        step: hidden(draw({"name": "random", "ratio": [0.2, 0.8]}, made, step), made).sum(1) for step in range(20)
    }
    assert all(len(c.unique()) == 1 and 20 <= c[0] <= 80 for c in counts.values())
    assert len({int(c[0]) for c in counts.values()}) > 10


def test_rows_with_nothing_to_hide():
    made = batch(3, 4, valid=torch.tensor([[False] * 4, [True] + [False] * 3, [True] * 4]))
    view = draw(SAMPLERS["span"], made)
    assert view.targets.valid.sum(1).tolist() == [0, 0, 2]
    assert view.visible.valid.sum(1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", SAMPLERS)
def test_sampling_is_vectorised(name):
    """A batch of 256 x 200 tokens costs far less processor time than the 35 ms of a per-sample loop."""
    made = grid(256, 100, 2)
    draw(SAMPLERS[name], made)
    seconds = []
    for step in range(7):
        start = time.process_time()
        draw(SAMPLERS[name], made, step)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.035


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "random", "ratio": 1.0}, "between 0 and 1"),
        ({"name": "random", "ratio": [0.7, 0.2]}, "between 0 and 1"),
        ({"name": "random", "repeats": 0}, "at least 1"),
        ({"name": "random", "predict": 0.0}, "share above 0"),
        ({"name": "span", "span": 0.0}, "span must be positive"),
        ({"name": "box", "size": {}}, "positive edge length"),
        ({"name": "box"}, "needs size"),
        ({"name": "spam"}, "did you mean 'span'"),
    ],
)
def test_bad_options_are_one_sentence(options, words):
    with pytest.raises(InputError, match=words):
        build("mask", options)


def test_an_unknown_axis_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'time_s'"):
        draw({"name": "box", "size": {"time": 1.0}}, grid(2, 4))
