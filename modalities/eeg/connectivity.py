"""How an electrode goes with the others: its row of the log-covariance in each band.

A spectrum says what an electrode sees; what it shares with every other site says where that comes from. The rows are
those of the matrix the hand features use (`features.log_covariance`), over fixed sites, so that rows of different caps
mean the same. An electrode that stands at none of the sites has no row, a site without an electrode is NaN in each.

Rows are told relative to a background that falls as one over the frequency, and stretched: what electrodes share is a
few tenths in the logarithm, but as telling as their powers.

The logarithm of a matrix belongs to the set of its electrodes: without one of them the rows of the others differ a
little. So these tokens ask for much the same cap in training and use; spectra and waves do not.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from .features import BAND_EDGES_HZ, log_covariance
from .montage import AT_A_SITE
from .spectral import LEVEL

BANDS = len(BAND_EDGES_HZ) - 1
STRETCH = 3.0  # what electrodes share is a few tenths, as telling as their powers


def covariance_rows(cut: np.ndarray, places: np.ndarray, sites: np.ndarray, sfreq_hz: float) -> np.ndarray:
    """[channel, stretch, sample] and [channel, 3], [site, 3] -> [channel, stretch, BANDS x site] float32.

    Of electrodes at one site the nearest counts.
    """
    distance = cdist(places, sites)
    channel = distance.argmin(axis=0)
    held = distance[channel, np.arange(len(sites))] < AT_A_SITE
    x = np.full((cut.shape[1], len(sites), cut.shape[2]), np.nan)
    x[:, held] = cut[channel[held]].transpose(1, 0, 2)
    matrices = _unfolded(log_covariance(x, sfreq_hz), len(sites))
    own = np.arange(len(sites))
    low, high = np.array(BAND_EDGES_HZ[:-1]), np.array(BAND_EDGES_HZ[1:])
    matrices[..., own, own] -= np.log(LEVEL * np.log(high / low)).astype(np.float32)[:, None]
    matrices *= STRETCH
    rows = np.full((len(places), cut.shape[1], BANDS, len(sites)), np.nan, np.float32)
    rows[channel[held]] = matrices[:, :, held].transpose(2, 0, 1, 3)
    return rows.reshape(len(places), cut.shape[1], -1)


def _unfolded(triangles: np.ndarray, sites: int) -> np.ndarray:
    """[stretch, band x site (site + 1) / 2] -> [stretch, band, site, site], off-diagonals unweighted."""
    upper, across = np.triu_indices(sites)
    entries = triangles.reshape(len(triangles), BANDS, -1) / np.where(upper == across, 1.0, np.sqrt(2))
    matrices = np.empty((len(triangles), BANDS, sites, sites), np.float32)
    matrices[..., upper, across] = entries
    matrices[..., across, upper] = entries
    return matrices
