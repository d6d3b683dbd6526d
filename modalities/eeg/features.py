"""Hand-made features of EEG windows, the field's own baseline for a linear classifier.

- "bands": logarithm of power in six bands at each site, what every study reports.
- "fine-bands": the same in 1 Hz steps up to 30 Hz, then 4 Hz (`spectral`).
- "log-covariance": how sites vary together in each of the six bands, as the matrix logarithm of their covariance
  (log-Euclidean metric, Arsigny et al. 2006, doi:10.1002/mrm.20965). In this space covariances of different people can
  be averaged and compared linearly. Covariances are shrunk towards their mean power: few seconds do not give full rank.
- Features are of fixed sites, so that all recordings have the same ones; a site that is missing is NaN in each feature
  it is part of.
- Powers are absolute. Where the class is a recording, anything relative to the recording would erase it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.signal.windows import hann

from ...core.errors import InputError, nearest
from .sites import SITES_10_20
from .spectral import FINE_EDGES_HZ, SEGMENT_S, log_bands

# delta, theta, alpha, low and high beta, low gamma
BAND_EDGES_HZ = (1.0, 4.0, 8.0, 13.0, 20.0, 30.0, 40.0)
FEATURE_SETS = ("bands", "fine-bands", "log-covariance")
_SHRINK = 0.1
_LEAST_POWER = 1e-6  # of a band, in squared units; a site without any has no logarithm
_PRESENT = 0.5  # share of segments that a site needs to be part of a covariance


def hand_features(
    values: np.ndarray,
    sensors: Sequence[str],
    sfreq_hz: float,
    sets: Sequence[str] = ("bands",),
    sites: Sequence[str] = SITES_10_20,
) -> np.ndarray:
    """[..., channel, sample] -> [..., feature] float32, the given sets side by side. NaN = missing.

    Raises InputError for an unknown set.
    """
    x = at_sites(values, sensors, sites)
    found = [np.empty((*x.shape[:-2], 0), np.float32)]
    for name in sets:
        if name == "bands":
            found.append(_flat(log_bands(x, sfreq_hz, BAND_EDGES_HZ)))
        elif name == "fine-bands":
            found.append(_flat(log_bands(x, sfreq_hz, FINE_EDGES_HZ)))
        elif name == "log-covariance":
            found.append(log_covariance(x, sfreq_hz))
        else:
            raise InputError("unknown set of features", got=name, fix=nearest(name, FEATURE_SETS))
    return np.concatenate(found, axis=-1).astype(np.float32)


def at_sites(values: np.ndarray, sensors: Sequence[str], sites: Sequence[str]) -> np.ndarray:
    """[..., channel, sample] -> [..., site, sample], NaN where a site was not recorded."""
    x = np.full((*values.shape[:-2], len(sites), values.shape[-1]), np.nan)
    place = {name: row for row, name in enumerate(sensors)}
    for row, site in enumerate(sites):
        if site in place:
            x[..., row, :] = values[..., place[site], :]
    return x


def log_covariance(
    values: np.ndarray, sfreq_hz: float, edges_hz: Sequence[float] = BAND_EDGES_HZ, shrink: float = _SHRINK
) -> np.ndarray:
    """[..., site, sample] -> [..., band x site (site + 1) / 2]: upper triangles of the logarithms of band covariances.

    What lies off the diagonal is weighted by the square root of two, so that distances are those of the matrices.
    Of a site, only segments count in which all other sites of the window are there as well.
    """
    *lead, sites, samples = values.shape
    bands = len(edges_hz) - 1
    windows = np.asarray(values, dtype=float).reshape(math.prod(lead), sites, samples)
    spectra = _spectra(windows, sfreq_hz)
    inside = [_bins(samples, sfreq_hz, low, high) for low, high in pairwise(edges_hz)]
    logs = np.full((len(spectra), bands, sites, sites), np.nan)
    present = np.asarray(np.isfinite(spectra).all(axis=-1))  # [window, site, segment]
    for pattern, chosen in _patterns(present.mean(axis=-1) >= _PRESENT):
        if not pattern.any():
            continue
        rows = np.flatnonzero(pattern)
        kept = spectra[np.ix_(chosen, rows)]
        shared = np.asarray(present[np.ix_(chosen, rows)].all(axis=1))  # [window, segment]
        kept = np.where(shared[:, None, :, None], kept, 0)
        covariance = np.stack([np.einsum("wcsf,wdsf->wcd", kept[..., f], kept[..., f].conj()).real for f in inside], 1)
        count = shared.sum(axis=1)
        some = count > 0
        covariance = covariance[some] / count[some, None, None, None]
        logs[np.ix_(chosen[some], np.arange(bands), rows, rows)] = _logarithm(covariance, shrink)
    upper, across = np.triu_indices(sites)
    weight = np.where(upper == across, 1.0, np.sqrt(2))
    return (logs[..., upper, across] * weight).reshape(*lead, bands * len(upper)).astype(np.float32)


def _spectra(x: np.ndarray, sfreq_hz: float) -> np.ndarray:
    """[window, site, segment, frequency] complex, scaled so that squares sum to variance over the frequencies."""
    size = _segment(x.shape[-1], sfreq_hz)
    cut = np.lib.stride_tricks.sliding_window_view(x, size, axis=-1)[..., :: max(1, size // 2), :]
    taper = hann(size, sym=False)
    transformed = np.fft.rfft((cut - cut.mean(axis=-1, keepdims=True)) * taper, axis=-1)
    return transformed * np.sqrt(2 / (size * (taper**2).sum()))


def _bins(samples: int, sfreq_hz: float, low_hz: float, high_hz: float) -> np.ndarray:
    """Places of the frequencies of a band, the nearest one where a short window has none in it."""
    frequency = np.fft.rfftfreq(_segment(samples, sfreq_hz), 1 / sfreq_hz)
    inside = np.flatnonzero((frequency >= low_hz) & (frequency < high_hz))
    return inside if len(inside) else np.array([np.abs(frequency - (low_hz + high_hz) / 2).argmin()])


def _segment(samples: int, sfreq_hz: float) -> int:
    return min(samples, max(2, round(SEGMENT_S * sfreq_hz)))


def _patterns(present: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """[window, site] bool -> its distinct rows, each with the windows that have it."""
    distinct, which = np.unique(present, axis=0, return_inverse=True)
    return [(row, np.flatnonzero(which.reshape(-1) == i)) for i, row in enumerate(distinct)]


def _logarithm(covariance: np.ndarray, shrink: float) -> np.ndarray:
    """Matrix logarithm of [..., site, site] after shrinking towards equal power without any covariance."""
    sites = covariance.shape[-1]
    power = np.trace(covariance, axis1=-2, axis2=-1)[..., None, None] / sites + _LEAST_POWER
    value, vector = np.linalg.eigh((1 - shrink) * covariance + shrink * power * np.eye(sites))
    return np.einsum("...ik,...k,...jk->...ij", vector, np.log(np.maximum(value, shrink * _LEAST_POWER)), vector)


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])
