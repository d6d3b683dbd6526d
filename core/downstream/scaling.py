"""Standardised blocks of item features: what the encoder gives and the side features, kept apart.

Mean and standard deviation come from the fitted items only. Side features are clipped, since a recording unlike any
training recording would otherwise decide a linear map alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# side features beyond this many training standard deviations say "extreme", not how extreme
CLIP = 5.0


@dataclass(frozen=True, eq=False)
class Standardizer:
    """Column-wise (x - mean) / std; missing (NaN) becomes 0, the training mean."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray) -> Standardizer:
        """Statistics of [item, column], ignoring NaN; constant columns keep their scale."""
        x = np.ma.masked_invalid(x.astype(np.float32, copy=False))
        mean, std = x.mean(axis=0).filled(0.0), x.std(axis=0).filled(0.0)
        return cls(np.asarray(mean, np.float32), np.where(std > 1e-6, std, 1.0).astype(np.float32))

    def __call__(self, x: np.ndarray, clip: float | None = None) -> np.ndarray:
        z = np.nan_to_num((x.astype(np.float32, copy=False) - self.mean) / self.std, nan=0.0)
        return z if clip is None else z.clip(-clip, clip)


@dataclass(frozen=True, eq=False)
class Blocks:
    """Encoder features [item, d] and side features [item, f] of all items, with their standardisers."""

    features: np.ndarray
    side: np.ndarray
    scale_features: Standardizer
    scale_side: Standardizer

    @classmethod
    def fit(cls, features: np.ndarray, side: np.ndarray, fitted: np.ndarray) -> Blocks:
        """Learn the scales from the items `fitted`."""
        return cls(features, side, Standardizer.fit(features[fitted]), Standardizer.fit(side[fitted]))

    def parts(self, index: np.ndarray) -> list[np.ndarray]:
        """Standardised blocks of some items; an empty block is left out."""
        parts = [self.scale_features(self.features[index]), self.scale_side(self.side[index], CLIP)]
        return [part for part in parts if part.shape[1]]
