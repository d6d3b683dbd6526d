"""The embedded demo set: synthetic people who say words of two vowels, some of them with dysarthric speech.

Words come in pairs of the same vowels in the other order ("ai", "ia"), so neither loudness nor any average over time
tells them apart: a model must know what comes after what.
"""

from __future__ import annotations

import numpy as np

from ...core.modality import Recording, Source
from .voice import draw_speaker, speak

WORDS = ("ai", "ia", "au", "ua", "iu", "ui")
STATES = ("typical", "dysarthric")
DEMO_HZ = 16_000.0
_SPEAKERS = 24


def make_recording(
    rng: np.random.Generator, word: str | None = None, state: str | None = None, sfreq_hz: float = DEMO_HZ
) -> Recording:
    """A synthetic word in shares of full scale, a pure function of its arguments; None = drawn.

    rng: makes the speaker first, so that equal generators and states with different words are one person.
    """
    drawn_state, drawn_word = str(rng.choice(STATES)), str(rng.choice(WORDS))
    state, word = state or drawn_state, word or drawn_word
    speaker = draw_speaker(rng, state == "dysarthric")
    # a take of its own for each word, whatever the generator was used for before
    take = np.random.default_rng([WORDS.index(word), *rng.integers(0, 2**32, 2).tolist()])
    return Recording(
        signals=speak(take, speaker, word, sfreq_hz)[None],
        sensors=("mono",),
        sfreq_hz=sfreq_hz,
        unit="FS",
        record="example",
        subject="example",
        label=(word, state),
    )


def demo_sources(seed: int) -> list[Source]:
    """Each of the speakers says each word; every other one has dysarthric speech."""
    return [
        Source(
            None, f"demo{i:02d}_{word}", f"demo{i:02d}", "demo", label=(word, STATES[i % 2]), seed=seed * 1000 + i
        )
        for i in range(_SPEAKERS)
        for word in WORDS
    ]  # fmt: skip
