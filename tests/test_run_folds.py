"""Folds at once: the same numbers as one after the other, and what happens when something ends early."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cli_kit import omni, write_recipe
from omnipatch.core.cli import main
from omnipatch.core.config import EvaluateConfig, FinetuneConfig, ProbeConfig, TrainerConfig
from omnipatch.core.downstream.predictions import Predictions
from omnipatch.core.errors import CollapseError, CorruptFileError, InputError, OmnipatchError
from omnipatch.core.fold_process import _ending, _portable, serve
from omnipatch.core.fold_workers import _pickled, check_folds_at_once, folds_at_once, row_pieces
from omnipatch.core.report.material import Material
from omnipatch.core.settings import load, shipped_recipes
from omnipatch.core.train.atomic import SaveError
from omnipatch.core.train.lock import folder_lock
from omnipatch.core.train.saving import Interrupted
from train_kit import assert_bit_equal, in_child, weights

FOLDS = ("--split.kind", "kfold", "--split.folds", 2)
AT_ONCE = ("--trainer.folds_at_once", 2)
ROWS = ("--evaluate.protocols", "linear,finetune", "--evaluate.models", "pretrained,scratch,prior")
FEW = ("--evaluate.protocols", "linear", "--evaluate.models", "pretrained")
# long enough to be met in the middle
LONG = ("--trainer.max_steps", 100, "--trainer.checkpoint_every", 10, "--trainer.log_every", 10,
        "--trainer.monitor_every", 50)  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The toy recipe, and the toy modality as a package that further processes find as well."""
    folder = tmp_path_factory.mktemp("home")
    package = folder / "site" / "toy-0.1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 0.1\n")
    (package / "entry_points.txt").write_text("[omnipatch.modalities]\ntoy = data_kit:Toy\n")
    write_recipe(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "site"))
        yield folder


@pytest.fixture
def forked(monkeypatch):
    """Workers that need not import torch again, for tests of what is told and not of how processes start and end."""

    class Forked:
        def __init__(self, handle: int, threads: int) -> None:
            self.process = in_child(_serve_alone, handle)
            self.kill = self.process.kill

        def wait(self, timeout: float | None = None) -> int:
            self.process.join(timeout)
            assert self.process.exitcode is not None
            return self.process.exitcode

    monkeypatch.setattr("omnipatch.core.fold_workers._start", Forked)


def _serve_alone(handle: int) -> None:
    os.closerange(3, handle)  # the run's ends of all connections, too: nobody else keeps them open
    os.closerange(handle + 1, 1024)
    serve(handle)


@pytest.fixture(scope="module")
def in_turn(home):
    """A run whose folds were worked on one after the other."""
    done = omni("run", home / "toy-jepa.yaml", "--out", home / "in turn", *FOLDS, *ROWS)
    assert done.code == 0, done.err
    assert "at a time" not in done.err
    return home / "in turn"


def start(log: Path, *arguments: object):
    """A command in a process group of its own."""
    return in_child(_command, log, [str(argument) for argument in arguments])


def _command(log: Path, arguments: list[str]) -> None:
    os.setsid()
    with log.open("w", buffering=1) as said, contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        main(arguments)


def until(condition, process) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def contents(path: Path) -> dict:
    return json.loads(path.read_text())


# ---- the same numbers -------------------------------------------------------------------------------------------


def test_folds_at_once_give_what_they_give_in_turn(home, in_turn):
    out = home / "at once"
    done = omni("run", home / "toy-jepa.yaml", "--out", out, *FOLDS, *ROWS, *AT_ONCE)
    assert done.code == 0, done.err
    one, other = (contents(folder / "results.json") for folder in (in_turn, out))
    assert {row["fold"] for row in other["rows"]} == {0, 1}
    for key in one.keys() - {"seconds", "versions"}:
        assert other[key] == one[key], key
    assert (in_turn / "split.json").read_text() == (out / "split.json").read_text()
    for fold in ("0", "1"):
        assert_bit_equal(weights(in_turn / "folds" / fold), weights(out / "folds" / fold))
        name = f"folds/{fold}/model/weights.safetensors"
        assert (in_turn / name).read_bytes() == (out / name).read_bytes()
        assert f"fold {fold}: pretrain 4/4  loss " in done.err
        assert f"fold {fold}: scratch: finetune" in done.err
    assert "2 folds, 2 at a time with 1 thread each" in done.err
    assert other["seconds"]["pretrain"] > 0 < other["seconds"]["downstream"]
    assert sorted(p.name for p in in_turn.iterdir()) == sorted(p.name for p in out.iterdir())


