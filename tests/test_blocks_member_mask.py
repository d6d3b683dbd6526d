"""Some members of structural units are hidden: the right number of each, evenly, and padding has no say."""

from __future__ import annotations

import pytest
import torch
from blocks_kit import SPEC, batch, insert_invalid
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.blocks.registry import build
from omnipatch.core.errors import InputError
from omnipatch.core.rng import RowRandom
from omnipatch.core.sequence import PatchSequence


def limbs(rows: int, units: int = 4, members: int = 3, steps: int = 2) -> PatchSequence:
    """Patches of `units` groups, each of `members` places over `steps` times."""
    place = torch.arange(units * members).repeat(steps)
    made = batch(rows, len(place))
    coords = torch.stack([torch.arange(steps).repeat_interleave(units * members) * 0.1, place.float()], -1)
    return made.replace(coords=coords.expand(rows, -1, -1).clone(), group=(place // members).expand(rows, -1))


def hidden(made: PatchSequence, step: int = 0, **options) -> torch.Tensor:
    mask = build("mask", {"name": "group_members", **options})
    targets = mask(made, RowRandom(0, step, made.window)).targets
    found = torch.zeros_like(made.valid)
    for row, (index, valid) in enumerate(zip(targets.index, targets.valid, strict=True)):
        found[row, index[valid]] = True
    return found


def test_units_give_their_share_and_keep_the_rest():
    made = limbs(40)
    by_place = hidden(made, ratio=4 / 12, share=2 / 3, axes=["lead"]).view(40, 2, 4, 3)
    assert torch.equal(by_place[:, 0], by_place[:, 1])  # a place is hidden all the time
    count = by_place[:, 0].sum(dim=2).sort(dim=1).values
    assert count.tolist() == [[0, 0, 2, 2]] * 40


def test_without_axes_each_patch_is_a_member():
    found = hidden(limbs(40), ratio=6 / 24, share=0.5).view(40, 2, 4, 3)
    assert found.sum(dim=(1, 3)).sort(dim=1).values.tolist() == [[0, 0, 3, 3]] * 40
    assert not torch.equal(found[:, 0], found[:, 1])


def test_what_units_keep_is_hidden_last():
    found = hidden(limbs(20), ratio=10 / 12, share=1 / 3, axes=["lead"]).view(20, 2, 4, 3)[:, 0]
    assert bool((found.sum(dim=2) >= 1).all())
    assert found.sum(dim=(1, 2)).tolist() == [10] * 20


def test_a_whole_share_hides_as_the_group_mask_does():
    count = hidden(limbs(30), ratio=0.5, share=1.0, axes=["lead"]).view(30, 2, 4, 3).sum(dim=(1, 3))
    assert set(count.flatten().tolist()) == {0, 6}


def test_all_members_are_hidden_equally_often():
    made = limbs(200)
    found = sum(hidden(made, step, ratio=4 / 12, share=2 / 3, axes=["lead"]).float().sum(0) for step in range(5))
    share = found / 1000  # type: ignore[operator]
    assert float((share - 1 / 3).abs().max()) < 0.06


@settings(max_examples=15, deadline=None)
@given(at=st.lists(st.integers(0, 24), min_size=1, max_size=6), axes=st.sampled_from([None, ["lead"]]))
def test_invalid_patches_change_nothing(at, axes):
    made = limbs(5)
    wide, now = insert_invalid(made, at)
    options = {"ratio": 0.4, "share": 0.5, "axes": axes}
    plain, padded = hidden(made, **options), hidden(wide, **options)
    assert torch.equal(padded[:, now], plain)
    assert int(padded.sum()) == int(plain.sum())


def test_rows_with_few_patches_keep_one():
    valid = torch.zeros(3, 12, dtype=torch.bool)
    valid[1, :1], valid[2, :2] = True, True
    assert hidden(batch(3, 12, valid=valid), share=0.5).sum(dim=1).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("options", "words"),
    [({"share": 0.0}, "share must lie above 0"), ({"axes": ["led"]}, "did you mean 'lead'"), ({"shar": 1}, "share")],
)
def test_bad_options_are_one_sentence(options, words):
    with pytest.raises(InputError, match=words):
        hidden(batch(2, 4, spec=SPEC), **options)
