"""How much each moment looks like a QRS complex, from all leads at once, without regard to polarity.

One lead: the magnitude of a complex Gabor wavelet in the band of the QRS complex. The magnitude is the same for an R
wave up, down or biphasic, has one hump a complex, and stays low over P and T waves, whose energy lies lower. Several
leads: each is divided by its own local QRS height and they are averaged with weights (height / background) squared,
the inverse-variance rule, so a lead in a noise burst fades out while the burst lasts.

- Every filter is short and every statistic local: padding and companions in a batch change nothing.
- Times are constants in seconds; the filter strides down to a grid of 100 to 200 Hz, enough for a band below 20 Hz.
- Source of the band: Elgendi, Jonkman & De Boer (2010) find 8 to 20 Hz best for telling QRS complexes from the rest;
  the lower centre here keeps wide ventricular complexes (5 to 8 Hz) in.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

# wavelet: half response at 5.6 and 16.4 Hz; half height 82 ms, the length of a QRS complex
_CENTRE_HZ, _WIDTH_S = 11.0, 0.035
_GRID_HZ = 100.0  # slowest grid the evidence is put on
_HOP_S = 0.5  # local statistics are taken every so often
BLOCK_S = 2.0  # holds a beat at any rate above 30 a minute
_SPAN_S = 12.0  # QRS heights are compared over so many seconds: a few breaths, a dozen beats
_MAX_CONTRAST = 15.0  # a lead cleaner than this is not trusted more, so that a beat seen in one lead only is kept
_FLOOR_MV = 1e-3  # below one microvolt there is no QRS complex
_FADE = (
    0.25  # the noise of a pause is measured against this share of the recording's own QRS height, not against itself
)


class Evidence(NamedTuple):
    """Sample i of the grid lies at i / sfreq_hz seconds.

    height: [batch, grid] log(1 + wavelet magnitude in usual QRS heights), mean over leads, 0 where nothing is known.
    sharp: [batch, grid] in millivolt, largest at the extremum of a complex.
    """

    height: Tensor
    sharp: Tensor
    sfreq_hz: float


def qrs_evidence(x: Tensor, sfreq_hz: float) -> Evidence:
    """x: [batch, lead, sample] in millivolt, not finite where missing."""
    known = torch.isfinite(x)
    stride = max(1, int(sfreq_hz // _GRID_HZ))
    grid_hz = sfreq_hz / stride
    even, odd = _wavelet_response(fill_gaps(x, known), sfreq_hz, stride)
    known = known[..., ::stride]
    size = torch.where(known, torch.hypot(even, odd), torch.nan)

    top = top_of_blocks(size, grid_hz)
    usual = top.nanmedian(dim=-1, keepdim=True).values
    height = torch.maximum(running_median(top), _FADE * usual)
    # every other sample does for a median
    background = _local(size, grid_hz)[..., ::2].nanmedian(dim=-1).values
    background = torch.maximum(background, running_median(background)).nan_to_num()
    # a noise burst spoils the blocks it only touches too
    reach = round(BLOCK_S / 2 / _HOP_S)
    background = functional.max_pool1d(background, 2 * reach + 1, stride=1, padding=reach)
    contrast = (height / background.clamp(min=1e-9)).clamp(max=_MAX_CONTRAST)
    alive = torch.minimum(height, top) > _FLOOR_MV
    weight = torch.where(alive, contrast.square(), 0.0)

    weight = to_grid(weight, grid_hz, known.shape[-1]) * known
    height = to_grid(height, grid_hz, known.shape[-1])
    total = weight.sum(dim=1).clamp(min=1e-9)
    # a logarithm instead of a clip: an artefact counts little more than a beat, yet peaks stay peaks
    seen = (weight * torch.log1p(size / height)).nan_to_num().sum(dim=1) / total
    # annotators go by the tallest deflection: sizes in millivolt, leads turned so that their main deflections agree
    upright = (even / height).nan_to_num().clamp(-1.0, 1.0).pow(3).mul(weight).sum(dim=-1, keepdim=True).sign()
    sharp = (weight * even * upright).nan_to_num().sum(dim=1).abs() / total
    return Evidence(seen, sharp, grid_hz)


def top_of_blocks(x: Tensor, sfreq_hz: float) -> Tensor:
    """[..., grid] -> [..., hop] largest value of the block around each hop, NaN where nothing is known."""
    top = _local(x, sfreq_hz).nan_to_num(nan=-1.0).amax(dim=-1)
    return top.masked_fill(top < 0, torch.nan)


def running_median(x: Tensor) -> Tensor:
    """Median of [..., hop] over the span around each hop, of what is not NaN."""
    reach = round(_SPAN_S / 2 / _HOP_S)
    padded = functional.pad(x, (reach, reach), value=torch.nan)
    return padded.unfold(-1, 2 * reach + 1, 1).nanmedian(dim=-1).values


def to_grid(x: Tensor, sfreq_hz: float, n: int) -> Tensor:
    """[..., hop] -> [..., n], linear between hops."""
    place = torch.arange(n, device=x.device, dtype=x.dtype) / round(_HOP_S * sfreq_hz)
    low = place.long().clamp(max=x.shape[-1] - 1)
    high = (low + 1).clamp(max=x.shape[-1] - 1)
    return torch.lerp(x[..., low], x[..., high], place - low)


def fill_gaps(x: Tensor, known: Tensor) -> Tensor:
    """Linear interpolation of [..., sample] where not known; ends are held, what is never known is 0.

    The first known sample is taken as zero, so that an offset costs no precision.
    """
    n = x.shape[-1]
    at = torch.arange(n, device=x.device)
    before = torch.where(known, at, -1).cummax(dim=-1).values
    after = torch.where(known, at, n).flip(-1).cummin(dim=-1).values.flip(-1)
    first = after[..., :1].clamp(max=n - 1)
    x = torch.where(known, x, 0.0)
    x = x - x.gather(-1, first)
    low = torch.where(before < 0, after, before).clamp(max=n - 1)
    high = torch.where(after >= n, low, after)
    share = (at - low) / (high - low).clamp(min=1)
    low, high = x.gather(-1, low), x.gather(-1, high)
    return torch.where(known.any(dim=-1, keepdim=True), low + (high - low) * share, 0.0)


def _wavelet_response(x: Tensor, sfreq_hz: float, stride: int) -> tuple[Tensor, Tensor]:
    """Even and odd response of [batch, lead, sample], each [batch, lead, grid], without response to an offset."""
    reach = math.ceil(3 * _WIDTH_S * sfreq_hz)
    t = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype) / sfreq_hz
    bell = torch.exp(-0.5 * (t / _WIDTH_S).square())
    bell = bell / bell.sum()
    even = bell * torch.cos(2 * math.pi * _CENTRE_HZ * t)
    odd = bell * torch.sin(2 * math.pi * _CENTRE_HZ * t)
    bank = torch.stack([even - bell * even.sum(), odd]).unsqueeze(1)
    flat = functional.pad(x.flatten(0, 1).unsqueeze(1), (reach, reach), mode="replicate")
    response = functional.conv1d(flat, bank, stride=stride).unflatten(0, x.shape[:2])
    return response[:, :, 0], response[:, :, 1]


def _local(x: Tensor, sfreq_hz: float) -> Tensor:
    """[..., grid] -> [..., hop, sample]: the block around every hop, NaN outside."""
    reach = round(BLOCK_S / 2 * sfreq_hz)
    padded = functional.pad(x, (reach, reach), value=torch.nan)
    return padded.unfold(-1, 2 * reach + 1, round(_HOP_S * sfreq_hz))