def test_an_odd_fold_leaves_nobody_idle(home, forked):
    """Rows without pretraining are worked on apart, and nothing shows it afterwards."""
    three, wide = ("--split.kind", "kfold", "--split.folds", 3), (*WIDE, "--trainer.max_steps", 2)
    for name, more in (("three", ("--trainer.folds_at_once", 1)), ("three at once", AT_ONCE)):
        done = omni("run", home / "toy-jepa.yaml", "--out", home / name, *three, *wide, *more)
        assert done.code == 0, done.err
    assert "3 folds, 2 at a time with 1 thread each" in done.err
    assert done.err.index("fold 2: pretraining") < done.err.index("fold 0: scratch: finetune, seed 0")
    assert_same_results(home / "three", home / "three at once")
    again = omni("evaluate", home / "toy-jepa.yaml", "--from", home / "three", "--out", home / "three later", *three,
                 *WIDE, *AT_ONCE)  # fmt: skip
    assert again.code == 0, again.err
    assert contents(home / "three later/results.json")["rows"] == contents(home / "three/results.json")["rows"]


def test_folds_that_were_pretrained_before_are_evaluated_at_once(home, in_turn, forked):
    short = omni("evaluate", home / "toy-jepa.yaml", "--from", in_turn, "--out", home / "short", *FOLDS, *FEW,
                 *AT_ONCE, "--fast-dev-run")  # fmt: skip
    assert short.code == 0, short.err
    assert "fold 1: pretrained: linear" in short.err
    again = omni("evaluate", home / "toy-jepa.yaml", "--from", in_turn, "--out", home / "again", *FOLDS, *FEW,
                 "--fast-dev-run")  # fmt: skip
    assert again.code == 0, again.err
    assert contents(home / "short/results.json")["rows"] == contents(home / "again/results.json")["rows"]


# ---- one fold, its rows at once ---------------------------------------------------------------------------------

WIDE = ("--evaluate.protocols", "knn,linear,attentive,finetune", "--evaluate.models",
        "prior,scratch,pretrained,random-init,hand-features", "--evaluate.labels_per_class", "[1]",
        "--evaluate.frozen_share", 0.5, "--evaluate.blend", 0.5, "--evaluate.occlusion", 4)  # fmt: skip


def test_rows_of_one_fold_at_once_are_those_in_turn(home, forked):
    done = omni("run", home / "toy-jepa.yaml", "--out", home / "one", *WIDE, "--trainer.folds_at_once", 1)
    assert done.code == 0, done.err
    assert "at a time" not in done.err
    halves = omni("run", home / "toy-jepa.yaml", "--out", home / "halves", *WIDE, *AT_ONCE)
    assert halves.code == 0, halves.err
    assert "rows with and without pretraining, 2 at a time with 1 thread each" in halves.err
    assert " scratch: finetune, seed 0" in halves.err
    assert_same_results(home / "one", home / "halves")


def assert_same_results(one_run: Path, other_run: Path) -> None:
    """But for times and places; with all of `WIDE`'s models."""
    one, other = (contents(folder / "results.json") for folder in (one_run, other_run))
    models = [row["model"] for row in other["rows"]]
    assert list(dict.fromkeys(models)) == ["prior", "scratch", "pretrained", "random-init", "hand-features"]
    for key in one.keys() - {"seconds", "versions"}:
        assert json.dumps(other[key]) == json.dumps(one[key]), key
    alike, found = (Predictions.load(folder).evaluation for folder in (one_run, other_run))
    assert list(found.predictions) == list(alike.predictions)
    for key, prediction in alike.predictions.items():
        np.testing.assert_array_equal(found.predictions[key].probability, prediction.probability)
    assert_same_material(Material.load(one_run), Material.load(other_run))
    for path in one_run.rglob("*.safetensors"):
        assert path.read_bytes() == (other_run / path.relative_to(one_run)).read_bytes(), path
    assert other["seconds"]["pretrain"] > 0 < other["seconds"]["downstream"]


def assert_same_material(one: Material, other: Material) -> None:
    """All that the report is drawn from, but times and places."""
    assert other.arrays.keys() == one.arrays.keys()
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(other.arrays[name], array, err_msg=name)
    for name in ("also", "differences", "classes", "choices"):
        assert other.facts.get(name) == one.facts.get(name), name


