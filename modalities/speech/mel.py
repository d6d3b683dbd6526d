"""Log-mel spectra of a waveform: what is heard when, on a scale of pitch.

- torchaudio's MelSpectrogram where it can be imported (its native library is not needed, see `core/compat.py`), and
  the same arithmetic in a few lines of torch where it is not installed. Both give equal numbers (to 1e-5, tested).
- Frame i is centred in the i-th hop, so a place in the spectrum is a place in the recording; there are as many frames
  as whole hops.
- Bands follow the HTK formula, mel = 2595 log10(1 + f / 700), filters are triangles of height one (O'Shaughnessy
  1987, Speech Communication: Human and Machine).
- Long recordings go through in pieces. Frames do not depend on each other, so pieces change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.compat import import_torchaudio
from ...core.errors import InputError

LEAST_POWER = 1e-10  # of a band: -100 dB of full scale
_PIECE = 3000  # frames that are transformed at once

_Scale = TypeVar("_Scale", np.ndarray, Tensor)


@dataclass(frozen=True)
class MelShape:
    """sfreq_hz: rate of the waveform. frame_s, hop_s: length and distance of frames. bands: number of filters between
    lowest_hz and highest_hz. Raises InputError for what cannot be."""

    sfreq_hz: float = 16_000.0
    frame_s: float = 0.025
    hop_s: float = 0.010
    bands: int = 40
    lowest_hz: float = 50.0
    highest_hz: float = 8_000.0

    def __post_init__(self) -> None:
        if not 0 <= self.lowest_hz < self.highest_hz <= self.sfreq_hz / 2:
            raise InputError(
                "the mel bands do not fit the rate", source="modality.lowest_hz, modality.highest_hz",
                got=f"{self.lowest_hz:g} to {self.highest_hz:g} Hz", expected=f"inside 0 to {self.sfreq_hz / 2:g} Hz",
            )  # fmt: skip
        if not 1 <= self.hop <= self.frame:
            raise InputError(
                "frames must not be shorter than their distance", source="modality.frame_s, modality.hop_s",
                got=f"{self.frame_s:g} s and {self.hop_s:g} s",
            )  # fmt: skip
        if self.bands < 1 or self.bands > self.transform // 2:
            raise InputError(
                "too many or no mel bands", source="modality.bands", got=self.bands,
                expected=f"1 to {self.transform // 2}",
            )  # fmt: skip

    @property
    def frame(self) -> int:
        """Samples of a frame."""
        return round(self.frame_s * self.sfreq_hz)

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return round(self.hop_s * self.sfreq_hz)

    @property
    def transform(self) -> int:
        """Length of the Fourier transform: the next power of two."""
        return 1 << max(0, self.frame - 1).bit_length()

    @property
    def edges_hz(self) -> np.ndarray:
        """[band + 2] corners of the triangles: band b rises from b, peaks at b + 1 and ends at b + 2."""
        return _hertz(np.linspace(_mel(self.lowest_hz), _mel(self.highest_hz), self.bands + 2))


def log_mel(waveform: np.ndarray, shape: MelShape) -> np.ndarray:
    """[sample] float32 -> [band, frame] float32, natural logarithm of power. Finite input only."""
    spectrum, hop, size = mel_spectrum(shape), shape.hop, shape.transform
    frames = len(waveform) // hop
    around = (size - hop) // 2
    x = F.pad(torch.from_numpy(np.ascontiguousarray(waveform, np.float32)), (around, size))
    pieces = []
    with torch.no_grad():
        for first in range(0, frames, _PIECE):
            count = min(_PIECE, frames - first)
            part = x[first * hop : (first + count - 1) * hop + size]
            pieces.append(spectrum(part).clamp(min=LEAST_POWER).log())
    return torch.cat(pieces, dim=-1).numpy() if pieces else np.zeros((shape.bands, 0), np.float32)


@lru_cache(maxsize=8)
def mel_spectrum(shape: MelShape) -> nn.Module:
    """The transform [sample] -> [band, frame] of power, torchaudio's where there is one."""
    try:
        torchaudio = import_torchaudio()
    except ImportError:
        return PlainMelSpectrum(shape)
    return torchaudio.transforms.MelSpectrogram(
        sample_rate=round(shape.sfreq_hz), n_fft=shape.transform, win_length=shape.frame, hop_length=shape.hop,
        f_min=shape.lowest_hz, f_max=shape.highest_hz, n_mels=shape.bands, center=False, power=2.0, mel_scale="htk",
    )  # fmt: skip


class PlainMelSpectrum(nn.Module):
    """The same without torchaudio."""

    window: Tensor
    filters: Tensor

    def __init__(self, shape: MelShape) -> None:
        super().__init__()
        self.size, self.hop = shape.transform, shape.hop
        self.register_buffer("window", torch.hann_window(shape.frame))
        self.register_buffer("filters", _triangles(shape))

    def forward(self, waveform: Tensor) -> Tensor:
        spectrum = torch.stft(
            waveform, self.size, self.hop, win_length=len(self.window), window=self.window, center=False,
            return_complex=True,
        )  # fmt: skip
        return self.filters @ spectrum.abs().square()


def _triangles(shape: MelShape) -> Tensor:
    """[band, frequency]. Corners in single precision, as torchaudio has them: rounding moves them by 1e-5."""
    frequency = torch.linspace(0.0, shape.sfreq_hz / 2, shape.transform // 2 + 1)
    edges = _hertz(torch.linspace(_mel(shape.lowest_hz), _mel(shape.highest_hz), shape.bands + 2)).unsqueeze(1)
    rising = (frequency - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequency) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0.0)


def _mel(hz: float) -> float:
    return float(2595.0 * np.log10(1.0 + hz / 700.0))


def _hertz(mel: _Scale) -> _Scale:
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
