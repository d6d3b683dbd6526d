"""A tiny corpus and recipe for tests of the training room: steps of a few milliseconds, nothing on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing as mp
import os
import random
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from blocks_kit import chain
from omnipatch.core.batching import pad
from omnipatch.core.config import OptimizerConfig, Recipe, TrainerConfig
from omnipatch.core.rng import RowRandom
from omnipatch.core.sequence import PatchSequence, SequenceSpec
from omnipatch.core.train.checkpoint import last_checkpoint
from omnipatch.core.train.pretrain import Pretrained, pretrain
from torch import Tensor

SPEC = SequenceSpec(axes=("time_s",), axis_scales=(0.1,), patch_shape=(8,), sfreq_hz=80.0)


class FakeStore:
    """Stands in for a WindowStore: oscillations of two frequencies (the label), in memory, of uneven lengths."""

    def __init__(self, n_windows: int = 50, subjects: int = 5) -> None:
        generator = torch.Generator().manual_seed(7)
        self.spec = SPEC
        self.lengths = 8 + 2 * (np.arange(n_windows) % 3)
        self.window_ids = np.arange(n_windows) * 1_000_003 + 17
        self.record_code = self.subject_code = np.arange(n_windows) % subjects
        self.site_code = np.zeros(n_windows, dtype=np.int64)
        self.records = self.subjects = tuple(f"record{i}" for i in range(subjects))
        self.labels = np.arange(n_windows) % 2
        self.task = None
        self.texts: tuple[str, ...] = ()
        patches = int(self.lengths.max())
        t = torch.arange(patches * 8) / 80.0
        frequency = 2.0 + 3.0 * torch.as_tensor(self.labels)
        wave = torch.sin(2 * torch.pi * frequency.unsqueeze(1) * t + torch.arange(n_windows).unsqueeze(1))
        self.values = (wave + 0.1 * torch.randn(wave.shape, generator=generator)).view(n_windows, patches, 8)

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, indices: Any) -> PatchSequence:
        index = np.asarray(indices)
        longest = int(self.lengths[index].max())
        lengths = torch.as_tensor(self.lengths[index])
        coords = (torch.arange(longest) * 0.1).expand(len(index), longest).unsqueeze(-1)
        rows = {
            "window": self.window_ids, "record": self.record_code, "subject": self.subject_code,
            "site": self.site_code, "label": self.labels,
        }  # fmt: skip
        batch = PatchSequence.build(
            SPEC,
            coords.clone(),
            values=self.values[index, :longest].clone(),
            valid=torch.arange(longest) < lengths.unsqueeze(1),
            edges=chain(len(index), longest),
            **{name: torch.as_tensor(codes[index]) for name, codes in rows.items()},
        )
        return pad(batch, longest)


class FakeModality:
    """The part of a modality that training uses."""

    name = "fake"

    def augment(self, batch: PatchSequence, rng: RowRandom) -> PatchSequence:
        assert batch.values is not None
        return batch.replace(values=batch.values * (1.0 + 0.2 * rng.normal(1, 1)))

    def known_of_ids(self) -> None:
        return None


def recipe(objective: str | dict[str, Any] = "jepa", **trainer: Any) -> Recipe:
    options = {"name": objective} if isinstance(objective, str) else objective
    defaults: dict[str, Any] = {
        "max_steps": 12, "batch_size": 10, "precision": "32-true", "accelerator": "cpu", "checkpoint_every": 3,
        "keep_checkpoints": 2, "log_every": 1, "monitor_every": 4,
    }  # fmt: skip
    return Recipe(
        name="tiny",
        seed=3,
        encoder={"name": "transformer", "width": 16, "depth": 2, "heads": 2},
        objective=options,
        optimizer=OptimizerConfig(lr=3e-3),
        trainer=TrainerConfig(**{**defaults, **trainer}),
    )


def train(folder: Path, made: Recipe | None = None, *, resume: bool = False, **options: Any) -> Pretrained:
    store = options.pop("store", None) or FakeStore()
    modality: Any = options.pop("modality", FakeModality())
    windows = options.pop("windows", np.arange(len(store) - 10))
    return pretrain(made or recipe(), modality, store, windows, folder, resume=resume, **options)


def weights(folder: Path) -> dict[str, Tensor]:
    """Everything the last checkpoint would resume: weights, buffers and optimiser state, flat."""
    found = last_checkpoint(folder / "checkpoints")
    assert found is not None
    checkpoint = torch.load(found[1], weights_only=True)
    state = dict(checkpoint["state_dict"])
    for index, entry in checkpoint["optimizer_states"][0]["state"].items():
        state |= {f"optimizer.{index}.{name}": value for name, value in entry.items()}
    return state


def assert_bit_equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    different = [name for name in a if not torch.equal(a[name], b[name])]
    assert not different, f"{len(different)} of {len(a)} tensors differ, first {different[0]}"


def with_trainer(made: Recipe, **changes: Any) -> Recipe:
    return dataclasses.replace(made, trainer=dataclasses.replace(made.trainer, **changes))


def in_child(function: Callable[..., Any], *args: Any) -> mp.Process:
    """Start a function in a forked process (no second import of torch), on one thread.

    One, because a thread pool that the parent has used does not survive a fork: more would hang.
    """
    process = mp.get_context("fork").Process(target=_on_threads, args=(1, function, *args))
    process.start()
    return process  # type: ignore[return-value]


def in_fresh_child(threads: int, function: Callable[..., Any], *args: Any) -> Any:
    """Start a function of a module in a process that may use several threads (forked from a server that used none)."""
    _SERVER.set_forkserver_preload(["omnipatch.core.train.pretrain"])
    process = _SERVER.Process(target=_on_threads, args=(threads, function, *args))
    process.start()
    return process


_SERVER = mp.get_context("forkserver")


def _on_threads(threads: int, function: Callable[..., Any], *args: Any) -> None:
    torch.set_num_threads(threads)
    function(*args)


def run_unbroken(folder: Path, made: Recipe, threads: int) -> None:
    """A whole run in a process of its own."""
    child = in_fresh_child(threads, train, folder, made)
    child.join()
    assert child.exitcode == 0


def kill_and_resume(folder: Path, made: Recipe, kills: int, seed: int, threads: int) -> int:
    """Kill a run -9 at random moments and resume it each time, then let it end; how many kills met a living run.

    threads: sums are rounded differently on another number of threads, so all parts of a run must have the same.
    """
    rng, met = random.Random(seed), 0
    for _ in range(kills):
        begun = _SERVER.Event()
        child = in_fresh_child(threads, _resume, folder, made, begun)
        assert begun.wait(60)
        time.sleep(rng.uniform(0.02, 0.4))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        met += child.exitcode == -signal.SIGKILL
    child = in_fresh_child(threads, _resume, folder, made)
    child.join()
    assert child.exitcode == 0
    return met


def _resume(folder: Path, made: Recipe, begun: Any = None) -> None:
    if begun is not None:
        begun.set()
    train(folder, made, resume=True)


def torchrun_environment(rank: int, world_size: int, port: int) -> None:
    """What torchrun sets for one process."""
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), LOCAL_RANK=str(rank),
        WORLD_SIZE=str(world_size), LOCAL_WORLD_SIZE=str(world_size), GROUP_RANK="0",
        TORCHELASTIC_RUN_ID="test",
    )  # fmt: skip


def free_ports(count: int) -> list[int]:
    """Ports no one listens on, all different."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
