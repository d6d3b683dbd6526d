"""A physiological ECG maker: enough of a heart to test, teach and demonstrate with, without any download.

Each beat is a sum of Gaussian waves P, Q, R, S, T in cardiac phase: the closed form of the dynamical model of McSharry,
Clifford, Tarassenko & Smith (2003, doi:10.1109/TBME.2003.808805) without its relaxation. A wave is a dipole with a
direction, so leads are projections and all twelve agree with each other. Every subject has its own wave heights, widths
and electrical axis, a rhythm (sinus with respiratory arrhythmia, atrial fibrillation without P waves, slow or fast) and
ectopic beats: supraventricular (early, other P), ventricular (early, wide, no P, compensatory pause), fusion of both.
P, QRS and T are marked where a Gaussian has fallen to a few per cent of its height.
"""

from __future__ import annotations

import numpy as np

from ...core.modality import Annotation, Recording
from .leads import DIRECTIONS
from .reports import demo_report

# wave: time from R (s), width (s), height (mV), frontal direction in degrees from the subject's axis, towards the back
_WAVES = {
    "P": (-0.17, 0.022, 0.13, 0.0, 0.0),
    "Q": (-0.026, 0.009, -0.12, -20.0, -0.3),
    "R": (0.0, 0.011, 1.10, 0.0, 0.25),
    "S": (0.028, 0.010, -0.28, 40.0, -0.4),
    "T": (0.24, 0.045, 0.28, -10.0, -0.25),
}
# an augmented limb lead is measured against the mean of two electrodes, which makes it shorter than its direction says
_STRENGTH: dict[str, float] = dict.fromkeys(("aVR", "aVL", "aVF"), np.sqrt(3) / 2)
# a ventricular beat starts in the muscle: slow, tall, its T wave opposite
_VENTRICULAR = {
    "R": (0.01, 0.038, 1.45, 0.0, 0.2),
    "S": (0.075, 0.030, -0.55, 15.0, -0.2),
    "T": (0.29, 0.060, -0.45, 0.0, 0.1),
}

_RHYTHM_CODES = {"(N": "426783006", "(SBR": "426177001", "(AFIB": "164889003"}
_ECTOPY_CODES = {"A": "284470004", "V": "427172004"}


_Wave = tuple[str, float, float, np.ndarray]  # name, time from R (s), width (s), dipole (mV)
# half the marked length of a wave, in widths of its Gaussian
_EXTENT = 2.3


def make_recording(
    rng: np.random.Generator, sfreq_hz: float = 250.0, duration_s: float = 60.0, leads: tuple[str, ...] = ("II", "V1")
) -> Recording:
    """A synthetic recording with beat marks (N, A, V, F), rhythm and wave spans, a pure function of `rng`."""
    rhythm = str(rng.choice(["(N", "(AFIB", "(SBR", "(N"], p=[0.5, 0.2, 0.1, 0.2]))
    r_s, marks = _beat_times(rng, rhythm, duration_s)
    n_samples = round(duration_s * sfreq_hz)
    dipole = np.zeros((3, n_samples))
    normal, ectopic = _subject(rng, _WAVES), _subject(rng, _VENTRICULAR)
    flip = rng.choice([-1.0, 1.0])  # where the ectopic focus sits: its complexes point up or down
    spans: list[Annotation] = []
    for i, (at, mark) in enumerate(zip(r_s, marks, strict=True)):
        before = at - r_s[i - 1] if i else 0.8
        shares = {"V": (0.0, 1.0), "F": (0.5, 0.5)}.get(mark, (1.0, 0.0))
        summed = []
        for waves, share, sign in ((normal, shares[0], 1.0), (ectopic, shares[1], flip)):
            if share:
                shaped = _shape(waves, before, mark, rhythm == "(AFIB")
                _add_beat(dipole, shaped, at, sfreq_hz, share * sign)
                summed += shaped
        _mark_waves(spans, summed, at, duration_s)
    if rhythm == "(AFIB":
        dipole += _fibrillation(rng, n_samples, sfreq_hz)
    signals = np.stack([_STRENGTH.get(lead, 1.0) * np.asarray(DIRECTIONS[lead]) @ dipole for lead in leads])
    signals += _noise(rng, len(leads), n_samples, sfreq_hz)
    beats = [Annotation(float(at), str(mark)) for at, mark in zip(r_s, marks, strict=True)]
    return Recording(
        signals=signals.astype(np.float32),
        sensors=leads,
        sfreq_hz=sfreq_hz,
        unit="mV",
        record="example",
        subject="example",
        annotations=(Annotation(0.0, rhythm, duration_s), *sorted([*beats, *spans], key=lambda a: a.onset_s)),
        label=_findings(rhythm, marks),
        extras={"text": demo_report(rng, rhythm, r_s, marks)},
    )


def _findings(rhythm: str, marks: list[str]) -> tuple[str, ...]:
    """SNOMED codes of the rhythm and of the extrasystoles that occur."""
    return (_RHYTHM_CODES[rhythm], *(code for mark, code in _ECTOPY_CODES.items() if mark in marks))


