"""Clips from tables and archives of arrays: both forms, gaps, several people, units, and what is no such file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from omnipatch.core.errors import InputError
from omnipatch.modalities.skeleton.formats import npz, table
from omnipatch.modalities.skeleton.formats.options import ReadOptions
from omnipatch.modalities.skeleton.layout import find_layout
from omnipatch.modalities.skeleton.vocabulary import VOCABULARY

JOINTS = ("pelvis", "left_knee", "right_knee", "head")
ASIDE = np.array([1.0, 0.0, 0.0])


def clip(frames: int = 5, depth: bool = True) -> np.ndarray:
    """[frame, joint, 2 or 3] metres of someone who walks to their left."""
    places = np.add([VOCABULARY[name].place for name in JOINTS], (0, 0.95, 3.0))
    x = places + np.linspace(0, 0.4, frames)[:, None, None] * (1, 0, 0)
    return x if depth else x[..., :2]


def read(module, path: Path, **options):
    return module.read(path, ReadOptions(**options))


def seen(recording, joint: str) -> np.ndarray:
    """[frame, 3] of a sensor."""
    return recording.signals[recording.sensors.index(joint)].T


def long_rows(x: np.ndarray, person: str = "") -> list[str]:
    cells = [person] if person else []
    return [
        ",".join([*cells, str(frame), name, *(f"{v:.6f}" for v in x[frame, i])])
        for frame in range(len(x))
        for i, name in enumerate(JOINTS)
    ]


class TestLongTables:
    def write(self, path: Path, rows: list[str], header: str = "frame,joint,x,y,z") -> Path:
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    def test_places(self, tmp_path):
        recording = read(table, self.write(tmp_path / "a.csv", long_rows(clip())), sfreq_hz=25.0)
        assert set(recording.sensors) == set(JOINTS)
        assert recording.sfreq_hz == 25.0
        assert recording.unit == "m"
        for i, name in enumerate(JOINTS):
            np.testing.assert_allclose(seen(recording, name), clip()[:, i], atol=1e-5)

    def test_rows_in_any_order_are_the_same_clip(self, tmp_path):
        rows = long_rows(clip())
        one = read(table, self.write(tmp_path / "a.csv", rows), sfreq_hz=25.0)
        two = read(table, self.write(tmp_path / "b.csv", rows[::-1]), sfreq_hz=25.0)
        for name in JOINTS:
            np.testing.assert_array_equal(seen(one, name), seen(two, name))

    def test_what_is_left_out_is_lost(self, tmp_path):
        rows = [row for row in long_rows(clip()) if not row.startswith(("2,", "3,head"))]
        rows = [row if not row.startswith("4,head") else "4,head,0,0,0" for row in rows]
        recording = read(table, self.write(tmp_path / "a.csv", rows), sfreq_hz=25.0)
        assert recording.signals.shape[2] == 5
        assert np.isnan(recording.signals[..., 2]).all()
        assert np.isnan(seen(recording, "head")).all(axis=1).tolist() == [False, False, True, True, True]

    def test_times_are_the_rate_and_gaps_are_frames(self, tmp_path):
        x = clip(6)
        rows = [
            f"{0.1 + frame / 15 + 0.001 * (frame % 2):.4f},{name}," + ",".join(f"{v:.6f}" for v in x[frame, i])
            for frame in (0, 1, 2, 5)
            for i, name in enumerate(JOINTS)
        ]
        recording = read(table, self.write(tmp_path / "a.csv", rows, "time_s,joint,x,y,z"))
        assert recording.sfreq_hz == pytest.approx(15, rel=0.03)
        assert np.isnan(recording.signals).all(axis=(0, 1)).tolist() == [False, False, False, True, True, False]

    def test_people(self, tmp_path):
        rows = [*long_rows(clip(), "anna"), *long_rows(ASIDE + clip(), "ben")[: 2 * len(JOINTS)]]
        recording = read(table, self.write(tmp_path / "a.csv", rows, "person,frame,joint,x,y,z"), sfreq_hz=30.0)
        assert len(recording.sensors) == 2 * len(JOINTS)
        np.testing.assert_allclose(seen(recording, "head#2")[:2], ASIDE + seen(recording, "head")[:2], atol=1e-5)
        assert np.isnan(seen(recording, "head#2")[2:]).all()

    def test_confidence(self, tmp_path):
        rows = [row + (",0.1" if "head" in row else ",0.9") for row in long_rows(clip())]
        path = self.write(tmp_path / "a.csv", rows, "frame,joint,x,y,z,confidence")
        assert np.isnan(seen(read(table, path, sfreq_hz=30.0), "head")).all()
        assert np.isfinite(seen(read(table, path, sfreq_hz=30.0, least_confidence=0.05), "head")).all()

    @pytest.mark.parametrize(
        ("header", "row", "words"),
        [
            ("frame,joint,x,y", "0,head,1,two", "not a number"),
            ("frame,joint,x,y", "0,head,1", "row and header differ"),
            ("frame,joint,x,x,y", "0,head,1,1,1", "a column appears twice"),
            ("joint,x,y", "head,1,1", "column is missing, field frame or time_s"),
            ("frame,joint,x,y", "0,tail,1,1", "tail"),
            ("frame,joint,x,y", "0,head,1,1\n0,head,1,1", "a joint twice in one frame"),
            ("frame,joint,x,y", "0,head,1,1\n1e15,head,1,1", "gaps are longer"),
            ("frame,joint,x,y", "nan,head,1,1", "without a place in time"),
            ("time_s,joint,x,y", "0,head,1,1", "one moment only"),
            ("frame,joint,x,y", "0,head,,", "nobody is seen"),
        ],
    )
    def test_what_is_wrong(self, tmp_path, header, row, words):
        with pytest.raises(InputError, match=words):
            read(table, self.write(tmp_path / "a.csv", [row], header), sfreq_hz=30.0)

    def test_nothing_says_how_fast(self, tmp_path):
        with pytest.raises(InputError, match="how many frames a second"):
            read(table, self.write(tmp_path / "a.csv", long_rows(clip())))


class TestWideTables:
    def write(self, path: Path, x: np.ndarray, names=JOINTS, mark: str = ",") -> Path:
        axes = "xyz"[: x.shape[-1]]
        header = mark.join(["time_s", *(f"{name}_{axis}" for name in names for axis in axes)])
        rows = [mark.join([f"{frame / 30:.6f}", *(f"{v:.6f}" for v in row.ravel())]) for frame, row in enumerate(x)]
        path.write_text("\n".join([header, *rows]))
        return path

    @pytest.mark.parametrize("mark", [",", ";", "\t"])
    def test_places(self, tmp_path, mark):
        recording = read(table, self.write(tmp_path / "a.csv", clip(), mark=mark))
        assert recording.sfreq_hz == pytest.approx(30, rel=1e-3)
        for i, name in enumerate(JOINTS):
            np.testing.assert_allclose(seen(recording, name), clip()[:, i], atol=1e-5)

    def test_an_image_has_y_down_and_no_depth(self, tmp_path):
        recording = read(table, self.write(tmp_path / "a.csv", 100 * clip(depth=False)))
        assert recording.unit == "px"
        np.testing.assert_allclose(seen(recording, "head")[:, 1], -100 * clip()[:, 3, 1], rtol=1e-5)
        assert np.isnan(recording.signals[:, 2]).all()

    @pytest.mark.parametrize("factor", [1, 100, 1000])
    def test_units_by_size(self, tmp_path, factor):
        recording = read(table, self.write(tmp_path / "a.csv", factor * clip()))
        np.testing.assert_allclose(seen(recording, "head"), clip()[:, 3], atol=1e-4)

    def test_nobody_is_that_large(self, tmp_path):
        with pytest.raises(InputError, match="nobody is that large"):
            read(table, self.write(tmp_path / "a.csv", 1e6 * clip()))

    def test_names_however_they_are_written(self, tmp_path):
        recording = read(table, self.write(tmp_path / "a.csv", clip(), ("Pelvis", "LKnee", "knee_right", "HEAD")))
        assert set(recording.sensors) == set(JOINTS)

    def test_a_layout_takes_its_own_names(self, tmp_path):
        path = self.write(tmp_path / "a.csv", clip()[:, 1:3], ("KneeLeft", "KneeRight"))
        recording = read(table, path, layout="kinect-20")
        np.testing.assert_allclose(seen(recording, "left_knee"), clip()[:, 1], atol=1e-5)
        assert np.isnan(seen(recording, "head")).all()
        with pytest.raises(InputError, match="not in the layout"):
            read(table, path, layout="coco-17")

    @pytest.mark.parametrize(
        ("text", "words"),
        [("a,b\n1,2\n", "no columns of joints"), ("left_knee_x\n1\n", "left_knee_y"), ("x\n", "no frames")],
    )
    def test_what_is_wrong(self, tmp_path, text, words):
        (tmp_path / "a.csv").write_text(text)
        with pytest.raises(InputError, match=words):
            read(table, tmp_path / "a.csv", sfreq_hz=30.0)


class TestArrays:
    def write(self, path: Path, **arrays) -> Path:
        np.savez(path, **{"positions": clip(), "sfreq_hz": 20.0, "joint_names": np.array(JOINTS), **arrays})
        return path

    def test_places(self, tmp_path):
        recording = read(npz, self.write(tmp_path / "a.npz"))
        assert recording.sfreq_hz == 20.0
        for i, name in enumerate(JOINTS):
            np.testing.assert_allclose(seen(recording, name), clip()[:, i], atol=1e-5)

    def test_people_lost_joints_and_confidence(self, tmp_path):
        x = np.stack([clip(), ASIDE + clip()])
        x[1, 2, 3] = 0.0
        x[0, 1, 0] = np.nan
        confidence = np.ones(x.shape[:3])
        confidence[0, 3] = 0.2
        recording = read(npz, self.write(tmp_path / "a.npz", positions=x, confidence=confidence))
        assert np.isnan(seen(recording, "head#2")).all(axis=1).tolist() == [False, False, True, False, False]
        assert np.isnan(seen(recording, "pelvis")).all(axis=1).tolist() == [False, True, False, True, False]

    def test_parents_and_names_of_one_s_own(self, tmp_path):
        names, parents = np.array(["pelvis", "tail_base", "tail_tip", "head"]), np.array([-1, 0, 1, 0])
        recording = read(npz, self.write(tmp_path / "a.npz", joint_names=names, parents=parents))
        assert "tail_tip" in recording.sensors
        assert recording.extras["layout"].parts[2] == "trunk"

    def test_a_layout_in_the_file_or_given(self, tmp_path):
        layout = find_layout("kinect-20")
        x = np.random.default_rng(0).normal(0, 0.5, (4, 20, 3))
        np.savez(tmp_path / "a.npz", positions=x, sfreq_hz=30.0, layout="kinect-20")
        np.savez(tmp_path / "b.npz", positions=x, sfreq_hz=30.0)
        for recording in (read(npz, tmp_path / "a.npz"), read(npz, tmp_path / "b.npz", layout="kinect-20")):
            assert recording.sensors == layout.meaning
            np.testing.assert_allclose(seen(recording, "left_knee"), x[:, layout.meaning.index("left_knee")], rtol=1e-5)
        with pytest.raises(InputError, match="nothing says which joint is which"):
            read(npz, tmp_path / "b.npz")

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"positions": np.zeros((3, 4))}, "no positions of joints"),
            ({"positions": np.array([["a"]])}, "no positions of joints"),
            ({"positions": clip()[:, :3]}, "names and positions do not fit"),
            ({"positions": np.full_like(clip(), np.nan)}, "nobody is seen"),
            ({"positions": clip(0)}, "no frames"),
            ({"confidence": np.ones((2, 2))}, "confidence does not fit"),
            ({"sfreq_hz": "fast"}, "how many frames a second"),
            ({"sfreq_hz": np.nan}, "implausible frame rate"),
            ({"parents": np.array([-1, 0, 9, 0])}, "no tree of joints"),
            ({"parents": np.array([1, 0, 0, 0])}, "circle"),
            ({"layout": "kinect-21"}, "unknown skeleton layout"),
        ],
    )
    def test_what_is_wrong(self, tmp_path, changed, words):
        with pytest.raises(InputError, match=words):
            read(npz, self.write(tmp_path / "a.npz", **changed))

    def test_code_in_a_file_is_never_run(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return (Path.touch, (tmp_path / "owned",))

        np.savez(tmp_path / "a.npz", positions=np.array([Trap()], dtype=object))
        with pytest.raises(InputError, match="Python objects"):
            read(npz, tmp_path / "a.npz")
        assert not (tmp_path / "owned").exists()

    def test_an_array_that_claims_to_be_huge(self, tmp_path):
        np.save(tmp_path / "x.npy", clip())
        raw = (tmp_path / "x.npy").read_bytes()
        huge = raw.replace(b"(5, 4, 3), }         ", b"(5, 4, 3000000000), }")
        assert huge != raw
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("positions.npy", huge)
        with pytest.raises(InputError, match="more than the file can hold"):
            read(npz, tmp_path / "a.npz")
