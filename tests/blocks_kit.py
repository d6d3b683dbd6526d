"""Small batches, encoders and objectives for the tests of blocks and objectives."""

from __future__ import annotations

from typing import Any

import torch
from omnipatch.core.blocks.registry import build
from omnipatch.core.objective import Objective
from omnipatch.core.sequence import PatchSequence, SequenceSpec

SPEC = SequenceSpec(axes=("time_s", "lead"), patch_shape=(2, 8), axis_scales=(0.1, 1.0), sfreq_hz=80.0)


def batch(
    rows: int = 6, patches: int = 12, *, seed: int = 0, spec: SequenceSpec = SPEC, valid: torch.Tensor | None = None
) -> PatchSequence:
    """Random patches on a regular time grid, each joined to the next; two windows a subject; what is invalid is NaN."""
    generator = torch.Generator().manual_seed(seed)
    coords = torch.zeros(rows, patches, len(spec.axes))
    coords[..., 0] = torch.arange(patches) * spec.axis_scales[0]
    values = torch.randn(rows, patches, spec.patch_size, generator=generator)
    made = PatchSequence.build(
        spec, coords, values=values, valid=valid, edges=chain(rows, patches),
        window=torch.arange(rows) + 100, subject=torch.arange(rows) // 2,
    )  # fmt: skip
    return made if valid is None else spoil(made)


def chain(rows: int, patches: int) -> torch.Tensor:
    """[2, edge] edges between neighbours of each row, in both directions."""
    first = (torch.arange(rows).unsqueeze(1) * patches + torch.arange(patches - 1)).flatten()
    return torch.cat([torch.stack([first, first + 1]), torch.stack([first + 1, first])], dim=1)


def reorder(made: PatchSequence, order: torch.Tensor) -> PatchSequence:
    """Patches of each row in the order [batch, patch], the edges with them."""
    assert made.edges is not None
    row = made.edges // made.n_patches
    return made.patches(order).replace(
        edges=row * made.n_patches + order.argsort(dim=1)[row, made.edges % made.n_patches]
    )


def spoil(made: PatchSequence) -> PatchSequence:
    """Everything an invalid patch holds becomes NaN (or an impossible number)."""
    hidden = ~made.valid
    assert made.values is not None
    return made.replace(
        values=made.values.masked_fill(hidden.unsqueeze(-1), float("nan")),
        coords=made.coords.masked_fill(hidden.unsqueeze(-1), float("nan")),
        kind=made.kind.masked_fill(hidden, 10**6),
        group=made.group.masked_fill(hidden, -7),
    )


def insert_invalid(made: PatchSequence, at: list[int]) -> tuple[PatchSequence, torch.Tensor]:
    """Insert an invalid patch before each position in `at`; also returns where the old patches are now.

    Edges join the inserted ones to all others, which must not matter.
    """
    order = sorted(at)
    old = torch.arange(made.n_patches)
    now = old + torch.tensor([sum(a <= int(i) for a in order) for i in old])
    source = torch.zeros(made.n_patches + len(order), dtype=torch.long)
    source[now] = old
    real = torch.zeros(len(source), dtype=torch.bool)
    real[now] = True
    wide = made.patches(source.expand(len(made), -1))
    edges = None
    if made.edges is not None:
        row = made.edges // made.n_patches
        bad = torch.cartesian_prod((~real).nonzero().squeeze(1), torch.arange(len(source))).T
        bad = (torch.arange(len(made)).view(-1, 1, 1) * len(source) + bad).transpose(0, 1).flatten(1)
        edges = torch.cat([row * len(source) + now[made.edges % made.n_patches], bad, bad.flip(0)], dim=1)
    return spoil(wide.replace(valid=wide.valid & real, edges=edges)), now


def encoder(spec: SequenceSpec = SPEC, **options: Any):
    """A tiny transformer with the same weights every time."""
    torch.manual_seed(7)
    return build("encoder", {"name": "transformer", "width": 32, "depth": 2, "heads": 2, **options}, spec)


def jitter(made: PatchSequence, rng) -> PatchSequence:
    """An augmentation that treats all patches alike, so that padding cannot change its draws."""
    assert made.values is not None
    return made.replace(values=made.values * (1.0 + 0.3 * rng.normal(1, 1)) + 0.2 * rng.normal(1, made.spec.patch_size))


def objective(options: dict[str, Any] | str, spec: SequenceSpec = SPEC, **encoder_options: Any) -> Objective:
    """A composition on a tiny encoder, ready to run."""
    made = encoder(spec, **encoder_options)
    torch.manual_seed(8)
    options = {"name": options} if isinstance(options, str) else options
    built = Objective.from_config(options, spec, made)
    built.augment, built.total_steps = jitter, 10
    return built


def run(built: Objective, made: PatchSequence, steps: int, lr: float = 1e-3) -> list[float]:
    """Losses of a few training steps."""
    optimizer = torch.optim.AdamW([p for p in built.parameters() if p.requires_grad], lr)
    losses = []
    for step in range(steps):
        outcome = built(made, 0, step)
        optimizer.zero_grad()
        outcome.loss.backward()
        optimizer.step()
        built.after_step(step)
        losses.append(float(outcome.loss.detach()))
    return losses
