"""Stopping at the first number that is not finite, with the records that were in the batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..distributed import gather_rows
from ..errors import NonFiniteError
from ..sequence import PatchSequence

_SHOWN = 8  # records named in the message


def stop_on_non_finite(
    losses: Tensor, norm: Tensor, batches: Sequence[PatchSequence], records: Sequence[str], step: int
) -> None:
    """Raise NonFiniteError when a loss or the gradient norm is not finite. Costs one device synchronisation.

    losses: [part] of the batches whose gradients were accumulated; those with a bad one are named, else all are.
    """
    finite = torch.isfinite(losses)
    if bool(finite.all() & torch.isfinite(norm)):
        return
    what = "gradient" if bool(finite.all()) else "loss"
    named = [b for b, fine in zip(batches, finite.tolist(), strict=True) if not fine] or batches
    codes, peaks = (torch.cat(parts) for parts in zip(*((b.record, _peaks(b)) for b in named), strict=True))
    if not bool(torch.isfinite(norm)):  # the averaged gradient is the same on every rank, so all of them are here
        codes, peaks = gather_rows(codes), gather_rows(peaks)
    order = peaks.argsort(descending=True, stable=True).tolist()
    names = list(dict.fromkeys(_name(int(codes[row]), records) for row in order))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    raise NonFiniteError(
        f"pretraining stopped at step {step}: the {what} is not finite; records of the batch, largest input first: "
        f"{', '.join(names[:_SHOWN])}{more} (largest absolute value {float(peaks.max()):.3g}); check these records "
        f"or lower optimizer.lr; the last checkpoint is from before this step"
    )


def _peaks(batch: PatchSequence) -> Tensor:
    """[batch] largest absolute value of each row; an infinite one counts as infinite, a missing one (NaN) as 0."""
    if batch.values is None:
        return torch.zeros(len(batch), device=batch.device)
    values = batch.values.masked_fill(~batch.valid.unsqueeze(-1), 0.0).abs().nan_to_num(nan=0.0, posinf=torch.inf)
    return values.flatten(1).amax(dim=1)


def _name(code: int, records: Sequence[str]) -> str:
    return records[code] if 0 <= code < len(records) else "unknown"
