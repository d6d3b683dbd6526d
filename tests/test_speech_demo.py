"""The synthetic voice: what a phonetician would look for, and that classes cannot be told from loudness."""

from __future__ import annotations

import numpy as np
import pytest
from omnipatch.modalities.speech import Speech
from omnipatch.modalities.speech.demo import DEMO_HZ, STATES, WORDS, make_recording
from omnipatch.modalities.speech.features import mfcc_statistics
from omnipatch.modalities.speech.preprocess import PreprocessConfig, preprocess
from omnipatch.modalities.speech.voice import VOWELS, Speaker, speak
from scipy.signal import find_peaks
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

PLAIN = Speaker(pitch_hz=100.0, tract=1.0, pace=3.0, centred=0.0, breath=0.01, jitter=0.0, room=1e-4)


def spectrum(x: np.ndarray) -> np.ndarray:
    """[hertz] smoothed power of the middle third."""
    part = x[len(x) // 3 : 2 * len(x) // 3]
    power = np.abs(np.fft.rfft(part * np.hanning(len(part)), n=round(DEMO_HZ))) ** 2
    return np.convolve(power, np.hanning(150), "same")


@pytest.mark.parametrize("vowel", VOWELS)
def test_resonances_are_those_of_the_vowel(vowel):
    found = spectrum(speak(np.random.default_rng(0), PLAIN, vowel, DEMO_HZ))
    peaks, _ = find_peaks(np.log(found[:4000]))
    for formant in VOWELS[vowel][:2]:
        assert np.abs(peaks - formant).min() < 0.15 * formant + 60, (formant, peaks)


def test_the_pitch_is_the_speakers():
    for pitch in (90.0, 200.0):
        x = speak(np.random.default_rng(0), Speaker(pitch, 1.0, 3.0, 0.0, 0.01, 0.0, 1e-4), "a", DEMO_HZ)
        middle = x[len(x) // 3 : 2 * len(x) // 3]
        alike = np.correlate(middle, middle, "full")[len(middle) - 1 :]
        period = 40 + alike[40:400].argmax()
        assert DEMO_HZ / period == pytest.approx(pitch, rel=0.2)


def test_a_recording_is_one_of_the_clinic():
    for seed in range(12):
        made = make_recording(np.random.default_rng(seed))
        x = made.signals[0]
        assert 0.2 < len(x) / DEMO_HZ < 2.5
        assert 1e-3 < np.abs(x).max() < 1.0
        assert made.label[0] in WORDS
        assert made.label[1] in STATES


@pytest.fixture(scope="module")
def demo():
    """Power, word, state and speaker of every demo recording."""
    speech = Speech()
    sources = speech.demo()
    found = [preprocess(speech.load(s), PreprocessConfig()).power for s in sources]
    loudness = np.array([[np.log(np.abs(speech.load(s).signals).max())] for s in sources])
    return found, loudness, *(np.array(c) for c in zip(*((*s.label, s.subject) for s in sources), strict=True))


def accuracy(x, y, subject) -> float:
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return float(cross_val_score(model, x, y, groups=subject, cv=GroupKFold(4)).mean())


def test_neither_loudness_nor_averages_tell_the_word(demo):
    power, loudness, word, _, subject = demo
    assert accuracy(loudness, word, subject) < 0.3
    means = np.stack([p.mean(axis=1) for p in power])
    vowels = np.array(["".join(sorted(w)) for w in word])
    assert accuracy(means, vowels, subject) > 0.8  # which vowels, but not in which order
    assert accuracy(means, word, subject) < 0.7
    beginnings = np.stack([np.concatenate([p[:, :10].mean(axis=1), p[:, -10:].mean(axis=1)]) for p in power])
    assert accuracy(beginnings, word, subject) > 0.85


def test_dysarthric_speech_can_be_told_in_people_never_heard(demo):
    power, loudness, _, state, subject = demo
    assert accuracy(loudness, state, subject) < 0.65
    features = np.stack([np.concatenate([mfcc_statistics(p), [p.shape[1]]]) for p in power])
    assert accuracy(features, state, subject) > 0.7


def test_the_demo_set_is_of_people_who_say_every_word():
    speech = Speech()
    sources = speech.demo()
    assert len(sources) == 144
    assert len({s.subject for s in sources}) == 24
    by_one = [speech.load(s) for s in sources[:6]]
    assert [r.label[0] for r in by_one] == list(WORDS)
    assert len({r.signals.tobytes() for r in by_one}) == 6
