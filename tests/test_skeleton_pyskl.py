"""Annotation pickles: read as they are written by pyskl, and never executed."""

from __future__ import annotations

import os
import pickle
import pickletools
import subprocess
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mutations_kit import memory_limit, time_limit
from omnipatch.core.errors import CorruptFileError, InputError
from omnipatch.modalities.skeleton.formats.pyskl import read_annotations
from omnipatch.modalities.skeleton.formats.safe_pickle import load_pickle
from omnipatch.modalities.skeleton.reading import read_skeleton
from skeleton_files_kit import annotation, walker, write_pyskl


def _two_clips(path, **options):
    image = walker("coco-17", persons=2, axes=2)
    depth = walker("ntu-25")
    score = np.full(image.shape[:3], 0.9)
    score[1, 2, 3] = 0.1
    write_pyskl(
        path, [annotation(image, "wave", 3, score), annotation(depth, "sit", 0)],
        {"xsub_train": ["wave"], "xsub_val": ["sit"]}, **options,
    )  # fmt: skip
    return image, depth


def test_clips_labels_and_splits(tmp_path):
    image, depth = _two_clips(tmp_path / "a.pkl")
    found = read_annotations(tmp_path / "a.pkl")
    assert list(found.clips) == ["wave", "sit"]
    assert found.splits == {"xsub_train": ("wave",), "xsub_val": ("sit",)}
    assert found.label("wave") == "3"
    clip = read_skeleton(tmp_path / "a.pkl", record="wave")
    assert (clip.record, clip.label, clip.unit, clip.sfreq_hz) == ("wave", ("3",), "px", 30.0)
    assert clip.extras["image_size"] == (480, 640)
    assert np.argwhere(np.isnan(clip.signals[:, 0])).tolist() == [[17 + 3, 2]]
    np.testing.assert_allclose(clip.signals[:17, 1], -image[0, ..., 1].T, atol=0.2)  # stored in half precision
    clip = read_skeleton(tmp_path / "a.pkl", record="sit")
    assert clip.extras["layout"].name == "ntu-25"
    np.testing.assert_allclose(clip.signals.transpose(2, 0, 1), depth[0], atol=2e-3)


def test_the_only_clip_needs_no_name(tmp_path):
    write_pyskl(tmp_path / "a.pkl", [annotation(walker("ntu-25"), "sit", 0)])
    assert read_skeleton(tmp_path / "a.pkl").record == "sit"


def test_a_person_padded_with_zeros_is_not_there(tmp_path):
    x = walker("ntu-25", persons=2)
    x[1] = 0
    x[0, 4, 9] = 0
    write_pyskl(tmp_path / "a.pkl", [annotation(x, "sit", 0)])
    clip = read_skeleton(tmp_path / "a.pkl")
    assert len(clip.sensors) == 25
    assert np.argwhere(np.isnan(clip.signals[:, 0])).tolist() == [[9, 4]]


BAD = {
    "the file holds several clips": (lambda row: [row, row | {"frame_dir": "b"}], {}),
    "no such clip": (lambda row: [row], {"record": "c"}),
    "one clip stands twice": (lambda row: [row, row], {}),
    "field keypoint, got NoneType": (lambda row: [row | {"keypoint": None}], {}),
    "field keypoint, got list": (lambda row: [row | {"keypoint": row["keypoint"].tolist()}], {}),
    "field keypoint, got float16 of (12, 25, 3)": (lambda row: [row | {"keypoint": row["keypoint"][0]}], {}),
    "field keypoint, got <U1": (lambda row: [row | {"keypoint": np.full((1, 12, 25, 3), "x")}], {}),
    "ragged frames": (lambda row: [row | {"total_frames": 11}], {}),
    "confidence does not fit": (lambda row: [row | {"keypoint_score": np.ones((1, 12, 24))}], {}),
    "does not say what its joints are": (lambda row: [row | {"keypoint": row["keypoint"][:, :, :7]}], {}),
    "built-in layouts with 25 joints": (lambda row: [row], {"layout": "coco-17"}),
    "nobody is seen": (lambda row: [row | {"keypoint": row["keypoint"] * 0}], {}),
    "no annotations": (lambda row: [], {}),
    "no annotations, field annotations, got list": (lambda row: [1, 2], {}),
    "field split": (lambda row: {"annotations": [row], "split": {"a": 3}}, {}),
}


@pytest.mark.parametrize("says", BAD)
def test_what_is_no_annotation_is_refused(tmp_path, says):
    change, options = BAD[says]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(change(annotation(walker("ntu-25"), "a", 0))))
    with pytest.raises(InputError) as error:
        read_skeleton(tmp_path / "a.pkl", **options)
    assert says in str(error.value)
    assert "a.pkl" in str(error.value)


