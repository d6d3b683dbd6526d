"""Which tokens a decision rests on: hide each in turn and see how far the probability falls.

Occlusion sensitivity (Zeiler & Fergus 2014, https://arxiv.org/abs/1311.2901) asks the model itself, where attention
only shows what it could have used. A token whose content also stands elsewhere (a beat in its patches and in its beat
token) may be hidden without effect, so a small number says "not needed", not "not used".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from .classifier import ItemClassifier
from .layout import ItemLayout
from .targets import is_multilabel, probabilities

if TYPE_CHECKING:
    from ..data.items import Items
    from ..data.store import WindowStore


@torch.no_grad()
def occlusion(
    model: ItemClassifier, store: WindowStore, items: Items, item: int, code: int | None = None, batch_size: int = 64
) -> np.ndarray:
    """[patch] float32: probability of class `code` of one item, minus that without the patch; 0 for invalid patches.

    code: None = the most probable class. Positive numbers spoke for the class, negative ones against it.
    """
    batch = ItemLayout(items, np.array([item])).batch(store, np.array([0])).batch
    multilabel, device = is_multilabel(items.label), next(model.parameters()).device
    patches = batch.valid[0].nonzero().squeeze(1)
    shown = batch.valid.repeat(1 + len(patches), 1)  # the first row hides nothing
    shown[1 + torch.arange(len(patches)), patches] = False
    model.eval()
    scores = []
    for part in shown.split(batch_size):
        rows = batch.rows([0] * len(part)).replace(valid=part)
        scores.append(probabilities(model(rows.to(device)).cpu()[:, 0], multilabel))
    probability = torch.cat(scores)
    code = int(probability[0].argmax()) if code is None else code
    fall = torch.zeros(batch.n_patches)
    fall[patches] = (probability[0, code] - probability[1:, code]).float()
    return fall.numpy()
