"""Public sets by their own layout: what is listed, with which labels, people, sides and folds, and what it opens."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from cli_kit import omni
from omnipatch.core.data.store import WindowStore
from omnipatch.core.errors import InputError
from omnipatch.modalities.skeleton import Skeleton
from omnipatch.modalities.skeleton.datasets import (
    DATASETS,
    TASKS,
    list_msr_action3d,
    list_ntu,
    list_pyskl,
    list_ui_prmd,
)
from omnipatch.modalities.skeleton.datasets.clips import open_clip
from omnipatch.modalities.skeleton.datasets.ntu_names import ACTIONS, parse_name
from omnipatch.modalities.skeleton.layout import find_layout
from omnipatch.modalities.skeleton.modality import SkeletonConfig
from omnipatch.modalities.skeleton.tasks import EXERCISES, QUALITY
from skeleton_files_kit import walker
from skeleton_sets_kit import msr_arrays, ntu_folder, pyskl_file, save, ui_prmd_arrays

CONFIG = SkeletonConfig()


class TestUIPRMD:
    def test_what_is_listed(self, tmp_path):
        sources = list_ui_prmd(save(tmp_path / "ui_prmd_kinect.npz", ui_prmd_arrays(subjects=10)))
        assert len(sources) == 40
        assert sources[0].record == "m01_s01_e01"
        assert sources[10].record == "m01_s01_e01_inc"
        assert sources[10].label == ("deep_squat", "incorrect")
        assert Counter(source.label for source in sources).keys() == {
            (exercise, quality) for exercise in EXERCISES[:2] for quality in ("correct", "incorrect")
        }
        assert list_ui_prmd(tmp_path) == sources  # the folder is as good as the file

    def test_folds_are_of_two_whole_people_by_order(self, tmp_path):
        sources = list_ui_prmd(save(tmp_path / "a.npz", ui_prmd_arrays(subjects=10)))
        folds = {source.subject: source.fold for source in sources}
        assert folds == {f"s{subject:02d}": (subject - 1) // 2 for subject in range(1, 11)}
        assert DATASETS["ui-prmd"].folds == 5

    def test_a_source_opens_its_own_clip(self, tmp_path):
        arrays = ui_prmd_arrays()
        sources = list_ui_prmd(save(tmp_path / "a.npz", arrays))
        for source in sources[::3]:
            recording = open_clip(source, CONFIG)
            first = int(arrays["start"][source.extras["clip"]])
            expected = arrays["positions"][first : first + int(arrays["length"][source.extras["clip"]])] * 0.0002
            np.testing.assert_allclose(recording.signals.transpose(2, 0, 1), expected, atol=1e-4)
            assert recording.sensors == find_layout("ui-prmd-22").meaning
            assert recording.sfreq_hz == 30.0
            assert (recording.record, recording.subject, recording.label) == (
                source.record,
                source.subject,
                source.label,
            )

    def test_a_changed_file_is_read_again(self, tmp_path):
        arrays = ui_prmd_arrays()
        path = save(tmp_path / "a.npz", arrays)
        before = open_clip(list_ui_prmd(path)[0], CONFIG)
        arrays["positions"][:, :, 1] += 1000
        save(path, arrays | {"further": np.arange(3)})
        after = open_clip(list_ui_prmd(path)[0], CONFIG)
        np.testing.assert_allclose(after.signals[:, 1] - before.signals[:, 1], 0.2, atol=1e-4)

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"exercise": np.full(16, 11)}, "unknown number, field exercise"),
            ({"subject": np.zeros(16, int)}, "unknown number, field subject"),
            ({"start": np.full(16, 10**9)}, "outside the archive"),
            ({"length": np.full(16, -1)}, "outside the archive"),
            ({"start": np.full(16, np.iinfo(np.int64).max)}, "outside the archive"),
            ({"length": np.full(15, 3)}, "not a whole number a clip, field length"),
            ({"episode": np.full(16, 0.5)}, "not a whole number a clip, field episode"),
            ({"joint_names": np.array(["a"] * 22)}, "other joints than those of UI-PRMD"),
            ({"fps": np.float32(np.nan)}, "not a plausible number, field fps"),
            ({"positions": np.zeros((3, 2))}, "no positions of joints"),
            ({"subject": np.ones(16, int)}, "one clip stands twice"),
        ],
    )
    def test_what_is_wrong(self, tmp_path, changed, words):
        with pytest.raises(InputError, match=words):
            list_ui_prmd(save(tmp_path / "a.npz", ui_prmd_arrays() | changed))

    def test_quality_is_judged_given_the_exercise(self):
        assert QUALITY.given == EXERCISES
        assert DATASETS["ui-prmd"].tasks == ("quality", "exercise")


class TestMSRAction3D:
    def test_odd_people_train(self, tmp_path):
        sources = list_msr_action3d(save(tmp_path / "msr_action3d.npz", msr_arrays()))
        assert {(source.subject, source.split) for source in sources} == {
            ("s01", "train"), ("s02", "test"), ("s03", "train"), ("s04", "test"),
        }  # fmt: skip
        assert [source.label for source in sources[::4]] == [("high_arm_wave",), ("horizontal_arm_wave",)]
        assert len(TASKS["action"].classes) == 20

    def test_a_joint_at_zero_is_lost_and_an_inferred_one_is_not(self, tmp_path):
        sources = list_msr_action3d(save(tmp_path / "a.npz", msr_arrays()))
        recording = open_clip(sources[1], CONFIG)
        assert np.isnan(recording.signals[..., 0]).all()
        assert np.isfinite(recording.signals[..., 1:]).all()
        strict = open_clip(sources[1], SkeletonConfig(least_confidence=0.6))
        at = strict.sensors.index("spine")
        assert np.isnan(strict.signals[at]).all()
        assert np.isfinite(np.delete(strict.signals, at, axis=0)[..., 1:]).all()
        assert recording.sfreq_hz == 15.0

    def test_an_empty_clip_is_skipped_with_its_reason(self, tmp_path):
        sources = list_msr_action3d(save(tmp_path / "a.npz", msr_arrays()))
        store = WindowStore.prepare(Skeleton(), sources, None, tmp_path / "cache")
        assert set(store.records) == {source.record for source in sources[:-1]}
        (skipped,) = store.skipped
        assert skipped.record == sources[-1].record
        assert "nobody is seen" in skipped.reason

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"action": np.full(8, 21)}, "unknown number, field action"),
            ({"confidence": np.zeros((3, 20), np.uint8)}, "confidence does not fit"),
            ({"positions_m": np.zeros((200, 20, 2))}, "no positions of joints"),
        ],
    )
    def test_what_is_wrong(self, tmp_path, changed, words):
        with pytest.raises(InputError, match=words):
            list_msr_action3d(save(tmp_path / "a.npz", msr_arrays() | changed))


class TestNTU:
    NAMES = ("S001C001P001R001A001", "S002C002P003R002A120", "S017C003P008R001A060")

    def test_people_actions_and_sides(self, tmp_path):
        root = ntu_folder(tmp_path / "nturgb+d_skeletons", (*self.NAMES, "S001C001P001R001A999", "notes"))
        found = {s.record: (s.subject, s.site, s.label, s.split) for s in list_ntu(root.parent)}
        assert found == {
            self.NAMES[0]: ("P001", "S001", ("drink_water",), "train"),
            self.NAMES[1]: ("P003", "S002", ("rock_paper_scissors",), "test"),
            self.NAMES[2]: ("P008", "S017", ("walking_apart",), "train"),
        }

    @pytest.mark.parametrize(
        ("test", "sides", "site"),
        [("xview", ("test", "train", "train"), "C001"), ("xset", ("test", "train", "test"), "S001")],
    )
    def test_other_tests_are_between_cameras_and_setups(self, tmp_path, test, sides, site):
        sources = DATASETS[f"ntu-{test}"].list_sources(ntu_folder(tmp_path, self.NAMES))
        assert tuple(source.split for source in sources) == sides
        assert sources[0].site == site
        # no site is on both sides, so the split can be by site
        assert not {s.site for s in sources if s.split == "train"} & {s.site for s in sources if s.split == "test"}

    def test_the_published_training_people(self):
        train = [p for p in range(1, 107) if parse_name(f"S001C001P{p:03d}R001A001").side("xsub") == "train"]  # type: ignore[union-attr]
        assert len(train) == 53
        assert len([p for p in train if p <= 40]) == 20
        assert len(set(ACTIONS)) == 120

    def test_a_source_opens_its_file(self, tmp_path):
        (source, *_) = list_ntu(ntu_folder(tmp_path, self.NAMES))
        recording = Skeleton().load(source)
        assert recording.sensors == find_layout("ntu-25").meaning
        assert recording.label == ("drink_water",)
        assert recording.subject == "P001"


class TestPyskl:
    NAMES = TestNTU.NAMES
    SPLITS: ClassVar = {
        "xsub_train": [NAMES[0]], "xsub_val": [NAMES[1]], "xview_train": [NAMES[1], NAMES[2]], "xview_val": [NAMES[0]],
    }  # fmt: skip

    def test_sides_are_those_of_the_file(self, tmp_path):
        path = pyskl_file(tmp_path / "ntu60_3d.pkl", self.NAMES, self.SPLITS)
        found = {s.record: (s.subject, s.label, s.split) for s in list_pyskl(path)}
        assert found == {
            self.NAMES[0]: ("P001", ("0", "drink_water"), "train"),
            self.NAMES[1]: ("P003", ("1", "rock_paper_scissors"), "test"),
        }
        assert {s.record: s.split for s in DATASETS["pyskl-xview"].list_sources(tmp_path)} == {
            self.NAMES[0]: "test", self.NAMES[1]: "train", self.NAMES[2]: "train",
        }  # fmt: skip

    def test_a_source_opens_its_own_clip(self, tmp_path):
        path = pyskl_file(tmp_path / "a.pkl", self.NAMES, self.SPLITS)
        source = list_pyskl(path)[1]
        recording = Skeleton().load(source)
        np.testing.assert_allclose(recording.signals[:, 1].T, walker("ntu-25", 10, seed=1)[0, ..., 1], atol=2e-3)
        assert recording.record == self.NAMES[1]

    def test_people_of_other_files_are_unknown(self, tmp_path):
        path = pyskl_file(tmp_path / "a.pkl", ("v_a", "v_b"), {"train1": ["v_a"], "test1": ["v_b"]})
        assert [(s.subject, s.label, s.split) for s in list_pyskl(path)] == [
            ("", ("0",), "train"), ("", ("1",), "test"),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("splits", "words"),
        [
            (None, "no split in the file"),
            ({"all": ["v_a"]}, "the file's splits are no test"),
            ({"train": ["v_a"], "val": ["v_a"]}, "a clip is on both sides"),
        ],
    )
    def test_what_is_wrong(self, tmp_path, splits, words):
        with pytest.raises(InputError, match=words):
            list_pyskl(pyskl_file(tmp_path / "a.pkl", ("v_a", "v_b"), splits))

    def test_a_test_that_the_file_does_not_have(self, tmp_path):
        path = pyskl_file(tmp_path / "a.pkl", ("v_a", "v_b"), {"train": ["v_a"], "val": ["v_b"]})
        with pytest.raises(InputError, match="the file has no test 'xset'"):
            DATASETS["pyskl-xset"].list_sources(path)

    def test_several_pickles_are_asked_about(self, tmp_path):
        for name in ("a.pkl", "b.pkl"):
            (tmp_path / name).touch()
        with pytest.raises(InputError, match="several pickles"):
            list_pyskl(tmp_path)

    def test_code_in_a_pickle_is_never_run(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return (Path.touch, (tmp_path / "owned",))

        (tmp_path / "a.pkl").write_bytes(pickle.dumps({"split": Trap(), "annotations": []}))
        with pytest.raises(InputError, match="was not executed"):
            list_pyskl(tmp_path / "a.pkl")
        assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", DATASETS)
def test_another_folder_is_one_sentence(name, tmp_path):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(InputError) as caught:
        DATASETS[name].list_sources(tmp_path)
    assert "\n" not in str(caught.value)


def test_every_set_has_a_licence_says_where_to_get_it_and_has_known_tasks():
    tasks = Skeleton().tasks()
    for dataset in Skeleton().datasets().values():
        assert dataset.licence
        assert dataset.citation
        assert "http" in dataset.instructions
        assert set(dataset.tasks) <= set(tasks)


def test_a_set_that_is_one_file_can_be_checked(tmp_path):
    """`omnipatch data check FILE --data.name NAME`."""
    path = save(tmp_path / "ui_prmd_kinect.npz", ui_prmd_arrays())
    done = omni("data", "check", path, "--data.name", "ui-prmd", "--modality", "skeleton")
    assert done.code == 0, done.err
    assert "16" in done.out
