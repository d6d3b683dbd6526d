"""ECG files as users have them, written by the field's own tools, and a patient to write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import wfdb
from omnipatch.core.modality import Annotation, Recording
from omnipatch.modalities.ecg import ECG, ECGConfig
from omnipatch.modalities.ecg.demo import make_recording
from omnipatch.modalities.ecg.leads import STANDARD_LEADS
from scipy.io import savemat

SFREQ_HZ = 250.0


def patient(
    seed: int = 0, leads: Sequence[str] = ("II", "V1"), duration_s: float = 12.0, sfreq_hz: float = SFREQ_HZ
) -> Recording:
    """A demo recording of the given leads."""
    return make_recording(np.random.default_rng(seed), sfreq_hz, duration_s, tuple(leads))


def write_dat(
    folder: Path,
    name: str,
    signals: Mapping[str, np.ndarray],
    sfreq_hz: float = SFREQ_HZ,
    *,
    fmt: str = "16",
    unit: str = "mV",
    gains: Sequence[float] | None = None,
    baselines: Sequence[int] | None = None,
    comments: Sequence[str] = (),
) -> Path:
    """Write millivolt signals {lead name: [sample]} by wfdb, stored in `unit`; returns the header's path."""
    scale = {"mV": 1.0, "uV": 1e3, "V": 1e-3, "nV": 1e6}[unit]
    n = len(signals)
    # a step of 1/200 mV, the resolution of MIT-BIH; 8 bits reach only +-1 mV that way
    step = {"80": 50.0}.get(fmt, 200.0)
    wfdb.wrsamp(
        name,
        fs=sfreq_hz,
        units=[unit] * n,
        sig_name=list(signals),
        p_signal=np.stack(list(signals.values()), axis=1) * scale,
        fmt=[fmt] * n,
        adc_gain=[g / scale for g in (gains or [step] * n)],
        baseline=list(baselines or [0] * n),
        comments=list(comments),
        write_dir=str(folder),
    )
    return folder / f"{name}.hea"


def write_marks(header: Path, marks: Sequence[tuple[int, str, str]], extension: str = "atr") -> Path:
    """Write (sample, symbol, note) annotations beside a header."""
    samples, symbols, notes = zip(*marks, strict=True)
    wfdb.wrann(
        header.stem, extension, np.array(samples), list(symbols), aux_note=list(notes), write_dir=str(header.parent)
    )
    return header.with_suffix(f".{extension}")


def write_challenge(
    folder: Path,
    name: str,
    signals: Mapping[str, np.ndarray],
    sfreq_hz: float = 500.0,
    *,
    record_name: str | None = None,
    unit: str = "mV",
    mat: str = "4",
    dx: str = "#Dx: 426783006,164889003",
) -> Path:
    """The form of the PhysioNet challenges: a header over a MATLAB file of int16 `val`."""
    steps = np.round(np.stack(list(signals.values())) * 1000).astype(np.int16)
    savemat(folder / f"{name}.mat", {"val": steps}, format=mat)
    lines = [f"{record_name or name} {len(steps)} {sfreq_hz:g} {steps.shape[1]} 05-May-2020 14:50:55"]
    lines += [f"{name}.mat 16+24 1000/{unit} 16 0 {steps[i, 0]} 0 0 {lead}" for i, lead in enumerate(signals)]
    (folder / f"{name}.hea").write_text("\n".join([*lines, "#Age: 83", "#Sex: Female", dx, ""]))
    return folder / f"{name}.hea"


def named(recording: Recording) -> dict[str, np.ndarray]:
    """{lead: [sample]} of a recording."""
    return dict(zip(recording.sensors, recording.signals, strict=True))


def edit(header: Path, *changes: tuple[str, str]) -> None:
    """Replace text in a header; each text must be there."""
    text = header.read_text()
    for old, new in changes:
        assert old in text, f"{old!r} is not in {text!r}"
        text = text.replace(old, new)
    header.write_text(text)


def with_signals(recording: Recording, signals: np.ndarray) -> Recording:
    return replace(recording, signals=signals)


def with_leads(recording: Recording, order: Sequence[int]) -> Recording:
    """The same recording with some of its leads, in another order."""
    return replace(
        recording, signals=recording.signals[list(order)], sensors=tuple(recording.sensors[i] for i in order)
    )


def adapter(**settings) -> ECG:
    return ECG(ECGConfig(**settings))


__all__ = [
    "SFREQ_HZ", "STANDARD_LEADS", "Annotation", "adapter", "edit", "named", "patient", "with_leads", "with_signals",
    "write_challenge", "write_dat", "write_marks",
]  # fmt: skip
