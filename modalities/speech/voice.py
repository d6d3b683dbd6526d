"""A voice by the source-filter model (Fant 1960, Acoustic Theory of Speech Production), enough to test and teach with.

Voiced sound is a sum of harmonics of a wandering pitch. Each has the height that the glottis gives it (falling by 12 dB
an octave) times the resonances of the throat: a cascade of formants, whose places glide from vowel to vowel. Breath is
noise through the same resonances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# first four resonances of three corner vowels, about the means of men (Peterson & Barney 1952, doi:10.1121/1.1906875)
VOWELS = {
    "a": (730.0, 1090.0, 2440.0, 3400.0),
    "i": (270.0, 2290.0, 3010.0, 3600.0),
    "u": (300.0, 870.0, 2240.0, 3300.0),
}
_NEUTRAL = np.array([500.0, 1500.0, 2500.0, 3500.0])
_BANDWIDTHS = np.array([70.0, 90.0, 130.0, 200.0])
_NOISE_BLOCK = 256
_HELD = 16  # samples over which the resonances stand still: a millisecond


@dataclass(frozen=True)
class Speaker:
    """pitch_hz: mean. tract: scale of all resonances, above one = a shorter throat. pace: vowels a second.
    centred: 0 to 1, how far vowels lie from their targets towards the neutral one. breath: size of noise beside the
    voice. jitter: relative wander of the pitch. room: size of the background beside the voice."""

    pitch_hz: float
    tract: float
    pace: float
    centred: float
    breath: float
    jitter: float
    room: float


def draw_speaker(rng: np.random.Generator, dysarthric: bool) -> Speaker:
    """A person; dysarthric speech is slower, breathier, less steady and its vowels are alike (Kent & Kim 2003,
    doi:10.1080/0269920031000086248)."""
    pitch = np.exp(rng.normal(np.log(150.0), 0.3))
    tract = np.exp(rng.normal(0.0, 0.08)) * (pitch / 150.0) ** 0.15
    pace, breath, room = rng.uniform(4.5, 7.0), rng.uniform(0.02, 0.08), np.exp(rng.normal(np.log(0.002), 0.4))
    severity = rng.uniform(0.35, 0.7) if dysarthric else rng.uniform(0.0, 0.15)
    slower, breathier = (1.0 - 0.5 * severity, 1.0 + 3.0 * severity) if dysarthric else (1.0, 1.0)
    return Speaker(pitch, tract, pace * slower, severity, breath * breathier, 0.01 + 0.05 * severity, room)


def speak(rng: np.random.Generator, speaker: Speaker, vowels: Sequence[str], sfreq_hz: float) -> np.ndarray:
    """[sample] float32 of a word made of vowels, with short quiet around it; its loudness says nothing."""
    paces = speaker.pace * np.exp(rng.normal(0.0, 0.15, len(vowels)))
    ends = np.cumsum(1.0 / paces)
    quiet_s, n = rng.uniform(0.05, 0.25, 2), round(float(ends[-1]) * sfreq_hz)
    t = np.arange(n) / sfreq_hz
    formants = _glide(t, ends, _targets(rng, speaker, vowels))
    wander = np.cumsum(rng.normal(size=n)) / np.sqrt(sfreq_hz * 0.05)
    melody = 1.0 + rng.uniform(-0.15, 0.1) * t / t[-1]
    pitch = speaker.pitch_hz * melody * np.exp(np.clip(speaker.jitter * wander, -0.3, 0.3))
    voice = _voiced(rng, pitch, formants, sfreq_hz)
    breath = _breath(rng, formants, sfreq_hz)
    word = voice / voice.std() + speaker.breath * breath / breath.std()
    word *= np.minimum(1.0, np.minimum(t, t[-1] - t) / 0.03)  # no clicks at its ends
    before, after = (np.zeros(round(float(s) * sfreq_hz)) for s in quiet_s)
    whole = np.concatenate([before, word, after])
    whole += speaker.room * rng.normal(size=len(whole))
    loudness = 10.0 ** rng.uniform(-2.2, -1.0)
    return np.clip(loudness * whole, -1.0, 1.0).astype(np.float32)


def _targets(rng: np.random.Generator, speaker: Speaker, vowels: Sequence[str]) -> np.ndarray:
    """[vowel, formant] in hertz, with the spread of one speaker's own vowels."""
    places = np.array([VOWELS[v] for v in vowels])
    places = places + speaker.centred * (_NEUTRAL - places)
    return speaker.tract * places * np.exp(rng.normal(0.0, 0.03, places.shape))


def _glide(t: np.ndarray, ends: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """[sample, formant]: each vowel holds its target in its middle and moves to the next one."""
    starts = np.concatenate([[0.0], ends[:-1]])
    knots = np.stack([starts + 0.35 * (ends - starts), starts + 0.65 * (ends - starts)], axis=1).ravel()
    held = np.repeat(targets, 2, axis=0)
    return np.stack([np.interp(t, knots, held[:, i]) for i in range(held.shape[1])], axis=1)


def _gain(frequency: np.ndarray, formants: np.ndarray) -> np.ndarray:
    """Magnitude of a cascade of resonances at [sample, k] hertz for [sample, formant]; one at zero hertz."""
    gain = np.ones_like(frequency)
    for i, width in enumerate(_BANDWIDTHS):
        centre = formants[:, i : i + 1]
        gain *= centre**2 / np.hypot(centre**2 - frequency**2, width * frequency)
    return gain


def _voiced(rng: np.random.Generator, pitch: np.ndarray, formants: np.ndarray, sfreq_hz: float) -> np.ndarray:
    """[sample] sum of harmonics. Their heights change slowly: they are computed every few samples and held."""
    highest = int(min(0.45 * sfreq_hz, 5000.0) / pitch.min())
    number, slow = np.arange(1, highest + 1), slice(None, None, _HELD)
    frequency = pitch[slow, None] * number
    height = _gain(frequency, formants[slow]) / number**2 * frequency  # 12 dB down an octave, 6 up at the lips
    height *= np.clip((0.48 * sfreq_hz - frequency) / (0.03 * sfreq_hz), 0.0, 1.0)
    phase = np.cumsum(pitch) / sfreq_hz % 1.0
    turn = (phase[:, None] * number + rng.uniform(0, 1, highest)) % 1.0
    wave = np.cos((2 * np.pi * turn).astype(np.float32))
    return (np.repeat(height, _HELD, axis=0)[: len(pitch)] * wave).sum(axis=1)


def _breath(rng: np.random.Generator, formants: np.ndarray, sfreq_hz: float) -> np.ndarray:
    """Noise through the resonances, block by block with overlapping windows."""
    n, size = len(formants), _NOISE_BLOCK
    noise, made = rng.normal(size=n + 2 * size), np.zeros(n + 2 * size)
    window = np.hanning(size + 1)[:-1]
    frequency = np.fft.rfftfreq(size, 1 / sfreq_hz)[None]
    for first in range(0, n + size, size // 2):
        middle = min(max(first - size // 2, 0), n - 1)
        gain = _gain(frequency, formants[middle : middle + 1])[0] * frequency[0]
        block = np.fft.irfft(np.fft.rfft(noise[first : first + size]) * gain, size)
        made[first : first + size] += window * block
    return made[size : size + n]
