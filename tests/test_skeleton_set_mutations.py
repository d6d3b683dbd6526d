"""Damaged archives and pickles of whole data sets: lists of clips that open or say why not, or one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mutations_kit import memory_limit, time_limit
from omnipatch.core.errors import InputError
from omnipatch.core.modality import Source
from omnipatch.modalities.skeleton import Skeleton
from omnipatch.modalities.skeleton.datasets import DATASETS
from skeleton_mutations_kit import EXTRA_BYTES, LIMIT_S, MUTATORS
from skeleton_sets_kit import msr_arrays, ntu_folder, pyskl_file, save, ui_prmd_arrays

NAMES = ("S001C001P001R001A001", "S002C002P003R002A120", "S017C003P008R001A060")
SPLITS = {
    "xsub_train": [NAMES[0]],
    "xsub_val": [NAMES[1]],
    "xview_train": [NAMES[1], NAMES[2]],
    "xview_val": [NAMES[0]],
}
EXTREME = (0, -1, 1, 255, 32767, -32768, 2**31, -(2**62), 2**63 - 1)

Arrays = dict[str, np.ndarray]


def _value(rng: np.random.Generator, array: np.ndarray) -> np.ndarray:
    """One number becomes one that it should not be."""
    array = array.copy() if rng.random() < 0.5 else array.astype(rng.choice(["int64", "float64", "uint8"]))
    at = int(rng.integers(0, max(1, array.size)))
    if array.size and array.dtype.kind in "iu":
        limits = np.iinfo(array.dtype)
        array.flat[at] = np.clip(int(rng.choice(EXTREME)), limits.min, limits.max)
    elif array.size:
        array.flat[at] = rng.choice([np.nan, np.inf, -1e30, 0.5])
    return array


def _shape(rng: np.random.Generator, array: np.ndarray) -> np.ndarray:
    """Shorter, longer, or of another number of axes."""
    if array.ndim == 0:
        return np.array([array])
    cut = int(rng.integers(0, len(array) + 1))
    return [array[:cut], np.concatenate([array, array[:cut]]), array[..., None], array.ravel()][rng.integers(0, 4)]


def _other(rng: np.random.Generator, array: np.ndarray) -> np.ndarray:
    """Of another kind."""
    return [array.astype("U8"), array > 0, array + 0j, np.array("none"), np.zeros(0)][rng.integers(0, 5)]


def _damaged(rng: np.random.Generator, arrays: Arrays) -> Arrays:
    name = str(rng.choice(sorted(arrays)))
    if rng.random() < 0.1:
        return {key: array for key, array in arrays.items() if key != name}
    numeric = arrays[name].dtype.kind in "iuf"
    change = [_value, _shape, _other][rng.choice(3, p=[0.6, 0.25, 0.15])] if numeric else _shape
    return arrays | {name: change(rng, arrays[name])}


def _of_arrays(arrays: Arrays) -> Callable[[np.random.Generator, Path], Path]:
    return lambda rng, folder: save(folder / "set.npz", _damaged(rng, arrays))


def _of_bytes(raw: bytes, name: str) -> Callable[[np.random.Generator, Path], Path]:
    def write(rng: np.random.Generator, folder: Path) -> Path:
        (folder / name).write_bytes(MUTATORS[rng.integers(0, len(MUTATORS))](rng, raw))
        return folder / name

    return write


def _of_names(whole: bytes) -> Callable[[np.random.Generator, Path], Path]:
    """Files whose names, contents or both are damaged."""

    def write(rng: np.random.Generator, folder: Path) -> Path:
        for name in NAMES:
            letters = list(name)
            if rng.random() < 0.5:
                letters[rng.integers(0, len(letters))] = str(rng.choice(list("0189SAX _")))
            raw = MUTATORS[rng.integers(0, len(MUTATORS))](rng, whole) if rng.random() < 0.5 else whole
            (folder / f"{''.join(letters)}.skeleton").write_bytes(raw)
        return folder

    return write


@pytest.fixture(scope="module")
def makers(tmp_path_factory):
    """{data set: what writes a damaged one into a folder and says where}."""
    folder = tmp_path_factory.mktemp("valid")
    ntu = (ntu_folder(folder / "ntu", NAMES[:1]) / f"{NAMES[0]}.skeleton").read_bytes()
    pickled = pyskl_file(folder / "a.pkl", NAMES, SPLITS).read_bytes()
    return {
        "ui-prmd": _of_arrays(ui_prmd_arrays()), "msr-action3d": _of_arrays(msr_arrays()),
        "ntu": _of_names(ntu), "ntu-xset": _of_names(ntu),
        "pyskl": _of_bytes(pickled, "a.pkl"), "pyskl-xview": _of_bytes(pickled, "a.pkl"),
    }  # fmt: skip


SETS = ("ui-prmd", "msr-action3d", "ntu", "ntu-xset", "pyskl", "pyskl-xview")


def _listed(name: str, root: Path) -> tuple[list[Source], str]:
    """Clips of a data set, or what is wrong with it."""
    try:
        return DATASETS[name].list_sources(root), ""
    except InputError as error:
        return [], str(error)


def _opened(skeleton: Skeleton, source: Source) -> str:
    """What is wrong with a clip, "" = nothing."""
    try:
        recording = skeleton.load(source)
    except InputError as error:
        return str(error)
    assert recording.signals.dtype == np.float32
    assert recording.signals.shape[1] == 3
    assert not np.isinf(recording.signals).any()
    return ""


def _campaign(folder: Path, name: str, make, seeds: range) -> dict[str, int]:
    outcomes, skeleton = {"read": 0, "refused": 0}, Skeleton()
    known = {
        label for task in DATASETS[name].tasks for label in (*skeleton.task(task).classes, *skeleton.task(task).given)
    }
    for seed in seeds:
        rng = np.random.default_rng([seed, len(name)])
        own = folder / str(seed)  # a new one each time: sets stay in memory by name, size and time
        own.mkdir()
        root = make(rng, own)
        try:
            with time_limit(LIMIT_S), memory_limit(EXTRA_BYTES):
                sources, problem = _listed(name, root)
                problems = [problem, *(_opened(skeleton, source) for source in sources[:6])]
        except Exception as error:
            raise AssertionError(f"seed {seed} of {name}") from error
        outcomes["refused" if problem else "read"] += 1
        assert all("\n" not in text and len(text) < 1000 for text in problems), f"seed {seed} of {name}: {problems}"
        # whatever is in a set, a clip is of its own files and a label one of its classes
        assert all(root in (source.path, *source.path.parents) for source in sources), f"seed {seed}"
        assert all(set(source.label) <= known for source in sources), f"seed {seed}"
    return outcomes


@pytest.mark.parametrize("name", SETS)
def test_a_damaged_set_is_a_list_or_one_sentence(tmp_path, makers, name):
    _campaign(tmp_path, name, makers[name], range(25))


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_hundreds_of_damaged_sets(tmp_path, makers, name):
    outcomes = _campaign(tmp_path, name, makers[name], range(1000, 1500))
    # the campaign means something only when it reaches both sides
    assert outcomes["read"] >= 15, outcomes
    assert outcomes["refused"] >= (1 if name.startswith("ntu") else 15), outcomes