def test_rows_that_were_pretrained_before_are_made_at_once(home, forked):
    assert (home / "one").is_dir(), "made by the test above"
    more = ("--from", home / "one", "--trainer.folds_at_once", 2)
    done = omni("evaluate", home / "toy-jepa.yaml", "--out", home / "later", *WIDE, *more)
    assert done.code == 0, done.err
    assert "rows with and without pretraining" in done.err
    assert contents(home / "later/results.json")["rows"] == contents(home / "one/results.json")["rows"]
    lone = omni("evaluate", home / "toy-jepa.yaml", "--out", home / "lone", *FEW, *more)
    assert lone.code == 0, lone.err
    assert "at a time" not in lone.err


@pytest.mark.parametrize(
    ("config", "models", "steps", "pieces"),
    [
        (TrainerConfig(accelerator="cpu"), "pretrained prior scratch", 100, ["pretrained prior", "scratch"]),
        (TrainerConfig(accelerator="cpu"), "pretrained prior scratch", 99, []),
        (TrainerConfig(accelerator="cpu", folds_at_once=2), "random-init pretrained", 1, ["pretrained", "random-init"]),
        (TrainerConfig(accelerator="cpu", folds_at_once=1), "pretrained scratch", 100, []),
        (TrainerConfig(accelerator="cpu"), "pretrained hand-features", 100, []),
        (TrainerConfig(accelerator="cpu"), "random-init scratch", 100, []),
        (TrainerConfig(accelerator="cuda"), "pretrained scratch", 100, []),
    ],
)
def test_when_rows_are_made_at_once(monkeypatch, config, models, steps, pieces):
    """Two seeds of fine-tuning, and an attentive probe that nobody asks for."""
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: config.accelerator == "cuda")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    asked = EvaluateConfig(models=tuple(models.split()), protocols=("linear", "finetune"), seeds=2)
    recipe = SimpleNamespace(
        trainer=config, evaluate=asked, finetune=FinetuneConfig(steps=steps), probe=ProbeConfig(attentive_steps=900)
    )
    prepared = SimpleNamespace(store=SimpleNamespace(asked_side=None), splits=[SimpleNamespace(fold=0)])
    found = row_pieces(SimpleNamespace(recipe=recipe, prepared=prepared))
    assert [" ".join(piece.models) for piece in found] == pieces


# ---- what ends early --------------------------------------------------------------------------------------------


def test_a_run_that_is_stopped_and_then_killed_ends_as_if_nothing_had_happened(home):
    """Ctrl-C reaches the whole group; nothing but the run itself is killed."""
    command = ["pretrain", home / "toy-jepa.yaml", *FOLDS, *LONG]
    out, log = home / "broken", home / "said"
    begun = start(log, *command, *AT_ONCE, "--out", out)
    until(lambda: list(out.glob("folds/*/metrics.csv")), begun)
    os.killpg(begun.pid, signal.SIGINT)
    begun.join(60)
    said = log.read_text()
    assert begun.exitcode == 128 + signal.SIGINT, said
    assert "Traceback" not in said
    (complaint,) = [line for line in said.splitlines() if line.startswith("omnipatch: ")]
    assert complaint.startswith("omnipatch: stopped by a signal; the checkpoint")
    assert complaint.endswith("saved, continue with --resume")
    stopped = [path.parts[-3] for path in out.glob("folds/*/checkpoints/*.ckpt")]
    assert stopped
    assert not list(out.glob("folds/*/model"))

    saved = {path.name for path in out.glob("folds/*/checkpoints/*.ckpt")}
    resumed = start(log, *command, *AT_ONCE, "--out", out, "--resume")
    until(lambda: {path.name for path in out.glob("folds/*/checkpoints/*.ckpt")} - saved, resumed)
    os.kill(resumed.pid, signal.SIGKILL)
    resumed.join(60)
    time.sleep(1.0)
    for fold in out.glob("folds/*"):  # nobody is left to work on it
        with folder_lock(fold):
            assert not list(fold.glob("model"))

    for folder, resume in ((home / "unbroken", []), (out, ["--resume"])):
        done = omni(*command, "--out", folder, *resume)
        assert done.code == 0, done.err
    for fold in ("0", "1"):
        assert_bit_equal(weights(home / "unbroken/folds" / fold), weights(out / "folds" / fold))


