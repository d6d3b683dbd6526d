"""Linear probe: logistic regression on frozen features (ridge regression of numbers), its strength chosen on validation
subjects only.

- Standardised encoder features and standardised side features are two blocks. One L2 penalty over both would let a
  thousand token columns drown a few informative side features, so the relative scale of the encoder block is chosen
  together with the strength. With a weak scale the probe falls back on the side features: then the row says so.
- What was chosen is fitted again on training and validation subjects together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..config import ProbeConfig
from .given import Fit, Models
from .logistic import Linear, fit_logistic
from .scaling import Blocks
from .targets import probabilities
from .trial import Trial, thin


def linear_probe(trial: Trial, features: np.ndarray, config: ProbeConfig) -> tuple[np.ndarray, dict[str, Any]]:
    """[test item, class] probabilities and what was chosen.

    features: [item, d] encoder features of all items (d = 0: side features only).
    """
    models, chosen = chosen_models(
        trial, features, config, lambda part, own, side, scale: _Fit(part, features, own, side, scale, config)
    )
    return models(chosen["c"]), chosen


def chosen_models(
    trial: Trial, features: np.ndarray, config: ProbeConfig, make: Callable[[Trial, np.ndarray, np.ndarray, float], Fit]
) -> tuple[Models, dict[str, Any]]:
    """Models of the test items, functions of the strength c, and what was chosen on validation subjects: c and the
    relative scale of the encoder block.

    features: [item, ...] of the encoder, of all items. make: as of `Models`, and the scale.
    """

    def models_of(fitted: np.ndarray, asked: np.ndarray, scale: float) -> Models:
        return Models(trial, fitted, asked, lambda part, own, side: make(part, own, side, scale))

    scales = config.token_scale if trial.items.features.shape[1] and features.shape[1] else (1.0,)
    best, chosen = -np.inf, {"c": config.linear_c[len(config.linear_c) // 2], "token_scale": scales[len(scales) // 2]}
    if len(trial.validation):
        for scale in scales:
            models = models_of(trial.train, trial.validation, scale)
            for c in sorted(config.linear_c):
                score = trial.score(models(c))
                if score > best:
                    best, chosen = score, {"c": c, "token_scale": scale, "validation": score}
    return models_of(trial.learnable, trial.test, chosen["token_scale"]), chosen


class _Fit:
    """A path of fits on the same items; each starts from the one before."""

    def __init__(
        self, trial: Trial, features: np.ndarray, fitted: np.ndarray, asked: np.ndarray, scale: float,
        config: ProbeConfig,
    ) -> None:  # fmt: skip
        index, stands_for = thin(trial.items, fitted, config.most_items, trial.seed)
        self.blocks = Blocks.fit(features, trial.items.features, index)
        self.scale, self.has_features, self.trial = scale, bool(features.shape[1]), trial
        self.x, self.asked = self._inputs(index), self._inputs(asked)
        self.label = torch.from_numpy(trial.items.label[index])
        self.weight = item_weights(trial, fitted, index, stands_for, config.class_weight)
        self.last: Linear | None = None

    def _inputs(self, index: np.ndarray) -> Tensor:
        parts = self.blocks.parts(index)
        if self.has_features:
            parts[0] = parts[0] * self.scale
        return torch.from_numpy(np.concatenate(parts, axis=1))

    def __call__(self, c: float) -> np.ndarray:
        """[asked item, class]. c: inverse L2 strength."""
        self.last = fit_logistic(self.x, self.label, self.trial.classes, self.weight, c, self.last)
        return probabilities(self.last(self.asked), self.trial.multilabel).numpy()


def item_weights(trial: Trial, fitted: np.ndarray, index: np.ndarray, stands_for: np.ndarray, scheme: str) -> Tensor:
    """Importance of each item kept by `thin`: [item], or [item, class] for multi-label tasks."""
    if trial.numeric:
        return torch.from_numpy(stands_for)
    class_weight = trial.weights(fitted, scheme)
    label = trial.items.label[index]
    if trial.multilabel:
        return torch.from_numpy(np.where(label > 0, class_weight, 1.0).astype(np.float32) * stands_for[:, None])
    return torch.from_numpy(class_weight[label] * stands_for)
