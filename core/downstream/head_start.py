"""Head first: a trained head begins as the linear probe of the encoder it is put on (LP-FT).

A fresh head sends large, random gradients into the encoder and bends what it had learned (Kumar et al. 2022,
https://arxiv.org/abs/2202.10054). So the linear map from what an item is read as to its classes is fitted first, convex
and penalised, with the encoder frozen; then everything trains from there. Encoders trained from scratch get the same
start, on their random features. Where something is given, each head is fitted to its own items, on scales of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..blocks.encoder import Encoder
from .features import frozen_features
from .heads import ItemHead
from .linear import item_weights
from .logistic import fit_logistic
from .scaling import Blocks, Standardizer
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
    given = trial.items.given[fitted]
    own = [fitted[given == code] for code in range(trial.items.models)]
    kept = [thin(trial.items, index, MOST_ITEMS, trial.seed) if len(index) else (index, index) for index in own]
    if features is None:
        index = np.sort(np.concatenate([index for index, _ in kept]))
        features = frozen_features(
            encoder, store, trial.items, index, head.readout, batch_size=batch_size, precision=precision
        )
    side = Standardizer(head.side_mean.cpu().numpy(), head.side_std.cpu().numpy())
    starts = []
    for fitted_own, (index, stands_for) in zip(own, kept, strict=True):
        if not len(index):  # a head that nobody was asked about waits for what training brings
            sizes = (features.shape[1], 1, len(side.mean))
            starts.append([torch.zeros(size, trial.classes) for size in sizes])
            continue
        weight = item_weights(trial, fitted_own, index, stands_for, class_weight)
        blocks = Blocks(features, trial.items.features, Standardizer.fit(features[index]), side)
        starts.append(_start(trial, blocks, index, weight, c))
    tokens, bias, direct = (torch.cat(parts, dim=1).to(head.out.weight.device) for parts in zip(*starts, strict=True))
    head.begin(tokens, bias[0], direct)


def _start(trial: Trial, blocks: Blocks, index: np.ndarray, weight: Tensor, c: float) -> list[Tensor]:
    """Weights of raw features [feature, class], bias [1, class] and weights of side features [feature, class]."""
    x = torch.from_numpy(np.concatenate(blocks.parts(index), axis=1))
    found = fit_logistic(x, torch.from_numpy(trial.items.label[index]), trial.classes, weight, c)
    scale = blocks.scale_features
    size = len(scale.mean)
    tokens = found.weight[:size] / torch.from_numpy(scale.std)[:, None]
    return [tokens, (found.bias - torch.from_numpy(scale.mean) @ tokens)[None], found.weight[size:]]
