"""Multinomial (or one-a-class) logistic regression, or ridge regression of numbers, by full-batch L-BFGS in torch.

The objective is scikit-learn's, sum of weighted losses times C plus half the squared weights, intercept not penalised;
a test holds both to the same solution. Own code only because a path of strengths can start each fit from the last one
and a matrix product can use all threads, which together is several times faster here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..data.numbers import is_number
from .targets import is_multilabel


@dataclass(frozen=True)
class Linear:
    """weight: [feature, class]; bias: [class]."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """[item, feature] -> [item, class] logits."""
        return x @ self.weight + self.bias


def fit_logistic(
    x: Tensor, label: Tensor, classes: int, weight: Tensor, c: float, start: Linear | None = None, iterations: int = 200
) -> Linear:
    """Fit on [item, feature] and int [item], 0/1 [item, class] or float [item] labels (numbers, `classes` 1).

    weight: [item] importance, or [item, class] for multi-label tasks. c: inverse L2 strength. start: where to begin.
    """
    if start is None:
        start = Linear(x.new_zeros(x.shape[1], classes), x.new_zeros(classes))
    w, b = start.weight.clone().requires_grad_(), start.bias.clone().requires_grad_()
    descend(lambda: x @ w + b, [w, b], w, label, weight, c, iterations)
    return Linear(w.detach(), b.detach())


def descend(
    logits: Callable[[], Tensor], parameters: list[Tensor], penalised: Tensor, label: Tensor, weight: Tensor, c: float,
    iterations: int = 200,
) -> None:  # fmt: skip
    """Bring `parameters` to the least weighted loss of `logits()` times C plus half the squares of `penalised`.

    label, weight, c: as `fit_logistic`.
    """
    scale = 1.0 / float(weight.sum())  # work with a mean: steps and tolerances then do not depend on the item count
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=iterations, history_size=10, tolerance_grad=1e-5, tolerance_change=1e-8,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        if is_number(label):
            losses = 0.5 * (logits()[:, 0] - label).square()
        elif is_multilabel(label):
            losses = F.binary_cross_entropy_with_logits(logits(), label.float(), reduction="none")
        else:
            losses = F.cross_entropy(logits(), label, reduction="none")
        objective = scale * ((losses * weight).sum() + 0.5 / c * penalised.square().sum())
        objective.backward()
        return objective

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[arg-type]
