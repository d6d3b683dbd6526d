"""Head first: a trained head begins as the linear probe of the encoder it is put on (LP-FT).

A fresh head sends large, random gradients into the encoder and bends what it had learned (Kumar et al. 2022,
https://arxiv.org/abs/2202.10054). So the linear map from what an item is read as to its classes is fitted first, convex
and penalised, with the encoder frozen; then everything trains from there. Encoders trained from scratch get the same
start, on their random features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ..blocks.encoder import Encoder
from .features import frozen_features
from .heads import ItemHead
from .linear import item_weights
from .logistic import fit_logistic
from .scaling import Blocks
from .trial import Trial, thin

if TYPE_CHECKING:
    from ..data.store import WindowStore

# most items of a class that the linear map is fitted on
MOST_ITEMS = 4000


@torch.no_grad()
def start_head(
    head: ItemHead, encoder: Encoder, trial: Trial, store: WindowStore, fitted: np.ndarray, *,
    c: float, class_weight: str, features: np.ndarray | None = None, batch_size: int = 256, precision: str = "auto",
) -> None:  # fmt: skip
    """Set the head's linear paths to the logistic regression of the items `fitted`.

    c: inverse L2 strength. features: [item, feature] of the encoder as it is, where they are known already.
    """
    index, stands_for = thin(trial.items, fitted, MOST_ITEMS, trial.seed)
    if features is None:
        features = frozen_features(
            encoder, store, trial.items, index, head.readout, batch_size=batch_size, precision=precision
        )
    blocks = Blocks.fit(features, trial.items.features, index)
    x = torch.from_numpy(np.concatenate(blocks.parts(index), axis=1))
    weight = item_weights(trial, fitted, index, stands_for, class_weight)
    found = fit_logistic(x, torch.from_numpy(trial.items.label[index]), trial.classes, weight, c)
    scale = blocks.scale_features
    size = len(scale.mean)
    device = head.out.weight.device
    tokens = (found.weight[:size] / torch.from_numpy(scale.std)[:, None]).to(device)
    head.begin(tokens, found.bias.to(device) - torch.from_numpy(scale.mean).to(device) @ tokens,
               found.weight[size:].to(device))  # fmt: skip
