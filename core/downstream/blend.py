"""Two opinions in one: what a trained head predicts, pooled with what the hand features' own learner predicts.

Both models are wrong in different places: boosted trees are sure where a threshold decides, a network where a shape
does. The pool is the logarithmic one (Genest and Zidek 1986, https://doi.org/10.1214/ss/1177013825): a weighted mean of
log-probabilities, so that a model which is sure outweighs one which is not, and either can veto. It has no weights to
fit, and every trained row of a table is pooled alike, so a comparison of rows is still one of encoders.
"""

from __future__ import annotations

import numpy as np

_FLOOR = 1e-6  # no model is surer than this, or a single zero would decide alone


def pool_opinions(first: np.ndarray, second: np.ndarray, share: float, *, multilabel: bool) -> np.ndarray:
    """[item, class] probabilities of two models -> pooled ones float32; `share` (0 to 1) is the second's weight.

    multilabel: classes are independent, so each is pooled against its own complement.
    """
    mixed = _pool(first, second, share)
    rest = _pool(1.0 - first, 1.0 - second, share) if multilabel else mixed.sum(axis=1, keepdims=True) - mixed
    return (mixed / (mixed + rest)).astype(np.float32)


def _pool(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    a, b = (np.log(np.maximum(p.astype(np.float64), _FLOOR)) for p in (first, second))
    return np.exp((1.0 - share) * a + share * b)
