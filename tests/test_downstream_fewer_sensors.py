"""Test records without some of their sensors: who loses what, that rows stay as they are, and what the curve says."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from cli_kit import omni, toy_installed, write_recipe
from data_kit import Toy
from downstream_fakes import FakeEncoder, FakeModality, FakeStore
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.config import EvaluateConfig, FinetuneConfig, ProbeConfig, Recipe
from omnipatch.core.data.sensors import drop_sensors
from omnipatch.core.data.store import WindowStore
from omnipatch.core.downstream.evaluate import evaluate
from omnipatch.core.downstream.fewer_sensors import FewerSensors, curve_table, sensor_curve
from omnipatch.core.downstream.rows import merge
from omnipatch.core.downstream.stacked import StackedStore, stack_items
from omnipatch.core.modality import Recording, SensorLoss

QUICK = Recipe(
    finetune=FinetuneConfig(steps=4, batch_size=8, eval_every=2),
    probe=ProbeConfig(attentive_steps=4, linear_c=(0.1,), token_scale=(0.3,)),
    evaluate=EvaluateConfig(seeds=2),
)


def _recording(sensors):
    signals = np.stack([np.full(5, len(name) + ord(name[0]), np.float32) for name in sensors])
    return Recording(signals, tuple(sensors), 10.0, "mV", "r")


# ---- who loses what -----------------------------------------------------------------------------------------------

names = st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=12, unique=True)


@settings(max_examples=60, deadline=None)
@given(sensors=names, dropped=st.integers(1, 14), draw=st.integers(0, 5), data=st.data())
def test_a_loss_belongs_to_the_names(sensors, dropped, draw, data):
    left = drop_sensors(_recording(sensors), SensorLoss(dropped, draw))
    assert len(left.sensors) == max(1, len(sensors) - dropped)
    assert [s for s in sensors if s in left.sensors] == list(left.sensors)  # in the order of the recording
    np.testing.assert_array_equal(left.signals, _recording(left.sensors).signals)
    turned = drop_sensors(_recording(data.draw(st.permutations(sensors))), SensorLoss(dropped, draw))
    assert set(turned.sensors) == set(left.sensors)
    more = drop_sensors(_recording(sensors), SensorLoss(dropped + 1, draw))
    assert set(more.sensors) <= set(left.sensors)


def test_draws_differ_and_none_takes_nothing():
    whole = _recording("abcdefghijkl")
    assert drop_sensors(whole, None) is whole
    assert len({drop_sensors(whole, SensorLoss(6, draw)).sensors for draw in range(20)}) > 15


def test_the_cache_keeps_losses_apart(tmp_path):
    toy, found = Toy(), {}
    for loss in (None, SensorLoss(1, 0)):
        sources = [replace(source, sensor_loss=loss) for source in toy.demo()[:2]]
        store = WindowStore.prepare(toy, sources, "rhythm", tmp_path)
        values = store.batch([0]).values
        assert values is not None
        found[loss] = int(values.reshape(-1, 3, 8).isfinite().any(dim=-1).any(dim=0).sum())
    assert list(found.values()) == [2, 1]  # of the two sensors of its recordings


# ---- several stores as one ----------------------------------------------------------------------------------------


def test_a_stack_gives_the_windows_of_its_stores():
    stores = [FakeStore(subjects=3, windows=2, seed=seed) for seed in (0, 1)]
    stack = StackedStore(stores)  # type: ignore[arg-type]
    order = [7, 0, 11, 3]
    batch = stack.batch(np.array(order))
    for row, i in zip(batch.values, order, strict=True):
        assert torch.equal(row, stores[i // 6].batch([i % 6]).values[0])
    assert len(stack) == 12


def test_items_of_a_stack_have_the_names_of_the_first_store():
    first, second = FakeStore(subjects=3, windows=2), FakeStore(subjects=3, windows=2, seed=1)
    second.records, second.subjects = second.records[::-1], second.subjects[::-1]
    items, places = stack_items(StackedStore([first, second]), [first.items(), second.items()])  # type: ignore
    own = second.items()
    np.testing.assert_array_equal(items.window[places[1]], own.window + 6)
    stack = StackedStore([first, second])  # type: ignore[list-item]
    named = np.array(second.records)[second.record_code]
    np.testing.assert_array_equal(np.array(first.records)[stack.record_code[len(first) :]], named)
    for name in ("record", "subject"):
        named = np.array(getattr(second, f"{name}s"))[getattr(own, name)]
        now = np.array(getattr(first, f"{name}s"))[getattr(items, name)[places[1]]]
        np.testing.assert_array_equal(named, now)


# ---- evaluation ---------------------------------------------------------------------------------------------------


def run(store, fewer=(), recipe=QUICK):
    return evaluate(
        recipe, FakeModality(), store, store.split(), FakeEncoder(0), lambda seed: FakeEncoder(seed + 1), fewer=fewer
    )  # fmt: skip


def _losing(store, dropped, draw, scale):
    """The same windows with values `scale` as large: 1 = nothing lost, 0 = everything."""
    other = FakeStore(windows=6)
    other.values = store.values * scale
    return FewerSensors(SensorLoss(dropped, draw), other)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def found():
    store = FakeStore(windows=6)
    fewer = [_losing(store, n, draw, scale) for n, scale in ((1, 1.0), (2, 0.0)) for draw in (0, 1)]
    return run(store), run(store, fewer)


def test_asking_changes_no_row(found):
    plain, asked = found
    assert [row.to_json() for row in plain.rows] == [row.to_json() for row in asked.rows]
    assert plain.choices == asked.choices
    for key, prediction in plain.predictions.items():
        np.testing.assert_array_equal(prediction.probability, asked.predictions[key].probability)


def test_places_of_heads_are_those_of_training():
    recipe = replace(QUICK, probe=replace(QUICK.probe, pool="place"))
    store = FakeStore(windows=6)
    asked = run(store, [_losing(store, 1, 0, 1.0)], recipe)
    assert len(asked.fewer) == len(asked.rows) > 0


def test_every_row_scores_every_loss(found):
    _, asked = found
    assert len(asked.fewer) == 4 * len(asked.rows)
    for (key, loss), prediction in asked.fewer.items():
        np.testing.assert_array_equal(prediction.label, asked.predictions[key].label)
        if loss.dropped == 1:  # nothing is lost in truth
            np.testing.assert_allclose(prediction.probability, asked.predictions[key].probability, atol=1e-5)


def test_labels_of_test_records_stay_hidden(found):
    _, before = found
    store = FakeStore(windows=6)
    fewer = [_losing(store, n, 0, scale) for n, scale in ((1, 1.0), (2, 0.0))]
    for one in fewer:
        own = one.store.items()
        one.store._items = replace(own, label=np.random.default_rng(0).permutation(own.label))  # type: ignore
    after = run(store, fewer)
    for (key, loss), prediction in after.fewer.items():
        np.testing.assert_array_equal(prediction.probability, before.fewer[key, loss].probability)


def test_the_curve_says_what_is_lost(found):
    plain, asked = found
    assert sensor_curve(plain) == []
    curve = sensor_curve(merge([asked]), 50)
    json.dumps(curve, allow_nan=False)
    lines = {(e["model"], e["protocol"], e["label_fraction"]) for e in curve}
    assert lines == set(asked.lines())
    for entry in curve:
        assert list(entry) == [
            "model", "protocol", "label_fraction", "metric", "dropped", "mean", "ci_low", "ci_high", "change",
            "change_low", "change_high", "worst", "missing", "n",
        ]  # fmt: skip
        assert entry["n"] == 4  # two seeds, two draws
        assert entry["missing"] == 0.0
        assert entry["worst"] <= entry["mean"] + 1e-9
        if entry["dropped"] == 1:
            assert entry["change"] == pytest.approx(0.0, abs=1e-6)
    probe = {e["dropped"]: e for e in curve if e["protocol"] == "knn" and e["metric"] == "auroc"}
    assert probe[2]["change"] < -0.1
    assert probe[2]["mean"] == pytest.approx(0.5, abs=0.05)
    head, rows = curve_table(curve, "auroc")
    assert head[-2:] == ["without 1", "without 2"]
    assert len(rows) == len(lines)


def test_a_record_that_cannot_be_read_is_said_to_be_missing():
    store = FakeStore(windows=6, unit="record")
    one = _losing(store, 3, 0, 1.0)
    other = FakeStore(windows=6, unit="record")
    kept = np.flatnonzero(other.items().record != 0)  # record 0 is a test record
    names = ("window", "at", "label", "features", "hand", "subject", "record")
    other._items = replace(other.items(), **{n: getattr(other.items(), n)[kept] for n in names})
    recipe = replace(QUICK, evaluate=EvaluateConfig(models=("pretrained",), protocols=("knn",), seeds=1))
    curve = sensor_curve(run(store, [replace(one, store=other)], recipe), 20)
    assert [entry["missing"] for entry in curve] == pytest.approx([1 / 8] * len(curve))


# ---- command line -------------------------------------------------------------------------------------------------


def test_the_curve_is_printed_and_kept(tmp_path):
    with toy_installed():
        recipe = write_recipe(tmp_path)
        asked = ("--evaluate.drop_sensors", "1,2", "--evaluate.sensor_draws", 2, "--data.task", "rhythm")
        done = omni("run", recipe, "--out", tmp_path / "run", *asked)
        assert done.code == 0, done.err
        refused = omni("run", recipe, "--out", tmp_path / "no", "--evaluate.drop_sensors", "0")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert {entry["dropped"] for entry in results["fewer_sensors"]} == {1, 2}
    assert list(results)[:9] == [
        "recipe", "modality", "objective", "dataset", "split", "rows", "summary", "seconds", "versions",
    ]  # fmt: skip
    assert "without 2" in done.out
    assert "With fewer sensors" in (tmp_path / "run" / "report.html").read_text()
    assert refused.code == 2
    assert "evaluate.drop_sensors" in refused.complaint
