"""Encoder and head as one model that scores items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ..batching import length_groups, trim
from ..blocks.encoder import Encoder
from ..modality import Modality
from ..rng import RowRandom
from ..sequence import PatchSequence
from ..train.precision import autocast
from .dense_head import DenseHead
from .heads import ItemHead
from .layout import ItemLayout
from .readout import last_layers
from .targets import probabilities
from .temporal import TemporalBranch

if TYPE_CHECKING:
    from ..data.store import WindowStore

# side features are measured, so training shakes them: noise in their standard deviations, and a share of them missing
SIDE_NOISE = 0.1
SIDE_DROP = 0.1


View = Callable[[PatchSequence], PatchSequence]


def further_views(modality: Modality, seed: int, count: int) -> list[View]:
    """Beside the batch as it is: `count` - 1 that are drawn as those of training, in a stream apart from theirs. A
    window has the same ones whatever batch it is in."""

    def view(number: int) -> View:
        return lambda batch: modality.augment(batch, RowRandom(seed, number, batch.window, "test views"))

    return [view(number) for number in range(1, count)]


class ItemClassifier(nn.Module):
    """[row, event, class] logits of the items of a batch.

    frozen: the encoder is used as it is: no gradient, no training mode (attentive probe).
    temporal: convolutions over time between encoder and head, None = the head reads the encoder's tokens.
    """

    def __init__(
        self, encoder: Encoder, head: ItemHead | DenseHead, *, frozen: bool, temporal: TemporalBranch | None = None
    ) -> None:
        super().__init__()
        self.encoder, self.head, self.frozen, self.temporal = encoder, head, frozen, temporal
        encoder.requires_grad_(not frozen)

    def train(self, mode: bool = True) -> ItemClassifier:
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def forward(self, batch: PatchSequence, jitter: RowRandom | None = None) -> Tensor:
        """jitter: randomness that shakes the side features while training.

        On a CPU rows of like length are computed together: attention over padding costs as much as over patches.
        """
        groups = length_groups(batch.lengths) if batch.device.type == "cpu" else []
        if len(groups) < 2:
            return self._logits(batch, jitter)
        parts = [
            self._logits(trim(batch.rows(rows)), None if jitter is None else jitter.of_rows(rows)) for rows in groups
        ]
        return torch.cat(parts)[torch.cat(groups).argsort()]

    def _logits(self, batch: PatchSequence, jitter: RowRandom | None) -> Tensor:
        events = batch.events
        assert events is not None
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            encoded = self.encoder(batch, keep_layers=0 if self.head.normed else 1)
        side = self.head.standardize(events.features)
        if jitter is not None and side.numel():
            side = side + SIDE_NOISE * jitter.normal(*side.shape[1:])
            side = side * (jitter.uniform(*side.shape[1:]) > SIDE_DROP)
        tokens = last_layers(encoded, normed=self.head.normed)
        if self.temporal is not None:
            tokens = self.temporal(tokens, encoded.embedding, encoded.valid, encoded.coords)
        return self.head(tokens, encoded.valid, encoded.coords, events.at, side, events.given)


@torch.no_grad()
def predict(
    model: ItemClassifier,
    store: WindowStore,
    layout: ItemLayout,
    asked: np.ndarray,
    *,
    multilabel: bool,
    batch_size: int,
    precision: str = "auto",
    views: Sequence[View] = (),
) -> np.ndarray:
    """[item of `asked`, class] probabilities. `layout` holds exactly the asked items.

    views: of a batch, beside the batch as it is: what is returned is the mean over all.
    """
    device = next(model.parameters()).device
    model.eval()
    items, scores = [], []
    for laid in layout.batches(store, batch_size):
        batch, known = laid.batch.to(device), laid.item >= 0
        with autocast(device.type, precision):
            logits = [model(batch), *(model(view(batch)) for view in views)]
        items.append(laid.item[known])
        scores.append(torch.stack([probabilities(seen.cpu()[known], multilabel) for seen in logits]).mean(dim=0))
    item = torch.cat(items).numpy()
    order = np.argsort(item)
    return torch.cat(scores).numpy()[order][np.searchsorted(item[order], asked)]
