"""Frozen features: one vector an item from an encoder whose weights do not change, computed once and reused.

Stored as float16: the tokens end in a layer norm, so their range is small, and the largest sets stay in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ..blocks.encoder import Encoder
from ..train.precision import autocast
from .layout import ItemLayout
from .readout import Readout, last_layers

if TYPE_CHECKING:
    from ..data.items import Items
    from ..data.store import WindowStore


@torch.no_grad()
def frozen_features(
    encoder: Encoder,
    store: WindowStore,
    items: Items,
    chosen: np.ndarray,
    readout: Readout,
    *,
    layers: int = 1,
    batch_size: int = 256,
    precision: str = "auto",
) -> np.ndarray:
    """[item, feature] float16 for all `items`; rows that are not in `chosen` stay zero.

    layers: how many of the encoder's last layers are averaged. precision: as `trainer.precision`.
    """
    device = next(encoder.parameters()).device
    out = np.zeros((len(items), readout.size(encoder.width)), np.float16)
    training = encoder.training
    encoder.eval()
    for laid in ItemLayout(items, chosen).batches(store, batch_size):
        batch = laid.batch.to(device)
        assert batch.events is not None
        with autocast(device.type, precision):
            encoded = encoder(batch, keep_layers=layers)
        tokens = last_layers(encoded, normed=readout.normed)
        vectors = readout(tokens, encoded.valid, encoded.coords, batch.events.at)
        known = batch.events.valid
        out[laid.item[known.cpu()].numpy()] = vectors[known].half().cpu().numpy()
    encoder.train(training)
    return out
