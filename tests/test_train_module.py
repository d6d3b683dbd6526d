"""Training steps: what stops a run, what is logged, what a watcher may not change."""

from __future__ import annotations

import csv
import math
import threading

import pytest
import torch
from omnipatch.core.blocks.monitors import CollapseGuard
from omnipatch.core.compose import composition
from omnipatch.core.config import OptimizerConfig
from omnipatch.core.errors import CollapseError, InputError, NonFiniteError
from omnipatch.core.objective import Objective
from omnipatch.core.train import monitor
from omnipatch.core.train.guard import stop_on_non_finite
from omnipatch.core.train.module import PretrainModule
from omnipatch.core.train.optimizer import build_adamw, decay_groups, learning_rate
from omnipatch.core.train.precision import autocast, cpu_has_fast_bf16, resolve_precision
from torch import nn
from train_kit import FakeStore, assert_bit_equal, in_child, recipe, train, weights, with_trainer


def _rows(folder):
    return list(csv.DictReader((folder / "metrics.csv").open()))


# ---- what stops a run -----------------------------------------------------------------------------------------


def test_a_non_finite_loss_stops_at_once_and_names_the_record(tmp_path):
    store = FakeStore()
    store.values[3] = 1e38
    with pytest.raises(NonFiniteError, match=r"is not finite; .*largest input first: record3, record"):
        train(tmp_path, recipe("mae", checkpoint_every=1), store=store)
    for path in (tmp_path / "checkpoints").glob("*.ckpt"):
        state = torch.load(path, weights_only=True)["state_dict"]
        assert all(torch.isfinite(value).all() for value in state.values())


def test_a_non_finite_gradient_stops_too():
    store, names = FakeStore(), ("a", "b", "c", "d")
    parts = [store.batch([0, 1]), store.batch([2, 3])]
    stop_on_non_finite(torch.tensor([1.0, 1.0]), torch.tensor(2.0), parts, names, 4)
    with pytest.raises(NonFiniteError, match=r"the loss is not finite; .*: ([cd], [cd]) "):
        stop_on_non_finite(torch.tensor([1.0, math.inf]), torch.tensor(2.0), parts, names, 4)
    with pytest.raises(NonFiniteError, match=r"step 4: the gradient is not finite; .*: [abcd](, [abcd]){3} "):
        stop_on_non_finite(torch.tensor([1.0, 1.0]), torch.tensor(math.nan), parts, names, 4)


@pytest.mark.parametrize("window", range(4))  # in the first and in the second part of a step
def test_accumulated_batches_are_searched_for_the_record(tmp_path, window):
    store = FakeStore(subjects=50)
    store.values[window] = 1e38
    with pytest.raises(NonFiniteError, match=rf"is not finite; .*largest input first: record{window}, record"):
        train(tmp_path, recipe("mae", accumulate_grad_batches=2), store=store)


def test_the_loss_of_accumulated_batches_is_their_mean(tmp_path, monkeypatch):
    seen, forward = [], Objective.forward

    def spy(self, *args, **options):
        outcome = forward(self, *args, **options)
        seen.append(float(outcome.loss.detach()))
        return outcome

    monkeypatch.setattr(Objective, "forward", spy)
    train(tmp_path, recipe("mae", max_steps=2, accumulate_grad_batches=2))
    logged = [float(row["loss"]) for row in _rows(tmp_path)]
    assert logged == pytest.approx([(seen[0] + seen[1]) / 2, (seen[2] + seen[3]) / 2], rel=1e-5)


def test_missing_values_do_not_stop_a_run(tmp_path):
    store = FakeStore()
    store.values[::3, :, 5:] = math.nan
    store.values[1, 2:4] = math.nan
    assert train(tmp_path, recipe("mae", max_steps=4), store=store).steps == 4


def test_a_collapse_stops_the_run_after_its_row_is_logged(tmp_path, monkeypatch):
    monkeypatch.setattr(monitor, "CollapseGuard", lambda: CollapseGuard(floor=1e9, patience=2))
    with pytest.raises(CollapseError, match="step 8: the representation has collapsed"):
        train(tmp_path)
    assert _rows(tmp_path)[-1]["step"] == "8"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra": {"detect_anomly": True}}, "unknown key trainer.detect_anomly; did you mean 'detect_anomaly'"),
        ({"extra": {"callbacks": []}}, "trainer.callbacks cannot be set"),
        ({"extra": {"gradient_clip_val": 1.0}}, r"trainer.gradient_clip_val cannot be set; use optimizer\.clip"),
        ({"extra": {"limit_train_batches": 3}}, r"cannot be set; use trainer\.max_steps or data\.limit"),
        ({"accelerator": "tpu"}, "Lightning refuses the trainer section"),
        ({"devices": 0}, "Lightning refuses the trainer section"),
        ({"precision": "bf16-true"}, r"field trainer\.precision, got bf16-true, expected auto, 32-true"),
        ({"strategy": "no-such"}, "Lightning refuses the trainer section"),
        ({"batch_size": 9, "accumulate_grad_batches": 2}, "multiple of trainer.accumulate_grad_batches"),
    ],
)
def test_bad_trainer_sections_are_sentences(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        train(tmp_path, with_trainer(recipe(), **changes))


def test_a_second_run_in_the_same_folder_is_refused(tmp_path):
    codes = []

    def meanwhile(step, total, metrics):
        if step == 2:
            child = in_child(train, tmp_path)
            child.join()
            codes.append(child.exitcode)

    assert train(tmp_path, on_progress=meanwhile).steps == 12
    assert codes == [1]
    assert len(_rows(tmp_path)) == 12


def test_no_windows_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="nothing to pretrain on"):
        train(tmp_path, windows=[])


