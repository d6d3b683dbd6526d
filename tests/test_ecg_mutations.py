"""Hundreds of damaged WFDB records: each gives a valid recording or one CorruptFileError, soon and in little memory."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from ecg_kit import STANDARD_LEADS, adapter, named, patient, with_leads, write_challenge, write_dat, write_marks
from mutations_kit import HUGE, change_lines, insert_foreign, memory_limit, time_limit, truncate
from omnipatch.core.errors import InputError
from omnipatch.modalities.ecg.leads import DIRECTIONS
from omnipatch.modalities.ecg.reading import read_wfdb

SEEDS = 200  # for each of the five kinds of record
LIMIT_S = 5


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """{kind: {file name: bytes}} of small valid records."""
    whole = patient(0, STANDARD_LEADS, duration_s=3.0)
    two = with_leads(whole, [1, 6])
    beats = [(20, "+", "(N"), *((at, "N", "") for at in range(60, 700, 90)), (720, "+", "(AFIB"), (740, "V", "")]
    waves = [m for at in range(60, 700, 90) for m in ((at - 9, "(", ""), (at, "N", ""), (at + 9, ")", ""))]
    kinds = {}
    for kind in ("16", "212", "ludb", "mat4", "mat5"):
        folder = tmp_path_factory.mktemp(kind)
        if kind.startswith("mat"):
            write_challenge(folder, "r", named(whole), 250.0, record_name="r.mat", mat=kind[3:])
        else:
            header = write_dat(folder, "r", named(two), fmt="212" if kind == "212" else "16", comments=["Dx: 1,2"])
            write_marks(header, waves if kind == "ludb" else beats, "ii" if kind == "ludb" else "atr")
        kinds[kind] = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
    return kinds


def _flip(rng, raw):
    data = bytearray(raw)
    for at in rng.integers(0, len(data), rng.integers(1, 9)):
        data[at] = rng.integers(0, 256)
    return bytes(data)


def _number(rng, raw):
    """A number of a header replaced by an awkward one; for other files a flipped start, where their own header is."""
    numbers = list(re.finditer(rb"\d+", raw)) if raw.isascii() else []
    if not numbers:
        return _flip(rng, raw[:64]) + raw[64:]
    at = numbers[rng.integers(0, min(len(numbers), 40))]
    return raw[: at.start()] + str(rng.choice(HUGE)).encode() + raw[at.end() :]


def _swap(rng, raw):
    """Two words (or stretches of bytes) exchanged."""
    words = raw.split(b" ")
    if len(words) < 4:
        cut = int(rng.integers(0, len(raw)))
        return raw[cut:] + raw[:cut]
    i, j = rng.integers(0, len(words), 2)
    words[i], words[j] = words[j], words[i]
    return b" ".join(words)


MUTATORS = (truncate, _flip, _number, _swap, change_lines, insert_foreign)


@pytest.mark.parametrize("kind", ["16", "212", "ludb", "mat4", "mat5"])
def test_a_mutated_record_is_a_recording_or_one_sentence(tmp_path, records, kind):
    ecg, outcomes = adapter(), {"read": 0, "refused": 0}
    for seed in range(SEEDS):
        rng = np.random.default_rng([seed, len(kind)])
        files = dict(records[kind])
        for _ in range(rng.integers(1, 3)):
            # the header is the smallest file and the one with most to get wrong
            name = "r.hea" if rng.random() < 0.5 else str(rng.choice(sorted(files)))
            if files[name]:
                files[name] = MUTATORS[rng.integers(0, len(MUTATORS))](rng, files[name])
        folder = tmp_path / str(seed)
        folder.mkdir()
        for name, raw in files.items():
            (folder / name).write_bytes(raw)
        with time_limit(LIMIT_S):
            problem = _use(ecg, folder / "r.hea")
        outcomes["refused" if problem else "read"] += 1
        assert problem is None or len(problem) < 1000
    # the campaign means something only when it reaches both sides
    assert min(outcomes.values()) >= SEEDS // 10, outcomes


def _use(ecg, header: Path) -> str | None:
    """Read a record and cut its windows; what was wrong with it."""
    try:
        recording = read_wfdb(header)
        _check(recording)
        ecg.quality(recording)
        for window in ecg.windows(recording, "beats"):
            assert not np.isinf(window.values).any()
    except InputError as error:
        return str(error)
    return None


def _check(recording) -> None:
    x = recording.signals
    assert x.dtype == np.float32
    assert x.ndim == 2
    assert len(x) == len(recording.sensors) == len(set(recording.sensors)) > 0
    assert set(recording.sensors) <= set(DIRECTIONS)
    assert not np.isinf(x).any()
    duration_s = x.shape[1] / recording.sfreq_hz
    assert all(a.onset_s >= 0 and a.onset_s + a.duration_s <= duration_s + 1e-6 for a in recording.annotations)


@pytest.mark.parametrize("kind", ["16", "212", "mat4"])
@pytest.mark.parametrize("claim", ["1000000000", "1000000000000", "9" * 25])
def test_a_claimed_length_is_never_allocated(tmp_path, records, kind, claim):
    for name, raw in records[kind].items():
        (tmp_path / name).write_bytes(raw)
    header = tmp_path / "r.hea"
    header.write_text(header.read_text().replace(" 250 750", f" 250 {claim}", 1))
    with time_limit(LIMIT_S), memory_limit(64 << 20), pytest.raises(InputError, match="shorter than its header says"):
        read_wfdb(header)


@pytest.mark.parametrize("claim", ["1000000000", "1000000000000"])
def test_a_compressed_file_cannot_claim_more_either(tmp_path, claim):
    x = patient(0, duration_s=3.0)
    header = write_dat(tmp_path, "r", named(x), fmt="516")
    np.testing.assert_allclose(read_wfdb(header).signals, x.signals, atol=0.003)
    header.write_text(header.read_text().replace(" 250 750", f" 250 {claim}", 1))
    with time_limit(LIMIT_S), memory_limit(64 << 20), pytest.raises(InputError):
        read_wfdb(header)
