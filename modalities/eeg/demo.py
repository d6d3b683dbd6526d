"""A physiological EEG maker: enough of a brain to test, teach and demonstrate with, without any download.

A recording is the sum of what textbooks put on a scalp (Niedermeyer's Electroencephalography, chapters 9 to 11)
- background: noise that falls about as one over the frequency, correlated between electrodes by their distance;
- alpha: a waxing and waning rhythm of 8 to 12 Hz from two sources at the back of the head;
- theta of the frontal midline, and some central beta;
- what is no brain: blinks at the front, muscle at the temples, mains hum.

Mental work lowers alpha and raises frontal theta (Klimesch 1999, doi:10.1016/S0165-0173(98)00056-3), by an amount that
differs between subjects. So do alpha's frequency and size, far more than with the state: a class cannot be told from
the height of a band alone, but from where on the head it lies and from its relation to the rest.
"""

from __future__ import annotations

import numpy as np

from ...core.modality import Annotation, Recording
from .sites import SITES_10_20, site_places

STATES = ("rest", "task")
DEMO_HZ = 200.0

# generators: electrode under which each lies, and how far it spreads over the unit sphere
_ALPHA, _THETA, _BETA = (("PO7", 0.55), ("PO8", 0.55)), (("FCz", 0.45),), (("C3", 0.5), ("C4", 0.5))
_BLINK, _MUSCLE = (("Fpz", 0.5),), (("FT7", 0.4), ("FT8", 0.4))
_RELATED = 0.7  # distance at which the background of two electrodes is still much the same


def make_recording(
    rng: np.random.Generator,
    state: str | None = None,
    sfreq_hz: float = DEMO_HZ,
    duration_s: float = 30.0,
    sensors: tuple[str, ...] = SITES_10_20,
) -> Recording:
    """A synthetic recording of one state in microvolt against a common reference, a pure function of its arguments.

    rng: makes the subject first, so that recordings of equal generators and different states are of one subject.
    state: of STATES; None = drawn.
    """
    trait = {
        "alpha_hz": rng.normal(10.0, 0.8),
        "alpha": 9.0 * np.exp(rng.normal(0.0, 0.5)),
        "theta": 3.0 * np.exp(rng.normal(0.0, 0.35)),
        "slope": rng.normal(1.1, 0.15),
        "background": 7.0 * np.exp(rng.normal(0.0, 0.2)),
        "alpha_drop": rng.uniform(0.45, 0.9),
        "theta_rise": rng.uniform(1.15, 1.9),
        "muscle": rng.uniform(0.3, 1.5),
    }
    drawn = str(rng.choice(STATES))
    state = drawn if state is None else state
    # noise of its own for each state, whatever the generator was used for before
    noise = np.random.default_rng([STATES.index(state), *rng.integers(0, 2**32, 2).tolist()])
    places = np.array([site_places()[name] for name in sensors])
    n = round(duration_s * sfreq_hz)
    work = state == "task"
    signals = _background(noise, places, n, sfreq_hz, trait["slope"]) * trait["background"]
    alpha = trait["alpha"] * (trait["alpha_drop"] if work else 1.0)
    theta = trait["theta"] * (trait["theta_rise"] if work else 1.0)
    rhythms = ((_ALPHA, alpha, trait["alpha_hz"], 1.0), (_THETA, theta, 6.0, 1.0), (_BETA, 2.0, 20.0, 4.0))
    for sources, size, centre_hz, width_hz in rhythms:
        for source in sources:
            wave = _rhythm(noise, n, sfreq_hz, centre_hz, width_hz)
            signals += size * np.outer(_spread(places, source), wave)
    signals += _artefacts(noise, places, n, sfreq_hz, trait["muscle"])
    return Recording(
        signals=signals.astype(np.float32),
        sensors=sensors,
        sfreq_hz=sfreq_hz,
        unit="uV",
        record="example",
        subject="example",
        annotations=(Annotation(0.0, state, duration_s),),
        label=(state,),
    )


def _background(rng: np.random.Generator, places: np.ndarray, n: int, sfreq_hz: float, slope: float) -> np.ndarray:
    """[electrode, sample] of unit variance that falls with the frequency, correlations fall with distance."""
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1)
    related = np.exp(-0.5 * (distance / _RELATED) ** 2) + 0.05 * np.eye(len(places))
    mixing = np.linalg.cholesky(related / 1.05)
    frequency = np.fft.rfftfreq(n, 1 / sfreq_hz)
    gain = np.maximum(frequency, 0.5) ** (-slope / 2) * (frequency > 0)
    noise = np.fft.irfft(np.fft.rfft(rng.normal(size=(len(places), n))) * gain, n)
    return mixing @ (noise / noise.std())


def _rhythm(rng: np.random.Generator, n: int, sfreq_hz: float, centre_hz: float, width_hz: float) -> np.ndarray:
    """[sample] narrow-band noise of unit variance: a rhythm that waxes and wanes over about 1 / width seconds."""
    frequency = np.fft.rfftfreq(n, 1 / sfreq_hz)
    gain = np.exp(-0.5 * ((frequency - centre_hz) / (0.5 * width_hz)) ** 2)
    wave = np.fft.irfft(np.fft.rfft(rng.normal(size=n)) * gain, n)
    return wave / wave.std()


def _spread(places: np.ndarray, source: tuple[str, float]) -> np.ndarray:
    """[electrode] how much of a source under a site each electrode sees."""
    name, width = source
    distance = np.linalg.norm(places - np.array(site_places()[name]), axis=1)
    return np.exp(-0.5 * (distance / width) ** 2)


def _artefacts(rng: np.random.Generator, places: np.ndarray, n: int, sfreq_hz: float, muscle: float) -> np.ndarray:
    """[electrode, sample] blinks, muscle and mains hum in microvolt."""
    t = np.arange(n) / sfreq_hz
    blinks = np.zeros(n)
    for at in np.cumsum(rng.exponential(4.0, 60)):
        blinks += rng.uniform(30.0, 70.0) * np.exp(-0.5 * ((t - at) / 0.08) ** 2)
    made = np.outer(_spread(places, _BLINK[0]), blinks)
    high = np.diff(rng.normal(size=(len(_MUSCLE), n + 1)), axis=1)
    for source, wave in zip(_MUSCLE, high, strict=True):
        made += muscle * np.outer(_spread(places, source), wave)
    return made + rng.uniform(0.0, 1.0) * np.sin(2 * np.pi * 50.0 * t + rng.uniform(0, 2 * np.pi))
