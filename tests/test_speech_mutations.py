"""Damaged audio files of every format: each gives a valid recording or one sentence, soon and in little memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mutations_kit import insert_foreign, memory_limit, time_limit, truncate
from omnipatch.core.data.store import WindowStore
from omnipatch.core.errors import InputError
from omnipatch.core.modality import Source
from omnipatch.modalities.speech import Speech
from speech_kit import FORMATS, chirp, write

LIMIT_S = 20
EXTRA_BYTES = 1 << 30  # beyond what a test process holds already
HEADER = 512  # bytes in which headers lie


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """{ending: bytes} of small valid files, two channels with chunks of text where the format has them."""
    folder = tmp_path_factory.mktemp("valid")
    x = np.stack([chirp(0.5), 0.5 * chirp(0.5)])
    return {suffix: write(folder / f"x{suffix}", x).read_bytes() for suffix in FORMATS}


def _flip(rng, raw):
    """A few bytes changed, where headers are more often than among the samples."""
    data = bytearray(raw)
    reach = len(data) if rng.random() < 0.3 else min(len(data), HEADER)
    for at in rng.integers(0, reach, rng.integers(1, 9)):
        data[at] = rng.integers(0, 256)
    return bytes(data)


def _word(rng, raw):
    """Bytes of a header become an extreme number: lengths, rates, counts of channels."""
    width = int(rng.choice([1, 2, 4, 8]))
    at = int(rng.integers(0, max(1, min(len(raw), HEADER) - width)))
    value = [b"\xff" * width, b"\0" * width, b"\x7f" * width, b"\0" * (width - 1) + b"\x80"][rng.integers(0, 4)]
    return raw[:at] + value + raw[at + width :]


def _swap(rng, raw):
    one, two = sorted(int(at) for at in rng.integers(0, len(raw), 2))
    return raw[two:] + raw[one:two] + raw[:one]


def _repeat(rng, raw):
    """A part of the file twice."""
    one, two = sorted(int(at) for at in rng.integers(0, len(raw), 2))
    return raw[:two] + raw[one:]


MUTATORS = (truncate, insert_foreign, _flip, _word, _swap, _repeat)


def _use(path: Path) -> str | None:
    """Read a file and make its tokens; what was wrong with it."""
    speech = Speech()
    try:
        recording = speech.read(path)
        x = recording.signals
        assert x.dtype == np.float32
        assert x.ndim == 2
        assert len(x) == len(recording.sensors) > 0
        assert x.shape[1] > 0
        assert not np.isinf(x).any()
        speech.quality(recording)
        for window in speech.windows(recording):
            values = speech.patchify(window).values
            assert values is not None
            assert not values.isinf().any()
    except InputError as error:
        return str(error)
    return None


def _campaign(tmp_path, suffix: str, raw: bytes, seeds: range) -> dict[str, int]:
    outcomes = {"read": 0, "refused": 0}
    for seed in seeds:
        rng = np.random.default_rng([seed, sum(suffix.encode())])
        changed = raw
        for _ in range(rng.integers(1, 3)):
            changed = MUTATORS[rng.integers(0, len(MUTATORS))](rng, changed) if changed else changed
        path = tmp_path / f"{seed}{suffix}"
        path.write_bytes(changed)
        try:
            with time_limit(LIMIT_S), memory_limit(EXTRA_BYTES):
                problem = _use(path)
        except Exception as error:
            raise AssertionError(f"seed {seed} of {suffix}") from error
        outcomes["refused" if problem else "read"] += 1
        assert problem is None or ("\n" not in problem and len(problem) < 1000), f"seed {seed} of {suffix}"
    return outcomes


def test_a_corpus_goes_on_without_what_cannot_be_used_and_says_why(tmp_path):
    sound = chirp(0.5)
    write(tmp_path / "good.wav", sound)
    write(tmp_path / "clipped.flac", np.clip(10 * sound, -0.5, 0.5))
    write(tmp_path / "fast.wav", chirp(0.5, 192_000), 192_000)
    write(tmp_path / "many.wav", np.stack([sound] * 8))
    write(tmp_path / "single.wav", sound[:1])
    write(tmp_path / "silent.ogg", 0 * sound)
    write(tmp_path / "none.wav", sound[:0])
    (tmp_path / "empty.mp3").touch()
    (tmp_path / "cut.wav").write_bytes(write(tmp_path / "whole.wav", sound).read_bytes()[:2000])
    (tmp_path / "text.wav").write_text("not a sound")
    sources = [Source(path, path.name, path.stem) for path in sorted(tmp_path.iterdir())]
    store = WindowStore.prepare(Speech(), sources, None, tmp_path / "cache")
    assert set(store.records) == {"good.wav", "whole.wav", "clipped.flac", "fast.wav"}
    assert store.quality.keys() == {"clipped.flac"}
    reasons = {skipped.record: skipped.reason for skipped in store.skipped}
    words = {
        "many.wav": "more than two channels",
        "single.wav": "too short",
        "silent.ogg": "no sound",
        "none.wav": "no samples",
        "empty.mp3": "cannot be read as audio",
        "cut.wav": "ends early",
        "text.wav": "cannot be read as audio",
    }
    assert reasons.keys() == words.keys()
    assert [name for name, reason in reasons.items() if words[name] not in reason or "\n" in reason] == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_limits_let_a_whole_file_through(tmp_path, files, suffix):
    (tmp_path / f"x{suffix}").write_bytes(files[suffix])
    with time_limit(LIMIT_S), memory_limit(EXTRA_BYTES):
        assert _use(tmp_path / f"x{suffix}") is None


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_mutated_file_is_a_recording_or_one_sentence(tmp_path, files, suffix):
    _campaign(tmp_path, suffix, files[suffix], range(30))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", FORMATS)
def test_hundreds_of_mutated_files(tmp_path, files, suffix):
    outcomes = _campaign(tmp_path, suffix, files[suffix], range(1000, 1500))
    # the campaign means something only when it reaches both sides; flac and ogg notice nearly any change by checksums
    assert outcomes["refused"] >= 10, outcomes
    assert outcomes["read"] >= (10 if suffix in (".wav", ".mp3") else 1), outcomes
