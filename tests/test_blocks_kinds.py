"""Kinds of different content in one sequence: own projections, own shapes of targets, roles in masks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from blocks_kit import batch, encoder, insert_invalid, objective, spoil
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.blocks.registry import build
from omnipatch.core.blocks.targets import Request
from omnipatch.core.blocks.views import IndexSet, View
from omnipatch.core.errors import InputError
from omnipatch.core.rng import RowRandom
from omnipatch.core.sequence import PatchSequence, SequenceSpec, gather

SHAPES = ((2, 3), (4, 4), (5,))
SPEC = SequenceSpec(
    axes=("time_s", "lead"),
    patch_shape=(16,),
    axis_scales=(0.1, 1.0),
    kinds=("patch", "beat", "rhythm"),
    kind_shapes=SHAPES,
)
SIZES = torch.tensor([6, 16, 5])
quick = settings(max_examples=20, deadline=None)


def mixed(rows: int = 3, patches: int = 9, seed: int = 0, kinds=(0, 0, 1, 0, 0, 1, 0, 0, 2)) -> PatchSequence:
    """Patches of all kinds; a group is a beat with its patches, and what a kind does not use is NaN."""
    made = batch(rows, patches, seed=seed, spec=SPEC)
    kind = torch.tensor(kinds[:patches]).expand(rows, -1).clone()
    group = torch.arange(patches).expand(rows, -1) // 3
    unused = torch.arange(16) >= SIZES[kind].unsqueeze(-1)
    return made.replace(kind=kind, group=group, values=made.values.masked_fill(unused, torch.nan))


def draw(options, made, seed=0) -> View:
    return build("mask", options)(made, RowRandom(seed, 0, made.window))


def chosen(index: IndexSet, row: int) -> list[int]:
    return sorted(index.index[row][index.valid[row]].tolist())


# ---- the specification -----------------------------------------------------------------------------------------------


def test_shapes_survive_json_and_belong_to_kinds():
    assert replace(SPEC, kind_shapes=[list(shape) for shape in SHAPES]) == SPEC
    assert [SPEC.shape_of(kind) for kind in range(3)] == list(SHAPES)
    assert replace(SPEC, kind_shapes=()).shape_of(2) == (16,)
    assert SPEC.kind_of("rhythm") == 2
    with pytest.raises(InputError, match=r"unknown kind of patch 'beet'.*did you mean 'beat'"):
        SPEC.kind_of("beet")


@pytest.mark.parametrize("shapes", [((2, 3),), ((2, 3), (17,), (5,))])
def test_shapes_that_cannot_hold_are_refused(shapes):
    with pytest.raises(ValueError, match="kind_shapes"):
        replace(SPEC, kind_shapes=shapes)


# ---- the embedding ---------------------------------------------------------------------------------------------------


@quick
@given(data=st.data())
def test_permuting_patches_of_all_kinds_permutes_tokens(data):
    model, made = encoder(SPEC).eval(), mixed()
    order = torch.tensor([data.draw(st.permutations(range(9))) for _ in range(3)])
    with torch.no_grad():
        plain, turned = model(made), model(made.patches(order))
    torch.testing.assert_close(turned.tokens, gather(plain.tokens, None, order), atol=2e-5, rtol=1e-4)


@quick
@given(at=st.lists(st.integers(0, 9), min_size=1, max_size=4))
def test_invalid_patches_of_no_kind_change_no_token_and_no_gradient(at):
    model, made = encoder(SPEC), mixed()
    wide, now = insert_invalid(made, at)
    found = []
    for each in (made, wide):
        model.zero_grad()
        out = model(each)
        out.pooled.square().sum().backward()
        found.append((out.tokens, [p.grad.clone() for p in model.parameters() if p.grad is not None]))
    torch.testing.assert_close(found[1][0][:, now], found[0][0], atol=2e-5, rtol=1e-4)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-3)


def test_numbers_beyond_a_kinds_size_have_no_meaning():
    model, made = encoder(SPEC).eval(), mixed()
    other = made.replace(values=made.values.nan_to_num(nan=7.0))
    with torch.no_grad():
        torch.testing.assert_close(model(other).tokens, model(made).tokens)


def test_kinds_have_projections_of_their_own():
    model, made = encoder(SPEC).eval(), mixed()
    with torch.no_grad():
        before = model(made).embedding
        model.embed.contents[1].project.weight.add_(1.0)
        changed = (model(made).embedding - before).abs().amax(dim=-1) > 1e-3
    assert changed.equal(made.kind == 1)


def test_a_missing_number_and_zero_are_different_things_in_every_kind():
    model, made = encoder(SPEC).eval(), mixed()
    first = torch.arange(16) == 0
    with torch.no_grad():
        a, b = (model(made.replace(values=made.values.masked_fill(first, f))).embedding for f in (0.0, torch.nan))
    assert ((a - b).abs().amax(dim=-1) > 1e-4).all()


def test_a_kind_nobody_has_gets_a_zero_gradient():
    model, made = encoder(SPEC), mixed(kinds=(0,) * 9)
    model(made).pooled.sum().backward()
    assert model.embed.contents[1].project.weight.grad.abs().sum() == 0


# ---- targets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["raw", "difference", "gradient"])
def test_signal_targets_see_each_kind_in_its_own_shape(name):
    made = mixed()
    every = IndexSet(torch.arange(9).expand(3, -1), made.valid)
    found = build("target", name, SPEC, None, None)(Request(View(made), None, None, every)).values
    for kind, shape in enumerate(SHAPES):
        plain = SequenceSpec(axes=SPEC.axes, patch_shape=shape)
        size = int(SIZES[kind])
        alone = made.replace(spec=plain, values=made.values[..., :size])
        expected = build("target", name, plain, None, None)(Request(View(alone), None, None, every)).values
        own = made.kind == kind
        torch.testing.assert_close(found[own][:, : expected.shape[-1]], expected[own])
        assert found[own][:, expected.shape[-1] :].isnan().all()


@pytest.mark.parametrize("name", ["jepa", "mae", "simclr"])
def test_objectives_run_on_several_kinds(name):
    made = mixed(rows=6)
    composed = objective(name, SPEC)
    composed.augment = lambda x, rng: x.replace(values=x.values * (1 + 0.1 * rng.normal(1, 1)))
    outcome = composed(made, 0, 0)
    outcome.loss.backward()
    assert outcome.loss.isfinite()
    assert all(p.grad.isfinite().all() for p in composed.parameters() if p.grad is not None)


# ---- masks -----------------------------------------------------------------------------------------------------------


@quick
@given(data=st.data(), ratio=st.floats(0.1, 0.9), repeats=st.integers(1, 3))
def test_roles_split_every_row_exactly(data, ratio, repeats):
    made = mixed()
    flags = torch.tensor(data.draw(st.lists(st.booleans(), min_size=27, max_size=27))).view(3, 9)
    made = spoil(made.replace(valid=flags))
    roles = data.draw(
        st.dictionaries(st.sampled_from(SPEC.kinds), st.sampled_from(["visible", "hidden", "dropped"]), max_size=3)
    )
    name = data.draw(st.sampled_from(["random", "group", "span"]))
    view = draw({"name": name, "ratio": ratio, "repeats": repeats, "kinds": roles}, made)
    origin = list(range(3)) if view.rows is None else view.rows.tolist()
    for row, source in enumerate(origin):
        seen, goal = chosen(view.visible, row), chosen(view.targets, row)
        real = made.valid[source].nonzero().flatten().tolist()
        role = {i: roles.get(SPEC.kinds[int(made.kind[source, i])], "sampled") for i in real}
        assert not set(seen) & set(goal)
        assert len(set(seen)) == len(seen)
        assert {i for i in seen if role[i] != "sampled"} == {i for i in real if role[i] == "visible"}
        if seen:
            assert {i for i in goal if role[i] != "sampled"} == {i for i in real if role[i] == "hidden"}
        else:
            assert not goal
        sampled = [i for i in real if role[i] == "sampled"]
        hidden = min(max(1, int(ratio * len(sampled) + 0.5)), max(0, len(sampled) - 1))
        if seen:
            assert len([i for i in goal if role[i] == "sampled"]) == hidden


def test_beats_from_patches_and_rhythm_from_beats():
    made = mixed()
    across = draw({"name": "group", "ratio": 0.5, "kinds": {"beat": "hidden", "rhythm": "dropped"}}, made)
    above = draw({"name": "random", "ratio": 0.5, "kinds": {"patch": "dropped", "rhythm": "hidden"}}, made)
    for row in range(3):
        assert {2, 5} <= set(chosen(across.targets, row))
        assert not {2, 5, 8} & set(chosen(across.visible, row))
        assert len(chosen(across.targets, row)) == 2 + 3
        assert len(chosen(above.visible, row)) == 1
        assert 8 in chosen(above.targets, row)
        assert {made.kind[row, i].item() for i in chosen(above.visible, row)} == {1}


def test_a_group_is_hidden_over_all_kinds():
    made = mixed(patches=6)
    view = draw({"name": "group", "ratio": 0.5}, made)
    for row in range(3):
        assert chosen(view.targets, row) in ([0, 1, 2], [3, 4, 5])


def test_roles_do_not_change_what_the_sampler_draws():
    """A kind with a role is not there for the sampler: the same patches are hidden as without it."""
    made = mixed()
    only = made.replace(valid=made.kind == 0)
    a = draw({"name": "random", "kinds": {"beat": "visible", "rhythm": "dropped"}}, made)
    b = draw({"name": "random"}, only)
    assert [chosen(a.targets, row) for row in range(3)] == [chosen(b.targets, row) for row in range(3)]


@pytest.mark.parametrize(
    ("roles", "words"),
    [({"beat": "hide"}, "did you mean 'hidden'"), ({"beet": "hidden"}, "did you mean 'beat'")],
)
def test_mistyped_roles_name_the_nearest(roles, words):
    with pytest.raises(InputError, match=words):
        draw({"name": "random", "kinds": roles}, mixed())


def test_a_place_is_hidden_as_a_whole():
    made = batch(4, 12, spec=replace(SPEC, kind_shapes=()))
    coords = made.coords.clone()
    coords[..., 1] = torch.arange(12) % 3 * 0.5 - 0.5
    coords[:, 3, 1] = -0.0 * coords[:, 3, 1]
    coords[:, 4, 1] = 0.0
    made = made.replace(coords=coords)
    view = draw({"name": "place", "axes": ["lead"], "ratio": 0.34}, made)
    for row in range(4):
        counts = {}
        for i in chosen(view.targets, row):
            counts[float(coords[row, i, 1]) + 0.0] = counts.get(float(coords[row, i, 1]) + 0.0, 0) + 1
        whole = [place for place, n in counts.items() if n == int((coords[row, :, 1] == place).sum())]
        assert len(whole) >= len(counts) - 1  # what is surplus in the last place is kept
    with pytest.raises(InputError, match="a place mask names axis 'lad'"):
        draw({"name": "place", "axes": ["lad"]}, made)
    with pytest.raises(InputError, match="at least one axis"):
        draw({"name": "place", "axes": []}, made)
