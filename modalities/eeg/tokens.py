"""Tokens of an EEG window: its channels cut in time, described, and arranged on the scalp.

Contents are kinds of one sequence, each with a length of its own
- wave: the samples of a short stretch.
- spectrum: the log power of narrow bands over a longer stretch (`spectral`). With `band_groups` above one the bands of
  a stretch become several tokens with an `octave` each, so that whole bands can be hidden and predicted.
- covariance: how an electrode goes with fixed sites in each of a few bands (`connectivity`), over that same stretch.
- profile: spectrum and covariance side by side in one token, at half the tokens of both.

Spectra and covariances are logarithms of power, told relative to a typical background by rule (`spectral.LEVEL`), and
covariances are stretched, so that the numbers of a token are of like size for a network: of order one.

A stretch of which less than half was recorded counts as missing, and a token of missing stretches only is invalid.
Coordinates are seconds from the window's
start and the place on the unit sphere (x to the right, y to the front, z up); other kinds have octave 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange

from ...core.batching import concat_kinds
from ...core.errors import InputError
from ...core.sequence import PatchSequence, SequenceSpec
from .connectivity import BANDS, covariance_rows
from .layouts import Layout, Units
from .sites import Place
from .spectral import LEVEL, band_centres, log_bands

CONTENTS = ("wave", "spectrum", "covariance", "profile")
# what looks like one step: electrodes of the 10-10 system are about this far apart on the unit sphere
_PLACE_STEP, _OCTAVE_STEP = 0.3, 0.5


@dataclass(frozen=True)
class TokenShape:
    """What the tokens of one configuration hold.

    contents: of CONTENTS. wave_s, spectrum_s: stretch of a token of each. edges_hz: edges of the bands.
    band_groups: tokens among which the bands of one stretch are divided. sfreq_hz: rate of the windows.
    sites: places that a covariance is taken with.
    """

    contents: tuple[str, ...]
    wave_s: float
    spectrum_s: float
    edges_hz: tuple[float, ...]
    band_groups: int
    sfreq_hz: float
    sites: tuple[Place, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(name for name in CONTENTS if name in self.contents)

    def stretch(self, kind: str) -> int:
        """Samples of a stretch of one kind."""
        return max(1, round((self.wave_s if kind == "wave" else self.spectrum_s) * self.sfreq_hz))

    def values(self, kind: str) -> int:
        """Numbers that a token has of each electrode."""
        bands, rows = len(self.edges_hz) - 1, BANDS * len(self.sites)
        sizes = {"spectrum": bands // self.band_groups, "covariance": rows, "profile": bands + rows}
        return self.stretch(kind) if kind == "wave" else sizes[kind]

    @property
    def spectral(self) -> dict[str, int]:
        """{kind: how many of an electrode's first numbers are log powers of narrow bands}."""
        return {"spectrum": self.values("spectrum"), "profile": len(self.edges_hz) - 1}

    def spec(self, slots: int) -> SequenceSpec:
        """The spec of tokens of `slots` electrodes."""
        shapes: list[tuple[int, ...]] = [(slots, self.values(kind)) for kind in self.kinds]
        octave = self.band_groups > 1
        axes = ("time_s", "x", "y", "z", *(["octave"] if octave else []))
        step_s = self.wave_s if "wave" in self.kinds else self.spectrum_s
        several = len(shapes) > 1
        return SequenceSpec(
            axes=axes,
            axis_scales=(step_s, _PLACE_STEP, _PLACE_STEP, _PLACE_STEP, *([_OCTAVE_STEP] if octave else [])),
            patch_shape=(max(map(math.prod, shapes)),) if several else shapes[0],
            sfreq_hz=self.sfreq_hz,
            kinds=self.kinds,
            kind_shapes=tuple(shapes) if several else (),
        )


def make_tokens(
    values: np.ndarray,
    places: np.ndarray,
    layout: Layout,
    shape: TokenShape,
    baseline: Mapping[str, np.ndarray] | None = None,
) -> PatchSequence:
    """[channel, sample] and [channel, 3] -> one row, the kinds one after the other.

    baseline: [channel, value] of kinds, taken off each stretch.
    """
    spec, taken_off = shape.spec(layout.slots), baseline or {}
    rows = []
    for kind in shape.kinds:
        content = described(kind, values, places, shape)
        if kind in taken_off:
            content = content - taken_off[kind][:, None]
        rows.append(_tokens_of(kind, layout.arrange(content, places), shape, spec))
    return concat_kinds(*rows)


def _tokens_of(kind: str, units: Units, shape: TokenShape, spec: SequenceSpec) -> PatchSequence:
    groups = shape.band_groups if kind == "spectrum" else 1
    x = rearrange(units.content, "unit n slot (group value) -> unit n group slot value", group=groups)
    flat = rearrange(x, "unit n group slot value -> (unit n group) (slot value)")
    valid = np.isfinite(flat).any(axis=1)
    stretch_s = shape.stretch(kind) / shape.sfreq_hz
    coords = np.zeros((*x.shape[:3], len(spec.axes)), np.float32)
    coords[..., 0] = (np.arange(x.shape[1])[:, None] + 0.5) * stretch_s
    coords[..., 1:4] = units.place[:, None, None]
    if kind == "spectrum" and groups > 1:
        coords[..., 4] = np.log2(band_centres(shape.edges_hz)).reshape(groups, -1).mean(axis=1)
    padded = np.full((len(flat), spec.patch_size), np.nan, np.float32)
    padded[:, : flat.shape[1]] = flat
    number = np.broadcast_to(units.number[:, None, None], x.shape[:3])
    return PatchSequence.build(
        spec,
        torch.from_numpy(rearrange(coords, "unit n group coord -> 1 (unit n group) coord")),
        values=torch.from_numpy(padded)[None],
        valid=torch.from_numpy(valid)[None],
        kind=torch.full((1, len(flat)), spec.kind_of(kind)),
        group=torch.from_numpy(rearrange(number, "unit n group -> 1 (unit n group)").astype(np.int64)),
    )


def described(kind: str, values: np.ndarray, places: np.ndarray, shape: TokenShape) -> np.ndarray:
    """[channel, sample] -> content [channel, stretch, value], NaN where less than half of a stretch was recorded."""
    cut = cut_stretches(values, shape.stretch(kind))
    half = np.isfinite(cut).mean(axis=-1, keepdims=True) >= 0.5
    if kind == "wave":
        return np.where(half, cut, np.float32(np.nan))
    whole, rest = divmod(values.shape[1], cut.shape[2])
    parts = [_summary(kind, cut[:, :whole], places, shape)] if whole else []
    if rest:  # as long as it is, so that no segment of it reaches into the padding
        parts.append(_summary(kind, cut[:, whole:, :rest], places, shape))
    return np.where(half, np.concatenate(parts, axis=1), np.float32(np.nan))


def _summary(kind: str, cut: np.ndarray, places: np.ndarray, shape: TokenShape) -> np.ndarray:
    """[channel, stretch, sample] -> [channel, stretch, value] of spectra, covariances or both."""
    parts = []
    if kind in ("spectrum", "profile"):
        parts.append(log_bands(cut, shape.sfreq_hz, shape.edges_hz) - np.float32(math.log(LEVEL)))
    if kind in ("covariance", "profile"):
        parts.append(covariance_rows(cut, places, np.array(shape.sites), shape.sfreq_hz))
    return np.concatenate(parts, axis=-1)


def cut_stretches(values: np.ndarray, size: int) -> np.ndarray:
    """[channel, sample] -> [channel, stretch, size]; an unfinished last stretch is filled with NaN."""
    n = -(-values.shape[1] // size)
    padded = np.full((len(values), n * size), np.nan, np.float32)
    padded[:, : values.shape[1]] = values
    return padded.reshape(len(values), n, size)


def signals(sequence: PatchSequence) -> list[np.ndarray]:
    """Inverse for waves: [unit x slot, sample] of each row; NaN where a token is invalid or not among the tokens.

    Padding is left out: it lies at time 0, the centre of a stretch always later.

    Raises InputError when the tokens hold no waves.
    """
    spec = sequence.spec
    if "wave" not in spec.kinds or sequence.values is None:
        raise InputError("spectra alone do not say what the signal was", got=", ".join(spec.kinds))
    slots, size = spec.shape_of(spec.kind_of("wave"))
    own = sequence.valid & (sequence.kind == spec.kind_of("wave"))
    values = sequence.values[..., : slots * size].masked_fill(~own.unsqueeze(-1), torch.nan).cpu().numpy()
    time = sequence.coords[..., 0].cpu().numpy()
    wanted = (sequence.kind == spec.kind_of("wave")).cpu().numpy() & (time > 0)
    at = np.round(np.nan_to_num(time) * float(spec.sfreq_hz or 1.0) / size - 0.5).astype(int)
    found = []
    for row, real, when, group in zip(values, wanted, at, sequence.group.cpu().numpy(), strict=True):
        numbers, unit = _in_order(group[real])
        grid = np.full((len(numbers), when[real].max(initial=-1) + 1, row.shape[-1]), np.nan, np.float32)
        grid[unit, when[real]] = row[real]
        found.append(rearrange(grid, "unit n (slot sample) -> (unit slot) (n sample)", slot=slots))
    return found


def _in_order(group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Different numbers in order of appearance, and the place of each entry among them."""
    numbers, first, unit = np.unique(group, return_index=True, return_inverse=True)
    rank = first.argsort().argsort()
    return numbers[first.argsort()], rank[unit]


def check_bands(edges_hz: Sequence[float], groups: int) -> None:
    """Raises InputError when the bands cannot be divided evenly."""
    if groups < 1 or (len(edges_hz) - 1) % groups:
        raise InputError("the bands do not divide evenly", source="modality.band_groups", got=groups,
                         expected=f"a divisor of {len(edges_hz) - 1}")  # fmt: skip
