"""A run that is cut anywhere and resumed ends with the same bits as one that was not."""

from __future__ import annotations

import csv
import os
import random
import signal
import time

import numpy as np
import pytest
import torch
from omnipatch.core.errors import InputError
from omnipatch.core.train.checkpoint import AtomicCheckpointIO, checkpoint_path, checkpoints
from omnipatch.core.train.saving import Interrupted
from train_kit import (
    assert_bit_equal,
    in_child,
    kill_and_resume,
    recipe,
    run_unbroken,
    train,
    weights,
    with_trainer,
)

STEPS = 12  # 40 windows, 10 a step: an epoch ends every 4 steps; a checkpoint every 3


class Crash(Exception):
    pass


def _crash_at(stop):
    def on_progress(step, total, metrics):
        if step == stop:
            raise Crash

    return on_progress


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    train(folder)
    return folder


def _metrics(folder):
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    return [{k: v for k, v in row.items() if k not in ("seconds", "windows_per_s")} for row in rows]


@pytest.mark.parametrize("stop", [1, 3, 4, 8, 11])
def test_a_crash_and_a_resume_change_nothing(tmp_path, unbroken, stop):
    with pytest.raises(Crash):
        train(tmp_path, on_progress=_crash_at(stop))
    assert train(tmp_path, resume=True).steps == STEPS
    assert_bit_equal(weights(tmp_path), weights(unbroken))
    assert _metrics(tmp_path) == _metrics(unbroken)


def test_two_crashes_in_a_row(tmp_path, unbroken):
    for stop in (5, 7):
        with pytest.raises(Crash):
            train(tmp_path, resume=True, on_progress=_crash_at(stop))
    train(tmp_path, resume=True)
    assert_bit_equal(weights(tmp_path), weights(unbroken))
    assert [int(row["step"]) for row in _metrics(tmp_path)] == list(range(1, STEPS + 1))


def test_a_crash_during_a_save(tmp_path, unbroken, monkeypatch):
    save = AtomicCheckpointIO.save_checkpoint

    def torn(self, checkpoint, path, storage_options=None):
        if path == checkpoint_path(tmp_path / "checkpoints", 9):
            path.write_bytes(b"half a checkpoint")  # as a system without this package's care would leave it
            raise Crash
        save(self, checkpoint, path, storage_options)

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", torn)
    with pytest.raises(Crash):
        train(tmp_path)
    monkeypatch.undo()
    with pytest.warns(UserWarning, match="damaged checkpoint"):
        train(tmp_path, resume=True)
    assert_bit_equal(weights(tmp_path), weights(unbroken))


@pytest.mark.parametrize("objective", ["dino", "directpred", "jepa-sigreg"])
def test_stateful_objectives_resume(tmp_path, objective):
    made = recipe(objective, max_steps=8)
    train(tmp_path / "a", made)
    with pytest.raises(Crash):
        train(tmp_path / "b", made, on_progress=_crash_at(5))
    train(tmp_path / "b", made, resume=True)
    assert_bit_equal(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_accumulated_gradients_resume(tmp_path):
    made = recipe("mae", max_steps=7, accumulate_grad_batches=2)
    train(tmp_path / "a", made)
    with pytest.raises(Crash):
        train(tmp_path / "b", made, on_progress=_crash_at(5))
    train(tmp_path / "b", made, resume=True)
    assert_bit_equal(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_bf16_resumes(tmp_path):
    made = recipe(precision="bf16-mixed", max_steps=5)
    train(tmp_path / "a", made)
    with pytest.raises(Crash):
        train(tmp_path / "b", made, on_progress=_crash_at(4))
    train(tmp_path / "b", made, resume=True)
    assert_bit_equal(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_the_global_random_state_neither_matters_nor_changes(tmp_path, unbroken):
    torch.manual_seed(99)
    torch.rand(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    train(tmp_path)
    assert_bit_equal(weights(tmp_path), weights(unbroken))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert random.getstate() == before[2]


def test_resuming_a_finished_run_only_loads_it(unbroken):
    before = [path.stat().st_mtime_ns for _, path in checkpoints(unbroken / "checkpoints")]
    result = train(unbroken, resume=True)
    assert result.steps == STEPS
    assert result.seconds > 0
    saved = weights(unbroken)
    for name, value in result.encoder.state_dict().items():
        assert torch.equal(value, saved[f"objective.encoder.{name}"])
    assert [path.stat().st_mtime_ns for _, path in checkpoints(unbroken / "checkpoints")] == before


def test_a_filled_folder_needs_a_decision(unbroken):
    with pytest.raises(InputError, match="--resume or start again with --overwrite"):
        train(unbroken)


@pytest.mark.parametrize("change", ["objective", "batch_size"])
def test_the_checkpoint_of_another_run_is_refused(unbroken, change):
    made = recipe("mae") if change == "objective" else recipe(batch_size=20)
    with pytest.raises(InputError, match=f"belongs to another run, field .*{change}"):
        train(unbroken, made, resume=True)


def test_a_run_may_be_made_longer(tmp_path):
    train(tmp_path, recipe(max_steps=4))
    assert train(tmp_path, recipe(max_steps=6), resume=True).steps == 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_stops(tmp_path, unbroken, number):
    made = with_trainer(recipe(), checkpoint_every=100)
    handler = signal.getsignal(number)

    def on_progress(step, total, metrics):
        if step == 5:
            os.kill(os.getpid(), number)

    with pytest.raises(Interrupted, match="after step 5 of 12; the checkpoint is saved") as caught:
        train(tmp_path, made, on_progress=on_progress)
    assert caught.value.exit_code == 128 + number
    assert signal.getsignal(number) is handler
    assert [step for step, _ in checkpoints(tmp_path / "checkpoints")] == [5]
    train(tmp_path, made, resume=True)
    assert_bit_equal(weights(tmp_path), weights(unbroken))


def test_a_second_signal_ends_the_process(tmp_path):
    def stubborn(step, total, metrics):
        if step == 5:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(20)

    child = in_child(lambda: train(tmp_path, on_progress=stubborn))
    child.join()
    assert child.exitcode == -signal.SIGINT


def test_signal_handlers_are_restored_after_an_error(tmp_path):
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Crash):
        train(tmp_path, on_progress=_crash_at(2))
    assert signal.getsignal(signal.SIGTERM) is handler


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_three_kills(tmp_path, threads):
    made = recipe(max_steps=40, checkpoint_every=2, monitor_every=10)
    run_unbroken(tmp_path / "unbroken", made, threads)
    assert kill_and_resume(tmp_path / "killed", made, kills=3, seed=0, threads=threads) == 3
    assert_bit_equal(weights(tmp_path / "killed"), weights(tmp_path / "unbroken"))
    assert _metrics(tmp_path / "killed") == _metrics(tmp_path / "unbroken")
