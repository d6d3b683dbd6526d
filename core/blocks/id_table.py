"""Vectors of ids: learned ones, plus a linear map of what is known of each id before anything is learned.

Design decisions
- What is known (the place of an item in the graph of all histories, how often it occurs) is a buffer and never
  trained. As a trainable start it would be erased within an epoch: its numbers are far smaller than a step of Adam.
- The numbers belong to the modality (`Modality.known_of_ids`), which is saved beside the weights; they are no weights.
- The map starts at zero: a fresh model is one of learned vectors alone.
- The learned table is also the output layer of objectives that ask for ids (`Encoder.score_ids`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..known import KnownIds


class KnownOfIds(nn.Module):
    """[id, width]: what is known of each id, through a linear map without bias."""

    values: Tensor

    def __init__(self, ids: int, known: int, width: int) -> None:
        super().__init__()
        self.register_buffer("values", torch.zeros(ids, known), persistent=False)
        self.map = nn.Linear(known, width, bias=False)

    def init_weights(self) -> None:
        nn.init.zeros_(self.map.weight)

    def forward(self) -> Tensor:
        return self.map(self.values)


def tell_known(module: nn.Module, known: KnownIds) -> None:
    """Hand what is known of ids to all parts of a model that have a use for it, those with a method `tell`."""
    for part in module.modules():
        if callable(tell := getattr(part, "tell", None)):
            tell(known)
