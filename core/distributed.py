"""The same numbers on several processes as on one.

DistributedDataParallel averages the gradients of the ranks. Two conventions make that average equal the gradient of
one process holding the whole batch:

- a loss over *gathered* rows is computed identically on each rank. The backward of `gather_rows` and `sum_across`
  sums over ranks, so each rank holds `world_size` times its share, and the average of the shares is the gradient.
- a mean of per-item values goes through `global_mean`: `world_size * local weighted sum / global weight`. Its average
  over ranks is the mean over the whole batch, however unevenly the items fall on the ranks.

World size and rank are read when a function is called: the process group may come up after import. With one process
every function here is plain arithmetic.
"""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function


def world_size() -> int:
    """Number of processes that train together, 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Index of this process among them, 0 without a process group."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def is_main_process() -> bool:
    """Whether this process owns files and output. Unlike `rank`, it is known before the process group is up."""
    if dist.is_available() and dist.is_initialized():
        return rank() == 0
    # set by torchrun, Lightning's launcher and SLURM
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


def sum_across(x: Tensor) -> Tensor:
    """Sum of `x` over ranks, with gradient. Every rank must hold the same shape."""
    return _Sum.apply(x) if world_size() > 1 else x


def gather_rows(x: Tensor) -> Tensor:
    """[row, ...] of each rank -> [all rows, ...] in rank order, with gradient. Row counts may differ between ranks."""
    return _Gather.apply(x) if world_size() > 1 else x


def global_mean(values: Tensor, weight: Tensor | None = None) -> Tensor:
    """Weighted mean over the items of all ranks as a scalar to minimise (see the module's docstring).

    values: any shape; weight: same shape, 0 = the item does not count and may be NaN. Nothing to weigh gives 0.
    """
    if weight is None:
        total, count = values.sum(), values.new_tensor(float(values.numel()))
    else:
        weight = weight.to(values.dtype)
        total, count = (torch.where(weight > 0, values, 0.0) * weight).sum(), weight.sum()
    with torch.no_grad():
        count = sum_across(count)
    return world_size() * total / torch.where(count > 0, count, 1.0)


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation over every valid row of every rank, on any device.

    Same parameters, buffers and result as `torch.nn.BatchNorm1d` on the whole batch. torch's own SyncBatchNorm needs
    a GPU and counts padding. Statistics are float32 and the variance comes from centred values. Fewer than two valid
    rows in the whole batch are normalised by the running statistics, which stay as they are.
    """

    def forward(self, input: Tensor, valid: Tensor | None = None) -> Tensor:
        """input: [..., feature]; valid: [...] bool, rows under False do not count (their output is finite, no more)."""
        x = input.flatten(0, -2).float()
        rows = x.new_ones(len(x), 1, dtype=torch.bool) if valid is None else valid.flatten().unsqueeze(-1)
        x = x.masked_fill(~rows, 0.0)
        if not self.training:
            y = super().forward(x)
        elif valid is None and world_size() == 1 and len(x) > 1:
            y = super().forward(x)  # the fused kernel
        else:
            mean, var = self._statistics(x, rows)
            y = (x - mean) * torch.rsqrt(var + self.eps)
            if self.affine:
                y = y * self.weight + self.bias
        return y.to(input.dtype).view_as(input)

    def _statistics(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and biased variance [feature] over the valid rows of all ranks; moves the running statistics."""
        count = sum_across(rows.sum().float())
        enough = count > 1
        mean = sum_across(x.sum(dim=0)) / count.clamp(min=1.0)
        centred = (x - mean).masked_fill(~rows, 0.0)
        var = sum_across(centred.square().sum(dim=0)) / count.clamp(min=1.0)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        with torch.no_grad():
            unbiased = var * count / (count - 1.0).clamp(min=1.0)
            step = torch.where(enough, self.momentum or 0.0, 0.0)
            old_mean, old_var = self.running_mean.clone(), self.running_var.clone()
            self.running_mean.lerp_(mean.detach(), step)
            self.running_var.lerp_(unbiased.detach(), step)
            self.num_batches_tracked += enough
        return torch.where(enough, mean, old_mean), torch.where(enough, var, old_var)


class _Sum(Function):
    """All-reduce whose backward is the same all-reduce."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, *grads: Tensor) -> Tensor:
        return _Sum.apply(grads[0])


class _Gather(Function):
    """All-gather of unequal row counts; backward sums the gradient of this rank's rows over ranks."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        counts = [torch.zeros(1, dtype=torch.long, device=x.device) for _ in range(world_size())]
        dist.all_gather(counts, torch.tensor([len(x)], device=x.device))
        sizes = [int(n) for n in counts]
        ctx.start, ctx.rows = sum(sizes[: rank()]), len(x)
        send = x.to(torch.uint8) if x.dtype == torch.bool else x
        padded = send.new_zeros(max(sizes), *x.shape[1:])
        padded[: len(x)] = send
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        gathered = torch.cat([part[:n] for part, n in zip(parts, sizes, strict=True)])
        return gathered.to(x.dtype)

    @staticmethod
    def backward(ctx, *grads: Tensor) -> Tensor:
        # float32, so that summing many ranks' half-precision gradients loses nothing
        return sum_across(grads[0].float())[ctx.start : ctx.start + ctx.rows].to(grads[0].dtype)
