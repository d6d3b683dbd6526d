"""Hand-made features of a stretch of sound, the field's own baseline for a linear classifier.

Cepstral coefficients (Davis & Mermelstein 1980, doi:10.1109/TASSP.1980.1163420): the cosine transform of log-mel, 20
of them, by their mean and spread over time. A missing band takes the mean of the frame's others, which leaves the
shape of the rest.
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
    """[band, frame] -> [2 * coefficient] float32: means, then standard deviations; zero where no frame is there."""
    found = mfcc(power, count)
    if not found.shape[1]:
        return np.zeros(2 * count, np.float32)
    padded = np.zeros((count, found.shape[1]))
    padded[: len(found)] = found
    return np.concatenate([padded.mean(axis=1), padded.std(axis=1)]).astype(np.float32)
