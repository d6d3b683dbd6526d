"""Views of clips: streams stay consistent, bones keep their lengths, left and right change places, and no more."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from omnipatch.core.batching import pad
from omnipatch.core.errors import InputError
from omnipatch.core.testing.compare import ordered_difference
from omnipatch.modalities.skeleton.augment import AugmentConfig
from omnipatch.modalities.skeleton.body import resolve_body
from omnipatch.modalities.skeleton.layout import find_layout
from omnipatch.modalities.skeleton.mirror import mirrored
from omnipatch.modalities.skeleton.modality import Skeleton, SkeletonConfig
from omnipatch.modalities.skeleton.streams import STREAMS
from omnipatch.modalities.skeleton.tracks import turns
from omnipatch.modalities.skeleton.vocabulary import PARTS, VOCABULARY
from skeleton_tokens_kit import JOINTS, batch_of, moving, randomness, recording, turn_about

STILL = dict.fromkeys(
    (f"augment_{name}" for name in ("turn_deg", "tilt_deg", "shear", "limb_deg", "crop", "lost_joints", "lost_parts")),
    0.0,
) | {"augment_scale": 1.0}
TWO = (*JOINTS, *(f"{joint}#2" for joint in JOINTS))
KINDS = ("part", "joint")


def made(tokens="part", **options):
    return Skeleton(SkeletonConfig(tokens=tokens, streams=STREAMS, **(STILL | options)))


def clips(sensors=JOINTS, count=3):
    return [recording(moving(sensors, seed=seed), sensors) for seed in range(count)]


def views(tokens, sensors=JOINTS, step=0, **options):
    skeleton = made(tokens, **options)
    batch = batch_of(skeleton, clips(sensors))
    return skeleton, batch, skeleton.augment(batch, randomness(batch, step))


def by_joint(skeleton, batch):
    """[row, joint or slot, stream, 3, frame] over the whole window."""
    streams = []
    for name in STREAMS:
        # the inverse reads what stands in the place of positions
        channels = batch.values.view(*batch.valid.shape, -1, 3 * len(STREAMS), skeleton.config.patch_frames)
        turned = channels.roll(-3 * STREAMS.index(name), dims=3).flatten(2)
        streams.append(skeleton.unpatchify(batch.replace(values=turned)))
    return np.stack([np.stack(found) for found in streams], axis=2)


@pytest.mark.parametrize("tokens", KINDS)
def test_without_anything_asked_for_nothing_changes(tokens):
    _, batch, view = views(tokens)
    torch.testing.assert_close(view.values, batch.values, equal_nan=True, atol=1e-6, rtol=0)
    assert torch.equal(view.valid, batch.valid)


class TestCamera:
    @pytest.mark.parametrize("tokens", KINDS)
    def test_one_linear_map_moves_every_stream(self, tokens):
        skeleton, batch, view = views(
            tokens, augment_turn_deg=90.0, augment_tilt_deg=10.0, augment_shear=0.2, augment_scale=1.3
        )
        before, after = by_joint(skeleton, batch), by_joint(skeleton, view)
        for a, b in zip(before, after, strict=True):
            known = np.isfinite(a).all(axis=2)
            x, y = (np.moveaxis(z, 2, -1)[known] for z in (a, b))
            matrix, residual, *_ = np.linalg.lstsq(x, y, rcond=None)
            assert residual.sum() < 1e-3
            assert not np.allclose(matrix, np.eye(3), atol=0.05)
        np.testing.assert_array_equal(np.isnan(before), np.isnan(after))

    def test_a_turn_alone_is_about_the_vertical_and_keeps_lengths(self):
        skeleton, batch, view = views("joint", augment_turn_deg=180.0)
        before, after = by_joint(skeleton, batch), by_joint(skeleton, view)
        np.testing.assert_allclose(after[..., 1, :], before[..., 1, :], atol=1e-5)
        np.testing.assert_allclose(*(np.linalg.norm(x, axis=3) for x in (before, after)), atol=1e-4)

    def test_every_window_is_turned_its_own_way(self):
        skeleton = made("joint", augment_turn_deg=180.0)
        batch = batch_of(skeleton, [clips()[0]] * 3)
        view = skeleton.augment(batch, randomness(batch))
        assert not torch.allclose(view.values[0], view.values[1], equal_nan=True, atol=0.05)

    def test_a_flat_pose_stays_flat_and_is_foreshortened(self):
        x = 300 * moving()
        x[:, 2] = np.nan
        skeleton = made("joint", augment_turn_deg=80.0)
        batch = batch_of(skeleton, [recording(x, unit="px")])
        a, b = (by_joint(skeleton, s)[0] for s in (batch, skeleton.augment(batch, randomness(batch))))
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
        width, height = (np.nanstd(b[:, 0, axis]) / np.nanstd(a[:, 0, axis]) for axis in (0, 1))
        assert width < 0.99
        assert height == pytest.approx(1.0, abs=1e-5)

    def test_turns_are_rotations(self):
        angles = torch.randn(20, 3, dtype=torch.float64)
        for (a, b, c), found in zip(angles.tolist(), turns(angles), strict=True):
            np.testing.assert_allclose(found, turn_about(1, b) @ turn_about(0, a) @ turn_about(2, c), atol=1e-12)


class TestLimbs:
    @pytest.mark.parametrize("tokens", KINDS)
    def test_bones_keep_their_lengths_and_streams_agree(self, tokens):
        skeleton, batch, view = views(tokens, TWO, augment_limb_deg=30.0)
        before, after = by_joint(skeleton, batch), by_joint(skeleton, view)
        joint, bone, motion = (STREAMS.index(n) for n in ("joint", "bone", "motion"))
        lengths = [np.linalg.norm(x[:, :, bone], axis=2) for x in (before, after)]
        np.testing.assert_allclose(*lengths, atol=1e-5)
        assert np.nanmax(np.abs(after[:, :, joint] - before[:, :, joint])) > 0.1
        speed = np.gradient(after[:, :, joint], 1 / 30, axis=-1)
        np.testing.assert_allclose(after[:, :, motion, :, 1:-1], speed[..., 1:-1], atol=1e-3)
        speed = np.gradient(after[:, :, bone], 1 / 30, axis=-1)
        np.testing.assert_allclose(after[:, :, 3, :, 1:-1], speed[..., 1:-1], atol=1e-3)

    def test_bones_lead_from_joint_to_joint_still(self):
        skeleton, _, view = views("joint", TWO, augment_limb_deg=30.0)
        after, parent = by_joint(skeleton, view), resolve_body(TWO).parent
        child = np.flatnonzero(parent >= 0)
        np.testing.assert_allclose(after[:, child, 1], after[:, child, 0] - after[:, parent[child], 0], atol=1e-5)

    def test_only_what_is_beyond_shoulders_and_hips_moves(self):
        skeleton, batch, view = views("joint", augment_limb_deg=30.0)
        moved = np.abs(by_joint(skeleton, view) - by_joint(skeleton, batch))[:, :, 0].max(axis=(0, 2, 3)) > 1e-4
        beyond = {n for n in JOINTS if any(w in n for w in ("elbow", "wrist", "hand", "knee", "ankle", "foot"))}
        assert {n for n, m in zip(JOINTS, moved, strict=True) if m} == beyond

    def test_the_same_in_joint_and_part_tokens(self):
        joint, part = (by_joint(s, v) for s, _, v in (views(t, augment_limb_deg=20.0) for t in ("joint", "part")))
        known = np.isfinite(part[..., 0, 0, 0]).any(axis=0)
        for name in JOINTS:
            own = joint[:, JOINTS.index(name)]
            close = [np.allclose(own, part[:, i], equal_nan=True, atol=1e-5) for i in np.flatnonzero(known)]
            assert sum(close) == 1, name

    def test_a_lost_shoulder_turns_nothing(self):
        kept = tuple(name for name in JOINTS if name != "left_shoulder")
        for tokens in KINDS:
            _, batch, view = views(tokens, kept, augment_limb_deg=30.0)
            arm = batch.group == PARTS.index("left_arm")
            torch.testing.assert_close(view.values[arm], batch.values[arm], equal_nan=True, atol=1e-6, rtol=0)


class TestMirror:
    @pytest.mark.parametrize("tokens", KINDS)
    @pytest.mark.parametrize("layout", [None, "coco-17", "mediapipe-33", "ui-prmd-22"])
    def test_it_is_the_window_of_somebody_who_moves_the_other_way_round(self, tokens, layout):
        layout = layout and find_layout(layout)
        sensors = layout.meaning if layout else TWO
        skeleton, extras = made(tokens, despike=0.0), {"layout": layout}
        x, body = moving(sensors), resolve_body(sensors, layout)
        clip = replace(recording(x, sensors), extras=extras)
        twin = replace(clip, signals=(x * np.array([-1, 1, 1])[:, None])[body.mirror].astype(np.float32))
        a, b = (batch_of(skeleton, [c]) for c in (clip, twin))
        found = mirrored(a, torch.ones(1, 1, dtype=torch.bool), skeleton._shape)
        assert not ordered_difference(found, b)

    @pytest.mark.parametrize("tokens", KINDS)
    def test_twice_is_nothing(self, tokens):
        skeleton, batch, _ = views(tokens, TWO)
        every = torch.ones(len(batch), 1, dtype=torch.bool)
        back = mirrored(mirrored(batch, every, skeleton._shape), every, skeleton._shape)
        torch.testing.assert_close(back.values, batch.values, equal_nan=True)
        assert torch.equal(back.group, batch.group)

    def test_only_when_asked_for_and_then_in_half_of_the_views(self):
        skeleton = made("part", augment_mirror=True)
        batch = batch_of(skeleton, clips(count=40))
        changed = (skeleton.augment(batch, randomness(batch)).group != batch.group).any(dim=1)
        assert 8 < int(changed.sum()) < 32
        assert not AugmentConfig().augment_mirror


class TestTracker:
    def test_lost_joints_are_lost_for_all_of_the_time(self):
        skeleton, batch, view = views("joint", TWO, augment_lost_joints=0.9)
        before, after = (np.isfinite(by_joint(skeleton, b)[:, :, 0, 0]) for b in (batch, view))
        gone = before & ~after
        assert gone.any()
        assert (gone.all(axis=2) == gone.any(axis=2)).all()

    def test_slots_of_part_tokens_too(self):
        skeleton, batch, view = views("part", augment_lost_joints=0.9)
        before, after = (np.isfinite(by_joint(skeleton, b)[:, :, 0, 0]) for b in (batch, view))
        gone = before & ~after
        assert 0 < gone.sum() < before.sum()
        assert (gone.all(axis=2) == gone.any(axis=2)).all()

    def test_lost_parts_and_cut_ends_are_invalid_tokens(self):
        _, batch, view = views("part", augment_lost_parts=0.4, step=1)
        kept = view.valid.view(3, 6, 6)
        assert bool((kept.all(dim=2) == kept.any(dim=2)).all())
        assert 0 < int(view.valid.sum()) < int(batch.valid.sum())
        _, batch, view = views("part", augment_crop=0.7)
        kept = view.valid.view(3, 6, 6)
        assert bool((kept.all(dim=1) == kept.any(dim=1)).all())
        assert bool((kept[:, 0].long().diff(dim=1).abs().sum(dim=1) <= 2).all())

    def test_something_is_left_of_every_row(self):
        skeleton = made("part", augment_lost_parts=0.95, augment_lost_joints=0.95, augment_crop=0.9)
        batch = batch_of(skeleton, clips(count=60))
        assert bool(skeleton.augment(batch, randomness(batch)).valid.any(dim=1).all())


class TestPace:
    @pytest.mark.parametrize("tokens", KINDS)
    def test_everything_happens_sooner_or_later_about_the_middle(self, tokens):
        skeleton, batch, view = views(tokens, TWO, augment_pace=1.5)
        before, after = by_joint(skeleton, batch), by_joint(skeleton, view)
        middle, frame = 23.5, np.arange(48)
        for a, b in zip(before, after, strict=True):
            joint = int(np.flatnonzero(np.isfinite(a[:, 0, 0, 0]))[3])
            known = np.flatnonzero(np.isfinite(b[joint, 0, 0]))
            errors = {}
            for pace in np.exp(np.linspace(-math.log(1.5), math.log(1.5), 161)):
                place = (middle + (frame - middle) * pace)[known]
                errors[pace] = np.abs(np.interp(place, frame, a[joint, 0, 0]) - b[joint, 0, 0, known]).max()
            pace = min(errors, key=errors.get)
            assert errors[pace] < 0.01
            speed = np.gradient(b[joint, 0, 0], 1 / 30)[known][2:-2]
            np.testing.assert_allclose(b[joint, 2, 0, known][2:-2], speed, atol=0.1)

    def test_padding_has_no_part_in_it(self):
        skeleton, batch, view = views("part", augment_pace=1.4)
        wide = pad(batch, batch.n_patches + 9)
        found = skeleton.augment(wide, randomness(wide))
        torch.testing.assert_close(found.values[:, : batch.n_patches], view.values, equal_nan=True)


@pytest.mark.parametrize(
    "options", [{"augment_turn_deg": 200.0}, {"augment_scale": 0.9}, {"augment_pace": 3.0}, {"augment_crop": 1.0},
                {"augment_shear": -0.1}, {"augment_lost_parts": 1.0}]
)  # fmt: skip
def test_bad_settings_are_one_sentence(options):
    with pytest.raises(InputError, match=f"modality.{next(iter(options))}"):
        SkeletonConfig(**options)


def test_the_vocabulary_is_its_own_mirror_image():
    for joint in VOCABULARY.values():
        twin = VOCABULARY[joint.mirror]
        assert twin.mirror == joint.name
        assert twin.place == pytest.approx((-joint.place[0], *joint.place[1:]))
        assert (twin.slot >= 0) == (joint.slot >= 0)
