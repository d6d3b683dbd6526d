"""Learning from windows whose labels are not known, beside those that are: consistency with one's own surer decisions.

- A slowly following copy of the model, the one whose predictions are reported, decides on an unlabelled window as it is
  (Tarvainen & Valpola 2017, https://arxiv.org/abs/1703.01780). The model must say the same of an augmented view, as far
  as a policy believes the decision (`pseudo_labels`; Sohn et al. 2020, https://arxiv.org/abs/2001.07685).
- Unlabelled are the items of the training and validation side whose labels a trial may not use. Where it may use all,
  these same items are asked as if they had none. Items of the test side are never among them.
- Needs classes of which one holds; several at once, numbers and dense labels have no such policy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from ..config import SemiConfig
from ..modality import Modality
from ..rng import RowRandom
from ..train.precision import autocast
from .classifier import ItemClassifier
from .layout import ItemLayout
from .pseudo_labels import POLICIES
from .trial import Trial

if TYPE_CHECKING:
    from ..data.store import WindowStore


class Unlabelled:
    """The term of unlabelled items in one training.

    batch_size: labelled windows a step. steps: of the training.
    """

    def __init__(
        self,
        trial: Trial,
        modality: Modality,
        store: WindowStore,
        config: SemiConfig,
        *,
        batch_size: int,
        steps: int,
        precision: str,
    ) -> None:
        self.trial, self.modality, self.store, self.config = trial, modality, store, config
        self.layout = ItemLayout(trial.items, trial.unlabelled)
        self.batch_size, self.precision = max(1, round(config.ratio * batch_size)), precision
        self.rising = config.rise * steps
        self.believed = POLICIES[config.policy](trial.classes, config.threshold)

    def loss(self, model: ItemClassifier, teacher: ItemClassifier, step: int) -> Tensor:
        """Cross-entropy of augmented views with the teacher's decisions, as far as they are believed; weighted."""
        device = next(model.parameters()).device
        rows = self.layout.random_rows(self.batch_size, self.trial.seed, step)
        laid = self.layout.batch(self.store, rows)
        batch, known = laid.batch.to(device), (laid.item >= 0).to(device)
        teacher.eval()
        with torch.no_grad(), autocast(device.type, self.precision):
            told = teacher(batch)[known].float().softmax(dim=-1)
        rng = RowRandom(self.trial.seed, step, batch.window).fork("unlabelled")
        with autocast(device.type, self.precision):
            logits = model(self.modality.augment(batch, rng.fork("augment")), rng.fork("side"))[known]
        costs = F.cross_entropy(logits.float(), told.argmax(dim=-1), reduction="none")
        return self._weight(step) * (self.believed(told) * costs).mean()

    def _weight(self, step: int) -> float:
        """Rises as a Gaussian (Tarvainen & Valpola): first decisions are those of hardly any training."""
        if step >= self.rising:
            return self.config.weight
        return self.config.weight * math.exp(-5.0 * (1.0 - step / self.rising) ** 2)
