"""What a decision rests on: hide something and see how far the probability falls.

Occlusion sensitivity (Zeiler & Fergus 2014, https://arxiv.org/abs/1311.2901) asks the model itself, where attention
only shows what it could have used. What also stands elsewhere (a beat in its patches and in its beat token, a rhythm in
two neighbouring electrodes) may be hidden without effect, so a small number says "not needed", not "not used".

- `occlusion`: which tokens of one item? Each is hidden in turn.
- `occlude`: which places, and which parts of what tokens say, over many items? All tokens of a place (an electrode) are
  hidden in turn, or a part of every token (a band) is made to say nothing of its own. The modality says what its places
  and parts are (`seeing`). The fall is that of the log-probability, in nats: near one a probability hardly falls,
  however much was lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..seeing import Seeing
from ..sequence import PatchSequence
from .classifier import ItemClassifier
from .layout import ItemLayout, LaidOut
from .targets import even_sample, indicators, is_multilabel, probabilities

if TYPE_CHECKING:
    from ..data.items import Items
    from ..data.store import WindowStore

# tokens that `occlude` lets the model read in all: seconds for a small network, however many places a window has
MOST_TOKENS = 600_000


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


@dataclass(frozen=True, eq=False)
class Occlusion:
    """Falls of the log-probability of every class on labelled items of one trained model.

    label: [item, class] 0/1. subject: [item] codes of the store.
    group, names, where: [place] its number, its name and its coordinates [place, axis].
    by_place: [item, class, place] float32; NaN = the window does not have this place, or no other.
    parts: their names. by_part: [item, class, part] float32.
    """

    label: np.ndarray
    subject: np.ndarray
    group: np.ndarray
    names: tuple[str, ...]
    where: np.ndarray
    by_place: np.ndarray
    parts: tuple[str, ...]
    by_part: np.ndarray


@torch.no_grad()
def occlude(
    model: ItemClassifier,
    store: WindowStore,
    seeing: Seeing,
    items: Items,
    asked: np.ndarray,
    *,
    most: int = 200,
    batch_size: int = 64,
) -> Occlusion | None:
    """Hide places and parts of the windows of at most `most` of the items `asked`, of all classes alike.

    Fewer items where windows have many tokens and places (`MOST_TOKENS`). batch_size: windows at a time.
    None where the modality names neither places nor parts. Computed in full precision: the falls are small.
    """
    laid = _sample(store, items, asked, most)
    if laid is None:
        return None
    group, where = _places(laid.batch)
    names = tuple(seeing.place_names(where))
    group, where = (group, where) if names else (group[:0], where[:0])
    without = seeing.without_parts(laid.batch)
    if not names and not without:
        return None
    model.eval()
    scorer = _Scorer(model, laid, is_multilabel(items.label), batch_size)
    by_place = torch.full((*scorer.whole.shape, len(group)), torch.nan)
    for i, number in enumerate(group):
        hidden = laid.batch.valid & (laid.batch.group == number)
        left = laid.batch.valid & ~hidden
        by_place[..., i] = scorer.fall(laid.batch.replace(valid=left), hidden.any(dim=1) & left.any(dim=1))
    every = laid.batch.valid.any(dim=1)
    by_part = [scorer.fall(batch, every) for batch in without.values()]
    item = laid.item[laid.item >= 0].numpy()
    return Occlusion(
        label=indicators(items.label[item], len(items.classes)),
        subject=items.subject[item],
        group=group,
        names=names,
        where=where,
        by_place=by_place.numpy(),
        parts=tuple(without),
        by_part=torch.stack(by_part, dim=-1).numpy() if by_part else np.empty((*scorer.whole.shape, 0), np.float32),
    )


def _sample(store: WindowStore, items: Items, asked: np.ndarray, most: int) -> LaidOut | None:
    """Windows of the chosen items, in one batch."""
    label = items.label[asked]
    label = label.argmax(axis=1) if is_multilabel(label) else label
    first = ItemLayout(items, asked[even_sample(label, most)])
    if not len(first):
        return None
    laid = first.batch(store, np.arange(len(first)))
    cost = laid.batch.n_patches * (1 + len(laid.batch.group[laid.batch.valid].unique()))
    fewer = max(1, MOST_TOKENS // max(1, cost))
    if fewer >= len(first):
        return laid
    again = ItemLayout(items, asked[even_sample(label, fewer)])
    return again.batch(store, np.arange(len(again)))


def _places(batch: PatchSequence) -> tuple[np.ndarray, np.ndarray]:
    """Numbers [place] of the groups of valid patches, and where each lies [place, axis]."""
    group, place = batch.group[batch.valid].unique(return_inverse=True)
    where = torch.zeros(len(group), batch.coords.shape[-1]).index_add_(0, place, batch.coords[batch.valid].float())
    return group.numpy(), (where / torch.bincount(place, minlength=len(group)).unsqueeze(1)).numpy()


class _Scorer:
    """Log-probabilities [item, class] of the windows of a batch, and how far they fall when it is changed."""

    def __init__(self, model: ItemClassifier, laid: LaidOut, multilabel: bool, batch_size: int) -> None:
        self.model, self.multilabel, self.batch_size = model, multilabel, batch_size
        self.row, self.event = (laid.item >= 0).nonzero(as_tuple=True)
        self.whole = self._score(laid.batch)[self.row, self.event]

    def fall(self, changed: PatchSequence, rows: Tensor) -> Tensor:
        """[item, class]; NaN for items of windows outside `rows` [row] bool."""
        found = torch.full_like(self.whole, torch.nan)
        if rows.any():
            asked = rows[self.row]
            at = (rows.cumsum(0) - 1)[self.row[asked]]  # rows that are asked for, counted anew
            found[asked] = self.whole[asked] - self._score(changed.rows(rows))[at, self.event[asked]]
        return found

    def _score(self, batch: PatchSequence) -> Tensor:
        """[row, event, class]."""
        device, scores = next(self.model.parameters()).device, []
        for rows in torch.arange(len(batch)).split(self.batch_size):
            logits = self.model(batch.rows(rows).to(device)).float().cpu()
            scores.append(F.logsigmoid(logits) if self.multilabel else logits.log_softmax(dim=-1))
        return torch.cat(scores)
