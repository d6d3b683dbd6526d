"""Cosine k-nearest-neighbour probe with temperature-weighted votes (Wu et al. 2018, https://arxiv.org/abs/1805.01978).

There is nothing to train or to choose: it shows the geometry of the frozen features as it is. Tokens and side features
are two blocks, each brought to unit length, so both count equally in the similarity.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..config import ProbeConfig
from ..train.precision import autocast
from .given import for_each
from .scaling import Blocks
from .targets import indicators
from .trial import Trial, thin

_CHUNK = 2048  # queries at a time: bounds the similarity matrix to about 100 MB


def knn_probe(trial: Trial, features: np.ndarray, config: ProbeConfig, precision: str = "auto") -> np.ndarray:
    """[test item, class] probabilities from the votes of training and validation items; of numbers their mean.

    Votes are weighted by class and by how many items each one stands for; items vote for those with which the same is
    given. precision: as `trainer.precision`.
    """
    return for_each(trial, lambda part: _vote(part, features, config, precision))


def _vote(trial: Trial, features: np.ndarray, config: ProbeConfig, precision: str) -> np.ndarray:
    bank, stands_for = thin(trial.items, trial.learnable, config.most_items, trial.seed)
    blocks = Blocks.fit(features, trial.items.features, bank)
    label = trial.items.label[bank]
    truth = label[:, None] if trial.numeric else indicators(label, trial.classes)
    if not trial.multilabel and not trial.numeric:
        class_weight = trial.weights(trial.learnable, config.class_weight)
        stands_for = stands_for * class_weight[trial.items.label[bank]]
    return knn_vote(
        _unit_blocks(blocks, bank), torch.from_numpy(truth), torch.from_numpy(stands_for),
        _unit_blocks(blocks, trial.test), config.knn_k, config.knn_temperature, precision,
    ).numpy()  # fmt: skip


def knn_vote(
    bank: Tensor, truth: Tensor, weight: Tensor, query: Tensor, k: int, temperature: float, precision: str = "auto"
) -> Tensor:
    """[query, class] weighted share of each class among the k most similar bank entries.

    bank: [n, d] and query: [q, d] of unit length. truth: [n, class] 0/1. weight: [n] of each vote.
    A vote counts exp(similarity / temperature) times its weight.
    """
    k = min(k, len(bank))
    out = []
    for part in query.split(_CHUNK):
        with autocast(bank.device.type, precision):
            similarity = part @ bank.T
        top, index = similarity.float().topk(k, dim=1)
        vote = torch.exp((top - top[:, :1]) / temperature) * weight[index]
        share = torch.einsum("qk,qkc->qc", vote, truth[index])
        out.append(share / vote.sum(dim=1, keepdim=True))
    return torch.cat(out)


def _unit_blocks(blocks: Blocks, index: np.ndarray) -> Tensor:
    parts = [F.normalize(torch.from_numpy(part), dim=1) for part in blocks.parts(index)]
    return torch.cat(parts, dim=1) / len(parts) ** 0.5
