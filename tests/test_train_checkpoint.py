"""Checkpoints: all or nothing on disk, every damage found, the one before it used."""

from __future__ import annotations

import os
import pickle
import random
import resource
import signal

import pytest
import torch
from omnipatch.core.errors import CorruptFileError, InputError
from omnipatch.core.train.atomic import SaveError, replacing, replacing_folder, sweep
from omnipatch.core.train.checkpoint import (
    AtomicCheckpointIO,
    checkpoint_path,
    checkpoints,
    damage,
    last_checkpoint,
    prune,
)
from omnipatch.core.train.lock import folder_lock
from train_kit import in_child

IO = AtomicCheckpointIO()


def _save(folder, step, size=5000):
    torch.manual_seed(step)
    IO.save_checkpoint({"step": step, "x": torch.randn(size)}, checkpoint_path(folder, step))


def test_save_load_and_sha256sum_format(tmp_path):
    _save(tmp_path, 7)
    found = last_checkpoint(tmp_path)
    assert found == (7, tmp_path / "step-00000007.ckpt")
    assert IO.load_checkpoint(found[1])["step"] == 7
    digest, name = (tmp_path / "step-00000007.ckpt.sha256").read_text().split()
    assert len(digest) == 64
    assert name == "step-00000007.ckpt"


def test_no_checkpoint_is_none(tmp_path):
    assert last_checkpoint(tmp_path) is None
    assert last_checkpoint(tmp_path / "absent") is None


def test_prune_keeps_the_newest_with_their_checksums(tmp_path):
    for step in (2, 10, 9):
        _save(tmp_path, step)
    prune(tmp_path, 2)
    assert [step for step, _ in checkpoints(tmp_path)] == [9, 10]
    assert len(list(tmp_path.iterdir())) == 4


def _truncate(data, rng):
    return data[: rng.randrange(len(data))]


def _flip(data, rng):
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def _zero(data, rng):
    start = rng.randrange(len(data) - 64)
    return data[:start] + (bytes(64) if any(data[start : start + 64]) else b"\1" * 64) + data[start + 64 :]


def _extend(data, rng):
    return data + rng.randbytes(rng.randrange(1, 100))


@pytest.mark.parametrize("harm", [_truncate, _flip, _zero, _extend])
def test_every_damage_falls_back_with_a_warning(tmp_path, harm):
    _save(tmp_path, 1)
    _save(tmp_path, 2)
    path, rng = checkpoint_path(tmp_path, 2), random.Random(0)
    intact = path.read_bytes()
    for _ in range(75):
        path.write_bytes(harm(intact, rng))
        with pytest.warns(UserWarning, match="damaged checkpoint.*falling back"):
            assert last_checkpoint(tmp_path) == (1, checkpoint_path(tmp_path, 1))
    with pytest.raises(CorruptFileError, match="damaged"):
        IO.load_checkpoint(path)


def test_swapped_and_unverifiable_checkpoints_are_damaged(tmp_path):
    _save(tmp_path, 1)
    _save(tmp_path, 2)
    one, two = checkpoint_path(tmp_path, 1), checkpoint_path(tmp_path, 2)
    two.write_bytes(one.read_bytes())
    assert "SHA-256" in damage(two)
    one.with_name(one.name + ".sha256").unlink()
    assert "cannot be verified" in damage(one)
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(CorruptFileError, match="--overwrite"):
        last_checkpoint(tmp_path)


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Attack:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    IO.save_checkpoint({"x": Attack()}, checkpoint_path(tmp_path, 1))
    with pytest.raises(pickle.UnpicklingError):
        IO.load_checkpoint(checkpoint_path(tmp_path, 1), weights_only=False)
    assert not (tmp_path / "owned").exists()


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    with replacing(path) as file:
        file.write(b"old")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"half" * (1 // 0))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    for content in ("old", "new"):
        with replacing_folder(tmp_path / "model") as part:
            (part / content).write_text(content)
    with pytest.raises(ZeroDivisionError), replacing_folder(tmp_path / "model") as part:
        (part / "half").write_text("half" * (1 // 0))
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["new"]
    assert len(list(tmp_path.iterdir())) == 1


def _die_during_save(folder):
    save = torch.save

    def torn(checkpoint, file):
        save(checkpoint, file)
        file.truncate(file.tell() // 2)
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    torch.save = torn
    _save(folder, 2)


def test_a_kill_during_a_save_leaves_the_last_one(tmp_path):
    _save(tmp_path, 1)
    child = in_child(_die_during_save, tmp_path)
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert last_checkpoint(tmp_path) == (1, checkpoint_path(tmp_path, 1))
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def _fill_the_disk(folder):
    # a limit on file size gives the same kind of error in the middle of a write as a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    with pytest.raises(SaveError, match=r"step-00000002\.ckpt: cannot be written .*what was saved before is intact"):
        _save(folder, 2)


def test_a_full_disk_is_a_sentence_and_the_last_one_stays(tmp_path):
    _save(tmp_path, 1)
    child = in_child(_fill_the_disk, tmp_path)
    child.join()
    assert child.exitcode == 0
    assert last_checkpoint(tmp_path) == (1, checkpoint_path(tmp_path, 1))
    assert len(list(tmp_path.iterdir())) == 2


def test_an_unwritable_place_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SaveError, match="cannot be written"):
        _save(tmp_path / "file", 1)
    with pytest.raises(SaveError, match="cannot be written"), folder_lock(tmp_path / "file"):
        pass

    def read_only(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", read_only)
    with pytest.raises(SaveError, match="Permission denied"):
        _save(tmp_path, 1)


def _hold(folder, ready, release):
    with folder_lock(folder):
        ready.set()
        release.wait(20)


def test_one_process_a_folder_even_after_a_kill(tmp_path):
    import multiprocessing as mp

    ready, release = mp.get_context("fork").Event(), mp.get_context("fork").Event()
    child = in_child(_hold, tmp_path, ready, release)
    assert ready.wait(20)
    with pytest.raises(InputError, match="in use by another process"), folder_lock(tmp_path):
        pass
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    with folder_lock(tmp_path), folder_lock(tmp_path):  # a caller may already hold it
        pass
