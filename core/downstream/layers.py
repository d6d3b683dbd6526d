"""Layer-weighted probe: a linear classifier on a learned mixture of all layers of a frozen encoder.

What a task needs is seldom in the last layer of a self-supervised encoder, which serves its own objective best; a
probe of it alone ranks encoders wrongly. As in SUPERB (Yang et al. 2021, https://arxiv.org/abs/2105.01051) the item
vectors of all layers, the patch embedding among them, are mixed by softmax weights that are learned together with the
classifier. Layers are brought to the same size first, so a weight says how much a layer is used.

Strength and weight of the side features are chosen as in the linear probe, on validation subjects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..config import ProbeConfig
from .linear import chosen_models, item_weights
from .logistic import Linear, descend
from .rows import Evaluation
from .scaling import CLIP, Standardizer
from .targets import probabilities
from .trial import Trial, thin

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROTOCOL = "layers"


def layer_probe(trial: Trial, features: np.ndarray, config: ProbeConfig) -> tuple[np.ndarray, dict[str, Any]]:
    """[test item, class] probabilities and what was chosen, `layer_weights` among it, embedding first.

    features: [item, layer, d] of all items, see `features.layer_features`.
    """
    models, chosen = chosen_models(
        trial, features, config, lambda part, own, side, scale: _Fit(part, features, own, side, scale, config)
    )
    probability = models(chosen["c"])
    weights = np.mean([fit.layer_weights for fit in models.fits], axis=0)
    return probability, {**chosen, "layer_weights": weights.tolist()}


class _Fit:
    """A path of fits on the same items; each starts from the one before."""

    def __init__(
        self, trial: Trial, features: np.ndarray, fitted: np.ndarray, asked: np.ndarray, scale: float,
        config: ProbeConfig,
    ) -> None:  # fmt: skip
        index, stands_for = thin(trial.items, fitted, config.most_items, trial.seed)
        self.trial, self.features, self.scale = trial, features, scale
        layers, width = features.shape[1:]
        self.of_layers = Standardizer.fit(features[index].reshape(len(index), -1))
        self.of_side = Standardizer.fit(trial.items.features[index])
        self.layers, self.side = self._inputs(index)
        self.asked = self._inputs(asked)
        self.label = torch.from_numpy(trial.items.label[index])
        self.weight = item_weights(trial, fitted, index, stands_for, config.class_weight)
        self.gate = torch.zeros(layers)
        self.linear = Linear(torch.zeros(width + self.side.shape[1], trial.classes), torch.zeros(trial.classes))

    @property
    def layer_weights(self) -> NDArray[np.float32]:
        """[layer], they sum to 1."""
        return self.gate.softmax(dim=0).numpy()

    def __call__(self, c: float) -> np.ndarray:
        """[asked item, class] once layers' weights and classifier are fitted. c: inverse L2 strength of the latter."""
        w, b, gate = (x.clone().requires_grad_() for x in (self.linear.weight, self.linear.bias, self.gate))
        descend(lambda: _logits(self.layers, self.side, gate, w, b), [w, b, gate], w, self.label, self.weight, c)
        self.linear, self.gate = Linear(w.detach(), b.detach()), gate.detach()
        logits = _logits(*self.asked, self.gate, self.linear.weight, self.linear.bias)
        return probabilities(logits, self.trial.multilabel).numpy()

    def _inputs(self, index: np.ndarray) -> tuple[Tensor, Tensor]:
        own = self.features[index]
        layers = self.of_layers(own.reshape(len(index), -1)).reshape(own.shape)
        side = self.of_side(self.trial.items.features[index], CLIP)
        return torch.from_numpy(layers) * self.scale, torch.from_numpy(side)


def _logits(layers: Tensor, side: Tensor, gate: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """[item, layer, d] and [item, side] -> [item, class]."""
    mixed = torch.einsum("nld,l->nd", layers, gate.softmax(dim=0))
    return torch.cat([mixed, side], dim=1) @ weight + bias


def layer_table(evaluation: Evaluation, resamples: int = 0, seed: int = 0) -> list[dict[str, Any]]:
    """Learned weights of layers, embedding first: model, label_fraction, weights; means over seeds and folds."""
    entries = []
    for model, protocol, fraction in evaluation.lines():
        if protocol == PROTOCOL:
            runs = evaluation.runs(model, protocol, fraction)
            weights = np.mean([evaluation.choices[row.key]["layer_weights"] for row in runs], axis=0)
            entries.append({"model": model, "label_fraction": fraction, "weights": np.round(weights, 4).tolist()})
    return entries
