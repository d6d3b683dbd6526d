"""Tokens of sound: log-mel cut in time, one token a stretch, all bands together.

The rate of tokens is a matter of how many frames a patch has: at 10 ms frames 2, 4, 8 and 16 give 50, 25, 12.5 and
6.25 tokens a second. A stretch of which less than half was recorded is invalid; single missing numbers stay NaN.
Coordinates are seconds from the window's start to the middle of the stretch.
"""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange

from ...core.errors import InputError
from ...core.sequence import PatchSequence, SequenceSpec


def frames_of(token_hz: float, hop_s: float) -> int:
    """Frames of a token. Raises InputError for a rate that no whole number of frames gives."""
    frames = round(1.0 / (max(token_hz, 1e-3) * hop_s))
    if frames < 1 or abs(frames * token_hz * hop_s - 1.0) > 1e-3:
        rates = ", ".join(f"{1.0 / (n * hop_s):g}" for n in (1, 2, 4, 8, 16))
        raise InputError(
            "no whole number of frames gives that rate", source="modality.token_hz", got=token_hz, expected=rates
        )
    return frames


def token_spec(bands: int, frames: int, hop_s: float) -> SequenceSpec:
    """The spec of tokens of `frames` frames of `bands` bands."""
    return SequenceSpec(
        axes=("time_s",), axis_scales=(frames * hop_s,), patch_shape=(bands, frames), sfreq_hz=1.0 / hop_s
    )


def make_tokens(values: np.ndarray, spec: SequenceSpec) -> PatchSequence:
    """[band, frame] -> one row."""
    bands, size = spec.patch_shape
    if len(values) != bands:
        raise InputError("another number of bands", got=len(values), expected=bands)
    count = -(-values.shape[1] // size)
    padded = np.full((bands, count * size), np.nan, np.float32)
    padded[:, : values.shape[1]] = values
    cut = rearrange(padded, "band (n frame) -> n band frame", frame=size)
    recorded = np.isfinite(cut).any(axis=1).mean(axis=1)
    time = (np.arange(count, dtype=np.float32) + 0.5) * spec.axis_scales[0]
    return PatchSequence.build(
        spec,
        torch.from_numpy(time)[None, :, None],
        values=torch.from_numpy(rearrange(cut, "n band frame -> n (band frame)").copy())[None],
        valid=torch.from_numpy(recorded >= 0.5)[None],
    )


def spectra(sequence: PatchSequence) -> list[np.ndarray]:
    """The inverse: [band, frame] of each row, NaN where a token is invalid or not among the tokens."""
    assert sequence.values is not None
    bands, size = sequence.spec.patch_shape
    time, step = sequence.coords[..., 0].cpu().numpy(), sequence.spec.axis_scales[0]
    values = sequence.values.masked_fill(~sequence.valid.unsqueeze(-1), torch.nan).cpu().numpy()
    found = []
    for row, when in zip(values, time, strict=True):
        real = when > 0  # padding lies at time 0, the middle of a stretch always later
        at = np.round(when[real] / step - 0.5).astype(int)
        grid = np.full((at.max(initial=-1) + 1, bands * size), np.nan, np.float32)
        grid[at] = row[real]
        found.append(rearrange(grid, "n (band frame) -> band (n frame)", band=bands))
    return found