def _same(one, other):
    if isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
        return one.dtype == other.dtype
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and all(map(_same, one, other))
    return type(one) is type(other) and (one == other or one != one)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
    | arrays.arrays(
        st.sampled_from(["f2", "<f4", ">f8", "i8", "u1", "?", "U3", "S2"]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    )
    | st.sampled_from([np.float32(0.5), np.int64(3), np.bool_(True), bytearray(b"ab"), OrderedDict(a=1), {1, 2}]),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)  # fmt: skip


@given(PLAIN, st.integers(0, pickle.HIGHEST_PROTOCOL), st.booleans())
def test_arrays_and_containers_come_back_as_they_were(tmp_path_factory, value, protocol, fortran):
    if fortran and isinstance(value, np.ndarray):
        value = np.asfortranarray(value)
    path = tmp_path_factory.getbasetemp() / "plain.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    assert _same(value, load_pickle(path))


class _Touch:
    """Runs a command when it is unpickled."""

    def __init__(self, function, *arguments):
        self._call = function, arguments

    def __reduce__(self):
        return self._call


def _exploits(mark):
    touch = f"touch {mark}"
    shared = _Touch(os.system, touch)
    yield pickle.dumps(shared)
    yield pickle.dumps({"annotations": [{"keypoint": shared}]})
    yield pickle.dumps(np.array([shared], dtype=object))
    yield pickle.dumps(_Touch(eval, f"__import__('os').system('{touch}')"))
    yield pickle.dumps(_Touch(subprocess.check_output, ["touch", str(mark)]))
    yield pickle.dumps(_Touch(getattr, "text", "upper"))
    yield pickle.dumps([shared], protocol=0)
    yield pickle.dumps(np.lib.format.open_memmap)
    yield b"(S'" + touch.encode() + b"'\nios\nsystem\n."  # INST
    yield b"(cos\nsystem\nS'" + touch.encode() + b"'\no."  # OBJ
    yield b"Pos.system\n."  # persistent id
    yield b"\x82\x01."  # extension registry
    yield b"cnumpy\nload\n(S'x'\ntR."
    yield b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'O8'\ntRS'x'\ntR."
    # writes to a function that is on the list: BUILD with (state, attributes)
    yield b"cnumpy.core.multiarray\nscalar\n(N}S'__doc__'\nS'x'\nstb."
    yield b"\x80\x04\x8c\x08builtins\x8c\x05bytes\x93}\x8c\x07__doc__\x8c\x01xsb."
    yield b"cnumpy\nndarray\n}S'array'\nS'x'\nsb."


def test_a_pickle_with_code_in_it_is_never_executed(tmp_path):
    mark = tmp_path / "executed"
    count = 0
    for raw in _exploits(mark):
        path = tmp_path / f"{count}.pkl"
        path.write_bytes(raw)
        for read in (load_pickle, read_annotations):
            with pytest.raises(InputError) as error:
                read(path)
            assert "\n" not in str(error.value)
        assert not mark.exists()
        count += 1
    assert count >= 15
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(_Touch(os.system, f"touch {mark}")))
    with pytest.raises(InputError, match=r"was not executed, got \w+\.system; save keypoints"):
        read_skeleton(tmp_path / "a.pkl")


def _bombs():
    yield b"\x80\x04r\xff\xff\xff\xff."  # a place in the memo
    yield b"]" + b"r" + (2**31).to_bytes(4, "little") + b"."
    yield b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b"ab."  # a length
    yield b"\x80\x04\x8c\x08builtins\x8c\x05bytes\x93J\xff\xff\xff\x7f\x85R."  # bytes(number)
    yield b"\x80\x04\x8c\x08builtins\x8c\x09bytearray\x93J\xff\xff\xff\x7f\x85R."
    yield b"cnumpy\ndtype\n(S'S0'\ntR."
    yield b"(" + b"l" * 10
    yield b"(" * 200_000 + b"t" * 199_999 + b"."
    # each tuple twice in the next: 2 ** 200 leaves in 600 bytes
    yield b"(I1\n" + b"t2" * 200 + b"."
    empty = np.zeros((1 << 30, 0))
    yield pickle.dumps(empty)[:-20]
    yield pickletools.optimize(pickle.dumps(np.zeros(3))).replace(b"K\x03\x85", b"J\xff\xff\xff\x7f\x85")


def test_a_pickle_that_claims_much_costs_little(tmp_path):
    for number, raw in enumerate(_bombs()):
        path = tmp_path / f"{number}.pkl"
        path.write_bytes(raw)
        with time_limit(10), memory_limit(1 << 30):
            for read in (load_pickle, read_annotations):
                try:
                    read(path)
                except InputError as error:
                    assert "\n" not in str(error)  # noqa: PT017


def test_a_truncated_pickle_is_a_corrupt_file(tmp_path):
    _two_clips(tmp_path / "a.pkl")
    raw = (tmp_path / "a.pkl").read_bytes()
    for end in range(0, len(raw), max(1, len(raw) // 60)):
        (tmp_path / "b.pkl").write_bytes(raw[:end])
        with pytest.raises(CorruptFileError):
            read_skeleton(tmp_path / "b.pkl", record="sit")
