"""Two gloo processes under Lightning's DDP train like one process at the same global batch, whatever the objective."""

from __future__ import annotations

import csv
import dataclasses

import pytest
from omnipatch.core.compose import shipped_objectives
from omnipatch.core.config import OptimizerConfig
from omnipatch.core.distributed import world_size
from omnipatch.core.errors import NonFiniteError
from train_kit import FakeStore, free_ports, in_child, recipe, torchrun_environment, train

STEPS = 4


def _made(objective, **changes):
    # a small rate: Adam's first steps are of its size even where the true gradient is zero and rounding decides
    return dataclasses.replace(
        recipe(objective, max_steps=STEPS, monitor_every=2, **changes), optimizer=OptimizerConfig(lr=3e-4)
    )


def _rank(index, ports, folder):
    for objective, port in zip(shipped_objectives(), ports, strict=False):
        torchrun_environment(index, 2, port)
        train(folder / objective, _made(objective, devices=2, strategy="ddp"))
        assert world_size() == 1  # whatever comes after training works alone
    torchrun_environment(index, 2, ports[-1])
    with pytest.raises(NonFiniteError, match="record3"):
        train(folder / "broken", _made("mae", devices=2, strategy="ddp"), store=_broken_store())


def _broken_store():
    store = FakeStore()
    store.values[3] = 1e38
    return store


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    ports = free_ports(len(shipped_objectives()) + 1)
    children = [in_child(_rank, index, ports, folder) for index in range(2)]
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0, 0]
    return folder


def _rows(folder):
    return list(csv.DictReader((folder / "metrics.csv").open()))


@pytest.mark.parametrize("objective", shipped_objectives())
def test_losses_of_two_ranks_are_those_of_one(two_ranks, tmp_path, objective):
    train(tmp_path, _made(objective))
    one, two = _rows(tmp_path), _rows(two_ranks / objective)
    assert len(one) == len(two) == STEPS
    for a, b in zip(one, two, strict=True):
        for name in a:
            if name == "loss" or name.startswith("term/"):
                assert float(b[name]) == pytest.approx(float(a[name]), rel=1e-5, abs=1e-5), (name, a["step"])
        assert float(b["grad_norm"]) == pytest.approx(float(a["grad_norm"]), rel=1e-3)


def test_health_is_measured_over_all_ranks(two_ranks, tmp_path):
    train(tmp_path, _made("mae"))
    one, two = _rows(tmp_path)[1], _rows(two_ranks / "mae")[1]
    names = [name for name in one if name.startswith("encoder/")]
    assert names
    for name in names:
        assert float(two[name]) == pytest.approx(float(one[name]), rel=1e-3)
