"""Log-mel: right numbers by closed form, and the same ones with and without torchaudio and its native library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.errors import InputError
from omnipatch.modalities.speech import mel
from omnipatch.modalities.speech.mel import MelShape, PlainMelSpectrum, log_mel
from speech_kit import chirp, tone

SHAPE = MelShape()


def test_a_tone_is_in_its_band():
    for hz in (200.0, 1000.0, 4000.0):
        loudest = log_mel(tone(hz=hz), SHAPE).mean(axis=1).argmax()
        low, high = SHAPE.edges_hz[loudest], SHAPE.edges_hz[loudest + 2]
        assert low < hz < high


def test_the_power_of_a_tone_is_that_of_its_transform():
    """At the frequency of a bin a tone of size a gives (a * sum(window) / 2)^2, weighted by the triangles."""
    hz = 32 * SHAPE.sfreq_hz / SHAPE.transform
    power = np.exp(log_mel(tone(hz=hz, size=0.3), SHAPE)).sum(axis=0)[20]
    window = np.zeros(SHAPE.transform)
    window[: SHAPE.frame] = np.hanning(SHAPE.frame + 1)[:-1]
    spectrum = (0.3 * np.abs(np.fft.rfft(window)) / 2) ** 2  # by distance from the tone
    filters = mel._triangles(SHAPE).sum(dim=0).numpy()
    expected = sum(spectrum[abs(k - 32)] * filters[k] for k in range(SHAPE.transform // 2 + 1) if abs(k - 32) < 9)
    assert power == pytest.approx(expected, rel=1e-3)


def test_frames_are_where_the_sound_is():
    x = np.zeros(16_000, np.float32)
    x[8000:8160] = tone(0.01, 1000.0)  # the fiftieth hop
    assert log_mel(x, SHAPE).sum(axis=0).argmax() == 50


@given(st.integers(0, 20_000))
@settings(max_examples=25, deadline=None)
def test_as_many_frames_as_whole_hops(samples):
    assert log_mel(np.ones(samples, np.float32), SHAPE).shape == (40, samples // 160)


def test_pieces_change_nothing(monkeypatch):
    whole = log_mel(chirp(3.0), SHAPE)
    monkeypatch.setattr(mel, "_PIECE", 37)
    np.testing.assert_allclose(log_mel(chirp(3.0), SHAPE), whole, atol=1e-4)


def test_every_band_hears_something():
    filters = PlainMelSpectrum(SHAPE).filters
    assert (filters.sum(dim=1) > 0.1).all()
    # triangles of neighbours add up to one between the outer peaks
    inner = filters[:, 8:240].sum(dim=0)
    assert inner.min() > 0.95
    assert inner.max() < 1.05


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"highest_hz": 9000.0}, "do not fit the rate, got 50 to 9000 Hz, expected inside 0 to 8000 Hz"),
        ({"lowest_hz": 8000.0}, "do not fit the rate"),
        ({"hop_s": 0.03}, "frames must not be shorter"),
        ({"bands": 0}, "no mel bands"),
        ({"bands": 300}, "expected 1 to 256"),
    ],
)
def test_impossible_shapes_are_one_sentence(options, words):
    with pytest.raises(InputError, match=words):
        MelShape(**options)


# ---- torchaudio in its three states ---------------------------------------------------------------------------

_ASK = """
import json, sys
import numpy as np
from omnipatch.core.compat import ensure_torchaudio
from omnipatch.modalities.speech.mel import MelShape, log_mel, mel_spectrum
state, x = ensure_torchaudio(), np.random.default_rng(0).normal(size=16000).astype("f4") * 0.1
shape = MelShape()
found = log_mel(x, shape)
print(json.dumps([state, type(mel_spectrum(shape)).__name__, found.tolist()]))
"""

# torchaudio's own code with a native library that cannot load, whatever this machine has
_UNLOADABLE = """
import importlib.abc, sys
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torchaudio._extension":
            raise OSError("libcudart.so.13: cannot open shared object file")
sys.meta_path.insert(0, Finder())
"""

# a native library that loads: its module stands there before the import
_HEALTHY = """
import sys
from omnipatch.core.compat import _stub
module = _stub("")
module.omnipatch_reason = None
sys.modules["torchaudio._extension"] = module
"""

# the import system finds no such package
_ABSENT = """
import importlib.util, sys
sys.modules["torchaudio"] = None
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "torchaudio" else found(name, *rest)
"""


def _ask(before: str) -> tuple[str, str, np.ndarray]:
    done = subprocess.run(
        [sys.executable, "-c", before + _ASK], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    state, name, values = json.loads(done.stdout)
    return state, name, np.array(values)


@pytest.fixture(scope="module")
def plain():
    return _ask(_ABSENT)


def test_without_torchaudio(plain):
    state, name, values = plain
    assert (state, name) == ("absent", "PlainMelSpectrum")
    assert values.shape == (40, 100)


@pytest.mark.skipif(find_spec("torchaudio") is None, reason="torchaudio is not installed")
@pytest.mark.parametrize(
    ("before", "wanted"),
    [("", {"stub", "native"}), (_UNLOADABLE, {"stub"}), (_HEALTHY, {"native"})],
    ids=["as installed", "unloadable", "healthy"],
)
def test_torchaudio_with_and_without_its_library_gives_the_same(plain, before, wanted):
    state, name, values = _ask(before)
    assert state in wanted
    assert name == "MelSpectrogram"
    np.testing.assert_allclose(values, plain[2], atol=1e-5)
