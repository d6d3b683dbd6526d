"""The grid of EEG-VJEPA (Hojjati et al. 2025, https://arxiv.org/abs/2507.03633), for reproduction and comparison.

A clip is a stack of frames; a frame is a picture of the channel list by the samples of a few seconds, and frames follow
each other several seconds apart. A patch is frames x channels x samples of that block, without padding.

What the published layout does and the other layouts repair: channels and samples that fill no whole patch are dropped
(three of 19, and the last 20 samples of 500); neighbours are neighbours of a list, not of the scalp; a patch joins
moments seconds apart. A channel of the list that was not recorded is NaN here, and other channels are not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange

from ...core.errors import InputError
from ...core.sequence import PatchSequence, SequenceSpec


@dataclass(frozen=True)
class Grid:
    """channels: names, in the order of the rows. patch: frames, channels, samples of a patch.
    frame_s, step_s: length of a frame and distance of frames. sfreq_hz: rate of the windows."""

    channels: tuple[str, ...]
    patch: tuple[int, int, int]
    frame_s: float
    step_s: float
    sfreq_hz: float

    def __post_init__(self) -> None:
        frames, channels, samples = self.patch
        if frames < 1 or not 1 <= channels <= len(self.channels) or not 1 <= samples <= self.frame:
            raise InputError(
                "a patch of the grid does not fit a clip", source="modality.grid_patch", got=self.patch,
                expected=f"up to {len(self.channels)} channels and {self.frame} samples",
            )  # fmt: skip

    @property
    def frame(self) -> int:
        """Samples of a frame."""
        return round(self.frame_s * self.sfreq_hz)

    @property
    def spec(self) -> SequenceSpec:
        """Axes: when the first frame of a patch begins, its row of channels, and where in its frames it lies."""
        frames, _, samples = self.patch
        within_s = samples / self.sfreq_hz
        return SequenceSpec(
            axes=("time_s", "row", "within_s"),
            axis_scales=(frames * self.step_s, 1.0, within_s),
            patch_shape=self.patch,
            sfreq_hz=self.sfreq_hz,
            kinds=("wave",),
        )

    def tokens(self, values: np.ndarray, sensors: Sequence[str]) -> PatchSequence:
        """[channel, sample] -> one row of patches; group = row of channels."""
        clip = self._clip(values, sensors)
        f, c, s = self.patch
        kept = [n // size * size for n, size in zip(clip.shape, self.patch, strict=True)]
        cut = clip[: kept[0], : kept[1], : kept[2]]
        blocks = rearrange(cut, "(t f) (r c) (k s) -> t r k (f c s)", f=f, c=c, s=s)
        places = np.indices(blocks.shape[:3]).astype(np.float32)
        coords = np.stack(
            [places[0] * (f * self.step_s), places[1], (places[2] + 0.5) * (s / self.sfreq_hz)], axis=-1
        ).astype(np.float32)
        flat = blocks.reshape(-1, blocks.shape[-1])
        return PatchSequence.build(
            self.spec,
            torch.from_numpy(coords.reshape(1, -1, 3)),
            values=torch.from_numpy(np.ascontiguousarray(flat))[None],
            valid=torch.from_numpy(np.isfinite(flat).any(axis=1))[None],
            group=torch.from_numpy(places[1].reshape(1, -1).astype(np.int64)),
        )

    def _clip(self, values: np.ndarray, sensors: Sequence[str]) -> np.ndarray:
        """[frame, channel, sample]; as many frames as the window holds, filled up to whole patches with NaN."""
        listed = np.full((len(self.channels), values.shape[1]), np.nan, np.float32)
        for row, name in enumerate(self.channels):
            if name in sensors:
                listed[row] = values[list(sensors).index(name)]
        step = max(1, round(self.step_s * self.sfreq_hz))
        count = max(1, 1 + (values.shape[1] - self.frame) // step)
        frames = -(-count // self.patch[0]) * self.patch[0]
        clip = np.full((frames, len(listed), self.frame), np.nan, np.float32)
        for i in range(count):
            piece = listed[:, i * step : i * step + self.frame]
            clip[i, :, : piece.shape[1]] = piece
        return clip
