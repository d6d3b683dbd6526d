"""The skeleton adapter: the contract with parts and joints, windows and labels, many layouts, what it refuses."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from omnipatch.core.batching import collate
from omnipatch.core.config import DataConfig
from omnipatch.core.data.sources import resolve_sources
from omnipatch.core.data.store import WindowStore
from omnipatch.core.errors import InputError
from omnipatch.core.modality import SensorLoss, Source
from omnipatch.core.testing import modality_checks
from omnipatch.core.testing.checks import all_checks, run_check
from omnipatch.modalities.skeleton import Skeleton, SkeletonConfig
from omnipatch.modalities.skeleton.features import N_FEATURES
from omnipatch.modalities.skeleton.layout import find_layout
from omnipatch.modalities.skeleton.vocabulary import PARTS, VOCABULARY
from skeleton_tokens_kit import JOINTS, moving, recording

THEMES = ("patches", "patchify", "sensors", "augmentation", "maskers")
OF_TOKENS = [c.name for c in all_checks().values() if c.theme in THEMES]
SETTINGS = {
    "joints": {"tokens": "joint", "augment_mirror": True, "augment_pace": 1.3},
    "64 frames": {"frames": 64, "patch_frames": 4, "streams": ("motion", "joint"), "augment_mirror": True},
    "bones, short windows": {"tokens": "joint", "streams": ("bone", "bone_motion"), "window_s": 1.0, "stride_s": 0.5,
                             "centre": "frame", "augment_pace": 1.2},
    "as recorded": {"centre": "none", "face_forward": False, "body_scale": False, "despike": 0.0, "gap_s": 0.0},
}  # fmt: skip


@modality_checks(Skeleton)
def test_the_contract(check):
    check()


@pytest.mark.parametrize("check", OF_TOKENS)
@pytest.mark.parametrize("name", SETTINGS)
def test_the_contract_of_tokens_holds_in_other_settings(name, check):
    outcome = run_check(Skeleton(SkeletonConfig(**SETTINGS[name])), check)
    assert outcome.state in ("passed", "skipped"), outcome.message


class TestWindows:
    def starts(self, length, **options):
        skeleton = Skeleton(SkeletonConfig(**({"window_s": 2.0, "stride_s": 2.0} | options)))
        return [(w.start_s, w.values.shape[2]) for w in skeleton.windows(recording(moving(frames=length)))]

    def test_they_follow_each_other_and_a_long_rest_is_one_more(self):
        assert self.starts(120) == [(0.0, 60), (2.0, 60)]
        assert self.starts(145) == [(0.0, 60), (2.0, 60)]
        assert self.starts(155) == [(0.0, 60), (2.0, 60), (4.0, 35)]
        assert self.starts(120, stride_s=1.0) == [(0.0, 60), (1.0, 60), (2.0, 60), (3.0, 30)]

    def test_a_short_clip_is_one_short_window(self):
        assert self.starts(9) == [(0.0, 9)]

    def test_a_clip_that_is_brought_to_a_number_of_frames_is_one_window(self):
        assert self.starts(400, frames=64) == [(0.0, 64)]

    def test_each_begins_in_the_middle(self):
        x = moving(frames=240) + np.linspace(0, 30, 240)
        for window in Skeleton(SkeletonConfig(window_s=2.0, stride_s=2.0)).windows(recording(x)):
            np.testing.assert_allclose(window.values[0, :, :5].mean(axis=1), 0.0, atol=0.8)

    def test_frames_without_anybody_are_no_window(self):
        x = moving(frames=180)
        x[..., 50:130] = np.nan
        starts = [w.start_s for w in Skeleton(SkeletonConfig(window_s=2.0, stride_s=2.0)).windows(recording(x))]
        assert starts == [0.0, 4.0]

    def test_a_task_brings_what_is_given_the_class_and_hand_features(self):
        clip = replace(recording(moving()), label=("incorrect", "side_lunge", "left"))
        (plain,), (quality,), (exercise,) = (Skeleton().windows(clip, task) for task in (None, "quality", "exercise"))
        assert plain.label == clip.label
        assert quality.label == ("side_lunge", "incorrect")
        assert exercise.label == ("side_lunge",)
        assert plain.hand is None
        assert quality.hand.shape == (N_FEATURES,)
        both = Skeleton(SkeletonConfig(hand_persons=2)).windows(clip, "quality")[0].hand
        np.testing.assert_array_equal(both[:N_FEATURES], quality.hand)
        assert not both[N_FEATURES:-1].any()


class TestLayouts:
    def test_clips_of_all_cameras_stand_in_one_batch(self):
        skeleton, rows = Skeleton(), []
        for name in ("ntu-25", "coco-17", "kinect-20", "ui-prmd-22", "vicon-39"):
            layout = find_layout(name)
            x, unit = moving(layout.meaning), "m"
            if layout.image:
                x, unit = 300 * x, "px"
                x[:, 2] = np.nan
            clip = replace(recording(x, layout.meaning, unit=unit), extras={"layout": layout})
            rows.append(skeleton.patchify(skeleton.windows(clip)[0]))
        batch = collate(rows)
        assert batch.group[batch.valid].unique().tolist() == list(range(len(PARTS)))
        size = batch.values[batch.valid].abs().nan_to_num().amax(dim=-1).view(-1)
        assert 0.1 < float(size.median()) < 10

    def test_joints_of_a_layout_of_ones_own_have_tokens(self, tmp_path):
        path = tmp_path / "tail.yaml"
        path.write_text(
            "joints:\n- {name: pelvis}\n- {name: chest, parent: pelvis}\n"
            "- {name: tail, parent: pelvis, part: trunk, place: [0, -0.1, -0.2]}\n"
        )
        layout = find_layout(path)
        x = np.concatenate([moving(("pelvis", "chest")), moving(("head",), seed=3)])
        clip = replace(recording(x, layout.meaning), extras={"layout": layout})
        skeleton = Skeleton(SkeletonConfig(tokens="joint"))
        row = skeleton.patchify(skeleton.windows(clip)[0])
        assert row.coords[0, -1, 2:].tolist() == pytest.approx([0, -0.1, -0.2])
        assert bool(row.valid.all())


class TestFewerSensors:
    def test_test_clips_may_lack_joints(self, tmp_path):
        skeleton = Skeleton(SkeletonConfig(patch_frames=4))
        sources = skeleton.demo()[:6]
        whole, part = (
            WindowStore.prepare(skeleton, [replace(s, sensor_loss=loss) for s in sources], "quality", tmp_path)
            for loss in (None, SensorLoss(8))
        )
        a, b = (store.batch(range(6)) for store in (whole, part))
        assert 0 < int(b.values.isfinite().sum()) < int(a.values.isfinite().sum())

    def test_bones_are_not_lent(self):
        layout = find_layout("ntu-25")
        x = moving(layout.meaning)
        clip = replace(recording(x, layout.meaning), extras={"layout": layout})
        kept = [i for i, name in enumerate(layout.meaning) if name != "left_knee"]
        fewer = replace(clip, signals=x[kept], sensors=tuple(layout.meaning[i] for i in kept))
        skeleton = Skeleton(SkeletonConfig(tokens="joint", streams=("joint", "bone")))
        row = skeleton.patchify(skeleton.windows(fewer)[0])
        place = row.coords[0, :, 2:].numpy()
        ankle = np.flatnonzero(np.isclose(place, VOCABULARY["left_ankle"].place).all(axis=1))[0]
        token = row.values[0, ankle].view(2, 3, -1)
        assert bool(token[0].isfinite().all())
        assert bool(token[1].isnan().all())


def test_bad_clips_are_counted_and_the_rest_goes_on(tmp_path):
    good = recording(moving(), label=("deep_squat", "correct"))
    clips = {
        "good": good,
        "short": replace(good, signals=good.signals[..., :1]),
        "empty": replace(good, signals=np.full_like(good.signals, np.nan)),
        "strange": replace(good, sensors=("antenna", *JOINTS[1:])),
        "flickering": replace(good, signals=np.where(np.arange(48) % 5 < 3, np.nan, good.signals).astype(np.float32)),
    }

    class Given(Skeleton):
        def open(self, source):
            return clips[source.record]

    store = WindowStore.prepare(Given(), [Source(None, name, name) for name in clips], "quality", tmp_path)
    assert sorted(store.records) == ["flickering", "good"]
    reasons = {entry.record: entry.reason for entry in store.skipped}
    assert all(
        word in reasons[name] for name, word in {"short": "too short", "empty": "nobody", "strange": "antenna"}.items()
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window_s": 0.0}, "must be positive"),
        ({"patch_frames": 500}, "a token is longer than a window"),
        ({"streams": ("joints",)}, "unknown stream"),
        ({"hand_persons": 0}, "must be positive"),
    ],
)
def test_bad_settings_are_one_sentence(options, words):
    with pytest.raises(InputError, match=words):
        SkeletonConfig(**options)


def test_nothing_but_bones_needs_a_bone():
    skeleton = Skeleton(SkeletonConfig(streams=("bone",)))
    with pytest.raises(InputError, match="no bone in the clip"):
        skeleton.windows(recording(moving(("pelvis",)), ("pelvis",)))


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "clips", "subjects"), [("ui-prmd", 2000, 10), ("msr-action3d", 567, 10)])
def test_real_sets_become_tokens_in_seconds(name, clips, subjects):
    skeleton = Skeleton(SkeletonConfig(patch_frames=4))
    found = resolve_sources(skeleton, DataConfig(name=name))
    assert len(list(found)) == clips
    assert len({s.subject for s in found}) == subjects
    chosen = list(found)[:: clips // 60]
    began, shares = time.process_time(), []
    for source in chosen:
        made = skeleton.load(source)
        for window in skeleton.windows(made, found.task.name):
            tokens = skeleton.patchify(window)
            shares.append(float(tokens.valid.float().mean()))
            size = tokens.values[tokens.valid].abs()
            assert float(size[size.isfinite()].quantile(0.99)) < 30
            assert np.isfinite(window.hand).all()
    # MSR-Action3D has whole stretches in which nobody is seen
    assert np.mean(shares) > (0.999 if name == "ui-prmd" else 0.9)
    assert (time.process_time() - began) / len(chosen) < 0.03
