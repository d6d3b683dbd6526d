"""A kernel machine on hand-made features: logistic regression in the space of a radial kernel.

What is linear sees in a feature only its height. A radial kernel sees how far an item is from others in all features at
once, which is what counts where either direction away from rest is a change. Smooth where there are more features than
items, when trees and boosting have too little to split.

The width of the kernel (one over the number of standardised features) and the strength of the penalty (1) are those of
scikit-learn, so that nothing is chosen on anybody. Exact up to `LANDMARKS` items, beyond by as many of them (Williams &
Seeger 2000, https://papers.nips.cc/paper/1866).
"""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression

from ..config import ProbeConfig
from .estimator import fit_and_predict
from .given import for_each
from .scaling import Standardizer
from .trial import Trial

LANDMARKS = 1_000


def kernel_machine(trial: Trial, config: ProbeConfig) -> np.ndarray:
    """[test item, class] of a kernel machine on the hand features; a missing one is the training mean."""

    def learn(part: Trial) -> np.ndarray:
        scale = Standardizer.fit(part.items.hand[part.learnable])
        model = KernelRidge(kernel="rbf") if part.numeric else KernelLogistic(part.seed)
        return fit_and_predict(part, model, config, scale)

    return for_each(trial, learn)


class KernelLogistic(ClassifierMixin, BaseEstimator):
    """Penalised logistic regression in the space of a radial kernel, as an estimator of scikit-learn."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, x: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> KernelLogistic:
        """x: [item, feature] standardised. y: [item] class. sample_weight: [item]."""
        self.space_ = Nystroem(n_components=min(LANDMARKS, len(x)), random_state=self.seed).fit(x)
        self.model_ = LogisticRegression(max_iter=1000).fit(self.space_.transform(x), y, sample_weight)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """[item, class]."""
        return self.model_.predict_proba(self.space_.transform(x))
