"""Small batches of ids, and a graph of two groups of ids that never occur together."""

from __future__ import annotations

import numpy as np
import torch
from omnipatch.core.blocks.encoder import Encoder
from omnipatch.core.blocks.id_table import tell_known
from omnipatch.core.blocks.ids import IdTarget
from omnipatch.core.blocks.registry import build
from omnipatch.core.known import KnownIds
from omnipatch.core.objective import Objective
from omnipatch.core.sequence import PatchSequence, SequenceSpec
from scipy import sparse

IDS = 30
SPEC = SequenceSpec(axes=("steps_back",), patch_shape=(1,), kinds=("item",), vocabulary=(IDS,), known_of_ids=(3,))
SETS = {"name": "set", "width": 8, "hidden": 16}


def batch_of(*rows: list[int]) -> PatchSequence:
    """Rows of ids, oldest first, their places counted back from the last."""
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
    valid = torch.tensor([[True] * len(row) + [False] * (longest - len(row)) for row in rows])
    back = valid.sum(dim=1, keepdim=True) - 1.0 - torch.arange(longest)
    return PatchSequence.build(
        SPEC, back.unsqueeze(-1), ids=ids.unsqueeze(-1), valid=valid, window=torch.arange(len(rows)) + 10
    )


def encoder(options=SETS, seed: int = 0) -> Encoder:
    torch.manual_seed(seed)
    return build("encoder", options, SPEC)


def known(seed: int = 0) -> KnownIds:
    """Ids below 15 and from 15 on lie on two sides, and occur with their own side alone; low ids occur more often."""
    rng = np.random.default_rng(seed)
    side = np.where(np.arange(IDS) < IDS // 2, 1.0, -1.0)
    numbers = np.stack([3.0 * side, *rng.normal(size=(2, IDS))], axis=1).astype(np.float32)
    often = np.linspace(0.9, 0.1, IDS // 2)
    taken = np.kron(np.eye(2), np.ones((20, IDS // 2))) * (rng.random((40, IDS)) < np.tile(often, 2))
    return KnownIds([numbers], sparse.csr_matrix(taken))


def told(options: dict, model: Encoder | None = None) -> Objective:
    """An objective of which every part knows what is known of ids."""
    model = encoder() if model is None else model
    tell_known(model, known())
    objective = Objective.from_config(options, SPEC, model)
    objective.tell(known())
    return objective


def target_of(*hidden: list[int]) -> IdTarget:
    """Ids that rows are asked for; -1 = none."""
    values = torch.tensor(hidden)
    return IdTarget(values.clamp(min=0), values >= 0, torch.full((len(hidden), 1), -1))


def train(objective: Objective, batch: PatchSequence, steps: int, lr: float = 0.02) -> None:
    optimizer = torch.optim.Adam([p for p in objective.parameters() if p.requires_grad], lr)
    for step in range(steps):
        optimizer.zero_grad()
        objective(batch, 0, step).loss.backward()
        optimizer.step()
        objective.after_step(step)
