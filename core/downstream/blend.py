"""Two opinions in one: what a trained head predicts, pooled with what the hand features' own learner predicts.

Both models are wrong in different places: boosted trees are sure where a threshold decides, a network where a shape
does. The pool is linear (the sum rule of Kittler et al. 1998, https://doi.org/10.1109/34.667881): a weighted mean of
probabilities. A product would let either model veto: features that are blind to a whole patient, such as all that is
relative to the normal beat of a record whose beats are mostly ectopic, would then silence a network that sees them.
The pool has no weights to fit, and every trained row of a table is pooled alike, so comparing rows still compares
encoders.
"""

from __future__ import annotations

import numpy as np


def pool_opinions(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """[item, class] probabilities of two models -> pooled ones float32; `share` (0 to 1) is the second's weight."""
    return ((1.0 - share) * first + share * second).astype(np.float32)
