"""Losses that make an embedding forget who it is of.

What people differ in by age, sex and throat is the easiest thing to learn and predicts nothing about the next person.
Three ways, each a term beside the others with `target: subject` or `target: subject_mean`:

- `adversary`, reversal (Ganin & Lempitsky 2015, https://arxiv.org/abs/1409.7495): a classifier learns who it is,
  the encoder the opposite, through the same loss with its gradient turned round;
- `adversary`, uniform (Alvi et al. 2018, https://arxiv.org/abs/1809.02169): the encoder learns that the classifier
  should know nothing, which, unlike being as wrong as possible, has an end;
- `decorrelate`: embeddings turn at right angles to the place of their subject; no adversary, so nothing to balance.

The classifier belongs to the loss. It sees the people of the pretraining side alone.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ..distributed import gather_rows
from ..errors import InputError
from .gradients import scale_gradient
from .losses import Loss
from .registry import register
from .targets import Target


@register("loss", "adversary")
class Adversary(Loss):
    """Cross-entropy of a subject classifier on predictions [..., width], and what the encoder makes of it.

    The classifier always minimises its cross-entropy c. kind "reversal": the encoder gets -scale times the gradient of
    c. kind "uniform": it minimises scale times KL(uniform || its answer), in which the classifier stands still.
    width: of the predictions (the encoder's, or the last head's). hidden: units of the classifier; 0 = linear.
    most: subjects it can tell apart.
    """

    def __init__(
        self,
        *,
        width: int,
        kind: Literal["reversal", "uniform"] = "reversal",
        scale: float = 1.0,
        hidden: int = 128,
        most: int = 1024,
    ) -> None:
        super().__init__()
        if kind not in ("reversal", "uniform"):
            raise ValueError(f"kind must be 'reversal' or 'uniform', got {kind!r}")
        self.width, self.kind, self.scale, self.most = width, kind, scale, most
        # the encoder must not get away with embeddings that are merely small
        self.classifier = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, most)
        ) if hidden else nn.Sequential(nn.LayerNorm(width), nn.Linear(width, most))  # fmt: skip

    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        people = target.values.shape[-1]
        self._check(prediction.shape[-1], people)
        z, weights = prediction.float(), target.valid.float()
        if self.kind == "reversal":
            known = self.classifier(scale_gradient(z, -self.scale))
            return self._surprise(known, target.values, people), weights
        value = self._surprise(self.classifier(z.detach()), target.values, people)
        held = {name: p.detach() for name, p in self.classifier.named_parameters()}
        answer = F.log_softmax(functional_call(self.classifier, held, z)[..., :people], dim=-1)
        uniform = -answer.mean(dim=-1) - torch.log(answer.new_tensor(float(people)))
        return value + self.scale * uniform, weights

    def _surprise(self, scores: Tensor, who: Tensor, people: int) -> Tensor:
        """[...] cross-entropy among the people there are."""
        return -(who * F.log_softmax(scores[..., :people], dim=-1)).sum(dim=-1)

    def _check(self, width: int, people: int) -> None:
        if width != self.width:
            raise InputError(
                "adversary was made for another width", source="objective.terms", got=width, expected=self.width,
                fix="its width is that of the encoder, or of the last head",
            )  # fmt: skip
        if people > self.most:
            raise InputError(
                "more subjects than the adversary can tell apart", source="objective.terms", got=people,
                expected=f"at most {self.most}", fix="raise the loss's most",
            )  # fmt: skip


@register("loss", "decorrelate")
class Decorrelate(Loss):
    """Squared cosine between predictions [row, width], relative to their mean over the batch, and the target.

    0 = at right angles. The sign does not matter: an embedding opposite to a person tells who it is, too. The batch is
    that of all ranks.
    """

    gathered = True

    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        z = gather_rows(prediction[target.valid].float())
        goal = gather_rows(target.values[target.valid].float())
        if goal.shape[-1] != z.shape[-1]:
            raise InputError(
                "predictions and the target are not of one width", source="objective.terms", got=f"{z.shape[-1]} and "
                f"{goal.shape[-1]}", fix="decorrelate from the target subject_mean, or give the head as many outputs",
            )  # fmt: skip
        if not len(z):
            return 0 * z.sum().unsqueeze(0), z.new_zeros(1)
        value = F.cosine_similarity(z - z.mean(dim=0), goal, dim=-1).square()
        return value, torch.ones_like(value)
