"""What the tests of EEG tokens share: montages as arrays of places, and windows of noise."""

from __future__ import annotations

import numpy as np
from omnipatch.core.modality import Window
from omnipatch.modalities.eeg.sites import SITES_10_20, site_places
from omnipatch.modalities.eeg.spectral import FINE_EDGES_HZ
from omnipatch.modalities.eeg.tokens import TokenShape

RATE_HZ = 100.0
SITES = tuple(sorted(site_places()))


def places(names=SITES_10_20) -> np.ndarray:
    """[channel, 3]."""
    return np.array([site_places()[name] for name in names])


def noise(channels: int, samples: int = 500, seed: int = 0) -> np.ndarray:
    """[channel, sample] float32."""
    return np.random.default_rng(seed).normal(size=(channels, samples)).astype(np.float32)


def shape(contents=("wave",), wave_s=0.5, spectrum_s=5.0, groups=1) -> TokenShape:
    return TokenShape(tuple(contents), wave_s, spectrum_s, FINE_EDGES_HZ, groups, RATE_HZ)


def window(names=SITES_10_20, samples: int = 500, seed: int = 0) -> Window:
    return Window(noise(len(names), samples, seed), tuple(names), RATE_HZ, 0.0, "r", "s")
