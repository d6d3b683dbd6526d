"""Preprocessing of one recording: one channel, gaps, another rate, log-mel, trimming, normalisation.

- What was not recorded is missing, not silent: frames that touch a gap, and bands above half the rate of the
  recording, are NaN. So recordings of 8 and 44.1 kHz can stand in one corpus.
- Power is floored a fixed range below the loudest frame of the recording, so that digital silence and a quiet room
  are the same nothing.
- The default normalisation is one mean and one spread for a whole recording: it takes loudness and leaves the spectrum.
  Per band (cepstral mean normalisation) it would also take the microphone, and with it every class that is a steady
  sound, such as a sustained vowel.
- A constant offset of the recorder that is about as loud as the sound is taken out: it would leak into the lowest bands
  of every frame, and no end would be quiet.
- Trimming cuts what is quiet before the first and after the last sound, never in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...core.errors import InputError
from ...core.modality import Recording
from ...core.signals import fill_gaps, mean_of_present, resample
from .mel import MelShape, log_mel
from .quality import SILENT_FS, is_silent

_DB = np.log(10) / 10  # a decibel of power in natural logarithms
_FIXED_MEAN, _FIXED_SPREAD = -8.0, 4.0  # typical log power of speech at full scale
_LEAST_SPREAD = 0.1
_CANCELLED = 1e-3  # share of the louder channel's power that a mix keeps at least: 30 dB below it, it is what is left
_LOUD_OFFSET = 0.5  # times the spread of the samples


@dataclass(frozen=True)
class PreprocessConfig(MelShape):
    """What is done to a recording before it is cut; saved with the weights and done again at inference."""

    sfreq_hz: float = 16_000.0  # rate after resampling
    frame_s: float = 0.025  # length of a spectral frame
    hop_s: float = 0.010  # distance of frames
    bands: int = 40  # mel bands
    lowest_hz: float = 50.0  # lower end of the lowest band
    highest_hz: float = 8_000.0  # upper end of the highest band
    channel: str = "mix"  # the mean of one or two channels; or one of "left", "right", "channel 3"
    trim_db: float = 40.0  # quiet ends are cut that lie so far below the loudest frame; 0 = nothing is cut
    trim_margin_s: float = 0.05  # left of the quiet at either end
    range_db: float = 80.0  # what lies further below the loudest value is raised to there
    normalize: Literal["record", "band", "fixed"] = "record"  # spread of: the whole recording, each band, a constant

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("trim_db", "trim_margin_s", "range_db"):
            if getattr(self, name) < 0:
                raise InputError("must not be negative", source=f"modality.{name}", got=getattr(self, name))


@dataclass(frozen=True)
class Spectrum:
    """values: [band, frame] normalised; power: [band, frame] natural logarithm before that; both with NaN = missing.
    start_s: where the first frame begins in the recording."""

    values: np.ndarray
    power: np.ndarray
    start_s: float


def preprocess(recording: Recording, config: PreprocessConfig) -> Spectrum:
    """Log-mel of a recording. Raises InputError for a wrong unit or channel, no sound, or less than one frame."""
    wave = _without_offset(one_channel(recording, config.channel))
    if wave.size * config.sfreq_hz < config.frame * recording.sfreq_hz:
        raise InputError(
            "recording is too short", source=recording.record, got=f"{wave.size / recording.sfreq_hz:.4f} s",
            expected=f"at least one frame of {config.frame_s:g} s",
        )  # fmt: skip
    if is_silent(wave):
        raise InputError("no sound in the recording", source=recording.record, got="silence")
    filled, gaps = fill_gaps(wave[None].astype(np.float32))
    power = log_mel(resample(filled, recording.sfreq_hz, config.sfreq_hz)[0], config)
    power = np.maximum(power, power.max() - config.range_db * _DB)
    power[:, _touched(gaps[0], recording.sfreq_hz, config, power.shape[1])] = np.nan
    power[config.edges_hz[2:] > recording.sfreq_hz / 2 + 1e-6] = np.nan
    if not np.isfinite(power).any():
        raise InputError("no frame without a gap", source=recording.record)
    first, last = sounding(power, config)
    power = power[:, first:last]
    return Spectrum(normalized(power, config.normalize), power, first * config.hop_s)


def one_channel(recording: Recording, channel: str) -> np.ndarray:
    """[sample] of the channel that is used; samples missing in one of two are those of the other."""
    if recording.unit != "FS":
        raise InputError("wrong unit", source=recording.record, got=recording.unit, expected="FS")
    x, names = np.asarray(recording.signals), recording.sensors
    if channel != "mix":
        if channel not in names:
            raise InputError(
                "no such channel", source=recording.record, field="modality.channel", got=channel,
                expected=", ".join(names),
            )  # fmt: skip
        return x[names.index(channel)]
    if len(x) > 2:
        raise InputError(
            "more than two channels", source=recording.record, got=len(x), expected="one or two to mix",
            fix=f"choose one by --modality.channel {names[0]!r}",
        )  # fmt: skip
    return x[0] if len(x) == 1 else _mixed(recording, x)


def _mixed(recording: Recording, x: np.ndarray) -> np.ndarray:
    """[sample] mean of [channel, sample]. Raises InputError where one is the other upside down, as a balanced
    microphone on a stereo input leaves them: the noise of both would be taken for the sound."""
    mix = mean_of_present(x)
    loudest = max((float(np.nanvar(one)) for one in x if np.isfinite(one).any()), default=0.0)
    if loudest > SILENT_FS**2 and float(np.nanvar(mix)) < _CANCELLED * loudest:
        raise InputError(
            "the channels cancel each other", source=recording.record, got="one is the other upside down",
            fix=f"choose one by --modality.channel {recording.sensors[0]!r}",
        )  # fmt: skip
    return mix


def _without_offset(wave: np.ndarray) -> np.ndarray:
    """[sample] without a constant that is about as loud as what moves around it."""
    heard = wave[np.isfinite(wave)].astype(float)
    if not len(heard) or abs(heard.mean()) <= _LOUD_OFFSET * heard.std():
        return wave
    return (wave - heard.mean()).astype(wave.dtype)


def sounding(power: np.ndarray, config: PreprocessConfig) -> tuple[int, int]:
    """First frame and the one after the last of [band, frame] that belong to the sound and its margins."""
    if not config.trim_db:
        return 0, power.shape[1]
    heard = np.isfinite(power).any(axis=0)
    loudness = np.full(power.shape[1], -np.inf)
    loudness[heard] = np.log(np.nansum(np.exp(power[:, heard]), axis=0))
    loud = np.flatnonzero(loudness >= loudness.max() - config.trim_db * _DB)
    margin = round(config.trim_margin_s / config.hop_s)
    return max(0, int(loud[0]) - margin), min(power.shape[1], int(loud[-1]) + 1 + margin)


def normalized(power: np.ndarray, how: str) -> np.ndarray:
    """[band, frame] float32 with mean and spread taken out; see the module."""
    if how == "fixed":
        return ((power - _FIXED_MEAN) / _FIXED_SPREAD).astype(np.float32)
    finite, axis = np.isfinite(power), 1 if how == "band" else None
    count = np.maximum(finite.sum(axis=axis, keepdims=True), 1)
    mean = np.where(finite, power, 0.0).sum(axis=axis, keepdims=True, dtype=float) / count
    spread = np.sqrt(np.square(np.where(finite, power - mean, 0.0)).sum(axis=axis, keepdims=True) / count)
    return ((power - mean) / np.maximum(spread, _LEAST_SPREAD)).astype(np.float32)


def _touched(gaps: np.ndarray, sfreq_hz: float, config: PreprocessConfig, frames: int) -> np.ndarray:
    """[frame] bool: frames that look at a missing sample of [sample] at the recording's own rate."""
    if not gaps.any():
        return np.zeros(frames, dtype=bool)
    before = np.concatenate([[0], np.cumsum(gaps)])
    centre = (np.arange(frames) + 0.5) * config.hop_s
    low, high = (
        np.clip(np.round((centre + side * config.frame_s / 2) * sfreq_hz).astype(int), 0, len(gaps)) for side in (-1, 1)
    )
    return before[np.maximum(high, low)] > before[low]
