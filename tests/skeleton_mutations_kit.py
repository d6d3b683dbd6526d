"""Damage for files of poses, and what they must still be: a clip or one sentence, soon and in little memory."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from mutations_kit import HUGE, change_lines, insert_foreign, memory_limit, time_limit, truncate
from omnipatch.core.errors import InputError
from omnipatch.modalities.skeleton.body import resolve_body
from omnipatch.modalities.skeleton.layout import find_layout
from omnipatch.modalities.skeleton.preprocess import PreprocessConfig, preprocess
from omnipatch.modalities.skeleton.reading import read_skeleton

LIMIT_S = 20
EXTRA_BYTES = 1 << 30  # beyond what a test process holds already
SET = "set.pkl"  # of several clips, one of which is asked for


def flip(rng, raw):
    """A few bytes changed, more often near the start."""
    data = bytearray(raw)
    reach = len(data) if rng.random() < 0.5 else min(len(data), 512)
    for at in rng.integers(0, reach, rng.integers(1, 6)):
        data[at] = rng.integers(0, 256)
    return bytes(data)


def number(rng, raw):
    """A number in the text replaced by an awkward one; four bytes of a binary file by an extreme number."""
    numbers = list(re.finditer(rb"-?\d+(\.\d+)?", raw))
    if numbers and raw.isascii():
        at = numbers[rng.integers(0, len(numbers) if rng.random() < 0.5 else min(len(numbers), 40))]
        return raw[: at.start()] + str(rng.choice(HUGE)).encode() + raw[at.end() :]
    at = int(rng.integers(0, max(1, min(len(raw), 1024) - 4)))
    return raw[:at] + [b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f"][rng.integers(0, 3)] + raw[at + 4 :]


def swap(rng, raw):
    one, two = sorted(int(at) for at in rng.integers(0, len(raw), 2))
    return raw[two:] + raw[one:two] + raw[:one]


def word(rng, raw):
    """A word of the text lost, doubled or replaced by one from elsewhere in the file."""
    words = list(re.finditer(rb"[^\s,\[\]{}:]+", raw))
    if len(words) < 2:
        return flip(rng, raw)
    one, other = (words[i] for i in rng.integers(0, len(words), 2))
    new = [b"", one[0] + b" " + one[0], other[0]][rng.integers(0, 3)]
    return raw[: one.start()] + new + raw[one.end() :]


MUTATORS = (truncate, flip, number, swap, word, change_lines, insert_foreign)


def use(path: Path) -> str | None:
    """Read a file and ask what its joints are; what was wrong with it."""
    try:
        if path.suffix == ".yaml":
            layout = find_layout(path)
            assert resolve_body(layout.meaning, layout).joint == layout.meaning
            return None
        clip = read_skeleton(path, sfreq_hz=30, record="b" if path.name == SET else "")
        x = clip.signals
        assert x.dtype == np.float32
        assert x.shape[0] == len(clip.sensors) == len(set(clip.sensors)) > 0
        assert x.shape[1] == 3
        assert x.shape[2] > 0
        assert not np.isinf(x).any()
        assert np.isfinite(x).any()
        body = resolve_body(clip.sensors, clip.extras["layout"])
        assert len(body.parent) == len(x)
        assert not np.isinf(preprocess(clip, body, PreprocessConfig()).positions).any()
    except InputError as error:
        return str(error)
    return None


def campaign(folder: Path, name: str, raw: bytes, seeds: range) -> dict[str, int]:
    outcomes = {"read": 0, "refused": 0}
    for seed in seeds:
        rng = np.random.default_rng([seed, sum(name.encode())])
        changed = raw
        for _ in range(rng.integers(1, 3)):
            changed = MUTATORS[rng.integers(0, len(MUTATORS))](rng, changed) if changed else changed
        # a new file each time: a set is kept in memory by its name, size and time
        path = folder / str(seed) / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(changed)
        try:
            with time_limit(LIMIT_S), memory_limit(EXTRA_BYTES):
                problem = use(path)
        except Exception as error:
            raise AssertionError(f"seed {seed} of {name}") from error
        outcomes["refused" if problem else "read"] += 1
        assert problem is None or ("\n" not in problem and len(problem) < 1000), f"seed {seed} of {name}: {problem}"
    return outcomes
