"""Properties of PatchSequence and its batching: nothing added has an effect, nothing taken is lost."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch import Events, PatchSequence, SequenceSpec
from omnipatch.core.batching import bucket_lengths, collate, concat_kinds, length_groups, pad, trim

SPEC = SequenceSpec(axes=("time_s", "x"), patch_shape=(2, 3), kinds=("patch", "beat"))
PATCH_FIELDS = ("values", "valid", "coords", "kind", "group")
EVENT_FIELDS = ("at", "label", "valid", "features")


def make(rows: int, patches: int, *, seed: int = 0, edges: int = 0, events: int | None = None, whole: bool = False):
    generator = torch.Generator().manual_seed(seed)

    def integers(high, *shape):
        return torch.randint(high, shape, generator=generator)

    valid = torch.rand(rows, patches, generator=generator) < 0.7
    valid[:, -1] |= whole  # so that trimming finds nothing
    ends = integers(patches, 2, edges) + integers(max(rows, 1), edges) * patches if edges and rows else None
    side = None
    if events is not None:
        side = Events(
            at=torch.rand(rows, events, generator=generator),
            label=integers(4, rows, events),
            valid=torch.rand(rows, events, generator=generator) < 0.8,
            features=torch.rand(rows, events, 2, generator=generator),
        )
    return PatchSequence.build(
        SPEC,
        coords=torch.rand(rows, patches, 2, generator=generator),
        values=torch.rand(rows, patches, 6, generator=generator),
        valid=valid,
        kind=integers(2, rows, patches),
        group=integers(5, rows, patches),
        edges=ends,
        events=side,
        window=torch.arange(rows) + 100 * seed,
        label=integers(3, rows),
    )


def links(sequence: PatchSequence) -> list[tuple[int, tuple[float, ...], tuple[float, ...]]]:
    """Edges as (row, values of one end, values of the other): what they mean, whatever their numbering."""
    if sequence.edges is None:
        return []
    flat = sequence.values.flatten(0, 1)
    return sorted(
        (int(a) // sequence.n_patches, tuple(flat[a].tolist()), tuple(flat[b].tolist())) for a, b in sequence.edges.T
    )


def assert_equal(got: PatchSequence, expected: PatchSequence) -> None:
    for name in (*PATCH_FIELDS, "window", "record", "subject", "site", "label"):
        torch.testing.assert_close(getattr(got, name), getattr(expected, name), rtol=0, atol=0)
    assert links(got) == links(expected)
    assert (got.events is None) == (expected.events is None)
    if got.events is not None and expected.events is not None:
        for name in EVENT_FIELDS:
            torch.testing.assert_close(getattr(got.events, name), getattr(expected.events, name), rtol=0, atol=0)


sizes = st.integers(1, 5)


@settings(deadline=None, max_examples=50)
@given(sizes, sizes, st.integers(0, 4), st.integers(0, 6))
def test_trim_undoes_pad(rows, patches, extra, edges):
    sequence = make(rows, patches, edges=edges, events=2, whole=True)
    padded = pad(sequence, patches + extra)
    assert padded.n_patches == patches + extra
    assert not padded.valid[:, patches:].any()
    assert links(padded) == links(sequence)
    assert_equal(trim(padded), sequence)


def test_pad_refuses_to_shorten():
    with pytest.raises(ValueError, match="cannot pad 3 patches down to 2"):
        pad(make(1, 3), 2)


def test_trim_drops_edges_of_cut_patches():
    sequence = make(2, 3).replace(
        valid=torch.tensor([[True, True, False]] * 2), edges=torch.tensor([[0, 1, 3, 4], [1, 2, 4, 5]])
    )
    assert trim(sequence).edges.tolist() == [[0, 2], [1, 3]]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(sizes, sizes, st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=4))
def test_rows_of_a_collated_batch_are_the_sequences(shapes):
    parts = [make(r, n, seed=i, edges=e, events=k) for i, (r, n, e, k) in enumerate(shapes)]
    batch, start = collate(parts), 0
    longest, most = max(n for _, n, _, _ in shapes), max(k for *_, k in shapes)
    for part in parts:
        got = batch.rows(slice(start, start + len(part)))
        events = part.events
        assert not got.events.valid[:, events.at.shape[1] :].any()
        assert (got.events.label[:, events.at.shape[1] :] == -1).all()
        got = got.replace(events=None)
        assert_equal(got, pad(part, longest).replace(events=None))
        start += len(part)
    assert batch.events.at.shape == (start, most)


@settings(deadline=None, max_examples=50)
@given(sizes, sizes, st.integers(0, 8), st.data())
def test_rows_select_and_repeat(rows, patches, edges, data):
    sequence = make(rows, patches, edges=edges, events=1)
    index = data.draw(st.lists(st.integers(-rows, rows - 1), max_size=6))
    got = sequence.rows(index)
    assert len(got) == len(index)
    singles = [sequence.rows([i]) for i in index]
    if singles:
        assert_equal(got, collate(singles))


def test_rows_by_boolean_and_nothing():
    sequence = make(3, 2, edges=4)
    assert_equal(sequence.rows(torch.tensor([True, False, True])), sequence.rows([0, 2]))
    assert_equal(sequence.rows([True, False, True]), sequence.rows([0, 2]))
    assert len(sequence.rows([])) == 0


@settings(deadline=None, max_examples=30)
@given(sizes, sizes, st.randoms(use_true_random=False))
def test_permuting_patches_moves_all_patch_fields_together(rows, patches, random):
    sequence = make(rows, patches, events=1)
    order = torch.tensor([random.sample(range(patches), patches) for _ in range(rows)])
    back = order.argsort(dim=1)
    assert_equal(sequence.patches(order).patches(back), sequence)


def test_collate_fills_in_missing_events():
    with_events, without = make(2, 3, events=2), make(1, 4, seed=1)
    for parts in ([with_events, without], [without, with_events]):
        batch = collate(parts)
        assert batch.events.valid.sum() == with_events.events.valid.sum()
        assert batch.events.at.shape == (3, 2)


def test_collate_refuses_mixed_specs():
    other = make(1, 2).replace(spec=SequenceSpec(axes=("time_s", "x"), patch_shape=(3, 2)))
    with pytest.raises(ValueError, match="one spec"):
        collate([make(1, 2), other])


@settings(deadline=None, max_examples=30)
@given(sizes, st.lists(sizes, min_size=1, max_size=3), st.integers(0, 5))
def test_concat_kinds_keeps_every_patch_and_edge(rows, lengths, edges):
    parts = [make(rows, n, seed=i, edges=edges) for i, n in enumerate(lengths)]
    joined, start = concat_kinds(*parts), 0
    for part, n in zip(parts, lengths, strict=True):
        for name in PATCH_FIELDS:
            assert torch.equal(getattr(joined, name)[:, start : start + n], getattr(part, name))
        start += n
    assert links(joined) == sorted(link for part in parts for link in links(part))


@given(st.lists(st.integers(1, 200), max_size=60), st.integers(1, 9))
def test_buckets_cover_all_lengths_in_equal_shares(lengths, buckets):
    cuts = bucket_lengths(lengths, buckets)
    assert cuts == sorted(set(cuts))
    assert set(cuts) <= set(lengths)
    assert len(cuts) <= buckets
    if lengths:
        assert cuts[-1] == max(lengths)
        share = math.ceil(len(lengths) / buckets)
        for below, cut in zip([0, *cuts[:-1]], cuts, strict=True):
            assert sum(below < n < cut for n in lengths) <= share  # ties of the cut itself may be more


@given(st.lists(st.integers(1, 300), min_size=1, max_size=80), st.integers(1, 5))
def test_groups_of_like_length_hold_every_row_once_and_save_what_they_promise(lengths, most):
    groups = length_groups(torch.tensor(lengths), most)
    assert sorted(torch.cat(groups).tolist()) == list(range(len(lengths)))
    if len(groups) == 1:
        assert groups[0].tolist() == list(range(len(lengths)))  # as it was
        return
    assert len(groups) <= most
    assert min(len(group) for group in groups) >= 8
    parts = [[lengths[row] for row in group] for group in groups]
    assert all(max(a) <= min(b) for a, b in pairwise(parts))
    assert sum(len(part) * max(part) for part in parts) <= 0.8 * len(lengths) * max(lengths)


def test_shapes_are_checked():
    sequence = make(2, 3)
    with pytest.raises(ValueError, match="kind has shape"):
        sequence.replace(kind=sequence.kind[:, :2])
    with pytest.raises(ValueError, match="numbers a patch"):
        sequence.replace(values=sequence.values[..., :5])
    with pytest.raises(ValueError, match="axes"):
        sequence.replace(coords=sequence.coords[..., :1])
    with pytest.raises(ValueError, match="either values or ids"):
        sequence.replace(ids=sequence.kind.unsqueeze(-1))
    with pytest.raises(TypeError, match="unknown row fields"):
        PatchSequence.build(SPEC, sequence.coords, values=sequence.values, patient=[1, 2])
