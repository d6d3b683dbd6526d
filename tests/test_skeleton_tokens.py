"""Tokens of joints and of parts: content, places, edges, and what is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.testing.compare import ordered, ordered_difference
from omnipatch.modalities.skeleton.body import resolve_body
from omnipatch.modalities.skeleton.layout import find_layout, layout_names
from omnipatch.modalities.skeleton.modality import Skeleton, SkeletonConfig
from omnipatch.modalities.skeleton.tokens import part_places
from omnipatch.modalities.skeleton.tracks import place_code
from omnipatch.modalities.skeleton.vocabulary import PARTS, SLOTS, VOCABULARY
from skeleton_tokens_kit import JOINTS, moving, recording

TWO = (*JOINTS, *(f"{joint}#2" for joint in JOINTS))
KINDS = ("part", "joint")


def made(tokens="part", **options):
    return Skeleton(SkeletonConfig(tokens=tokens, **options))


def window(skeleton, x=None, sensors=JOINTS):
    return skeleton.windows(recording(moving(sensors) if x is None else x, sensors))[0]


def numbers(row, skeleton):
    """[token, slot, stream, 3, frame]."""
    c = skeleton.config
    return row.values[0].view(row.n_patches, -1, len(c.streams), 3, c.patch_frames)


class TestContent:
    def test_a_joint_token_holds_its_streams_frame_by_frame(self):
        skeleton = made("joint")
        seen = window(skeleton)
        row = skeleton.patchify(seen)
        knee = JOINTS.index("left_knee")
        token = numbers(row, skeleton)[6 * knee + 2, 0]  # of six stretches of eight frames
        np.testing.assert_array_equal(token[0], seen.values[knee, :, 16:24])
        np.testing.assert_allclose(token[1], (seen.values[knee] - seen.values[JOINTS.index("left_hip")])[:, 16:24])
        np.testing.assert_allclose(token[2], np.gradient(seen.values[knee], 1 / 30, axis=1)[:, 16:24], atol=1e-4)

    def test_a_part_token_holds_its_joints_in_their_slots(self):
        skeleton = made()
        seen = window(skeleton)
        row = skeleton.patchify(seen)
        arm = int((row.group[0] == PARTS.index("left_arm")).nonzero()[0])
        token = numbers(row, skeleton)[arm]
        for name in JOINTS:
            joint = VOCABULARY[name]
            if joint.part == "left_arm":
                np.testing.assert_array_equal(token[joint.slot, 0], seen.values[JOINTS.index(name), :, :8])
        there = {VOCABULARY[name].slot for name in JOINTS if VOCABULARY[name].part == "left_arm"}
        for slot in set(range(SLOTS)) - there:
            assert token[slot].isnan().all()

    def test_about_two_hundred_tokens_for_120_frames(self):
        skeleton = made(patch_frames=4)
        row = skeleton.patchify(window(skeleton, moving(frames=120)))
        assert (row.n_patches, int(row.valid.sum())) == (180, 180)

    def test_speeds_are_true_where_a_clip_was_brought_to_a_number_of_frames(self):
        slow, fast = (made("joint", streams=("motion",), frames=n) for n in (48, 24))
        a, b = (numbers(s.patchify(window(s)), s) for s in (slow, fast))
        np.testing.assert_allclose(a.abs().nanmean(), b.abs().nanmean(), rtol=0.1)

    @pytest.mark.parametrize("tokens", KINDS)
    def test_positions_come_back(self, tokens):
        skeleton = made(tokens)
        seen = window(skeleton, moving(TWO), TWO)
        back = skeleton.unpatchify(skeleton.patchify(seen))[0]
        for joint in seen.values:
            assert np.isclose(back, joint).all(axis=(1, 2)).sum() == 1

    def test_without_positions_nothing_says_where_joints_were(self):
        skeleton = made(streams=("bone",))
        with pytest.raises(NotImplementedError):
            skeleton.unpatchify(skeleton.patchify(window(skeleton)))


class TestPlaces:
    @pytest.mark.parametrize("name", layout_names())
    def test_every_joint_of_a_layout_has_a_place_of_its_own(self, name):
        body = resolve_body(find_layout(name).meaning, find_layout(name))
        assert len(place_code(torch.from_numpy(body.place.copy())).unique()) == len(body.joint)

    def test_joints_stand_where_the_vocabulary_says_and_parts_in_the_middle(self):
        joint, part = (made(t).patchify(window(made(t), moving(TWO), TWO)) for t in ("joint", "part"))
        knee = TWO.index("right_knee#2")
        assert joint.coords[0, 6 * knee].tolist() == pytest.approx(
            [4 / 30, 1.0, *VOCABULARY["right_knee"].place], abs=1e-6
        )
        assert int(joint.group[0, 6 * knee]) == len(PARTS) + PARTS.index("right_leg")
        assert part.group[0].unique().tolist() == list(range(2 * len(PARTS)))
        np.testing.assert_allclose(part.coords[0, ::6, 2:], np.tile(part_places(), (2, 1)), atol=1e-6)
        assert (part.coords[0, :, 1] == part.group[0] // len(PARTS)).all()

    def test_left_and_right_parts_are_mirror_images(self):
        left, right = (part_places()[PARTS.index(f"{side}_leg")] for side in ("left", "right"))
        np.testing.assert_allclose(left, right * [-1, 1, 1], atol=1e-6)


class TestEdges:
    def test_joints_by_bones_and_in_time(self):
        skeleton = made("joint")
        row = skeleton.patchify(window(skeleton))
        body, found = resolve_body(JOINTS), {tuple(e) for e in row.edges.T.tolist()}
        wanted = {(6 * i + t, 6 * p + t) for i, p in enumerate(body.parent.tolist()) if p >= 0 for t in range(6)}
        wanted |= {(6 * i + t, 6 * i + t + 1) for i in range(len(JOINTS)) for t in range(5)}
        assert found == wanted | {(b, a) for a, b in wanted}
        assert row.edges.shape[1] == len(found)

    def test_parts_hang_on_the_trunk_of_their_own_person(self):
        skeleton = made()
        row = skeleton.patchify(window(skeleton, moving(TWO), TWO))
        a, b = row.edges
        group, time = row.group[0], row.coords[0, :, 0]
        same = group[a] == group[b]
        assert bool(((time[a] - time[b]).abs()[same] - 8 / 30).abs().max() < 1e-5)
        assert bool((time[a] == time[b])[~same].all())
        assert bool((group[a] // len(PARTS) == group[b] // len(PARTS)).all())
        assert bool(((group[a] % len(PARTS) == 0) | (group[b] % len(PARTS) == 0))[~same].all())

    def test_without_a_trunk_they_hang_together(self):
        limbs = tuple(name for name in JOINTS if VOCABULARY[name].part in ("left_arm", "right_arm", "head"))
        skeleton = made()
        row = skeleton.patchify(window(skeleton, moving(limbs), limbs))
        pairs = {(int(a), int(b)) for a, b in zip(*row.group[0][row.edges], strict=True) if a != b}
        assert len(pairs) == 6


class TestLost:
    @pytest.mark.parametrize("tokens", KINDS)
    def test_what_is_not_seen_is_invalid_and_what_is_never_seen_has_no_tokens(self, tokens):
        skeleton = made(tokens, gap_s=0.0, despike=0.0)
        x = moving(TWO)
        legs = [i for i, name in enumerate(TWO) if VOCABULARY[name.partition("#")[0]].part == "left_leg"]
        x[legs, :, 16:32] = np.nan
        x[len(JOINTS) :] = np.nan  # the second person
        row = skeleton.patchify(window(skeleton, x, TWO))
        assert int(row.group.max()) < len(PARTS)
        leg = row.group[0] == PARTS.index("left_leg")
        held = (row.coords[0, :, 0] > 16 / 30) & (row.coords[0, :, 0] < 32 / 30)
        assert bool((row.valid[0] == ~(leg & held)).all())

    def test_an_empty_person_costs_nothing(self):
        skeleton = made()
        x = moving(TWO)
        x[len(JOINTS) :] = np.nan
        one, two = (skeleton.patchify(window(skeleton, y, s)) for y, s in ((x[: len(JOINTS)], JOINTS), (x, TWO)))
        assert one.n_patches == two.n_patches
        assert not ordered_difference(one, two)

    def test_joints_too_fine_for_a_slot_are_in_joint_tokens_only(self):
        sensors = (*JOINTS, "nose", "left_mouth")
        joint, part = (made(t) for t in ("joint", "part"))
        assert joint.patchify(window(joint, moving(sensors), sensors)).n_patches == 6 * len(sensors)
        a, b = (part.patchify(window(part, moving(s), s)) for s in (sensors, sensors[:-1]))
        assert a.n_patches == b.n_patches

    @pytest.mark.parametrize("tokens", KINDS)
    def test_zeros_in_place_of_what_is_lost_where_asked_for(self, tokens):
        layout = find_layout("kinect-20")
        kept = layout.meaning[::2]
        clip = replace(recording(moving(kept), kept), extras={"layout": layout})
        missing, zero = (made(tokens, lost=lost) for lost in ("missing", "zero"))
        a, b = (s.patchify(s.windows(clip)[0]) for s in (missing, zero))
        assert bool(b.valid.all())
        joints = (b.values == 0).sum() - (a.values == 0).sum()
        assert int(joints) > 0
        if tokens == "joint":
            assert (a.n_patches, b.n_patches) == (6 * len(kept), 6 * len(layout.meaning))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(KINDS))
def test_any_subset_in_any_order_gives_its_part_of_the_tokens(seed, tokens):
    """From the same window: what stands there says the same, whoever else is there."""
    rng, skeleton = np.random.default_rng(seed), made(tokens, streams=("joint", "bone", "motion", "bone_motion"))
    seen = window(skeleton, moving(TWO, seed=seed), TWO)
    kept = rng.permutation(len(TWO))[: int(rng.integers(1, len(TWO)))]
    part = replace(seen, values=seen.values[kept], sensors=tuple(TWO[i] for i in kept))
    whole, some = (ordered(skeleton.patchify(w)) for w in (seen, part))
    at = {tuple(key): content for key, content in zip(whole["key"], whole["content"], strict=True)}
    assert len(some["key"])
    for key, content in zip(some["key"], some["content"], strict=True):
        real = np.isfinite(content)
        np.testing.assert_allclose(content[real], at[tuple(key)][real], atol=1e-5)