def test_a_single_window_is_no_collapse(tmp_path):
    assert train(tmp_path, recipe("mae", batch_size=1, monitor_every=1)).steps == 12


def test_trainer_extras_reach_lightning(tmp_path):
    made = with_trainer(recipe(), extra={"max_time": {"seconds": 0}})
    assert train(tmp_path, made).steps < 12


# ---- what is logged and watched -------------------------------------------------------------------------------


def test_log_and_monitor_intervals(tmp_path):
    seen = []
    made = recipe(max_steps=11, log_every=5, monitor_every=4)
    result = train(tmp_path, made, on_progress=lambda step, total, metrics: seen.append((step, total, metrics)))
    rows = _rows(tmp_path)
    assert [int(row["step"]) for row in rows] == [1, 4, 5, 8, 10, 11] == [step for step, _, _ in seen]
    assert {row["step"] for row in rows if row["encoder/std"]} == {"4", "8"}
    assert {"loss", "term/latent", "term/guard", "lr", "grad_norm", "windows_per_s", "seconds"} <= set(rows[0])
    guard = composition("jepa")["regularizers"]["guard"]
    assert float(rows[0]["loss"]) == pytest.approx(
        float(rows[0]["term/latent"]) + guard["weight"] * float(rows[0]["term/guard"]), rel=1e-5
    )
    assert result.metrics_csv == tmp_path / "metrics.csv"
    assert result.seconds == pytest.approx(float(rows[-1]["seconds"]), rel=1e-3)


def test_the_online_knn_uses_windows_outside_training_and_changes_nothing(tmp_path):
    train(tmp_path / "plain", recipe(monitor_every=100))
    train(tmp_path / "watched", recipe(monitor_every=3), monitor_windows=range(30, 50))
    rows = _rows(tmp_path / "watched")
    assert {row["step"] for row in rows if row["knn/balanced_accuracy"]} == {"3", "6", "9", "12"}
    assert 0.0 <= float(rows[-1]["knn/balanced_accuracy"]) <= 1.0
    assert_bit_equal(weights(tmp_path / "plain"), weights(tmp_path / "watched"))


def test_tensorboard_by_flag(tmp_path):
    pytest.importorskip("tensorboard")
    train(tmp_path, recipe(max_steps=2, tensorboard=True))
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_nothing_is_left_running(tmp_path):
    before = threading.active_count()
    train(tmp_path, recipe(max_steps=2))
    assert threading.active_count() <= before


def test_lightning_says_nothing(tmp_path, capfd, recwarn):
    train(tmp_path, recipe(max_steps=2))
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    assert not [str(w.message) for w in recwarn]


# ---- optimiser ------------------------------------------------------------------------------------------------


def test_only_weight_matrices_decay():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(3, 4)
            self.linear = nn.Linear(4, 4)
            self.norm = nn.LayerNorm(4)
            self.registers = nn.Parameter(torch.zeros(2, 4))
            self.frozen = nn.Linear(4, 4).requires_grad_(False)

    net = Net()
    decayed, exempt = decay_groups(net, 0.1)
    assert [p is net.linear.weight for p in decayed["params"]] == [True]
    assert (decayed["weight_decay"], exempt["weight_decay"]) == (0.1, 0.0)
    assert len(exempt["params"]) == 5
    assert build_adamw(net, OptimizerConfig()).defaults["fused"]


@pytest.mark.parametrize("schedule", ["cosine", "infinite", "constant"])
def test_learning_rates(schedule):
    config = OptimizerConfig(lr=1.0, schedule=schedule, warmup=0.1, final=0.01)
    rate = [learning_rate(config)(step, 100) for step in range(100)]
    assert rate[0] == pytest.approx(0.1)
    assert max(rate) == pytest.approx(1.0)
    assert rate[:10] == sorted(rate[:10])
    assert rate[-1] == pytest.approx({"cosine": 0.01, "infinite": 0.01, "constant": 1.0}[schedule], abs=0.01)


@pytest.mark.parametrize("change", [{"final": 0.0}, {"warmup": 0.8}])
def test_an_impossible_infinite_schedule_is_a_sentence(change):
    with pytest.raises(InputError, match=r"cannot have these phases, field optimizer\.final, optimizer\.warmup"):
        learning_rate(OptimizerConfig(schedule="infinite", **change))


def test_clipping_bounds_the_step(tmp_path):
    norms = []
    step = PretrainModule.on_before_optimizer_step

    def spy(self, optimizer):
        step(self, optimizer)
        norms.append(float(torch.nn.utils.get_total_norm([p.grad for p in self._trained if p.grad is not None])))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PretrainModule, "on_before_optimizer_step", spy)
        train(tmp_path)
    logged = [float(row["grad_norm"]) for row in _rows(tmp_path)]
    assert max(logged) > 1.0  # otherwise this test shows nothing
    for norm, raw in zip(norms, logged, strict=True):
        assert norm == pytest.approx(min(raw, 1.0), rel=1e-4)


# ---- precision ------------------------------------------------------------------------------------------------


def test_auto_precision_follows_the_processor(monkeypatch):
    for flags, expected in (({"avx512_bf16": True}, "bf16-mixed"), ({"avx512_f": True}, "32-true")):
        cpu_has_fast_bf16.cache_clear()
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda flags=flags: flags, raising=False)
        assert resolve_precision("auto", "cpu") == expected
    cpu_has_fast_bf16.cache_clear()
    assert resolve_precision("16-mixed", "cpu") == "16-mixed"


def test_autocast_outside_the_trainer():
    x = torch.ones(2, 2)
    with autocast("cpu", "bf16-mixed"):
        assert (x @ x).dtype == torch.bfloat16
    with autocast("cpu", "32-true"):
        assert (x @ x).dtype == torch.float32