def test_an_error_in_a_fold_is_told_as_ever_and_stops_the_others(home, in_turn, forked):
    out = home / "failing"
    shutil.copytree(in_turn / "folds/1", out / "folds/1")
    newest = out / "folds/1/checkpoints/step-00000004.ckpt"
    newest.write_bytes(newest.read_bytes()[:1000])
    done = omni("pretrain", home / "toy-jepa.yaml", *FOLDS, *AT_ONCE, "--out", out, "--resume",
                "--seed", 1, "--trainer.max_steps", 1_000_000)  # fmt: skip
    assert done.code == 2
    assert "the checkpoint belongs to another run, field seed, got 0, expected 1" in done.complaint
    assert "start again with --overwrite" in done.complaint
    (warned,) = [line for line in done.err.splitlines() if line.startswith("omnipatch warns: ")]
    assert "folds/1/checkpoints/step-00000004.ckpt: damaged checkpoint" in warned
    with folder_lock(out / "folds/0"):
        assert not (out / "folds/0/model").exists()


@pytest.mark.parametrize(
    "error",
    [
        InputError("no", source="here", field="x", got=1, expected="2", fix="do"),
        CorruptFileError("torn", source=Path("a.hea"), got=None),
        CollapseError("encoder: its vectors have collapsed"),
        SaveError("the disk is full"),
        Interrupted("stopped", signal.SIGTERM),
        KeyError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_keep_what_they_say_on_their_way(error):
    carried = pickle.loads(pickle.dumps(_portable(error)))
    assert type(carried) is type(error)
    assert str(carried) == str(error)
    assert getattr(carried, "exit_code", 1) == getattr(error, "exit_code", 1)


def test_errors_that_cannot_travel_are_told_in_words():
    class Own(OmnipatchError):
        exit_code = 7

    carried = _portable(Own("said"))
    assert (type(carried), str(carried), carried.exit_code) == (OmnipatchError, "said", 7)
    assert str(_portable(type("Odd", (Exception,), {})("why\nhow"))) == "Odd: why"


def test_the_end_of_a_worker_is_told_by_its_kind():
    assert _ending(Interrupted("saved", 2), True) == ("stopped", "saved")
    assert _ending(KeyboardInterrupt(), True) == ("stopped", "")
    kind, (error, trace) = _ending(CollapseError("flat"), False)
    assert (kind, str(error)) == ("failed", "flat")
    assert "CollapseError: flat" in trace


# ---- how many ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "folds", "threads", "expected"),
    [
        (TrainerConfig(accelerator="cpu"), 5, 2, 2),
        (TrainerConfig(accelerator="cpu"), 5, 8, 5),
        (TrainerConfig(accelerator="cpu"), 1, 8, 1),
        (TrainerConfig(accelerator="cuda"), 5, 8, 1),
        (TrainerConfig(accelerator="cpu", folds_at_once=3), 5, 1, 3),
        (TrainerConfig(accelerator="cpu", folds_at_once=3), 2, 8, 2),
        (TrainerConfig(accelerator="cpu", devices=2), 5, 8, 1),
        (TrainerConfig(accelerator="cpu", strategy="ddp"), 5, 8, 1),
        (TrainerConfig(accelerator="cpu", num_nodes=2), 5, 8, 1),
    ],
)
def test_how_many_at_once(monkeypatch, config, folds, threads, expected):
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)
    monkeypatch.setattr("torch.cuda.is_available", lambda: config.accelerator == "cuda")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert folds_at_once(config, folds) == expected
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert folds_at_once(config, folds) == 1


def test_folds_with_several_devices_each_are_refused(home, tmp_path):
    with pytest.raises(InputError, match=r"one device each, field trainer.folds_at_once"):
        check_folds_at_once(TrainerConfig(folds_at_once=2, devices=2))
    done = omni("pretrain", home / "toy-jepa.yaml", *AT_ONCE, "--trainer.devices", 2, "--out", tmp_path / "run")
    assert done.code == 2
    assert not (tmp_path / "run").exists()
    negative = omni("pretrain", home / "toy-jepa.yaml", "--trainer.folds_at_once", -1)
    assert "field trainer.folds_at_once, got -1, expected at least 0" in negative.complaint


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_settings_of_every_recipe_can_be_handed_on(name):
    settings = load(name)
    again = pickle.loads(pickle.dumps(settings))
    assert again.recipe == settings.recipe
    assert again.modality.config == settings.modality.config


def test_what_a_script_defines_itself_stays_in_its_process(home, monkeypatch):
    class Script:
        pass

    settings: Any = load(str(home / "toy-jepa.yaml"))
    assert _pickled(settings) is not None
    assert _pickled(replace(settings, source=lambda: None)) is None
    Script.__module__, Script.__qualname__ = "__main__", "Script"
    monkeypatch.setattr("__main__.Script", Script, raising=False)
    assert _pickled(replace(settings, source=Script())) is None
