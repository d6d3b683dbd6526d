"""Preprocessing of one recording: fill gaps, filter, resample, reject artefacts, re-reference, scale, clip.

- Pure functions of [channel, sample] microvolt; filters are zero-phase and resampling is polyphase, so an event stays
  where it is (MNE's default resampling in the frequency domain came out half a sample late).
- Gaps are bridged for the filters and are gaps again afterwards.
- Artefacts are judged before the average reference is taken, so that one loose electrode does not spread to all.
- The default scale is a constant. Standardising each recording would erase every class that is a recording (rest in one
  file, task in another): `scaling="recording"` says that this is wanted; `"baseline"` takes the spread of a baseline
  (see `baseline`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...core.errors import InputError, nearest
from ...core.signals import fill_gaps, mean_of_present, resample
from .artefacts import reject
from .channels import canonical_channel, parse_channel
from .filters import NOTCH_WIDTH_HZ, band_pass, nearest_samples

_LEAST_SPREAD_UV = 0.1
_IQR_OF_NORMAL = 1.349


@dataclass(frozen=True)
class PreprocessConfig:
    """What is done to a recording before it is cut; saved with the weights and done again at inference."""

    sfreq_hz: float = 100.0  # rate after resampling
    highpass_hz: float = 0.5  # removes drift of the electrodes
    lowpass_hz: float = 45.0  # removes muscles and mains
    notch_hz: float | None = None  # mains and its multiples, for a lowpass above them
    reference: str = "none"  # as recorded; "average" of all electrodes; or a channel such as "Cz"
    scaling: Literal["fixed", "recording", "baseline"] = "fixed"  # by a constant, or by the robust spread of a channel
    unit_uv: float = 10.0  # what one unit of a value is under fixed scaling
    clip: float = 30.0  # largest absolute value after scaling; 0 = any
    reject_uv: float = 500.0  # a stretch with a larger range is missing; 0 = none is
    flat_uv: float = 0.1  # a stretch with a smaller range is missing; 0 = none is
    artefact_s: float = 1.0  # length of a stretch

    def __post_init__(self) -> None:
        for name in ("sfreq_hz", "highpass_hz", "lowpass_hz", "unit_uv", "artefact_s"):
            if getattr(self, name) <= 0:
                raise InputError("must be positive", source=f"modality.{name}", got=getattr(self, name))
        for name in ("clip", "reject_uv", "flat_uv"):
            if getattr(self, name) < 0:
                raise InputError("must not be negative", source=f"modality.{name}", got=getattr(self, name))
        if self.highpass_hz >= self.lowpass_hz:
            raise InputError("highpass_hz must lie below lowpass_hz", source="modality", got=self.highpass_hz)
        if self.notch_hz is not None and self.notch_hz <= NOTCH_WIDTH_HZ:
            raise InputError(
                "not a mains frequency", source="modality.notch_hz", got=self.notch_hz, expected="50 or 60"
            )
        if self.reference not in ("none", "average") and canonical_channel(self.reference) is None:
            raise InputError(
                "unknown reference", source="modality.reference", got=self.reference,
                expected="none, average or the name of a channel",
            )  # fmt: skip


def preprocess(
    values: np.ndarray,
    sfreq_hz: float,
    config: PreprocessConfig,
    sensors: Sequence[str],
    spread_uv: np.ndarray | None = None,
) -> np.ndarray:
    """[channel, sample] microvolt -> [channel, sample] float32 at `config.sfreq_hz`, NaN = missing or rejected.

    spread_uv: [channel] of `scaling="baseline"`, see `robust_spread`.
    Raises InputError when the reference is not among the channels, or the spread of the baseline is not given.
    """
    # a channel at a time: filters need several copies in double precision, of a night or a day of all that is much
    rows = [_filtered(row[None], sfreq_hz, config) for row in np.asarray(values)]
    x = reject(np.concatenate(rows), config.sfreq_hz, config.reject_uv, config.flat_uv, config.artefact_s)
    x = rereference(x, sensors, config.reference)
    x = x / _scale(x, config, spread_uv)
    if config.clip:
        x = np.clip(x, -config.clip, config.clip)
    return x.astype(np.float32)


def _filtered(values: np.ndarray, sfreq_hz: float, config: PreprocessConfig) -> np.ndarray:
    """[channel, sample] at the rate of the file -> the same in double precision, filtered, at `config.sfreq_hz`."""
    filled, gaps = fill_gaps(np.asarray(values, dtype=float))
    x = band_pass(filled, sfreq_hz, config.highpass_hz, config.lowpass_hz, config.notch_hz)
    x = resample(x, sfreq_hz, config.sfreq_hz)
    x[nearest_samples(gaps, sfreq_hz, config.sfreq_hz, x.shape[1])] = np.nan
    return x


def rereference(x: np.ndarray, sensors: Sequence[str], reference: str) -> np.ndarray:
    """[channel, sample] against another reference: "none", "average", or one of the channels.

    Missing samples are no part of the average. Bipolar channels have their own reference and stay as they are.
    """
    if reference == "none":
        return x
    channels = [parse_channel(name) for name in sensors]
    electrodes = [i for i, channel in enumerate(channels) if channel is None or not channel.cathode]
    if reference == "average":
        against = mean_of_present(x[electrodes])
    else:
        name = canonical_channel(reference)
        if name is None or name not in sensors:
            raise InputError(
                "the reference was not recorded", source="modality.reference", got=reference,
                expected=", ".join(sensors), fix=nearest(reference, sensors),
            )  # fmt: skip
        against = x[list(sensors).index(name)]
    out = x.copy()
    out[electrodes] -= against
    return out


def robust_spread(values: np.ndarray) -> np.ndarray:
    """[channel, sample] -> [channel] standard deviation as the interquartile range tells it; 1 where all is missing.

    Of several recordings, join them along time first.
    """
    spread = np.ones(len(values))
    for row, x in enumerate(values):
        measured = x[np.isfinite(x)]
        if len(measured):
            low, high = np.percentile(measured, [25, 75])
            spread[row] = max((high - low) / _IQR_OF_NORMAL, _LEAST_SPREAD_UV)
    return spread


def _scale(x: np.ndarray, config: PreprocessConfig, spread_uv: np.ndarray | None) -> np.ndarray | float:
    if config.scaling == "fixed":
        return config.unit_uv
    if config.scaling == "recording":
        return robust_spread(x)[:, None]
    if spread_uv is None:
        raise InputError(
            "the spread of the baseline is not known", source="modality.scaling", got="baseline",
            fix="choose modality.baseline, or use scaling fixed",
        )  # fmt: skip
    return np.asarray(spread_uv, dtype=float)[:, None]
