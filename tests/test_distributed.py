"""Collectives with gradient, the global mean and the synchronised batch norm, on two gloo processes.

Every claim has the same form: two processes holding half a batch each, with DDP's averaging, give what one process
gives on the whole batch.
"""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from omnipatch.core.distributed import BatchNorm, gather_rows, global_mean, rank, sum_across, world_size
from torch import nn
from torch.nn import functional as F
from train_kit import free_ports

ROWS, WIDTH = 10, 6
CUT = 4  # rank 0 holds 4 rows, rank 1 holds 6


def _inputs():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, WIDTH, generator=generator)
    valid = torch.tensor([True, True, False, True, True, True, False, False, True, True])
    return x, valid


def _model():
    torch.manual_seed(1)
    return nn.Linear(WIDTH, WIDTH)


def _gathered_loss(model, x, valid):
    z = F.normalize(gather_rows(model(x)), dim=-1)
    return F.cross_entropy(z @ z.T, torch.arange(len(z)).roll(1))


def _summed_loss(model, x, valid):
    z = model(x)
    mean = sum_across(z.sum(dim=0)) / ROWS
    return mean.square().sum() + mean.exp().sum()


def _mean_loss(model, x, valid):
    return global_mean(model(x).square().sum(dim=-1), valid)


def _norm_loss(model, x, valid):
    y = BatchNorm(WIDTH)(model(x).masked_fill(~valid.unsqueeze(-1), float("nan")), valid)
    return global_mean((y * torch.arange(WIDTH)).exp().sum(dim=-1), valid)


LOSSES = {"gather": _gathered_loss, "sum": _summed_loss, "mean": _mean_loss, "norm": _norm_loss}


def _gradient(name, part=slice(None)):
    model, (x, valid) = _model(), _inputs()
    loss = LOSSES[name](model, x[part], valid[part])
    loss.backward()
    assert model.weight.grad is not None
    return loss.detach(), model.weight.grad


def _worker(index, port, folder):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=index, world_size=2, timeout=timedelta(seconds=60))
    part = slice(0, CUT) if index == 0 else slice(CUT, None)
    x, valid = _inputs()
    out: dict = {"world": (world_size(), rank()), "rows": gather_rows(x[part]), "bool": gather_rows(valid[part])}
    for name in LOSSES:
        loss, gradient = _gradient(name, part)
        dist.all_reduce(loss)
        dist.all_reduce(gradient)
        out[name] = (loss / 2, gradient / 2)
    norm = BatchNorm(WIDTH)
    out["batch_norm"] = (norm(x[part]), norm.running_mean, norm.running_var)
    torch.save(out, f"{folder}/{index}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gloo")
    port = free_ports(1)[0]
    mp.start_processes(_worker, args=(port, folder), nprocs=2, start_method="fork")
    return [torch.load(folder / f"{i}.pt", weights_only=True) for i in range(2)]


def test_world_size_and_rank(ranks):
    assert (world_size(), rank()) == (1, 0)
    assert [r["world"] for r in ranks] == [(2, 0), (2, 1)]


def test_gather_keeps_rank_order_and_dtype(ranks):
    x, valid = _inputs()
    for r in ranks:
        assert torch.equal(r["rows"], x)
        assert torch.equal(r["bool"], valid)


@pytest.mark.parametrize("name", LOSSES)
def test_two_ranks_give_the_gradient_of_one(ranks, name):
    loss, gradient = _gradient(name)
    for r in ranks:
        torch.testing.assert_close(r[name][0], loss, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(r[name][1], gradient, atol=1e-6, rtol=1e-5)


def test_batch_norm_of_two_ranks_is_torch_batch_norm(ranks):
    x, _ = _inputs()
    reference = nn.BatchNorm1d(WIDTH)
    expected = reference(x)
    torch.testing.assert_close(torch.cat([r["batch_norm"][0] for r in ranks]), expected)
    for r in ranks:
        torch.testing.assert_close(r["batch_norm"][1], reference.running_mean)
        torch.testing.assert_close(r["batch_norm"][2], reference.running_var)


def test_batch_norm_counts_only_valid_rows():
    x, valid = _inputs()
    ours, reference = BatchNorm(WIDTH), nn.BatchNorm1d(WIDTH)
    expected = reference(x[valid])
    y = ours(x.masked_fill(~valid.unsqueeze(-1), float("nan")), valid)
    torch.testing.assert_close(y[valid], expected)
    assert torch.isfinite(y).all()
    for mine, theirs in zip(ours.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_batch_norm_accepts_further_axes_and_evaluates_like_torch():
    x, valid = _inputs()
    ours = BatchNorm(WIDTH)
    tokens = ours(x.view(2, 5, WIDTH), valid.view(2, 5))
    assert tokens.shape == (2, 5, WIDTH)
    ours.eval()
    expected = F.batch_norm(x, ours.running_mean, ours.running_var, ours.weight, ours.bias)
    torch.testing.assert_close(ours(x.view(2, 5, WIDTH)).flatten(0, 1), expected)


@pytest.mark.parametrize("count", [0, 1])
def test_batch_norm_leaves_statistics_alone_without_enough_rows(count):
    x, _ = _inputs()
    norm = BatchNorm(WIDTH)
    y = norm(x, torch.arange(ROWS) < count)
    assert torch.isfinite(y).all()
    assert torch.equal(norm.running_mean, torch.zeros(WIDTH))
    torch.testing.assert_close(norm(x[:1]), x[:1], atol=1e-4, rtol=1e-4)


def test_global_mean_of_nothing_is_zero_with_gradient():
    values = torch.full((3,), float("nan"), requires_grad=True)
    loss = global_mean(values, torch.zeros(3))
    loss.backward()
    assert loss == 0
    assert torch.equal(values.grad, torch.zeros(3))
