"""What the tests of speech share: sounds with a known answer, and files of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from omnipatch.core.modality import Recording

RATE_HZ = 16_000
FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}


def tone(seconds: float = 1.0, hz: float = 440.0, rate_hz: float = RATE_HZ, size: float = 0.3) -> np.ndarray:
    """[sample] float32."""
    return (size * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def chirp(seconds: float = 1.0, rate_hz: float = RATE_HZ) -> np.ndarray:
    """[sample] float32, rising from 100 Hz to 3 kHz: no two places of it are alike."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return (0.3 * np.sin(2 * np.pi * (100 * t + 1450 * t**2 / seconds))).astype(np.float32)


def write(path: Path, x: np.ndarray, rate_hz: int = RATE_HZ, **options) -> Path:
    """[sample] or [channel, sample] as an audio file; the ending chooses the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.atleast_2d(x).T, rate_hz, format=FORMATS[path.suffix], **options)
    return path


def recording(x: np.ndarray, rate_hz: float = RATE_HZ, sensors: tuple[str, ...] = ("mono",)) -> Recording:
    return Recording(np.atleast_2d(x).astype(np.float32), sensors, rate_hz, "FS", "r", "s")
