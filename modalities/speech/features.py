"""Hand-made features of a stretch of sound, the field's own baseline for a linear classifier.

Cepstral coefficients (Davis & Mermelstein 1980, doi:10.1109/TASSP.1980.1163420): the cosine transform of log-mel, 20
of them and their changes from frame to frame, by mean and spread over time. A missing band takes the mean of the
frame's others, which leaves the shape of the rest.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import dct

COEFFICIENTS = 20


def mfcc(power: np.ndarray, count: int = COEFFICIENTS) -> np.ndarray:
    """[band, frame] log power -> [coefficient, frame] of the frames that have any band."""
    power = power[:, np.isfinite(power).any(axis=0)].astype(float)
    power = np.where(np.isfinite(power), power, np.nanmean(power, axis=0, keepdims=True)) if power.size else power
    return np.asarray(dct(power, axis=0, norm="ortho"))[:count]


def mfcc_statistics(power: np.ndarray, count: int = COEFFICIENTS) -> np.ndarray:
    """[band, frame] -> [4 * coefficient] float32: mean and standard deviation of the coefficients, then of their
    differences; zero where there are no frames."""
    own = mfcc(power, count)
    if not own.shape[1]:
        return np.zeros(4 * count, np.float32)
    found = np.zeros((count, own.shape[1]))
    found[: len(own)] = own
    steps = np.diff(found, axis=1) if own.shape[1] > 1 else np.zeros((count, 1))
    return np.concatenate([f(x, axis=1) for x in (found, steps) for f in (np.mean, np.std)]).astype(np.float32)