def _subject(rng: np.random.Generator, waves: dict) -> list[_Wave]:
    """This subject's waves."""
    axis = rng.normal(55.0, 20.0)
    depth = rng.normal(0.0, 0.15)
    own = []
    for name, (at, width, height, turn, back) in waves.items():
        angle = np.radians(axis + turn + rng.normal(0, 8))
        direction = np.array([np.cos(angle), np.sin(angle), back + depth])
        scale = height * np.exp(rng.normal(0, 0.2))
        own.append((name, at * np.exp(rng.normal(0, 0.06)), width * np.exp(rng.normal(0, 0.12)), scale * direction))
    return own


def _beat_times(rng: np.random.Generator, rhythm: str, duration_s: float) -> tuple[np.ndarray, list[str]]:
    slow = {"(SBR": 1.15, "(AFIB": 0.68}.get(rhythm, 0.82)
    base = slow * np.exp(rng.normal(0, 0.12))
    ectopy = rng.dirichlet([1.0, 1.0, 0.4]) * rng.uniform(0.05, 0.25)
    breathing, phase = rng.uniform(0.15, 0.3), rng.uniform(0, 2 * np.pi)
    at, times, marks = rng.uniform(0.3, 0.9), [], []
    pause, upcoming = 0.0, "N"
    while at < duration_s - 0.4:
        times.append(at)
        spread = 0.18 if rhythm == "(AFIB" else 0.02
        swing = 0.0 if rhythm == "(AFIB" else 0.05 * np.sin(2 * np.pi * breathing * at + phase)
        step = base * np.exp(rng.normal(0, spread)) * (1 + swing) + pause
        pause = 0.0
        marks.append(upcoming)
        upcoming = str(rng.choice(["N", "A", "V", "F"], p=[1 - ectopy.sum(), *ectopy]))
        if rhythm == "(AFIB" and upcoming == "A":
            upcoming = "N"  # without a P wave there is no such thing as an early atrial beat
        if upcoming in "AV":
            early = rng.uniform(0.55, 0.78)
            pause = (1 - early) * base * (1.0 if upcoming == "V" else 0.3)  # ventricular: fully compensatory
            step *= early
        elif upcoming == "F":
            step *= rng.uniform(0.92, 0.98)
        at += max(0.3, step)
    return np.asarray(times), marks


def _shape(waves: list[_Wave], before: float, mark: str, fibrillating: bool) -> list[_Wave]:
    """A subject's waves as they are in one beat."""
    stretch = np.sqrt(np.clip(before, 0.35, 1.5) / 0.85)  # Bazett: the T wave follows the interval
    shaped = []
    for name, centre, width, vector in waves:
        if name == "P" and fibrillating:
            continue
        if name == "P" and mark == "A":
            centre, vector = centre * 0.75, vector * np.array([0.9, -0.7, 1.0])  # from a lower focus
        if name == "T":
            centre = centre * stretch
        shaped.append((name, centre, width, vector))
    return shaped


def _add_beat(dipole: np.ndarray, waves: list[_Wave], at: float, sfreq_hz: float, share: float) -> None:
    start, stop = max(0, int((at - 0.4) * sfreq_hz)), min(dipole.shape[1], int((at + 0.6) * sfreq_hz))
    t = np.arange(start, stop) / sfreq_hz - at
    for _, centre, width, vector in waves:
        dipole[:, start:stop] += share * vector[:, None] * np.exp(-0.5 * ((t - centre) / width) ** 2)


def _mark_waves(spans: list[Annotation], waves: list[_Wave], at: float, duration_s: float) -> None:
    """Append P, QRS and T of a beat; a wave ends where the next begins, and those cut by an end are left out."""
    for label, names in (("P", "P"), ("QRS", "QRS"), ("T", "T")):
        parts = [(at + c - _EXTENT * w, at + c + _EXTENT * w) for name, c, w, _ in waves if name in names]
        if not parts:
            continue
        onset, offset = float(min(p[0] for p in parts)), float(max(p[1] for p in parts))
        if spans and spans[-1].onset_s + spans[-1].duration_s > onset:
            before = spans.pop()
            if onset > before.onset_s:
                spans.append(Annotation(before.onset_s, before.label, onset - before.onset_s))
        if onset >= 0 and offset <= duration_s:
            spans.append(Annotation(onset, label, offset - onset))


def _fibrillation(rng: np.random.Generator, n: int, sfreq_hz: float) -> np.ndarray:
    """Fine irregular atrial waves at 5 to 8 Hz."""
    rate = rng.uniform(5.0, 8.0) + 0.8 * np.cumsum(rng.normal(0, 1, n)) / np.sqrt(n)
    wave = np.sin(2 * np.pi * np.cumsum(rate) / sfreq_hz)
    return 0.05 * wave * np.array([[0.3], [1.0], [-0.6]])


def _noise(rng: np.random.Generator, leads: int, n: int, sfreq_hz: float) -> np.ndarray:
    """Baseline wander, powerline, muscle noise, now and then a motion artefact."""
    t = np.arange(n) / sfreq_hz
    wander = sum(
        rng.normal(0, 0.06, (leads, 1)) * np.sin(2 * np.pi * f * t + rng.uniform(0, 6.3)) for f in (0.08, 0.21, 0.34)
    )
    line = rng.uniform(0, 0.015) * np.sin(2 * np.pi * 50 * t)
    muscle = rng.normal(0, rng.uniform(0.008, 0.025), (leads, n))
    if rng.random() < 0.3:
        at = rng.integers(0, n)
        muscle[:, at : at + int(0.4 * sfreq_hz)] *= 15
    return wander + line + muscle
