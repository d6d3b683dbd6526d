"""Damaged EEG files of every format: each gives a valid recording or one sentence, soon and in little memory."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from eeg_files_kit import WRITERS, head, write_brainvision, write_edf, write_fif, write_gdf, write_set
from mutations_kit import HUGE, change_lines, insert_foreign, memory_limit, time_limit, truncate
from omnipatch.core.errors import InputError
from omnipatch.modalities.eeg.artefacts import channel_quality
from omnipatch.modalities.eeg.electrodes import read_electrodes
from omnipatch.modalities.eeg.mark_files import read_channels, read_events, read_tuev
from omnipatch.modalities.eeg.preprocess import PreprocessConfig, preprocess
from omnipatch.modalities.eeg.reading import read_eeg

LIMIT_S = 20
EXTRA_BYTES = 1 << 30  # beyond what a test process holds already
MARKS = [(0.5, 0.0, "blink"), (1.0, 1.0, "seizure")]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """{ending: {file name: bytes}} of small valid recordings; a name without `r_raw` would make MNE warn of FIF."""
    x, made = head(), {}
    for suffix in WRITERS:
        folder = tmp_path_factory.mktemp(suffix[1:])
        path = folder / f"r_raw{suffix}"
        if suffix == ".gdf":
            write_gdf(path, x, events=[(64, 769), (256, 770)])
        else:
            writer = {".edf": write_edf, ".bdf": write_edf, ".fif": write_fif, ".set": write_set}
            writer.get(suffix, write_brainvision)(path, x, marks=MARKS)
        made[suffix] = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
    return made


def _flip(rng, raw):
    """A few bytes changed, where headers are more often than among the samples."""
    data = bytearray(raw)
    reach = len(data) if rng.random() < 0.3 else min(len(data), 4096)
    for at in rng.integers(0, reach, rng.integers(1, 9)):
        data[at] = rng.integers(0, 256)
    return bytes(data)


def _number(rng, raw):
    """A number in the text of a header replaced by an awkward one of the same width, or of another in a text file."""
    numbers = list(re.finditer(rb"\d+", raw[:4096]))
    if not numbers:
        return _flip(rng, raw)
    at = numbers[rng.integers(0, len(numbers))]
    new = str(rng.choice(HUGE)).encode()
    if not raw.isascii():
        new = new[: at.end() - at.start()].ljust(at.end() - at.start())
    return raw[: at.start()] + new + raw[at.end() :]


def _word(rng, raw):
    """Four or eight bytes of a binary header become an extreme number."""
    width = int(rng.choice([2, 4, 8]))
    at = int(rng.integers(0, max(1, min(len(raw), 2048) - width)))
    value = [b"\xff" * width, b"\0" * width, b"\x7f" * width, b"\0" * (width - 1) + b"\x80"][rng.integers(0, 4)]
    return raw[:at] + value + raw[at + width :]


def _swap(rng, raw):
    one, two = sorted(int(at) for at in rng.integers(0, len(raw), 2))
    return raw[two:] + raw[one:two] + raw[:one]


MUTATORS = (truncate, _flip, _number, _word, _swap, change_lines, insert_foreign)


def _use(path: Path) -> str | None:
    """Read a recording and preprocess it; what was wrong with it."""
    try:
        recording = read_eeg(path)
        x = recording.signals
        assert x.dtype == np.float32
        assert x.ndim == 2
        assert len(x) == len(recording.sensors) == len(set(recording.sensors)) > 0
        assert not np.isinf(x).any()
        duration_s = x.shape[1] / recording.sfreq_hz
        assert all(0 <= a.onset_s <= a.onset_s + a.duration_s <= duration_s + 1e-6 for a in recording.annotations)
        channel_quality(x, recording.sensors, recording.sfreq_hz)
        assert not np.isinf(preprocess(x, recording.sfreq_hz, PreprocessConfig(), recording.sensors)).any()
    except InputError as error:
        return str(error)
    return None


def _campaign(tmp_path, files: dict[str, bytes], suffix: str, seeds: range) -> dict[str, int]:
    outcomes = {"read": 0, "refused": 0}
    for seed in seeds:
        rng = np.random.default_rng([seed, sum(suffix.encode())])
        changed = dict(files)
        for _ in range(rng.integers(1, 3)):
            name = f"r_raw{suffix}" if rng.random() < 0.6 else str(rng.choice(sorted(files)))
            if changed[name]:
                changed[name] = MUTATORS[rng.integers(0, len(MUTATORS))](rng, changed[name])
        folder = tmp_path / str(seed)
        folder.mkdir()
        for name, raw in changed.items():
            (folder / name).write_bytes(raw)
        try:
            with time_limit(LIMIT_S), memory_limit(EXTRA_BYTES):
                problem = _use(folder / f"r_raw{suffix}")
        except Exception as error:
            raise AssertionError(f"seed {seed} of {suffix}") from error
        outcomes["refused" if problem else "read"] += 1
        assert problem is None or ("\n" not in problem and len(problem) < 1000), f"seed {seed} of {suffix}"
    return outcomes


@pytest.mark.parametrize("suffix", sorted(WRITERS))
def test_the_limits_let_a_whole_file_through(tmp_path, recordings, suffix):
    for name, raw in recordings[suffix].items():
        (tmp_path / name).write_bytes(raw)
    with time_limit(LIMIT_S), memory_limit(EXTRA_BYTES):
        assert _use(tmp_path / f"r_raw{suffix}") is None


@pytest.mark.parametrize("suffix", sorted(WRITERS))
def test_a_mutated_file_is_a_recording_or_one_sentence(tmp_path, recordings, suffix, capfd):
    _campaign(tmp_path, recordings[suffix], suffix, range(20))
    assert capfd.readouterr() == ("", "")


TABLES = {
    "events.tsv": ("onset\tduration\ttrial_type\n0.5\t1.0\tgo\n2.0\tn/a\tstop\n", read_events),
    "channels.tsv": ("name\ttype\tstatus\nFp1\tEEG\tgood\nC3\tEOG\tbad\n", read_channels),
    "electrodes.tsv": ("name\tx\ty\tz\nE1\t0.1\t0.2\t0.3\nE2\tn/a\tn/a\tn/a\n", read_electrodes),
    "a.rec": ("0,2.5,3.5,1\n5,2.5,3.5,1\n7,0.5,1.0,6\n", read_tuev),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_mutated_table_beside_a_recording_is_read_or_one_sentence(tmp_path, name):
    text, read = TABLES[name]
    path, problems = tmp_path / name, []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        raw = text.encode()
        for _ in range(rng.integers(1, 3)):
            raw = MUTATORS[rng.integers(0, len(MUTATORS))](rng, raw) if raw else raw
        path.write_bytes(raw)
        try:
            with time_limit(LIMIT_S):
                read(path)
        except InputError as error:
            problems.append(str(error))
    assert 15 <= len(problems) <= 285
    assert not [problem for problem in problems if "\n" in problem]


NATIVE = Path(os.environ.get("OMNIPATCH_DATA", ".")) / "eeg/native"
PARTS = {
    "eegmat_Subject00_2.edf": (), "test.edf": (), "test.bdf": (), "test.vhdr": ("test.vmrk", "test.eeg"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("name", PARTS)
def test_mutated_native_files(tmp_path, name):
    """The same with files of real amplifiers, whose headers hold more than a writer's in a test."""
    suffix = Path(name).suffix
    files = {f"r_raw{Path(part).suffix}": (NATIVE / part).read_bytes() for part in (name, *PARTS[name])}
    files[f"r_raw{suffix}"] = files[f"r_raw{suffix}"].replace(b"test.", b"r_raw.")
    outcomes = _campaign(tmp_path, files, suffix, range(2000, 2100))
    assert min(outcomes.values()) >= 5, outcomes


@pytest.mark.slow
@pytest.mark.parametrize("suffix", sorted(WRITERS))
def test_hundreds_of_mutated_files(tmp_path, recordings, suffix):
    outcomes = _campaign(tmp_path, recordings[suffix], suffix, range(1000, 1300))
    # the campaign means something only when it reaches both sides
    assert min(outcomes.values()) >= 15, outcomes
