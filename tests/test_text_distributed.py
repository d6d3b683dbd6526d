"""The alignment losses on two processes with uneven rows, tokens and sentences: loss and gradient of one process."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from omnipatch.core.blocks.alignment import ReportContrast, SentenceContrast
from omnipatch.core.blocks.text_targets import TextTarget
from torch import nn
from train_kit import free_ports

ROWS, CUT, TOKENS, SENTENCES, WIDTH = 6, 2, 5, 3, 4
CODE = torch.tensor([0, 1, 0, -1, 2, 1])  # the texts of rows 0 and 2, and of 1 and 5, are equal; row 3 has none


def _rank(name: str, part: slice, tokens: int, sentences: int):
    """Loss and gradients of the rows `part`, whose signals and texts are no longer than given."""
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(ROWS, TOKENS, WIDTH, generator=rng), torch.randn(ROWS, SENTENCES, WIDTH, generator=rng)
    there = torch.arange(TOKENS) < torch.tensor([3, 2, 5, 4, 5, 1]).unsqueeze(1)
    parts = torch.arange(SENTENCES) < torch.tensor([1, 2, 3, 0, 2, 1]).unsqueeze(1)
    torch.manual_seed(1)
    model, loss = nn.Linear(WIDTH, WIDTH), {"record": ReportContrast, "sentence": SentenceContrast}[name]()
    z, has_text = model(x[part, :tokens]), CODE[part] >= 0
    if name == "record":
        values, _ = loss(z[:, 0], TextTarget(y[part, 0], has_text, CODE[part]), CODE[part])
    else:
        target = TextTarget(y[part, :sentences], has_text, CODE[part], parts[part, :sentences], there[part, :tokens])
        values, _ = loss(z, target, CODE[part])
    values.mean().backward()
    return values.detach(), model.weight.grad, loss.sharpness.grad


def _worker(index: int, port: int, folder: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=index, world_size=2, timeout=timedelta(seconds=60))
    part, tokens, sentences = (slice(0, CUT), 3, 2) if index == 0 else (slice(CUT, None), TOKENS, SENTENCES)
    torch.save({name: _rank(name, part, tokens, sentences) for name in ("record", "sentence")}, f"{folder}/{index}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    mp.start_processes(_worker, args=(free_ports(1)[0], str(folder)), nprocs=2, start_method="fork")
    return [torch.load(folder / f"{index}.pt", weights_only=True) for index in range(2)]


@pytest.mark.parametrize("name", ["record", "sentence"])
def test_two_processes_learn_what_one_does(name, ranks):
    values, weight, sharpness = _rank(name, slice(None), TOKENS, SENTENCES)
    assert len(values) == 5
    for rank in ranks:
        torch.testing.assert_close(rank[name][0], values)
    for place, expected in ((1, weight), (2, sharpness)):
        torch.testing.assert_close(torch.stack([rank[name][place] for rank in ranks]).mean(dim=0), expected)
