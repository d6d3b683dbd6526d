"""NTU RGB+D text files: everybody in them, in their order, with what was lost left out; errors that name a line."""

from __future__ import annotations

import numpy as np
import pytest
from mutations_kit import memory_limit
from omnipatch.core.errors import CorruptFileError, InputError
from omnipatch.modalities.skeleton.reading import read_skeleton
from skeleton_files_kit import walker, write_ntu


def _of_person(clip, person):
    """[frame, joint, 3]."""
    return clip.signals[25 * person : 25 * (person + 1)].transpose(2, 0, 1)


def test_positions_names_and_rate(tmp_path):
    x = walker("ntu-25")
    write_ntu(tmp_path / "S001C001P001R001A001.skeleton", x)
    clip = read_skeleton(tmp_path / "S001C001P001R001A001.skeleton")
    np.testing.assert_allclose(_of_person(clip, 0), x[0], atol=1e-5)
    assert (clip.record, clip.sfreq_hz, clip.unit) == ("S001C001P001R001A001", 30.0, "m")
    assert clip.sensors[:4] == ("pelvis", "spine", "neck", "head")
    assert clip.extras["layout"].name == "ntu-25"


def test_lost_joints_are_missing_and_inferred_ones_stay_unless_more_is_asked_for(tmp_path):
    x = walker("ntu-25")
    state = np.full(x.shape[:3], 2)
    state[0, 3, 7] = 0
    state[0, 4, 8] = 1
    write_ntu(tmp_path / "a.skeleton", x, state)
    clip = read_skeleton(tmp_path / "a.skeleton")
    assert np.argwhere(np.isnan(clip.signals[:, 0])).tolist() == [[7, 3]]
    assert clip.extras["confidence"][8, 4] == 0.5
    strict = read_skeleton(tmp_path / "a.skeleton", least_confidence=0.6)
    assert np.argwhere(np.isnan(strict.signals[:, 0])).tolist() == [[7, 3], [8, 4]]


def test_who_moves_most_comes_first_and_who_is_away_is_missing(tmp_path):
    x = walker("ntu-25", frames=20, persons=3)
    x[0] = x[0, :1]  # a chair
    x[2] += np.linspace(0, 2, 20)[:, None, None]
    absent = [(2, frame) for frame in range(5)]
    write_ntu(tmp_path / "a.skeleton", x, absent=absent)
    clip = read_skeleton(tmp_path / "a.skeleton")
    assert len(clip.sensors) == 75
    np.testing.assert_allclose(_of_person(clip, 0)[5:], x[2, 5:], atol=1e-5)
    assert np.isnan(_of_person(clip, 0)[:5]).all()
    np.testing.assert_allclose(_of_person(clip, 1), x[1], atol=1e-5)
    np.testing.assert_allclose(_of_person(clip, 2), x[0], atol=1e-5)


def test_frames_without_anybody_keep_their_time(tmp_path):
    write_ntu(tmp_path / "a.skeleton", walker("ntu-25", frames=6), absent=[(0, 0), (0, 3)])
    clip = read_skeleton(tmp_path / "a.skeleton", sfreq_hz=15)
    assert np.flatnonzero(np.isnan(clip.signals[0, 0])).tolist() == [0, 3]
    assert clip.sfreq_hz == 15


def _lines(tmp_path, **options):
    write_ntu(tmp_path / "a.skeleton", walker("ntu-25", frames=3), **options)
    return (tmp_path / "a.skeleton").read_text().splitlines()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: lines[:40], "the file ends early"),
        (lambda lines: [], "the file ends early"),
        (lambda lines: ["three", *lines[1:]], "no count, field line 1"),
        (lambda lines: ["-1", *lines[1:]], "implausible count, field line 1"),
        (lambda lines: ["9" * 30, *lines[1:]], "implausible count"),
        (lambda lines: [lines[0], "7", *lines[2:]], "field line 2, got 7"),
        (lambda lines: [*lines[:2], "72057", *lines[3:]], "no body, field line 3"),
        (lambda lines: [*lines[:3], "20", *lines[4:]], "wrong number of joints, field line 4, got 20"),
        (lambda lines: [*lines[:4], lines[4] + " 1", *lines[5:]], "field line 5, got 13, expected 12"),
        (lambda lines: [*lines[:4], lines[4].replace("0.", "O.", 1), *lines[5:]], "not a number"),
        (lambda lines: [*lines[:4], lines[4][:-1] + "3", *lines[5:]], "unknown tracking state"),
        (lambda lines: ["0"], "nobody"),
    ],
)
def test_a_broken_file_is_refused_with_the_line(tmp_path, change, says):
    lines = change(_lines(tmp_path))
    (tmp_path / "a.skeleton").write_text("\n".join(lines))
    with pytest.raises(CorruptFileError) as error:
        read_skeleton(tmp_path / "a.skeleton")
    assert says in str(error.value)
    assert "a.skeleton" in str(error.value)


@pytest.mark.slow
def test_many_people_in_a_long_file_without_anybody_cost_little(tmp_path):
    """Twelve of them once each, then nothing for as long as a file may be."""
    x = walker("ntu-25", frames=20, persons=20)
    write_ntu(tmp_path / "a.skeleton", x, absent=[(p, f) for p in range(20) for f in range(20) if p != f])
    lines = (tmp_path / "a.skeleton").read_text().splitlines()
    (tmp_path / "a.skeleton").write_text("\n".join(["10000", *lines[1:], *["0"] * 9_980]))
    with memory_limit(1 << 30):
        clip = read_skeleton(tmp_path / "a.skeleton")
    assert clip.signals.shape == (12 * 25, 3, 10_000)


def test_a_body_cannot_be_twice_in_a_frame(tmp_path):
    lines = _lines(tmp_path)
    body = lines[2:29]
    (tmp_path / "a.skeleton").write_text("\n".join(["1", "2", *body, *body]))
    with pytest.raises(CorruptFileError, match="one body twice"):
        read_skeleton(tmp_path / "a.skeleton")


def test_a_clip_in_which_everything_was_lost_is_refused(tmp_path):
    write_ntu(tmp_path / "a.skeleton", walker("ntu-25"), np.zeros((1, 12, 25), int))
    with pytest.raises(InputError, match="nobody is seen"):
        read_skeleton(tmp_path / "a.skeleton")


def test_an_unknown_ending_names_the_known_ones(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(InputError, match=r"\.skeleton"):
        read_skeleton(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="no such file"):
        read_skeleton(tmp_path / "b.skeleton")
