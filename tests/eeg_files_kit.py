"""EEG files as users have them, written by the field's own tools (GDF by hand: nothing else does), and a head."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from omnipatch.modalities.eeg.sites import SITES_10_20

CAP = SITES_10_20
SFREQ_HZ = 128.0
Marks = Sequence[tuple[float, float, str]]  # onset and duration in seconds, text


def head(
    names: Sequence[str] = ("Fp1", "C3", "Cz", "O2"), duration_s: float = 4.0, sfreq_hz: float = SFREQ_HZ, seed: int = 0
) -> dict[str, np.ndarray]:
    """{name: [sample] microvolt}: ten microvolt of noise and of alpha, another phase at each electrode."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(duration_s * sfreq_hz)) / sfreq_hz
    return {
        name: 10 * np.sin(2 * np.pi * 10 * time + i) + 10 * rng.standard_normal(len(time))
        for i, name in enumerate(names)
    }


def write_edf(
    path: Path,
    signals: Mapping[str, np.ndarray],
    sfreq_hz: float | Mapping[str, float] = SFREQ_HZ,
    *,
    marks: Marks = (),
    unit: str = "uV",
) -> Path:
    """EDF+ or, by its ending, BDF; microvolt signals are stored in `unit`. sfreq_hz may differ by channel."""
    import edfio

    bdf = path.suffix.lower() == ".bdf"
    scale = {"mV": 1e-3, "V": 1e-6, "nV": 1e3}.get(unit, 1.0)
    rates = sfreq_hz if isinstance(sfreq_hz, Mapping) else dict.fromkeys(signals, sfreq_hz)
    made = []
    for name, x in signals.items():
        options: dict = {"digital_range": (-(1 << 23), (1 << 23) - 1)} if bdf else {}
        if name == "Status":  # whole numbers as they are
            options["physical_range"] = options["digital_range"]
        signal = edfio.BdfSignal if bdf else edfio.EdfSignal
        made.append(signal(np.asarray(x) * scale, rates[name], label=name, physical_dimension=unit, **options))
    annotations = [edfio.EdfAnnotation(onset, duration or None, text) for onset, duration, text in marks]
    (edfio.Bdf if bdf else edfio.Edf)(made, annotations=annotations or None).write(path)
    return path


def raw_array(
    signals: Mapping[str, np.ndarray], sfreq_hz: float = SFREQ_HZ, *, marks: Marks = (), bads=(), places=None
):
    """An MNE Raw of microvolt signals; places {name: (x, y, z) in metres} are its digitised electrodes."""
    import mne

    info = mne.create_info(list(signals), sfreq_hz, "eeg", verbose="ERROR")
    raw = mne.io.RawArray(np.stack(list(signals.values())) * 1e-6, info, verbose="ERROR")
    if places:
        raw.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"))
    if marks:
        onsets, durations, texts = zip(*marks, strict=True)
        raw.set_annotations(mne.Annotations(onsets, durations, texts))
    raw.info["bads"] = list(bads)
    return raw


def write_fif(path: Path, signals: Mapping[str, np.ndarray], sfreq_hz: float = SFREQ_HZ, **options) -> Path:
    raw_array(signals, sfreq_hz, **options).save(path, overwrite=True, verbose="ERROR")
    return path


def write_set(path: Path, signals: Mapping[str, np.ndarray], sfreq_hz: float = SFREQ_HZ, **options) -> Path:
    """EEGLAB's `.set`, data inside."""
    raw_array(signals, sfreq_hz, **options).export(path, fmt="eeglab", overwrite=True, verbose="ERROR")
    return path


def write_brainvision(
    path: Path, signals: Mapping[str, np.ndarray], sfreq_hz: float = SFREQ_HZ, *, marks: Marks = ()
) -> Path:
    """`.vhdr`, `.vmrk` and `.eeg`; marks become comments."""
    import pybv

    events = [
        {
            "onset": round(onset * sfreq_hz), "duration": max(1, round(duration * sfreq_hz)), "description": text,
            "type": "Comment",
        }
        for onset, duration, text in marks
    ]  # fmt: skip
    pybv.write_brainvision(
        data=np.stack(list(signals.values())) * 1e-6, sfreq=sfreq_hz, ch_names=list(signals), fname_base=path.stem,
        folder_out=str(path.parent), overwrite=True, events=events or None,
    )  # fmt: skip
    return path


def write_gdf(
    path: Path,
    signals: Mapping[str, np.ndarray],
    sfreq_hz: float = SFREQ_HZ,
    *,
    events: Sequence[tuple[int, int]] = (),
    unit: str = "uV",
) -> Path:
    """GDF 1.25 with float32 samples; events are (sample, code). https://arxiv.org/abs/cs/0608052."""
    n, samples = len(signals), len(next(iter(signals.values())))
    fixed = b"GDF 1.25" + b"X X".ljust(80) + b"made by a test".ljust(80) + b"2020010112000000"
    fixed += struct.pack("<q", 256 * (n + 1)) + bytes(8 * 3 + 20) + struct.pack("<qIII", samples, 1, round(sfreq_hz), n)
    assert len(fixed) == 256
    fields = [
        b"".join(name.encode().ljust(16) for name in signals), b" " * 80 * n, unit.encode().ljust(8) * n,
        struct.pack("<d", -1e6) * n, struct.pack("<d", 1e6) * n, struct.pack("<q", -1000000) * n,
        struct.pack("<q", 1000000) * n, b" " * 80 * n, struct.pack("<i", 1) * n, struct.pack("<i", 16) * n,
        bytes(32 * n),
    ]  # fmt: skip
    body = np.stack(list(signals.values()), axis=1).astype("<f4").tobytes()
    table = struct.pack("<B", 1) + round(sfreq_hz).to_bytes(3, "little") + struct.pack("<I", len(events))
    table += b"".join(struct.pack("<I", at + 1) for at, _ in events) + b"".join(struct.pack("<H", c) for _, c in events)
    path.write_bytes(fixed + b"".join(fields) + body + table)
    return path


WRITERS = {
    ".edf": write_edf, ".bdf": write_edf, ".gdf": write_gdf, ".vhdr": write_brainvision, ".fif": write_fif,
    ".set": write_set,
}  # fmt: skip


def write(path: Path, signals: Mapping[str, np.ndarray], sfreq_hz: float = SFREQ_HZ) -> Path:
    """The format that the ending says."""
    suffix = next(s for s in WRITERS if path.name.endswith(s))
    return WRITERS[suffix](path, signals, sfreq_hz)
