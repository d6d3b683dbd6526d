"""Frozen features: one vector an item from an encoder whose weights do not change, computed once and reused.

Stored as float16: the tokens end in a layer norm, so their range is small, and the largest sets stay in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..blocks.encoder import Encoded, Encoder
from ..sequence import PatchSequence
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
    out = np.zeros((len(items), readout.size(encoder.width)), np.float16)
    for batch, encoded, item in _encoded(encoder, store, items, chosen, layers, batch_size, precision):
        tokens = last_layers(encoded, normed=readout.normed)
        out[item[item >= 0].numpy()] = _read(readout, tokens, encoded, batch, item)
    return out


@torch.no_grad()
def layer_features(
    encoder: Encoder,
    store: WindowStore,
    items: Items,
    chosen: np.ndarray,
    readout: Readout,
    *,
    batch_size: int = 256,
    precision: str = "auto",
) -> np.ndarray:
    """[item, layer, feature] float16 for all `items`, the patch embedding first; as `frozen_features` otherwise.

    Every layer is brought to unit variance without weights, unless the readout is not normed.
    """
    out = np.zeros((len(items), encoder.depth + 1, readout.size(encoder.width)), np.float16)
    for batch, encoded, item in _encoded(encoder, store, items, chosen, encoder.depth, batch_size, precision):
        known = item[item >= 0].numpy()
        for i, layer in enumerate((encoded.embedding, *encoded.layers)):
            tokens = F.layer_norm(layer.float(), (encoder.width,)) if readout.normed else layer
            out[known, i] = _read(readout, tokens, encoded, batch, item)
    return out


def _encoded(
    encoder: Encoder, store: WindowStore, items: Items, chosen: np.ndarray, layers: int, batch_size: int, precision: str
) -> Iterator[tuple[PatchSequence, Encoded, Tensor]]:
    """Batches of the windows of the chosen items, encoded, and [row, event] which item is where, -1 = padding."""
    device = next(encoder.parameters()).device
    training = encoder.training
    encoder.eval()
    for laid in ItemLayout(items, chosen).batches(store, batch_size):
        batch = laid.batch.to(device)
        with autocast(device.type, precision):
            encoded = encoder(batch, keep_layers=layers)
        yield batch, encoded, laid.item
    encoder.train(training)


def _read(readout: Readout, tokens: Tensor, encoded: Encoded, batch: PatchSequence, item: Tensor) -> np.ndarray:
    """[item, feature] of the items of a batch, in the order of `item`."""
    assert batch.events is not None
    vectors = readout(tokens, encoded.valid, encoded.coords, batch.events.at)
    return vectors[(item >= 0).to(vectors.device)].half().cpu().numpy()
